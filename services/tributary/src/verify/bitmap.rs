//! A set of offsets: memory goes with what is in it, not with the range that it spans.
use std::collections::HashMap;

/// Bits of a chunk: 1 KiB.
const CHUNK_BITS: u64 = 8 * 1024;
const WORDS: usize = (CHUNK_BITS / 64) as usize;

/// A sparse set of indexes.
#[derive(Debug, Default)]
pub struct Bitmap(HashMap<u64, Box<[u64; WORDS]>>);

impl Bitmap {
    /// Adds an index; answers whether it was new.
    pub fn insert(&mut self, index: u64) -> bool {
        let chunk = self.0.entry(index / CHUNK_BITS).or_insert_with(|| Box::new([0; WORDS]));
        let (word, bit) = position(index);
        let new = chunk[word] & bit == 0;
        chunk[word] |= bit;
        new
    }

    /// Whether the index is in the set.
    pub fn contains(&self, index: u64) -> bool {
        let (word, bit) = position(index);
        self.0.get(&(index / CHUNK_BITS)).is_some_and(|chunk| chunk[word] & bit != 0)
    }
}

fn position(index: u64) -> (usize, u64) {
    let within = usize::try_from(index % CHUNK_BITS).expect("a chunk is small");
    (within / 64, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_new_once_also_at_the_edges_of_chunks() {
        let mut set = Bitmap::default();
        for index in [0, 63, 64, CHUNK_BITS - 1, CHUNK_BITS, u64::MAX] {
            assert!(!set.contains(index));
            assert!(set.insert(index));
            assert!(!set.insert(index));
            assert!(set.contains(index));
        }
        assert!(!set.contains(1));
    }
}

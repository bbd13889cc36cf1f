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

    /// Takes an index out; answers whether it was in it. What a chunk took goes with its last index.
    pub fn remove(&mut self, index: u64) -> bool {
        let Some(chunk) = self.0.get_mut(&(index / CHUNK_BITS)) else { return false };
        let (word, bit) = position(index);
        let there = chunk[word] & bit != 0;
        chunk[word] &= !bit;
        if there && chunk.iter().all(|word| *word == 0) {
            self.0.remove(&(index / CHUNK_BITS));
        }
        there
    }

    /// The lowest index.
    pub fn lowest(&self) -> Option<u64> {
        let (chunk, words) = self.0.iter().min_by_key(|(chunk, _)| **chunk)?;
        let (word, bits) = words.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(chunk * CHUNK_BITS + word as u64 * 64 + u64::from(bits.trailing_zeros()))
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
        assert_eq!(set.lowest(), Some(0));
        for index in [0, 63, 64, CHUNK_BITS - 1, CHUNK_BITS] {
            assert!(set.remove(index) && !set.remove(index) && !set.contains(index));
        }
        assert_eq!((set.lowest(), set.0.len()), (Some(u64::MAX), 1), "empty chunks are dropped");
    }
}

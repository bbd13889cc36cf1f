//! Keys that a map has more than once.
use arrow::{
    array::{Array, Int32Array, StringArray},
    buffer::OffsetBuffer,
    error::ArrowError,
};
use std::collections::{HashMap, HashSet};

/// Entries that stay where a map has a key more than once: the last one counts, in the place of the first. `None`: all keys differ.
pub(super) fn last_of_duplicates(
    keys: &StringArray,
    offsets: &OffsetBuffer<i32>,
) -> Result<Option<(Int32Array, OffsetBuffer<i32>)>, ArrowError> {
    let range = |pair: &[i32]| pair[0]..pair[1];
    if !offsets.windows(2).any(|pair| has_duplicates(keys, range(pair))) {
        return Ok(None);
    }
    let mut kept: Vec<i32> = Vec::with_capacity(keys.len());
    let mut lengths = Vec::with_capacity(offsets.len() - 1);
    for pair in offsets.windows(2) {
        let start = kept.len();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for entry in range(pair) {
            let place = *places.entry(keys.value(row(entry)?)).or_insert(kept.len());
            if place == kept.len() {
                kept.push(entry);
            } else {
                kept[place] = entry;
            }
        }
        lengths.push(kept.len() - start);
    }
    Ok(Some((Int32Array::from(kept), OffsetBuffer::from_lengths(lengths))))
}

/// Few keys are compared pairwise, which allocates nothing; many are hashed, so that a hostile map costs no square.
fn has_duplicates(keys: &StringArray, entries: std::ops::Range<i32>) -> bool {
    const FEW: usize = 16;
    let texts = entries.filter_map(|entry| usize::try_from(entry).ok()).map(|entry| keys.value(entry));
    if texts.clone().count() <= FEW {
        return texts.clone().enumerate().any(|(index, key)| texts.clone().take(index).any(|other| other == key));
    }
    let mut seen = HashSet::new();
    texts.into_iter().any(|key| !seen.insert(key))
}

fn row(entry: i32) -> Result<usize, ArrowError> {
    usize::try_from(entry).map_err(|_| ArrowError::ComputeError("an offset is negative".to_owned()))
}

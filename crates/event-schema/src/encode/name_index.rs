//! Names of fields, to be found by a few machine words.

/// What tells names apart: the length and the bytes at both ends, which is all of a name of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamePrint {
    head: u64,
    tail: u64,
    length: usize,
}

impl NamePrint {
    #[inline]
    pub(super) fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let length = bytes.len();
        let (head, tail) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (short(bytes), 0),
        };
        Self { head, tail, length }
    }

    /// Whether equal prints are equal names.
    #[inline]
    pub(super) fn is_whole(self) -> bool {
        self.length <= 16
    }

    #[inline]
    fn hash(self) -> u64 {
        (self.head ^ self.tail.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// All of fewer than eight bytes.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    match (bytes, bytes.first_chunk(), bytes.last_chunk()) {
        (_, Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32,
        ([first, .., last], ..) => u64::from(*first) | u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(*last) << 16,
        ([only], ..) => u64::from(*only),
        ([], ..) => 0,
    }
}

/// A table of places by print, at most half full.
#[derive(Debug)]
pub(super) struct NameIndex {
    /// Places, [`NameIndex::FREE`] where there is none.
    slots: Box<[u16]>,
    /// How far a hash is shifted to be a slot.
    shift: u32,
}

impl NameIndex {
    const FREE: u16 = u16::MAX;

    pub(super) fn new(prints: impl ExactSizeIterator<Item = NamePrint>) -> Self {
        let bits = (prints.len() * 2).next_power_of_two().trailing_zeros().max(1);
        let mut index = Self { slots: vec![Self::FREE; 1 << bits].into(), shift: u64::BITS - bits };
        for (place, print) in prints.enumerate() {
            let free = index.walk(print).find(|slot| index.slots[*slot] == Self::FREE).expect("half of the slots stay free");
            index.slots[free] = u16::try_from(place).expect("schemas have 10,000 fields at most");
        }
        index
    }

    /// Slots in the order in which a print is looked for.
    #[inline]
    fn walk(&self, print: NamePrint) -> impl Iterator<Item = usize> + use<> {
        let (start, slots) = ((print.hash() >> self.shift) as usize, self.slots.len());
        (0..slots).map(move |step| (start + step) & (slots - 1))
    }

    /// Places whose names could be this one. How many there are depends on the schema alone, not on the name that is looked for.
    #[inline]
    pub(super) fn candidates(&self, print: NamePrint) -> impl Iterator<Item = usize> + '_ {
        self.walk(print).map(|slot| self.slots[slot]).take_while(|place| *place != Self::FREE).map(usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn prints_of_short_names_are_the_names() {
        let letters = ['a', 'b', 'A', '_'];
        let mut names = vec![String::new()];
        for length in 0..4 {
            let longer = names.iter().filter(|name| name.len() == length).flat_map(|name| letters.map(|letter| format!("{name}{letter}")));
            names.extend(longer.collect::<Vec<_>>());
        }
        names.extend((4..40).flat_map(|length| (0..length).map(move |at| format!("{}b{}", "a".repeat(at), "a".repeat(length - at - 1)))));
        names.sort();
        names.dedup();
        for (index, name) in names.iter().enumerate() {
            for other in &names[index + 1..] {
                let same = NamePrint::of(name) == NamePrint::of(other);
                assert!(!same || (name.len() == other.len() && name.len() > 16), "{name} and {other}");
            }
        }
    }

    #[test]
    fn every_name_is_found() {
        for count in [0, 1, 2, 3, 10, 500] {
            let names: Vec<String> = (0..count).map(|i| format!("field_number_{i}_of_many")).collect();
            let index = NameIndex::new(names.iter().map(|name| NamePrint::of(name)));
            let found: HashSet<usize> =
                names.iter().filter_map(|name| index.candidates(NamePrint::of(name)).find(|place| names[*place] == *name)).collect();
            assert_eq!(found.len(), count);
        }
    }
}

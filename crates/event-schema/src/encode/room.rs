//! Memory that encoding uses again from document to document.
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    ops::Range,
};

/// Room for encoding: one per task, used again for each document, so that a good document allocates nothing.
#[derive(Debug, Default)]
pub struct Room {
    /// Where in the output the members of the open records stand.
    pub(super) slots: Vec<Slot>,
    /// What is put into another order.
    pub(super) spare: Vec<u8>,
    /// A string without its escapes.
    pub(super) text: String,
    /// A name without its escapes.
    pub(super) name: String,
    /// Names that open objects have and no record knows.
    pub(super) names: Names,
    /// Fields to be kept under their paths, innermost step first.
    pub(super) kept: Vec<Kept>,
    /// Where the document has values for supplied fields.
    pub(super) claims: Vec<(usize, Range<usize>)>,
}

impl Room {
    /// As before the first document, but for the memory.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.names.clear();
        self.kept.clear();
        self.claims.clear();
    }
}

/// Where a member's value stands in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub start: usize,
    pub end: usize,
}

impl Slot {
    /// Not there yet.
    pub(super) const EMPTY: Self = Self { start: usize::MAX, end: usize::MAX };
}

/// A field that the schema does not have.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub path: String,
    /// Its value, where it stands in the document.
    pub value: Range<usize>,
}

/// Names are compared one by one up to so many in an object.
const COMPARED: usize = 16;

/// The names of open objects, to find one that stands twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    spans: Vec<Range<usize>>,
    /// Of objects with many names, each together with the object's number.
    hashes: HashSet<u64>,
    hasher: RandomState,
    objects: u64,
}

/// One open object's names.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObjectNames {
    object: u64,
    spans: usize,
    text: usize,
}

impl Names {
    fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
        if !self.hashes.is_empty() {
            self.hashes = HashSet::new();
        }
    }

    /// An object begins.
    #[inline]
    pub(super) fn open(&mut self) -> ObjectNames {
        self.objects += 1;
        ObjectNames { object: self.objects, spans: self.spans.len(), text: self.text.len() }
    }

    /// The object that began last ends.
    #[inline]
    pub(super) fn close(&mut self, object: ObjectNames) {
        self.spans.truncate(object.spans);
        self.text.truncate(object.text);
    }

    /// Adds a name of the object that began last; false: it has it already.
    pub(super) fn add(&mut self, object: ObjectNames, name: &str) -> bool {
        let count = self.spans.len() - object.spans;
        if count >= COMPARED {
            if count == COMPARED {
                for index in object.spans..self.spans.len() {
                    let hash = self.hash(object.object, &self.text[self.spans[index].clone()]);
                    self.hashes.insert(hash);
                }
            }
            let hash = self.hash(object.object, name);
            // Two names of one hash are possible: what decides is the text.
            if !self.hashes.insert(hash) && self.has(object, name) {
                return false;
            }
        } else if self.has(object, name) {
            return false;
        }
        let start = self.text.len();
        self.text.push_str(name);
        self.spans.push(start..self.text.len());
        true
    }

    fn has(&self, object: ObjectNames, name: &str) -> bool {
        self.spans[object.spans..].iter().any(|span| &self.text[span.clone()] == name)
    }

    fn hash(&self, object: u64, name: &str) -> u64 {
        self.hasher.hash_one((object, name))
    }
}

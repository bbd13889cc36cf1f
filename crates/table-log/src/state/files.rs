//! Files by reference: `(seq, index)` of the record that names them, with their rows.
use crate::{FileRef, Seq};
use serde::{Deserialize, Serialize};

/// Files in the order in which they were named. Rows are kept because seals and repairs are checked against them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<(Seq, u32, u64)>", into = "Vec<(Seq, u32, u64)>")]
pub(crate) struct FileSet {
    refs: Vec<FileRef>,
    rows: Vec<u64>,
}

/// A file that a newer revision replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Superseded {
    /// The `seal` or `derive` that replaced it.
    pub by: Seq,
    /// The first `register` that shows the newer revision; the time to keep the file counts from this object's.
    pub shown_by: Option<Seq>,
    /// A `register` after a full comparison that rests on a fold with `shown_by` and still showed it: the file may be vacuumed.
    pub confirmed_by: Option<Seq>,
}

impl FileSet {
    pub(crate) fn refs(&self) -> &[FileRef] {
        &self.refs
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }

    pub(crate) fn push(&mut self, file: FileRef, rows: u64) {
        self.refs.push(file);
        self.rows.push(rows);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (FileRef, u64)> + '_ {
        self.refs.iter().copied().zip(self.rows.iter().copied())
    }

    /// Rows of the files for which `wanted` holds.
    pub(crate) fn rows_where(&self, wanted: impl Fn(FileRef) -> bool) -> u64 {
        self.iter().filter(|(file, _)| wanted(*file)).map(|(_, rows)| rows).fold(0, u64::saturating_add)
    }

    pub(crate) fn rows_of(&self, file: FileRef) -> Option<u64> {
        self.iter().find(|(known, _)| *known == file).map(|(_, rows)| rows)
    }

    /// Takes out and returns the files for which `wanted` holds; the others keep their order.
    pub(crate) fn take_where(&mut self, wanted: impl Fn(FileRef) -> bool) -> Vec<FileRef> {
        let all = std::mem::take(self);
        let mut taken = Vec::new();
        for (file, rows) in all.iter() {
            if wanted(file) {
                taken.push(file);
            } else {
                self.push(file, rows);
            }
        }
        taken
    }

    /// Takes out one file; its rows, if it was there.
    pub(crate) fn remove(&mut self, file: FileRef) -> Option<u64> {
        let at = self.refs.iter().position(|known| *known == file)?;
        self.refs.remove(at);
        Some(self.rows.remove(at))
    }
}

impl From<Vec<(Seq, u32, u64)>> for FileSet {
    fn from(entries: Vec<(Seq, u32, u64)>) -> Self {
        let mut files = Self::default();
        for (seq, index, rows) in entries {
            files.push(FileRef { seq, index }, rows);
        }
        files
    }
}

impl From<FileSet> for Vec<(Seq, u32, u64)> {
    fn from(files: FileSet) -> Self {
        files.iter().map(|(file, rows)| (file.seq, file.index, rows)).collect()
    }
}

//! Windows and their lake partitions: open files, late files, revisions.
use super::files::FileSet;
use crate::planted::{Bug, is_planted};
use crate::record::{DeriveInput, FileEntry, RevisedPartition};
use crate::{FileRef, LakePartition, Seq, pairs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windowing::Time;

/// A window that has files or a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowState {
    /// 0 while it is not sealed.
    pub revision: u32,
    /// The record that made the revision.
    pub revised_by: Option<Seq>,
    /// Everything up to this seq is in the revision (sealed windows).
    pub through: Option<Seq>,
    /// What a derived window's revision was made from; empty for a window of Kafka's records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<DeriveInput>,
    /// The SQL of the derived revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform_sha256: Option<String>,
    /// The newest repair that changed its files: a revision made from an older state is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_by: Option<Seq>,
}

/// A lake partition's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct LakePartitionState {
    /// The revision that holds its live files; 0: the files of `open/`.
    pub(crate) revision: u32,
    pub(crate) live: FileSet,
    /// Waiting for the next revision, never live.
    pub(crate) late: FileSet,
}

/// All windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Windows {
    #[serde(with = "pairs")]
    windows: BTreeMap<Time, WindowState>,
    #[serde(with = "pairs")]
    lake_partitions: BTreeMap<LakePartition, LakePartitionState>,
}

impl Windows {
    pub(crate) fn get(&self, window_start: Time) -> Option<&WindowState> {
        self.windows.get(&window_start)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Time, &WindowState)> {
        self.windows.iter().map(|(start, window)| (*start, window))
    }

    pub(crate) fn lake_partitions(&self) -> impl Iterator<Item = (&LakePartition, &LakePartitionState)> {
        self.lake_partitions.iter()
    }

    pub(crate) fn lake_partition(&self, lake_partition: &LakePartition) -> Option<&LakePartitionState> {
        self.lake_partitions.get(lake_partition)
    }

    /// The lake partitions of one window.
    pub(crate) fn of_window(&self, window_start: Time) -> impl Iterator<Item = (&LakePartition, &LakePartitionState)> {
        let first = LakePartition { window_start, values: Vec::new() };
        self.lake_partitions.range(first..).take_while(move |(lake_partition, _)| lake_partition.window_start == window_start)
    }

    /// Where a file is live or late.
    pub(crate) fn find(&self, file: FileRef) -> Option<(&LakePartition, &LakePartitionState)> {
        self.lake_partitions.iter().find(|(_, state)| state.live.rows_of(file).is_some() || state.late.rows_of(file).is_some())
    }

    /// A file that a writer appended.
    pub(crate) fn append(&mut self, entry: &FileEntry, file: FileRef) {
        self.windows.entry(entry.lake_partition.window_start).or_default();
        let state = self.lake_partitions.entry(entry.lake_partition.clone()).or_default();
        let files = if entry.late { &mut state.late } else { &mut state.live };
        files.push(file, entry.rows);
    }

    /// The next revision of the named lake partitions: they get the new files. The files replaced, those appended after `through` not among
    /// them.
    pub(crate) fn revise(&mut self, revised: &Revised<'_>) -> Vec<FileRef> {
        let mut replaced = Vec::new();
        let mut index = 0;
        for partition in revised.lake_partitions {
            let state = self.lake_partitions.entry(partition.lake_partition.clone()).or_default();
            replaced.extend(state.live.take_where(|_| true));
            replaced.extend(state.late.take_where(|file| file.seq <= revised.through || is_planted(Bug::SealIgnoresLanded)));
            state.revision = revised.revision;
            for entry in &partition.files {
                state.live.push(FileRef { seq: revised.by, index }, entry.rows);
                index += 1;
            }
        }
        let window = self.windows.entry(revised.window_start).or_default();
        window.revision = revised.revision;
        window.revised_by = Some(revised.by);
        window.through = Some(revised.through);
        replaced
    }

    /// A derived window's revision: replaces all its lake partitions, also those that are not named.
    pub(crate) fn derive(&mut self, revised: &Revised<'_>, inputs: &[DeriveInput], transform_sha256: &str) -> Vec<FileRef> {
        let old: Vec<LakePartition> = self.of_window(revised.window_start).map(|(lake_partition, _)| lake_partition.clone()).collect();
        let mut replaced = Vec::new();
        for lake_partition in old {
            if let Some(state) = self.lake_partitions.remove(&lake_partition) {
                replaced.extend(state.live.refs());
            }
        }
        replaced.extend(self.revise(revised));
        let window = self.windows.entry(revised.window_start).or_default();
        window.inputs = inputs.to_vec();
        window.transform_sha256 = Some(transform_sha256.to_owned());
        replaced
    }

    /// Takes a file out of its lake partition. Its rows, if it was there. What has neither files nor a revision then is gone: nothing is left
    /// to seal.
    pub(crate) fn remove(&mut self, file: FileRef, by: Seq) -> Option<u64> {
        let lake_partition = self.find(file)?.0.clone();
        let window_start = lake_partition.window_start;
        let state = self.lake_partitions.get_mut(&lake_partition)?;
        let rows = state.live.remove(file).or_else(|| state.late.remove(file));
        if state.revision == 0 && state.live.is_empty() && state.late.is_empty() {
            self.lake_partitions.remove(&lake_partition);
        }
        let has_files = self.of_window(window_start).next().is_some();
        let window = self.windows.entry(window_start).or_default();
        window.repaired_by = Some(by);
        if window.revision == 0 && !has_files {
            self.windows.remove(&window_start);
        }
        rows
    }
}

/// A new revision, as [`Windows::revise`] takes it.
pub(crate) struct Revised<'a> {
    pub(crate) window_start: Time,
    pub(crate) revision: u32,
    pub(crate) through: Seq,
    pub(crate) by: Seq,
    pub(crate) lake_partitions: &'a [RevisedPartition],
}

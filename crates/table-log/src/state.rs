//! STUB. The state of a table: the fold of its records.
use crate::{FileRef, KafkaPartition, LakePartition, Offset, Record, Seq, SourcePartition, record::{Column, TableSettings}};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windowing::{Time, Watermark};

/// Version of this fold: part of a checkpoint's key. Raise it whenever `apply` or the state's shape changes.
pub const FOLD_VERSION: u32 = 1;

/// The fold. `(seq, index)` references stand for file entries, so it stays small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    /// Seq of the next record.
    pub next_seq: Seq,
    /// The newest `table` record.
    pub table: Option<TableState_>,
    // ... owner fills in: sources, windows, unpublished, superseded, sweep, register, totals
}
/// STUB: rename to something sensible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableState_ { pub schema_version: u32, pub avro_schema: String, pub columns: Vec<Column>, pub settings: TableSettings }

/// Why a record cannot follow the state: the log is broken (a bug or a hand in the lake), never a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError { pub seq: Seq, pub reason: String }

/// A source kafka_partition in the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionState {
    pub start: Offset,
    pub next_offset: Offset,
    pub watermark: Watermark,
    pub leader_epoch: Option<i32>,
}
/// A declared generation of a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    pub cluster_id: String,
    pub topic_id: Option<String>,
    pub refused: bool,
    /// Retired or ended by a `restart`: no more appends, does not count for the watermark.
    pub ended: bool,
    pub partitions: BTreeMap<KafkaPartition, PartitionState>,
}
/// Sums over the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals { pub rows: u64, pub late_rows: u64, pub quarantined: u64, pub skipped: u64, pub absent: u64, pub lost: u64, pub duplicates: u64 }

impl TableState {
    /// Folds the next record.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> { let _ = record; todo!() }
    /// The current (not ended) generation of a topic.
    pub fn current_source(&self, topic: &str) -> Option<(u32, &SourceState)> { let _ = topic; todo!() }
    /// All declared generations.
    pub fn sources(&self) -> impl Iterator<Item = (&str, u32, &SourceState)> { std::iter::empty() }
    /// First offset not yet taken.
    pub fn next_offset(&self, source: &SourcePartition) -> Option<Offset> { let _ = source; todo!() }
    /// The table's watermark.
    pub fn watermark(&self) -> Watermark { todo!() }
    /// Closed is for good: kept in the state, never undone by new settings.
    pub fn is_closed(&self, window_start: Time) -> bool { let _ = window_start; todo!() }
    /// Windows with files or revisions: (window_start, current revision: 0 while open or unsealed, closed).
    pub fn windows(&self) -> impl Iterator<Item = (Time, u32, bool)> { std::iter::empty() }
    /// Live data files: per lake partition with its revision (0: the open files). Late and superseded files are not live.
    pub fn live_files(&self) -> impl Iterator<Item = (&LakePartition, u32, &[FileRef])> { std::iter::empty() }
    /// Late files waiting for the next revision.
    pub fn late_files(&self) -> impl Iterator<Item = (&LakePartition, &[FileRef])> { std::iter::empty() }
    /// Quarantine files.
    pub fn quarantine_files(&self) -> &[FileRef] { &[] }
    /// Records with files that no `published` names yet.
    pub fn unpublished(&self) -> &BTreeSet<Seq> { todo!() }
    /// Sums.
    pub fn totals(&self) -> Totals { todo!() }
}

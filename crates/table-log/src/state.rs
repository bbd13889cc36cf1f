//! The state of a table: the fold of its records.
//!
//! Facts in: [`TableState::apply`] takes the next record and either folds it or says which rule of the log it breaks. The rules are those of
//! [`crate::plan`], so a record that was planned on the state before it always folds.

mod files;
mod questions;
mod sources;
mod windows;

pub(crate) use files::FileSet;
pub use files::Superseded;
pub(crate) use questions::Place;
pub(crate) use sources::Sources;
pub use sources::{PartitionState, SourceState};
pub use windows::WindowState;
pub(crate) use windows::{LakePartitionState, Revised, Windows};

use crate::key::Key;
use crate::record::{AppendBody, Body, FORMAT, RepairAction, SourceBody, TableBody, VacuumBody};
use crate::{FileRef, PutId, Record, Seq, TableName, pairs, rules};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use windowing::Time;

/// Version of this fold: part of a checkpoint's key. Raise it whenever `apply` or the state's shape changes.
pub const FOLD_VERSION: u32 = 2;

/// The fold. `(seq, index)` references stand for file entries, so it stays small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableState {
    /// Seq of the next record.
    pub next_seq: Seq,
    /// The newest `table` record.
    pub table: Option<TableBody>,
    /// Proposal of the newest record.
    last_put_id: Option<PutId>,
    pub(crate) sources: Sources,
    /// Windows that end here or before are closed, for good.
    closed_through: Option<Time>,
    pub(crate) windows: Windows,
    pub(crate) quarantine: FileSet,
    pub(crate) duplicates: FileSet,
    #[serde(with = "pairs")]
    pub(crate) superseded: BTreeMap<FileRef, Superseded>,
    unpublished: BTreeSet<Seq>,
    pub(crate) swept_before: Option<Seq>,
    pub(crate) registered: Option<Registered>,
    flushed: Option<Seq>,
    /// The newest `vacuum`.
    #[serde(default)]
    vacuumed: Option<Seq>,
    totals: Totals,
}

/// What the catalog shows, as the newest `register` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Registered {
    /// The fold that the catalog shows.
    pub shows: Seq,
    /// The `register` record that said so.
    pub by: Seq,
    /// Whether a full comparison has shown this fold.
    pub full: bool,
}

/// Why a record cannot follow the state: the log is broken (a bug or a hand in the lake), never a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// The record.
    pub seq: Seq,
    /// The rule that it breaks.
    pub reason: String,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record `{}` cannot follow the log before it: {}", self.seq, self.reason)
    }
}

impl std::error::Error for ApplyError {}

/// Sums over the log. `rows` are those that appends brought, late ones among them, before duplicates are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Totals {
    /// Offsets that became rows.
    pub rows: u64,
    /// Those of them that went to `late/`.
    pub late_rows: u64,
    /// Offsets in quarantine.
    pub quarantined: u64,
    /// Offsets left out by a setting.
    pub skipped: u64,
    /// Offsets that Kafka never delivers.
    pub absent: u64,
    /// Offsets and rows declared lost.
    pub lost: u64,
    /// Rows dropped in favour of an equal one.
    pub duplicates: u64,
}

impl TableState {
    /// Folds the next record.
    ///
    /// # Errors
    /// The record breaks a rule of the log; the state is then unchanged.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        let fail = |reason: String| ApplyError { seq: record.seq, reason };
        if record.format != FORMAT {
            return Err(fail(format!("its format is `{}`, not `{FORMAT}`", record.format)));
        }
        if record.seq != self.next_seq {
            return Err(fail(format!("the next record is `{}`", self.next_seq)));
        }
        rules::check(self, &record.published, &record.body).map_err(|refusal| fail(refusal.to_string()))?;
        self.fold(record);
        Ok(())
    }

    fn fold(&mut self, record: &Record) {
        for seq in &record.published {
            self.unpublished.remove(seq);
        }
        if record.files().next().is_some() {
            self.unpublished.insert(record.seq);
        }
        self.fold_body(record);
        self.sources.settle();
        self.closed_through = self.closes_now(self.closed_through);
        self.last_put_id = Some(record.put_id.clone());
        self.next_seq = Seq(record.seq.0 + 1);
    }

    fn fold_body(&mut self, record: &Record) {
        let by = record.seq;
        match &record.body {
            Body::Table(table) => self.table = Some(table.clone()),
            Body::Source(body) => self.fold_source(body),
            Body::Append(body) => self.fold_append(by, body),
            Body::Seal(body) => {
                let (window_start, revision, through) = (body.window_start, body.revision, body.through);
                let replaced =
                    self.windows.revise(&Revised { window_start, revision, through, by, lake_partitions: &body.lake_partitions });
                self.supersede(by, replaced);
                let first = body.lake_partitions.iter().map(|p| p.files.len()).sum::<usize>() as u32;
                for (entry, index) in body.duplicates.iter().zip(first..) {
                    self.duplicates.push(FileRef { seq: by, index }, entry.rows);
                }
                add(&mut self.totals.duplicates, body.duplicate_rows);
            }
            Body::Derive(body) => {
                let (window_start, revision) = (body.window_start, body.revision);
                let revised = Revised { window_start, revision, through: by, by, lake_partitions: &body.lake_partitions };
                let replaced = self.windows.derive(&revised, &body.inputs, &body.transform_sha256);
                self.supersede(by, replaced);
            }
            Body::Register(body) => {
                let full_before = self.registered.is_some_and(|r| r.full && r.shows == body.shows);
                self.registered = Some(Registered { shows: body.shows, by, full: body.full || full_before });
                self.confirm_superseded(by, body.shows, body.full);
            }
            Body::Vacuum(VacuumBody { files }) => {
                for file in files {
                    self.superseded.remove(file);
                }
                self.vacuumed = Some(by);
            }
            Body::Sweep(body) => self.swept_before = self.swept_before.max(Some(body.before)),
            Body::Flush(_) => self.flushed = Some(by),
            Body::Repair(body) => self.fold_repair(by, &body.action),
        }
    }

    fn fold_source(&mut self, body: &SourceBody) {
        for declaration in &body.sources {
            self.sources.declare(declaration);
        }
        for topic in &body.retired {
            self.sources.end(topic);
        }
    }

    fn fold_append(&mut self, by: Seq, body: &AppendBody) {
        for range in &body.ranges {
            self.sources.take(range);
            add(&mut self.totals.rows, range.rows);
            add(&mut self.totals.quarantined, range.quarantined);
            add(&mut self.totals.skipped, range.skipped);
            add(&mut self.totals.absent, range.absent);
        }
        for (entry, index) in body.files.iter().zip(0..) {
            self.windows.append(entry, FileRef { seq: by, index });
            add(&mut self.totals.late_rows, if entry.late { entry.rows } else { 0 });
        }
        for (entry, index) in body.quarantine.iter().zip(body.files.len() as u32..) {
            self.quarantine.push(FileRef { seq: by, index }, entry.rows);
        }
    }

    fn fold_repair(&mut self, by: Seq, action: &RepairAction) {
        match action {
            RepairAction::Gap { source, range } => {
                self.sources.skip_to(source, range.end);
                add(&mut self.totals.lost, range.end.0.abs_diff(range.start.0));
            }
            RepairAction::Restart { source, .. } => {
                self.sources.end(&source.topic);
                self.sources.declare(source);
            }
            RepairAction::Refile { lost, files } => {
                for &file in lost {
                    self.forget(by, file);
                }
                let layout = self.layout(&TableName(String::new()));
                for (entry, index) in files.iter().zip(0..) {
                    let file = FileRef { seq: by, index };
                    match layout.as_ref().and_then(|layout| layout.parse_in_any_table(&entry.key)) {
                        Some(Key::Quarantine { .. }) => self.quarantine.push(file, entry.rows),
                        Some(Key::Duplicates { .. }) => self.duplicates.push(file, entry.rows),
                        _ => self.windows.append(entry, file),
                    }
                }
            }
            RepairAction::Lost { lost } => {
                for &file in lost {
                    let rows = self.forget(by, file);
                    add(&mut self.totals.lost, rows);
                }
            }
        }
    }

    /// Takes a lost file out of the state. The rows that were in the lake only in it: those of a list of duplicates are in other files.
    fn forget(&mut self, by: Seq, file: FileRef) -> u64 {
        let rows = self.windows.remove(file, by).or_else(|| self.quarantine.remove(file));
        rows.unwrap_or_else(|| {
            self.duplicates.remove(file);
            0
        })
    }

    fn supersede(&mut self, by: Seq, replaced: Vec<FileRef>) {
        let entry = Superseded { by, shown_by: None, confirmed_by: None };
        self.superseded.extend(replaced.into_iter().map(|file| (file, entry)));
    }

    /// A `register`: the first one shows a newer revision; one after a full comparison on a fold with that first one confirms it. The seq of
    /// the record alone says nothing on when the comparison was made (docs/adr/0020).
    fn confirm_superseded(&mut self, register: Seq, shows: Seq, full: bool) {
        for entry in self.superseded.values_mut().filter(|entry| entry.by <= shows) {
            if entry.shown_by.is_none() {
                entry.shown_by = Some(register);
            } else if full && Some(shows) >= entry.shown_by && entry.confirmed_by.is_none() {
                entry.confirmed_by = Some(register);
            }
        }
    }

    /// Windows that end here or before are closed now, if those up to `before` were.
    fn closes_now(&self, before: Option<Time>) -> Option<Time> {
        let lateness = self.table.as_ref()?.settings.allowed_lateness;
        windowing::closed_through(before, self.sources.watermark(), lateness)
    }
}

/// Sums saturate: what they count comes from files that others wrote.
fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

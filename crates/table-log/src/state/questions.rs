//! What can be asked of a fold.
use super::{Registered, SourceState, Superseded, TableState, Totals, WindowState};
use crate::key::{DataFolder, Layout};
use crate::planted::{Bug, is_planted};
use crate::{FileRef, LakePartition, Offset, PutId, Seq, SourcePartition, TableName};
use std::collections::BTreeSet;
use windowing::{Time, Watermark};

impl TableState {
    /// How keys of this table are laid out; `None` before the first `table` record.
    pub fn layout(&self, table: &TableName) -> Option<Layout> {
        let settings = &self.table.as_ref()?.settings;
        Some(Layout { table: table.clone(), window: settings.window, partition_by: settings.partition_by.clone() })
    }

    /// The `put_id` of the newest record: a committer that starts from a checkpoint knows its own record by it.
    pub fn last_put_id(&self) -> Option<&PutId> {
        self.last_put_id.as_ref()
    }

    /// The seq of the newest record, which files staged on this state carry in their names; `None` for an empty log.
    pub fn newest_seq(&self) -> Option<Seq> {
        self.next_seq.0.checked_sub(1).map(Seq)
    }

    /// The current (not ended) generation of a topic.
    pub fn current_source(&self, topic: &str) -> Option<(u32, &SourceState)> {
        self.sources.newest(topic).filter(|(_, source)| !source.ended)
    }

    /// All declared generations.
    pub fn sources(&self) -> impl Iterator<Item = (&str, u32, &SourceState)> {
        self.sources.iter()
    }

    /// First offset not yet taken.
    pub fn next_offset(&self, source: &SourcePartition) -> Option<Offset> {
        self.sources.get(source).map(|(_, partition)| partition.next_offset)
    }

    /// The table's watermark.
    pub fn watermark(&self) -> Watermark {
        self.sources.watermark()
    }

    /// Windows that end here or before are closed; `None` while none is.
    pub fn closed_through(&self) -> Option<Time> {
        if is_planted(Bug::ClosedUndoneBySettings) { self.closes_now(None) } else { self.closed_through }
    }

    /// Closed is for good: kept in the state, never undone by new settings.
    pub fn is_closed(&self, window_start: Time) -> bool {
        self.table.as_ref().is_some_and(|table| table.settings.window.is_closed(window_start, self.closed_through()))
    }

    /// Windows with files or revisions: (window_start, current revision: 0 while open or unsealed, closed). A derived window is complete with
    /// its first revision.
    pub fn windows(&self) -> impl Iterator<Item = (Time, u32, bool)> {
        self.windows.iter().map(|(start, window)| (start, window.revision, window.revision > 0 || self.is_closed(start)))
    }

    /// One window that has files or a revision.
    pub fn window(&self, window_start: Time) -> Option<&WindowState> {
        self.windows.get(window_start)
    }

    /// Live data files: per lake partition with its revision (0: the open files). Late and superseded files are not live; a lake partition
    /// with late files only is not shown before its first revision. A revision may be without files.
    pub fn live_files(&self) -> impl Iterator<Item = (&LakePartition, u32, &[FileRef])> {
        let shown = self.windows.lake_partitions().filter(|(_, state)| state.revision > 0 || !state.live.is_empty());
        shown.map(|(lake_partition, state)| (lake_partition, state.revision, state.live.refs()))
    }

    /// Late files waiting for the next revision.
    pub fn late_files(&self) -> impl Iterator<Item = (&LakePartition, &[FileRef])> {
        let waiting = self.windows.lake_partitions().filter(|(_, state)| !state.late.is_empty());
        waiting.map(|(lake_partition, state)| (lake_partition, state.late.refs()))
    }

    /// Quarantine files.
    pub fn quarantine_files(&self) -> &[FileRef] {
        self.quarantine.refs()
    }

    /// Files that name dropped rows and the rows kept.
    pub fn duplicates_files(&self) -> &[FileRef] {
        self.duplicates.refs()
    }

    /// Replaced files that are not vacuumed.
    pub fn superseded_files(&self) -> impl Iterator<Item = (FileRef, Superseded)> + '_ {
        self.superseded.iter().map(|(file, entry)| (*file, *entry))
    }

    /// Whether a catalog shows the table; without one readers follow the log.
    pub fn has_catalog(&self) -> bool {
        self.table.as_ref().is_some_and(|table| !table.settings.catalog.is_none())
    }

    /// Superseded files that a `vacuum` may name, each with the record from whose time in the store on it is retained: the first `register` that
    /// showed its successor, or without a catalog the record that superseded it.
    ///
    /// `seen`: records whose files the caller has seen in place, which its next record will say.
    pub fn vacuumable<'a>(&'a self, seen: &'a BTreeSet<Seq>) -> impl Iterator<Item = (FileRef, Seq)> + 'a {
        let has_catalog = self.has_catalog();
        let published = |seq: Seq| !self.unpublished.contains(&seq) || seen.contains(&seq);
        self.superseded.iter().filter(move |(file, _)| published(file.seq)).filter_map(move |(file, entry)| {
            let since = match has_catalog {
                true => entry.confirmed_by.and(entry.shown_by),
                false => published(entry.by).then_some(entry.by),
            };
            Some((*file, since?))
        })
    }

    /// Whether the state still needs this file: live, late, in quarantine, a list of duplicates, or superseded and not vacuumed.
    pub fn names_file(&self, file: FileRef) -> bool {
        self.folder_of(file).is_some() || self.superseded.contains_key(&file)
    }

    /// All files that the state still needs (see [`TableState::names_file`]).
    pub fn named_files(&self) -> impl Iterator<Item = FileRef> + '_ {
        let data = self.windows.lake_partitions().flat_map(|(_, state)| state.live.refs().iter().chain(state.late.refs()));
        let apart = self.quarantine.refs().iter().chain(self.duplicates.refs()).chain(self.superseded.keys());
        data.chain(apart).copied()
    }

    /// Rows that a reader of the catalog may see of a window: those of its live files.
    pub fn visible_rows(&self, window_start: Time) -> u64 {
        self.windows.of_window(window_start).map(|(_, state)| state.live.rows_where(|_| true)).fold(0, u64::saturating_add)
    }

    /// Rows of a window that wait in `late/` for its next revision.
    pub fn late_rows(&self, window_start: Time) -> u64 {
        self.windows.of_window(window_start).map(|(_, state)| state.late.rows_where(|_| true)).fold(0, u64::saturating_add)
    }

    /// Records with files that no `published` names yet.
    pub fn unpublished(&self) -> &BTreeSet<Seq> {
        &self.unpublished
    }

    /// Files staged on a state older than this can no longer be committed.
    pub fn swept_before(&self) -> Option<Seq> {
        self.swept_before
    }

    /// What the catalog shows.
    pub fn registered(&self) -> Option<Registered> {
        self.registered
    }

    /// The newest `flush`.
    pub fn flushed(&self) -> Option<Seq> {
        self.flushed
    }

    /// The newest `vacuum`: its deletions may be under way.
    pub fn vacuumed(&self) -> Option<Seq> {
        self.vacuumed
    }

    /// Sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Where a file that is not superseded stands, with its lake partition (data files only) and rows.
    pub(crate) fn folder_of(&self, file: FileRef) -> Option<(Place, u64)> {
        if let Some((lake_partition, state)) = self.windows.find(file) {
            let live = state.live.rows_of(file);
            let folder = match state.revision {
                _ if live.is_none() => DataFolder::Late,
                0 => DataFolder::Open,
                revision => DataFolder::Revision(revision),
            };
            return Some((Place::Data(lake_partition.clone(), folder), live.or_else(|| state.late.rows_of(file))?));
        }
        let in_quarantine = self.quarantine.rows_of(file).map(|rows| (Place::Quarantine, rows));
        in_quarantine.or_else(|| self.duplicates.rows_of(file).map(|rows| (Place::Duplicates, rows)))
    }
}

/// Where a file stands in the lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Data(LakePartition, DataFolder),
    Quarantine,
    Duplicates,
}

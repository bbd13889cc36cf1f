//! The files of named revisions.
use crate::error::SealerError;
use lake_query::transform::InputFile;
use lake_store::TableLog;
use std::collections::BTreeMap;
use table_log::key::{DataFolder, Key, Layout};
use table_log::planted::{Bug, is_planted};
use table_log::record::{DeriveInput, FileEntry, RepairAction};
use table_log::{Body, FileRef, LakePartition, Record, Seq, TableState};
use windowing::Time;

/// Files by their place in the log.
type Files = BTreeMap<FileRef, FileEntry>;

/// The files of the named revisions of a table's windows, in a stable order. `None`: a revision is not, or no longer, to be had.
///
/// `state` is the one on which the revisions were named. Revisions older than it has are looked for in the log.
///
/// # Errors
/// The log cannot be read.
pub async fn named_files(log: &TableLog, state: &TableState, inputs: &[DeriveInput]) -> Result<Option<Vec<InputFile>>, SealerError> {
    // The planted bug: whatever the source has by now.
    let newest = is_planted(Bug::DeriveReadsOtherRevisions).then(|| log.state());
    let state = newest.as_deref().unwrap_or(state);
    let named = inputs.iter().filter(|input| input.revision > 0).map(|input| (input.window_start, input.revision));
    let is_current =
        |start: &Time, revision: &mut u32| newest.is_some() || state.window(*start).is_some_and(|window| window.revision == *revision);
    let mut past: BTreeMap<Time, u32> = named.collect();
    let current: BTreeMap<Time, u32> = past.extract_if(.., is_current).collect();
    let live = state.live_files().filter(|(lake_partition, ..)| current.contains_key(&lake_partition.window_start));
    let refs: Vec<FileRef> = live.flat_map(|(_, _, refs)| refs.iter().copied()).collect();
    let Some(mut files) = past_revisions(log, state, &past).await? else { return Ok(None) };
    let entries = log.files(&refs).await?;
    files.extend(refs.into_iter().zip(entries));
    Ok(Some(files.into_iter().map(|(file, entry)| InputFile { seq: file.seq, entry }).collect()))
}

/// The files of revisions, by their windows, that newer ones replaced: the log from its beginning tells. `None`: one is not there.
async fn past_revisions(log: &TableLog, state: &TableState, wanted: &BTreeMap<Time, u32>) -> Result<Option<Files>, SealerError> {
    let Some(layout) = state.layout(log.table()).filter(|_| !wanted.is_empty()) else {
        return Ok(wanted.is_empty().then(Files::new));
    };
    let replay = |start: &Time| Replay { window_start: *start, revision: 0, ended: false, lake_partitions: BTreeMap::new() };
    let mut replays: BTreeMap<Time, Replay> = wanted.keys().map(|start| (*start, replay(start))).collect();
    for seq in 0..state.next_seq.0 {
        let record = log.record(Seq(seq)).await?;
        for (start, revision) in wanted {
            let Some(replay) = replays.get_mut(start) else { continue };
            // What comes after the revision may repair it, up to the next one.
            replay.ended |= replay.revision == *revision && replay.next_revision(&record).is_some();
            if !replay.ended {
                replay.take(&record, &layout);
            }
        }
    }
    let found = wanted.iter().all(|(start, revision)| replays.get(start).is_some_and(|replay| replay.revision == *revision));
    Ok(found.then(|| replays.into_values().flat_map(|replay| replay.lake_partitions.into_values().flatten()).collect()))
}

/// The revisions of one window, record by record.
struct Replay {
    window_start: Time,
    revision: u32,
    /// The next revision replaced it.
    ended: bool,
    lake_partitions: BTreeMap<LakePartition, Files>,
}

impl Replay {
    /// The revision of this window that a record makes.
    fn next_revision(&self, record: &Record) -> Option<u32> {
        match &record.body {
            Body::Seal(body) if body.window_start == self.window_start => Some(body.revision),
            Body::Derive(body) if body.window_start == self.window_start => Some(body.revision),
            _ => None,
        }
    }

    fn take(&mut self, record: &Record, layout: &Layout) {
        match &record.body {
            Body::Seal(body) if body.window_start == self.window_start => {
                self.revision = body.revision;
                for revised in &body.lake_partitions {
                    self.lake_partitions.insert(revised.lake_partition.clone(), Files::new());
                }
                self.add(record, layout);
            }
            Body::Derive(body) if body.window_start == self.window_start => {
                self.revision = body.revision;
                self.lake_partitions.clear();
                self.add(record, layout);
            }
            Body::Repair(body) => {
                if let RepairAction::Refile { lost, .. } | RepairAction::Lost { lost } = &body.action {
                    self.lake_partitions.values_mut().for_each(|files| files.retain(|file, _| !lost.contains(file)));
                }
                self.add(record, layout);
            }
            _ => {}
        }
    }

    /// Adds the record's files of revisions of this window.
    fn add(&mut self, record: &Record, layout: &Layout) {
        for (index, entry) in (0..).zip(record.files()) {
            let of_revision = matches!(layout.parse(&entry.key), Some(Key::Data { folder: DataFolder::Revision(_), .. }));
            if of_revision && entry.lake_partition.window_start == self.window_start {
                let files = self.lake_partitions.entry(entry.lake_partition.clone()).or_default();
                files.insert(FileRef { seq: record.seq, index }, entry.clone());
            }
        }
    }
}

//! What a window's next revision is made from.
use crate::error::SealerError;
use lake_store::TableLog;
use std::collections::{BTreeMap, BTreeSet};
use table_log::record::FileEntry;
use table_log::{FileRef, LakePartition, Seq, TableState};
use windowing::Time;

/// A window's next revision.
#[derive(Clone, Debug)]
pub struct RevisionInputs {
    /// The revision to make.
    pub revision: u32,
    /// Everything up to this seq is in it.
    pub through: Seq,
    /// The lake partitions that change, each with its files.
    pub lake_partitions: Vec<(LakePartition, Vec<FileEntry>)>,
}

/// Reads from the log what the next revision of a window is made from: of revision 1 all lake partitions with all their files, later of those
/// with late rows. Files that nobody published yet are published.
///
/// # Errors
/// The log cannot be read; nothing is new any more.
pub async fn of_window(log: &TableLog, state: &TableState, window_start: Time) -> Result<RevisionInputs, SealerError> {
    let mut files: BTreeMap<&LakePartition, Vec<FileRef>> = BTreeMap::new();
    let mut changed: BTreeSet<&LakePartition> = BTreeSet::new();
    for (lake_partition, revision, live) in state.live_files().filter(|(partition, ..)| partition.window_start == window_start) {
        files.entry(lake_partition).or_default().extend(live);
        if revision == 0 {
            changed.insert(lake_partition);
        }
    }
    for (lake_partition, late) in state.late_files().filter(|(partition, _)| partition.window_start == window_start) {
        files.entry(lake_partition).or_default().extend(late);
        changed.insert(lake_partition);
    }
    let through = state.newest_seq().ok_or_else(|| SealerError::bug("read inputs", "the log is empty"))?;
    if changed.is_empty() {
        return Err(SealerError::Overtaken(format!("window `{window_start}` has nothing new")));
    }
    let mut lake_partitions = Vec::new();
    for (lake_partition, refs) in files.into_iter().filter(|(partition, _)| changed.contains(partition)) {
        publish(log, state, &refs).await?;
        lake_partitions.push((lake_partition.clone(), log.files(&refs).await?));
    }
    let revision = state.window(window_start).map_or(0, |window| window.revision) + 1;
    Ok(RevisionInputs { revision, through, lake_partitions })
}

/// Their writers may have ended before they published them.
async fn publish(log: &TableLog, state: &TableState, files: &[FileRef]) -> Result<(), SealerError> {
    let seen = log.seen_published();
    let seqs: BTreeSet<Seq> = files.iter().map(|file| file.seq).collect();
    for seq in seqs.into_iter().filter(|seq| state.unpublished().contains(seq) && !seen.contains(seq)) {
        log.publish(&*log.record(seq).await?).await?;
    }
    Ok(())
}

/// Why a revision made from `state` is no longer wanted, if it is not: the window has another one, or its files were repaired.
pub fn overtaken(state: &TableState, now: &TableState, window_start: Time) -> Option<String> {
    let of = |state: &TableState| state.window(window_start).map(|window| (window.revision, window.repaired_by));
    let (before, after) = (of(state), of(now));
    (before != after)
        .then(|| format!("window `{window_start}` has revision `{}` by now, or was repaired", after.map_or(0, |(revision, _)| revision)))
}

//! Deletes superseded files: first the record that says so, then the deletion, which anyone may repeat.
//!
//! The newest `vacuum` of a log may have been cut off by a crash. Whoever proposes the next one repeats its deletions first, so all older ones are
//! complete.
pub mod sweep;

use crate::error::SealerError;
use crate::propose::{Proposed, propose};
use crate::retry;
use crate::store_time::StoreTimes;
use futures::{StreamExt, TryStreamExt};
use lake_store::TableLog;
use service_runtime::fail_point;
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use table_log::record::VacuumBody;
use table_log::{Body, FileRef, Seq, TableState};
use tokio::time::Instant;

/// Files of one record: a bound on its size and on what is deleted before others get their turn.
const FILES_PER_RECORD: usize = 1_000;
/// Deletions under way at once.
const PARALLEL_DELETIONS: usize = 16;

/// What a process remembers between two rounds of upkeep.
#[derive(Debug, Default)]
pub struct Keeper {
    /// The newest `vacuum` whose deletions this process knows to be complete.
    deleted: Option<Seq>,
    /// When staged files were listed last.
    listed: Option<Instant>,
}

/// Superseded files by the record from whose time on they are retained, ascending, as far as the log allows their deletion.
pub fn retained(log: &TableLog, state: &TableState) -> BTreeMap<Seq, Vec<FileRef>> {
    let mut since: BTreeMap<Seq, Vec<FileRef>> = BTreeMap::new();
    for (file, seq) in state.vacuumable(&log.seen_published()) {
        since.entry(seq).or_default().push(file);
    }
    since
}

/// Files whose time is over: those of records up to `old`, the oldest first. Pure.
pub fn due_files(retained: &BTreeMap<Seq, Vec<FileRef>>, old: Option<Seq>) -> Vec<FileRef> {
    let Some(old) = old else { return Vec::new() };
    retained.range(..=old).flat_map(|(_, files)| files.iter().copied()).collect()
}

/// The newest record of `retained` that the store has had for `retain`: times grow with seqs, so the first young one ends the search.
///
/// # Errors
/// Trouble of the store that lasts.
pub async fn newest_old(
    retained: &BTreeMap<Seq, Vec<FileRef>>,
    times: &mut StoreTimes,
    retain: Duration,
) -> Result<Option<Seq>, SealerError> {
    let mut old = None;
    for &seq in retained.keys() {
        if times.age(seq).await? < retain {
            break;
        }
        old = Some(seq);
    }
    Ok(old)
}

/// One round: completes the newest `vacuum` if a crash may have cut it off, then names what is due and deletes it. Returns the files deleted.
///
/// # Errors
/// The log or the store does not answer; the process is stopping.
pub async fn run(
    log: &TableLog,
    times: &mut StoreTimes,
    keeper: &mut Keeper,
    (retain, shutdown): (Duration, &Shutdown),
) -> Result<usize, SealerError> {
    let state = log.state();
    complete(log, &state, keeper).await?;
    let retained = retained(log, &state);
    let old = newest_old(&retained, times, retain).await?;
    let mut files = due_files(&retained, old);
    files.truncate(FILES_PER_RECORD);
    if files.is_empty() {
        return Ok(0);
    }
    match propose(log, Body::Vacuum(VacuumBody { files: files.clone() }), &[], shutdown).await? {
        Proposed::Committed(record) => {
            delete(log, &files).await?;
            keeper.deleted = Some(record.seq);
            tracing::info!(table = log.table().0, files = files.len(), seq = record.seq.0, "superseded files are deleted");
            Ok(files.len())
        }
        Proposed::Lost(why) => Err(SealerError::Overtaken(why)),
    }
}

/// Deletes again what the newest `vacuum` names, unless this process has done so.
async fn complete(log: &TableLog, state: &TableState, keeper: &mut Keeper) -> Result<(), SealerError> {
    let Some(newest) = state.vacuumed().filter(|seq| keeper.deleted < Some(*seq)) else { return Ok(()) };
    if let Body::Vacuum(body) = &log.record(newest).await?.body {
        delete(log, &body.files).await?;
    }
    keeper.deleted = Some(newest);
    Ok(())
}

async fn delete(log: &TableLog, files: &[FileRef]) -> Result<(), SealerError> {
    let entries = log.files(files).await?;
    fail_point!("sealer-before-delete");
    let deletions = entries.iter().map(|entry| {
        let store = Arc::clone(log.store());
        async move { retry::repeat("delete file", || store.delete(&entry.key)).await }
    });
    futures::stream::iter(deletions.collect::<Vec<_>>()).buffer_unordered(PARALLEL_DELETIONS).try_collect::<()>().await?;
    fail_point!("sealer-after-delete");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_old_records_are_due_and_the_oldest_come_first() {
        let file = |seq, index| FileRef { seq: Seq(seq), index };
        let retained = BTreeMap::from([(Seq(9), vec![file(3, 0)]), (Seq(5), vec![file(2, 1), file(4, 0)])]);
        assert_eq!(due_files(&retained, None), []);
        assert_eq!(due_files(&retained, Some(Seq(4))), []);
        assert_eq!(due_files(&retained, Some(Seq(8))), [file(2, 1), file(4, 0)]);
        assert_eq!(due_files(&retained, Some(Seq(9))), [file(2, 1), file(4, 0), file(3, 0)]);
    }
}

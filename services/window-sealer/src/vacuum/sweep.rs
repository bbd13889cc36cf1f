//! Discards staged files that nobody will commit. A `sweep` record comes first: from then on the log refuses every proposal with a file that was
//! staged on a state older than its limit, so what is older and in no record stays so.
use super::Keeper;
use crate::error::SealerError;
use crate::propose::{Proposed, propose};
use crate::retry;
use crate::store_time::StoreTimes;
use lake_store::{StagedObject, TableLog};
use service_runtime::fail_point;
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use table_log::key::{Key, Layout};
use table_log::record::SweepBody;
use table_log::{Body, Seq, TableState};
use tokio::time::Instant;

/// Stagings that are looked at in one round.
const LISTED: usize = 10_000;
/// Longest and shortest time between two rounds; between them a part of the orphan age.
const ROUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

/// A limit of a sweep: the seq and the store's time of its record.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Files staged on a state older than this are swept.
    pub before: Seq,
    /// Whatever was written last before this was staged on an older state: the record did not exist yet.
    pub at: SystemTime,
}

/// Whether a staging belongs to nobody: it began before the limit's record existed, and no record names it. Pure.
pub fn is_orphan(staged: &StagedObject, limit: Limit, layout: &Layout, named: &BTreeSet<String>) -> bool {
    let base = staged.key.as_ref().and_then(|key| match layout.parse(key)? {
        Key::Data { base, .. } | Key::Duplicates { base, .. } | Key::Quarantine { base, .. } => Some(base),
        _ => None,
    });
    let is_older = match base {
        Some(base) => base < limit.before,
        None => staged.modified < limit.at,
    };
    is_older && !named.contains(&staged.upload.token)
}

/// One round, if it is time for one. Returns the files discarded.
///
/// # Errors
/// The log or the store does not answer; the process is stopping.
pub async fn run(
    log: &TableLog,
    times: &mut StoreTimes,
    keeper: &mut Keeper,
    (age, shutdown): (Duration, &Shutdown),
) -> Result<usize, SealerError> {
    let period = (age / 24).clamp(*ROUNDS.start(), *ROUNDS.end());
    if keeper.listed.is_some_and(|listed| listed.elapsed() < period) {
        return Ok(0);
    }
    // Listed before the fold: what is staged later is not looked at.
    let table = log.table().0.clone();
    let staged = retry::repeat("list staged files", || log.store().list_staged(&table, LISTED)).await?;
    keeper.listed = Some(Instant::now());
    if staged.is_empty() {
        return Ok(0);
    }
    let state = log.refresh().await?;
    let Some(old) = times.newest_older_than(state.next_seq, age).await? else { return Ok(0) };
    let limit = Limit { before: old, at: times.of(old).await? };
    if orphans(log, &state, &staged, limit).await?.is_empty() {
        return Ok(0);
    }
    if state.swept_before() < Some(old)
        && let Proposed::Lost(why) = propose(log, Body::Sweep(SweepBody { before: old }), &[], shutdown).await?
    {
        tracing::debug!(table, why, "another process swept");
    }
    // A record may have come between the first look and the sweep: what it names is no orphan.
    let state = log.refresh().await?;
    let Some(before) = state.swept_before() else { return Ok(0) };
    let limit = Limit { before: before.min(old), ..limit };
    let orphans = orphans(log, &state, &staged, limit).await?;
    fail_point!("sealer-before-discard");
    for orphan in &orphans {
        let key = orphan.key.clone().unwrap_or_else(|| format!("{table}/{}", orphan.upload.token));
        let store = Arc::clone(log.store());
        retry::repeat("discard staged file", || store.discard(&key, &orphan.upload)).await?;
    }
    fail_point!("sealer-after-discard");
    tracing::info!(table, files = orphans.len(), before = limit.before.0, "staged files of nobody are discarded");
    Ok(orphans.len())
}

async fn orphans<'a>(
    log: &TableLog,
    state: &TableState,
    staged: &'a [StagedObject],
    limit: Limit,
) -> Result<Vec<&'a StagedObject>, SealerError> {
    let Some(layout) = state.layout(log.table()) else { return Ok(Vec::new()) };
    // A staging of a published record is no more, so only the others can name one.
    let mut named = BTreeSet::new();
    for &seq in state.unpublished() {
        named.extend(log.record(seq).await?.files().map(|file| file.upload.token.clone()));
    }
    Ok(staged.iter().filter(|staged| is_orphan(staged, limit, &layout, &named)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use table_log::record::Upload;
    use table_log::{LakePartition, TableName};
    use windowing::{Time, WindowSize};

    #[test]
    fn what_a_record_names_or_what_is_young_is_no_orphan() {
        let layout = Layout { table: TableName("t".into()), window: WindowSize::HOUR, partition_by: Vec::new() };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let limit = Limit { before: Seq(5), at };
        let staged = |base: Option<u64>, seconds: u64| {
            let lake_partition = LakePartition { window_start: Time(0), values: Vec::new() };
            let key = |base| layout.path(&Key::Duplicates { lake_partition, base: Seq(base), staging: "x".into() });
            let upload = Upload { token: "token".into(), id: String::new(), parts: Vec::new() };
            StagedObject { key: base.map(key), upload, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) }
        };
        let (nobody, somebody) = (BTreeSet::new(), BTreeSet::from(["token".to_owned()]));
        for (staging, expected) in [
            (staged(Some(4), 0), true),
            (staged(Some(4), 1_000), true),
            (staged(Some(5), 0), false),
            (staged(None, 99), true),
            (staged(None, 100), false),
        ] {
            assert_eq!(is_orphan(&staging, limit, &layout, &nobody), expected, "{staging:?}");
            assert!(!is_orphan(&staging, limit, &layout, &somebody), "{staging:?}");
        }
    }
}

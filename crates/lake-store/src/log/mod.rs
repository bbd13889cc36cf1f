//! The log client of one table: fold, commit loop, publish, caches.
//!
//! # Protocol
//! A record is committed when the object `<table>/_log/<seq>.json` exists. To commit: fold to the tail, plan, create at tail + 1 without
//! replacing. If the slot is taken, the record in it is read: with the same `put_id` it is ours and only the reply was lost, else it is folded
//! and the proposal planned again. While the outcome of a create is unknown, the same object is tried again until the slot is seen
//! occupied; nothing else may be concluded before. Files become visible after their record ([`TableLog::publish`]).
//!
//! # Files of a proposal
//! | outcome | its staged files |
//! |---|---|
//! | [`CommitOutcome::Committed`] | publish |
//! | [`CommitOutcome::Fenced`], [`CommitOutcome::Stale`], [`CommitOutcome::AlreadyDone`] | discard: no request of theirs is under way |
//! | [`CommitOutcome::Abandoned`], any error, a dropped future | leave: a late request may still commit them; the sweeper finds them |
//!
//! Everything under `_log/checkpoint/` and `_log/segment/` is a cache and may be deleted at any time.
mod cache;
mod checkpoint;
mod commit;
mod error;
mod fold;
mod object;
mod options;
mod publish;
mod retry;
mod segment;

pub use commit::CommitOutcome;
pub use error::TableLogError;
pub use options::TableLogOptions;

use crate::{LakeStore, StoreError};
use cache::RecordCache;
use publish::Watch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use retry::RetryPolicy;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use table_log::key::{Key, log_path};
use table_log::record::FileEntry;
use table_log::{FileRef, Record, Seq, TableName, TableState};

/// A process whose clock is further off the store's is not ready: event times are compared with it.
pub(crate) const CLOCK_SKEW_SECONDS: f64 = 60.0;
/// Requests of one client under way at once when many objects are read or published.
const PARALLEL_REQUESTS: usize = 16;

/// A table's log. Cheap to clone; clones share the fold, and their commits take turns.
#[derive(Clone, Debug)]
pub struct TableLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn LakeStore>,
    table: TableName,
    options: TableLogOptions,
    retry: RetryPolicy,
    ids: Mutex<ChaCha8Rng>,
    state: Mutex<Arc<TableState>>,
    folding: tokio::sync::Mutex<()>,
    committing: tokio::sync::Mutex<()>,
    maintaining: tokio::sync::Mutex<Caches>,
    records: Mutex<RecordCache>,
    /// Segments that were asked for and did not exist.
    absent_segments: tokio::sync::Mutex<BTreeSet<Seq>>,
    watch: Mutex<Watch>,
}

/// What this client knows of the caches in the store.
#[derive(Debug, Default)]
struct Caches {
    /// Newest checkpoint that this client loaded or wrote.
    checkpoint: Option<Seq>,
    /// Segments up to here exist or were tried.
    segments_to: Option<Seq>,
}

/// Locks that hold plain data: a panic elsewhere leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TableLog {
    /// Opens and folds to the tail (from the newest checkpoint that fits the log). A table without records is an empty state.
    ///
    /// Errors: store trouble that outlasts the retries; an unreadable or broken log, one with a hole at its tail too.
    pub async fn open(store: Arc<dyn LakeStore>, table: TableName, options: TableLogOptions) -> Result<Self, TableLogError> {
        let mut seeds = match options.seed {
            Some(seed) => ChaCha8Rng::seed_from_u64(seed),
            None => ChaCha8Rng::from_os_rng(),
        };
        let retry = RetryPolicy {
            request_timeout: options.request_timeout,
            retry_for: options.retry_for,
            jitter: Mutex::new(ChaCha8Rng::from_rng(&mut seeds)),
        };
        let records = Mutex::new(RecordCache::new(options.record_cache_bytes));
        let shared = Shared {
            store,
            table,
            options,
            retry,
            ids: Mutex::new(seeds),
            state: Mutex::default(),
            folding: tokio::sync::Mutex::default(),
            committing: tokio::sync::Mutex::default(),
            maintaining: tokio::sync::Mutex::default(),
            records,
            absent_segments: tokio::sync::Mutex::default(),
            watch: Mutex::default(),
        };
        let log = Self { shared: Arc::new(shared) };
        log.load_checkpoint().await?;
        log.refresh().await?;
        log.check_for_hole().await?;
        Ok(log)
    }

    /// The table.
    pub fn table(&self) -> &TableName {
        &self.shared.table
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn LakeStore> {
        &self.shared.store
    }

    /// Whether this client never writes.
    pub fn is_read_only(&self) -> bool {
        self.shared.options.read_only
    }

    /// The newest state that this client has seen.
    pub fn state(&self) -> Arc<TableState> {
        Arc::clone(&lock(&self.shared.state))
    }

    /// Folds what others appended; returns the state at the tail. Writes a checkpoint when one is due.
    ///
    /// Errors: store trouble that outlasts the retries, a broken or unreadable record.
    pub async fn refresh(&self) -> Result<Arc<TableState>, TableLogError> {
        let state = self.fold_to_tail().await?;
        self.maintain(&state).await;
        Ok(state)
    }

    /// Seqs whose files this client has seen in place but that no record's `published` names yet.
    pub fn seen_published(&self) -> BTreeSet<Seq> {
        lock(&self.shared.watch).published().clone()
    }

    /// Compares this machine's clock with the store's.
    ///
    /// Errors: `ClockSkew` if they differ by more than 60 s beyond the measurement's uncertainty.
    pub async fn clock_check(&self) -> Result<(), TableLogError> {
        let measured = self.shared.retry.repeat("clock_offset", self.table().0.as_str(), || self.shared.store.clock_offset()).await;
        let (offset_seconds, uncertainty) = measured?;
        if offset_seconds.abs() - uncertainty.as_secs_f64() > CLOCK_SKEW_SECONDS {
            return Err(TableLogError::ClockSkew { offset_seconds });
        }
        Ok(())
    }

    /// Resolves file references to entries, in the given order. Errors: as [`TableLog::record`]; a reference beyond its record's files.
    pub async fn files(&self, refs: &[FileRef]) -> Result<Vec<FileEntry>, TableLogError> {
        use futures::{StreamExt, TryStreamExt};
        let seqs: BTreeSet<Seq> = refs.iter().map(|reference| reference.seq).collect();
        let read = futures::stream::iter(seqs).map(|seq| async move { self.record(seq).await.map(|record| (seq, record)) });
        let records: std::collections::BTreeMap<Seq, Arc<Record>> = read.buffered(PARALLEL_REQUESTS).try_collect().await?;
        let entries = refs.iter().map(|reference| {
            let found = records.get(&reference.seq).and_then(|record| record.files().nth(reference.index as usize));
            found.cloned().ok_or_else(|| TableLogError::Unreadable {
                key: self.record_key(reference.seq),
                detail: format!("it has no file of index {}", reference.index),
            })
        });
        entries.collect()
    }

    fn record_key(&self, seq: Seq) -> String {
        self.path(&Key::Record(seq))
    }

    fn path(&self, key: &Key) -> String {
        log_path(&self.shared.table, key)
    }

    async fn get(&self, key: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        self.shared.retry.repeat("get", key, || self.shared.store.get(key, None)).await
    }

    fn fail_point(&self, name: &'static str) {
        (self.shared.options.fail_point)(name);
    }
}

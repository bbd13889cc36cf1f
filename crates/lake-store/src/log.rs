//! STUB. The log client: fold, commit loop, publish, checkpoints.
use crate::{LakeStore, StoreError};
use std::sync::Arc;
use std::time::Duration;
use table_log::{ApplyError, Body, Fenced, FileRef, Record, Seq, Stale, TableName, TableState, record::FileEntry};

/// Settings of the client.
#[derive(Clone, Debug)]
pub struct TableLogOptions {
    /// Instance name for records.
    pub writer: String,
    /// Publish a record of another that no `published` names after this (10 s).
    pub help_after: Duration,
    /// Read-only clients never write: no checkpoints, no publishing.
    pub read_only: bool,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitOutcome {
    /// The record exists; its files are published next by [`TableLog::publish`].
    Committed(Arc<Record>),
    /// See [`Fenced`]. The proposal's files were not committed and never will be: discard them.
    Fenced(Fenced),
    /// See [`Stale`]. Files: as for `Fenced`.
    Stale(Stale),
    /// Somebody did the same.
    AlreadyDone,
    /// Walked away from an unknown outcome (`give_up` fired): leave the staged files, they may still be committed.
    Abandoned,
}

/// Errors of the client.
#[derive(Debug, thiserror::Error)]
pub enum TableLogError {
    /// Store trouble that outlasted the retries.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is broken.
    #[error("record {} of table `{table}` cannot be folded: {}", error.seq, error.reason)]
    Broken { table: String, error: ApplyError },
    /// An object is not a record, of a newer format or of an unknown kind.
    #[error("object `{key}` is not a readable record: {detail}")]
    Unreadable { key: String, detail: String },
    /// A live file has neither object nor upload for ten minutes.
    #[error("file `{key}` of record {seq} of table `{table}` is lost: neither object nor upload exists; run `tributary repair refile {table} --reason …`")]
    LakeFileLost { table: String, seq: Seq, key: String },
}

/// A table's log. Cheap to clone; clones share the fold.
#[derive(Clone, Debug)]
pub struct TableLog { store: Arc<dyn LakeStore>, table: TableName }

impl TableLog {
    /// Opens and folds to the tail (from the newest checkpoint).
    pub async fn open(store: Arc<dyn LakeStore>, table: TableName, options: TableLogOptions) -> Result<Self, TableLogError> { let _ = options; Ok(Self { store, table }) }
    /// The table.
    pub fn table(&self) -> &TableName { &self.table }
    /// The store.
    pub fn store(&self) -> &Arc<dyn LakeStore> { &self.store }
    /// The newest state that this client has seen.
    pub fn state(&self) -> Arc<TableState> { todo!() }
    /// Folds what others appended; returns the state at the tail.
    pub async fn refresh(&self) -> Result<Arc<TableState>, TableLogError> { todo!() }
    /// Commits by the protocol of section 2.3. `give_up` resolves when the caller wants to walk away (revocation, shutdown).
    pub async fn commit(&self, body: Body, give_up: impl Future<Output = ()> + Send) -> Result<CommitOutcome, TableLogError> { let _ = (body, give_up); todo!() }
    /// Publishes the files of a committed record (repeatable) and remembers it for the next record's `published`.
    pub async fn publish(&self, record: &Record) -> Result<(), TableLogError> { let _ = record; todo!() }
    /// Publishes what others left unpublished for `help_after`; call it every second or so.
    pub async fn help(&self) -> Result<(), TableLogError> { todo!() }
    /// One record (cached; from its segment if there is one), with out-of-line file lists filled in.
    pub async fn record(&self, seq: Seq) -> Result<Arc<Record>, TableLogError> { let _ = seq; todo!() }
    /// Resolves file references to entries.
    pub async fn files(&self, refs: &[FileRef]) -> Result<Vec<FileEntry>, TableLogError> { let _ = refs; todo!() }
}

use crate::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::time::{Duration, SystemTime};
use table_log::record::Upload;

/// Answer to a conditional create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The object is there and is ours.
    Created,
    /// Another object (or an earlier try of ours) has the key.
    Exists,
}

/// Answer to a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The object at the key is this upload (token and size compared, unless this was the first answer to the first try).
    Published,
    /// Neither object nor upload: swept, vacuumed or lost. The caller folds again.
    Missing,
}

/// What the store knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Key under the lake root.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// By the store's clock.
    pub modified: SystemTime,
}

/// A staging that is neither published nor discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedObject {
    /// Key that it is staged for, where the store knows it.
    pub key: Option<String>,
    /// How to discard it.
    pub upload: Upload,
    /// When it was last written, by the store's clock.
    pub modified: SystemTime,
}

/// Object storage with conditional create and two-phase files.
///
/// Guarantees that an implementation must give: `create` is atomic and never replaces; after it answered, `get` and `list` show the object
/// (strong consistency); a staged file is invisible to `get`, `head` and `list` until published; publish is repeatable; keys never repeat across restarts.
/// Keys are relative to the lake root, `/`-separated, made by `table_log::key`; a key that could leave the root is `Denied`.
/// A call may be dropped at any point: its request may then still take effect, as after an [`StoreError::UnknownOutcome`].
#[async_trait]
pub trait LakeStore: Send + Sync + std::fmt::Debug {
    /// Creates the object if no object has the key.
    async fn create(&self, key: &str, body: Bytes) -> Result<CreateOutcome, StoreError>;
    /// Whole object or a range of it, cut at the object's end; `None`: there is none.
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, StoreError>;
    /// Metadata; `None`: there is none.
    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError>;
    /// At most `limit` objects with the prefix, keys ascending, after `after`.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, StoreError>;
    /// Replaces or creates without condition: for caches and hints only (`latest`).
    async fn put_hint(&self, key: &str, body: Bytes) -> Result<(), StoreError>;
    /// Deletes; deleting a missing object is no error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
    /// Begins a file that will become visible at `key`.
    async fn stage(&self, key: &str) -> Result<Box<dyn StagedWrite>, StoreError>;
    /// Makes a finished staging visible at `key`. `bytes` is its size. Repeatable by anyone who knows the upload, at any time.
    /// `Denied` if the key holds another object.
    async fn publish(&self, key: &str, upload: &Upload, bytes: u64) -> Result<PublishOutcome, StoreError>;
    /// Drops a finished staging that will never be published. Repeatable.
    async fn discard(&self, key: &str, upload: &Upload) -> Result<(), StoreError>;
    /// At most `limit` stagings of a table that are neither published nor discarded, unfinished ones among them, for the sweeper.
    async fn list_staged(&self, table: &str, limit: usize) -> Result<Vec<StagedObject>, StoreError>;
    /// How far the store's clock is ahead of ours (seconds, negative if behind), and the uncertainty.
    async fn clock_offset(&self) -> Result<(f64, Duration), StoreError>;
    /// Root for messages: a path or `s3://bucket/prefix`.
    fn root(&self) -> String;
}

/// A file being staged. Dropping it without `finish` leaves it to the sweeper.
#[async_trait]
pub trait StagedWrite: Send {
    /// Appends bytes. After an error none of them counts: the same bytes may be written again.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;
    /// Ends the staging: durable, not visible. Returns how to publish it, and the size in bytes.
    async fn finish(self: Box<Self>) -> Result<(Upload, u64), StoreError>;
    /// Drops what was written.
    async fn abort(self: Box<Self>) -> Result<(), StoreError>;
}

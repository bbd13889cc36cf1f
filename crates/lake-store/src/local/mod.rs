//! A lake in a folder.
//!
//! Staged files are in `<root>/_staging/<table>/<token>`. An object becomes visible whole: `create` links a finished temporary file to its name, which
//! fails if the name is taken; `publish` renames. Files and the folders that name them are synced before an answer is given.
mod disk;
mod staged;

use crate::object_key::{STAGING, check_key, check_prefix};
use crate::{CreateOutcome, LakeStore, ObjectMeta, PublishOutcome, StagedObject, StagedWrite, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use table_log::record::Upload;

/// A lake in a folder of a local (or properly locking network) file system with hard links.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// Opens the folder, creating it.
    pub fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> {
        let root = root.into();
        std::fs::create_dir_all(root.join(STAGING))?;
        Ok(Self { root })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        step: impl FnOnce(&Path, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (root, owned) = (self.root.clone(), key.to_owned());
        run_blocking(operation, key, move || step(&root, &owned)).await
    }
}

/// Runs file-system work on the blocking pool. The work goes on if the caller walks away.
async fn run_blocking<T: Send + 'static>(
    operation: &'static str,
    key: &str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(StoreError::unknown(operation, key, cancelled)),
        },
    }
}

#[expect(clippy::disallowed_methods, reason = "the machine's clock is what is compared with the file system's clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[async_trait]
impl LakeStore for LocalStore {
    async fn create(&self, key: &str, body: Bytes) -> Result<CreateOutcome, StoreError> {
        check_key("create", key)?;
        self.blocking("create", key, move |root, key| disk::create(root, key, &body)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, StoreError> {
        check_key("get", key)?;
        self.blocking("get", key, move |root, key| disk::get(root, key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        check_key("head", key)?;
        self.blocking("head", key, disk::head).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, StoreError> {
        check_prefix("list", prefix)?;
        let after = after.map(str::to_owned);
        self.blocking("list", prefix, move |root, prefix| disk::list(root, prefix, after.as_deref(), limit)).await
    }

    async fn put_hint(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        check_key("put_hint", key)?;
        self.blocking("put_hint", key, move |root, key| disk::put_hint(root, key, &body)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        check_key("delete", key)?;
        self.blocking("delete", key, disk::delete).await
    }

    async fn stage(&self, key: &str) -> Result<Box<dyn StagedWrite>, StoreError> {
        check_key("stage", key)?;
        let staged = self.blocking("stage", key, staged::StagedFile::begin).await?;
        Ok(Box::new(staged))
    }

    async fn publish(&self, key: &str, upload: &Upload, bytes: u64) -> Result<PublishOutcome, StoreError> {
        check_key("publish", key)?;
        let upload = upload.clone();
        self.blocking("publish", key, move |root, key| disk::publish(root, key, &upload, bytes)).await
    }

    async fn discard(&self, key: &str, upload: &Upload) -> Result<(), StoreError> {
        check_key("discard", key)?;
        let upload = upload.clone();
        self.blocking("discard", key, move |root, key| disk::discard(root, key, &upload)).await
    }

    async fn list_staged(&self, table: &str, limit: usize) -> Result<Vec<StagedObject>, StoreError> {
        check_key("list_staged", table)?;
        self.blocking("list_staged", table, move |root, table| staged::list(root, table, limit)).await
    }

    async fn clock_offset(&self) -> Result<(f64, Duration), StoreError> {
        self.blocking("clock_offset", "", |root, key| disk::clock_offset(root).map_err(|e| disk::without_effect("clock_offset", key, &e)))
            .await
    }

    fn root(&self) -> String {
        self.root.display().to_string()
    }
}

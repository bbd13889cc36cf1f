//! A store whose answers get lost, for tests of whole processes: what was asked for has happened, and the caller does not know.
use crate::{CreateOutcome, LakeStore, ObjectMeta, PublishOutcome, StagedObject, StagedWrite, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use table_log::record::Upload;

/// Passes every call on; of the creates and publishes, every so many-th takes effect and answers [`StoreError::UnknownOutcome`].
#[derive(Debug)]
pub struct LossyReplies {
    store: Arc<dyn LakeStore>,
    every: u64,
    answers: AtomicU64,
}

impl LossyReplies {
    /// Loses every `every`-th answer; 1 loses them all, so nothing would ever end.
    pub fn new(store: Arc<dyn LakeStore>, every: u64) -> Self {
        Self { store, every: every.max(2), answers: AtomicU64::new(0) }
    }

    fn answer<T>(&self, operation: &'static str, key: &str, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let number = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        if number.is_multiple_of(self.every) { Err(StoreError::unknown(operation, key, "the answer was lost")) } else { outcome }
    }
}

#[async_trait]
impl LakeStore for LossyReplies {
    async fn create(&self, key: &str, body: Bytes) -> Result<CreateOutcome, StoreError> {
        self.answer("create", key, self.store.create(key, body).await)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, StoreError> {
        self.store.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, StoreError> {
        self.store.list(prefix, after, limit).await
    }

    async fn put_hint(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        self.store.put_hint(key, body).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await
    }

    async fn stage(&self, key: &str) -> Result<Box<dyn StagedWrite>, StoreError> {
        self.store.stage(key).await
    }

    async fn publish(&self, key: &str, upload: &Upload, bytes: u64) -> Result<PublishOutcome, StoreError> {
        self.answer("publish", key, self.store.publish(key, upload, bytes).await)
    }

    async fn discard(&self, key: &str, upload: &Upload) -> Result<(), StoreError> {
        self.store.discard(key, upload).await
    }

    async fn list_staged(&self, table: &str, limit: usize) -> Result<Vec<StagedObject>, StoreError> {
        self.store.list_staged(table, limit).await
    }

    async fn clock_offset(&self) -> Result<(f64, Duration), StoreError> {
        self.store.clock_offset().await
    }

    fn root(&self) -> String {
        self.store.root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalStore;

    #[tokio::test]
    async fn a_lost_answer_has_had_its_effect() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = LossyReplies::new(Arc::new(LocalStore::open(folder.path()).expect("a lake")), 2);
        let create = |key: &'static str| store.create(key, Bytes::from_static(b"x"));
        assert!(matches!(create("t/_log/a").await, Ok(CreateOutcome::Created)));
        assert!(matches!(create("t/_log/b").await, Err(StoreError::UnknownOutcome { .. })));
        assert_eq!(store.get("t/_log/b", None).await.expect("an answer"), Some(Bytes::from_static(b"x")));
        assert!(matches!(create("t/_log/b").await, Ok(CreateOutcome::Exists)));
    }
}

//! The objects of a lake in memory. Every step is atomic; time is tokio's, so a test decides it.
use crate::{CreateOutcome, ObjectMeta, PublishOutcome, StoreError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use table_log::record::Upload;
use tokio::time::Instant;

/// A finished staging that is neither published nor discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedUpload {
    /// Key that it was staged for.
    pub key: String,
    /// How to publish or discard it.
    pub upload: Upload,
    /// When it was finished, by the store's clock.
    pub modified: SystemTime,
}

#[derive(Debug)]
struct Object {
    body: Bytes,
    modified: SystemTime,
    /// Of the upload that it came from; `None` for created objects.
    token: Option<String>,
}

#[derive(Debug)]
struct Staged {
    key: String,
    body: Bytes,
    modified: SystemTime,
}

#[derive(Debug)]
pub(super) struct World {
    objects: BTreeMap<String, Object>,
    staged: BTreeMap<String, Staged>,
    began: Instant,
    uploads: u64,
}

/// The store's clock starts here: any fixed time does.
const EPOCH: Duration = Duration::from_secs(1_790_000_000);

impl World {
    pub(super) fn new() -> Self {
        Self { objects: BTreeMap::new(), staged: BTreeMap::new(), began: Instant::now(), uploads: 0 }
    }

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + self.began.elapsed()
    }

    pub(super) fn create(&mut self, key: &str, body: Bytes) -> CreateOutcome {
        if self.objects.contains_key(key) {
            return CreateOutcome::Exists;
        }
        self.put(key, body, None);
        CreateOutcome::Created
    }

    pub(super) fn put(&mut self, key: &str, body: Bytes, token: Option<String>) {
        let modified = self.now();
        self.objects.insert(key.to_owned(), Object { body, modified, token });
    }

    pub(super) fn body(&self, key: &str) -> Option<Bytes> {
        self.objects.get(key).map(|object| object.body.clone())
    }

    pub(super) fn head(&self, key: &str) -> Option<ObjectMeta> {
        self.objects.get(key).map(|object| meta(key, object))
    }

    pub(super) fn list(&self, prefix: &str, after: &str, limit: usize) -> Vec<ObjectMeta> {
        let from = self.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        from.filter(|(key, _)| key.as_str() > after).take(limit).map(|(key, object)| meta(key, object)).collect()
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    /// A name for a staging; never the same twice.
    pub(super) fn new_token(&mut self) -> String {
        self.uploads += 1;
        uuid::Uuid::from_u64_pair(EPOCH.as_secs(), self.uploads).to_string()
    }

    pub(super) fn put_staged(&mut self, key: &str, token: &str, body: Bytes) {
        let modified = self.now();
        self.staged.insert(token.to_owned(), Staged { key: key.to_owned(), body, modified });
    }

    pub(super) fn publish(&mut self, key: &str, upload: &Upload, bytes: u64) -> Result<PublishOutcome, StoreError> {
        if let Some(object) = self.objects.get(key) {
            let same = object.token.as_ref() == Some(&upload.token) && object.body.len() as u64 == bytes;
            let another = || StoreError::denied("publish", key, "the key holds another object");
            return if same { Ok(PublishOutcome::Published) } else { Err(another()) };
        }
        match self.staged.get(&upload.token) {
            Some(staged) if staged.key == key => {
                let body = staged.body.clone();
                self.staged.remove(&upload.token);
                self.put(key, body, Some(upload.token.clone()));
                Ok(PublishOutcome::Published)
            }
            _ => Ok(PublishOutcome::Missing),
        }
    }

    pub(super) fn discard(&mut self, upload: &Upload) {
        self.staged.remove(&upload.token);
    }

    pub(super) fn staged(&self) -> Vec<StagedUpload> {
        let uploads = self.staged.iter().map(|(token, staged)| StagedUpload {
            key: staged.key.clone(),
            upload: upload_of(token),
            modified: staged.modified,
        });
        uploads.collect()
    }
}

pub(super) fn upload_of(token: &str) -> Upload {
    Upload { token: token.to_owned(), id: format!("memory/{token}"), parts: Vec::new() }
}

fn meta(key: &str, object: &Object) -> ObjectMeta {
    ObjectMeta { key: key.to_owned(), bytes: object.body.len() as u64, modified: object.modified }
}

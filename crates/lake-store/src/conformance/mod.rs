//! What every [`LakeStore`] must do: one suite, run on each implementation.
//!
//! Every check panics with what it saw. A check gets a way to open the same lake again, as after a restart of the process, and works
//! under a folder of its own.
mod objects;
mod staging;

use crate::{CreateOutcome, LakeStore, ObjectMeta, PublishOutcome};
use bytes::Bytes;
use std::sync::Arc;
use table_log::record::Upload;

/// Opens the lake: each call is a client of its own.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn LakeStore> + Sync);

/// Runs the whole suite. `open` opens the same, at first empty, lake each time.
pub async fn conformance(open: Open<'_>) {
    objects::check(open).await;
    staging::check(open).await;
    clock_offset_is_small(open).await;
}

async fn clock_offset_is_small(open: Open<'_>) {
    let (ahead_seconds, uncertainty) = open().clock_offset().await.expect("clock_offset");
    assert!(ahead_seconds.abs() < 30.0 + uncertainty.as_secs_f64(), "clock is {ahead_seconds} s ahead");
}

/// Stages and finishes a file.
async fn staged(store: &dyn LakeStore, key: &str, body: &[u8]) -> (Upload, u64) {
    let mut file = store.stage(key).await.expect("stage");
    for piece in body.chunks(body.len().div_ceil(3).max(1)) {
        file.write(Bytes::copy_from_slice(piece)).await.expect("write");
    }
    file.finish().await.expect("finish")
}

async fn create(store: &dyn LakeStore, key: &str, body: &str) -> CreateOutcome {
    store.create(key, Bytes::copy_from_slice(body.as_bytes())).await.expect("create")
}

async fn publish(store: &dyn LakeStore, key: &str, staging: &(Upload, u64)) -> PublishOutcome {
    store.publish(key, &staging.0, staging.1).await.expect("publish")
}

async fn body_of(store: &dyn LakeStore, key: &str) -> Option<Bytes> {
    store.get(key, None).await.expect("get")
}

async fn keys(store: &dyn LakeStore, prefix: &str) -> Vec<String> {
    let listed: Vec<ObjectMeta> = store.list(prefix, None, usize::MAX).await.expect("list");
    listed.into_iter().map(|object| object.key).collect()
}

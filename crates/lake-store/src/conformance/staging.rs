//! Files: stage, publish, discard.
use super::{Open, body_of, create, keys, publish, staged};
use crate::{PublishOutcome, StoreError};
use bytes::Bytes;
use futures::future::join_all;
use std::collections::BTreeSet;

pub(super) async fn check(open: Open<'_>) {
    staged_is_invisible_until_published(open).await;
    publish_is_repeatable_by_anyone(open).await;
    publish_after_vacuum_brings_nothing_back(open).await;
    racing_publishers_all_succeed(open).await;
    a_taken_key_is_no_proof(open).await;
    discarded_and_aborted_are_missing(open).await;
    large_and_empty_files(open).await;
    uploads_never_repeat_across_restarts(open).await;
    foreign_uploads_touch_nothing(open).await;
    what_is_staged_is_listed(open).await;
}

async fn staged_is_invisible_until_published(open: Open<'_>) {
    let store = open();
    let key = "s1/data/dt=2026-11-21/open/0-a.parquet";
    let staging = staged(&*store, key, b"some bytes of a file").await;
    assert_eq!(staging.1, 20);
    let everything = keys(&*open(), "").await;
    assert!(!everything.iter().any(|found| found.contains("_staging") || found.starts_with("s1/")), "{everything:?}");
    assert_eq!((body_of(&*store, key).await, store.head(key).await.expect("head")), (None, None));
    assert_eq!(publish(&*store, key, &staging).await, PublishOutcome::Published);
    assert_eq!(body_of(&*open(), key).await.as_deref(), Some(b"some bytes of a file".as_slice()));
    assert_eq!(keys(&*store, "s1/").await, [key]);
}

async fn publish_is_repeatable_by_anyone(open: Open<'_>) {
    let key = "s2/data/0-a.parquet";
    let staging = staged(&*open(), key, b"file").await;
    for _ in 0..3 {
        assert_eq!(publish(&*open(), key, &staging).await, PublishOutcome::Published);
    }
    // Discarding what is published must not touch the object.
    open().discard(key, &staging.0).await.expect("discard");
    assert_eq!(body_of(&*open(), key).await.as_deref(), Some(b"file".as_slice()));
    assert_eq!(publish(&*open(), key, &staging).await, PublishOutcome::Published);
}

async fn publish_after_vacuum_brings_nothing_back(open: Open<'_>) {
    let (store, key) = (open(), "s3/data/0-a.parquet");
    let staging = staged(&*store, key, b"file").await;
    publish(&*store, key, &staging).await;
    store.delete(key).await.expect("delete");
    assert_eq!(publish(&*open(), key, &staging).await, PublishOutcome::Missing);
    assert_eq!(body_of(&*store, key).await, None);
}

async fn racing_publishers_all_succeed(open: Open<'_>) {
    for round in 0..8 {
        let key = format!("s4/data/0-{round}.parquet");
        let staging = staged(&*open(), &key, &vec![7; 100_000]).await;
        let racers = (0..16).map(|_| {
            let (store, key, (upload, bytes)) = (open(), key.clone(), staging.clone());
            tokio::spawn(async move { store.publish(&key, &upload, bytes).await.expect("publish") })
        });
        let outcomes: Vec<PublishOutcome> = join_all(racers).await.into_iter().map(|outcome| outcome.expect("racer")).collect();
        assert!(outcomes.iter().all(|outcome| *outcome == PublishOutcome::Published), "{outcomes:?}");
    }
}

async fn a_taken_key_is_no_proof(open: Open<'_>) {
    let (store, key) = (open(), "s5/data/0-a.parquet");
    let staging = staged(&*store, key, b"staged").await;
    create(&*store, key, "another object").await;
    let answer = store.publish(key, &staging.0, staging.1).await;
    assert!(matches!(answer, Err(StoreError::Denied { .. })), "{answer:?}");
    assert_eq!(body_of(&*store, key).await.as_deref(), Some(b"another object".as_slice()), "an object was replaced");
    store.discard(key, &staging.0).await.expect("discard");
    let answer = store.publish(key, &staging.0, staging.1).await;
    assert!(matches!(answer, Err(StoreError::Denied { .. })), "after the discard: {answer:?}");
}

async fn discarded_and_aborted_are_missing(open: Open<'_>) {
    let (store, key) = (open(), "s6/data/0-a.parquet");
    let staging = staged(&*store, key, b"file").await;
    for _ in 0..2 {
        open().discard(key, &staging.0).await.expect("discard");
        assert_eq!(publish(&*open(), key, &staging).await, PublishOutcome::Missing);
    }
    let mut file = store.stage("s6/data/0-b.parquet").await.expect("stage");
    file.write(Bytes::from_static(b"x")).await.expect("write");
    file.abort().await.expect("abort");
    drop(store.stage("s6/data/0-c.parquet").await.expect("stage"));
    assert!(keys(&*store, "s6/").await.is_empty());
}

async fn large_and_empty_files(open: Open<'_>) {
    let store = open();
    let large: Vec<u8> = (0..3_500_000_u32).map(|byte| (byte % 251) as u8).collect();
    for (key, body) in [("s7/large", large.as_slice()), ("s7/empty", b"")] {
        let staging = staged(&*store, key, body).await;
        assert_eq!(staging.1, body.len() as u64);
        publish(&*store, key, &staging).await;
        assert!(body_of(&*open(), key).await.as_deref() == Some(body), "{key}");
    }
}

async fn uploads_never_repeat_across_restarts(open: Open<'_>) {
    let mut seen = BTreeSet::new();
    for restart in 0..4 {
        let store = open();
        for number in 0..8 {
            let (upload, _) = staged(&*store, &format!("s8/data/{restart}-{number}"), b"x").await;
            assert!(seen.insert(upload.token.clone()) && seen.insert(upload.id.clone()), "upload `{}` repeats", upload.id);
        }
    }
}

async fn what_is_staged_is_listed(open: Open<'_>) {
    let store = open();
    let tokens = async |table: &str| -> BTreeSet<String> {
        let listed = open().list_staged(table, usize::MAX).await.expect("list_staged");
        listed.into_iter().map(|staged| staged.upload.token).collect()
    };
    assert!(tokens("s10").await.is_empty());
    let (a, b) = (staged(&*store, "s10/data/a", b"a").await, staged(&*store, "s10/data/b", b"b").await);
    let other = staged(&*store, "s11/data/c", b"c").await;
    assert_eq!(tokens("s10").await, BTreeSet::from([a.0.token.clone(), b.0.token.clone()]));
    assert_eq!(tokens("s11").await, BTreeSet::from([other.0.token]));
    publish(&*store, "s10/data/a", &a).await;
    let listed = store.list_staged("s10", 10).await.expect("list_staged");
    let [left] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(left.key.as_deref().is_none_or(|key| key == "s10/data/b"), "{listed:?}");
    store.discard("s10/data/b", &left.upload).await.expect("discard");
    assert_eq!((tokens("s10").await, publish(&*store, "s10/data/b", &b).await), (BTreeSet::new(), PublishOutcome::Missing));
}

async fn foreign_uploads_touch_nothing(open: Open<'_>) {
    let store = open();
    create(&*store, "s9/victim", "x").await;
    let mut upload = staged(&*store, "s9/data/a", b"x").await.0;
    upload.token = "../s9/victim".to_owned();
    upload.id = "_staging/../s9/victim".to_owned();
    let published = store.publish("s9/data/a", &upload, 1).await;
    assert!(!matches!(published, Ok(PublishOutcome::Published)), "{published:?}");
    let _ = store.discard("s9/data/a", &upload).await;
    assert_eq!(body_of(&*store, "s9/victim").await.as_deref(), Some(b"x".as_slice()));
}

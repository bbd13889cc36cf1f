//! Checkpoints and segments.
use crate::*;
use lake_store::ObjectMeta;
use std::time::Duration;
use table_log::record::FlushBody;

async fn flushes(log: &TableLog, count: u64) {
    for _ in 0..count {
        commit(log, Body::Flush(FlushBody { actor: "x".to_owned() })).await;
        log.help().await.expect("help");
    }
}

async fn keys(store: &MemoryStore, folder: &str) -> Vec<String> {
    let listed: Vec<ObjectMeta> = store.list(&format!("events/_log/{folder}"), None, 10_000).await.expect("list");
    listed.into_iter().map(|object| object.key).collect()
}

async fn state_of_new_client(store: &MemoryStore) -> Arc<table_log::TableState> {
    open(store, "new").await.state()
}

#[tokio::test(start_paused = true)]
async fn checkpoints_are_written_kept_to_ten_and_used() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    flushes(&log, 150).await;
    assert!(keys(&store, "checkpoint/").await.is_empty(), "not before 200 records");
    flushes(&log, 2650).await;
    let found = keys(&store, "checkpoint/").await;
    assert_eq!(found.len(), 11, "ten and the hint: {found:?}");
    assert!(found.last().is_some_and(|key| key.ends_with("/latest")));
    // Records below the newest checkpoint are not read: without them a client still opens.
    for seq in 0..2000 {
        store.delete(&format!("events/_log/{seq:020}.json")).await.expect("delete");
    }
    assert_eq!(state_of_new_client(&store).await, log.state());
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_does_not_fit_is_ignored() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    flushes(&log, 450).await;
    let found = keys(&store, "checkpoint/").await;
    let [older, newer, latest] = found.as_slice() else { panic!("two and the hint: {found:?}") };
    let good = store.get(newer, None).await.expect("get").expect("checkpoint");
    let other_log = {
        let other = MemoryStore::new();
        let log = open(&other, "another writer").await;
        commit(&log, Body::Table(table_body(1, Micros::from_secs(10)))).await;
        commit(&log, source_body(7)).await;
        flushes(&log, 450).await;
        other.get(newer, None).await.expect("get").expect("checkpoint")
    };
    let older_body = store.get(older, None).await.expect("get").expect("checkpoint");
    for bad in [other_log, older_body, good.slice(..good.len() / 2), bytes::Bytes::from_static(b"{}"), bytes::Bytes::new()] {
        store.put_hint(newer, bad).await.expect("put");
        assert_eq!(state_of_new_client(&store).await, log.state());
    }
    for hint in ["99999", "not a number", "-1", ""] {
        store.put_hint(latest, hint.into()).await.expect("put");
        assert_eq!(state_of_new_client(&store).await, log.state(), "hint `{hint}`");
    }
}

#[tokio::test(start_paused = true)]
async fn caches_may_all_be_deleted() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    flushes(&log, 2300).await;
    let segments = keys(&store, "segment/").await;
    assert_eq!(segments.len(), 2, "{segments:?}");
    for key in keys(&store, "checkpoint/").await {
        store.delete(&key).await.expect("delete");
    }
    assert_eq!(state_of_new_client(&store).await, log.state(), "from segments");
    for key in segments {
        store.delete(&key).await.expect("delete");
    }
    assert_eq!(state_of_new_client(&store).await, log.state(), "from records");
}

#[tokio::test(start_paused = true)]
async fn old_records_come_from_segments_and_broken_segments_are_ignored() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    flushes(&log, 1300).await;
    let segment = &keys(&store, "segment/").await[0];
    let reader = open(&store, "reader").await;
    let mut expected = Vec::new();
    for seq in [0, 1, 500, 998] {
        expected.push(log.record(Seq(seq)).await.expect("record"));
        store.delete(&format!("events/_log/{seq:020}.json")).await.expect("delete");
    }
    for record in &expected {
        assert_eq!(reader.record(record.seq).await.expect("record"), *record);
    }
    let good = store.get(segment, None).await.expect("get").expect("segment");
    for bad in [good.slice(..good.len() / 2), bytes::Bytes::new()] {
        store.put_hint(segment, bad).await.expect("put");
        let reader = open(&store, "another").await;
        assert_eq!(reader.record(Seq(700)).await.expect("record").seq, Seq(700));
        assert!(reader.record(Seq(500)).await.is_err(), "its object is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_record_cache_only_costs_reads() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    flushes(&log, 1100).await;
    let reader = open_with(&store, TableLogOptions { record_cache_bytes: 1000, ..options("small") }).await;
    for seq in [0, 700, 3, 1101, 999, 0] {
        assert_eq!(reader.record(Seq(seq)).await.expect("record").seq, Seq(seq));
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_with_caches_troubles_nobody() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    for operation in ["create", "put_hint", "list"] {
        (0..5).for_each(|_| store.inject(operation, "checkpoint/", lake_store::Fault::Refusal));
    }
    flushes(&log, 450).await;
    let began = tokio::time::Instant::now();
    assert_eq!(log.refresh().await.expect("refresh").next_seq, Seq(452));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn clones_that_fold_side_by_side_write_caches_in_turn() {
    let store = MemoryStore::new();
    new_table(&store, 1).await;
    let slow = store.client(Default::default(), 7);
    let log = open_with(&slow, TableLogOptions { checkpoint_every: 1, ..options("clones") }).await;
    let rates = lake_store::FaultRates { delay: 0.7, ..Default::default() };
    slow.set_faults(lake_store::FaultPlan { rates, longest_delay: Duration::from_secs(2), ..Default::default() });
    let workers = (0..8).map(|_| {
        let log = log.clone();
        tokio::spawn(async move { flushes(&log, 20).await })
    });
    for worker in futures::future::join_all(workers).await {
        worker.expect("no panic");
    }
    assert_eq!(state_of_new_client(&store).await, log.state());
    assert_eq!(log.state().next_seq, Seq(162));
}

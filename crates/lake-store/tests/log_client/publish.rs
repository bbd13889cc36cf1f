use crate::*;
use lake_store::{Fault, FaultPlan, TableLogError};
use std::time::Duration;
use table_log::record::FlushBody;
use tokio::time::advance;

const TICK: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn files_are_visible_after_publish_and_the_next_record_says_so() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let record = commit(&log, append_of(&log, "a", 0, 5).await).await;
    let key = record.files().next().expect("a file").key.clone();
    assert!(!exists(&store, &key).await);
    for fault in [Fault::LostReply, Fault::Error, Fault::LandNever, Fault::LandLate(Duration::from_secs(1))] {
        store.inject("publish", "", fault);
    }
    log.publish(&record).await.expect("publish");
    log.publish(&record).await.expect("publish is repeatable");
    let body = store.get(&key, None).await.expect("get").expect("object");
    assert_eq!(lake::decode(&body).len(), 5);
    assert!(log.state().unpublished().contains(&Seq(2)));
    let next = commit(&log, Body::Flush(FlushBody { actor: "x".to_owned() })).await;
    assert_eq!(next.published, [Seq(2)]);
    assert!(log.state().unpublished().is_empty() && log.seen_published().is_empty());
    let third = commit(&log, Body::Flush(FlushBody { actor: "x".to_owned() })).await;
    assert!(third.published.is_empty(), "it is said once");
}

#[tokio::test(start_paused = true)]
async fn others_help_after_a_while() {
    let store = MemoryStore::new();
    let crashed = store.client(FaultPlan::default(), 1);
    let log = new_table(&crashed, 1).await;
    let record = commit(&log, append_of(&log, "a", 0, 5).await).await;
    crashed.crash();
    let key = record.files().next().expect("a file").key.clone();
    let helper = open(&store, "helper").await;
    for _ in 0..9 {
        helper.help().await.expect("help");
        assert!(!exists(&store, &key).await, "before ten seconds it is the committer's");
        advance(TICK).await;
    }
    advance(TICK * 2).await;
    helper.help().await.expect("help");
    assert!(exists(&store, &key).await);
    assert_eq!(helper.seen_published().into_iter().collect::<Vec<_>>(), [Seq(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_live_file_without_object_and_upload_is_lost_after_ten_minutes() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let body = append_of(&log, "a", 0, 5).await;
    let Body::Append(append) = &body else { panic!("an append") };
    log.discard(&append.files).await;
    let record = commit(&log, body.clone()).await;
    log.publish(&record).await.expect("not lost yet");
    assert!(log.seen_published().is_empty(), "a missing file is not published");
    let began = tokio::time::Instant::now();
    let error = loop {
        advance(TICK).await;
        if let Err(error) = log.help().await {
            break error;
        }
    };
    assert!(matches!(&error, TableLogError::LakeFileLost { seq: Seq(2), .. }), "{error}");
    assert!((595..620).contains(&began.elapsed().as_secs()), "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn discard_is_repeatable_and_never_fails_the_caller() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let files = vec![staged(&log, "a", 0, 5).await, staged(&log, "b", 5, 6).await];
    store.inject("discard", "", Fault::LostReply);
    store.inject("discard", "", Fault::Refusal);
    log.discard(&files).await;
    assert_eq!(store.staged_uploads().len(), 1, "the refused one is left to the sweeper");
    log.discard(&files).await;
    assert!(store.staged_uploads().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_record_that_cannot_be_helped_does_not_stop_the_others() {
    let store = MemoryStore::new();
    let crashed = store.client(FaultPlan::default(), 1);
    let log = new_table(&crashed, 1).await;
    let first = commit(&log, append_of(&log, "a", 0, 5).await).await;
    let second = commit(&log, append_of(&log, "b", 5, 9).await).await;
    crashed.crash();
    let keys: Vec<String> = [first, second].iter().filter_map(|record| record.files().next()).map(|file| file.key.clone()).collect();
    let helper = open(&store, "helper").await;
    advance(TICK * 11).await;
    store.inject("publish", &keys[0], Fault::Refusal);
    assert!(matches!(helper.help().await, Err(TableLogError::Store(_))));
    assert!(!exists(&store, &keys[0]).await && exists(&store, &keys[1]).await);
    helper.help().await.expect("help");
    assert!(exists(&store, &keys[0]).await);
}

#[tokio::test(start_paused = true)]
async fn quarantine_files_are_published_with_the_rows_around_them() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let data = staged(&log, "a", 0, 5).await;
    let refused = [Row { kafka_partition: 0, offset: 5, event_time: Time(0) }];
    let staging = uuid::Uuid::from_u64_pair(1, 2).to_string();
    let quarantine = stage(&store, &Place::Quarantine(Time(0)), data.staged_on, &staging, &refused).await.expect("stage");
    let range = AppendRange { rows: 5, quarantined: 1, ..plain_range(0, 0, 6, None) };
    let body = AppendBody { ranges: vec![range], files: vec![data], quarantine: vec![quarantine], file_list: None };
    let record = commit(&log, Body::Append(body)).await;
    log.publish(&record).await.expect("publish");
    for file in record.files() {
        assert!(exists(&store, &file.key).await, "{}", file.key);
    }
    assert_eq!(record.files().count(), 2);
}

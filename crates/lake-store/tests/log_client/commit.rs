use crate::*;
use lake_store::{Fault, FaultPlan, TableLogError};
use std::time::Duration;
use table_log::record::FlushBody;
use table_log::{Fenced, Offset};
use tokio::time::{Instant, advance, sleep_until};

const FIRST_APPEND: &str = "_log/00000000000000000002.json";

fn flush(actor: &str) -> Body {
    Body::Flush(FlushBody { actor: actor.to_owned() })
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_ours() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    store.inject("create", FIRST_APPEND, Fault::LostReply);
    let record = commit(&log, append_of(&log, "a", 0, 5).await).await;
    assert_eq!(record.seq, Seq(2));
    assert_eq!(open(&store, "other").await.state(), log.state());
    assert_eq!(log.state().next_seq, Seq(3), "it was committed once");
}

#[tokio::test(start_paused = true)]
async fn errors_without_effect_are_tried_again() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    (0..5).for_each(|_| store.inject("create", FIRST_APPEND, Fault::Error));
    (0..5).for_each(|_| store.inject("create", FIRST_APPEND, Fault::LandNever));
    assert_eq!(commit(&log, append_of(&log, "a", 0, 5).await).await.seq, Seq(2));
}

#[tokio::test(start_paused = true)]
async fn another_in_the_slot_is_folded_and_the_proposal_planned_again() {
    let store = MemoryStore::new();
    let one = new_table(&store, 1).await;
    let two = open(&store.client(FaultPlan::default(), 1), "two").await;
    let (first, second) = (append_of(&one, "a", 0, 5).await, append_of(&two, "b", 0, 7).await);
    commit(&one, first).await;
    let fenced = outcome(&two, second).await;
    let expected = Fenced::Discontinuous { source: lake::source(0), expected: Some(Offset(5)), found: Offset(0) };
    assert_eq!(fenced, CommitOutcome::Fenced(expected));
    assert_eq!(commit(&two, append_of(&two, "c", 5, 6).await).await.seq, Seq(3));
}

#[tokio::test(start_paused = true)]
async fn a_slow_create_that_loses_its_slot_moves_on() {
    let store = MemoryStore::new();
    let one = new_table(&store, 1).await;
    let slow = store.client(FaultPlan::default(), 1);
    let two = open(&slow, "two").await;
    slow.inject("create", FIRST_APPEND, Fault::Delay(Duration::from_secs(8)));
    let (flushed, ()) = tokio::join!(commit(&two, flush("two")), async {
        advance(Duration::from_secs(1)).await;
        commit(&one, append_of(&one, "a", 0, 5).await).await;
    });
    assert_eq!(flushed.seq, Seq(3), "slot 2 was another's");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_settled_on_its_own_slot_only() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    // The first try lands after the second has found the slot still empty and was lost too.
    store.inject("create", FIRST_APPEND, Fault::LandLate(Duration::from_millis(200)));
    (0..3).for_each(|_| store.inject("create", FIRST_APPEND, Fault::LandNever));
    let record = commit(&log, flush("x")).await;
    assert_eq!((record.seq, log.refresh().await.expect("refresh").next_seq), (Seq(2), Seq(3)));
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_is_an_unknown_outcome() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    store.inject("create", FIRST_APPEND, Fault::Delay(Duration::from_secs(3600)));
    let record = commit(&log, flush("x")).await;
    assert_eq!(record.seq, Seq(2));
}

#[tokio::test(start_paused = true)]
async fn giving_up_abandons_and_a_late_request_may_still_commit() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    (0..99).for_each(|_| store.inject("create", FIRST_APPEND, Fault::LandNever));
    store.inject("create", FIRST_APPEND, Fault::Error);
    let began = Instant::now();
    let late = store.client(FaultPlan::default(), 2);
    let late_log = open(&late, "late").await;
    (0..99).for_each(|_| late.inject("create", FIRST_APPEND, Fault::LandLate(Duration::from_secs(600))));
    for log in [&log, &late_log] {
        let body = append_of(log, "a", 0, 5).await;
        let answer = log.commit(body, sleep_until(Instant::now() + Duration::from_secs(120))).await.expect("commit");
        assert_eq!(answer, CommitOutcome::Abandoned);
    }
    assert!(began.elapsed() >= Duration::from_secs(240), "only `give_up` ends an unknown outcome");
    advance(Duration::from_secs(1200)).await;
    assert_eq!(log.refresh().await.expect("refresh").next_seq, Seq(3), "the late request landed once");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_at_once_unless_an_outcome_is_unknown() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    store.inject("create", FIRST_APPEND, Fault::Refusal);
    let refused = log.commit(flush("x"), pending()).await;
    assert!(matches!(refused, Err(TableLogError::Store(_))), "{refused:?}");
    store.inject("create", FIRST_APPEND, Fault::LostReply);
    store.inject("create", FIRST_APPEND, Fault::Refusal);
    assert_eq!(commit(&log, flush("y")).await.seq, Seq(2), "the first request may have landed");
}

#[tokio::test(start_paused = true)]
async fn store_trouble_with_nothing_under_way_ends() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    (0..9999).for_each(|_| store.inject("create", FIRST_APPEND, Fault::Error));
    let began = Instant::now();
    let failed = log.commit(flush("x"), pending()).await;
    assert!(matches!(failed, Err(TableLogError::Store(_))), "{failed:?}");
    assert!(began.elapsed() < Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn clones_take_turns() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    store.set_faults(FaultPlan {
        rates: lake_store::FaultRates { delay: 0.5, lost_reply: 0.2, ..Default::default() },
        longest_delay: Duration::from_secs(2),
        ..Default::default()
    });
    let commits = (0..20).map(|number| {
        let log = log.clone();
        tokio::spawn(async move { commit(&log, flush(&number.to_string())).await.seq })
    });
    let mut seqs: Vec<u64> = Vec::new();
    for commit in futures::future::join_all(commits).await {
        seqs.push(commit.expect("commit").0);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (2..22).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_the_state_has_is_already_done() {
    let store = MemoryStore::new();
    let log = new_table(&store, 2).await;
    assert_eq!(outcome(&log, source_body(2)).await, CommitOutcome::AlreadyDone);
}

#[tokio::test(start_paused = true)]
async fn read_only_clients_never_write() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let record = commit(&log, append_of(&log, "a", 0, 5).await).await;
    let reader = open_with(&store, TableLogOptions { read_only: true, checkpoint_every: 0, ..options("reader") }).await;
    advance(Duration::from_secs(60)).await;
    let before = store.list("", None, 99).await.expect("list");
    reader.help().await.expect("help");
    reader.refresh().await.expect("refresh");
    assert!(matches!(reader.publish(&record).await, Err(TableLogError::ReadOnly { .. })));
    assert!(matches!(reader.commit(flush("x"), pending()).await, Err(TableLogError::ReadOnly { .. })));
    assert_eq!(store.list("", None, 99).await.expect("list"), before);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_noticed() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    for (ahead_seconds, ready) in [(0.0, true), (59.0, true), (-59.0, true), (61.0, false), (-3600.0, false)] {
        store.set_clock_offset(ahead_seconds);
        let checked = log.clock_check().await;
        let skewed = matches!(checked, Err(TableLogError::ClockSkew { .. }));
        assert!(checked.is_ok() == ready && skewed != ready, "{ahead_seconds} s: {checked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn newer_formats_unknown_kinds_and_broken_records_are_refused() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let good = String::from_utf8(store.get("events/_log/00000000000000000001.json", None).await.expect("get").expect("record").to_vec());
    let good = good.expect("text").replace("\"seq\":1", "\"seq\":2");
    let tolerated = good.replace("\"seq\":2", "\"seq\":2,\"unknown_field\":{\"a\":1}").replace("\"generation\":1", "\"generation\":7");
    let bad = [
        ("newer format", good.replace("\"format\":1", "\"format\":2")),
        ("unknown kind", good.replace("\"source\"", "\"telepathy\"")),
        ("another seq", good.replace("\"seq\":2", "\"seq\":3")),
        ("cut", good[..good.len() / 2].to_owned()),
        ("empty", String::new()),
    ];
    for (what, text) in bad {
        store.put_hint("events/_log/00000000000000000002.json", text.into_bytes().into()).await.expect("put");
        let read = log.refresh().await;
        assert!(matches!(&read, Err(TableLogError::Unreadable { key, .. }) if key.ends_with("2.json")), "{what}: {read:?}");
    }
    store.put_hint("events/_log/00000000000000000002.json", tolerated.into_bytes().into()).await.expect("put");
    let read = log.refresh().await;
    assert!(matches!(read, Err(TableLogError::Broken { .. })), "it parses, and breaks a rule: {read:?}");
    assert_eq!(log.state().next_seq, Seq(2), "the fold shows nothing of it");
}

#[tokio::test(start_paused = true)]
async fn a_removed_record_is_not_taken_for_the_tail() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    for number in 0..3 {
        commit(&log, flush(&number.to_string())).await;
    }
    let key = "events/_log/00000000000000000003.json";
    let body = store.get(key, None).await.expect("get").expect("record");
    store.delete(key).await.expect("delete");
    let opened = TableLog::open(Arc::new(store.clone()), table_name(), options("other")).await;
    assert!(matches!(&opened, Err(TableLogError::Broken { error, .. }) if error.seq == Seq(3)), "{opened:?}");
    store.create(key, body).await.expect("create");
    assert_eq!(open(&store, "other").await.state(), log.state());
}

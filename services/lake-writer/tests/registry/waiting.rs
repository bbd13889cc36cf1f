//! kafka_partitions that wait for a schema.
use super::*;
use crate::harness::{LONG, Writer};
use crate::server::{Reply, Server, error, json, not_there, schema};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use test_kit::wait_until;

/// Knows id 1 and the subject; answers for the id 2 and others as told.
struct Registry {
    server: Server,
    settings: RegistrySettings,
}

fn registry(others: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Registry {
    // A server of its own: the lake's runtime goes with the lake.
    let server = RUNTIME.block_on(Server::start(move |path| match path {
        "/schemas/ids/1?deleted=true" => schema(FIRST),
        "/subjects/s/versions/latest" => json(200, &serde_json::json!({ "id": 1, "version": 1, "schema": FIRST })),
        path => others(path),
    }));
    let settings = registry_of(&server.url);
    Registry { server, settings }
}

static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
    std::sync::LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"));

fn waiting(writer: &Writer) -> f64 {
    writer.metric("tributary_writer_waiting_kafka_partitions")
}

fn assert_rows(lake: &Lake, rows: u64) {
    let (found, refused) = lake.assert_exactly_once(TABLE);
    assert_eq!((found.len() as u64, refused.len()), (rows, 0));
    let mut seqs: Vec<_> = found.iter().filter_map(|row| row.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len() as u64, rows, "no row of another is counted");
}

#[test]
fn a_kafka_partition_waits_while_the_registry_is_in_trouble_and_others_go_on() {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let registry = registry(move |_| if told.load(Ordering::SeqCst) { schema(FIRST) } else { error(503, 50_301) });
    let (lake, topic) = (lake(&registry.settings), topic("wait", 3));
    let writer = lake.start(settings(&lake, &topic, "s"));
    let mut sent = lake.produce_raw(records(&topic, 0, (FIRST, 1), 0..500));
    let behind = records(&topic, 0, (FIRST, 2), 500..1_000).into_iter().chain(records(&topic, 0, (FIRST, 1), 1_000..1_500));
    let waits = lake.produce_raw(behind);
    for kafka_partition in [1, 2] {
        let from = i64::from(kafka_partition) * 10_000;
        sent += lake.produce_raw(records(&topic, kafka_partition, (FIRST, 1), from..from + 2_000));
    }
    lake.wait_for_taken(TABLE, sent);
    wait_until(LONG, "the metric", || waiting(&writer) == 1.0);
    let health = writer.health.not_ready();
    let why = health.get("lake-writer/telemetry/shard-0/schemas").expect("a reason");
    assert!(why.contains("schema id `2`") && why.contains("at offset 500") && why.contains("in trouble"), "{why}");
    // Others go on for as long as it takes, in many commits.
    for round in 0..5 {
        sent += lake.produce_raw(records(&topic, 1, (FIRST, 1), 50_000 + round * 100..50_100 + round * 100));
        lake.wait_for_taken(TABLE, sent);
    }
    assert_eq!(next_offset(&lake, &topic, 0), Some(500), "nothing behind it is taken");
    well.store(true, Ordering::SeqCst);
    lake.wait_for_taken(TABLE, sent + waits);
    wait_until(LONG, "the metric", || waiting(&writer) == 0.0 && writer.health.not_ready().is_empty());
    assert!(writer.stop().stopped.is_empty());
    assert_rows(&lake, sent + waits);
    assert!(registry.server.requests().len() < 1_000);
}

#[test]
fn a_writer_that_waits_drains_and_hands_over() {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let registry = registry(move |_| if told.load(Ordering::SeqCst) { schema(FIRST) } else { error(500, 50_001) });
    let (lake, topic) = (lake(&registry.settings), topic("handover", 2));
    let mut first = settings(&lake, &topic, "s");
    first.commit_interval = Duration::from_secs(3_600);
    let writer = lake.start(first);
    let mut sent = 0;
    for kafka_partition in 0..2 {
        let from = i64::from(kafka_partition) * 10_000;
        sent += lake.produce_raw(records(&topic, kafka_partition, (FIRST, 1), from..from + 100));
        lake.produce_raw(records(&topic, kafka_partition, (FIRST, 2), from + 100..from + 200));
    }
    wait_until(LONG, "both to wait", || waiting(&writer) == 2.0);
    // A second member takes one over: what was taken before the wait is committed by the first.
    let mut second = settings(&lake, &topic, "s");
    second.instance = "second".to_owned();
    let other = lake.start(second);
    wait_until(LONG, "the handover", || waiting(&writer) == 1.0 && waiting(&other) == 1.0);
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty(), "a writer that waits ends in order");
    assert_eq!((next_offset(&lake, &topic, 0), next_offset(&lake, &topic, 1)), (Some(100), Some(100)));
    wait_until(LONG, "the other to have both", || waiting(&other) == 2.0);
    well.store(true, Ordering::SeqCst);
    lake.wait_for_taken(TABLE, sent + 200);
    assert!(other.stop().stopped.is_empty());
    assert_rows(&lake, sent + 200);
}

/// Batches are held back over the budget: what waits must not be read on before they are worked off, or what is held of it would look like
/// the next records.
#[test]
fn waiting_and_holding_back_lose_nothing() {
    const RECORDS: i64 = 60_000;
    let asked = Mutex::new(BTreeSet::new());
    // Each id is there at the second call, a moment after the first.
    let registry = registry(move |path| if asked.lock().expect("whole").insert(path.to_owned()) { not_there() } else { schema(FIRST) });
    let (lake, topic) = (lake(&registry.settings), topic("held", 2));
    // One kafka_partition changes its id every 1,500 records.
    let changing = (0..RECORDS / 1_500).flat_map(|turn| {
        let seqs = turn * 1_500..(turn + 1) * 1_500;
        records(&topic, 0, (FIRST, 1 + u32::try_from(turn).expect("few")), seqs)
    });
    let steady = records(&topic, 1, (FIRST, 1), RECORDS..2 * RECORDS);
    let sent = lake.produce_raw(changing.zip(steady).flat_map(|(changing, steady)| [changing, steady]));
    let mut settings = settings(&lake, &topic, "s");
    settings.memory_budget_bytes = 2 << 20;
    settings.commit_bytes = 128 << 10;
    let writer = lake.start(settings);
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty());
    assert_eq!(lake.state(TABLE).totals().absent, 0, "nothing is passed over");
    assert_rows(&lake, sent);
}

#[test]
fn a_flood_of_ids_ends_in_quarantine_and_holds_no_other_up() {
    let registry = registry(|_| not_there());
    let flooded = RegistrySettings { unknown_schema_wait: Duration::from_secs(3), calls_per_second: 200, ..registry.settings.clone() };
    let (lake, topic) = (lake(&flooded), topic("flood", 2));
    let mut settings = settings(&lake, &topic, "s");
    settings.memory_budget_bytes = 64 << 20;
    let writer = lake.start(settings);
    let ids = || (0..1_500_u32).map(|n| 1_000 + n.wrapping_mul(2_654_435_761) % 1_000_000_000);
    let flood = ids().zip(0..).map(|(id, seq)| record(&topic, 0, (FIRST, id), seq, Value::Null));
    let refused = lake.produce_raw(flood);
    let mut good = 0;
    for round in 0..10 {
        let from = 10_000 + round * 100;
        good += lake.produce_raw(records(&topic, 1, (FIRST, 1), from..from + 100));
        let good = i64::try_from(good).expect("few");
        wait_until(Duration::from_secs(5), "the other kafka_partition", || next_offset(&lake, &topic, 1) == Some(good));
    }
    lake.wait_for_taken(TABLE, refused + good);
    assert!(writer.stop().stopped.is_empty());
    let (rows, quarantined) = lake.assert_exactly_once(TABLE);
    assert_eq!((rows.len() as u64, quarantined.len() as u64), (good, refused));
    assert!(quarantined.iter().all(|record| record.reason.as_deref() == Some("unknown_schema")));
    let times: Vec<_> = registry.server.requests().iter().map(|(at, _)| *at).collect();
    let most = times
        .iter()
        .enumerate()
        .map(|(index, start)| times[index..].iter().take_while(|at| **at < *start + Duration::from_secs(1)).count());
    assert!(most.max().unwrap_or(0) <= 250, "calls in a second");
}

#[test]
fn a_new_table_waits_for_its_subject_and_an_old_one_needs_no_registry() {
    let there = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&there);
    let server = RUNTIME.block_on(Server::start(move |path| match path {
        "/subjects/s/versions/latest" if told.load(Ordering::SeqCst) => {
            json(200, &serde_json::json!({ "id": 1, "version": 1, "schema": FIRST }))
        }
        _ => error(404, 40_401),
    }));
    let (lake, topic) = (lake(&registry_of(&server.url)), topic("begin", 1));
    let writer = lake.start(settings(&lake, &topic, "s"));
    let sent = lake.produce_raw(records(&topic, 0, (FIRST, 1), 0..10));
    wait_until(LONG, "a reason why it waits", || writer.health.not_ready().values().any(|why| why.contains("subject `s`")));
    there.store(true, Ordering::SeqCst);
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty());
    drop(RUNTIME.block_on(server.stop()));
    // The log has its schema: the table starts, and waits only for the id.
    let writer = lake.start(settings(&lake, &topic, "s"));
    let more = lake.produce_raw(records(&topic, 0, (FIRST, 1), 10..20));
    lake.wait_for_taken(TABLE, sent + more);
    assert!(writer.stop().stopped.is_empty());
    assert_rows(&lake, sent + more);
}

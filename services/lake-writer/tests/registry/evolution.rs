//! Tables whose schema grows.
use super::*;
use crate::harness::LONG;
use table_log::record::FileEntry;
use test_kit::{PythonReaders, RegistryServer, wait_until};

/// `seq|unit|scale` of all rows, by seq.
fn read_back(lake: &Lake) -> String {
    let files = format!("{}/{TABLE}/data/**/*.parquet", lake.folder().display());
    let readers = PythonReaders::prepare().expect("duckdb");
    let query =
        format!("SELECT seq, unit, scale FROM read_parquet('{files}', hive_partitioning = false, union_by_name = true) ORDER BY seq");
    readers.duckdb(&query).expect("readable files")
}

fn files(lake: &Lake) -> Vec<FileEntry> {
    let log = lake.log(TABLE);
    let refs: Vec<_> = log.state().live_files().flat_map(|(_, _, files)| files.to_vec()).collect();
    lake.block_on(log.files(&refs)).expect("entries")
}

fn schema_version(lake: &Lake) -> u32 {
    lake.state(TABLE).table.as_ref().map_or(0, |body| body.schema_version)
}

#[test]
fn interleaved_versions_are_in_one_file_and_old_ids_resolve_later() {
    let server = RegistryServer::shared();
    let (subject, topic) = (test_kit::unique_name("evolve-value"), topic("evolve", 1));
    let first = server.register(&subject, FIRST);
    let mut lake = lake(&registry_of(&server.url()));
    let writer = lake.start(settings(&lake, &topic, &subject));
    let mut sent = lake.produce_raw(records(&topic, 0, (FIRST, first), 0..10));
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty());
    let second = server.register(&subject, SECOND);
    let interleaved = (10..1_010).map(|seq| match seq % 2 {
        0 => record(&topic, 0, (FIRST, first), seq, Value::Null),
        _ => record(&topic, 0, (SECOND, second), seq, json!({ "unit": format!("u{seq}"), "scale": seq as f64 })),
    });
    sent += lake.produce_raw(interleaved);
    let mut once = settings(&lake, &topic, &subject);
    once.commit_interval = Duration::from_secs(5);
    let writer = lake.start(once);
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty());
    assert_eq!(schema_version(&lake), 2);
    let columns: Vec<_> = lake.state(TABLE).table.clone().expect("declared").columns.into_iter().map(|column| column.name).collect();
    assert_eq!(columns, ["seq", "event_time", "unit", "scale"], "what is new comes last");
    let of_second: Vec<u64> = files(&lake).iter().filter(|file| file.schema_version == 2).map(|file| file.rows).collect();
    assert_eq!(of_second, [999], "all but the first, which came before the schema was met");
    // Long after: a client that knows nothing yet meets the first id.
    lake.replace_schemas(|runtime| Arc::new(RegistrySchemas::start(&registry_of(&server.url()), runtime).expect("usable settings")));
    let writer = lake.start(settings(&lake, &topic, &subject));
    sent += lake.produce_raw(records(&topic, 0, (FIRST, first), 2_000..2_010));
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty());
    lake.assert_exactly_once(TABLE);
    let expected = (0..1_010).chain(2_000..2_010).map(|seq: i64| match seq {
        ..=10 => format!("{seq}|NULL|NULL\n"),
        ..1_010 if seq % 2 == 1 => format!("{seq}|u{seq}|{seq}.0\n"),
        // Of the first schema, written by the second: the default.
        _ => format!("{seq}|NULL|1.5\n"),
    });
    assert_eq!(read_back(&lake), expected.collect::<String>());
}

#[test]
fn writers_that_race_to_evolve_agree() {
    let server = RegistryServer::shared();
    let (subject, topic) = (test_kit::unique_name("race-value"), topic("race", 2));
    let first = server.register(&subject, FIRST);
    let field = |name: &str| FIRST.replace("]}", &format!(r#",{{"name":"{name}","type":["null","long"],"default":null}}]}}"#));
    let (left, right) = (field("left_value"), field("right_value"));
    let (left_id, right_id) = (server.register(&subject, &left), server.register(&test_kit::unique_name("race-value"), &right));
    let lake = lake(&registry_of(&server.url()));
    // Declared with the first schema.
    let subject_of_first = test_kit::unique_name("race-first-value");
    assert_eq!(server.register(&subject_of_first, FIRST), first, "the same text has the same id");
    let mut both = settings(&lake, &topic, &subject_of_first);
    both.shards = 2;
    let writer = lake.start(both.clone());
    let mut sent =
        lake.produce_raw((0..2).flat_map(|kp| records(&topic, kp, (FIRST, first), i64::from(kp) * 100..i64::from(kp) * 100 + 10)));
    lake.wait_for_taken(TABLE, sent);
    wait_until(LONG, "each shard to own one", || writer.metric("tributary_writer_owned_kafka_partitions") == 2.0);
    let of = |kafka_partition: i32, schema: (&str, u32), name: &str| {
        let from = 1_000 + i64::from(kafka_partition) * 1_000;
        (from..from + 500).map(|seq| record(&topic, kafka_partition, schema, seq, json!({ name: seq }))).collect::<Vec<_>>()
    };
    let (of_left, of_right) = (of(0, (&left, left_id), "left_value"), of(1, (&right, right_id), "right_value"));
    sent += lake.produce_raw(of_left.into_iter().zip(of_right).flat_map(|(left, right)| [left, right]));
    lake.wait_for_taken(TABLE, sent);
    assert!(writer.stop().stopped.is_empty());
    assert_eq!(schema_version(&lake), 3, "one after the other");
    lake.assert_exactly_once(TABLE);
    let files = format!("{}/{TABLE}/data/**/*.parquet", lake.folder().display());
    let query = format!(
        "SELECT count(left_value), sum(left_value - seq), count(right_value), sum(right_value - seq) FROM read_parquet('{files}', union_by_name = true)"
    );
    assert_eq!(PythonReaders::prepare().expect("duckdb").duckdb(&query).expect("readable"), "500|0|500|0\n");
}

#[test]
fn a_schema_that_does_not_fit_stops_its_table_and_no_other() {
    let server = RegistryServer::shared();
    let (subject, broken, whole) = (test_kit::unique_name("clash-value"), topic("clash", 1), topic("whole", 1));
    let first = server.register(&subject, FIRST);
    let clash = FIRST.replace(r#""name":"seq","type":"long""#, r#""name":"seq","type":{"type":"array","items":"string"}"#);
    let clash_id = server.register(&test_kit::unique_name("clash-value"), &clash);
    let lake = lake(&registry_of(&server.url()));
    let mut both = settings(&lake, &broken, &subject);
    let mut other = settings(&lake, &whole, &subject).tables.remove(0);
    other.table = table_log::TableName("other".to_owned());
    other.group = format!("{}.other", other.group);
    both.tables.push(other);
    let writer = lake.start(both);
    let sent = lake.produce_raw(records(&broken, 0, (FIRST, first), 0..50));
    let mut clashing = record(&broken, 0, (FIRST, clash_id), 50, Value::Null);
    clashing.value = clashing.value.map(|mut value| {
        value.truncate(5);
        value.extend([0, 0]);
        value
    });
    lake.produce_raw([clashing]);
    lake.produce_raw(records(&broken, 0, (FIRST, first), 51..100));
    wait_until(LONG, "the table to be stopped", || {
        writer
            .health
            .not_ready()
            .get("lake-writer/telemetry")
            .is_some_and(|why| why.contains("`seq`") && why.contains(&format!("`{clash_id}`")))
    });
    let more = lake.produce_raw(records(&whole, 0, (FIRST, first), 0..10));
    lake.wait_for_taken("other", more);
    let report = writer.stop();
    assert_eq!(
        report.stopped.iter().map(|(table, stop)| (table.0.as_str(), stop.situation())).collect::<Vec<_>>(),
        [(TABLE, "schema_changed")]
    );
    assert_eq!(
        next_offset(&lake, &broken, 0),
        Some(i64::try_from(sent).expect("few")),
        "what came before is committed, and nothing behind it"
    );
}

//! The writer on librdkafka's in-process broker: plumbing only, nothing here proves exactly-once.
mod harness;

use harness::{HOUR, Lake};
use kafka_io::{KafkaConfig, MockBroker, NewRecord, Security};
use std::collections::BTreeSet;
use test_kit::telemetry::{Kind, Malformation, TelemetryMix, TelemetryRecord};

fn mock() -> (MockBroker, Lake) {
    let broker = MockBroker::start().expect("a free port");
    let kafka = KafkaConfig { bootstrap_servers: broker.bootstrap_servers(), security: Security::Plaintext };
    (broker, Lake::new(kafka))
}

#[test]
fn rows_in_are_rows_out() {
    let (broker, lake) = mock();
    for topic in ["a", "b"] {
        broker.create_topic(topic, 2).expect("a new topic");
    }
    broker.create_topic("a.refused", 1).expect("a new topic");
    let mix = TelemetryMix {
        records: 3_000,
        step_us: 10_000_000,
        late_per_mille: 50,
        late_by_us: 3 * HOUR,
        malformed_per_mille: 30,
        ..TelemetryMix::default()
    };
    let mut sent = 0;
    let (mut rows, mut late, mut refused, mut seq_sum) = (0, 0, 0, 0);
    for (topic, seed) in [("a", 1), ("b", 2)] {
        let records: Vec<_> = TelemetryMix { seed, ..mix.clone() }.stream().collect();
        for record in &records {
            match &record.kind {
                Kind::Good(row) => (rows, seq_sum) = (rows + 1, seq_sum + row.seq),
                Kind::Late(row) => (rows, late, seq_sum) = (rows + 1, late + 1, seq_sum + row.seq),
                Kind::Malformed(_) => refused += 1,
            }
        }
        sent += lake.produce(topic, 2, records);
    }
    let header = ("tributary.reason".to_owned(), b"json_invalid".to_vec());
    sent += lake.produce_raw([NewRecord {
        topic: "a.refused".into(),
        value: Some(b"{".to_vec()),
        headers: vec![header],
        ..NewRecord::default()
    }]);
    sent += lake.produce_raw([NewRecord { topic: "b".into(), kafka_partition: Some(0), ..NewRecord::default() }]);
    let writer = lake.start(lake.settings("w", "telemetry", &["a", "b", "a.refused"]));
    lake.wait_for_taken("telemetry", sent);
    assert!(writer.stop().stopped.is_empty());
    let (found, quarantined) = lake.assert_exactly_once("telemetry");
    assert_eq!((found.len(), quarantined.len()), (rows, refused + 2));
    assert_eq!(found.iter().filter_map(|row| row.seq).sum::<i64>(), seq_sum);
    let late_found = found.iter().filter(|row| row.late).count();
    assert!(late_found >= late * 9 / 10 && late_found <= late, "{late_found} of {late} rows three hours behind are late");
    let reasons: BTreeSet<_> = quarantined.iter().filter_map(|record| record.reason.as_deref()).collect();
    for reason in ["bad_magic", "trailing_bytes", "unknown_schema", "invalid_utf8", "tombstone", "bridge_refused"] {
        assert!(reasons.contains(reason), "{reason} in {reasons:?}");
    }
}

#[test]
fn the_live_balance_comes_out() {
    let (broker, lake) = mock();
    broker.create_topic("a", 3).expect("a new topic");
    let sent = lake.produce("a", 3, TelemetryMix { records: 2_000, malformed_per_mille: 100, ..TelemetryMix::default() }.stream());
    let writer = lake.start(lake.settings("w", "telemetry", &["a"]));
    lake.wait_for_taken("telemetry", sent);
    test_kit::wait_until(harness::LONG, "metrics of the last commit", || writer.metric("tributary_writer_taken_total") as u64 == sent);
    let parts = ["rows", "quarantined", "skipped", "absent"].map(|part| writer.metric(&format!("tributary_writer_{part}_total")));
    assert_eq!(parts.iter().sum::<f64>() as u64, sent);
    assert!(parts[0] > 0.0 && parts[1] > 0.0);
    assert!(writer.health.not_ready().is_empty());
    writer.stop();
}

#[test]
fn a_restart_goes_on_where_the_log_ends() {
    let (broker, lake) = mock();
    broker.create_topic("a", 2).expect("a new topic");
    let stream = |seed| TelemetryMix { seed, records: 1_000, ..TelemetryMix::default() }.stream();
    let mut sent = lake.produce("a", 2, stream(1));
    for seed in 2..5 {
        let writer = lake.start(lake.settings("w", "telemetry", &["a"]));
        sent += lake.produce("a", 2, stream(seed));
        lake.wait_for_taken("telemetry", sent);
        assert!(writer.stop().stopped.is_empty());
    }
    let (rows, _) = lake.assert_exactly_once("telemetry");
    assert_eq!(rows.len() as u64, sent);
}

#[test]
fn only_malformed_input_stays_within_the_budget() {
    let (broker, lake) = mock();
    broker.create_topic("a", 2).expect("a new topic");
    let stream = TelemetryMix { records: 20_000, malformed_per_mille: 1_000, ..TelemetryMix::default() }.stream();
    let sent = lake.produce("a", 2, stream.chain(bombs(500)));
    let mut settings = lake.settings("w", "telemetry", &["a"]);
    settings.memory_budget_bytes = 2 << 20;
    settings.commit_bytes = 1 << 20;
    let writer = lake.start(settings);
    lake.wait_for_taken("telemetry", sent);
    assert!(writer.health.not_ready().is_empty());
    writer.stop();
    let (rows, refused) = lake.assert_exactly_once("telemetry");
    assert_eq!((rows.len(), refused.len() as u64), (0, sent));
}

/// Records of a few bytes that announce huge things: a text and a map of 2^63 - 1 entries, blocks of negative counts and sizes that do not fit.
fn bombs(of_each: usize) -> impl Iterator<Item = TelemetryRecord> {
    const HUGE: [u8; 10] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    const LOWEST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let before_tags = [0; 8];
    let bodies = [
        HUGE.to_vec(),
        LOWEST.to_vec(),
        [&before_tags[..], &HUGE].concat(),
        [&before_tags[..], &LOWEST, &[0]].concat(),
        [&before_tags[..], &[0x03], &HUGE, &[0; 4]].concat(),
    ];
    let record = |body: Vec<u8>| TelemetryRecord {
        key: b"bomb".to_vec(),
        value: [vec![0, 0, 0, 0, 1], body].concat(),
        timestamp_ms: 1_767_225_600_000,
        kind: Kind::Malformed(Malformation::Truncated),
    };
    (0..of_each).flat_map(move |_| bodies.clone()).map(record)
}

#[test]
fn a_table_waits_for_its_topic() {
    let (broker, lake) = mock();
    let writer = lake.start(lake.settings("w", "telemetry", &["later"]));
    test_kit::wait_until(harness::LONG, "a reason why it waits", || writer.health.not_ready().values().any(|why| why.contains("later")));
    broker.create_topic("later", 1).expect("a new topic");
    let sent = lake.produce("later", 1, TelemetryMix { records: 10, ..TelemetryMix::default() }.stream());
    lake.wait_for_taken("telemetry", sent);
    assert!(writer.stop().stopped.is_empty());
}

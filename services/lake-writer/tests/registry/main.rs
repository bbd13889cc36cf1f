//! The writer with a schema registry: on Apicurio and a real broker, and with a registry that fails in all ways.
mod evolution;
#[path = "../harness/mod.rs"]
mod harness;
mod real;
#[path = "../../../../crates/event-schema/tests/registry/server.rs"]
mod server;
mod waiting;

use event_schema::{
    encode::AvroEncoder,
    registry::{RegistrySchemas, RegistrySettings},
};
use harness::Lake;
use kafka_io::NewRecord;
use lake_writer::WriterSettings;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use table_log::{KafkaPartition, Offset, SourcePartition};
use test_kit::KafkaServer;

/// The table of all these tests.
const TABLE: &str = "telemetry";
/// 2026-01-01T00:00:00Z, in milliseconds.
const START_MS: i64 = 1_767_225_600_000;

/// Schema A: a table's first.
const FIRST: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"seq","type":"long"},{"name":"event_time","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
/// Schema B: two more columns.
const SECOND: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"unit","type":["null","string"],"default":null},{"name":"seq","type":"long"},
    {"name":"event_time","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"scale","type":"double","default":1.5}]}"#;

fn registry_of(url: &str) -> RegistrySettings {
    RegistrySettings { urls: vec![url.to_owned()], timeout: Duration::from_millis(500), ..RegistrySettings::default() }
}

/// A lake whose schemas come from a registry.
fn lake(settings: &RegistrySettings) -> Lake {
    Lake::with(KafkaServer::shared().config(), |runtime| Arc::new(RegistrySchemas::start(settings, runtime).expect("usable settings")))
}

fn topic(prefix: &str, partitions: i32) -> String {
    let name = test_kit::unique_name(prefix);
    let kept = [("retention.ms".to_owned(), "-1".to_owned())];
    KafkaServer::shared().admin().create_topic(&name, partitions, 1, &kept).expect("a new topic");
    name
}

fn settings(lake: &Lake, topic: &str, subject: &str) -> WriterSettings {
    let mut settings = lake.settings("w", TABLE, &[topic]);
    settings.tables[0].subject = subject.to_owned();
    settings
}

/// A record of a schema, with more fields than `seq` and `event_time` if need be.
fn record(topic: &str, kafka_partition: i32, (schema, id): (&str, u32), seq: i64, more: Value) -> NewRecord {
    encoded(&AvroEncoder::new(schema, id).expect("a schema"), (topic, kafka_partition), seq, more)
}

fn encoded(encoder: &AvroEncoder, (topic, kafka_partition): (&str, i32), seq: i64, more: Value) -> NewRecord {
    let mut row = json!({ "seq": seq, "event_time": START_MS + seq });
    row.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
    let value = encoder.encode_json(row.to_string().as_bytes()).expect("a row that fits");
    NewRecord {
        topic: topic.to_owned(),
        kafka_partition: Some(kafka_partition),
        value: Some(value),
        timestamp_ms: Some(START_MS + seq),
        ..NewRecord::default()
    }
}

/// Records `seqs` of one schema without further fields.
fn records(topic: &str, kafka_partition: i32, schema: (&str, u32), seqs: std::ops::Range<i64>) -> Vec<NewRecord> {
    let encoder = AvroEncoder::new(schema.0, schema.1).expect("a schema");
    seqs.map(|seq| encoded(&encoder, (topic, kafka_partition), seq, Value::Null)).collect()
}

fn next_offset(lake: &Lake, topic: &str, kafka_partition: i32) -> Option<i64> {
    let source = SourcePartition { topic: topic.into(), generation: 1, kafka_partition: KafkaPartition(kafka_partition) };
    lake.state(TABLE).next_offset(&source).map(|Offset(offset)| offset)
}

//! The records of these tests: a schema, documents, and what they must be in Kafka.
use test_kit::StoredRecord;

pub const SCHEMA_ID: u32 = 7;

pub const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
  {"name":"device_id","type":"string"},
  {"name":"seq","type":"long"},
  {"name":"value","type":"double"},
  {"name":"message_id","type":["null","string"],"default":null}
]}"#;

/// A decoded one.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub device_id: String,
    pub seq: i64,
    pub value: f64,
    pub message_id: Option<String>,
}

pub fn document(device: u32, seq: u64) -> String {
    format!("{{\"device_id\": \"d{device}\", \"seq\": {seq}, \"value\": {}.5}}", seq % 50)
}

/// By the schema above, written out by hand: nothing of the encoder is used.
pub fn decoded(record: &StoredRecord) -> Reading {
    let mut avro = record.avro(SCHEMA_ID);
    let (device_id, seq, value) = (avro.text(), avro.long(), avro.double());
    let message_id = (avro.long() == 1).then(|| avro.text());
    avro.end();
    Reading { device_id, seq, value, message_id }
}

//! The records of these tests.
use test_kit::StoredRecord;

pub const SCHEMA_ID: u32 = 7;

pub const SCHEMA: &str = r#"{"type":"record","name":"Telemetry","fields":[
  {"name":"device_id","type":"string"},
  {"name":"seq","type":"long"},
  {"name":"measured_at","type":{"type":"long","logicalType":"timestamp-millis"}}
]}"#;

/// Device and sequence number, from the record's bytes: a string, a long.
pub fn identity(record: &StoredRecord) -> (String, i64) {
    let mut avro = record.avro(SCHEMA_ID);
    let (device, seq) = (avro.text(), avro.long());
    assert_eq!(record.key.as_ref(), Some(&device), "the key is the device");
    (device, seq)
}

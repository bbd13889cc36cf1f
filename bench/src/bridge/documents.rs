//! What clients post and devices publish: JSON of ten fields in about two hundred bytes.
use anyhow::Result;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::{fmt::Write as _, fs, path::Path};

/// Kafka topic, and the subject without its ending.
pub const TOPIC: &str = "readings";
/// Its kafka_partitions.
pub const KAFKA_PARTITIONS: i32 = 12;
/// Schema id of the subject.
pub const SCHEMA_ID: u32 = 1;
/// Devices, in turns.
pub const DEVICES: u64 = 500;
/// The subject's schema.
pub const SCHEMA: &str = r#"{"type":"record","name":"Reading","schema_id":1,"fields":[
  {"name":"device_id","type":"string"},
  {"name":"measured_at","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"sequence","type":"long"},
  {"name":"site","type":"string"},
  {"name":"temperature","type":"double"},
  {"name":"humidity","type":["null","double"],"default":null},
  {"name":"pressure","type":"double"},
  {"name":"battery","type":"int"},
  {"name":"charging","type":"boolean"},
  {"name":"firmware","type":"string"}
]}"#;

/// Writes the schema where the settings look for it.
pub fn write_schema(schemas: &Path) -> Result<()> {
    let folder = schemas.join(format!("{TOPIC}-value"));
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(format!("v{SCHEMA_ID}.avsc")), SCHEMA)?)
}

/// Name of the device that document `number` comes from.
pub fn device(number: u64) -> String {
    format!("device-{:05}", number % DEVICES)
}

/// Adds document `number` to `text`, without its device if that is in the MQTT topic.
pub fn add(text: &mut String, number: u64, with_device: bool) {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let device = if with_device { format!("\"device_id\":\"{}\",", device(number)) } else { String::new() };
    let humidity = if random.random_ratio(9, 10) { format!("{:.1}", random.random_range(0.0..100.0_f64)) } else { "null".to_owned() };
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "{{{device}\"measured_at\":{},\"sequence\":{number},\"site\":\"hall-{}-north\",\"temperature\":{:.2},\"humidity\":{humidity},\
         \"pressure\":{:.1},\"battery\":{},\"charging\":{},\"firmware\":\"2.14.1-lts\"}}",
        1_767_225_600_000 + number * 10,
        number % 8,
        random.random_range(-20.0..45.0_f64),
        random.random_range(983.0..1_043.0_f64),
        random.random_range(0..101),
        random.random_ratio(1, 8),
    );
}

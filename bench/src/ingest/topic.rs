//! The topic that all runs read: five million records of ten columns in about eighty bytes.
use anyhow::Result;
use kafka_io::{KafkaConfig, NewRecord, Producer};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::{fs, ops::Range, path::Path, time::Duration};

/// Name of the topic.
pub const TOPIC: &str = "measurements";
/// Its kafka_partitions.
pub const KAFKA_PARTITIONS: i32 = 12;
/// Schema id in the frames; the subject's `v1.avsc`.
pub const SCHEMA_ID: u32 = 1;
/// Devices, which take turns at random; also the lake partitions of the wide run.
pub const DEVICES: u32 = 10_000;
/// The writer's schema, and so the table's.
pub const SCHEMA: &str = r#"{"type":"record","name":"Measurement","schema_id":1,"fields":[
  {"name":"device","type":"string"},
  {"name":"measured_at","type":{"type":"long","logicalType":"timestamp-micros"}},
  {"name":"sequence","type":"long"},
  {"name":"site","type":"string"},
  {"name":"temperature","type":"double"},
  {"name":"humidity","type":["null","double"]},
  {"name":"pressure","type":"double"},
  {"name":"battery","type":"int"},
  {"name":"charging","type":"boolean"},
  {"name":"firmware","type":"string"}
]}"#;

/// 2026-01-01T00:00:00Z.
const START_US: i64 = 1_767_225_600_000_000;
/// All records lie in so much event time: six windows of an hour.
const SPAN_US: i64 = 6 * 3_600_000_000;
const SITES: [&str; 8] = ["hall-1-north", "hall-1-south", "hall-2-north", "hall-2-south", "yard-east", "yard-west", "roof-a", "roof-b"];
const FIRMWARES: [&str; 3] = ["2.14.1-lts", "2.15.0", "3.0.0-beta"];

/// Writes the schema where the settings look for it.
pub fn write_schema(schemas: &Path) -> Result<()> {
    let folder = schemas.join(format!("{TOPIC}-value"));
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(format!("v{SCHEMA_ID}.avsc")), SCHEMA)?)
}

/// Produces the records of these numbers, compressed with lz4; `records` of them fill the event time. Returns the bytes of their values.
pub fn produce(config: &KafkaConfig, numbers: Range<u64>, records: u64) -> Result<u64> {
    let properties = [("compression.type", "lz4"), ("linger.ms", "50"), ("batch.size", "1000000")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut producer = Producer::new(config, &properties)?;
    let mut random = ChaCha8Rng::seed_from_u64(20_261_121);
    let mut bytes = 0;
    for number in numbers {
        let event_us = START_US + (SPAN_US as i128 * i128::from(number) / i128::from(records)) as i64;
        let device = random.random_range(0..DEVICES);
        let value = value(device, event_us, number, &mut random);
        bytes += value.len() as u64;
        producer.send(NewRecord {
            topic: TOPIC.to_owned(),
            kafka_partition: Some((device % KAFKA_PARTITIONS as u32) as i32),
            value: Some(value),
            timestamp_ms: Some(event_us / 1_000),
            ..NewRecord::default()
        })?;
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(bytes)
}

fn value(device: u32, event_us: i64, number: u64, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut avro = Vec::with_capacity(96);
    avro.push(0);
    avro.extend(SCHEMA_ID.to_be_bytes());
    text(&mut avro, &format!("device-{device:05}"));
    long(&mut avro, event_us);
    long(&mut avro, number as i64);
    text(&mut avro, SITES[device as usize % SITES.len()]);
    double(&mut avro, f64::from(random.random_range(-2_000..4_500)) / 100.0);
    if random.random_ratio(9, 10) {
        long(&mut avro, 1);
        double(&mut avro, f64::from(random.random_range(0..1_000)) / 10.0);
    } else {
        long(&mut avro, 0);
    }
    double(&mut avro, 1_013.0 + f64::from(random.random_range(-300..300)) / 10.0);
    long(&mut avro, random.random_range(0..101));
    avro.push(u8::from(random.random_ratio(1, 8)));
    text(&mut avro, FIRMWARES[device as usize % FIRMWARES.len()]);
    avro
}

fn long(avro: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        avro.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    avro.push(rest as u8);
}

fn text(avro: &mut Vec<u8>, value: &str) {
    long(avro, value.len() as i64);
    avro.extend(value.as_bytes());
}

fn double(avro: &mut Vec<u8>, value: f64) {
    avro.extend(value.to_le_bytes());
}

//! CPU time that decoding takes, per million rows: `cargo bench --package event-schema --bench decode`.
//!
//! One thread, batches of 8,192 rows as the lake-writer decodes them, best of several rounds. The records are flat, of ten columns and about
//! eighty bytes.
#![expect(clippy::print_stdout, reason = "the result is for people")]

use event_schema::{BatchDecoder, Limits, Push, SchemaFolder, TableSchema, encode::AvroEncoder};
use serde_json::json;
use std::{hint::black_box, sync::Arc};

const ID: u32 = 1;
const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"sequence","type":"long"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"device","type":"string"},
    {"name":"site","type":"string"},
    {"name":"channel","type":"int"},
    {"name":"temperature","type":"double"},
    {"name":"pressure","type":"double"},
    {"name":"humidity","type":["null","double"],"default":null},
    {"name":"valid","type":"boolean"},
    {"name":"state","type":{"type":"enum","name":"State","symbols":["RUNNING","IDLE","FAULT"]}}]}"#;
const DISTINCT: u64 = 50_000;
const ROUNDS: usize = 12;
const ROWS_PER_ROUND: usize = 1_000_000;
const ROWS_PER_BATCH: usize = 8_192;

fn records() -> Vec<Vec<u8>> {
    let encoder = AvroEncoder::new(SCHEMA, ID).expect("the schema is usable");
    let states = ["RUNNING", "IDLE", "FAULT"];
    let record = |i: u64| {
        let state = states[(i % 3) as usize];
        let row = json!({
            "sequence": i * 977, "at": 1_795_000_000_000_000_u64 + i * 1_003, "device": format!("device-{:06}-unit", i * 7 % 10_000),
            "site": format!("site-{:03}", i % 97), "channel": i % 32, "temperature": i as f64 * 0.37, "pressure": 101_300.0 + i as f64,
            "humidity": if i.is_multiple_of(10) { None } else { Some(i as f64 / 1e3) }, "valid": !i.is_multiple_of(50), "state": state,
        });
        encoder.encode_json(row.to_string().as_bytes()).expect("the row fits the schema")
    };
    (0..DISTINCT).map(record).collect()
}

/// CPU time of this thread, which other processes do not disturb much. Linux only.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux shows the time of each thread");
    let nanos: u64 = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("the first number is nanoseconds on the CPU");
    nanos as f64 / 1e9
}

fn main() {
    let records = records();
    let bytes: usize = records.iter().map(Vec::len).sum();
    let schema = Arc::new(TableSchema::parse(SCHEMA).expect("the schema is usable"));
    let schemas = Arc::new(SchemaFolder::from_schemas("readings", [(ID, SCHEMA.to_owned())]));
    let mut decoder = BatchDecoder::new(schema, schemas, Limits::default());
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = cpu_seconds();
        for (index, record) in records.iter().cycle().take(ROWS_PER_ROUND).enumerate() {
            assert!(matches!(decoder.push(record), Push::Row), "the records are good");
            if index % ROWS_PER_BATCH == ROWS_PER_BATCH - 1 {
                black_box(decoder.flush().expect("the rows are decoded"));
            }
        }
        black_box(decoder.flush().expect("the rows are decoded"));
        best = best.min(cpu_seconds() - start);
    }
    let mean_bytes = bytes as f64 / records.len() as f64;
    println!("{best:.4} CPU-seconds per million rows of {mean_bytes:.0} bytes ({:.0} MB/s)", mean_bytes / best);
}

//! CPU time that encoding JSON takes, per million documents: `cargo bench --package event-schema --bench encode`.
//!
//! One thread, best of several rounds. The documents are flat, of ten fields and about 150 bytes, with the fields in the schema's order, in
//! another one, and with the device's id supplied from outside, as the bridge has it from the MQTT topic.
#![expect(clippy::print_stdout, reason = "the result is for people")]

use event_schema::encode::{AvroEncoder, Conflict, EncodeOptions, Room, Supplied, UnknownFields};
use std::hint::black_box;

const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"seq","type":"long"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"device","type":"string"},
    {"name":"site","type":"string"},
    {"name":"channel","type":"int"},
    {"name":"temperature","type":"double"},
    {"name":"pressure","type":"double"},
    {"name":"humidity","type":["null","double"],"default":null},
    {"name":"valid","type":"boolean"},
    {"name":"state","type":{"type":"enum","name":"State","symbols":["RUNNING","IDLE","FAULT"]}}]}"#;
const DISTINCT: u64 = 20_000;
const ROUNDS: usize = 12;
const DOCUMENTS_PER_ROUND: usize = 500_000;

/// The members of a document, in the schema's order.
fn members(i: u64) -> Vec<String> {
    let state = ["RUNNING", "IDLE", "FAULT"][(i % 3) as usize];
    vec![
        format!(r#""seq":{}"#, i * 977),
        format!(r#""at":{}"#, 1_795_000_000_000_u64 + i * 1_003),
        format!(r#""device":"device-{:06}""#, i * 7 % 10_000),
        format!(r#""site":"site-{:03}""#, i % 97),
        format!(r#""channel":{}"#, i % 32),
        format!(r#""temperature":{:.2}"#, i as f64 * 0.37 % 60.0),
        format!(r#""pressure":{:.1}"#, 1_013.0 + (i % 100) as f64 / 10.0),
        format!(r#""humidity":{}"#, if i.is_multiple_of(10) { "null".to_owned() } else { format!("{:.1}", (i % 1_000) as f64 / 10.0) }),
        format!(r#""valid":{}"#, !i.is_multiple_of(50)),
        format!(r#""state":"{state}""#),
    ]
}

/// CPU time of this thread, which other processes do not disturb much. Linux only.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux shows the time of each thread");
    let nanos: u64 = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("the first number is nanoseconds on the CPU");
    nanos as f64 / 1e9
}

fn measure(name: &str, options: EncodeOptions, documents: &[String]) {
    let encoder = AvroEncoder::with_options(SCHEMA, 1, options).expect("the schema is usable");
    let supplied = ["device-000007"].map(Some);
    let (mut room, mut out, mut best) = (Room::default(), Vec::new(), f64::MAX);
    for _ in 0..ROUNDS {
        let start = cpu_seconds();
        for document in documents.iter().cycle().take(DOCUMENTS_PER_ROUND) {
            out.clear();
            black_box(encoder.encode(document.as_bytes(), &supplied, &mut room, &mut out).expect("the documents are good"));
        }
        best = best.min(cpu_seconds() - start);
    }
    let bytes: usize = documents.iter().map(String::len).sum();
    let (mean_bytes, micros) = (bytes as f64 / documents.len() as f64, best / DOCUMENTS_PER_ROUND as f64 * 1e6);
    println!("{name:<40} {micros:.3} µs per document of {mean_bytes:.0} bytes ({:.0} MB/s)", mean_bytes / micros);
}

fn main() {
    let joined = |order: &[usize]| -> Vec<String> {
        let document = |i| {
            let members = members(i);
            format!("{{{}}}", order.iter().map(|at| members[*at].as_str()).collect::<Vec<_>>().join(","))
        };
        (0..DISTINCT).map(document).collect()
    };
    let keyed = || EncodeOptions { key: Some("device".to_owned()), unknown_fields: UnknownFields::Ignore, ..EncodeOptions::default() };
    measure("in the schema's order", keyed(), &joined(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    measure("in another order", keyed(), &joined(&[2, 9, 1, 0, 5, 7, 6, 3, 8, 4]));
    let supplied = vec![Supplied { field: "device".to_owned(), conflict: Conflict::Refuse }];
    let outside = EncodeOptions { supplied, ..keyed() };
    measure("in its order, the device from outside", outside, &joined(&[0, 1, 3, 4, 5, 6, 7, 8, 9]));
}

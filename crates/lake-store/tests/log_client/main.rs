//! The stores against the conformance suite, and the log client against the memory store.
mod caches;
mod commit;
mod files;
#[path = "../lake/mod.rs"]
mod lake;
mod publish;
mod stores;

use lake::{Place, Row, plain_range, source_body, stage, table_body, table_name};
use lake_store::{CommitOutcome, LakeStore, MemoryStore, TableLog, TableLogOptions};
use std::future::pending;
use std::sync::Arc;
use table_log::key::DataFolder;
use table_log::record::{AppendBody, AppendRange, Body, FileEntry};
use table_log::{Record, Seq};
use windowing::{Micros, Time};

/// Options with a seed, so that every run of a test is the same.
fn options(writer: &str) -> TableLogOptions {
    TableLogOptions { seed: Some(number_of(writer)), wall_clock: || Time(0), ..TableLogOptions::new(writer) }
}

fn number_of(name: &str) -> u64 {
    name.bytes().fold(0, |number: u64, byte| number.wrapping_mul(31).wrapping_add(byte.into()))
}

async fn open(store: &MemoryStore, writer: &str) -> TableLog {
    open_with(store, options(writer)).await
}

async fn open_with(store: &MemoryStore, options: TableLogOptions) -> TableLog {
    TableLog::open(Arc::new(store.clone()), table_name(), options).await.expect("open")
}

/// A table with `kafka_partitions` sources: two records.
async fn new_table(store: &MemoryStore, kafka_partitions: i32) -> TableLog {
    let log = open(store, "first").await;
    commit(&log, Body::Table(table_body(1, Micros::from_secs(10)))).await;
    commit(&log, source_body(kafka_partitions)).await;
    log
}

async fn outcome(log: &TableLog, body: Body) -> CommitOutcome {
    log.commit(body, pending()).await.expect("commit")
}

async fn commit(log: &TableLog, body: Body) -> Arc<Record> {
    match outcome(log, body).await {
        CommitOutcome::Committed(record) => record,
        other => panic!("not committed: {other:?}"),
    }
}

/// Stages one file with the offsets `[start, end)`, all of the first minute.
async fn staged(log: &TableLog, name: &str, start: i64, end: i64) -> FileEntry {
    let rows: Vec<Row> = (start..end).map(|offset| Row { kafka_partition: 0, offset, event_time: Time(offset) }).collect();
    let base = Seq(log.state().next_seq.0 - 1);
    let staging = uuid::Uuid::from_u64_pair(number_of(name), start.unsigned_abs()).to_string();
    let place = Place::Data(Time(0), DataFolder::Open);
    stage(&**log.store(), &place, base, &staging, &rows).await.expect("stage")
}

fn append(ranges: Vec<AppendRange>, files: Vec<FileEntry>) -> Body {
    Body::Append(AppendBody { ranges, files, quarantine: Vec::new(), file_list: None })
}

/// An append of the offsets `[start, end)` of kafka_partition 0 with one file.
async fn append_of(log: &TableLog, name: &str, start: i64, end: i64) -> Body {
    append(vec![plain_range(0, start, end, None)], vec![staged(log, name, start, end).await])
}

async fn exists(store: &MemoryStore, key: &str) -> bool {
    store.head(key).await.expect("head").is_some()
}

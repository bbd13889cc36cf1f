//! Bodies and files of a small table, for the tests of this crate. A file's content names its rows, one `kafka_partition,offset,event_time` a line.
#![allow(dead_code, reason = "each test uses its part")]
use lake_store::{LakeStore, StoreError};
use std::collections::BTreeMap;
use table_log::key::{DataFolder, Key, Layout};
use table_log::record::{AppendRange, Body, Catalog, Column, FileEntry, SourceBody, SourceDeclaration, TableBody, TableSettings};
use table_log::{KafkaPartition, LakePartition, Offset, OffsetRange, Seq, SourcePartition, TableName};
use windowing::{Micros, Time, Watermark, WindowSize};

pub const TOPIC: &str = "events";

/// Identity and event time of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    pub kafka_partition: i32,
    pub offset: i64,
    pub event_time: Time,
}

pub fn table_name() -> TableName {
    TableName("events".to_owned())
}

pub fn window_size() -> WindowSize {
    WindowSize::new(Micros::MINUTE).expect("a minute is a window")
}

pub fn layout() -> Layout {
    Layout { table: table_name(), window: window_size(), partition_by: Vec::new() }
}

pub fn table_body(schema_version: u32, allowed_lateness: Micros) -> TableBody {
    let settings = TableSettings {
        event_time: Some("at".to_owned()),
        window: window_size(),
        partition_by: Vec::new(),
        allowed_lateness,
        out_of_orderness: Micros::from_secs(5),
        idle_timeout: Some(Micros::MINUTE),
        max_future: Micros::HOUR,
        max_past: Micros::DAY,
        dedupe_by: Vec::new(),
        sort_by: Vec::new(),
        catalog: Catalog::Glue,
    };
    let columns = vec![Column { name: "at".to_owned(), glue_type: "timestamp".to_owned() }];
    TableBody { schema_version, avro_schema: "\"long\"".to_owned(), columns, settings }
}

pub fn source_body(kafka_partitions: i32) -> Body {
    let source = SourceDeclaration {
        cluster_id: "cluster".to_owned(),
        topic: TOPIC.to_owned(),
        topic_id: None,
        generation: 1,
        refused: false,
        starts: (0..kafka_partitions).map(|number| (KafkaPartition(number), Offset(0))).collect::<BTreeMap<_, _>>(),
    };
    Body::Source(SourceBody { sources: vec![source], retired: Vec::new() })
}

pub fn source(kafka_partition: i32) -> SourcePartition {
    SourcePartition { topic: TOPIC.to_owned(), generation: 1, kafka_partition: KafkaPartition(kafka_partition) }
}

/// A range without refused, skipped or absent offsets.
pub fn plain_range(kafka_partition: i32, start: i64, end: i64, watermark: Watermark) -> AppendRange {
    AppendRange {
        source: source(kafka_partition),
        range: OffsetRange { start: Offset(start), end: Offset(end) },
        rows: (end - start).unsigned_abs(),
        quarantined: 0,
        skipped: 0,
        absent: 0,
        watermark,
        leader_epoch: None,
    }
}

/// A table derived from the first one.
pub fn derived_table_name() -> TableName {
    TableName("pairs".to_owned())
}

pub fn derived_window_size() -> WindowSize {
    WindowSize::new(Micros(2 * Micros::MINUTE.0)).expect("two minutes are a window")
}

pub fn derived_layout() -> Layout {
    Layout { table: derived_table_name(), window: derived_window_size(), partition_by: Vec::new() }
}

pub fn derived_table_body() -> TableBody {
    let mut body = table_body(1, Micros::ZERO);
    body.avro_schema.clear();
    body.settings.window = derived_window_size();
    body.settings.catalog = Catalog::None;
    body
}

/// Which file is to be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Data(Time, DataFolder),
    Quarantine(Time),
    /// Rows by twos: one that is dropped, then the one that is kept for it.
    Duplicates(Time),
    /// A revision of a derived window.
    Derived(Time, u32),
}

pub fn encode(rows: &[Row]) -> Vec<u8> {
    let lines = rows.iter().map(|row| format!("{},{},{}\n", row.kafka_partition, row.offset, row.event_time.0));
    lines.collect::<String>().into_bytes()
}

pub fn decode(body: &[u8]) -> Vec<Row> {
    let text = std::str::from_utf8(body).expect("a file of this test is text");
    let rows = text.lines().map(|line| {
        let numbers: Vec<i64> = line.split(',').map(|number| number.parse().expect("a number")).collect();
        Row { kafka_partition: i32::try_from(numbers[0]).expect("a kafka_partition"), offset: numbers[1], event_time: Time(numbers[2]) }
    });
    rows.collect()
}

/// Stages a file of these rows.
pub async fn stage(store: &dyn LakeStore, place: &Place, base: Seq, staging: &str, rows: &[Row]) -> Result<FileEntry, StoreError> {
    let (window_start, late, layout) = match place {
        Place::Data(window_start, folder) => (*window_start, *folder == DataFolder::Late, layout()),
        Place::Quarantine(start) | Place::Duplicates(start) => (*start, false, layout()),
        Place::Derived(window_start, _) => (*window_start, false, derived_layout()),
    };
    let lake_partition = LakePartition { window_start, values: Vec::new() };
    let (at, staging) = (lake_partition.clone(), staging.to_owned());
    let key = layout.path(&match place {
        Place::Data(_, folder) => Key::Data { lake_partition: at, folder: *folder, base, staging },
        Place::Derived(_, revision) => Key::Data { lake_partition: at, folder: DataFolder::Revision(*revision), base, staging },
        Place::Quarantine(day) => Key::Quarantine { day: *day, base, staging },
        Place::Duplicates(_) => Key::Duplicates { lake_partition: at, base, staging },
    });
    let per_row = if matches!(place, Place::Duplicates(_)) { 2 } else { 1 };
    let mut file = store.stage(&key).await?;
    file.write(encode(rows).into()).await?;
    let (upload, bytes) = file.finish().await?;
    let times = || rows.iter().map(|row| row.event_time);
    Ok(FileEntry {
        key,
        lake_partition,
        late,
        rows: (rows.len() / per_row) as u64,
        bytes,
        event_time_min: times().min().expect("a file has rows"),
        event_time_max: times().max().expect("a file has rows"),
        schema_version: 1,
        staged_on: base,
        upload,
    })
}

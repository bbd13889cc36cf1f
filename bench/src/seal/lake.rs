//! The lake that is sealed: one window of an hour that devices filled through many commits, with repeated and late rows, and closed.
use anyhow::{Context, Result, bail};
use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::SchemaRef,
};
use event_schema::TableSchema;
use lake_file::{EncodeOptions, FileEncoder, Footer};
use lake_store::{CommitOutcome, LakeStore, LocalStore, TableLog, TableLogOptions};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::{path::Path, sync::Arc};
use table_log::{
    KafkaPartition, LakePartition, Offset, OffsetRange, Record, Seq, SourcePartition, TableName, TableState,
    key::{DataFolder, Key, Layout},
    record::{AppendBody, AppendRange, Body, FileEntry, SourceBody, SourceDeclaration, TableBody, TableSettings},
};
use windowing::{Micros, Time, WindowSize};

/// Name of the table and of its topic.
pub const TABLE: &str = "measurements";
/// 2026-01-01T00:00:00Z, start of the window.
pub const WINDOW_START: Time = Time(1_767_225_600_000_000);
/// Rows of a file that a commit appends.
const FILE_ROWS: u64 = 100_000;
/// Of a hundred rows so many repeat one of shortly before, with an offset of its own.
const REPEATED_PERCENT: u64 = 3;
/// Of a hundred files so many come when their window is closed.
const LATE_PERCENT: u64 = 5;
const DEVICES: u32 = 10_000;
const SITES: [&str; 8] = ["hall-1-north", "hall-1-south", "hall-2-north", "hall-2-south", "yard-east", "yard-west", "roof-a", "roof-b"];
const FIRMWARES: [&str; 3] = ["2.14.1-lts", "2.15.0", "3.0.0-beta"];

/// What is in the lake.
#[derive(Clone, Copy, Debug)]
pub struct Contents {
    /// Rows of all files.
    pub rows: u64,
    /// Rows that a seal keeps.
    pub distinct: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes the lake with about `rows` rows in `folder`.
pub async fn make(folder: &Path, settings: TableSettings, rows: u64) -> Result<Contents> {
    let store: Arc<dyn LakeStore> = Arc::new(LocalStore::open(folder)?);
    let log = TableLog::open(Arc::clone(&store), TableName(TABLE.to_owned()), TableLogOptions::new("bench")).await?;
    let schema = TableSchema::parse(crate::ingest::SCHEMA)?;
    let fields = schema.arrow().fields().iter().map(|field| field.as_ref().clone()).chain(event_schema::identity_fields());
    let file_schema: SchemaRef = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    let columns = schema.columns();
    commit(&log, Body::Table(TableBody { schema_version: 1, avro_schema: schema.avro_json().to_owned(), columns, settings })).await?;
    commit(&log, Body::Source(SourceBody { sources: vec![source()], retired: Vec::new() })).await?;
    let mut maker = Maker { store, log, file_schema, random: ChaCha8Rng::seed_from_u64(20_261_121), total: rows, next: 0 };
    let mut contents = Contents { rows: 0, distinct: 0, files: 0, bytes: 0 };
    let files = rows.div_ceil(FILE_ROWS);
    let on_time = files - files * LATE_PERCENT / 100;
    for number in 0..files {
        let entry = maker.append(number, on_time, &mut contents).await?;
        contents.files += 1;
        contents.rows += entry.rows;
        contents.bytes += entry.bytes;
    }
    Ok(contents)
}

struct Maker {
    store: Arc<dyn LakeStore>,
    log: TableLog,
    file_schema: SchemaRef,
    random: ChaCha8Rng,
    total: u64,
    /// Sequence number of the next row that is not a repetition.
    next: u64,
}

impl Maker {
    /// One commit with one file. The last of those on time moves the watermark to the window's end, so the others are late.
    async fn append(&mut self, number: u64, on_time: u64, contents: &mut Contents) -> Result<FileEntry> {
        let (state, late) = (self.log.state(), number >= on_time);
        let rows = self.rows(number);
        contents.distinct += rows.iter().filter(|row| !row.repeats).count() as u64;
        let file = self.stage(&state, &self.batch(&rows, number)?, late).await?;
        let watermark = if number + 1 >= on_time { WINDOW_START + Micros::HOUR } else { WINDOW_START };
        let range = AppendRange {
            source: SourcePartition { topic: TABLE.to_owned(), generation: 1, kafka_partition: KafkaPartition(0) },
            range: OffsetRange { start: Offset((number * FILE_ROWS) as i64), end: Offset((number * FILE_ROWS + file.rows) as i64) },
            rows: file.rows,
            quarantined: 0,
            skipped: 0,
            absent: 0,
            watermark: Some(watermark),
            leader_epoch: None,
        };
        let body = AppendBody { ranges: vec![range], files: vec![file.clone()], quarantine: Vec::new(), file_list: None };
        let record = commit(&self.log, Body::Append(body)).await?;
        self.log.publish(&record).await?;
        Ok(file)
    }

    /// Devices take turns at random; a repetition is of a row of this file, so it is always of the same window and batch of offsets.
    fn rows(&mut self, number: u64) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::with_capacity(FILE_ROWS as usize);
        for _ in 0..FILE_ROWS.min(self.total - number * FILE_ROWS) {
            let repeated = (!rows.is_empty() && self.random.random_ratio(REPEATED_PERCENT as u32, 100))
                .then(|| self.random.random_range(rows.len().saturating_sub(1_000)..rows.len()));
            if let Some(before) = repeated {
                rows.push(Row { repeats: true, ..rows[before] });
                continue;
            }
            let at = WINDOW_START.0 + (i128::from(Micros::HOUR.0) * i128::from(self.next) / i128::from(self.total)) as i64;
            let device = self.random.random_range(0..DEVICES);
            rows.push(Row { device, at, sequence: self.next as i64, seed: self.random.random(), repeats: false });
            self.next += 1;
        }
        rows
    }

    fn batch(&self, rows: &[Row], number: u64) -> Result<RecordBatch> {
        let times = |values: Vec<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) };
        let text = |value: &dyn Fn(&Row) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(value))) };
        let columns: Vec<ArrayRef> = vec![
            text(&|row| format!("device-{:05}", row.device)),
            times(rows.iter().map(|row| row.at).collect()),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.sequence))),
            text(&|row| SITES[row.device as usize % SITES.len()].to_owned()),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| f64::from(row.seed % 6_500) / 100.0 - 20.0))),
            Arc::new(rows.iter().map(|row| (row.seed % 10 > 0).then(|| f64::from(row.seed % 1_000) / 10.0)).collect::<Float64Array>()),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| 983.0 + f64::from(row.seed / 7 % 600) / 10.0))),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| (row.seed / 11 % 101) as i32))),
            Arc::new(rows.iter().map(|row| Some(row.seed % 8 == 0)).collect::<BooleanArray>()),
            text(&|row| FIRMWARES[row.device as usize % FIRMWARES.len()].to_owned()),
            text(&|_| TABLE.to_owned()),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| 0))),
            Arc::new(Int64Array::from_iter_values((number * FILE_ROWS) as i64..(number * FILE_ROWS) as i64 + rows.len() as i64)),
            times(rows.iter().map(|row| row.at).collect()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.file_schema), columns)?)
    }

    async fn stage(&self, state: &TableState, batch: &RecordBatch, late: bool) -> Result<FileEntry> {
        let staged_on = state.newest_seq().unwrap_or(Seq(0));
        let layout = Layout { table: TableName(TABLE.to_owned()), window: WindowSize::HOUR, partition_by: Vec::new() };
        let lake_partition = LakePartition { window_start: WINDOW_START, values: Vec::new() };
        let folder = if late { DataFolder::Late } else { DataFolder::Open };
        let staging = uuid::Uuid::now_v7().to_string();
        let key = layout.path(&Key::Data { lake_partition: lake_partition.clone(), folder, base: staged_on, staging });
        let mut encoder = FileEncoder::new(Arc::clone(&self.file_schema), &EncodeOptions::default())?;
        encoder.write(batch)?;
        let file = encoder.finish(&Footer { table: TABLE.to_owned(), schema_version: 1, ranges_json: "[]".to_owned() })?;
        let mut writing = self.store.stage(&key).await?;
        for part in file.parts {
            writing.write(part).await?;
        }
        let (upload, bytes) = writing.finish().await?;
        let times = batch.column(1).as_any().downcast_ref::<TimestampMicrosecondArray>().context("times are times")?.values();
        Ok(FileEntry {
            key,
            lake_partition,
            late,
            rows: batch.num_rows() as u64,
            bytes,
            event_time_min: Time(times.iter().copied().min().unwrap_or_default()),
            event_time_max: Time(times.iter().copied().max().unwrap_or_default()),
            schema_version: 1,
            staged_on,
            upload,
        })
    }
}

/// A row; the figures that nobody sorts by come from its seed.
#[derive(Clone, Copy)]
struct Row {
    device: u32,
    at: i64,
    sequence: i64,
    seed: u32,
    repeats: bool,
}

fn source() -> SourceDeclaration {
    SourceDeclaration {
        cluster_id: "bench".to_owned(),
        topic: TABLE.to_owned(),
        topic_id: None,
        generation: 1,
        refused: false,
        starts: [(KafkaPartition(0), Offset(0))].into(),
    }
}

async fn commit(log: &TableLog, body: Body) -> Result<Arc<Record>> {
    match log.commit(body, std::future::pending()).await? {
        CommitOutcome::Committed(record) => Ok(record),
        other => bail!("not committed: {other:?}"),
    }
}

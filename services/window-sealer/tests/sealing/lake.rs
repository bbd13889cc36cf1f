//! A lake made by hand on the local disk: a real log, real Parquet files, rows with chosen values and identities.
use anyhow::{Context, bail};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use lake_file::{EncodeOptions, FileEncoder, Footer};
use lake_store::{CommitOutcome, LakeStore, LocalStore, TableLog, TableLogOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use service_runtime::clock::{Clock, ManualClock, SystemClock};
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use table_log::key::{DataFolder, Key};
use table_log::record::{AppendBody, AppendRange, Body, FileEntry, SealBody, SourceBody, SourceDeclaration, TableBody, TableSettings};
use table_log::{KafkaPartition, LakePartition, Offset, OffsetRange, Record, Seq, SourcePartition, TableName};
use tempfile::TempDir;
use window_sealer::seal::{SealJob, Sealed, seal_window};
use window_sealer::store_time::StoreTimes;
use window_sealer::write::WriteOptions;
use window_sealer::{Proposed, SealerError, propose};
use windowing::{Micros, Time, WindowSize};

/// The fixture's first window starts here: 2026-11-21T05:00:00Z.
pub const FIRST: Time = Time(1_795_237_200_000_000);

const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"device","type":["null","string"],"default":null},
    {"name":"n","type":["null","long"],"default":null},
    {"name":"value","type":"double"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"site","type":["null","string"],"default":null}]}"#;

/// A row. Its identity is (kafka timestamp, offset) in the one kafka_partition of the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub device: Option<String>,
    pub n: Option<i64>,
    pub value: f64,
    pub at: i64,
    pub kafka_timestamp: i64,
    pub offset: i64,
}

/// A row of the first window, at so many seconds.
pub fn row(device: &str, n: i64, seconds: i64) -> Row {
    let at = FIRST.0 + seconds * Micros::SECOND.0;
    Row { device: Some(device.to_owned()), n: Some(n), value: n as f64, at, kafka_timestamp: at, offset: -1 }
}

/// The lake and a table's log.
pub struct Lake {
    pub folder: TempDir,
    pub store: Arc<dyn LakeStore>,
    pub log: TableLog,
    next_offset: i64,
}

impl Lake {
    /// A table with windows of an hour.
    pub async fn new(settings: impl FnOnce(&mut TableSettings)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let store: Arc<dyn LakeStore> = Arc::new(LocalStore::open(folder.path())?);
        let log = Self::table(&store, "readings", settings).await?;
        Ok(Self { folder, store, log, next_offset: 0 })
    }

    /// A table of another lake, as a lake of its own.
    pub fn of(store: Arc<dyn LakeStore>, log: TableLog) -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, store, log, next_offset: 0 })
    }

    /// Makes a table in the lake: its `table` and `source` records.
    pub async fn table(store: &Arc<dyn LakeStore>, name: &str, settings: impl FnOnce(&mut TableSettings)) -> anyhow::Result<TableLog> {
        let log = TableLog::open(Arc::clone(store), TableName(name.to_owned()), TableLogOptions::new("writer")).await?;
        let mut table = TableBody { schema_version: 1, avro_schema: SCHEMA.to_owned(), columns: Vec::new(), settings: plain_settings() };
        settings(&mut table.settings);
        commit(&log, Body::Table(table)).await?;
        let starts = [(KafkaPartition(0), Offset(0))].into();
        let (cluster_id, topic) = ("cluster".to_owned(), "readings".to_owned());
        let source = SourceDeclaration { cluster_id, topic, topic_id: None, generation: 1, refused: false, starts };
        commit(&log, Body::Source(SourceBody { sources: vec![source], retired: Vec::new() })).await?;
        Ok(log)
    }

    /// Another client of the same log.
    pub async fn client(&self, writer: &str) -> anyhow::Result<TableLog> {
        Ok(TableLog::open(Arc::clone(&self.store), self.log.table().clone(), TableLogOptions::new(writer)).await?)
    }

    /// Appends rows of the first window, as one file, and publishes it; the watermark is then at `watermark` hours after its start.
    pub async fn append(&mut self, site: Option<&str>, rows: Vec<Row>, watermark: i64) -> anyhow::Result<Arc<Record>> {
        let record = self.append_unpublished(site, rows, watermark).await?;
        self.log.publish(&record).await?;
        Ok(record)
    }

    /// The same, but nobody publishes the file.
    pub async fn append_unpublished(&mut self, site: Option<&str>, mut rows: Vec<Row>, watermark: i64) -> anyhow::Result<Arc<Record>> {
        let start = self.next_offset;
        for row in &mut rows {
            row.offset = self.next_offset;
            self.next_offset += 1;
        }
        let state = self.log.refresh().await?;
        let late = state.is_closed(FIRST);
        let files = if rows.is_empty() { Vec::new() } else { vec![self.stage(site, &rows, late).await?] };
        let source = SourcePartition { topic: "readings".to_owned(), generation: 1, kafka_partition: KafkaPartition(0) };
        let range = AppendRange {
            source,
            range: OffsetRange { start: Offset(start), end: Offset(self.next_offset) },
            rows: rows.len() as u64,
            quarantined: 0,
            skipped: 0,
            absent: 0,
            watermark: Some(FIRST + Micros(watermark * Micros::HOUR.0)),
            leader_epoch: None,
        };
        commit(&self.log, Body::Append(AppendBody { ranges: vec![range], files, quarantine: Vec::new(), file_list: None })).await
    }

    /// Closes the first window.
    pub async fn close(&mut self) -> anyhow::Result<()> {
        self.append(None, Vec::new(), 1).await.map(|_| ())
    }

    /// Stages a file of rows.
    pub async fn stage(&self, site: Option<&str>, rows: &[Row], late: bool) -> anyhow::Result<FileEntry> {
        let state = self.log.state();
        let table = state.table.as_ref().context("a table")?;
        let schema = lake_query::file_schema("readings", table)?;
        let values = table.settings.partition_by.iter().map(|_| site.map(str::to_owned)).collect();
        let lake_partition = LakePartition { window_start: FIRST, values };
        let base = state.newest_seq().context("records")?;
        let folder = if late { DataFolder::Late } else { DataFolder::Open };
        let staging = uuid::Uuid::new_v4().to_string();
        let key = Key::Data { lake_partition: lake_partition.clone(), folder, base, staging };
        let key = state.layout(self.log.table()).context("a table")?.path(&key);
        let columns = schema.fields().iter().map(|field| column(field.name(), site, rows)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let mut encoder = FileEncoder::new(schema, &EncodeOptions { row_group_rows: 1_000, ..EncodeOptions::default() })?;
        encoder.write(&batch)?;
        let footer = Footer { table: "readings".to_owned(), schema_version: table.schema_version, ranges_json: "[]".to_owned() };
        let mut staged = self.store.stage(&key).await?;
        for part in encoder.finish(&footer)?.parts {
            staged.write(part).await?;
        }
        let (upload, bytes) = staged.finish().await?;
        let times = || rows.iter().map(|row| Time(row.at));
        let (low, high) = (times().min().context("rows")?, times().max().context("rows")?);
        let (event_time_min, event_time_max, rows) = (low, high, rows.len() as u64);
        let schema_version = table.schema_version;
        Ok(FileEntry { key, lake_partition, late, rows, bytes, event_time_min, event_time_max, schema_version, staged_on: base, upload })
    }

    /// Seals the first window on a client's newest state, proposing nothing.
    pub async fn seal(&self, log: &TableLog, options: &SealOptions) -> Result<Sealed, SealerError> {
        let state = log.refresh().await?;
        seal_window(self.job(log, state, options)).await
    }

    /// What [`Lake::seal`] runs.
    pub fn job(&self, log: &TableLog, state: Arc<table_log::TableState>, options: &SealOptions) -> SealJob {
        SealJob {
            log: log.clone(),
            state,
            window_start: FIRST,
            write: options.write.clone(),
            memory_bytes: options.memory_bytes,
            spill_dir: self.folder.path().to_owned(),
            shutdown: Shutdown::manual(),
        }
    }

    /// Seals the first window and commits it.
    pub async fn seal_and_commit(&self, options: &SealOptions) -> anyhow::Result<(SealBody, Sealed)> {
        let sealed = self.seal(&self.log, options).await?;
        let files = sealed.files.clone();
        match propose(&self.log, Body::Seal(sealed.body.clone()), &files, &Shutdown::manual()).await? {
            Proposed::Committed(_) => Ok((sealed.body.clone(), sealed)),
            Proposed::Lost(why) => bail!("lost: {why}"),
        }
    }

    /// Rows of the first window that a reader sees, file after file.
    pub async fn live_rows(&self) -> anyhow::Result<Vec<Row>> {
        let state = self.log.refresh().await?;
        let refs: Vec<_> = state.live_files().flat_map(|(_, _, files)| files.iter().copied()).collect();
        let mut rows = Vec::new();
        for file in self.log.files(&refs).await? {
            rows.extend(self.batches(&file.key)?.iter().flat_map(read_rows));
        }
        Ok(rows)
    }

    /// (dropped offset, kept offset) of all lists of duplicates.
    pub async fn dropped(&self) -> anyhow::Result<BTreeMap<i64, i64>> {
        let state = self.log.refresh().await?;
        let mut dropped = BTreeMap::new();
        for file in self.log.files(state.duplicates_files()).await? {
            for batch in self.batches(&file.key)? {
                let offsets = |name: &str| batch.column_by_name(name).map(|c| c.as_primitive::<Int64Type>().clone());
                let (away, kept) = (offsets("_kafka_offset").context("column")?, offsets("kept_kafka_offset").context("column")?);
                dropped.extend(away.values().iter().copied().zip(kept.values().iter().copied()));
            }
        }
        Ok(dropped)
    }

    /// A file's rows.
    pub fn batches(&self, key: &str) -> anyhow::Result<Vec<RecordBatch>> {
        let file = std::fs::File::open(self.path(key)).with_context(|| format!("open `{key}`"))?;
        Ok(ParquetRecordBatchReaderBuilder::try_new(file)?.build()?.collect::<Result<_, _>>()?)
    }

    /// Path of an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    /// Files staged by anyone for the table.
    pub async fn staged(&self) -> anyhow::Result<usize> {
        Ok(self.store.list_staged("readings", usize::MAX).await?.len())
    }

    /// The store's times as they are so many seconds from now.
    pub async fn times_in(&self, seconds: i64) -> anyhow::Result<StoreTimes> {
        let clock = ManualClock::new(SystemClock.now() + Micros(seconds * Micros::SECOND.0));
        let mut times = StoreTimes::new(self.log.clone(), Arc::new(clock));
        times.compare().await?;
        Ok(times)
    }
}

/// How a test seals.
#[derive(Clone, Debug)]
pub struct SealOptions {
    pub write: WriteOptions,
    pub memory_bytes: u64,
}

impl Default for SealOptions {
    fn default() -> Self {
        Self { write: WriteOptions { encode: EncodeOptions::default(), target_file_bytes: 64 << 20 }, memory_bytes: 64 << 20 }
    }
}

/// Commits any record.
pub async fn commit(log: &TableLog, body: Body) -> anyhow::Result<Arc<Record>> {
    match log.commit(body, std::future::pending()).await? {
        CommitOutcome::Committed(record) => Ok(record),
        other => bail!("not committed: {other:?}"),
    }
}

/// The newest seq of a log.
pub fn tail(log: &TableLog) -> Seq {
    log.state().newest_seq().unwrap_or_default()
}

fn plain_settings() -> TableSettings {
    TableSettings {
        event_time: Some("at".to_owned()),
        window: WindowSize::HOUR,
        partition_by: Vec::new(),
        allowed_lateness: Micros(0),
        out_of_orderness: Micros(0),
        idle_timeout: None,
        max_future: Micros::DAY,
        max_past: Micros::DAY,
        dedupe_by: vec!["device".to_owned(), "n".to_owned()],
        sort_by: vec!["device".to_owned()],
        catalog: Default::default(),
    }
}

fn column(name: &str, site: Option<&str>, rows: &[Row]) -> ArrayRef {
    let instants = |of: fn(&Row) -> i64| {
        let values: TimestampMicrosecondArray = rows.iter().map(|row| Some(of(row))).collect();
        Arc::new(values.with_timezone("UTC")) as ArrayRef
    };
    match name {
        "device" => Arc::new(rows.iter().map(|row| row.device.clone()).collect::<StringArray>()),
        "n" => Arc::new(rows.iter().map(|row| row.n).collect::<Int64Array>()),
        "value" => Arc::new(rows.iter().map(|row| Some(row.value)).collect::<Float64Array>()),
        "at" => instants(|row| row.at),
        "site" => Arc::new(rows.iter().map(|_| site).collect::<StringArray>()),
        "_kafka_topic" => Arc::new(rows.iter().map(|_| Some("readings")).collect::<StringArray>()),
        "_kafka_partition" => Arc::new(rows.iter().map(|_| Some(0)).collect::<Int32Array>()),
        "_kafka_offset" => Arc::new(rows.iter().map(|row| Some(row.offset)).collect::<Int64Array>()),
        "_kafka_timestamp" => instants(|row| row.kafka_timestamp),
        other => panic!("no column `{other}`"),
    }
}

fn read_rows(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no column `{name}`"));
    assert_eq!(column("at").data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert!(column("_kafka_partition").as_primitive::<Int32Type>().values().iter().all(|number| *number == 0));
    let devices = column("device").as_string::<i32>();
    let numbers = column("n").as_primitive::<Int64Type>();
    let times = |name: &str| column(name).as_primitive::<TimestampMicrosecondType>();
    let of = |row: usize| Row {
        device: devices.is_valid(row).then(|| devices.value(row).to_owned()),
        n: numbers.is_valid(row).then(|| numbers.value(row)),
        value: column("value").as_primitive::<arrow::datatypes::Float64Type>().value(row),
        at: times("at").value(row),
        kafka_timestamp: times("_kafka_timestamp").value(row),
        offset: column("_kafka_offset").as_primitive::<Int64Type>().value(row),
    };
    (0..batch.num_rows()).map(of).collect()
}

//! A small lake made by hand: a real log and real Parquet files, without any service. For tests that read lakes, and that break them.
mod files;

use anyhow::{Context, bail};
use files::StagedRows;
pub use files::{Duplicate, RowName};
use lake_store::{CommitOutcome, LakeStore, LocalStore, TableLog, TableLogOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use table_log::key::{DataFolder, Key, Layout};
use table_log::record::{
    AppendBody, AppendRange, Body, Column, FileEntry, RevisedPartition, SealBody, SourceBody, SourceDeclaration, TableBody, TableSettings,
};
use table_log::{KafkaPartition, LakePartition, Offset, OffsetRange, Record, SourcePartition, TableName};
use tempfile::TempDir;
use windowing::{Micros, Time, WindowSize};

/// Topic of the table.
pub const TOPIC: &str = "readings";
/// Name of the table.
pub const TABLE: &str = "readings";
/// kafka_partitions of the topic.
pub const KAFKA_PARTITIONS: i32 = 2;
/// 2026-11-21T00:00:00Z: the fixture's first hour starts here, and its ingest day.
pub const DAY: Time = Time(1_795_219_200_000_000);
/// The table's schema.
pub const AVRO_SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"id","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"site","type":["null","string"],"default":null},
    {"name":"value","type":"double"}]}"#;

/// What became of an offset.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A row.
    Row(Reading),
    /// A refused record: reason and raw value.
    Refused(&'static str, Vec<u8>),
    /// Kafka never delivers it.
    Absent,
    /// Left out by a setting.
    Skipped,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Event time.
    pub at: Time,
    /// A value of a partition column, if the table has one.
    pub site: Option<String>,
    /// Any number.
    pub value: f64,
}

/// A row at a minute of the fixture's day.
pub fn row(minute: i64, site: &str, value: f64) -> Step {
    Step::Row(Reading { at: DAY + Micros(minute * Micros::MINUTE.0), site: Some(site.to_owned()), value })
}

/// A lake in a temporary folder with one table: windows of an hour by column `at`, no lateness.
#[derive(Debug)]
pub struct SmallLake {
    /// The lake root.
    pub folder: TempDir,
    /// The table's log.
    pub log: TableLog,
    store: Arc<dyn LakeStore>,
    partition_by: Vec<String>,
    next: BTreeMap<i32, i64>,
    watermarks: BTreeMap<i32, Time>,
    /// Rows that were appended and not dropped, by lake partition.
    rows: BTreeMap<LakePartition, Vec<(i32, i64, Reading)>>,
}

impl SmallLake {
    /// A table without rows: its `table` and `source` records are committed.
    pub async fn new(partition_by: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let store: Arc<dyn LakeStore> = Arc::new(LocalStore::open(folder.path())?);
        let log = TableLog::open(Arc::clone(&store), TableName(TABLE.to_owned()), TableLogOptions::new("small-lake")).await?;
        let partition_by = partition_by.iter().map(|c| (*c).to_owned()).collect();
        let lake = Self { folder, log, store, partition_by, next: BTreeMap::new(), watermarks: BTreeMap::new(), rows: BTreeMap::new() };
        lake.commit(Body::Table(lake.table_body())).await?;
        let starts = (0..KAFKA_PARTITIONS).map(|p| (KafkaPartition(p), Offset(0))).collect();
        let source = SourceDeclaration {
            cluster_id: "cluster".to_owned(),
            topic: TOPIC.to_owned(),
            topic_id: None,
            generation: 1,
            refused: false,
            starts,
        };
        lake.commit(Body::Source(SourceBody { sources: vec![source], retired: Vec::new() })).await?;
        Ok(lake)
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn LakeStore> {
        Arc::clone(&self.store)
    }

    /// Path of an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    /// Commits and publishes one append: per step a kafka_partition and what became of its next offset.
    pub async fn append(&mut self, steps: Vec<(i32, Step)>) -> anyhow::Result<Arc<Record>> {
        let record = self.append_unpublished(steps).await?;
        self.log.publish(&record).await?;
        Ok(record)
    }

    /// Commits an append whose files stay in staging.
    pub async fn append_unpublished(&mut self, steps: Vec<(i32, Step)>) -> anyhow::Result<Arc<Record>> {
        let mut rows: BTreeMap<(LakePartition, bool), StagedRows> = BTreeMap::new();
        let mut refused = StagedRows::default();
        let mut ranges: BTreeMap<i32, AppendRange> = BTreeMap::new();
        for (kafka_partition, step) in steps {
            let next = self.next.entry(kafka_partition).or_default();
            let offset = *next;
            *next += 1;
            let range = ranges.entry(kafka_partition).or_insert_with(|| empty_range(kafka_partition, offset));
            range.range.end = Offset(offset + 1);
            match step {
                Step::Row(reading) => {
                    range.rows += 1;
                    let late = self.is_late(kafka_partition, reading.at);
                    self.watermarks.entry(kafka_partition).and_modify(|w| *w = (*w).max(reading.at)).or_insert(reading.at);
                    let lake_partition = self.lake_partition(&reading);
                    self.rows.entry(lake_partition.clone()).or_default().push((kafka_partition, offset, reading.clone()));
                    rows.entry((lake_partition, late)).or_default().row(kafka_partition, offset, reading);
                }
                Step::Refused(reason, value) => {
                    range.quarantined += 1;
                    refused.refused(kafka_partition, offset, (reason, value));
                }
                Step::Absent => range.absent += 1,
                Step::Skipped => range.skipped += 1,
            }
        }
        for (kafka_partition, range) in &mut ranges {
            range.watermark = self.watermarks.get(kafka_partition).copied();
        }
        let mut body = AppendBody { ranges: ranges.into_values().collect(), files: Vec::new(), quarantine: Vec::new(), file_list: None };
        for ((lake_partition, late), rows) in rows {
            let folder = if late { DataFolder::Late } else { DataFolder::Open };
            body.files.push(self.stage_data(lake_partition, folder, &rows).await?);
        }
        if !refused.is_empty() {
            body.quarantine.push(self.stage_quarantine(&refused).await?);
        }
        self.commit(Body::Append(body)).await
    }

    /// Commits and publishes the next revision of a closed window with all rows that it has; a row of `dropped`, as (kafka_partition, offset),
    /// is left out in favour of the row named with it.
    pub async fn seal(&mut self, window_start: Time, dropped: &[Duplicate]) -> anyhow::Result<Arc<Record>> {
        let record = self.seal_unpublished(window_start, dropped).await?;
        self.log.publish(&record).await?;
        Ok(record)
    }

    /// The same, with its files left in staging.
    pub async fn seal_unpublished(&mut self, window_start: Time, dropped: &[Duplicate]) -> anyhow::Result<Arc<Record>> {
        let state = self.log.state();
        let revision = state.window(window_start).map_or(0, |window| window.revision) + 1;
        let through = state.newest_seq().context("the table has records")?;
        let (mut lake_partitions, mut duplicates) = (Vec::new(), Vec::new());
        for lake_partition in self.rows.keys().filter(|place| place.window_start == window_start).cloned().collect::<Vec<_>>() {
            let mut staged = StagedRows::default();
            let here = std::mem::take(self.rows.entry(lake_partition.clone()).or_default());
            let (gone, kept): (Vec<_>, Vec<_>) = here.into_iter().partition(|(p, o, _)| dropped.iter().any(|(row, _)| row == &(*p, *o)));
            kept.iter().cloned().for_each(|(p, o, reading)| staged.row(p, o, reading));
            self.rows.insert(lake_partition.clone(), kept);
            let pairs: Vec<_> = gone.iter().filter_map(|(p, o, _)| dropped.iter().find(|(row, _)| row == &(*p, *o)).copied()).collect();
            if !pairs.is_empty() {
                let times = gone.iter().map(|(_, _, reading)| reading.at);
                duplicates.push(self.stage_duplicates(lake_partition.clone(), &pairs, times.min().context("a row is dropped")?).await?);
            }
            let files = vec![self.stage_data(lake_partition.clone(), DataFolder::Revision(revision), &staged).await?];
            lake_partitions.push(RevisedPartition { lake_partition, files });
        }
        let duplicate_rows = duplicates.iter().map(|file| file.rows).sum();
        self.commit(Body::Seal(SealBody { window_start, revision, through, lake_partitions, duplicates, duplicate_rows })).await
    }

    /// Commits any record.
    pub async fn commit(&self, body: Body) -> anyhow::Result<Arc<Record>> {
        match self.log.commit(body, std::future::pending()).await? {
            CommitOutcome::Committed(record) => Ok(record),
            other => bail!("not committed: {other:?}"),
        }
    }

    fn layout(&self) -> Layout {
        Layout { table: TableName(TABLE.to_owned()), window: WindowSize::HOUR, partition_by: self.partition_by.clone() }
    }

    fn lake_partition(&self, reading: &Reading) -> LakePartition {
        let values = if self.partition_by.is_empty() { Vec::new() } else { vec![reading.site.clone()] };
        LakePartition { window_start: WindowSize::HOUR.start_of(reading.at), values }
    }

    fn is_late(&self, kafka_partition: i32, at: Time) -> bool {
        let window_start = WindowSize::HOUR.start_of(at);
        let passed = self.watermarks.get(&kafka_partition).is_some_and(|w| *w >= WindowSize::HOUR.end_of(window_start));
        passed || self.log.state().is_closed(window_start)
    }

    async fn stage_duplicates(&self, lake_partition: LakePartition, pairs: &[Duplicate], at: Time) -> anyhow::Result<FileEntry> {
        let base = self.log.state().newest_seq().context("the table has records")?;
        let key = Key::Duplicates { lake_partition: lake_partition.clone(), base, staging: uuid::Uuid::now_v7().to_string() };
        let batch = files::duplicates_batch(pairs)?;
        let entry = self.stage(&self.layout().path(&key), lake_partition, files::parquet(TABLE, &batch)?).await?;
        Ok(FileEntry { rows: batch.num_rows() as u64, event_time_min: at, event_time_max: at, ..entry })
    }

    async fn stage_data(&self, lake_partition: LakePartition, folder: DataFolder, rows: &StagedRows) -> anyhow::Result<FileEntry> {
        let late = folder == DataFolder::Late;
        let base = self.log.state().newest_seq().context("the table has records")?;
        let key = Key::Data { lake_partition: lake_partition.clone(), folder, base, staging: uuid::Uuid::now_v7().to_string() };
        let batch = rows.data_batch(self.partition_by.is_empty())?;
        let entry = FileEntry { late, ..self.stage(&self.layout().path(&key), lake_partition, files::parquet(TABLE, &batch)?).await? };
        let (event_time_min, event_time_max) = rows.event_times();
        Ok(FileEntry { rows: batch.num_rows() as u64, event_time_min, event_time_max, ..entry })
    }

    async fn stage_quarantine(&self, refused: &StagedRows) -> anyhow::Result<FileEntry> {
        let base = self.log.state().newest_seq().context("the table has records")?;
        let key = Key::Quarantine { day: DAY, base, staging: uuid::Uuid::now_v7().to_string() };
        let batch = refused.quarantine_batch()?;
        let day = LakePartition { window_start: DAY, values: Vec::new() };
        let entry = self.stage(&self.layout().path(&key), day, files::parquet(TABLE, &batch)?).await?;
        Ok(FileEntry { rows: batch.num_rows() as u64, event_time_min: DAY, event_time_max: DAY, ..entry })
    }

    async fn stage(&self, key: &str, lake_partition: LakePartition, body: Vec<u8>) -> anyhow::Result<FileEntry> {
        let mut staged = self.store.stage(key).await?;
        staged.write(body.into()).await?;
        let (upload, bytes) = staged.finish().await?;
        Ok(FileEntry {
            key: key.to_owned(),
            lake_partition,
            late: false,
            rows: 0,
            bytes,
            event_time_min: DAY,
            event_time_max: DAY,
            schema_version: 1,
            staged_on: self.log.state().newest_seq().context("the table has records")?,
            upload,
        })
    }

    fn table_body(&self) -> TableBody {
        let column = |name: &str, kind: &str| Column { name: name.to_owned(), glue_type: kind.to_owned() };
        let columns = vec![column("id", "string"), column("at", "timestamp"), column("site", "string"), column("value", "double")];
        let columns = columns.into_iter().filter(|c| !self.partition_by.contains(&c.name)).collect();
        TableBody {
            schema_version: 1,
            avro_schema: AVRO_SCHEMA.to_owned(),
            columns,
            settings: TableSettings {
                event_time: Some("at".to_owned()),
                window: WindowSize::HOUR,
                partition_by: self.partition_by.clone(),
                allowed_lateness: Micros(0),
                out_of_orderness: Micros(0),
                idle_timeout: None,
                max_future: Micros::DAY,
                max_past: Micros::DAY,
                dedupe_by: Vec::new(),
                sort_by: Vec::new(),
                catalog: Default::default(),
            },
        }
    }
}

fn empty_range(kafka_partition: i32, offset: i64) -> AppendRange {
    AppendRange {
        source: SourcePartition { topic: TOPIC.to_owned(), generation: 1, kafka_partition: KafkaPartition(kafka_partition) },
        range: OffsetRange { start: Offset(offset), end: Offset(offset) },
        rows: 0,
        quarantined: 0,
        skipped: 0,
        absent: 0,
        watermark: None,
        leader_epoch: None,
    }
}

//! A lake in a temporary folder, writers in this process, and what the lake holds, read from its files.
use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use event_schema::{Limits, SchemaFolder, SchemaSource};
use kafka_io::{KafkaConfig, NewRecord, Producer};
use lake_store::{LakeStore, LocalStore, TableLog, TableLogOptions};
use lake_writer::{Components, RunReport, TableWriterSettings, WriterMetrics, WriterSettings};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use prometheus::Registry;
use service_runtime::{
    admin::Health,
    clock::SystemClock,
    settings::{Compression, StartFrom, Tombstones, TopicSettings},
    shutdown::Shutdown,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use table_log::{
    TableName, TableState,
    record::{FileEntry, TableSettings},
};
use test_kit::{telemetry, wait_for};
use windowing::{Micros, WindowSize};

pub const LONG: Duration = Duration::from_secs(90);
pub const HOUR: i64 = 3_600_000_000;

/// A lake and the cluster that feeds it.
pub struct Lake {
    folder: tempfile::TempDir,
    pub kafka: KafkaConfig,
    schemas: Arc<dyn SchemaSource>,
    runtime: tokio::runtime::Runtime,
}

/// A row or a refused record, by its identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub topic: String,
    pub kafka_partition: i32,
    pub offset: i64,
    /// `seq` of a row; `None` for a refused record.
    pub seq: Option<i64>,
    /// Of a refused record.
    pub reason: Option<String>,
    pub late: bool,
}

#[allow(dead_code, reason = "no test file uses all of it")]
impl Lake {
    pub fn new(kafka: KafkaConfig) -> Self {
        Self::with(kafka, |_| Arc::new(SchemaFolder::from_schemas("telemetry-value", [(1, telemetry::SCHEMA.to_owned())])))
    }

    /// With schemas of one's own, which may work on the lake's runtime.
    pub fn with(kafka: KafkaConfig, schemas: impl FnOnce(&tokio::runtime::Handle) -> Arc<dyn SchemaSource>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let schemas = schemas(runtime.handle());
        Self { folder: tempfile::tempdir().expect("a folder"), kafka, schemas, runtime }
    }

    pub fn settings(&self, instance: &str, table: &str, topics: &[&str]) -> WriterSettings {
        let log = TableSettings {
            event_time: Some("event_time".into()),
            window: WindowSize::HOUR,
            partition_by: Vec::new(),
            allowed_lateness: Micros(0),
            out_of_orderness: Micros(60_000_000),
            idle_timeout: None,
            max_future: Micros(HOUR),
            max_past: Micros(24 * 30 * HOUR),
            dedupe_by: Vec::new(),
            sort_by: Vec::new(),
            catalog: Default::default(),
        };
        let topic =
            |topic: &&str| TopicSettings { topic: (*topic).to_owned(), start: StartFrom::Earliest, refused: topic.ends_with(".refused") };
        WriterSettings {
            kafka: self.kafka.clone(),
            session_timeout: Duration::from_secs(10),
            instance: instance.to_owned(),
            commit_interval: Duration::from_millis(300),
            commit_bytes: 16 << 20,
            memory_budget_bytes: 256 << 20,
            files_per_commit: 500,
            shards: 1,
            row_group_rows: 100_000,
            compression: Compression::Zstd,
            shutdown_timeout: Duration::from_secs(10),
            lost_after: Duration::from_secs(600),
            settings_file: "/etc/tributary.yaml".into(),
            limits: Limits::default(),
            consumer_properties: vec![("heartbeat.interval.ms".into(), "500".into())],
            tables: vec![TableWriterSettings {
                table: TableName(table.into()),
                topics: topics.iter().map(topic).collect(),
                subject: "telemetry-value".to_owned(),
                log,
                tombstones: Tombstones::Quarantine,
                // Tests share one broker, and a member of the same name in the same group would fence another test.
                group: format!("{}.{}", lake_writer::settings::group_name(table), topics[0]),
            }],
        }
    }

    pub fn start(&self, settings: WriterSettings) -> Writer {
        let registry = Registry::new();
        let (health, shutdown) = (Arc::new(Health::default()), Shutdown::manual());
        let components = Components {
            store: self.store(),
            clock: Arc::new(SystemClock),
            schemas: self.schemas.clone(),
            health: Arc::clone(&health),
            metrics: WriterMetrics::new(&registry).expect("a fresh registry"),
            shutdown: shutdown.clone(),
        };
        let (ended, report) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let _ = ended.send(lake_writer::run(settings, components).await.expect("settings that Kafka takes"));
        });
        Writer { registry, health, shutdown, report }
    }

    pub fn replace_schemas(&mut self, schemas: impl FnOnce(&tokio::runtime::Handle) -> Arc<dyn SchemaSource>) {
        self.schemas = schemas(self.runtime.handle());
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn store(&self) -> Arc<dyn LakeStore> {
        Arc::new(LocalStore::open(self.folder.path()).expect("a folder"))
    }

    pub fn log(&self, table: &str) -> TableLog {
        let log = TableLog::open(self.store(), TableName(table.into()), TableLogOptions::read_only());
        self.runtime.block_on(log).expect("a readable log")
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn state(&self, table: &str) -> Arc<TableState> {
        self.log(table).state()
    }

    /// Waits until so many offsets are accounted for.
    pub fn wait_for_taken(&self, table: &str, taken: u64) -> Arc<TableState> {
        let log = self.log(table);
        let last = std::cell::RefCell::new(String::new());
        let probe = || {
            let state = self.runtime.block_on(log.refresh()).expect("a readable log");
            let totals = state.totals();
            *last.borrow_mut() = format!("{totals:?}");
            (totals.rows + totals.quarantined + totals.skipped + totals.absent >= taken).then_some(state)
        };
        wait_for(LONG, &format!("{taken} offsets of {table}"), probe)
    }

    /// All rows and refused records in the files that the log names.
    pub fn contents(&self, table: &str) -> Vec<Found> {
        let log = self.log(table);
        let state = log.state();
        let live: Vec<_> = state.live_files().flat_map(|(_, _, files)| files.to_vec()).collect();
        let late: Vec<_> = state.late_files().flat_map(|(_, files)| files.to_vec()).collect();
        let mut found = Vec::new();
        for refs in [live, late, state.quarantine_files().to_vec()] {
            for file in self.runtime.block_on(log.files(&refs)).expect("entries") {
                self.read_file(&file, &mut found);
            }
        }
        found
    }

    fn read_file(&self, file: &FileEntry, found: &mut Vec<Found>) {
        let bytes = bytes::Bytes::from(std::fs::read(self.folder.path().join(&file.key)).expect("a published file"));
        assert_eq!(bytes.len() as u64, file.bytes, "{}", file.key);
        let mut rows = 0;
        for batch in ParquetRecordBatchReader::try_new(bytes, 8_192).expect("a parquet file") {
            let batch = batch.expect("readable");
            let column = |name: &str| batch.column_by_name(name).cloned();
            let of = |name: &str| column(name).expect("an identity column");
            let (topic, kafka_partition, offset) = (of("_kafka_topic"), of("_kafka_partition"), of("_kafka_offset"));
            let (seq, reason) = (column("seq"), column("reason"));
            for row in 0..batch.num_rows() {
                found.push(Found {
                    topic: topic.as_string::<i32>().value(row).to_owned(),
                    kafka_partition: kafka_partition.as_primitive::<Int32Type>().value(row),
                    offset: offset.as_primitive::<Int64Type>().value(row),
                    seq: seq.as_ref().map(|seq| seq.as_primitive::<Int64Type>().value(row)),
                    reason: reason.as_ref().map(|reason| reason.as_string::<i32>().value(row).to_owned()),
                    late: file.late,
                });
            }
            rows += batch.num_rows() as u64;
        }
        assert_eq!(rows, file.rows, "{}", file.key);
    }

    /// Each offset at most once, and as many as the log counts; returns rows and refused records.
    pub fn assert_exactly_once(&self, table: &str) -> (Vec<Found>, Vec<Found>) {
        let contents = self.contents(table);
        let mut seen = BTreeMap::new();
        for found in &contents {
            let identity = (found.topic.clone(), found.kafka_partition, found.offset);
            assert!(seen.insert(identity, ()).is_none(), "twice in the lake: {found:?}");
        }
        let totals = self.state(table).totals();
        let (rows, refused): (Vec<_>, Vec<_>) = contents.into_iter().partition(|found| found.reason.is_none());
        assert_eq!((rows.len() as u64, refused.len() as u64), (totals.rows, totals.quarantined));
        (rows, refused)
    }

    /// Produces records to kafka_partitions in turn.
    pub fn produce(&self, topic: &str, partitions: i32, records: impl IntoIterator<Item = telemetry::TelemetryRecord>) -> u64 {
        let new = |(turn, record): (i32, telemetry::TelemetryRecord)| NewRecord {
            kafka_partition: Some(turn % partitions),
            ..record.to_new(topic)
        };
        self.produce_raw((0..).zip(records).map(new))
    }

    pub fn produce_raw(&self, records: impl IntoIterator<Item = NewRecord>) -> u64 {
        let mut producer = Producer::new(&self.kafka, &[]).expect("a producer");
        let mut sent = 0;
        for record in records {
            producer.send(record).expect("room in the queue");
            sent += 1;
        }
        producer.flush(LONG).expect("acknowledgements");
        sent
    }
}

/// A running writer.
pub struct Writer {
    registry: Registry,
    pub health: Arc<Health>,
    shutdown: Shutdown,
    report: std::sync::mpsc::Receiver<RunReport>,
}

impl Writer {
    /// Sum of a metric over all its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let value = |metric: &prometheus::proto::Metric| metric.get_counter().get_value() + metric.get_gauge().get_value();
        family.map_or(0.0, |family| family.get_metric().iter().map(value).sum())
    }

    /// Asks to stop and waits.
    pub fn stop(self) -> RunReport {
        self.shutdown.trigger();
        self.wait(Duration::from_secs(12))
    }

    /// Waits for the end.
    pub fn wait(&self, deadline: Duration) -> RunReport {
        self.report.recv_timeout(deadline).expect("the writer ends in time")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

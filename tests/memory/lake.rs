//! A lake with any number of tables, what feeds them, and the process under measurement.
use kafka_io::{NewRecord, Producer};
use lake_store::{LakeStore, LocalStore, TableLog, TableLogOptions};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use table_log::TableName;
use tempfile::TempDir;
use test_kit::{
    KafkaServer, PythonReaders, Signal, Tributary,
    telemetry::{self, TelemetryMix},
    wait_until,
};
use tokio::runtime::Runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");
const FLUSH: Duration = Duration::from_secs(120);
const SHUTDOWN: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);

/// A table with a topic of its own.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    topic: String,
    kafka_partitions: i32,
    partition_by_device: bool,
}

impl Table {
    /// Creates its topic.
    pub fn new(name: &str, kafka_partitions: i32) -> Self {
        let topic = KafkaServer::shared().create_topic(&name.replace('_', "-"), kafka_partitions).expect("create a topic");
        Self { name: name.to_owned(), topic, kafka_partitions, partition_by_device: false }
    }

    /// With a lake partition per device and hour.
    pub fn by_device(name: &str, kafka_partitions: i32) -> Self {
        Self { partition_by_device: true, ..Self::new(name, kafka_partitions) }
    }

    fn settings(&self) -> String {
        let partition_by = if self.partition_by_device { "    partition_by: [device_id]\n" } else { "" };
        format!(
            "  {}:\n    topics: [{}]\n    subject: telemetry\n    event_time: event_time\n    window: 1h\n    out_of_orderness: 1d\n{partition_by}",
            self.name, self.topic
        )
    }
}

/// What is produced.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// All tables together.
    pub records: u64,
    /// Of other data than another seed.
    pub seed: u64,
    /// Devices.
    pub devices: u32,
    /// Event times lie in the last so many hours; they go through them twelve times.
    pub span_us: i64,
    /// Share of the first kafka_partition; the others share the rest.
    pub hot_per_mille: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self { records: 0, seed: 1, devices: 500, span_us: 3 * super::HOUR_US, hot_per_mille: 0 }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Lake {
    folder: TempDir,
    settings: PathBuf,
    admin_port: u16,
    runtime: Runtime,
    logs: Vec<TableLog>,
}

/// The process under measurement.
#[derive(Debug)]
pub struct Writer {
    process: std::cell::RefCell<Tributary>,
    started: Instant,
}

impl Lake {
    /// Settings for all tables.
    pub fn new(budget_mib: u64, commit_interval: Duration, tables: &[Table]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let schemas = folder.path().join("schemas/telemetry");
        std::fs::create_dir_all(&schemas).expect("make the schemas folder");
        let mut schema: serde_json::Value = serde_json::from_str(telemetry::SCHEMA).expect("the schema is JSON");
        schema["schema_id"] = 1.into();
        std::fs::write(schemas.join("v1.avsc"), schema.to_string()).expect("write the schema");
        // A name of its own: a build that ends meanwhile must not change the program under test.
        let binary = folder.path().join("tributary");
        std::fs::hard_link(BINARY, &binary).or_else(|_| std::fs::copy(BINARY, &binary).map(drop)).expect("take the built binary");
        let admin_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port").port();
        let settings = format!(
            "lake: lake
schemas: schemas
admin: 127.0.0.1:{admin_port}
kafka:
  bootstrap_servers: {}
  session_timeout: 6s
lake_writer:
  instance: writer
  commit_interval: {}ms
  memory_budget: {budget_mib}MiB
tables:
{}",
            KafkaServer::shared().bootstrap_servers(),
            commit_interval.as_millis(),
            tables.iter().map(Table::settings).collect::<String>()
        );
        let settings = Tributary::write_settings(folder.path(), &settings).expect("write the settings");
        let runtime = Runtime::new().expect("start the async runtime");
        let store = Arc::new(LocalStore::open(folder.path().join("lake")).expect("open the lake"));
        let open = |table: &Table| {
            let log = TableLog::open(Arc::clone(&store) as Arc<dyn LakeStore>, TableName(table.name.clone()), TableLogOptions::read_only());
            runtime.block_on(log).expect("fold the log")
        };
        let logs = tables.iter().map(open).collect();
        Self { folder, settings, admin_port, runtime, logs }
    }

    /// Starts the writer.
    pub fn start(&self) -> Writer {
        let settings = self.settings.to_str().expect("the path is UTF-8");
        let process =
            Tributary::start(&self.folder.path().join("tributary"), &["run", "lake-writer", "-s", settings], &[], self.folder.path());
        Writer { process: process.expect("start the writer").into(), started: Instant::now() }
    }

    /// Produces and waits for the acknowledgements. Returns the number of records.
    pub fn feed(&self, tables: &[Table], feed: Feed) -> u64 {
        let now_us = jiff::Timestamp::now().as_microsecond();
        let laps = 12;
        let lap = (feed.records / laps).max(1);
        let lz4 = [("compression.type".to_owned(), "lz4".to_owned()), ("linger.ms".to_owned(), "50".to_owned())];
        let mut producer = Producer::new(&KafkaServer::shared().config(), &lz4).expect("start a producer");
        let mut sent = 0;
        while sent < feed.records {
            let mix = TelemetryMix {
                seed: feed.seed * 1_000 + sent,
                records: lap.min(feed.records - sent),
                devices: feed.devices,
                start_us: now_us - feed.span_us,
                step_us: (feed.span_us / lap as i64).max(1),
                ..TelemetryMix::default()
            };
            for record in mix.stream() {
                let table = &tables[(sent / 50) as usize % tables.len()];
                let kafka_partition = if feed.hot_per_mille > 0 && sent % 1_000 < feed.hot_per_mille {
                    0
                } else {
                    // Runs, as producers that batch make them.
                    (sent / 20) as i32 % table.kafka_partitions
                };
                producer.send(NewRecord { kafka_partition: Some(kafka_partition), ..record.to_new(&table.topic) }).expect("send a record");
                sent += 1;
            }
        }
        producer.flush(FLUSH).expect("the broker acknowledges everything");
        sent
    }

    /// Waits until the logs have taken so many records since the process's start or before.
    pub fn wait_until_taken(&self, writer: &Writer, records: u64, deadline: Duration) {
        wait_until(deadline, &format!("{records} records are taken"), || {
            writer.assert_runs();
            self.taken() == records
        });
    }

    /// Rows and refused records that the logs have.
    pub fn taken(&self) -> u64 {
        let folded = self.logs.iter().map(|log| self.runtime.block_on(log.refresh()).expect("fold the log").totals());
        folded.map(|totals| totals.rows + totals.quarantined).sum()
    }

    /// Records of all logs.
    pub fn log_records(&self) -> u64 {
        self.logs.iter().map(|log| log.state().next_seq.0).sum()
    }

    /// By the process's metrics.
    pub fn owned_kafka_partitions(&self) -> u64 {
        self.metric("tributary_writer_owned_kafka_partitions")
    }

    /// By the process's metrics.
    pub fn open_lake_partitions(&self) -> u64 {
        self.metric("tributary_writer_open_lake_partitions")
    }

    /// Sum over all labels; 0 while the process does not answer.
    fn metric(&self, name: &str) -> u64 {
        let text = self.admin("/metrics").unwrap_or_default();
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    }

    fn admin(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin_port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Asks the process to end in order.
    pub fn end(&self, writer: Writer) {
        let mut process = writer.process.into_inner();
        process.signal(Signal::Terminate).expect("it runs");
        let status = process.wait(SHUTDOWN).expect("it ends in time");
        assert!(status.success(), "ended with {status}; its log:\n{}", process.log());
    }

    /// The files of all tables hold so many rows, each once, as duckdb reads them.
    pub fn assert_rows(&self, rows: u64) {
        let files = format!("read_parquet('{}/lake/*/data/**/*.parquet', hive_partitioning = false)", self.folder.path().display());
        let query = format!("SELECT count(*), count(DISTINCT (_kafka_topic, _kafka_partition, _kafka_offset)) FROM {files}");
        let found = PythonReaders::prepare().and_then(|readers| readers.duckdb(&query)).expect("count with duckdb");
        assert_eq!(found.trim(), format!("{rows}|{rows}"));
    }
}

impl Writer {
    /// A line of /proc/PID/status.
    pub fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.borrow().process_id());
        let text = std::fs::read_to_string(path).expect("the process runs");
        let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap_or_else(|| panic!("a line {name}"));
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// The same of sizes, which the kernel gives in kB.
    pub fn status_bytes(&self, name: &str) -> u64 {
        self.status(name) * 1024
    }

    /// Since its start.
    pub fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Fails if it ended.
    pub fn assert_runs(&self) {
        let mut process = self.process.borrow_mut();
        let ended = process.ended().expect("ask for its end");
        assert!(ended.is_none(), "ended with {ended:?}; its log:\n{}", process.log());
    }
}

//! A lake, topics on the shared broker, and the processes of the real binary that work on them.
use kafka_io::{Admin, OffsetQuery, Producer, TopicPartition};
use lake_store::{LocalStore, TableLog, TableLogOptions};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use table_log::{KafkaPartition, SourcePartition, TableName, TableState};
use tempfile::TempDir;
use test_kit::{
    KafkaServer, PythonReaders, Signal, Tributary,
    telemetry::{self, TelemetryMix, Totals},
    wait_until,
};
use tokio::runtime::Runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");
const TABLE: &str = "telemetry";
const COUNT: &str = include_str!("count.py");
const HOUR_US: i64 = 3_600_000_000;

/// Everything a test needs, gone at its end.
pub struct Scene {
    folder: TempDir,
    settings: PathBuf,
    topics: Vec<String>,
    kafka_partitions: i32,
    admin: Admin,
    runtime: Runtime,
}

/// A lake-writer process.
pub struct Writer(Tributary);

impl Scene {
    /// Topics of `kafka_partitions` each that feed one table with windows of an hour.
    pub fn new(topics: usize, kafka_partitions: i32) -> Self {
        let server = KafkaServer::shared();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let topics: Vec<String> =
            (0..topics).map(|_| server.create_topic("telemetry", kafka_partitions).expect("create a topic")).collect();
        let schemas = folder.path().join("schemas/telemetry");
        std::fs::create_dir_all(&schemas).expect("make the schemas folder");
        let mut schema: Value = serde_json::from_str(telemetry::SCHEMA).expect("the schema is JSON");
        schema["schema_id"] = Value::from(1);
        std::fs::write(schemas.join("v1.avsc"), schema.to_string()).expect("write the schema");
        let settings =
            Tributary::write_settings(folder.path(), &settings(&server.bootstrap_servers(), &topics)).expect("write the settings");
        let runtime = Runtime::new().expect("start the async runtime");
        Self { folder, settings, topics, kafka_partitions, admin: server.admin(), runtime }
    }

    /// Starts the lake-writer `writer-<number>`.
    pub fn start_writer(&self, number: usize) -> Writer {
        let instance = format!("writer-{number}");
        let settings = self.settings.to_str().expect("the path is UTF-8");
        let environment = [("TRIBUTARY_INSTANCE", instance.as_str())];
        Writer(
            Tributary::start(Path::new(BINARY), &["run", "lake-writer", "-s", settings], &environment, self.folder.path())
                .expect("start a writer"),
        )
    }

    /// Sends records over `time` from another thread; ends with what must come out.
    pub fn produce(&self, records: u64, seed: u64, time: Duration) -> JoinHandle<Totals> {
        let config = KafkaServer::shared().config();
        let topics = self.topics.clone();
        let now_us = jiff::Timestamp::now().as_microsecond();
        let mix = TelemetryMix {
            seed,
            records,
            devices: 200,
            start_us: now_us - 10 * HOUR_US,
            step_us: 9 * HOUR_US / i64::try_from(records).expect("not that many"),
            late_per_mille: 20,
            late_by_us: 3 * HOUR_US,
            malformed_per_mille: 10,
            ..TelemetryMix::default()
        };
        std::thread::spawn(move || {
            let mut producer = Producer::new(&config, &[]).expect("start a producer");
            let mut stream = mix.stream();
            let started = Instant::now();
            for number in 0..records {
                let due = time.mul_f64(number as f64 / records as f64);
                if number % 500 == 0 {
                    wait_until(time * 2, "the next records are due", || started.elapsed() >= due);
                }
                let record = stream.next().expect("the mix has that many records");
                // Blocks of both topics, so that neither stands still for long.
                producer.send(record.to_new(&topics[(number / 100) as usize % topics.len()])).expect("send a record");
            }
            producer.flush(Duration::from_secs(60)).expect("the broker acknowledges everything");
            stream.totals().clone()
        })
    }

    /// Lets time go by: kills are at random times, not at events.
    pub fn pause(&self, time: Duration) {
        let started = Instant::now();
        wait_until(time + Duration::from_secs(60), "time goes by", || started.elapsed() >= time);
    }

    fn state(&self) -> Arc<TableState> {
        let store = Arc::new(LocalStore::open(self.lake()).expect("open the lake"));
        let options = TableLogOptions { read_only: true, ..TableLogOptions::new("test") };
        self.runtime.block_on(TableLog::open(store, TableName(TABLE.to_owned()), options)).expect("fold the log").state()
    }

    fn next_offsets(&self) -> Vec<i64> {
        let state = self.state();
        let sources = self.topics.iter().flat_map(|topic| (0..self.kafka_partitions).map(move |number| (topic.clone(), number)));
        sources
            .map(|(topic, number)| SourcePartition { topic, generation: 1, kafka_partition: KafkaPartition(number) })
            .map(|source| state.next_offset(&source).map_or(0, |offset| offset.0))
            .collect()
    }

    /// Offsets that the log has taken, all kafka_partitions together.
    pub fn taken(&self) -> i64 {
        self.next_offsets().iter().sum()
    }

    /// The advisory group offsets, all kafka_partitions together.
    pub fn group_offsets(&self) -> i64 {
        let all = self
            .topics
            .iter()
            .flat_map(|topic| (0..self.kafka_partitions).map(|n| TopicPartition { topic: topic.clone(), kafka_partition: n }));
        let offsets =
            self.admin.group_offsets(&format!("tributary.{TABLE}"), &all.collect::<Vec<_>>()).expect("ask for the group's offsets");
        offsets.into_iter().filter_map(|(_, offset)| offset).sum()
    }

    /// Waits until the log has taken what the topics hold.
    pub fn wait_until_taken(&self, deadline: Duration) {
        let ends = |topic: &String| self.admin.offsets(topic, self.kafka_partitions, OffsetQuery::Latest).expect("ask for the log ends");
        let ends: Vec<i64> = self.topics.iter().flat_map(ends).collect();
        let mut next = Vec::new();
        let started = Instant::now();
        wait_until(deadline + Duration::from_secs(1), "everything is taken", || {
            next = self.next_offsets();
            assert!(started.elapsed() < deadline, "not everything is taken:\nends {ends:?}\nnext {next:?}");
            next == ends
        });
    }

    /// Runs `tributary verify`, which must find nothing.
    pub fn verify(&self, flags: &[&str]) {
        let mut command = Command::new(BINARY);
        command.args(["verify", TABLE, "-s"]).arg(&self.settings).args(flags).env("TRIBUTARY_INSTANCE", "verify");
        let output = command.output().expect("run verify");
        let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
        assert!(output.status.success(), "verify ended with {}:\n{text}", output.status);
        println!("{text}");
    }

    /// Counts and sums of the files, read by duckdb, must be those of what was produced.
    pub fn compare_with_duckdb(&self, produced: &Totals) {
        let table = self.lake().join(TABLE);
        let text = PythonReaders::prepare().and_then(|readers| readers.run_python(COUNT, &[&table])).expect("count with duckdb");
        let counts: Value = serde_json::from_str(&text).expect("the script prints JSON");
        println!("{counts}");
        let expected = [
            ("rows", produced.rows as i64),
            ("distinct_records", produced.rows as i64),
            ("distinct_rows", produced.rows as i64),
            ("seq_sum", produced.seq_sum),
            ("counter_sum", produced.counter_sum),
            ("temperature_rows", produced.temperature_rows as i64),
            ("refused", produced.malformed_records() as i64),
            ("distinct_refused", produced.malformed_records() as i64),
        ];
        for (name, value) in expected {
            assert_eq!(counts[name].as_i64(), Some(value), "{name} of {counts}, produced {produced:?}");
        }
        assert!(counts["in_late"].as_i64() > Some(0), "some rows came after their window was closed: {counts}");
    }

    fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }
}

impl Writer {
    /// SIGKILL.
    pub fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.0.wait(Duration::from_secs(10)).expect("a killed process ends");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.0.signal(signal).unwrap_or_else(|error| panic!("{error}; its log:\n{}", self.0.log()));
    }

    /// SIGTERM; it must end with 0 in time.
    pub fn terminate(&mut self, deadline: Duration) {
        self.signal(Signal::Terminate);
        let status = self.0.wait(deadline).expect("it ends in time");
        assert!(status.success(), "ended with {status}; its log:\n{}", self.0.log());
    }

    /// Waits until it says that it owns kafka_partitions.
    pub fn wait_until_assigned(&mut self, deadline: Duration) {
        wait_until(deadline, "kafka_partitions are assigned", || self.0.log().contains("assigned"));
    }
}

fn settings(bootstrap_servers: &str, topics: &[String]) -> String {
    let topics: String = topics.iter().map(|topic| format!("      - {topic}\n")).collect();
    format!(
        "lake: lake
schemas: schemas
admin: 127.0.0.1:0
kafka:
  bootstrap_servers: {bootstrap_servers}
  session_timeout: 6s
lake_writer:
  instance: ${{TRIBUTARY_INSTANCE}}
  commit_interval: 1s
  shards: 1
tables:
  {TABLE}:
    topics:
{topics}    subject: telemetry
    event_time: event_time
    window: 1h
    out_of_orderness: 1m
    idle_timeout: 5s
"
    )
}

//! A lake, topics on the shared broker, and the processes of the real binary that work on them.
#![allow(dead_code, reason = "each test uses its part of the scene")]
use kafka_io::{Admin, OffsetQuery, Producer, TopicPartition};
use lake_store::{LocalStore, TableLog, TableLogOptions};
use serde_json::Value;
use std::{
    cell::OnceCell,
    path::PathBuf,
    process::{Command, ExitStatus, Output},
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

/// The built binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tributary");
const TABLE: &str = "telemetry";
const COUNT: &str = include_str!("count.py");
const HOUR_US: i64 = 3_600_000_000;

/// Everything a test needs, gone at its end.
pub struct Scene {
    folder: TempDir,
    binary: PathBuf,
    settings: PathBuf,
    topics: Vec<String>,
    kafka_partitions: i32,
    admin: Admin,
    runtime: Runtime,
    log: OnceCell<TableLog>,
}

/// What scenes differ in.
#[derive(Clone, Copy, Debug)]
pub struct SceneSettings {
    /// Topics.
    pub topics: usize,
    /// Of each topic.
    pub kafka_partitions: i32,
    /// Time between two commits of a writer.
    pub commit_interval: Duration,
    /// After this without a record a kafka_partition reports itself idle.
    pub idle_timeout: Duration,
}

/// A lake-writer process.
pub struct Writer(Tributary);

impl Scene {
    /// Topics of `kafka_partitions` each that feed one table with windows of an hour.
    pub fn new(topics: usize, kafka_partitions: i32) -> Self {
        let (commit_interval, idle_timeout) = (Duration::from_secs(1), Duration::from_secs(5));
        Self::with(SceneSettings { topics, kafka_partitions, commit_interval, idle_timeout })
    }

    /// As [`Scene::new`], with settings.
    pub fn with(scene: SceneSettings) -> Self {
        let SceneSettings { topics, kafka_partitions, .. } = scene;
        let server = KafkaServer::shared();
        let mut folder = tempfile::tempdir().expect("a temporary folder can be made");
        if std::env::var_os("KEEP_SCENE").is_some() {
            println!("lake, settings and logs stay in {}", folder.path().display());
            folder.disable_cleanup(true);
        }
        let topics: Vec<String> =
            (0..topics).map(|_| server.create_topic("telemetry", kafka_partitions).expect("create a topic")).collect();
        let schemas = folder.path().join("schemas/telemetry");
        std::fs::create_dir_all(&schemas).expect("make the schemas folder");
        let mut schema: Value = serde_json::from_str(telemetry::SCHEMA).expect("the schema is JSON");
        schema["schema_id"] = Value::from(1);
        std::fs::write(schemas.join("v1.avsc"), schema.to_string()).expect("write the schema");
        let settings =
            Tributary::write_settings(folder.path(), &settings(&server.bootstrap_servers(), &topics, scene)).expect("write the settings");
        let binary = folder.path().join("tributary");
        // A name of its own: a build that ends meanwhile must not change the program under test.
        std::fs::hard_link(BINARY, &binary).or_else(|_| std::fs::copy(BINARY, &binary).map(drop)).expect("take the built binary");
        let runtime = Runtime::new().expect("start the async runtime");
        Self { folder, binary, settings, topics, kafka_partitions, admin: server.admin(), runtime, log: OnceCell::new() }
    }

    /// Starts the lake-writer `writer-<number>`.
    pub fn start_writer(&self, number: usize) -> Writer {
        self.start_writer_with(number, &[])
    }

    /// As [`Scene::start_writer`], with variables in its environment.
    pub fn start_writer_with(&self, number: usize, variables: &[(&str, &str)]) -> Writer {
        let instance = format!("writer-{number}");
        let settings = self.settings.to_str().expect("the path is UTF-8");
        let environment = [&[("TRIBUTARY_INSTANCE", instance.as_str())], variables].concat();
        Writer(
            Tributary::start(&self.binary, &["run", "lake-writer", "-s", settings], &environment, self.folder.path())
                .expect("start a writer"),
        )
    }

    /// Sends records over `time` from another thread; ends with what must come out.
    pub fn produce(&self, records: u64, seed: u64, time: Duration) -> JoinHandle<Totals> {
        let config = KafkaServer::shared().config();
        let topics = self.topics.clone();
        let mix = Self::mix(records, seed);
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

    /// Nine hours of records that end an hour ago, with late and malformed ones.
    pub fn mix(records: u64, seed: u64) -> TelemetryMix {
        let now_us = jiff::Timestamp::now().as_microsecond();
        TelemetryMix {
            seed,
            records,
            devices: 200,
            start_us: now_us - 10 * HOUR_US,
            step_us: 9 * HOUR_US / i64::try_from(records).expect("not that many"),
            late_per_mille: 20,
            late_by_us: 3 * HOUR_US,
            malformed_per_mille: 10,
            ..TelemetryMix::default()
        }
    }

    /// The topics.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// Lets time go by: kills are at random times, not at events.
    pub fn pause(&self, time: Duration) {
        let started = Instant::now();
        wait_until(time + Duration::from_secs(60), "time goes by", || started.elapsed() >= time);
    }

    /// The fold of the log at its end.
    pub fn state(&self) -> Arc<TableState> {
        let open = || {
            let store = Arc::new(LocalStore::open(self.lake()).expect("open the lake"));
            self.runtime.block_on(TableLog::open(store, TableName(TABLE.to_owned()), TableLogOptions::read_only())).expect("fold the log")
        };
        let log = self.log.get_or_init(open);
        self.runtime.block_on(log.refresh()).expect("fold the log")
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

    /// Runs `tributary verify`.
    pub fn run_verify(&self, flags: &[&str]) -> Output {
        let mut command = Command::new(&self.binary);
        command.args(["verify", TABLE, "-s"]).arg(&self.settings).args(flags).env("TRIBUTARY_INSTANCE", "verify");
        command.output().expect("run verify")
    }

    /// Runs `tributary verify`, which must find nothing.
    pub fn verify(&self, flags: &[&str]) {
        let output = self.run_verify(flags);
        let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
        assert!(output.status.success(), "verify ended with {}:\n{text}", output.status);
        println!("{text}");
    }

    /// Counts and sums of the files, read by duckdb, must be those of what was produced.
    pub fn compare_with_duckdb(&self, produced: &Totals) -> Value {
        self.compare(COUNT, produced)
    }

    /// The same by a script of another reader, which prints the same counts.
    pub fn compare(&self, script: &str, produced: &Totals) -> Value {
        let readers = PythonReaders::prepare().expect("readers in Python");
        let text = readers.run_python(script, &[&self.table_folder()]).expect("count with an independent reader");
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
        counts
    }

    /// Folder of the table in the lake.
    pub fn table_folder(&self) -> PathBuf {
        self.lake().join(TABLE)
    }

    /// Logs of all processes, one text each.
    pub fn logs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("list the folder").filter_map(Result::ok);
        let logs = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "log"));
        logs.map(|entry| String::from_utf8_lossy(&std::fs::read(entry.path()).expect("read a log")).into_owned()).collect()
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

    /// How it ended; `None`: it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.ended().expect("ask for its end")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Whether it was frozen by SIGSTOP.
    pub fn is_frozen(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.process_id())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Waits until it says that it owns kafka_partitions.
    pub fn wait_until_assigned(&mut self, deadline: Duration) {
        wait_until(deadline, "kafka_partitions are assigned", || self.0.log().contains("assigned"));
    }
}

fn settings(bootstrap_servers: &str, topics: &[String], scene: SceneSettings) -> String {
    let (commit_ms, idle_ms) = (scene.commit_interval.as_millis(), scene.idle_timeout.as_millis());
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
  commit_interval: {commit_ms}ms
  shards: 1
tables:
  {TABLE}:
    topics:
{topics}    subject: telemetry
    event_time: event_time
    window: 1h
    out_of_orderness: 1m
    idle_timeout: {idle_ms}ms
"
    )
}

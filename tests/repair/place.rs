//! A lake with tables on a broker, processes of the real binary, and a person who reads messages and types commands.
use kafka_io::{Admin, KafkaConfig, OffsetQuery, Producer, TopicPartition};
use lake_store::{LocalStore, TableLog, TableLogOptions};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};
use table_log::{Record, Seq, TableName, TableState};
use tempfile::TempDir;
use test_kit::{
    Signal, Tributary,
    telemetry::{self, TelemetryMix},
    wait_for, wait_until,
};
use tokio::runtime::Runtime;

/// Time for anything that is waited for.
pub const LONG: Duration = Duration::from_secs(90);
const SHUTDOWN: Duration = Duration::from_secs(30);
const HOUR_US: i64 = 3_600_000_000;

/// Lake, settings and broker of one test.
pub struct Place {
    folder: TempDir,
    settings: PathBuf,
    admin_port: u16,
    kafka: KafkaConfig,
    /// Questions to the broker.
    pub admin: Admin,
    runtime: Runtime,
}

/// A table and its topics with their starts (`earliest` or `latest`).
pub struct Table<'a> {
    pub name: &'a str,
    pub topics: &'a [(&'a str, &'a str)],
}

impl Place {
    /// Settings for these tables on a broker; nothing runs yet.
    pub fn new(kafka: KafkaConfig, tables: &[Table<'_>], commit_interval: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let schemas = folder.path().join("schemas/telemetry");
        std::fs::create_dir_all(&schemas).expect("make the schemas folder");
        let mut schema: Value = serde_json::from_str(telemetry::SCHEMA).expect("the schema is JSON");
        schema["schema_id"] = Value::from(1);
        std::fs::write(schemas.join("v1.avsc"), schema.to_string()).expect("write the schema");
        // A name of its own: a build that ends meanwhile must not change the program under test.
        let (built, binary) = (Path::new(env!("CARGO_BIN_EXE_tributary")), folder.path().join("tributary"));
        std::fs::hard_link(built, &binary).or_else(|_| std::fs::copy(built, &binary).map(drop)).expect("take the built binary");
        let admin_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("find a free port").port();
        let settings = folder.path().join("tributary.yaml");
        let admin = Admin::new(&kafka).expect("the configuration is valid");
        let place = Self { folder, settings, admin_port, kafka, admin, runtime: Runtime::new().expect("start the async runtime") };
        place.write_settings(tables, commit_interval);
        place
    }

    /// Writes the settings anew.
    pub fn write_settings(&self, tables: &[Table<'_>], commit_interval: &str) {
        let table = |table: &Table<'_>| {
            let topic = |(name, start): &(&str, &str)| format!("      - {{topic: {name}, start: {start}}}\n");
            let topics: String = table.topics.iter().map(topic).collect();
            format!(
                "  {}:\n    topics:\n{topics}    subject: telemetry\n    event_time: event_time\n    window: 1h\n    idle_timeout: none\n",
                table.name
            )
        };
        let tables: String = tables.iter().map(table).collect();
        let text = format!(
            "lake: lake\nschemas: schemas\nadmin: 127.0.0.1:{}\nkafka:\n  bootstrap_servers: {}\n  session_timeout: 6s\nlake_writer:\n  \
             instance: writer-0\n  commit_interval: {commit_interval}\n  shards: 1\n  lost_file_after: 1s\ntables:\n{tables}",
            self.admin_port, self.kafka.bootstrap_servers
        );
        std::fs::write(&self.settings, text).expect("write the settings");
    }

    /// Goes on with another broker.
    pub fn move_to(&mut self, kafka: KafkaConfig) {
        let text = std::fs::read_to_string(&self.settings).expect("read the settings");
        let moved = text.replace(&self.kafka.bootstrap_servers, &kafka.bootstrap_servers);
        std::fs::write(&self.settings, moved).expect("write the settings");
        self.admin = Admin::new(&kafka).expect("the configuration is valid");
        self.kafka = kafka;
    }

    /// Path below the lake's root.
    pub fn in_lake(&self, key: &str) -> PathBuf {
        self.folder.path().join("lake").join(key)
    }

    /// Starts the lake-writer.
    pub fn start(&self) -> Writer {
        let arguments = ["run", "lake-writer", "-s", self.settings.to_str().expect("the path is UTF-8")];
        Writer(Tributary::start(&self.folder.path().join("tributary"), &arguments, &[], self.folder.path()).expect("start a writer"))
    }

    /// Runs a command line in a shell, as a person would.
    pub fn shell(&self, command: &str) -> Output {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap_or_default());
        Command::new("sh").args(["-c", command]).env("PATH", path).env("USER", "ada").current_dir("/").output().expect("run a shell")
    }

    /// Runs `tributary` with the settings of this place.
    pub fn run(&self, arguments: &str) -> Output {
        self.shell(&format!("tributary {arguments} --settings {}", self.settings.display()))
    }

    /// Sends good records, round robin over `partitions`; those of a higher seed are hours later.
    pub fn produce(&self, topic: &str, partitions: i32, records: u64, seed: u64) {
        self.produce_mix(topic, partitions, TelemetryMix { records, ..mix(seed) });
    }

    /// Sends records, some of them malformed; returns how many.
    pub fn produce_with_malformed(&self, topic: &str, records: u64, seed: u64) -> u64 {
        let mix = TelemetryMix { records, malformed_per_mille: 200, ..mix(seed) };
        self.produce_mix(topic, 1, mix.clone());
        mix.stream().filter(|record| matches!(record.kind, telemetry::Kind::Malformed(_))).count() as u64
    }

    fn produce_mix(&self, topic: &str, partitions: i32, mix: TelemetryMix) {
        let mut producer = Producer::new(&self.kafka, &[]).expect("start a producer");
        for (record, number) in mix.stream().zip(0..) {
            let record = kafka_io::NewRecord { kafka_partition: Some(number % partitions), ..record.to_new(topic) };
            producer.send(record).expect("send a record");
        }
        producer.flush(LONG).expect("the broker acknowledges everything");
    }

    /// Creates a topic whose records stay.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        let kept = [("retention.ms".to_owned(), "-1".to_owned())];
        wait_until(LONG, "the name to be free", || self.admin.create_topic(topic, partitions, 1, &kept).is_ok());
        wait_until(LONG, "the topic to be known", || self.admin.offsets(topic, partitions, OffsetQuery::Latest).is_ok());
    }

    /// Deletes the records of a kafka_partition before an offset.
    pub fn delete_records(&self, topic: &str, kafka_partition: i32, before: i64) {
        let partition = TopicPartition { topic: topic.to_owned(), kafka_partition };
        self.admin.delete_records(&[(partition, before)]).expect("delete records");
    }

    fn log(&self, table: &str) -> TableLog {
        let store = Arc::new(LocalStore::open(self.in_lake("")).expect("open the lake"));
        let options = TableLogOptions { read_only: true, ..TableLogOptions::new("test") };
        self.runtime.block_on(TableLog::open(store, TableName(table.to_owned()), options)).expect("fold the log")
    }

    /// The folded state of a table.
    pub fn state(&self, table: &str) -> Arc<TableState> {
        self.log(table).state()
    }

    /// A record of a table.
    pub fn record(&self, table: &str, seq: Seq) -> Arc<Record> {
        self.runtime.block_on(self.log(table).record(seq)).expect("read the record")
    }

    /// Waits until a table has taken this many offsets as rows or into quarantine.
    pub fn wait_for_taken(&self, table: &str, taken: u64) {
        let mut found = 0;
        let what = format!("{taken} records of `{table}` to be taken");
        wait_until(LONG, &what, || {
            let totals = self.state(table).totals();
            found = totals.rows + totals.quarantined;
            assert!(found <= taken, "{found} records of `{table}` are taken, not {taken}");
            found == taken
        });
    }

    /// Runs `tributary verify`, which must find nothing.
    pub fn verify(&self, table: &str, flags: &str) -> String {
        let output = self.run(&format!("verify {table} {flags}"));
        let text = text(&output);
        assert!(output.status.success(), "verify ended with {}:\n{text}", output.status);
        text
    }

    /// `tributary status`: exit code and JSON.
    pub fn status(&self) -> (i32, Value) {
        let output = self.run("status -o json");
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        (output.status.code().expect("no signal ended it"), json)
    }

    /// The command that `status` proposes for a table, if it is stopped.
    pub fn command_of_status(&self, table: &str) -> Option<String> {
        let (code, json) = self.status();
        let tables = json["tables"].as_array().expect("a list of tables");
        let status = tables.iter().find(|status| status["table"] == table).expect("the table is shown");
        let command = status["stops"][0]["command"].as_str().map(str::to_owned);
        assert!(command.is_none() || code == 4, "a stopped table is exit code 4: {json}");
        command
    }

    /// What the admin port answers.
    pub fn admin_port(&self, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin_port)).expect("the admin port listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: tributary\r\nConnection: close\r\n\r\n").expect("send a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read the answer");
        answer
    }

    /// Waits until a running writer says that a table is stopped: not ready, and by a metric. Returns the message.
    pub fn wait_for_stop(&self, writer: &Writer, table: &str, situation: &str) -> String {
        let metric = format!("tributary_writer_stopped{{situation=\"{situation}\",table=\"{table}\"}} 1");
        wait_until(LONG, &format!("table `{table}` to be stopped: {situation}"), || {
            self.admin_port("/metrics").contains(&metric) && self.admin_port("/ready").contains("stopped: ")
        });
        writer.stop_message()
    }

    /// Waits until a running writer is ready and no metric says that a table is stopped.
    pub fn wait_until_ready(&self) {
        wait_until(LONG, "the writer to be ready", || {
            let metrics = self.admin_port("/metrics");
            let stopped = metrics.lines().any(|line| line.starts_with("tributary_writer_stopped{") && line.ends_with(" 1"));
            !stopped && self.admin_port("/ready").starts_with("HTTP/1.1 200")
        });
    }

    /// Reads the command out of a message and does what a person would: look at the dry run, which changes nothing, then run it. Returns what
    /// both printed.
    pub fn follow(&self, table: &str, message: &str) -> (String, String) {
        let command = command_in(message);
        assert!(command.contains(" --apply"), "{command}");
        let before = self.state(table).next_seq;
        let dry = self.shell(&command.replacen(" --apply", "", 1));
        assert!(dry.status.success(), "the dry run ended with {}:\n{}", dry.status, text(&dry));
        assert!(text(&dry).contains("nothing is recorded"), "{}", text(&dry));
        assert_eq!(self.repairs_since(table, before), 0, "a dry run records nothing");
        let done = self.shell(&command);
        assert!(done.status.success(), "`{command}` ended with {}:\n{}", done.status, text(&done));
        assert!(self.repairs_since(table, before) > 0, "it is recorded");
        (text(&dry), text(&done))
    }

    fn repairs_since(&self, table: &str, seq: Seq) -> usize {
        let next = self.state(table).next_seq;
        (seq.0..next.0).filter(|seq| matches!(self.record(table, Seq(*seq)).kind(), "repair" | "source")).count()
    }
}

fn mix(seed: u64) -> TelemetryMix {
    let start_us = TelemetryMix::default().start_us + i64::try_from(seed).expect("small") * 2 * HOUR_US;
    TelemetryMix { seed, start_us, ..TelemetryMix::default() }
}

/// Both outputs of a process.
pub fn text(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// The command line that a message says to run.
pub fn command_in(message: &str) -> String {
    let start = message.find("`tributary ").unwrap_or_else(|| panic!("no command in: {message}")) + 1;
    let end = message[start..].find('`').expect("the command ends") + start;
    message[start..end].to_owned()
}

/// A lake-writer process.
pub struct Writer(Tributary);

impl Writer {
    /// SIGKILL.
    pub fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.0.wait(SHUTDOWN).expect("a killed process ends");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.0.signal(signal).unwrap_or_else(|error| panic!("{error}; its log:\n{}", self.0.log()));
    }

    /// SIGTERM; it must end with 0.
    pub fn terminate(&mut self) {
        self.signal(Signal::Terminate);
        let status = self.0.wait(SHUTDOWN).expect("it ends in time");
        assert!(status.success(), "ended with {status}; its log:\n{}", self.0.log());
    }

    /// Waits for its end with exit code 4. Returns the error that it ends with.
    pub fn wait_for_exit_4(&mut self) -> String {
        let status = self.0.wait(LONG).expect("a process whose only table is stopped ends");
        assert_eq!(status.code(), Some(4), "its log:\n{}", self.0.log());
        let log = self.0.log();
        log[log.rfind("error: ").expect("it ends with an error")..].to_owned()
    }

    /// The newest message of a stopped table in its log.
    fn stop_message(&self) -> String {
        let message = wait_for(LONG, "the message of the stop", || {
            let log = self.0.log();
            log.lines().rfind(|line| line.contains("table is stopped")).map(str::to_owned)
        });
        // The log quotes the message.
        message.replace("\\'", "'").replace("\\\"", "\"")
    }
}

//! A lake with a table and one derived from it, a topic on the shared broker, and the processes of the real binary.
use crate::feed::SCHEMA;
use kafka_io::{Admin, OffsetQuery};
use lake_store::{LocalStore, TableLog, TableLogOptions};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table_log::record::FileEntry;
use table_log::{KafkaPartition, SourcePartition, TableName, TableState};
use tempfile::TempDir;
use test_kit::{KafkaServer, Tributary, wait_until};
use tokio::runtime::Runtime;
use windowing::{Micros, Time};

pub const TABLE: &str = "readings";
pub const DERIVED: &str = "site_minutes";
pub const KAFKA_PARTITIONS: i32 = 6;
/// Averages over two minutes, each minute. Sums of integers, so that their order does not matter.
pub const SQL: &str = "SELECT window_start, window_end, site, count(*) AS readings, sum(counter) AS total, max(counter) AS highest
FROM readings GROUP BY window_start, window_end, site
";

/// Everything the test needs, gone at its end.
pub struct Scene {
    pub topic: String,
    folder: TempDir,
    binary: PathBuf,
    settings: PathBuf,
    admin: Admin,
    runtime: Runtime,
}

/// A table's log, read only.
pub struct Log {
    log: TableLog,
    runtime: tokio::runtime::Handle,
}

impl Scene {
    pub fn new() -> Self {
        let server = KafkaServer::shared();
        let mut folder = tempfile::tempdir().expect("a temporary folder can be made");
        if std::env::var_os("KEEP_SCENE").is_some() {
            println!("lake, settings and logs stay in {}", folder.path().display());
            folder.disable_cleanup(true);
        }
        let topic = server.create_topic("readings", KAFKA_PARTITIONS).expect("create a topic");
        let schemas = folder.path().join("schemas/readings");
        std::fs::create_dir_all(&schemas).expect("make the schemas folder");
        std::fs::write(schemas.join("v1.avsc"), SCHEMA).expect("write the schema");
        std::fs::write(folder.path().join("site_minutes.sql"), SQL).expect("write the SQL");
        let settings =
            Tributary::write_settings(folder.path(), &settings(&server.bootstrap_servers(), &topic)).expect("write the settings");
        let binary = folder.path().join("tributary");
        let built = env!("CARGO_BIN_EXE_tributary");
        // A name of its own: a build that ends meanwhile must not change the program under test.
        std::fs::hard_link(built, &binary).or_else(|_| std::fs::copy(built, &binary).map(drop)).expect("take the built binary");
        let runtime = Runtime::new().expect("start the async runtime");
        Self { topic, folder, binary, settings, admin: server.admin(), runtime }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn lake(&self) -> PathBuf {
        self.folder().join("lake")
    }

    /// The command line of another program of ours, to be run with arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("-s").arg(&self.settings).env("TRIBUTARY_INSTANCE", "test").current_dir(self.folder());
        command
    }

    /// Starts a service under a name.
    pub fn start(&self, service: &str, instance: &str, variables: &[(&str, &str)]) -> Tributary {
        let settings = self.settings.to_str().expect("the path is UTF-8");
        let environment = [&[("TRIBUTARY_INSTANCE", instance)], variables].concat();
        Tributary::start(&self.binary, &["run", service, "-s", settings], &environment, self.folder()).expect("start a service")
    }

    /// Opens a table's log; `None`: it has no records yet.
    pub fn log(&self, table: &str) -> Option<Log> {
        let store = Arc::new(LocalStore::open(self.lake()).expect("open the lake"));
        let opened = self.runtime.block_on(TableLog::open(store, TableName(table.to_owned()), TableLogOptions::read_only()));
        let log = opened.expect("fold the log");
        log.state().table.is_some().then(|| Log { log, runtime: self.runtime.handle().clone() })
    }

    /// Waits until all is taken, what is closed is sealed, late rows are in, and the derived table rests on it.
    pub fn wait_until_at_rest(&self, deadline: Duration, mut each: impl FnMut()) {
        let logs = || Some((self.log(TABLE)?, self.log(DERIVED)?));
        let (source, derived) = test_kit::wait_for(deadline, "both tables are there", logs);
        let ends = self.admin.offsets(&self.topic, KAFKA_PARTITIONS, OffsetQuery::Latest).expect("ask for the log ends");
        let mut why = String::new();
        let started = Instant::now();
        wait_until(deadline + Duration::from_secs(1), "all is at rest", || {
            each();
            let (state, results) = (source.state(), derived.state());
            why = unrest(&ends, &self.topic, &state, &results);
            assert!(started.elapsed() < deadline, "{why}");
            why.is_empty()
        });
    }

    /// `tributary verify --deep`; returns its report.
    pub fn verify(&self, table: &str) -> Value {
        let output = self.command(&["verify", table, "--deep", "-o", "json"]).output().expect("run verify");
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("verify ended with {}: {error}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Nobody panicked, no table was stopped, and no process saw a broken log.
    pub fn assert_logs_are_calm(&self) {
        let alarming = ["panicked at", "table is stopped", "cannot be folded", "is lost", "defect"];
        for entry in std::fs::read_dir(self.folder()).expect("list the folder").filter_map(Result::ok) {
            if entry.path().extension().is_none_or(|ending| ending != "log") {
                continue;
            }
            let log = String::from_utf8_lossy(&std::fs::read(entry.path()).expect("read a log")).into_owned();
            for line in log.lines() {
                assert!(!alarming.iter().any(|words| line.contains(words)), "{line}\nin the log:\n{log}");
            }
        }
    }
}

impl Log {
    /// The fold of its end.
    pub fn state(&self) -> Arc<TableState> {
        self.runtime.block_on(self.log.refresh()).expect("fold the log")
    }

    /// The entries of files.
    pub fn entries(&self, files: &[table_log::FileRef]) -> Vec<FileEntry> {
        self.runtime.block_on(self.log.files(files)).expect("read the records")
    }
}

/// What is still to do; empty: nothing.
fn unrest(ends: &[i64], topic: &str, state: &TableState, results: &TableState) -> String {
    let source = |number| SourcePartition { topic: topic.to_owned(), generation: 1, kafka_partition: KafkaPartition(number) };
    let next: Vec<i64> = (0..KAFKA_PARTITIONS).map(|number| state.next_offset(&source(number)).map_or(0, |offset| offset.0)).collect();
    if next != ends {
        return format!("not all is taken: ends {ends:?}, next {next:?}");
    }
    let unsealed: Vec<String> =
        state.windows().filter(|(_, revision, closed)| *closed && *revision == 0).map(|(start, ..)| start.to_string()).collect();
    let late: BTreeSet<String> = state.late_files().map(|(place, _)| place.window_start.to_string()).collect();
    if !unsealed.is_empty() || !late.is_empty() {
        return format!("not sealed: {unsealed:?}; with late rows: {late:?}");
    }
    let minute = Micros::MINUTE;
    let newest = |start: Time| state.window(start).map_or(0, |window| window.revision);
    let behind: BTreeSet<String> = state
        .windows()
        .filter(|(_, revision, _)| *revision > 0)
        .flat_map(|(start, ..)| [start, start + minute])
        .map(|time| Time(time.0.div_euclid(2 * minute.0) * 2 * minute.0))
        .filter(|start| state.is_closed(*start + minute))
        .filter(|start| {
            !results.window(*start).is_some_and(|made| made.inputs.iter().all(|input| input.revision == newest(input.window_start)))
        })
        .map(|start| start.to_string())
        .collect();
    if behind.is_empty() { String::new() } else { format!("derived windows are behind: {behind:?}") }
}

fn settings(bootstrap_servers: &str, topic: &str) -> String {
    format!(
        "lake: lake
schemas: schemas
admin: 127.0.0.1:0
kafka:
  bootstrap_servers: {bootstrap_servers}
  session_timeout: 6s
lake_writer:
  instance: ${{TRIBUTARY_INSTANCE}}
  commit_interval: 700ms
  shards: 1
window_sealer:
  instance: ${{TRIBUTARY_INSTANCE}}
  memory_budget: 64MiB
  amend_delay: 3s
  retain_superseded: 20s
  orphan_age: 1m
  poll_interval: 200ms
tables:
  {TABLE}:
    topics: [{topic}]
    subject: readings
    event_time: event_time
    window: 1m
    out_of_orderness: 5s
    idle_timeout: none
    dedupe_by: [device_id, seq]
    sort_by: [device_id, event_time]
transforms:
  {DERIVED}:
    source: {TABLE}
    sql: site_minutes.sql
    size: 2m
    every: 1m
    window: 2m
    sort_by: [site]
"
    )
}

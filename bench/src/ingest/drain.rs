//! The lake-writer draining the topic into a committed lake, as the release binary.
use super::topic::{TOPIC, write_schema};
use crate::process::{Measured, Usage};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The lag is shown once a second, and as nothing before the client knows the ends of the topic.
const CAUGHT_UP_FOR: Duration = Duration::from_millis(2_500);

/// One lake with its settings.
#[derive(Debug)]
pub struct Drain {
    folder: PathBuf,
    settings: PathBuf,
    admin: String,
    /// Of the lake's one table, and so of its consumer group: members that ended do not hold kafka_partitions of the next lake.
    table: String,
    shards: u32,
}

/// How a lake-writer is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Brokers.
    pub bootstrap: &'a str,
    /// Independent consumers.
    pub shards: u32,
    /// Lines for the table.
    pub table: &'a str,
    /// Lines for the lake-writer.
    pub writer: &'a str,
}

/// One whole run.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// CPU and memory until the process's end.
    pub usage: Usage,
    /// Rows a second, from all kafka_partitions assigned to the last commit that was not made by the end of the run.
    pub rows_per_second: f64,
}

impl Drain {
    /// A new lake in `folder`.
    pub fn new(folder: &Path, setup: Setup<'_>) -> Result<Self> {
        fs::create_dir_all(folder)?;
        write_schema(&folder.join("schemas"))?;
        let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let Setup { bootstrap, shards, table: lines, writer } = setup;
        let table = folder.file_name().context("a folder with a name")?.to_string_lossy().replace('-', "_");
        let settings = folder.join("tributary.yaml");
        let text = format!(
            "lake: ./lake\nadmin: \"{admin}\"\nkafka:\n  bootstrap_servers: \"{bootstrap}\"\nlake_writer:\n  instance: bench\n  shards: {shards}\n\
             \x20 memory_budget: 256MiB\n{writer}tables:\n  {table}:\n    topics: [{TOPIC}]\n    event_time: measured_at\n    idle_timeout: none\n{lines}"
        );
        fs::write(&settings, text)?;
        Ok(Self { folder: folder.to_owned(), settings, admin, table, shards })
    }

    /// Starts the lake-writer.
    pub fn start(&self, cores: Option<&str>) -> Result<Measured> {
        let arguments = ["run", "lake-writer", "--settings", &self.settings.to_string_lossy()].map(str::to_owned);
        Measured::start(&crate::tributary()?, &arguments, cores, &self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("writer.log")
    }

    /// The lake's one table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The path for commands that read the lake.
    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Runs until everything is taken, then ends the process in order; all must be rows.
    pub fn run(&self, records: u64, cores: Option<&str>) -> Result<Drained> {
        let mut writer = self.start(cores)?;
        let mut assigned = None;
        let began = Instant::now();
        let mut behind = began;
        while behind.elapsed() < CAUGHT_UP_FOR {
            ensure!(writer.look()?, "the lake-writer ended; its log:\n{}", fs::read_to_string(self.log_file())?);
            ensure!(began.elapsed() < LIMIT, "not drained after {} s", LIMIT.as_secs());
            let log = fs::read_to_string(self.log_file())?;
            if assigned.is_none() && log.matches("kafka_partitions assigned").count() >= self.shards as usize {
                assigned = Some(SystemTime::now());
            }
            if !self.is_caught_up()? && self.rows()? < records {
                behind = Instant::now();
            }
            std::thread::sleep(LOOK_EVERY);
        }
        writer.signal("TERM")?;
        let usage = writer.end(LIMIT, false)?;
        let commits = self.commits()?;
        let rows = self.rows()?;
        ensure!(rows == records, "`{rows}` rows of `{records}` records are committed");
        let assigned = assigned.context("no kafka_partition was assigned")?;
        let rows_per_second = self.pace(&commits, assigned)?;
        Ok(Drained { usage, rows_per_second })
    }

    /// Rows a second while all shards work. The last commit of each waits for the end of the run and tells nothing.
    fn pace(&self, commits: &[(SystemTime, u64)], assigned: SystemTime) -> Result<f64> {
        let paced = &commits[..commits.len().saturating_sub(self.shards as usize)];
        let (end, _) = paced.last().context("too few commits to tell the pace")?;
        let rows: u64 = paced.iter().map(|(_, rows)| rows).sum();
        Ok(rows as f64 / end.duration_since(assigned)?.as_secs_f64())
    }

    /// Waits until the log has more rows than `rows`; returns how many it has.
    pub fn wait_for_rows(&self, rows: u64, writer: &mut Measured) -> Result<u64> {
        let began = Instant::now();
        loop {
            let committed = self.rows()?;
            if committed > rows {
                return Ok(committed);
            }
            ensure!(writer.look()?, "the lake-writer ended; its log:\n{}", fs::read_to_string(self.log_file())?);
            ensure!(began.elapsed() < LIMIT, "no commit after {} s", LIMIT.as_secs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Rows that are committed.
    pub fn rows(&self) -> Result<u64> {
        Ok(self.commits()?.iter().map(|(_, rows)| rows).sum())
    }

    /// Every kafka_partition is read, and all of it is taken.
    fn is_caught_up(&self) -> Result<bool> {
        let Some(metrics) = self.metrics() else { return Ok(false) };
        let sum = |name: &str| -> Option<f64> {
            let values = metrics.lines().filter(|line| line.starts_with(name)).map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum()
        };
        let owned = sum("tributary_writer_owned_kafka_partitions").unwrap_or(0.0);
        let lag = sum("tributary_writer_lag_records").unwrap_or(f64::MAX);
        Ok(owned as i32 == super::topic::KAFKA_PARTITIONS && lag == 0.0 && sum("tributary_writer_buffered_bytes").unwrap_or(0.0) > 0.0)
    }

    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(&self.admin).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Append records of the log: when they were made, and their rows.
    fn commits(&self) -> Result<Vec<(SystemTime, u64)>> {
        let mut commits = Vec::new();
        for seq in 0.. {
            let path = self.folder.join(format!("lake/{}/_log/{seq:020}.json", self.table));
            let Ok(text) = fs::read_to_string(&path) else { break };
            let record: serde_json::Value = serde_json::from_str(&text)?;
            if record["kind"] == "append" {
                let Some(ranges) = record["ranges"].as_array() else { bail!("record {seq} has no ranges") };
                let rows = ranges.iter().filter_map(|range| range["rows"].as_u64()).sum();
                commits.push((fs::metadata(&path)?.modified()?, rows));
            }
        }
        Ok(commits)
    }
}

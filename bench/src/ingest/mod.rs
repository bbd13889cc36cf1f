//! Ingest: the lake-writer against a bare loop on the same topic, pinned to one core with the broker on the other, and unpinned.
mod ceiling;
mod drain;
mod topic;

use crate::process::{Measured, Usage, pin};
use anyhow::{Context, Result, ensure};
pub use ceiling::{CeilingOptions, run as run_ceiling};
use drain::{Drain, Drained, Setup};
use kafka_io::KafkaConfig;
use serde::Serialize;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use test_kit::KafkaServer;
pub use topic::SCHEMA;
use topic::{KAFKA_PARTITIONS, TOPIC};

/// Options of `bench ingest`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Records to read.
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
    /// Runs of each; the best counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench/ingest.json")]
    output: PathBuf,
    /// Only the pinned runs, for work on the hot path.
    #[arg(long)]
    quick: bool,
}

/// Core of what is measured.
const OUR_CORE: &str = "0";
/// Core of the broker, while we are pinned.
const BROKER_CORE: &str = "1";
const LIMIT: Duration = Duration::from_secs(600);

/// The figures, as docs/benchmarks.md shows them.
#[derive(Debug, Default, Serialize)]
struct Figures {
    rows: u64,
    value_bytes: u64,
    rows_per_cpu_second: f64,
    ceiling_rows_per_cpu_second: f64,
    share_of_ceiling: f64,
    rows_per_second: f64,
    ceiling_rows_per_second: f64,
    rows_per_second_two_shards: f64,
    ceiling_rows_per_second_two_workers: f64,
    peak_rss_bytes: u64,
    ceiling_peak_rss_bytes: u64,
    peak_rss_bytes_10k_partitions: u64,
    restart_seconds: f64,
    freshness_seconds_beyond_interval: f64,
}

/// Runs everything, prints a table, writes the file.
pub fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("tributary-bench").tempdir()?;
    // With the delay both shards are in the group's first generation: no rebalance in the middle.
    let broker =
        KafkaServer::start(&[("num.network.threads", "2"), ("num.io.threads", "4"), ("group.initial.rebalance.delay.ms", "1000")])?;
    let admin = broker.admin();
    let settings = [("retention.ms", "-1"), ("segment.bytes", "1073741824")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    admin.create_topic(TOPIC, KAFKA_PARTITIONS, 1, &settings)?;
    let began = Instant::now();
    let value_bytes = topic::produce(&broker.config(), 0..options.records, options.records)?;
    say(&format!(
        "{} records of {} bytes produced in {:.1} s",
        options.records,
        value_bytes / options.records,
        began.elapsed().as_secs_f64()
    ))?;
    let bench = Bench { options, folder: folder.path(), config: broker.config() };
    let mut figures = Figures { rows: options.records, value_bytes, ..Figures::default() };
    pin(broker.process_id(), BROKER_CORE)?;
    bench.pinned(&mut figures)?;
    pin(broker.process_id(), &format!("{OUR_CORE},{BROKER_CORE}"))?;
    if !options.quick {
        bench.unpinned(&mut figures)?;
        save(&figures, &options.output)?;
        bench.wide(&mut figures)?;
        bench.restart(&mut figures)?;
        bench.freshness(&mut figures)?;
    }
    save(&figures, &options.output)
}

fn save(figures: &Figures, output: &Path) -> Result<()> {
    if let Some(parent) = output.parent() {
        fs::create_dir_all(parent)?;
    }
    let text = serde_json::to_string_pretty(figures)?;
    fs::write(output, format!("{text}\n"))?;
    say(&format!("{text}\nwritten to {}", output.display()))
}

struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
    config: KafkaConfig,
}

impl Bench<'_> {
    /// Ceiling and lake-writer in turns, so that both meet the same machine.
    fn pinned(&self, figures: &mut Figures) -> Result<()> {
        for round in 0..self.options.rounds {
            let (usage, seconds) = self.ceiling(&format!("pinned-{round}"), 1, Some(OUR_CORE))?;
            self.show("ceiling, pinned", usage, self.options.records as f64 / seconds)?;
            figures.ceiling_rows_per_cpu_second = figures.ceiling_rows_per_cpu_second.max(self.per_cpu_second(usage));
            figures.ceiling_rows_per_second = figures.ceiling_rows_per_second.max(self.options.records as f64 / seconds);
            figures.ceiling_peak_rss_bytes = figures.ceiling_peak_rss_bytes.max(usage.peak_rss_bytes);
            let drained = self.drain(&format!("pinned-{round}"), 1, Some(OUR_CORE))?;
            self.show("lake-writer, pinned", drained.usage, drained.rows_per_second)?;
            figures.rows_per_cpu_second = figures.rows_per_cpu_second.max(self.per_cpu_second(drained.usage));
            figures.rows_per_second = figures.rows_per_second.max(drained.rows_per_second);
            figures.peak_rss_bytes = figures.peak_rss_bytes.max(drained.usage.peak_rss_bytes);
        }
        figures.share_of_ceiling = figures.rows_per_cpu_second / figures.ceiling_rows_per_cpu_second;
        Ok(())
    }

    fn unpinned(&self, figures: &mut Figures) -> Result<()> {
        for round in 0..self.options.rounds {
            let (usage, seconds) = self.ceiling(&format!("free-{round}"), 2, None)?;
            self.show("ceiling, two workers", usage, self.options.records as f64 / seconds)?;
            figures.ceiling_rows_per_second_two_workers =
                figures.ceiling_rows_per_second_two_workers.max(self.options.records as f64 / seconds);
            let drained = self.drain(&format!("free-{round}"), 2, None)?;
            self.show("lake-writer, two shards", drained.usage, drained.rows_per_second)?;
            figures.rows_per_second_two_shards = figures.rows_per_second_two_shards.max(drained.rows_per_second);
            figures.peak_rss_bytes = figures.peak_rss_bytes.max(drained.usage.peak_rss_bytes);
        }
        Ok(())
    }

    /// 10,000 devices, each with a lake partition of its own in one window.
    fn wide(&self, figures: &mut Figures) -> Result<()> {
        let table = "    window: 1d\n    partition_by: [device]\n";
        // Thousands of files are staged one by one, each with an fsync: more than the default patience at the end.
        let writer = "  shutdown_timeout: 5m\n";
        let setup = Setup { bootstrap: &self.config.bootstrap_servers, shards: 1, table, writer };
        let drained = Drain::new(&self.folder.join("wide"), setup)?.run(self.options.records, None)?;
        self.show("10,000 lake partitions", drained.usage, drained.rows_per_second)?;
        figures.peak_rss_bytes_10k_partitions = drained.usage.peak_rss_bytes;
        fs::remove_dir_all(self.folder.join("wide"))?;
        Ok(())
    }

    /// SIGKILL in the middle, then the same instance id again: until its first commit.
    fn restart(&self, figures: &mut Figures) -> Result<()> {
        let writer = "  commit_bytes: 16MiB\n";
        let setup = Setup { bootstrap: &self.config.bootstrap_servers, shards: 1, table: "", writer };
        let drain = Drain::new(&self.folder.join("restart"), setup)?;
        let mut first = drain.start(None)?;
        let rows = drain.wait_for_rows(self.options.records / 10, &mut first)?;
        first.signal("KILL")?;
        first.end(LIMIT, true)?;
        let rows = drain.rows()?.max(rows);
        let began = Instant::now();
        let mut second = drain.start(None)?;
        drain.wait_for_rows(rows, &mut second)?;
        figures.restart_seconds = began.elapsed().as_secs_f64();
        say(&format!("restart under the same instance id: first commit after {:.2} s", figures.restart_seconds))?;
        second.signal("TERM")?;
        second.end(LIMIT, false)?;
        fs::remove_dir_all(self.folder.join("restart"))?;
        Ok(())
    }

    /// From Kafka's acknowledgement of a record to the answer of a query that counts it, beyond `commit_interval`.
    fn freshness(&self, figures: &mut Figures) -> Result<()> {
        let setup = Setup { bootstrap: &self.config.bootstrap_servers, shards: 1, table: "", writer: "  commit_interval: 1s\n" };
        let drain = Drain::new(&self.folder.join("fresh"), setup)?;
        let mut writer = drain.start(None)?;
        let mut rows = drain.wait_for_rows(self.options.records - 1, &mut writer)?;
        for _ in 0..5 {
            topic::produce(&self.config, rows..rows + 1, self.options.records)?;
            let acknowledged = Instant::now();
            rows += 1;
            while self.query(&drain)? < rows {
                ensure!(acknowledged.elapsed() < LIMIT, "the record is not in the answer");
            }
            let beyond = acknowledged.elapsed().as_secs_f64() - 1.0;
            figures.freshness_seconds_beyond_interval = figures.freshness_seconds_beyond_interval.max(beyond);
        }
        say(&format!("freshness: in the answer {:.2} s after commit_interval", figures.freshness_seconds_beyond_interval))?;
        writer.signal("TERM")?;
        writer.end(LIMIT, false)?;
        Ok(())
    }

    fn query(&self, drain: &Drain) -> Result<u64> {
        let mut command = std::process::Command::new(crate::tributary()?);
        command.args(["sql", "-o", "json", "--settings"]).arg(drain.settings());
        let output = command.arg(format!("SELECT count(*) AS n FROM {}", drain.table())).output()?;
        ensure!(output.status.success(), "the query failed: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.parse().with_context(|| format!("the answer is `{text}`"))
    }

    fn ceiling(&self, name: &str, workers: u32, cores: Option<&str>) -> Result<(Usage, f64)> {
        let log = self.folder.join(format!("ceiling-{name}.log"));
        let arguments = [
            "ceiling".to_owned(),
            "--bootstrap".to_owned(),
            self.config.bootstrap_servers.clone(),
            "--records".to_owned(),
            self.options.records.to_string(),
            "--group".to_owned(),
            format!("ceiling-{name}"),
            "--workers".to_owned(),
            workers.to_string(),
        ];
        let usage = Measured::start(&std::env::current_exe()?, &arguments, cores, &log)?
            .end(LIMIT, false)
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        let text = fs::read_to_string(&log)?;
        let seconds = text.lines().last().and_then(|line| line.trim().parse().ok());
        Ok((usage, seconds.with_context(|| format!("the ceiling printed `{text}`"))?))
    }

    fn drain(&self, name: &str, shards: u32, cores: Option<&str>) -> Result<Drained> {
        let folder = self.folder.join(format!("drain-{name}"));
        // The pace is read off the commits, so there must be some before the end of the topic.
        let setup = Setup { bootstrap: &self.config.bootstrap_servers, shards, table: "", writer: "  commit_bytes: 16MiB\n" };
        let drained = Drain::new(&folder, setup)?.run(self.options.records, cores)?;
        fs::remove_dir_all(&folder)?;
        Ok(drained)
    }

    fn per_cpu_second(&self, usage: Usage) -> f64 {
        self.options.records as f64 / usage.cpu_seconds
    }

    fn show(&self, what: &str, usage: Usage, rows_per_second: f64) -> Result<()> {
        say(&format!(
            "{what:<26} {:>5.3} CPU-s per million, {:>6.3} M rows/CPU-s, {:>6.3} M rows/s, {:>4} MiB",
            usage.cpu_seconds / self.options.records as f64 * 1e6,
            self.per_cpu_second(usage) / 1e6,
            rows_per_second / 1e6,
            usage.peak_rss_bytes >> 20,
        ))
    }
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

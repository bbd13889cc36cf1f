//! Metrics of the lake-writer. Labels are tables of the settings file, shards, and names from closed sets; never data.
//!
//! Live balance: `taken = rows + quarantined + skipped + absent` (`tributary_writer_*_total`). Taken comes from the offsets of the ranges,
//! rows and quarantined from the files as they were encoded, skipped and absent from the counts: the sum is a check, not a definition.
use crate::offsets::Counts;
use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// All metrics of the process's lake-writer.
#[derive(Clone, Debug)]
pub struct WriterMetrics {
    taken: IntCounterVec,
    rows: IntCounterVec,
    late_rows: IntCounterVec,
    quarantined: IntCounterVec,
    skipped: IntCounterVec,
    absent: IntCounterVec,
    commits: IntCounterVec,
    fenced: IntCounterVec,
    abandoned: IntCounterVec,
    publish_failures: IntCounterVec,
    commit_seconds: GaugeVec,
    delay_seconds: GaugeVec,
    watermark_seconds: GaugeVec,
    lag_records: IntGaugeVec,
    buffered_bytes: IntGaugeVec,
    open_lake_partitions: IntGaugeVec,
    owned_kafka_partitions: IntGaugeVec,
    waiting_kafka_partitions: IntGaugeVec,
    settings_drift: IntGaugeVec,
    stopped: IntGaugeVec,
    budget_used_bytes: IntGauge,
    budget_limit_bytes: IntGauge,
}

/// Registers a metric that was just made.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn seconds(&self, name: &str, help: &str) -> Result<GaugeVec, Error> {
        let metric = GaugeVec::new(Opts::new(name, help), &["table"])?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn single(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        let metric = IntGauge::new(name, help)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

impl WriterMetrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// The registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let r = Registrar(registry);
        let (table, shard) = (["table"], ["table", "shard"]);
        Ok(Self {
            taken: r.counter("tributary_writer_taken_total", "Offsets committed as taken", &table)?,
            rows: r.counter("tributary_writer_rows_total", "Offsets committed as rows", &table)?,
            late_rows: r.counter("tributary_writer_late_rows_total", "Rows of these that were late", &table)?,
            quarantined: r.counter("tributary_writer_quarantined_total", "Offsets committed to quarantine", &table)?,
            skipped: r.counter("tributary_writer_skipped_total", "Offsets left out by a setting", &table)?,
            absent: r.counter("tributary_writer_absent_total", "Offsets that Kafka never delivers", &table)?,
            commits: r.counter("tributary_writer_commits_total", "Committed append records", &["table", "reason"])?,
            fenced: r.counter("tributary_writer_fenced_total", "Proposals that others were faster than", &table)?,
            abandoned: r.counter("tributary_writer_abandoned_total", "Proposals left with an unknown outcome", &table)?,
            publish_failures: r.counter("tributary_writer_publish_failures_total", "Publications to be tried again", &table)?,
            commit_seconds: r.seconds("tributary_writer_commit_seconds", "Duration of the last commit")?,
            delay_seconds: r.seconds("tributary_writer_delay_seconds", "Age of the oldest record of the last commit")?,
            watermark_seconds: r.seconds("tributary_writer_watermark_seconds", "Watermark of the table, Unix time")?,
            lag_records: r.gauge("tributary_writer_lag_records", "Offsets from next offset to log end", &shard)?,
            buffered_bytes: r.gauge("tributary_writer_buffered_bytes", "Bytes buffered and not yet proposed", &shard)?,
            open_lake_partitions: r.gauge("tributary_writer_open_lake_partitions", "Lake partitions with buffered rows", &shard)?,
            owned_kafka_partitions: r.gauge("tributary_writer_owned_kafka_partitions", "kafka_partitions being read", &shard)?,
            waiting_kafka_partitions: r.gauge(
                "tributary_writer_waiting_kafka_partitions",
                "kafka_partitions that wait for the schema of their next record",
                &shard,
            )?,
            settings_drift: r.gauge("tributary_writer_settings_drift", "1 if the settings file differs from the log", &table)?,
            stopped: r.gauge("tributary_writer_stopped", "1 if the table is stopped and a person must act", &["table", "situation"])?,
            budget_used_bytes: r.single(
                "tributary_writer_memory_used_bytes",
                "Used of the memory budget: what is reserved, and what the process holds beyond that",
            )?,
            budget_limit_bytes: r.single("tributary_writer_memory_budget_bytes", "The memory budget")?,
        })
    }

    /// The part of one table.
    pub fn table(&self, table: &str) -> TableMetrics {
        let label = [table];
        TableMetrics {
            all: self.clone(),
            table: table.to_owned(),
            taken: self.taken.with_label_values(&label),
            rows: self.rows.with_label_values(&label),
            late_rows: self.late_rows.with_label_values(&label),
            quarantined: self.quarantined.with_label_values(&label),
            skipped: self.skipped.with_label_values(&label),
            absent: self.absent.with_label_values(&label),
            fenced: self.fenced.with_label_values(&label),
            abandoned: self.abandoned.with_label_values(&label),
            publish_failures: self.publish_failures.with_label_values(&label),
            commit_seconds: self.commit_seconds.with_label_values(&label),
            delay_seconds: self.delay_seconds.with_label_values(&label),
            watermark_seconds: self.watermark_seconds.with_label_values(&label),
            settings_drift: self.settings_drift.with_label_values(&label),
        }
    }

    /// Shows the memory budget.
    pub fn set_budget(&self, used: u64, limit: u64) {
        self.budget_used_bytes.set(as_gauge(used));
        self.budget_limit_bytes.set(as_gauge(limit));
    }
}

/// What a committed record holds, counted independently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommittedCounts {
    /// Sum of `end - start`.
    pub taken: u64,
    /// Rows in data files, and in quarantine files as `quarantined`; skipped and absent from the ranges.
    pub counts: Counts,
    /// Rows in late files.
    pub late_rows: u64,
}

/// Metrics of one table.
#[derive(Clone, Debug)]
pub struct TableMetrics {
    all: WriterMetrics,
    table: String,
    taken: IntCounter,
    rows: IntCounter,
    late_rows: IntCounter,
    quarantined: IntCounter,
    skipped: IntCounter,
    absent: IntCounter,
    /// Proposals that others were faster than.
    pub fenced: IntCounter,
    /// Proposals left with an unknown outcome.
    pub abandoned: IntCounter,
    /// Publications to be tried again.
    pub publish_failures: IntCounter,
    /// Duration of the last commit.
    pub commit_seconds: Gauge,
    /// Age of the oldest record of the last commit.
    pub delay_seconds: Gauge,
    /// Watermark of the table.
    pub watermark_seconds: Gauge,
    settings_drift: IntGauge,
}

impl TableMetrics {
    /// Counts a committed record.
    pub fn committed(&self, reason: &str, committed: &CommittedCounts) {
        self.taken.inc_by(committed.taken);
        self.rows.inc_by(committed.counts.rows);
        self.late_rows.inc_by(committed.late_rows);
        self.quarantined.inc_by(committed.counts.quarantined);
        self.skipped.inc_by(committed.counts.skipped);
        self.absent.inc_by(committed.counts.absent);
        self.all.commits.with_label_values(&[self.table.as_str(), reason]).inc();
    }

    /// Whether the settings file differs from the log.
    pub fn set_drift(&self, drift: bool) {
        self.settings_drift.set(i64::from(drift));
    }

    /// Whether the table is stopped by the situation.
    pub fn set_stopped(&self, situation: &str, stopped: bool) {
        self.all.stopped.with_label_values(&[self.table.as_str(), situation]).set(stopped.into());
    }

    /// The part of one shard.
    pub fn shard(&self, shard: u32) -> ShardMetrics {
        let shard = shard.to_string();
        let label = [self.table.as_str(), shard.as_str()];
        ShardMetrics {
            lag_records: self.all.lag_records.with_label_values(&label),
            buffered_bytes: self.all.buffered_bytes.with_label_values(&label),
            open_lake_partitions: self.all.open_lake_partitions.with_label_values(&label),
            owned_kafka_partitions: self.all.owned_kafka_partitions.with_label_values(&label),
            waiting_kafka_partitions: self.all.waiting_kafka_partitions.with_label_values(&label),
        }
    }
}

/// Metrics of one shard.
#[derive(Clone, Debug)]
pub struct ShardMetrics {
    lag_records: IntGauge,
    buffered_bytes: IntGauge,
    open_lake_partitions: IntGauge,
    owned_kafka_partitions: IntGauge,
    waiting_kafka_partitions: IntGauge,
}

/// What a shard shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardLevels {
    /// Offsets from next offset to log end.
    pub lag_records: u64,
    /// Bytes buffered.
    pub buffered_bytes: u64,
    /// Lake partitions with buffered rows.
    pub open_lake_partitions: u64,
    /// kafka_partitions being read.
    pub owned_kafka_partitions: u64,
    /// Of these, waiting for a schema.
    pub waiting_kafka_partitions: u64,
}

impl ShardMetrics {
    /// Shows the levels.
    pub fn set(&self, levels: ShardLevels) {
        self.lag_records.set(as_gauge(levels.lag_records));
        self.buffered_bytes.set(as_gauge(levels.buffered_bytes));
        self.open_lake_partitions.set(as_gauge(levels.open_lake_partitions));
        self.owned_kafka_partitions.set(as_gauge(levels.owned_kafka_partitions));
        self.waiting_kafka_partitions.set(as_gauge(levels.waiting_kafka_partitions));
    }
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_pattern_and_the_balance_shows() {
        let registry = Registry::new();
        let metrics = WriterMetrics::new(&registry).expect("a fresh registry");
        let table = metrics.table("events");
        let counts = Counts { rows: 5, quarantined: 2, skipped: 1, absent: 2 };
        table.committed("interval", &CommittedCounts { taken: 10, counts, late_rows: 1 });
        table.shard(0).set(ShardLevels { lag_records: u64::MAX, ..ShardLevels::default() });
        let families = registry.gather();
        let value = |name: &str| {
            let family = families.iter().find(|f| f.name() == name).expect("registered");
            family.get_metric()[0].get_counter().get_value() as u64
        };
        let parts = ["rows", "quarantined", "skipped", "absent"].map(|p| value(&format!("tributary_writer_{p}_total")));
        assert_eq!(value("tributary_writer_taken_total"), parts.iter().sum::<u64>());
        for family in &families {
            assert!(family.name().starts_with("tributary_writer_"), "{}", family.name());
        }
        assert!(WriterMetrics::new(&registry).is_err(), "a second registration is refused");
    }
}

//! Metrics of the window-sealer. Labels are tables of the settings file and names from closed sets; never data.
use crate::derive::metrics::DeriveMetrics;
use prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// All metrics of the process's window-sealer.
#[derive(Clone, Debug)]
pub struct SealerMetrics {
    revisions: IntCounterVec,
    rows: IntCounterVec,
    duplicates: IntCounterVec,
    overtaken: IntCounterVec,
    failures: IntCounterVec,
    vacuumed: IntCounterVec,
    swept: IntCounterVec,
    due_windows: IntGaugeVec,
    waiting_windows: IntGaugeVec,
    failing_items: IntGaugeVec,
    seal_seconds: GaugeVec,
    delay_seconds: GaugeVec,
    /// Those of derived tables.
    pub derive: DeriveMetrics,
}

/// Metrics of one table.
#[derive(Clone, Debug)]
pub struct TableSealerMetrics {
    all: SealerMetrics,
    table: String,
}

impl SealerMetrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// The registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGaugeVec::new(Opts::new(name, help), &["table"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        let seconds = |name: &str, help: &str| {
            let metric = GaugeVec::new(Opts::new(name, help), &["table"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        Ok(Self {
            derive: DeriveMetrics::new(registry)?,
            revisions: counter(
                "tributary_sealer_revisions_total",
                "Revisions committed: `seal` the first, `amend` later ones",
                &["table", "kind"],
            )?,
            rows: counter("tributary_sealer_rows_total", "Rows of committed revisions", &["table"])?,
            duplicates: counter("tributary_sealer_duplicates_total", "Rows dropped as duplicates by committed revisions", &["table"])?,
            overtaken: counter("tributary_sealer_overtaken_total", "Pieces of work that another sealer was faster with", &["table"])?,
            failures: counter("tributary_sealer_failures_total", "Pieces of work that failed and are tried again", &["table", "work"])?,
            vacuumed: counter("tributary_sealer_vacuumed_files_total", "Superseded files deleted", &["table"])?,
            swept: counter("tributary_sealer_swept_files_total", "Staged files of nobody discarded", &["table"])?,
            due_windows: gauge("tributary_sealer_due_windows", "Closed windows that need a revision now")?,
            waiting_windows: gauge("tributary_sealer_waiting_windows", "Windows whose late rows wait for others")?,
            failing_items: gauge("tributary_sealer_failing_items", "Pieces of work that failed and wait to be tried again")?,
            seal_seconds: seconds("tributary_sealer_seal_seconds", "Duration of the newest revision, from reading to its commit")?,
            delay_seconds: seconds(
                "tributary_sealer_delay_seconds",
                "Watermark minus the end of the oldest window that needs a revision now",
            )?,
        })
    }

    /// Those of one table.
    pub fn table(&self, table: &str) -> TableSealerMetrics {
        TableSealerMetrics { all: self.clone(), table: table.to_owned() }
    }
}

impl TableSealerMetrics {
    /// A revision is committed.
    pub fn revised(&self, revision: u32, (rows, duplicates): (u64, u64), seconds: f64) {
        let (all, table) = (&self.all, self.table.as_str());
        all.revisions.with_label_values(&[table, if revision == 1 { "seal" } else { "amend" }]).inc();
        all.rows.with_label_values(&[table]).inc_by(rows);
        all.duplicates.with_label_values(&[table]).inc_by(duplicates);
        all.seal_seconds.with_label_values(&[table]).set(seconds);
    }

    /// Another sealer was faster.
    pub fn overtaken(&self) {
        self.all.overtaken.with_label_values(&[&self.table]).inc();
    }

    /// Work of this kind failed.
    pub fn failed(&self, work: &'static str) {
        self.all.failures.with_label_values(&[self.table.as_str(), work]).inc();
    }

    /// Superseded files are deleted.
    pub fn vacuumed(&self, files: usize) {
        self.all.vacuumed.with_label_values(&[&self.table]).inc_by(files as u64);
    }

    /// Staged files of nobody are discarded.
    pub fn swept(&self, files: usize) {
        self.all.swept.with_label_values(&[&self.table]).inc_by(files as u64);
    }

    /// Work at hand: windows due, windows that wait, items that failed and wait, and the delay of the oldest due window.
    pub fn set_work(&self, (due, waiting, failing): (usize, usize, usize), delay_seconds: f64) {
        let (all, label) = (&self.all, [self.table.as_str()]);
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        all.due_windows.with_label_values(&label).set(number(due));
        all.waiting_windows.with_label_values(&label).set(number(waiting));
        all.failing_items.with_label_values(&label).set(number(failing));
        all.delay_seconds.with_label_values(&label).set(delay_seconds);
    }
}

//! Metrics of derived tables. Labels are tables of the settings file; never data.
use prometheus::{Error, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What the window-sealer tells of derived tables.
#[derive(Clone, Debug)]
pub struct DeriveMetrics {
    windows: IntCounterVec,
    rows: IntCounterVec,
    failures: IntCounterVec,
    due: IntGaugeVec,
    newest_revision: IntGaugeVec,
}

impl DeriveMetrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// The registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| {
            let metric = IntCounterVec::new(Opts::new(name, help), &["table"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGaugeVec::new(Opts::new(name, help), &["table"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        Ok(Self {
            windows: counter("tributary_sealer_derived_windows_total", "Derived windows committed, revisions counted each")?,
            rows: counter("tributary_sealer_derived_rows_total", "Rows of these")?,
            failures: counter("tributary_sealer_derive_failures_total", "Derived windows that failed and are tried again")?,
            due: gauge("tributary_sealer_derive_due_windows", "Derived windows that are due")?,
            newest_revision: gauge("tributary_sealer_derived_revision", "Revision of the derived window committed last")?,
        })
    }

    pub(super) fn committed(&self, table: &str, revision: u32, rows: u64) {
        self.windows.with_label_values(&[table]).inc();
        self.rows.with_label_values(&[table]).inc_by(rows);
        self.newest_revision.with_label_values(&[table]).set(revision.into());
    }

    pub(super) fn failed(&self, table: &str) {
        self.failures.with_label_values(&[table]).inc();
    }

    pub(super) fn due(&self, table: &str, windows: usize) {
        self.due.with_label_values(&[table]).set(i64::try_from(windows).unwrap_or(i64::MAX));
    }
}

//! What the parts of one table's writer share.
use crate::{
    budget::MemoryBudget,
    encode::{Dictionaries, EncodeOptions, codec},
    encoders::Encoders,
    ends::KnownEnds,
    error::{Backoff, StoppedTable, WriterError},
    metrics::TableMetrics,
    settings::{TableWriterSettings, WriterSettings},
};
use event_schema::SchemaSource;
use kafka_io::Admin;
use lake_store::TableLog;
use service_runtime::{ErrorClass, admin::Health, clock::Clock};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Components and settings of one table's writer.
#[derive(Debug)]
pub struct TableContext {
    /// Settings of the process.
    pub settings: Arc<WriterSettings>,
    /// Settings of the table.
    pub table: TableWriterSettings,
    /// Its log.
    pub log: TableLog,
    /// Questions to the cluster.
    pub admin: Arc<Admin>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Schemas by id.
    pub schemas: Arc<dyn SchemaSource>,
    /// Memory of the process.
    pub budget: MemoryBudget,
    /// Threads that end files.
    pub encoders: Encoders,
    /// Its metrics.
    pub metrics: TableMetrics,
    /// Of the process.
    pub health: Arc<Health>,
    /// This machine's clock and the store's agree: idle reports rest on it.
    pub clock_agrees: AtomicBool,
    /// Where its topics ended when they were last known to be the declared ones.
    pub ends: KnownEnds,
    /// What its files taught about dictionaries.
    pub dictionaries: Arc<Dictionaries>,
}

impl TableContext {
    /// Name of the table.
    pub fn name(&self) -> &str {
        &self.table.table.0
    }

    /// How files are encoded.
    pub fn encode_options(&self) -> EncodeOptions {
        EncodeOptions {
            compression: codec(self.settings.compression),
            row_group_rows: self.settings.row_group_rows.max(1) as usize,
            dictionaries: Arc::clone(&self.dictionaries),
            ..EncodeOptions::default()
        }
    }

    /// A seed for jitter that differs between instances, tables and uses.
    pub fn seed(&self, used_for: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.settings.instance.as_str(), self.name(), used_for).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the clocks agree.
    pub fn clocks_agree(&self) -> bool {
        self.clock_agrees.load(Ordering::Relaxed)
    }

    /// Asks the cluster without blocking the runtime.
    ///
    /// # Errors
    /// What `question` returns.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Admin) -> Result<T, WriterError> + Send + 'static,
    ) -> Result<T, WriterError> {
        let admin = Arc::clone(&self.admin);
        tokio::task::spawn_blocking(move || question(&admin))
            .await
            .map_err(|error| WriterError::Bug { what: "ask the cluster", detail: error.to_string() })?
    }

    /// Tries `step` until it succeeds or means a stop; trouble of services is waited out with backoff. `None`: `give_up` fired.
    ///
    /// # Errors
    /// The stop that an error means.
    pub async fn persist<T, F: Future<Output = Result<T, WriterError>> + Send>(
        &self,
        what: &'static str,
        give_up: &GiveUp,
        mut step: impl FnMut() -> F,
    ) -> Result<Option<T>, StoppedTable> {
        let mut backoff = Backoff::new(self.seed(what));
        loop {
            let error = tokio::select! {
                biased;
                () = give_up.fired() => return Ok(None),
                outcome = step() => match outcome {
                    Ok(value) => return Ok(Some(value)),
                    Err(error) => error,
                },
            };
            if let Some(stop) = StoppedTable::of(self.name(), &error) {
                return Err(stop);
            }
            let wait = backoff.next_wait();
            if error.class() == ErrorClass::Misconfigured {
                tracing::error!(table = self.name(), what, %error, ?wait, "refused by a service, trying again");
            } else {
                tracing::warn!(table = self.name(), what, %error, ?wait, "service in trouble, trying again");
            }
            if give_up.wait(wait).await {
                return Ok(None);
            }
        }
    }
}

/// Fires when it is time to walk away from what is under way. Clones fire together.
#[derive(Clone, Debug)]
pub struct GiveUp {
    fired: Arc<watch::Sender<bool>>,
}

impl GiveUp {
    /// One that has not fired.
    pub fn new() -> Self {
        Self { fired: Arc::new(watch::Sender::new(false)) }
    }

    /// Fires, for good.
    pub fn fire(&self) {
        self.fired.send_replace(true);
    }

    /// Resolves once it has fired.
    pub async fn fired(&self) {
        // An error means that all senders are gone, and this one holds a sender.
        let _ = self.fired.subscribe().wait_for(|fired| *fired).await;
    }

    /// Waits; returns whether it fired meanwhile.
    pub async fn wait(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.fired()).await.is_ok()
    }
}

impl Default for GiveUp {
    fn default() -> Self {
        Self::new()
    }
}

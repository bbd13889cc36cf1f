//! lake-writer: from Kafka topics to files in the lake, each record exactly once.
//!
//! ```text
//!                 ┌────────────── shard (thread) ──────────────┐   ┌──────── runtime ────────┐
//! Kafka ─batches─▶│ take ─▶ refuse ─▶ route ─▶ buffer ─▶ policy│──▶│ stage ─▶ commit ─▶ publish│─▶ table log, files
//!                 │  │offsets  │quarantine                      │   └─────────────────────────┘
//!                 └──┴─────────┴───────────────────────────────┘
//! ```
//! [`run`] runs one writer per table: [`bootstrap`] makes the log's first records, then each [`shard`] (one per core) is a group member with
//! its own consumer, decoder, buffers and commits. All share the fold and the memory budget.
//!
//! What gives exactly-once is not here but in the log: an append is valid only if every range starts at the log's next offset. A shard
//! only has to start from the log, propose exactly what it took, and drop what it built on a proposal that was not committed.
//!
//! Decisions are pure and in modules of their own: [`offsets`] (continuity, absent offsets, idleness), [`refuse`], [`route`] (lake partition, lateness),
//! [`policy`] (when to commit), [`identity`] (is the topic still the same), [`StoppedTable`] (what a person must know and do). Architecture
//! Invariant: only [`shard`], [`commit`], [`stage`], [`bootstrap`], [`table`], [`examine`], [`refile`] and `waiting` touch Kafka, the store or the clock.
pub mod bootstrap;
pub mod budget;
pub mod buffer;
pub mod commit;
pub mod context;
pub mod encode;
pub mod encoders;
pub mod ends;
pub mod error;
pub mod examine;
pub mod identity;
pub mod metrics;
pub mod offsets;
pub mod policy;
pub mod quarantine;
pub mod refile;
pub mod refuse;
mod resident;
pub mod route;
pub mod rules;
pub mod settings;
pub mod shard;
pub mod stage;
mod stopped;
pub mod table;
pub mod take;
mod waiting;

pub use error::{StoppedTable, WriterError};
pub use lake_file::partition_value;
pub use metrics::WriterMetrics;
pub use settings::{TableWriterSettings, WriterSettings};
pub use stopped::command_line;

use crate::{
    budget::MemoryBudget,
    context::{GiveUp, TableContext},
    encoders::Encoders,
    error::Backoff,
    resident::{Unaccounted, resident_bytes},
};
use ends::KnownEnds;
use event_schema::SchemaSource;
use kafka_io::Admin;
use lake_store::{LakeStore, TableLog, TableLogError, TableLogOptions};
use service_runtime::{admin::Health, clock::Clock, fail_points, shutdown::Shutdown};
use std::sync::{Arc, atomic::AtomicBool};
use table::Stop;
use table_log::{Seq, TableName};
use tokio::task::JoinSet;
use waiting::Running;

/// What the lake-writer works with; tests bring their own.
#[derive(Clone, Debug)]
pub struct Components {
    /// The lake.
    pub store: Arc<dyn LakeStore>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Schemas by id.
    pub schemas: Arc<dyn SchemaSource>,
    /// Readiness of the process.
    pub health: Arc<Health>,
    /// Registered metrics.
    pub metrics: WriterMetrics,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// How the lake-writer ended.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Tables that are stopped because a person must act: the process's exit code is 4 if there are any.
    pub stopped: Vec<(TableName, StoppedTable)>,
}

/// Runs all tables until shutdown, or until every one of them is stopped. A table that stops says so (log, health, metric) and does not
/// touch the others; it starts again by itself when a person has put it right in its log.
///
/// # Errors
/// The Kafka client refuses its settings.
pub async fn run(settings: WriterSettings, components: Components) -> Result<RunReport, WriterError> {
    let settings = Arc::new(settings);
    let (budget, encoders) = (MemoryBudget::new(settings.memory_budget_bytes), Encoders::start()?);
    let admin = Arc::new(Admin::new(&settings.kafka)?);
    let watching = tokio::spawn(watch_budget(components.metrics.clone(), budget.clone()));
    let running = Running::new(settings.tables.len());
    let mut tables = JoinSet::new();
    for table in settings.tables.clone() {
        let process = Process {
            settings: Arc::clone(&settings),
            components: components.clone(),
            budget: budget.clone(),
            encoders: encoders.clone(),
            admin: Arc::clone(&admin),
        };
        let running = running.clone();
        tables.spawn(async move { (table.table.clone(), run_with_stops(&table, &process, &running).await) });
    }
    let mut report = RunReport::default();
    while let Some(ended) = tables.join_next().await {
        let (name, outcome) = ended.map_err(|error| WriterError::Bug { what: "run table", detail: error.to_string() })?;
        if let Err(stop) = outcome {
            report.stopped.push((name, stop));
        }
    }
    watching.abort();
    Ok(report)
}

/// What the tables of the process share.
struct Process {
    settings: Arc<WriterSettings>,
    components: Components,
    budget: MemoryBudget,
    encoders: Encoders,
    admin: Arc<Admin>,
}

impl Process {
    fn table_context(&self, table: &TableWriterSettings, log: TableLog) -> TableContext {
        let Components { clock, schemas, health, metrics, .. } = self.components.clone();
        TableContext {
            metrics: metrics.table(&table.table.0),
            settings: Arc::clone(&self.settings),
            table: table.clone(),
            log,
            admin: Arc::clone(&self.admin),
            clock,
            schemas,
            budget: self.budget.clone(),
            encoders: self.encoders.clone(),
            health,
            clock_agrees: AtomicBool::new(true),
            dictionaries: Arc::default(),
            ends: KnownEnds::default(),
        }
    }
}

/// What [`refile`] works with, outside of a running lake-writer. `None`: the settings have no such table.
///
/// # Errors
/// The Kafka client refuses its settings.
pub fn table_context(
    settings: WriterSettings,
    components: Components,
    table: &TableName,
    log: TableLog,
) -> Result<Option<Arc<TableContext>>, WriterError> {
    let settings = Arc::new(settings);
    let (budget, admin) = (MemoryBudget::new(settings.memory_budget_bytes), Arc::new(Admin::new(&settings.kafka)?));
    let process = Process { settings: Arc::clone(&settings), components, budget, encoders: Encoders::start()?, admin };
    let found = settings.tables.iter().find(|known| known.table == *table);
    Ok(found.map(|table| Arc::new(process.table_context(table, log))))
}

/// Runs a table; a stop lasts until the log says that it is put right, or to the end of the process.
async fn run_with_stops(table: &TableWriterSettings, process: &Process, running: &Running) -> Result<(), StoppedTable> {
    let (name, components) = (&table.table.0, &process.components);
    let metrics = components.metrics.table(name);
    loop {
        let mut log = None;
        let Err(Stop { why, seen }) = run_table(table, process, &mut log).await else { return Ok(()) };
        let message = why.message(&process.settings.settings_file);
        tracing::error!(table = name, situation = why.situation(), error = message, "table is stopped");
        metrics.set_stopped(why.situation(), true);
        components.health.set_not_ready(&format!("lake-writer/{name}"), Some(format!("stopped: {message}")));
        running.stopped();
        if !waiting::for_a_repair(log.as_ref(), seen, running, &components.shutdown).await {
            return Err(*why);
        }
        tracing::info!(table = name, situation = why.situation(), "the log says that the table is put right; it starts again");
        running.starts_again();
        metrics.set_stopped(why.situation(), false);
    }
}

async fn run_table(table: &TableWriterSettings, process: &Process, opened: &mut Option<TableLog>) -> Result<(), Stop> {
    let Components { store, health, shutdown, .. } = process.components.clone();
    health.set_not_ready(&format!("lake-writer/{}", table.table.0), Some("starting".to_owned()));
    let log = open_log(&store, &table.table, &process.settings, &shutdown)
        .await
        .map_err(|why| Stop { why: Box::new(why), seen: Seq::default() })?;
    let Some(log) = log else { return Ok(()) };
    *opened = Some(log.clone());
    table::run(Arc::new(process.table_context(table, log)), shutdown).await
}

/// Opens the log, waiting out trouble of the store. `None`: shutdown was asked for.
async fn open_log(
    store: &Arc<dyn LakeStore>,
    table: &TableName,
    settings: &WriterSettings,
    shutdown: &Shutdown,
) -> Result<Option<TableLog>, StoppedTable> {
    let options = TableLogOptions { lost_after: settings.lost_after, ..log_options(&settings.instance) };
    let mut backoff = Backoff::new(settings.instance.len() as u64);
    let give_up = GiveUp::new();
    loop {
        let opened: Result<TableLog, TableLogError> = tokio::select! {
            opened = TableLog::open(Arc::clone(store), table.clone(), options.clone()) => opened,
            () = shutdown.triggered() => return Ok(None),
        };
        let error = match opened {
            Ok(log) => return Ok(Some(log)),
            Err(error) => WriterError::Log(error),
        };
        if let Some(stop) = StoppedTable::of(&table.0, &error) {
            return Err(stop);
        }
        let wait = backoff.next_wait();
        tracing::warn!(table = table.0, %error, ?wait, "log cannot be opened, trying again");
        tokio::select! {
            _ = give_up.wait(wait) => {}
            () = shutdown.triggered() => return Ok(None),
        }
    }
}

/// The log client's defaults, but for what tests change in builds with fail points.
fn log_options(instance: &str) -> TableLogOptions {
    let defaults = TableLogOptions::new(instance);
    TableLogOptions {
        fail_point: fail_points::pass,
        checkpoint_every: fail_points::threshold("TRIBUTARY_CHECKPOINT_EVERY").unwrap_or(defaults.checkpoint_every),
        inline_files_bytes: fail_points::threshold("TRIBUTARY_INLINE_FILES_BYTES")
            .map_or(defaults.inline_files_bytes, |bytes| bytes as usize),
        ..defaults
    }
}

async fn watch_budget(metrics: WriterMetrics, budget: MemoryBudget) {
    let mut unaccounted = Unaccounted::new(&budget);
    loop {
        resident_bytes().into_iter().for_each(|bytes| unaccounted.observe(bytes));
        metrics.set_budget(budget.used(), budget.limit());
        tokio::time::sleep(resident::PERIOD).await;
    }
}

//! window-sealer: closed windows made clean and large, amended when late rows come, and turned into results.
//!
//! ```text
//!             ┌──────────────────────── table (one task) ───────────────────────┐
//! table log ─▶│ due (which windows) ─▶ seal (read, order, write) ─▶ propose      │─▶ table log, files
//!             │ vacuum (superseded files)      sweep (staged files of nobody)   │
//!             └─────────────────────────────────────────────────────────────────┘
//! ```
//! [`run`] runs one task per table. Any number of processes may run it on the same lake: each picks at random among the oldest windows that are
//! due, and the log decides who was first. Whoever loses discards its own staged files, and only once the log says that it lost.
//!
//! Decisions are pure and in modules of their own: [`due`], [`seal::order`], [`seal::rules`], [`vacuum::due_files`]. How long something waits is
//! told by the store's time alone ([`store_time`]).
pub mod backoff;
pub mod derive;
pub mod due;
pub mod error;
mod logs;
pub mod metrics;
mod propose;
mod retry;
pub mod seal;
pub mod settings;
pub mod slots;
pub mod store_time;
mod table;
pub mod vacuum;
pub mod write;

pub use error::SealerError;
pub use metrics::SealerMetrics;
pub use propose::{Proposed, propose};
pub use settings::{SealerSettings, TableSealerSettings};

use derive::{DeriveContext, TransformSettings};
use lake_store::{LakeStore, TableLog, TableLogError, TableLogOptions};
use logs::OpenedLogs;
use service_runtime::admin::Health;
use service_runtime::clock::Clock;
use service_runtime::fail_points;
use service_runtime::shutdown::Shutdown;
use slots::WorkSlots;
use std::collections::BTreeMap;
use std::sync::Arc;
use table_log::TableName;
use tokio::task::JoinSet;

/// What the window-sealer works with; tests bring their own.
#[derive(Clone, Debug)]
pub struct Components {
    /// The lake.
    pub store: Arc<dyn LakeStore>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Readiness of the process.
    pub health: Arc<Health>,
    /// Registered metrics.
    pub metrics: SealerMetrics,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// What the tasks of the process share.
#[derive(Clone)]
struct Process {
    settings: Arc<SealerSettings>,
    components: Components,
    slots: WorkSlots,
    logs: OpenedLogs,
}

/// Runs all tables and transforms until shutdown. Trouble of one is logged, counted and waited out; it never touches the others.
///
/// # Errors
/// A task panicked: a defect.
pub async fn run(settings: SealerSettings, components: Components) -> Result<(), SealerError> {
    let settings = Arc::new(settings);
    let slots = WorkSlots::new(settings.memory_budget_bytes);
    let transforms = settings.transforms.iter().map(|transform| &transform.table);
    let names = settings.tables.iter().map(|table| &table.table).chain(transforms).cloned().collect();
    let logs = OpenedLogs::open(names, &settings, &components);
    let process = Process { settings: Arc::clone(&settings), components, slots, logs };
    let mut tasks = JoinSet::new();
    let derived = settings.transforms.iter().map(TableSealerSettings::of_derived);
    for table in settings.tables.iter().cloned().chain(derived) {
        let process = process.clone();
        tasks.spawn(async move {
            if let Some(log) = process.logs.get(&table.table).await {
                table::run(log, table, process).await;
            }
        });
    }
    for transform in &settings.transforms {
        tasks.spawn(run_transform(transform.clone(), process.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| SealerError::bug("run table", error))?;
    }
    Ok(())
}

/// Makes the windows of a derived table, once the logs that it rests on are open.
async fn run_transform(transform: TransformSettings, process: Process) {
    let Process { settings, components, slots, logs: opened } = process;
    let mut logs = BTreeMap::new();
    let mut needed = vec![transform.table.clone()];
    while let Some(table) = needed.pop() {
        let Some(log) = opened.get(&table).await else { return };
        needed.extend(settings.transforms.iter().filter(|known| known.table == table).map(|known| known.source.clone()));
        logs.insert(table, log);
    }
    let context = DeriveContext::new(&settings, transform, logs, components.metrics.derive, components.shutdown);
    derive::run_table(Arc::new(DeriveContext { slots, ..context })).await;
}

/// Opens a table's log as this process does.
///
/// # Errors
/// As [`TableLog::open`].
pub async fn open_log(store: Arc<dyn LakeStore>, table: &TableName, settings: &SealerSettings) -> Result<TableLog, TableLogError> {
    let defaults = TableLogOptions::new(&settings.instance);
    let options = TableLogOptions {
        lost_after: settings.lost_after,
        fail_point: fail_points::pass,
        checkpoint_every: fail_points::threshold("TRIBUTARY_CHECKPOINT_EVERY").unwrap_or(defaults.checkpoint_every),
        ..defaults
    };
    TableLog::open(store, table.clone(), options).await
}

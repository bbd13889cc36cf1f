//! The work on one derived table: looks at the logs, picks a due window, makes it. A failure waits, and stops nobody else.
use super::metrics::DeriveMetrics;
use super::{DeriveJob, Derived, DueWindow, Facts, Shape, TransformSettings, derive_window};
use crate::backoff::ItemBackoff;
use crate::error::SealerError;
use crate::settings::SealerSettings;
use crate::slots::WorkSlots;
use crate::table::ROW_GROUP_BYTES;
use lake_file::EncodeOptions;
use lake_query::LakeQueryError;
use lake_query::transform::RunOptions;
use lake_store::TableLog;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use table_log::{Seq, TableName};
use tokio::runtime::Handle;
use windowing::Time;

/// Several sealers pick among so many of the oldest due windows, so that they seldom pick the same.
const PICK_AMONG: usize = 8;

/// Logs of the tables and derived tables by name.
pub type Logs = BTreeMap<TableName, TableLog>;

/// What the work on one derived table takes.
#[derive(Clone, Debug)]
pub struct DeriveContext {
    /// The transform.
    pub transform: TransformSettings,
    /// All transforms' shapes: whether a source window is complete may rest on them.
    pub shapes: BTreeMap<TableName, Shape>,
    /// The logs of this derived table and of all that it rests on.
    pub logs: Logs,
    /// Places for heavy work.
    pub slots: WorkSlots,
    /// Encoding of the files.
    pub encode: EncodeOptions,
    /// Folder to spill to.
    pub spill_dir: PathBuf,
    /// How often the logs are looked at.
    pub poll_interval: Duration,
    /// Metrics.
    pub metrics: DeriveMetrics,
    /// Ends the work.
    pub shutdown: Shutdown,
}

/// What waits after a failure: the whole transform, or one window of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Transform,
    Window(Time),
}

/// Makes due windows of one derived table until the process stops. The work computes for long: it has a thread of its own, apart from those that
/// serve everything else.
///
/// # Panics
/// When the work does, which is a defect.
pub async fn run_table(context: Arc<DeriveContext>) {
    let runtime = Handle::current();
    let ended = tokio::task::spawn_blocking(move || runtime.block_on(work(&context))).await;
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

async fn work(context: &DeriveContext) {
    let mut work = Work { backoff: ItemBackoff::default(), choice: StdRng::from_os_rng(), looked_at: None, due: Vec::new() };
    while !context.shutdown.is_triggered() {
        if !work.step(context).await {
            tokio::select! {
                () = context.shutdown.triggered() => {}
                () = tokio::time::sleep(context.poll_interval) => {}
            }
        }
    }
}

impl DeriveContext {
    /// For a process with these settings. `logs` are those of the derived table and of all that it rests on.
    pub fn new(settings: &SealerSettings, transform: TransformSettings, logs: Logs, metrics: DeriveMetrics, shutdown: Shutdown) -> Self {
        let encode = EncodeOptions {
            compression: settings.compression,
            row_group_rows: settings.row_group_rows,
            row_group_bytes: Some(ROW_GROUP_BYTES),
            ..EncodeOptions::default()
        };
        Self {
            transform,
            shapes: settings.transforms.iter().map(|known| (known.table.clone(), known.shape())).collect(),
            logs,
            slots: WorkSlots::new(settings.memory_budget_bytes),
            encode,
            spill_dir: settings.spill_dir.clone(),
            poll_interval: settings.poll_interval,
            metrics,
            shutdown,
        }
    }

    /// The newest states of all logs that matter.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn facts(&self) -> Result<Facts, SealerError> {
        let mut facts = Facts { shapes: self.shapes.clone(), states: BTreeMap::new() };
        for (table, log) in &self.logs {
            facts.states.insert(table.clone(), log.refresh().await?);
        }
        Ok(facts)
    }

    fn name(&self) -> &str {
        &self.transform.table.0
    }

    /// Makes one due window.
    ///
    /// # Errors
    /// As [`derive_window`].
    pub async fn make(&self, facts: &Facts, due: DueWindow) -> Result<Derived, SealerError> {
        let log = |table: &TableName| self.logs.get(table).ok_or_else(|| SealerError::bug("find log", format!("of table `{table}`")));
        let source_state = facts.states.get(&self.transform.source).cloned();
        let permit = self.slots.acquire().await;
        let memory_bytes = usize::try_from(permit.memory_bytes).unwrap_or(usize::MAX);
        derive_window(DeriveJob {
            transform: &self.transform,
            source: log(&self.transform.source)?,
            source_state: source_state.ok_or_else(|| SealerError::bug("find state", "of the source"))?,
            target: log(&self.transform.table)?,
            due,
            options: RunOptions { memory_bytes, spill_dir: Some(self.spill_dir.clone()) },
            encode: self.encode.clone(),
            shutdown: &self.shutdown,
        })
        .await
    }
}

struct Work {
    backoff: ItemBackoff<Item>,
    choice: StdRng,
    /// The logs' ends when `due` was found.
    looked_at: Option<Vec<Seq>>,
    due: Vec<DueWindow>,
}

impl Work {
    /// Looks and does one piece of work. `false`: there was none.
    async fn step(&mut self, context: &DeriveContext) -> bool {
        if !self.backoff.is_ready(&Item::Transform) {
            return false;
        }
        let facts = match self.look(context).await {
            Ok(facts) => facts,
            Err(error) => {
                self.failed(context, Item::Transform, &error);
                return false;
            }
        };
        let ready: Vec<&DueWindow> =
            self.due.iter().filter(|due| self.backoff.is_ready(&Item::Window(due.window_start))).take(PICK_AMONG).collect();
        if ready.is_empty() {
            return false;
        }
        let due = ready[self.choice.random_range(0..ready.len())].clone();
        let (window_start, revision) = (due.window_start, due.revision);
        match context.make(&facts, due).await {
            Ok(Derived::Committed { record, rows }) => {
                self.backoff.succeeded(&Item::Window(window_start));
                context.metrics.committed(context.name(), revision, rows);
                tracing::info!(table = context.name(), window = %window_start, revision, rows, seq = record.seq.0, "derived window is made");
            }
            Ok(Derived::Lost(why)) => tracing::debug!(table = context.name(), window = %window_start, why, "another sealer was faster"),
            Err(SealerError::Stopping) => {}
            Err(error) => self.failed(context, item(&error, window_start), &error),
        }
        true
    }

    /// The newest states; what is due is found again when one of them changed.
    async fn look(&mut self, context: &DeriveContext) -> Result<Facts, SealerError> {
        let facts = context.facts().await?;
        let ends: Vec<Seq> = facts.states.values().map(|state| state.next_seq).collect();
        if self.looked_at.as_ref() != Some(&ends) {
            self.due = facts.due(&context.transform.table)?;
            context.metrics.due(context.name(), self.due.len());
            self.looked_at = Some(ends);
        }
        Ok(facts)
    }

    fn failed(&mut self, context: &DeriveContext, item: Item, error: &SealerError) {
        let wait = self.backoff.failed(&item);
        context.metrics.failed(context.name());
        match (item, error) {
            (Item::Transform, _) => {
                tracing::error!(table = context.name(), %error, wait_seconds = wait.as_secs_f64(), "transform failed: its windows wait until this is put right");
            }
            (Item::Window(window), SealerError::Overtaken(_)) => {
                tracing::debug!(table = context.name(), %window, %error, "derived window is looked at again");
            }
            (Item::Window(window), _) => {
                tracing::warn!(table = context.name(), %window, %error, wait_seconds = wait.as_secs_f64(), "derived window failed and is tried again");
            }
        }
    }
}

/// What an error holds up: faults of the SQL and the settings are those of all windows.
fn item(error: &SealerError, window_start: Time) -> Item {
    match error {
        SealerError::Settings(_)
        | SealerError::Query(
            LakeQueryError::Transform { .. }
            | LakeQueryError::Incompatible { .. }
            | LakeQueryError::Reference { .. }
            | LakeQueryError::Schema { .. },
        ) => Item::Transform,
        _ => Item::Window(window_start),
    }
}

//! The work on one table: looks at its log, does what is due, and again.
use crate::backoff::ItemBackoff;
use crate::due::{DueWindow, due_windows};
use crate::error::SealerError;
use crate::metrics::TableSealerMetrics;
use crate::propose::{Proposed, propose};
use crate::seal::{SealJob, seal_window};
use crate::settings::{SealerSettings, TableSealerSettings};
use crate::slots::WorkSlots;
use crate::store_time::StoreTimes;
use crate::vacuum::{self, Keeper};
use crate::write::WriteOptions;
use crate::{Components, Process};
use lake_file::{Dictionaries, EncodeOptions};
use lake_store::TableLog;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use service_runtime::ErrorClass;
use std::sync::Arc;
use std::time::Duration;
use table_log::{Body, TableState};
use tokio::time::Instant;
use windowing::Time;

/// Sealers pick at random among so many of the oldest windows, so that they seldom do the same.
const PICKED_AMONG: usize = 8;
/// Encoded bytes of a row group at most: one is what engines read at a time.
pub(crate) const ROW_GROUP_BYTES: usize = 128 << 20;

/// One table's sealer.
struct TableSealer {
    settings: Arc<SealerSettings>,
    table: TableSealerSettings,
    components: Components,
    slots: WorkSlots,
    log: TableLog,
    times: StoreTimes,
    metrics: TableSealerMetrics,
    windows: ItemBackoff<Time>,
    upkeep: ItemBackoff<&'static str>,
    keeper: Keeper,
    dictionaries: Arc<Dictionaries>,
    random: StdRng,
}

/// What a turn led to.
enum Turn {
    /// There may be more to do at once.
    Worked,
    /// Nothing to do now.
    Idle,
}

/// Runs until shutdown.
pub(crate) async fn run(log: TableLog, table: TableSealerSettings, process: Process) {
    let Process { settings, components, slots, .. } = process;
    let metrics = components.metrics.table(&table.table.0);
    let times = StoreTimes::new(log.clone(), Arc::clone(&components.clock));
    let shutdown = components.shutdown.clone();
    let poll = settings.poll_interval;
    let mut sealer = TableSealer {
        settings,
        table,
        components,
        slots,
        log,
        times,
        metrics,
        windows: ItemBackoff::default(),
        upkeep: ItemBackoff::default(),
        keeper: Keeper::default(),
        dictionaries: Arc::default(),
        random: StdRng::from_os_rng(),
    };
    while !shutdown.is_triggered() {
        let turn = match sealer.turn().await {
            Ok(turn) => turn,
            Err(SealerError::Stopping) => return,
            Err(error) => {
                sealer.complain("look at the log", &error, poll);
                Turn::Idle
            }
        };
        if matches!(turn, Turn::Idle) {
            // Jitter, so that sealers that started together do not look together.
            let wait = poll.mul_f64(sealer.random.random_range(0.75..1.25));
            let _ = tokio::time::timeout(wait, shutdown.triggered()).await;
        }
    }
}

impl TableSealer {
    /// One look at the log, and at most one window.
    async fn turn(&mut self) -> Result<Turn, SealerError> {
        let state = self.log.refresh().await?;
        if let Err(error) = self.log.help().await {
            self.complain("publish files of others", &error.into(), self.settings.poll_interval);
        }
        self.times.compare().await?;
        let picked = self.pick(&state).await?;
        self.keep_up().await;
        let Some(due) = picked else { return Ok(Turn::Idle) };
        let began = Instant::now();
        let outcome = self.seal(state, due, began).await;
        match outcome {
            Ok(()) => self.windows.succeeded(&due.window_start),
            Err(SealerError::Stopping) => return Err(SealerError::Stopping),
            Err(SealerError::Overtaken(why)) => {
                tracing::debug!(table = self.name(), window = %due.window_start, why, "somebody was faster");
                self.metrics.overtaken();
            }
            Err(error) => {
                let wait = self.windows.failed(&due.window_start);
                self.metrics.failed("seal");
                self.complain("seal window", &error, wait);
            }
        }
        Ok(Turn::Worked)
    }

    /// A window whose time has come, at random among the oldest.
    async fn pick(&mut self, state: &TableState) -> Result<Option<DueWindow>, SealerError> {
        let (mut ready, mut waiting, mut oldest) = (Vec::new(), 0, None);
        for due in due_windows(state, self.settings.amend_delay) {
            let waits = match due.wait {
                Some((seq, delay)) => self.times.age(seq).await? < delay,
                None => false,
            };
            if waits {
                waiting += 1;
                continue;
            }
            oldest = oldest.or(Some(due.window_start));
            if self.windows.is_ready(&due.window_start) {
                ready.push(due);
            }
        }
        let end = |start: Time| state.table.as_ref().map(|table| table.settings.window.end_of(start));
        let delay = oldest.and_then(end).zip(state.watermark()).map_or(0.0, |(end, watermark)| (watermark - end).0.max(0) as f64 / 1e6);
        self.metrics.set_work((ready.len(), waiting, self.windows.waiting()), delay);
        let oldest = &ready[..ready.len().min(PICKED_AMONG)];
        Ok(oldest.choose(&mut self.random).copied())
    }

    async fn seal(&self, state: Arc<TableState>, due: DueWindow, began: Instant) -> Result<(), SealerError> {
        let permit = tokio::select! {
            permit = self.slots.acquire() => permit,
            () = self.components.shutdown.triggered() => return Err(SealerError::Stopping),
        };
        let job = SealJob {
            log: self.log.clone(),
            state,
            window_start: due.window_start,
            write: self.write_options(),
            memory_bytes: permit.memory_bytes,
            spill_dir: self.settings.spill_dir.clone(),
            shutdown: self.components.shutdown.clone(),
        };
        let sealed = seal_window(job).await?;
        let (revision, figures, duplicates) = (sealed.body.revision, sealed.figures, sealed.body.duplicate_rows);
        match propose(&self.log, Body::Seal(sealed.body), &sealed.files, &self.components.shutdown).await? {
            Proposed::Committed(record) => {
                let seconds = began.elapsed().as_secs_f64();
                self.metrics.revised(revision, (figures.rows, duplicates), seconds);
                tracing::info!(
                    table = self.name(),
                    window = %due.window_start,
                    revision,
                    seq = record.seq.0,
                    rows = figures.rows,
                    duplicates,
                    files = figures.files,
                    slices = figures.slices,
                    seconds,
                    "window is sealed"
                );
                Ok(())
            }
            Proposed::Lost(why) => Err(SealerError::Overtaken(why)),
        }
    }

    fn write_options(&self) -> WriteOptions {
        let encode = EncodeOptions {
            compression: self.settings.compression,
            row_group_rows: self.settings.row_group_rows,
            row_group_bytes: Some(ROW_GROUP_BYTES),
            bloom_filters: self.table.bloom_filters.clone(),
            dictionaries: Arc::clone(&self.dictionaries),
        };
        WriteOptions { encode, target_file_bytes: self.table.target_file_bytes }
    }

    /// Vacuum and sweep. Their trouble is no trouble of the windows.
    async fn keep_up(&mut self) {
        if self.upkeep.is_ready(&"vacuum") {
            let (retain, shutdown) = (self.settings.retain_superseded, self.components.shutdown.clone());
            let outcome = vacuum::run(&self.log, &mut self.times, &mut self.keeper, (retain, &shutdown)).await;
            if let Some(files) = self.upkept("vacuum", outcome) {
                self.metrics.vacuumed(files);
            }
        }
        if self.upkeep.is_ready(&"sweep") {
            let (age, shutdown) = (self.settings.orphan_age, self.components.shutdown.clone());
            let outcome = vacuum::sweep::run(&self.log, &mut self.times, &mut self.keeper, (age, &shutdown)).await;
            if let Some(files) = self.upkept("sweep", outcome) {
                self.metrics.swept(files);
            }
        }
    }

    fn upkept(&mut self, work: &'static str, outcome: Result<usize, SealerError>) -> Option<usize> {
        match outcome {
            Ok(files) => {
                self.upkeep.succeeded(&work);
                Some(files)
            }
            Err(SealerError::Stopping | SealerError::Overtaken(_)) => None,
            Err(error) => {
                let wait = self.upkeep.failed(&work);
                self.metrics.failed(work);
                self.complain(work, &error, wait);
                None
            }
        }
    }

    /// Says what failed: an error when only a person or a new version can help, else a warning.
    fn complain(&self, work: &str, error: &SealerError, wait: Duration) {
        match error.class() {
            ErrorClass::Misconfigured | ErrorClass::Bug | ErrorClass::Refuse => {
                tracing::error!(table = self.name(), work, %error, ?wait, "work of the window-sealer failed; a person must act");
            }
            ErrorClass::Retry | ErrorClass::Fenced => {
                tracing::warn!(table = self.name(), work, %error, ?wait, "work of the window-sealer failed and is tried again");
            }
        }
    }

    fn name(&self) -> &str {
        &self.table.table.0
    }
}

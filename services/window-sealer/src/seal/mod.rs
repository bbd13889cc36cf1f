//! Makes the next revision of a window: reads its files, drops duplicates, sorts, and stages large files. It proposes nothing: that is
//! [`crate::propose`].
pub mod inputs;
pub mod order;
mod partition;
mod read;
pub mod rules;
mod spill;

use crate::error::SealerError;
use crate::propose::discard;
use crate::write::WriteOptions;
use lake_store::TableLog;
use partition::{PartitionJob, SealedPartition};
use rules::SealRules;
use service_runtime::shutdown::Shutdown;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use table_log::TableState;
use table_log::record::{FileEntry, RevisedPartition, SealBody};
use tokio::time::Instant;
use windowing::Time;

/// A window to seal.
#[derive(Clone, Debug)]
pub struct SealJob {
    /// The table's log.
    pub log: TableLog,
    /// The fold on which the work rests.
    pub state: Arc<TableState>,
    /// The window: closed, with something new.
    pub window_start: Time,
    /// Encoding and size of the files.
    pub write: WriteOptions,
    /// Bound of the rows in memory and what goes with them.
    pub memory_bytes: u64,
    /// Where rows go that do not fit.
    pub spill_dir: PathBuf,
    /// Ends the work early.
    pub shutdown: Shutdown,
}

/// A window's next revision, staged.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The record to propose.
    pub body: SealBody,
    /// All its files.
    pub files: Vec<FileEntry>,
    /// What went in and came out.
    pub figures: SealFigures,
}

/// What went into a revision and came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealFigures {
    /// Files read.
    pub input_files: u64,
    /// Their rows.
    pub input_rows: u64,
    /// Their size.
    pub input_bytes: u64,
    /// Files of the revision.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// Slices that went through `spill_dir`.
    pub slices: u64,
}

/// Stages a window's next revision.
///
/// # Errors
/// Its files cannot be read, written or spilled; somebody was faster; the process is stopping. Nothing stays staged then, as far as it can be
/// dropped.
pub async fn seal_window(job: SealJob) -> Result<Sealed, SealerError> {
    let table = job.log.table().clone();
    let rules = SealRules::from_state(&table, &job.state)?;
    let dedupe_by = job.state.table.as_ref().map(|table| table.settings.dedupe_by.clone()).unwrap_or_default();
    let inputs = inputs::of_window(&job.log, &job.state, job.window_start).await?;
    let mut sealed = Sealed {
        body: SealBody {
            window_start: job.window_start,
            revision: inputs.revision,
            through: inputs.through,
            lake_partitions: Vec::new(),
            duplicates: Vec::new(),
            duplicate_rows: 0,
        },
        files: Vec::new(),
        figures: SealFigures::default(),
    };
    let mut looked = Instant::now();
    for (lake_partition, files) in inputs.lake_partitions {
        if let Err(error) = look(&job, &mut looked).await {
            discard(&job.log, &sealed.files).await;
            return Err(error);
        }
        sealed.figures.read(&files);
        let partition = PartitionJob {
            log: job.log.clone(),
            state: Arc::clone(&job.state),
            window_start: job.window_start,
            revision: inputs.revision,
            rules: rules.in_partition(&lake_partition, &dedupe_by),
            lake_partition: lake_partition.clone(),
            files,
            write: job.write.clone(),
            footer: footer(&sealed.body),
            memory_bytes: job.memory_bytes,
            spill_dir: job.spill_dir.clone(),
            shutdown: job.shutdown.clone(),
            looked: Cell::new(looked),
        };
        let made = match tokio::task::spawn_blocking(move || partition::seal(&partition)).await {
            Ok(made) => made,
            Err(panic) => Err(SealerError::bug("seal lake partition", panic)),
        };
        match made {
            Ok(made) => sealed.add(RevisedPartition { lake_partition, files: made.files.clone() }, made),
            Err(error) => {
                discard(&job.log, &sealed.files).await;
                return Err(why_it_failed(&job, error).await);
            }
        }
    }
    Ok(sealed)
}

/// Files that cannot be read may be vacuumed: somebody was faster long ago. The log tells.
async fn why_it_failed(job: &SealJob, error: SealerError) -> SealerError {
    if !matches!(error, SealerError::File(_)) {
        return error;
    }
    match job.log.refresh().await {
        Ok(now) => inputs::overtaken(&job.state, &now, job.window_start).map_or(error, SealerError::Overtaken),
        Err(_) => error,
    }
}

/// Now and then, whether somebody was faster: lake partitions may be many and small.
async fn look(job: &SealJob, looked: &mut Instant) -> Result<(), SealerError> {
    if looked.elapsed() < partition::LOOK_EVERY {
        return Ok(());
    }
    *looked = Instant::now();
    match inputs::overtaken(&job.state, &*job.log.refresh().await?, job.window_start) {
        Some(why) => Err(SealerError::Overtaken(why)),
        None => Ok(()),
    }
}

impl Sealed {
    fn add(&mut self, revised: RevisedPartition, made: SealedPartition) {
        self.figures.slices += made.slices;
        self.figures.wrote(&made.files);
        self.body.duplicate_rows += made.duplicates.iter().map(|file| file.rows).sum::<u64>();
        self.files.extend(made.files.into_iter().chain(made.duplicates.iter().cloned()));
        self.body.duplicates.extend(made.duplicates);
        self.body.lake_partitions.push(revised);
    }
}

impl SealFigures {
    fn read(&mut self, files: &[FileEntry]) {
        self.input_files += files.len() as u64;
        self.input_rows += files.iter().map(|file| file.rows).sum::<u64>();
        self.input_bytes += files.iter().map(|file| file.bytes).sum::<u64>();
    }

    fn wrote(&mut self, files: &[FileEntry]) {
        self.files += files.len() as u64;
        self.rows += files.iter().map(|file| file.rows).sum::<u64>();
        self.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
    }
}

/// What the files say of where they come from.
fn footer(body: &SealBody) -> String {
    serde_json::json!({ "window_start": body.window_start, "revision": body.revision, "through": body.through }).to_string()
}

//! Makes one derived window: runs the SQL, splits the rows by lake partition, stages their files, commits.
use super::table::{settings_in_force, table_with};
use super::{DueWindow, TransformSettings, load, named_files};
use crate::error::SealerError;
use crate::propose::{Proposed, discard, propose};
use crate::write::{EventTimeColumn, RevisionTarget, RevisionWriter, WriteOptions};
use arrow::array::{ArrayRef, AsArray};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use lake_file::EncodeOptions;
use lake_query::transform::{DerivedRows, EVENT_TIME_SHIFT, RunOptions, SourceRows, SourceTable, Transform, WINDOW_END, run};
use lake_store::TableLog;
use service_runtime::fail_point;
use service_runtime::shutdown::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use table_log::key::{Layout, partition_value, partition_value_fits};
use table_log::record::{DeriveBody, FileEntry, RevisedPartition, TableBody};
use table_log::{Body, LakePartition, Record, Seq, TableState};
use tokio::time::MissedTickBehavior;

/// How often a run looks whether another was faster or the process stops: most of its work is done before the first row comes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// One derived window to be made, with everything that it takes.
#[derive(Debug)]
pub struct DeriveJob<'a> {
    /// The transform.
    pub transform: &'a TransformSettings,
    /// The source's log.
    pub source: &'a TableLog,
    /// The state of the source on which `due` was decided.
    pub source_state: Arc<TableState>,
    /// The derived table's log.
    pub target: &'a TableLog,
    /// The window.
    pub due: DueWindow,
    /// Bounds of the run.
    pub options: RunOptions,
    /// Encoding of the files.
    pub encode: EncodeOptions,
    /// Ends the work early.
    pub shutdown: &'a Shutdown,
}

/// How a derived window ended.
#[derive(Clone, Debug)]
pub enum Derived {
    /// It is in the log.
    Committed {
        /// The record.
        record: Arc<Record>,
        /// Rows of the window.
        rows: u64,
    },
    /// Somebody else was faster.
    Lost(String),
}

/// Makes the window and commits it.
///
/// # Errors
/// Faults of the SQL or the settings; an input that cannot be read; trouble of the store that lasts. What was staged is discarded unless it was
/// proposed.
pub async fn derive_window(job: DeriveJob<'_>) -> Result<Derived, SealerError> {
    fail_point!("sealer-before-derive");
    let target_state = job.target.refresh().await?;
    let in_force = TransformSettings { log: settings_in_force(job.transform, &target_state)?, ..job.transform.clone() };
    let transform = load(&in_force, Some(job.target.store())).await?;
    let rows = begin(&job, &transform).await?;
    let table = table_with(job.target, &in_force, &rows.result, job.shutdown).await?;
    let staged_on = job.target.state().newest_seq().ok_or_else(|| SealerError::bug("stage derived rows", "the log is empty"))?;
    let mut staging = Staging {
        job: &job,
        table: &table,
        staged_on,
        schema: lake_query::file_schema(&in_force.table.0, &table)?,
        done: Vec::new(),
        open: None,
    };
    let outcome = staging.take_all(rows).await;
    let (partitions, files) = staging.end(outcome).await?;
    let rows = files.iter().map(|file| file.rows).sum();
    let body = Body::Derive(DeriveBody {
        window_start: job.due.window_start,
        revision: job.due.revision,
        inputs: job.due.inputs.clone(),
        transform_sha256: transform.sha256(),
        references: transform.reference_versions(),
        lake_partitions: partitions,
    });
    let proposed = propose(job.target, body, &files, job.shutdown).await?;
    fail_point!("sealer-after-derive");
    Ok(match proposed {
        Proposed::Committed(record) => Derived::Committed { record, rows },
        Proposed::Lost(why) => Derived::Lost(why),
    })
}

async fn begin(job: &DeriveJob<'_>, transform: &Transform) -> Result<DerivedRows, SealerError> {
    let table = job.source_state.table.as_ref().ok_or_else(|| SealerError::bug("read source", "it has no table record"))?;
    let source = SourceTable::new(&transform.source, table)?;
    let files = named_files(job.source, &job.source_state, &job.due.inputs).await?;
    let files = files.ok_or_else(|| SealerError::Overtaken("a source revision is no longer to be had".to_owned()))?;
    let store = Arc::clone(job.source.store());
    for file in files.iter().filter(|file| job.source_state.unpublished().contains(&file.seq)) {
        if store.head(&file.entry.key).await?.is_none() {
            return Err(SealerError::Overtaken(format!("record `{}` of the source is not published yet", file.seq)));
        }
    }
    Ok(run(transform, &source, SourceRows::Files(store, files), job.due.window_start, &job.options).await?)
}

/// Rows on their way into files.
struct Staging<'a> {
    job: &'a DeriveJob<'a>,
    table: &'a TableBody,
    staged_on: Seq,
    schema: SchemaRef,
    done: Vec<RevisedPartition>,
    /// Rows come sorted by lake partition, so that one is open at a time.
    open: Option<(LakePartition, RevisionWriter)>,
}

impl Staging<'_> {
    async fn take_all(&mut self, mut rows: DerivedRows) -> Result<(), SealerError> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let batch = tokio::select! {
                biased;
                _ = look.tick() => {
                    self.check_wanted().await?;
                    continue;
                }
                batch = rows.next() => batch?,
            };
            match batch {
                Some(batch) => self.take(&batch).await?,
                None => return self.close().await,
            }
        }
    }

    async fn take(&mut self, batch: &RecordBatch) -> Result<(), SealerError> {
        let keys = self.table.settings.partition_by.iter().map(|name| column(batch, name)).collect::<Result<Vec<_>, _>>()?;
        let columns = self.schema.fields().iter().map(|f| column(batch, f.name())).collect::<Result<Vec<_>, _>>()?;
        let files = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let ranges = if keys.is_empty() { std::iter::once(0..batch.num_rows()).collect() } else { partition(&keys)?.ranges() };
        for range in ranges {
            let values = keys.iter().map(|key| text(key, range.start)).collect::<Result<Vec<_>, _>>()?;
            let lake_partition = LakePartition { window_start: self.job.due.window_start, values };
            if self.open.as_ref().is_some_and(|(open, _)| *open != lake_partition) {
                self.close().await?;
            }
            if self.open.is_none() {
                let writer = self.writer(&lake_partition)?;
                self.open = Some((lake_partition, writer));
            }
            let (_, writer) = self.open.as_mut().expect("it was opened above");
            writer.write(&files.slice(range.start, range.len())).await?;
        }
        Ok(())
    }

    fn writer(&self, lake_partition: &LakePartition) -> Result<RevisionWriter, SealerError> {
        let job = self.job;
        if let Some(value) = lake_partition.values.iter().flatten().find(|value| !partition_value_fits(value)) {
            let what =
                format!("a value of `partition_by` of derived table `{}` is too long for a folder: `{value:.40}…`", job.transform.table);
            return Err(SealerError::Settings(what));
        }
        let settings = &self.table.settings;
        let target = RevisionTarget {
            table: job.transform.table.clone(),
            layout: Layout { table: job.transform.table.clone(), window: settings.window, partition_by: settings.partition_by.clone() },
            lake_partition: lake_partition.clone(),
            revision: job.due.revision,
            schema: Arc::clone(&self.schema),
            schema_version: self.table.schema_version,
            staged_on: self.staged_on,
            event_time: EventTimeColumn { name: WINDOW_END.to_owned(), shift: EVENT_TIME_SHIFT },
            footer_ranges: serde_json::to_string(&job.due.inputs).map_err(|error| SealerError::bug("write footer", error))?,
        };
        let options = WriteOptions { encode: job.encode.clone(), target_file_bytes: job.transform.target_file_bytes };
        Ok(RevisionWriter::new(Arc::clone(job.target.store()), target, options))
    }

    async fn close(&mut self) -> Result<(), SealerError> {
        if let Some((lake_partition, writer)) = self.open.take() {
            let files = writer.finish().await?;
            // Two runs of rows of one lake partition: values that differ in the result and not as text.
            match self.done.iter_mut().find(|done| done.lake_partition == lake_partition) {
                Some(done) => done.files.extend(files),
                None => self.done.push(RevisedPartition { lake_partition, files }),
            }
        }
        Ok(())
    }

    /// Gives up when another was faster, or the process stops.
    async fn check_wanted(&self) -> Result<(), SealerError> {
        if self.job.shutdown.is_triggered() {
            return Err(SealerError::Stopping);
        }
        let state = self.job.target.refresh().await?;
        let found = state.window(self.job.due.window_start).map_or(0, |window| window.revision);
        if found >= self.job.due.revision {
            return Err(SealerError::Overtaken(format!("window `{}` has revision `{found}` already", self.job.due.window_start)));
        }
        Ok(())
    }

    /// The lake partitions with their files, and all files; nothing of it was proposed yet, so a failure drops it.
    async fn end(self, outcome: Result<(), SealerError>) -> Result<(Vec<RevisedPartition>, Vec<FileEntry>), SealerError> {
        let files: Vec<FileEntry> = self.done.iter().flat_map(|done| done.files.iter().cloned()).collect();
        match outcome {
            Ok(()) => Ok((self.done, files)),
            Err(error) => {
                if let Some((_, writer)) = self.open {
                    writer.discard().await;
                }
                discard(self.job.target, &files).await;
                Err(error)
            }
        }
    }
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, SealerError> {
    batch.column_by_name(name).cloned().ok_or_else(|| SealerError::bug("write derived rows", format!("the result has no column `{name}`")))
}

/// The value of a row as lake partitions have it.
fn text(values: &ArrayRef, row: usize) -> Result<Option<String>, SealerError> {
    let text = cast(&values.slice(row, 1), &DataType::Utf8)?;
    let text = text.as_string::<i32>();
    Ok(partition_value((!arrow::array::Array::is_null(text, 0)).then(|| text.value(0))))
}

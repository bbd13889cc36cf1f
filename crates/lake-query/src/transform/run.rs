//! Runs a transform for one derived window.
use super::plan::plan_in;
use super::source::{InputFile, SourceTable};
use super::{EVENT_TIME_SHIFT, ResultSchema, Transform, WINDOW_END, WINDOW_START};
use crate::LakeQueryError;
use crate::error::ErrorContext;
use crate::object::LakeObjects;
use crate::session::{self, ContextOptions};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use futures::StreamExt;
use lake_store::LakeStore;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use windowing::Time;

/// Bounds of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Memory of sorts, joins and aggregations; over it they spill.
    pub memory_bytes: usize,
    /// Folder to spill to; `None`: the system's.
    pub spill_dir: Option<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, spill_dir: None }
    }
}

/// Where the source's rows come from.
#[derive(Clone, Debug)]
pub enum SourceRows {
    /// Files of named revisions: all of the source windows that the derived window overlaps.
    Files(Arc<dyn LakeStore>, Vec<InputFile>),
    /// Rows of a test, with any of the source's columns.
    Rows(Vec<RecordBatch>),
}

/// The rows of a derived window, sorted by `partition_by`, then `sort_by`, then the grouping window.
pub struct DerivedRows {
    /// Their columns.
    pub result: ResultSchema,
    rows: SendableRecordBatchStream,
    errors: ErrorContext,
    bounds: (Time, Time),
    name: String,
}

impl std::fmt::Debug for DerivedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DerivedRows").field("result", &self.result).finish_non_exhaustive()
    }
}

/// Runs a transform for the derived window that starts at `window_start`.
///
/// # Errors
/// Faults of the SQL ([`LakeQueryError::Transform`]), or an input that cannot be read.
pub async fn run(
    transform: &Transform,
    source: &SourceTable,
    rows: SourceRows,
    window_start: Time,
    options: &RunOptions,
) -> Result<DerivedRows, LakeQueryError> {
    let mut errors = ErrorContext::default();
    let mut context_options = ContextOptions::transform(options.memory_bytes, options.spill_dir.clone());
    let table: Arc<dyn TableProvider> = match rows {
        SourceRows::Files(store, files) => {
            let owner = source.layout().table.0.clone();
            Arc::make_mut(&mut errors.owners).extend(files.iter().map(|f| (f.entry.key.clone(), (owner.clone(), f.seq.0))));
            context_options.objects = Some(LakeObjects::new(store, Arc::clone(&errors.missing)));
            source.files(&files)
        }
        SourceRows::Rows(rows) => {
            let columns = source.columns();
            let rows = rows.iter().map(|batch| widen(batch, &columns)).collect::<Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
            Arc::new(MemTable::try_new(columns, vec![rows]).map_err(|e| errors.explain(&e))?)
        }
    };
    let context = session::new_context(context_options).map_err(|e| errors.explain(&e))?;
    let planned = plan_in(&context, transform, (source, table), Some(window_start)).await?;
    let mut seen = BTreeSet::new();
    let order = transform.partition_by.iter().chain(&transform.sort_by).map(String::as_str).chain([WINDOW_START, WINDOW_END]);
    let order = order.filter(|name| seen.insert(*name)).map(|name| Expr::Column(Column::from_name(name)).sort(true, true)).collect();
    let sorted = planned.frame.sort(order).map_err(|e| errors.explain(&e))?;
    let rows = sorted.execute_stream().await.map_err(|e| errors.explain(&e))?;
    let bounds = (window_start, transform.window.end_of(window_start));
    Ok(DerivedRows { result: planned.result, rows, errors, bounds, name: transform.name.clone() })
}

impl DerivedRows {
    /// The next rows, of the columns of the result; `None` after the last.
    ///
    /// # Errors
    /// An input cannot be read, the memory does not suffice, or a row is of no grouping window of this derived window.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, LakeQueryError> {
        loop {
            let Some(batch) = self.rows.next().await.transpose().map_err(|e| self.errors.explain(&e))? else { return Ok(None) };
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = self.result.adapt(&batch).map_err(|e| failed(&e))?;
            self.check_times(&batch)?;
            return Ok(Some(batch));
        }
    }

    /// All rows at once.
    ///
    /// # Errors
    /// As [`DerivedRows::next`].
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, LakeQueryError> {
        let mut all = Vec::new();
        while let Some(batch) = self.next().await? {
            all.push(batch);
        }
        Ok(all)
    }

    /// A row lies in its derived window by `window_end` (TM-2).
    fn check_times(&self, batch: &RecordBatch) -> Result<(), LakeQueryError> {
        let (start, end) = self.bounds;
        let wrong = |what: String| LakeQueryError::Query(format!("transform `{}`: {what}", self.name));
        let column = batch.column_by_name(WINDOW_END).expect("planning requires the column");
        for name in [WINDOW_START, WINDOW_END] {
            if batch.column_by_name(name).is_some_and(|c| c.null_count() > 0) {
                return Err(wrong(format!("a row of the result has no `{name}`")));
            }
        }
        let outside = |at: &Time| *at + EVENT_TIME_SHIFT < start || *at + EVENT_TIME_SHIFT >= end;
        match column.as_primitive::<TimestampMicrosecondType>().iter().flatten().map(Time).find(outside) {
            Some(at) => Err(wrong(format!("`window_end` of a row is {at}, which is not of the derived window {start} to {end}"))),
            None => Ok(()),
        }
    }
}

/// A batch with all columns: those that it lacks are NULL.
fn widen(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
    let column = |field: &arrow::datatypes::FieldRef| -> Result<ArrayRef, arrow::error::ArrowError> {
        match batch.column_by_name(field.name()) {
            Some(found) if found.data_type() == field.data_type() => Ok(Arc::clone(found)),
            Some(found) => cast(found, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let arrays = columns.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(Arc::clone(columns), arrays, &RecordBatchOptions::new().with_row_count(Some(batch.num_rows())))
}

fn failed(error: &arrow::error::ArrowError) -> LakeQueryError {
    LakeQueryError::Query(error.to_string())
}

//! Writes the files of a revision: batches in, staged files of about the wanted size out.
mod sink;

pub(crate) use sink::{FileSink, SinkFolder};

use crate::error::SealerError;
use arrow::array::{Array, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use lake_file::EncodeOptions;
use lake_store::LakeStore;
use std::sync::Arc;
use table_log::key::{DataFolder, Layout};
use table_log::record::FileEntry;
use table_log::{LakePartition, Seq, TableName};
use windowing::{Micros, Time};

/// What the files are: where they go and what their entries say.
#[derive(Clone, Debug)]
pub struct RevisionTarget {
    /// Table.
    pub table: TableName,
    /// Builds keys.
    pub layout: Layout,
    /// Lake partition of all rows.
    pub lake_partition: LakePartition,
    /// The revision that they will be.
    pub revision: u32,
    /// Columns of the batches and files.
    pub schema: SchemaRef,
    /// Schema version in the log that `schema` is made from.
    pub schema_version: u32,
    /// Newest seq of the state on which the work rests.
    pub staged_on: Seq,
    /// Where the rows' event times are.
    pub event_time: EventTimeColumn,
    /// What the revision was made from, as JSON for the footer.
    pub footer_ranges: String,
}

/// The column that places rows in windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTimeColumn {
    /// Its name; timestamps in microseconds.
    pub name: String,
    /// Added to its values: -1 µs where it holds the end of a window, which is the first moment after the window.
    pub shift: Micros,
}

/// How the files are made.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Encoding.
    pub encode: EncodeOptions,
    /// A file is ended at about this size.
    pub target_file_bytes: u64,
}

/// Writes the data files of one lake partition's revision. What was staged is dropped by [`RevisionWriter::discard`]; a writer that is dropped
/// without it leaves its files to the sweeper.
#[derive(Debug)]
pub struct RevisionWriter {
    sink: FileSink,
    event_time: EventTimeColumn,
}

impl RevisionWriter {
    /// Begins; the first file is staged with the first rows.
    pub fn new(store: Arc<dyn LakeStore>, target: RevisionTarget, options: WriteOptions) -> Self {
        let event_time = target.event_time.clone();
        let folder = SinkFolder::Data(DataFolder::Revision(target.revision));
        Self { sink: FileSink::new(store, target, options, folder), event_time }
    }

    /// Encodes rows on the calling thread; finished bytes go to the store. The batch has the columns of the target's schema, and its rows are in
    /// the order of the file.
    ///
    /// # Errors
    /// Trouble of the store that lasts; rows without event time.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), SealerError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let times = event_times(batch, &self.event_time)?;
        self.sink.write(batch, times).await
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.sink.rows()
    }

    /// Ends the last file. The entries of all, in the order of the rows; none without rows.
    ///
    /// # Errors
    /// Trouble of the store that lasts: what was staged is then dropped.
    pub async fn finish(self) -> Result<Vec<FileEntry>, SealerError> {
        self.sink.finish().await
    }

    /// Drops what was staged: none of it was proposed.
    pub async fn discard(self) {
        self.sink.discard().await;
    }
}

/// Lowest and highest event time of a batch with rows.
fn event_times(batch: &RecordBatch, column: &EventTimeColumn) -> Result<(Time, Time), SealerError> {
    let wrong = |detail: String| SealerError::bug("read event times", detail);
    let values = batch.column_by_name(&column.name).ok_or_else(|| wrong(format!("no column `{}`", column.name)))?;
    if !matches!(values.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
        return Err(wrong(format!("column `{}` is `{}`", column.name, values.data_type())));
    }
    let values = values.as_primitive::<TimestampMicrosecondType>();
    match (min(values), max(values)) {
        (Some(low), Some(high)) if values.null_count() == 0 => Ok((Time(low) + column.shift, Time(high) + column.shift)),
        _ => Err(wrong(format!("column `{}` has nulls", column.name))),
    }
}

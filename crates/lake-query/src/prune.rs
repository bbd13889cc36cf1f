//! What the log knows of files before they are opened, in the form that DataFusion prunes with.
use crate::snapshot::{SnapshotFile, SnapshotTable};
use arrow::array::{ArrayRef, BooleanArray, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::cast;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use std::collections::HashSet;
use std::sync::Arc;

/// Lake-partition values and event-time bounds of a table's files.
pub(crate) struct LogStatistics<'a> {
    pub(crate) table: &'a SnapshotTable,
}

impl LogStatistics<'_> {
    fn bounds(&self, column: &Column, pick: fn(&SnapshotFile) -> i64) -> Option<ArrayRef> {
        let files = &self.table.files;
        if let Some(index) = self.partition_index(column) {
            let values: StringArray = files.iter().map(|f| f.partition_values[index].as_deref()).collect();
            return Some(Arc::new(values));
        }
        if self.table.event_time.as_deref() != Some(column.name()) {
            return None;
        }
        let shift = self.table.event_time_shift.0;
        let kind = self.table.schema.file_schema().field_with_name(column.name()).ok()?.data_type().clone();
        let values: TimestampMicrosecondArray = files.iter().map(|f| Some(pick(f).saturating_sub(shift))).collect();
        cast(&values, &kind).ok()
    }

    fn partition_index(&self, column: &Column) -> Option<usize> {
        self.table.schema.table_partition_cols().iter().position(|f| f.name() == column.name())
    }
}

impl PruningStatistics for LogStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |f| f.event_time_min.0)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |f| f.event_time_max.0)
    }

    fn num_containers(&self) -> usize {
        self.table.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let index = self.partition_index(column)?;
        let nulls: UInt64Array =
            self.table.files.iter().map(|f| Some(if f.partition_values[index].is_none() { f.rows } else { 0 })).collect();
        Some(Arc::new(nulls))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows: UInt64Array = self.table.files.iter().map(|f| Some(f.rows)).collect();
        Some(Arc::new(rows))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

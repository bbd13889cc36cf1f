use super::shape::{RowShape, refused_schema};
use crate::verify::entry::FileKind;
use crate::verify::files::PresentFile;
use crate::verify::row_hash::{bytes_at, refused_hash};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use std::sync::Arc;

/// Takes topic, kafka_partition, offset and hash of a row.
pub type Sink<'a> = &'a mut dyn FnMut(&str, i32, i64, u128);

/// Hashes all rows of a data or quarantine file. A file that cannot be read to its end is reported by the other checks.
pub fn read(shape: &RowShape, file: &PresentFile<'_>, sink: Sink<'_>) -> anyhow::Result<()> {
    match file.kind {
        FileKind::Quarantine => read_refused(file, sink),
        FileKind::Data => read_data(shape, file, sink),
        FileKind::Duplicates => Ok(()),
    }
}

fn read_data(shape: &RowShape, file: &PresentFile<'_>, sink: Sink<'_>) -> anyhow::Result<()> {
    for batch in file.parquet.read(Arc::clone(&shape.file_schema))? {
        let Ok(batch) = batch else {
            return Ok(());
        };
        let mut columns = batch.columns().to_vec();
        for index in 0..shape.partition_by.len() {
            let value = file.entry.lake_partition.values.get(index).cloned().flatten();
            let texts: StringArray = std::iter::repeat_n(value.as_deref(), batch.num_rows()).collect();
            columns.push(Arc::new(texts) as ArrayRef);
        }
        let hashes = shape.hashes(&columns)?;
        each_identity(&batch, |row, topic, kafka_partition, offset| sink(topic, kafka_partition, offset, hashes[row]));
    }
    Ok(())
}

fn read_refused(file: &PresentFile<'_>, sink: Sink<'_>) -> anyhow::Result<()> {
    for batch in file.parquet.read(refused_schema())? {
        let Ok(batch) = batch else {
            return Ok(());
        };
        let (Some(keys), Some(values)) = (batch.column_by_name("key"), batch.column_by_name("value")) else {
            return Ok(());
        };
        each_identity(&batch, |row, topic, kafka_partition, offset| {
            let hash = refused_hash((topic, kafka_partition, offset), bytes_at(keys, row), bytes_at(values, row));
            sink(topic, kafka_partition, offset, hash);
        });
    }
    Ok(())
}

/// Calls `each` with row, topic, kafka_partition and offset; rows without identity are left to the identity check.
fn each_identity(batch: &RecordBatch, mut each: impl FnMut(usize, &str, i32, i64)) {
    let column = |name| batch.column_by_name(name).expect("identity columns are in every schema that is read");
    let topics = column("_kafka_topic").as_string::<i32>();
    let partitions = column("_kafka_partition").as_primitive::<Int32Type>();
    let offsets = column("_kafka_offset").as_primitive::<Int64Type>();
    for row in 0..batch.num_rows() {
        if topics.is_valid(row) && partitions.is_valid(row) && offsets.is_valid(row) {
            each(row, topics.value(row), partitions.value(row), offsets.value(row));
        }
    }
}

//! Rows of a test as Arrow.
use super::file::Row;
use crate::transform::Planned;
use anyhow::{Context, bail, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use service_runtime::settings::closest;
use std::collections::BTreeSet;
use windowing::Time;

/// The rows with all columns of `schema`; those that a row leaves out are NULL.
pub fn batch(rows: &[Row], schema: &SchemaRef) -> anyhow::Result<RecordBatch> {
    for (index, row) in rows.iter().enumerate() {
        for name in row.keys() {
            if schema.field_with_name(name).is_err() {
                let known = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
                bail!("row {}: there is no column `{name}`; {}", index + 1, closest(name, &known).unwrap_or_default());
            }
        }
    }
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let mut decoder =
        arrow::json::ReaderBuilder::new(schema.clone()).with_batch_size(rows.len()).with_coerce_primitive(true).build_decoder()?;
    decoder.serialize(rows)?;
    let batch = decoder.flush()?.context("the rows give no batch")?;
    ensure!(batch.num_rows() == rows.len(), "{} of {} rows were read", batch.num_rows(), rows.len());
    Ok(batch)
}

/// Starts of the derived windows that rest on the rows.
pub fn windows(input: &RecordBatch, planned: &Planned) -> anyhow::Result<BTreeSet<Time>> {
    let (name, shift) = planned.source.event_time();
    let column = input.column_by_name(name).with_context(|| format!("the source has no column `{name}`"))?;
    ensure!(column.null_count() == 0, "a row has no `{name}`, which is the event time");
    let times = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    let transform = &planned.transform;
    let ends =
        times.as_primitive::<TimestampMicrosecondType>().values().iter().flat_map(|at| transform.grouping.ends_of(Time(*at) + shift));
    Ok(ends.map(|end| transform.window.start_of(end - windowing::Micros(1))).collect())
}

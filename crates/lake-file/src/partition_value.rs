//! Values of the `partition_by` columns of a batch, column by column: each row gets the id of its combination of values. Pure.
use crate::LakeFileError;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use std::hash::Hash;
use table_log::{LakePartition, Seq, key};
use windowing::Time;

/// Combinations of partition values in a batch.
#[derive(Debug, Default)]
pub struct Combinations {
    /// Per row the index in `values`; empty if there are no partition columns (then all rows have combination 0).
    pub row: Vec<u32>,
    /// Per combination its values.
    pub values: Vec<Vec<Option<String>>>,
    /// Per combination whether it can be part of an object key.
    pub fits: Vec<bool>,
}

impl Combinations {
    /// The combination of a row.
    pub fn of(&self, row: usize) -> u32 {
        self.row.get(row).copied().unwrap_or(0)
    }
}

/// Finds the combinations of the given columns of a batch.
///
/// # Errors
/// A column has a type that a table must not be partitioned by.
pub fn combinations(batch: &RecordBatch, columns: &[usize], layout: &key::Layout) -> Result<Combinations, LakeFileError> {
    let mut all = Combinations { row: Vec::new(), values: vec![Vec::new()], fits: Vec::new() };
    for &column in columns {
        let (ids, values) = distinct(batch.column(column))?;
        all = combine(all, &ids, &values);
    }
    all.fits = all.values.iter().map(|values| fits(values, layout)).collect();
    Ok(all)
}

fn combine(before: Combinations, ids: &[u32], values: &[Option<String>]) -> Combinations {
    let mut seen: HashMap<(u32, u32), u32> = HashMap::new();
    let mut after = Combinations { row: Vec::with_capacity(ids.len()), ..Combinations::default() };
    for (row, &id) in ids.iter().enumerate() {
        let combination = *seen.entry((before.of(row), id)).or_insert_with(|| {
            let mut combined = before.values[before.of(row) as usize].clone();
            combined.push(values[id as usize].clone());
            after.values.push(combined);
            (after.values.len() - 1) as u32
        });
        after.row.push(combination);
    }
    after
}

fn fits(values: &[Option<String>], layout: &key::Layout) -> bool {
    let lake_partition = LakePartition { window_start: Time(0), values: values.to_vec() };
    let longest = key::Key::Data { lake_partition, folder: key::DataFolder::Late, base: Seq(u64::MAX), staging: "0".repeat(36) };
    layout.fits(&longest)
}

/// Per row the id of its value, and the values as the key has them.
fn distinct(column: &ArrayRef) -> Result<(Vec<u32>, Vec<Option<String>>), LakeFileError> {
    let text = |value: &str| key::partition_value(Some(value));
    Ok(match column.data_type() {
        DataType::Utf8 => intern(column.as_string::<i32>().iter(), text),
        DataType::Dictionary(..) => {
            let strings = cast(column, &DataType::Utf8).map_err(|e| bug(&e.to_string()))?;
            intern(strings.as_any().downcast_ref::<StringArray>().expect("cast to Utf8 makes a StringArray").iter(), text)
        }
        DataType::Int32 => intern(column.as_primitive::<Int32Type>().iter(), |v| Some(v.to_string())),
        DataType::Int64 => intern(column.as_primitive::<Int64Type>().iter(), |v| Some(v.to_string())),
        DataType::Date32 => intern(column.as_primitive::<Date32Type>().iter(), |days| Some(date_text(days))),
        DataType::Boolean => intern(column.as_boolean().iter(), |v| Some(v.to_string())),
        other => return Err(bug(&format!("partition column of type `{other}`"))),
    })
}

fn intern<V: Eq + Hash + Copy>(
    values: impl Iterator<Item = Option<V>>,
    text: impl Fn(V) -> Option<String>,
) -> (Vec<u32>, Vec<Option<String>>) {
    let mut ids = Vec::with_capacity(values.size_hint().0);
    let mut seen: HashMap<Option<V>, u32> = HashMap::new();
    let mut texts = Vec::new();
    let mut last: Option<(Option<V>, u32)> = None;
    for value in values {
        let id = match last {
            Some((same, id)) if same == value => id,
            _ => *seen.entry(value).or_insert_with(|| {
                texts.push(value.and_then(&text));
                (texts.len() - 1) as u32
            }),
        };
        last = Some((value, id));
        ids.push(id);
    }
    (ids, texts)
}

/// `2026-11-21`; years outside of 0000 to 9999 as the calendar has them.
fn date_text(days: i32) -> String {
    Time(i64::from(days) * windowing::Micros::DAY.0).date().to_string()
}

fn bug(detail: &str) -> LakeFileError {
    LakeFileError::Encode { what: "read partition values", detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Date32Array, Int64Array};
    use arrow::datatypes::{Field, Schema};
    use std::sync::Arc;
    use table_log::TableName;
    use windowing::WindowSize;

    fn layout(columns: usize) -> key::Layout {
        let partition_by = (0..columns).map(|i| format!("c{i}")).collect();
        key::Layout { table: TableName("t".into()), window: WindowSize::HOUR, partition_by }
    }

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let fields = columns.iter().enumerate().map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true));
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("columns of one length")
    }

    #[test]
    fn without_columns_there_is_one_combination() {
        let found = combinations(&batch(vec![Arc::new(Int64Array::from(vec![1, 2]))]), &[], &layout(0)).expect("no columns");
        assert_eq!((found.of(0), found.of(1), found.values.len(), found.fits[0]), (0, 0, 1, true));
    }

    #[test]
    fn rows_with_equal_values_share_a_combination() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a"), Some("")])),
            Arc::new(BooleanArray::from(vec![true, true, true, true, true])),
            Arc::new(Date32Array::from(vec![0, -1, 0, 0, 0])),
        ];
        let found = combinations(&batch(columns), &[0, 1, 2], &layout(3)).expect("known types");
        assert_eq!(found.of(0), found.of(3));
        let text = |row: usize| found.values[found.of(row) as usize].clone();
        assert_eq!(text(0), vec![Some("a".into()), Some("true".into()), Some("1970-01-01".into())]);
        assert_eq!(text(1)[2].as_deref(), Some("1969-12-31"));
        assert_eq!(text(2)[0], None);
        assert_eq!(text(4)[0], None, "an empty string is NULL, as in Hive");
    }

    #[test]
    fn values_that_are_too_long_for_a_key_do_not_fit() {
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["x".repeat(128), "x".repeat(129), "é".repeat(60)]))];
        let found = combinations(&batch(columns), &[0], &layout(1)).expect("known types");
        assert_eq!((0..3).map(|row| found.fits[found.of(row) as usize]).collect::<Vec<_>>(), vec![true, false, false]);
    }
}

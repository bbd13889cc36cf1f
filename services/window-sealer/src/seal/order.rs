//! The order of rows, and which of them are duplicates. Pure: batches in, places of rows out.
use crate::error::SealerError;
use crate::seal::rules::SealRules;
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use std::cmp::Ordering;
use table_log::planted::{Bug, is_planted};

/// A row: its batch and its place there.
pub type Place = (usize, usize);

/// Rows in the order of the file, and those that are dropped.
#[derive(Debug, Default)]
pub struct Ordered {
    /// Rows that stay, in order.
    pub kept: Vec<Place>,
    /// Rows that are dropped, each with the row that is kept in its place, in the order of the dropped ones.
    pub dropped: Vec<(Place, Place)>,
}

/// Orders the rows of a slice and finds its duplicates: rows whose event time and columns of `dedupe_by` are equal, nulls to nothing. The first
/// by (Kafka timestamp, topic, kafka_partition, offset) is kept.
///
/// # Errors
/// A column is of a type without order.
pub fn order(batches: &[RecordBatch], rules: &SealRules) -> Result<Ordered, SealerError> {
    let places = Places::of(batches);
    let identity = Identity::of(batches, rules);
    let sorted = Sorted::by(batches, &rules.order(), &identity, &places)?;
    if rules.dedupe.is_none() {
        return Ok(Ordered { kept: sorted.rows.iter().map(|row| places.place(*row)).collect(), dropped: Vec::new() });
    }
    let nulls = nullable_rows(batches, rules, &places);
    let mut kept_instead: Vec<Option<u32>> = vec![None; places.rows()];
    let apart = if rules.order_joins_duplicates() { None } else { Some(Sorted::by(batches, &duplicate_key(rules), &identity, &places)?) };
    for group in apart.as_ref().unwrap_or(&sorted).groups() {
        let [first, others @ ..] = group else { continue };
        if nulls.as_ref().is_some_and(|nulls| nulls[*first as usize]) {
            continue;
        }
        for other in others {
            kept_instead[*other as usize] = Some(*first);
        }
    }
    let mut ordered = Ordered::default();
    for &row in &sorted.rows {
        match kept_instead[row as usize] {
            None => ordered.kept.push(places.place(row)),
            Some(kept) => ordered.dropped.push((places.place(row), places.place(kept))),
        }
    }
    Ok(ordered)
}

fn duplicate_key(rules: &SealRules) -> Vec<usize> {
    let mut key = vec![rules.event_time];
    key.extend(rules.dedupe.iter().flatten().filter(|column| **column != rules.event_time));
    key
}

/// Per row whether a column of `dedupe_by` is null; `None`: no row has one.
fn nullable_rows(batches: &[RecordBatch], rules: &SealRules, places: &Places) -> Option<Vec<bool>> {
    let columns = rules.dedupe.as_deref().unwrap_or_default();
    let with_nulls = |batch: &RecordBatch| columns.iter().any(|column| batch.column(*column).logical_null_count() > 0);
    if is_planted(Bug::NullsAreDuplicates) || !batches.iter().any(with_nulls) {
        return None;
    }
    let mut nulls = Vec::with_capacity(places.rows());
    for batch in batches {
        let masks: Vec<_> = columns.iter().filter_map(|column| batch.column(*column).logical_nulls()).collect();
        nulls.extend((0..batch.num_rows()).map(|row| masks.iter().any(|mask| mask.is_null(row))));
    }
    Some(nulls)
}

/// The rows of several batches by one number.
struct Places {
    /// First number of each batch, and the end.
    starts: Vec<u32>,
    batch_of: Vec<u32>,
}

impl Places {
    fn of(batches: &[RecordBatch]) -> Self {
        let (mut starts, mut batch_of) = (vec![0], Vec::new());
        for (number, batch) in batches.iter().enumerate() {
            batch_of.resize(batch_of.len() + batch.num_rows(), number as u32);
            starts.push(batch_of.len() as u32);
        }
        Self { starts, batch_of }
    }

    fn rows(&self) -> usize {
        self.batch_of.len()
    }

    fn place(&self, row: u32) -> Place {
        let batch = self.batch_of[row as usize] as usize;
        (batch, (row - self.starts[batch]) as usize)
    }
}

/// The identity columns of all batches.
struct Identity<'a> {
    batches: Vec<[&'a ArrayRef; 4]>,
}

impl<'a> Identity<'a> {
    fn of(batches: &'a [RecordBatch], rules: &SealRules) -> Self {
        Self { batches: batches.iter().map(|batch| rules.identity.map(|column| batch.column(column))).collect() }
    }

    fn cmp(&self, (a_batch, a): Place, (b_batch, b): Place) -> Ordering {
        let (left, right) = (&self.batches[a_batch], &self.batches[b_batch]);
        let times = |columns: &[&ArrayRef; 4], row: usize| columns[0].as_primitive::<TimestampMicrosecondType>().value(row);
        let topics = |columns: &[&'a ArrayRef; 4], row: usize| -> &'a str { text(columns[1]).value(row) };
        let kafka_partitions = |columns: &[&ArrayRef; 4], row: usize| int(columns[2]).value(row);
        let offsets = |columns: &[&ArrayRef; 4], row: usize| long(columns[3]).value(row);
        let by_time = times(left, a).cmp(&times(right, b));
        by_time
            .then_with(|| topics(left, a).cmp(topics(right, b)))
            .then_with(|| kafka_partitions(left, a).cmp(&kafka_partitions(right, b)))
            .then_with(|| offsets(left, a).cmp(&offsets(right, b)))
    }
}

fn text(column: &ArrayRef) -> &StringArray {
    column.as_string::<i32>()
}

fn int(column: &ArrayRef) -> &Int32Array {
    column.as_primitive::<Int32Type>()
}

fn long(column: &ArrayRef) -> &Int64Array {
    column.as_primitive::<Int64Type>()
}

/// Rows sorted by some columns, then by identity.
struct Sorted {
    rows: Vec<u32>,
    /// Ends of the runs of rows that are equal in these columns, where such runs are longer than one row.
    runs: Vec<std::ops::Range<usize>>,
}

impl Sorted {
    fn by(batches: &[RecordBatch], columns: &[usize], identity: &Identity<'_>, places: &Places) -> Result<Self, SealerError> {
        let keys = encode(batches, columns)?;
        let prefix = common_prefix(&keys);
        let mut entries: Vec<(u128, u32)> = keys.iter().enumerate().map(|(row, key)| (head(&key.data()[prefix..]), row as u32)).collect();
        let tail = prefix + HEAD_BYTES;
        let rest = |row: u32| keys.row(row as usize).data().get(tail..).unwrap_or_default();
        entries.sort_unstable_by(|(a_head, a), (b_head, b)| a_head.cmp(b_head).then_with(|| rest(*a).cmp(rest(*b))));
        let mut rows: Vec<u32> = entries.iter().map(|(_, row)| *row).collect();
        let mut runs = Vec::new();
        let mut start = 0;
        for end in 1..=entries.len() {
            let goes_on = end < entries.len() && entries[start].0 == entries[end].0 && rest(entries[start].1) == rest(entries[end].1);
            if !goes_on {
                if end - start > 1 {
                    runs.push(start..end);
                }
                start = end;
            }
        }
        for run in &runs {
            rows[run.clone()].sort_unstable_by(|a, b| identity.cmp(places.place(*a), places.place(*b)));
        }
        Ok(Self { rows, runs })
    }

    /// Rows that are equal in the columns, each group in the order of identity.
    fn groups(&self) -> impl Iterator<Item = &[u32]> {
        self.runs.iter().map(|run| &self.rows[run.clone()])
    }
}

/// Bytes of a key that are compared at once.
const HEAD_BYTES: usize = 16;

/// The first bytes of a key, as a number that orders alike; keys that are shorter are filled up.
fn head(key: &[u8]) -> u128 {
    let mut bytes = [0; HEAD_BYTES];
    let length = key.len().min(HEAD_BYTES);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}

/// The values of some columns as bytes that order as the values do: nulls first, then ascending.
///
/// # Errors
/// A column is of a type without order.
pub fn encode(batches: &[RecordBatch], columns: &[usize]) -> Result<Rows, SealerError> {
    let first = batches.first().ok_or_else(|| SealerError::bug("encode keys", "no rows"))?;
    let fields = columns.iter().map(|column| SortField::new(first.column(*column).data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut keys = converter.empty_rows(rows, rows * 32);
    for batch in batches {
        let columns: Vec<ArrayRef> = columns.iter().map(|column| batch.column(*column).clone()).collect();
        converter.append(&mut keys, &columns)?;
    }
    Ok(keys)
}

/// Length of what all keys begin with.
fn common_prefix(keys: &Rows) -> usize {
    if keys.num_rows() == 0 {
        return 0;
    }
    let first = keys.row(0);
    let first = first.data();
    let mut length = first.len();
    for key in keys {
        let key = key.data();
        let end = length.min(key.len());
        if key[..end] != first[..end] || key.len() < length {
            length = first[..end].iter().zip(key).take_while(|(a, b)| a == b).count();
        }
    }
    length
}

#[cfg(test)]
mod tests;

//! Rows by identity: (topic with generation, kafka_partition, offset). A set takes about a bit per row where offsets are dense.
use super::bitmap::Bitmap;
use anyhow::ensure;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use lake_query::LakeFile;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Identity of a row, as its file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity<'a> {
    /// Topic; `#<generation>` after the first generation.
    pub topic: &'a str,
    /// Number of the kafka_partition.
    pub kafka_partition: i32,
    /// Offset.
    pub offset: i64,
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.kafka_partition, self.offset)
    }
}

/// A set of rows.
#[derive(Debug, Default)]
pub struct Identities {
    offsets: BTreeMap<(String, i32), Bitmap>,
    rows: u64,
}

impl Identities {
    /// Adds a row; answers whether it was new.
    pub fn insert(&mut self, identity: &Identity<'_>) -> bool {
        let new = self.bitmap(identity).insert(identity.offset.cast_unsigned());
        self.rows += u64::from(new);
        new
    }

    /// Takes a row out; answers whether it was there.
    pub fn remove(&mut self, identity: &Identity<'_>) -> bool {
        let there = self.bitmap(identity).remove(identity.offset.cast_unsigned());
        self.rows -= u64::from(there);
        there
    }

    /// Whether the row is in it.
    pub fn contains(&mut self, identity: &Identity<'_>) -> bool {
        self.bitmap(identity).contains(identity.offset.cast_unsigned())
    }

    /// How many rows.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// One of the rows.
    pub fn any(&self) -> Option<Identity<'_>> {
        let mut sources =
            self.offsets.iter().filter_map(|((topic, kafka_partition), offsets)| Some((topic, kafka_partition, offsets.lowest()?)));
        sources.next().map(|(topic, kafka_partition, offset)| Identity {
            topic,
            kafka_partition: *kafka_partition,
            offset: offset.cast_signed(),
        })
    }

    fn bitmap(&mut self, identity: &Identity<'_>) -> &mut Bitmap {
        // A look-up without an owned topic would need a map of maps; there are few sources, and the allocation is small.
        self.offsets.entry((identity.topic.to_owned(), identity.kafka_partition)).or_default()
    }
}

/// Calls `each` for every row of a file.
///
/// # Errors
/// The file cannot be read to its end, or has a row without identity.
pub fn read_identities(parquet: &LakeFile, mut each: impl FnMut(Identity<'_>)) -> anyhow::Result<()> {
    for batch in parquet.read(Arc::new(Schema::new(identity_fields("_kafka"))))? {
        let batch = batch?;
        let columns = Columns::of(&batch, 0)?;
        (0..batch.num_rows()).for_each(|row| each(columns.row(row)));
    }
    Ok(())
}

/// Calls `each` for every row of a list of duplicates: the row that was dropped, and the one that was kept for it.
///
/// # Errors
/// As of [`read_identities`].
pub fn read_duplicates(parquet: &LakeFile, mut each: impl FnMut(Identity<'_>, Identity<'_>)) -> anyhow::Result<()> {
    let fields: Vec<Field> = identity_fields("_kafka").into_iter().chain(identity_fields("kept_kafka")).collect();
    for batch in parquet.read(Arc::new(Schema::new(fields)))? {
        let batch = batch?;
        let (dropped, kept) = (Columns::of(&batch, 0)?, Columns::of(&batch, 3)?);
        (0..batch.num_rows()).for_each(|row| each(dropped.row(row), kept.row(row)));
    }
    Ok(())
}

fn identity_fields(prefix: &str) -> Vec<Field> {
    let field = |name: &str, kind| Field::new(format!("{prefix}_{name}"), kind, true);
    vec![field("topic", DataType::Utf8), field("partition", DataType::Int32), field("offset", DataType::Int64)]
}

struct Columns<'a> {
    topics: &'a arrow::array::StringArray,
    partitions: &'a arrow::array::Int32Array,
    offsets: &'a arrow::array::Int64Array,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch, first: usize) -> anyhow::Result<Self> {
        let columns = &batch.columns()[first..first + 3];
        ensure!(columns.iter().all(|column| column.null_count() == 0), "a row has no identity");
        Ok(Self {
            topics: columns[0].as_string(),
            partitions: columns[1].as_primitive::<Int32Type>(),
            offsets: columns[2].as_primitive::<Int64Type>(),
        })
    }

    fn row(&self, row: usize) -> Identity<'a> {
        Identity { topic: self.topics.value(row), kafka_partition: self.partitions.value(row), offset: self.offsets.value(row) }
    }
}

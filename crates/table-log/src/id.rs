//! Identifiers and positions.
use serde::{Deserialize, Serialize};
use windowing::Time;

macro_rules! newtype {
    ($(#[$m:meta])* $name:ident($inner:ty)) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

newtype!(/// Position of a record in a table log, dense from 0.
    Seq(u64));
newtype!(/// Number of a kafka_partition in its topic.
    KafkaPartition(i32));
newtype!(/// Position of a record in a kafka_partition.
    Offset(i64));

/// Half-open range of offsets `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OffsetRange {
    /// First offset in the range.
    pub start: Offset,
    /// First offset after the range.
    pub end: Offset,
}

impl OffsetRange {
    /// Number of offsets; `None` if the range is reversed or starts below 0.
    pub fn len(self) -> Option<u64> {
        (self.start.0 >= 0 && self.end >= self.start).then(|| self.end.0.abs_diff(self.start.0))
    }

    /// Whether there is no offset in it (an idle report).
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// Identity of one proposal: a UUID v7 in text form, made by the proposer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PutId(pub String);

/// Name of a table: `[a-z][a-z0-9_]*`, at most 128 bytes; its folder in the lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableName(pub String);

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TableName {
    /// Longest name in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Whether the name is `[a-z][a-z0-9_]*` of at most [`TableName::MAX_BYTES`].
    pub fn is_valid(&self) -> bool {
        let mut bytes = self.0.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        first && self.0.len() <= Self::MAX_BYTES && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    }
}

/// One kafka_partition of one generation of a topic: with an offset it identifies a record of Kafka.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePartition {
    /// Topic name.
    pub topic: String,
    /// 1 at first; each `restart` of the source adds one.
    pub generation: u32,
    /// Number of the kafka_partition.
    pub kafka_partition: KafkaPartition,
}

impl std::fmt::Display for SourcePartition {
    /// `topic#2/0`; the first generation is not written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.generation {
            1 => write!(f, "{}/{}", self.topic, self.kafka_partition),
            generation => write!(f, "{}#{generation}/{}", self.topic, self.kafka_partition),
        }
    }
}

/// One folder of data: a window and the values of the `partition_by` columns (raw, not escaped; `None` is NULL).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LakePartition {
    /// Start of the window.
    pub window_start: Time,
    /// Values of the `partition_by` columns, in the table's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Option<String>>,
}

/// A file entry by its place: the record's seq and the index in the record's list of all files
/// (see [`crate::Record::files`] for the order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// Record that names the file.
    pub seq: Seq,
    /// Index in [`crate::Record::files`].
    pub index: u32,
}

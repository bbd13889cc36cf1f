//! What can go wrong, as situations, and what each means for the table.
use event_schema::SchemaError;
use kafka_io::KafkaIoError;
use lake_store::{StoreError, TableLogError};
use service_runtime::ErrorClass;
use std::time::Duration;
use table_log::{Fenced, KafkaPartition, Offset, Seq};

/// An error of the lake-writer that is not yet a decision.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaIoError),
    /// The table log.
    #[error(transparent)]
    Log(#[from] TableLogError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table's schema cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A proposal was fenced where that is no normal outcome.
    #[error("proposal was fenced: {0:?}")]
    Fenced(Fenced),
    /// Settings that do not fit the table.
    #[error("{0}")]
    Settings(String),
    /// A file could not be encoded, or a count did not come out: a defect.
    #[error("{what}: {detail}")]
    Bug {
        /// Verb and object.
        what: &'static str,
        /// Values.
        detail: String,
    },
}

impl WriterError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Kafka(KafkaIoError::Misconfigured { .. }) | Self::Store(StoreError::Denied { .. }) => ErrorClass::Misconfigured,
            Self::Log(TableLogError::Store(StoreError::Denied { .. })) => ErrorClass::Misconfigured,
            Self::Kafka(_) | Self::Store(_) | Self::Log(TableLogError::Store(_) | TableLogError::ClockSkew { .. }) => ErrorClass::Retry,
            Self::Fenced(_) => ErrorClass::Fenced,
            Self::Schema(_) | Self::Settings(_) => ErrorClass::Misconfigured,
            Self::Log(_) | Self::Bug { .. } => ErrorClass::Bug,
        }
    }
}

/// Why a table is stopped. Only a person can put these right; other tables of the process go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoppedTable {
    /// A record was written with another schema of the subject.
    #[error(
        "schema of table `{table}` changed: a record of topic `{topic}`, kafka_partition {kafka_partition}, offset {offset} was written with schema id `{schema_id}`\n  table's schema: {table_schema}\n  writer's schema: {writer_schema}"
    )]
    SchemaChanged {
        /// The table.
        table: String,
        /// Where the record is.
        topic: String,
        /// Where the record is.
        kafka_partition: KafkaPartition,
        /// Where the record is; the table's next offset stays here.
        offset: Offset,
        /// The writer schema's id.
        schema_id: u32,
        /// The writer schema.
        writer_schema: String,
        /// The table's schema.
        table_schema: String,
    },
    /// Records that the table has not taken are gone from Kafka.
    #[error(
        "topic `{topic}`, kafka_partition {kafka_partition}: offset {expected} is the table's next but Kafka begins at {earliest}: {lost} offset(s) are lost; \
         run `tributary repair gap {table} {topic}/{kafka_partition} --to {earliest} --reason …` to declare them lost and go on"
    )]
    RetentionPassed {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Its kafka_partition.
        kafka_partition: KafkaPartition,
        /// The table's next offset.
        expected: Offset,
        /// Kafka's first offset.
        earliest: Offset,
        /// `earliest - expected`: at most so many records.
        lost: u64,
    },
    /// The table's next offset is beyond Kafka's end.
    #[error(
        "topic `{topic}`, kafka_partition {kafka_partition}: offset {expected} is the table's next but Kafka ends at {log_end}: the log was truncated or the topic re-created; \
         run `tributary repair restart {table} {topic} --reason …` to begin its next generation"
    )]
    OffsetOutOfRange {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Its kafka_partition.
        kafka_partition: KafkaPartition,
        /// The table's next offset.
        expected: Offset,
        /// Kafka's log end offset.
        log_end: Offset,
    },
    /// The broker lost records that the table has taken (unclean leader election).
    #[error(
        "topic `{topic}`, kafka_partition {kafka_partition}: the log was truncated before offset {expected}, which the table has reached ({detail}); \
         run `tributary repair restart {table} {topic} --reason …` to begin its next generation"
    )]
    LogTruncated {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Its kafka_partition.
        kafka_partition: KafkaPartition,
        /// The table's next offset.
        expected: Offset,
        /// What the client said.
        detail: String,
    },
    /// The topic was deleted, and perhaps made again.
    #[error(
        "topic `{topic}` is not the one that table `{table}` declared: topic id `{declared}`, found {found}; \
         run `tributary repair restart {table} {topic} --reason …` to begin its next generation"
    )]
    TopicRecreated {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Declared topic id.
        declared: String,
        /// What is there now.
        found: String,
    },
    /// The brokers are another cluster.
    #[error(
        "topic `{topic}` of table `{table}` was declared in cluster `{declared}` but `kafka.bootstrap_servers` leads to cluster `{found}`"
    )]
    ClusterChanged {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Declared cluster id.
        declared: String,
        /// Found cluster id.
        found: String,
    },
    /// A live file is lost.
    #[error(
        "file `{key}` of record {seq} of table `{table}` is lost: neither object nor upload exists; run `tributary repair refile {table} --reason …`"
    )]
    LakeFileLost {
        /// The table.
        table: String,
        /// Record that names the file.
        seq: Seq,
        /// The file.
        key: String,
    },
    /// Settings, schema or permissions do not let the table start.
    #[error("table `{table}` cannot be written: {detail}")]
    Misconfigured {
        /// The table.
        table: String,
        /// What and where.
        detail: String,
    },
    /// A broken invariant.
    #[error("table `{table}` met a defect of this program: {detail}")]
    Bug {
        /// The table.
        table: String,
        /// What did not hold.
        detail: String,
    },
}

impl StoppedTable {
    /// Stable short name of the situation, for metrics and `-o json`.
    pub fn situation(&self) -> &'static str {
        match self {
            Self::SchemaChanged { .. } => "schema_changed",
            Self::RetentionPassed { .. } => "retention_passed",
            Self::OffsetOutOfRange { .. } => "offset_out_of_range",
            Self::LogTruncated { .. } => "log_truncated",
            Self::TopicRecreated { .. } => "topic_recreated",
            Self::ClusterChanged { .. } => "cluster_changed",
            Self::LakeFileLost { .. } => "lake_file_lost",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Bug { .. } => "bug",
        }
    }

    /// All situations, for docs and tests.
    pub fn situations() -> &'static [&'static str] {
        &[
            "schema_changed",
            "retention_passed",
            "offset_out_of_range",
            "log_truncated",
            "topic_recreated",
            "cluster_changed",
            "lake_file_lost",
            "misconfigured",
            "bug",
        ]
    }

    /// Whether what was taken before the situation may still be committed: not if it may come from another topic or cluster.
    pub fn allows_commit(&self) -> bool {
        matches!(self, Self::SchemaChanged { .. } | Self::RetentionPassed { .. })
    }

    /// The stop that an error means for `table`, if it means one: trouble that may pass means none.
    pub fn of(table: &str, error: &WriterError) -> Option<Self> {
        match (error, error.class()) {
            (WriterError::Log(TableLogError::LakeFileLost { table, seq, key }), _) => {
                Some(Self::LakeFileLost { table: table.clone(), seq: *seq, key: key.clone() })
            }
            (WriterError::Schema(_) | WriterError::Settings(_), _) => {
                Some(Self::Misconfigured { table: table.to_owned(), detail: error.to_string() })
            }
            (_, ErrorClass::Bug) => Some(Self::Bug { table: table.to_owned(), detail: error.to_string() }),
            _ => None,
        }
    }
}

/// Waits between tries: doubles from 200 ms to 30 s, with jitter so that many writers do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    tries: u32,
    seed: u64,
}

impl Backoff {
    /// Starts; `seed` decides the jitter.
    pub fn new(seed: u64) -> Self {
        Self { tries: 0, seed }
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let base_ms = (200u64 << self.tries.min(8)).min(30_000);
        self.tries = self.tries.saturating_add(1);
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let spread = (self.seed >> 33) % (base_ms / 2 + 1);
        Duration::from_millis(base_ms / 2 + spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_is_bounded() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(200));
        assert!(waits[19] >= Duration::from_secs(15) && waits[19] <= Duration::from_secs(30));
        assert_ne!(Backoff::new(1).next_wait(), Backoff::new(2).next_wait());
    }

    #[test]
    fn trouble_that_passes_never_stops_a_table() {
        let passing = WriterError::Store(StoreError::Unavailable { operation: "get", key: "k".into(), detail: "503".into() });
        assert_eq!(passing.class(), ErrorClass::Retry);
        assert_eq!(StoppedTable::of("t", &passing), None);
        let denied = WriterError::Store(StoreError::Denied { operation: "get", key: "k".into(), detail: "403".into() });
        assert_eq!(denied.class(), ErrorClass::Misconfigured);
        assert_eq!(StoppedTable::of("t", &denied), None, "a permission can be given while the table waits");
        let bug = WriterError::Bug { what: "count rows", detail: "1 != 2".into() };
        assert_eq!(StoppedTable::of("t", &bug).map(|s| s.situation()), Some("bug"));
    }
}

//! What can go wrong, as situations, and what each means for the table.
use event_schema::{LatestError, SchemaError};
use kafka_io::KafkaIoError;
use lake_file::LakeFileError;
use lake_store::{StoreError, TableLogError};
use service_runtime::ErrorClass;
use std::time::Duration;
use table_log::Fenced;

pub use crate::stopped::{CutPartition, LostFile, LostRange, StoppedTable};

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
    /// The schema that the table starts with cannot be had.
    #[error(transparent)]
    Latest(#[from] LatestError),
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

impl From<LakeFileError> for WriterError {
    fn from(error: LakeFileError) -> Self {
        match error {
            LakeFileError::Encode { what, detail } => Self::Bug { what, detail },
            LakeFileError::File { .. } => Self::Bug { what: "read file", detail: error.to_string() },
        }
    }
}

impl WriterError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Kafka(KafkaIoError::Misconfigured { .. }) | Self::Store(StoreError::Denied { .. }) => ErrorClass::Misconfigured,
            Self::Log(TableLogError::Store(StoreError::Denied { .. })) => ErrorClass::Misconfigured,
            Self::Kafka(_) | Self::Store(_) | Self::Log(TableLogError::Store(_) | TableLogError::ClockSkew { .. }) => ErrorClass::Retry,
            Self::Latest(LatestError::Unavailable(_) | LatestError::Missing(_)) => ErrorClass::Retry,
            Self::Latest(LatestError::Unusable(_)) => ErrorClass::Misconfigured,
            Self::Fenced(_) => ErrorClass::Fenced,
            Self::Schema(_) | Self::Settings(_) => ErrorClass::Misconfigured,
            Self::Log(_) | Self::Bug { .. } => ErrorClass::Bug,
        }
    }
}

impl StoppedTable {
    /// The stop that an error means for `table`, if it means one: trouble that may pass means none.
    pub fn of(table: &str, error: &WriterError) -> Option<Self> {
        match (error, error.class()) {
            (WriterError::Log(TableLogError::LakeFileLost { table, seq, key }), _) => {
                let file = LostFile { seq: *seq, key: key.clone(), rows: None };
                Some(Self::LakeFileLost { table: table.clone(), files: vec![file] })
            }
            (WriterError::Schema(_) | WriterError::Settings(_) | WriterError::Latest(LatestError::Unusable(_)), _) => {
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

use super::CLOCK_SKEW_SECONDS;
use crate::StoreError;
use table_log::{ApplyError, Seq};

/// Errors of the client.
#[derive(Debug, thiserror::Error)]
pub enum TableLogError {
    /// Store trouble that outlasted the retries.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is broken.
    #[error("record {} of table `{table}` cannot be folded: {}", error.seq, error.reason)]
    Broken {
        /// Table.
        table: String,
        /// Which record and why.
        error: ApplyError,
    },
    /// An object is not a record, of a newer format or of an unknown kind.
    #[error("object `{key}` is not a readable record: {detail}")]
    Unreadable {
        /// The object.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A live file has neither object nor upload for ten minutes.
    #[error("file `{key}` of record {seq} of table `{table}` is lost: neither object nor upload exists")]
    LakeFileLost {
        /// Table.
        table: String,
        /// Record that names the file.
        seq: Seq,
        /// The file.
        key: String,
    },
    /// This machine's clock and the store's differ too much.
    #[error("this machine's clock and the store's differ by {offset_seconds:.0} s, more than {CLOCK_SKEW_SECONDS:.0} s")]
    ClockSkew {
        /// How far the store's clock is ahead (negative: behind).
        offset_seconds: f64,
    },
    /// The client was opened for reading only.
    #[error("table `{table}` was opened for reading only")]
    ReadOnly {
        /// Table.
        table: String,
    },
}

//! What can go wrong, as situations.
use lake_file::LakeFileError;
use lake_store::{StoreError, TableLogError};
use service_runtime::ErrorClass;
use table_log::Fenced;

/// An error of the window-sealer. None is the end of the process: the item that it belongs to is tried again later.
#[derive(Debug, thiserror::Error)]
pub enum SealerError {
    /// The table log.
    #[error(transparent)]
    Log(#[from] TableLogError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the lake.
    #[error(transparent)]
    File(#[from] LakeFileError),
    /// A query.
    #[error(transparent)]
    Query(#[from] lake_query::LakeQueryError),
    /// Rows could not be written to `spill_dir` or read back.
    #[error("cannot {what} in `spill_dir` `{folder}`: {detail}")]
    Spill {
        /// Verb and object.
        what: &'static str,
        /// The folder.
        folder: String,
        /// What the system said.
        detail: String,
    },
    /// Settings that do not fit the table.
    #[error("{0}")]
    Settings(String),
    /// Somebody else was faster: the work is no longer wanted.
    #[error("overtaken: {0}")]
    Overtaken(String),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
    /// A proposal broke a rule of the log: a defect.
    #[error("a proposal broke a rule of the log: {0}")]
    Refused(Fenced),
    /// A count did not come out, or something that cannot fail failed: a defect.
    #[error("{what}: {detail}")]
    Bug {
        /// Verb and object.
        what: &'static str,
        /// Values.
        detail: String,
    },
}

impl SealerError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Store(StoreError::Denied { .. }) | Self::Log(TableLogError::Store(StoreError::Denied { .. })) => {
                ErrorClass::Misconfigured
            }
            Self::Store(_) | Self::Log(TableLogError::Store(_) | TableLogError::ClockSkew { .. }) => ErrorClass::Retry,
            Self::File(LakeFileError::File { .. }) | Self::Spill { .. } => ErrorClass::Retry,
            Self::Overtaken(_) | Self::Stopping => ErrorClass::Fenced,
            Self::Settings(_) | Self::Query(_) => ErrorClass::Misconfigured,
            Self::Log(_) | Self::File(_) | Self::Refused(_) | Self::Bug { .. } => ErrorClass::Bug,
        }
    }

    pub(crate) fn bug(what: &'static str, detail: impl ToString) -> Self {
        Self::Bug { what, detail: detail.to_string() }
    }
}

/// Arrow's errors are those of rows that do not fit their schema: schemas are checked before.
impl From<arrow::error::ArrowError> for SealerError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::bug("compute on rows", error)
    }
}

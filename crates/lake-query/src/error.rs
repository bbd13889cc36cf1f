use datafusion::common::DataFusionError;
use datafusion::object_store;
use std::collections::HashMap;
use std::error::Error;

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
pub enum LakeQueryError {
    /// The statement is wrong, not allowed, or failed; the text says where in the statement, if that is known.
    #[error("query failed: {0}")]
    Query(String),
    /// The table log cannot be read.
    #[error(transparent)]
    Log(#[from] lake_store::TableLogError),
    /// A file that the log says is published is not there.
    #[error("file `{key}` of table `{table}` is missing although record {seq} is published; run `tributary verify {table}`")]
    FileMissing {
        /// Table.
        table: String,
        /// Record that names the file.
        seq: u64,
        /// Its key.
        key: String,
    },
    /// A file is not the Parquet that the log describes.
    #[error("cannot read file `{key}`: {detail}")]
    File {
        /// Its key.
        key: String,
        /// What is wrong.
        detail: String,
    },
    /// The schema in the log cannot be used by this program.
    #[error("schema of table `{table}` is not usable: {detail}")]
    Schema {
        /// Table.
        table: String,
        /// What is wrong.
        detail: String,
    },
}

/// Which table and record a key belongs to, for messages.
pub(crate) type FileOwners = HashMap<String, (String, u64)>;

/// Turns an error of DataFusion into ours: a missing object becomes [`LakeQueryError::FileMissing`], a planning error names its place.
pub(crate) fn from_datafusion(error: &DataFusionError, owners: &FileOwners) -> LakeQueryError {
    if let Some(key) = missing_object(error)
        && let Some((table, seq)) = owners.get(&key)
    {
        return LakeQueryError::FileMissing { table: table.clone(), seq: *seq, key };
    }
    let place = error.diagnostic().and_then(|d| d.span).map(|s| format!(" at Line: {}, Column: {}", s.start.line, s.start.column));
    let mut text = error.strip_backtrace();
    if let Some(place) = place
        && !text.contains("Line: ")
    {
        text.push_str(&place);
    }
    LakeQueryError::Query(text)
}

/// The key of the object that was not found, if that is the root of the error.
fn missing_object(error: &DataFusionError) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(object_store::Error::NotFound { path, .. }) = error.downcast_ref::<object_store::Error>() {
            return Some(path.clone());
        }
        if let Some(DataFusionError::ObjectStore(inner)) = error.downcast_ref::<DataFusionError>()
            && let object_store::Error::NotFound { path, .. } = inner.as_ref()
        {
            return Some(path.clone());
        }
        if let Some(DataFusionError::Shared(inner)) = error.downcast_ref::<DataFusionError>() {
            cause = Some(inner.as_ref());
            continue;
        }
        cause = error.source();
    }
    None
}

use crate::transform::SqlFault;
use datafusion::common::DataFusionError;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// A single file cannot be read.
    #[error(transparent)]
    LakeFile(#[from] lake_file::LakeFileError),
    /// The schema in the log cannot be used by this program.
    #[error("schema of table `{table}` is not usable: {detail}")]
    Schema {
        /// Table.
        table: String,
        /// What is wrong.
        detail: String,
    },
    /// A transform's SQL is wrong.
    #[error("SQL of transform `{name}`: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Transform {
        /// The transform.
        name: String,
        /// At least one.
        faults: Vec<SqlFault>,
    },
    /// A transform's result no longer fits its derived table.
    #[error(
        "the result of transform `{table}` does not fit its table: {differences}. Columns of the table: {current}. Columns of the result: {result}. \
         A table may get columns but neither lose them nor change their types: give the result back its columns, or make a table of another name"
    )]
    Incompatible {
        /// The derived table.
        table: String,
        /// What differs.
        differences: String,
        /// Columns in the log.
        current: String,
        /// Columns of the result.
        result: String,
    },
    /// A reference table cannot be read.
    #[error("cannot read reference table `{name}` from `{place}`: {detail}")]
    Reference {
        /// Its name in the SQL.
        name: String,
        /// Where it is.
        place: String,
        /// What is wrong.
        detail: String,
    },
}

/// Keys that the store was asked for in vain. DataFusion passes errors of the store on as text only, so they are noted where they arise.
#[derive(Debug, Default)]
pub(crate) struct MissingObjects(Mutex<BTreeSet<String>>);

impl MissingObjects {
    /// The store has no such object.
    pub(crate) fn note(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
    }

    /// The missing object that an error is about.
    fn named_in(&self, text: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|key| text.contains(key.as_str())).cloned()
    }
}

/// What is needed to explain an error: which table and record a key belongs to, and what is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorContext {
    pub(crate) owners: Arc<HashMap<String, (String, u64)>>,
    pub(crate) missing: Arc<MissingObjects>,
}

impl ErrorContext {
    /// Turns an error of DataFusion into ours: a missing object becomes [`LakeQueryError::FileMissing`], a planning error names its place.
    pub(crate) fn explain(&self, error: &DataFusionError) -> LakeQueryError {
        let mut text = error.strip_backtrace();
        if let Some(key) = self.missing.named_in(&text)
            && let Some((table, seq)) = self.owners.get(&key)
        {
            return LakeQueryError::FileMissing { table: table.clone(), seq: *seq, key };
        }
        if let Some(span) = error.diagnostic().and_then(|d| d.span)
            && !text.contains("Line: ")
        {
            text.push_str(&format!(" at Line: {}, Column: {}", span.start.line, span.start.column));
        }
        LakeQueryError::Query(text)
    }
}

//! The only user of DataFusion: a table snapshot (log fold) as a SQL table. STUB: API to be kept, split into files.
use arrow::record_batch::RecordBatch;
use lake_store::{LakeStore, TableLog};
use std::sync::Arc;
/// Errors.
#[derive(Debug, thiserror::Error)]
pub enum LakeQueryError {
    #[error("query failed: {0}")] Query(String),
    #[error(transparent)] Log(#[from] lake_store::TableLogError),
    /// A file that the log says is published is not there.
    #[error("file `{key}` of table `{table}` is missing although record {seq} is published; run `tributary verify {table}`")]
    FileMissing { table: String, seq: u64, key: String },
}
/// A session over the lake's tables: each table and its `<table>_quarantine`, as of its opening.
#[derive(Debug)]
pub struct LakeSession {}
impl LakeSession {
    /// Opens all given tables (read-only clients).
    pub async fn open(store: Arc<dyn LakeStore>, tables: Vec<TableLog>) -> Result<Self, LakeQueryError> { let _ = (store, tables); todo!() }
    /// Runs one statement (SELECT/EXPLAIN/SHOW/DESCRIBE only) and collects, at most `max_rows` rows when given.
    pub async fn sql(&self, sql: &str, max_rows: Option<usize>) -> Result<Vec<RecordBatch>, LakeQueryError> { let _ = (sql, max_rows); todo!() }
}

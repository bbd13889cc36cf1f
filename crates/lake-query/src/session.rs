//! A session: statements over the snapshots of some tables.
use crate::error::ErrorContext;
use crate::object::LakeObjects;
use crate::provider::SnapshotProvider;
use crate::{LakeQueryError, snapshot};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::{Stream, StreamExt};
use lake_store::{LakeStore, TableLog};
use std::path::PathBuf;
use std::sync::Arc;

/// The lake under a name of its own in DataFusion's registry of stores.
pub(crate) const LAKE_URL: &str = "lake://root/";

/// Bounds of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Memory of sorts, joins and aggregations; over it they spill to the system's temporary folder.
    pub memory_bytes: usize,
    /// Threads of a statement; `None`: one per core.
    pub threads: Option<usize>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { memory_bytes: 512 * 1024 * 1024, threads: None }
    }
}

/// What a session sees of one SQL table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// Name in SQL.
    pub name: String,
    /// Files in the snapshot.
    pub files: usize,
    /// Rows in these files, by the log.
    pub rows: u64,
    /// Files of committed records that nobody published yet: not part of the snapshot.
    pub left_out: usize,
}

/// A session over the lake's tables, as of its opening: each table, and beside one made of Kafka's records its `<table>_quarantine`.
pub struct LakeSession {
    context: SessionContext,
    errors: ErrorContext,
    summaries: Vec<SnapshotSummary>,
}

impl std::fmt::Debug for LakeSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeSession").field("tables", &self.summaries).finish_non_exhaustive()
    }
}

impl LakeSession {
    /// Opens all given tables (read-only clients) with default bounds.
    ///
    /// # Errors
    /// A log that cannot be read, or a schema that this program cannot use.
    pub async fn open(store: Arc<dyn LakeStore>, tables: Vec<TableLog>) -> Result<Self, LakeQueryError> {
        Self::open_with(store, tables, SessionOptions::default()).await
    }

    /// Opens all given tables. Statements see the files that are live in the logs' states now.
    ///
    /// # Errors
    /// A log that cannot be read, or a schema that this program cannot use.
    pub async fn open_with(store: Arc<dyn LakeStore>, tables: Vec<TableLog>, options: SessionOptions) -> Result<Self, LakeQueryError> {
        let errors = ErrorContext::default();
        let objects = LakeObjects::new(Arc::clone(&store), Arc::clone(&errors.missing));
        let context_options = ContextOptions {
            objects: Some(objects),
            memory_bytes: options.memory_bytes,
            threads: options.threads,
            spill_dir: None,
            information_schema: true,
        };
        let context = new_context(context_options).map_err(|e| errors.explain(&e))?;
        let mut session = Self { context, errors, summaries: Vec::new() };
        for log in &tables {
            for table in snapshot::resolve(&store, log).await? {
                session.register(log.table().0.as_str(), table)?;
            }
        }
        Ok(session)
    }

    fn register(&mut self, owner: &str, table: snapshot::SnapshotTable) -> Result<(), LakeQueryError> {
        let owners = Arc::make_mut(&mut self.errors.owners);
        owners.extend(table.files.iter().map(|f| (f.key.clone(), (owner.to_owned(), f.seq))));
        self.summaries.push(SnapshotSummary {
            name: table.name.clone(),
            files: table.files.len(),
            rows: table.files.iter().map(|f| f.rows).sum(),
            left_out: table.left_out,
        });
        let name = datafusion::common::TableReference::bare(table.name.clone());
        let registered = self.context.register_table(name, Arc::new(SnapshotProvider::new(Arc::new(table))));
        registered.map(|_| ()).map_err(|e| self.error(&e))
    }

    /// What the session sees of each SQL table.
    pub fn tables(&self) -> &[SnapshotSummary] {
        &self.summaries
    }

    /// Runs one statement (SELECT, EXPLAIN, SHOW, DESCRIBE, VALUES) and collects, at most `max_rows` rows when given.
    ///
    /// # Errors
    /// A wrong or forbidden statement (with its place), or a file that is missing.
    pub async fn sql(&self, sql: &str, max_rows: Option<usize>) -> Result<Vec<RecordBatch>, LakeQueryError> {
        let (schema, mut rows) = self.stream(sql, max_rows).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch?);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(batches)
    }

    /// Runs one statement and hands its rows out as they come.
    ///
    /// # Errors
    /// As [`LakeSession::sql`].
    pub async fn stream(
        &self,
        sql: &str,
        max_rows: Option<usize>,
    ) -> Result<(SchemaRef, impl Stream<Item = Result<RecordBatch, LakeQueryError>> + Send + Unpin), LakeQueryError> {
        let frame = self.plan(sql, max_rows).await.map_err(|e| self.error(&e))?;
        let rows = frame.execute_stream().await.map_err(|e| self.error(&e))?;
        let schema = rows.schema();
        let errors = self.errors.clone();
        Ok((schema, rows.map(move |batch| batch.map_err(|e| errors.explain(&e)))))
    }

    async fn plan(&self, sql: &str, max_rows: Option<usize>) -> Result<DataFrame, DataFusionError> {
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.context.sql_with_options(sql, options).await?;
        match max_rows {
            Some(rows) if is_query(&frame) => frame.limit(0, Some(rows)),
            _ => Ok(frame),
        }
    }

    fn error(&self, error: &DataFusionError) -> LakeQueryError {
        self.errors.explain(error)
    }
}

/// A limit on top of EXPLAIN would be explained away, and DESCRIBE takes none.
fn is_query(frame: &DataFrame) -> bool {
    use datafusion::logical_expr::LogicalPlan;
    !matches!(frame.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_))
}

/// How a context is made.
#[derive(Debug)]
pub(crate) struct ContextOptions {
    /// The lake's objects; `None`: nothing is read from it.
    pub(crate) objects: Option<LakeObjects>,
    memory_bytes: usize,
    threads: Option<usize>,
    spill_dir: Option<PathBuf>,
    information_schema: bool,
}

impl ContextOptions {
    /// For transforms: one thread, so that the same rows give the same result in the same order.
    pub(crate) fn transform(memory_bytes: usize, spill_dir: Option<PathBuf>) -> Self {
        Self { objects: None, memory_bytes, threads: Some(1), spill_dir, information_schema: false }
    }
}

pub(crate) fn new_context(options: ContextOptions) -> Result<SessionContext, DataFusionError> {
    let mut config =
        SessionConfig::new().with_information_schema(options.information_schema).with_default_catalog_and_schema("lake", "public");
    if let Some(threads) = options.threads {
        config = config.with_target_partitions(threads.max(1));
    }
    config.options_mut().sql_parser.collect_spans = true;
    let mut runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)));
    if let Some(folder) = options.spill_dir {
        runtime = runtime.with_temp_file_path(folder);
    }
    let runtime = runtime.build_arc()?;
    if let Some(objects) = options.objects {
        let url = datafusion::execution::object_store::ObjectStoreUrl::parse(LAKE_URL)?;
        runtime.register_object_store(url.as_ref(), Arc::new(objects));
    }
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

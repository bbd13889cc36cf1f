//! A snapshot as a DataFusion table.
use crate::prune::LogStatistics;
use crate::session::LAKE_URL;
use crate::snapshot::SnapshotTable;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::path::Path;
use datafusion::physical_expr::utils::conjunction as physical_conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use std::sync::Arc;

/// Bytes read at once from a file's end: holds the footer of most files.
const FOOTER_HINT_BYTES: usize = 64 * 1024;

/// One table of a session.
#[derive(Debug)]
pub(crate) struct SnapshotProvider {
    table: Arc<SnapshotTable>,
}

impl SnapshotProvider {
    pub(crate) fn new(table: Arc<SnapshotTable>) -> Self {
        Self { table }
    }

    /// Indexes of the files that may hold rows for the filters.
    fn kept_files(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let all = || (0..self.table.files.len()).collect();
        let schema = DFSchema::try_from(Arc::clone(self.table.schema.table_schema()))?;
        let filters: Vec<_> = filters.iter().map(|f| state.create_physical_expr(f.clone(), &schema)).collect::<Result<_>>()?;
        if filters.is_empty() {
            return Ok(all());
        }
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(self.table.schema.table_schema()));
        let Some(predicate) = builder.build(physical_conjunction(filters)) else {
            return Ok(all());
        };
        let kept = predicate.prune(&LogStatistics { table: &self.table })?;
        Ok(kept.iter().enumerate().filter(|(_, keep)| **keep).map(|(index, _)| index).collect())
    }

    fn partitioned_file(&self, index: usize) -> Result<PartitionedFile> {
        let file = &self.table.files[index];
        let mut partitioned = PartitionedFile::new(String::new(), file.bytes);
        partitioned.object_meta.location =
            Path::parse(&file.key).map_err(|e| datafusion::common::DataFusionError::External(Box::new(e)))?;
        partitioned.partition_values = file.partition_values.iter().map(|v| ScalarValue::Utf8(v.clone())).collect();
        Ok(partitioned)
    }
}

/// Spreads files over groups so that each group has about the same number of bytes; the largest first.
fn balanced(mut files: Vec<PartitionedFile>, groups: usize) -> Vec<FileGroup> {
    let groups = groups.clamp(1, files.len().max(1));
    files.sort_by_key(|f| std::cmp::Reverse(f.object_meta.size));
    let mut spread: Vec<(u64, Vec<PartitionedFile>)> = (0..groups).map(|_| (0, Vec::new())).collect();
    for file in files {
        let least = spread.iter_mut().min_by_key(|(bytes, _)| *bytes).expect("there is at least one group");
        least.0 += file.object_meta.size;
        least.1.push(file);
    }
    spread.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

#[async_trait]
impl TableProvider for SnapshotProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = self.kept_files(state, filters)?;
        if kept.is_empty() {
            let schema = match projection {
                Some(indices) => Arc::new(self.schema().project(indices)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let files = kept.into_iter().map(|index| self.partitioned_file(index)).collect::<Result<Vec<_>>>()?;
        let mut source = ParquetSource::new(self.table.schema.clone())
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_metadata_size_hint(FOOTER_HINT_BYTES);
        if let Some(filter) = conjunction(filters.to_vec()) {
            let schema = DFSchema::try_from(Arc::clone(self.table.schema.table_schema()))?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(LAKE_URL)?, Arc::new(source))
            .with_file_groups(balanced(files, state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

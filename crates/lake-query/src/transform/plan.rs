//! Plans a transform's SQL: the statement is one SELECT over the source and the references, without anything that changes from run to run.
use super::source::SourceTable;
use super::{ResultSchema, SqlFault, Transform};
use crate::LakeQueryError;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::prelude::{SQLOptions, SessionContext};
use std::sync::Arc;
use windowing::Time;

/// A planned SELECT.
pub(super) struct Planned {
    pub(super) frame: DataFrame,
    pub(super) result: ResultSchema,
}

/// Plans the SQL against the source's columns, without reading anything. Answers the columns of the result.
///
/// # Errors
/// [`LakeQueryError::Transform`] with all faults that can be told, each with its place in the SQL.
pub async fn plan(transform: &Transform, source: &SourceTable) -> Result<ResultSchema, LakeQueryError> {
    let context = crate::session::new_context(crate::session::ContextOptions::transform(64 << 20, None)).map_err(|e| query(&e))?;
    let none = source.files(&[]);
    Ok(plan_in(&context, transform, (source, none), None).await?.result)
}

/// Plans over the given rows, for one derived window.
pub(super) async fn plan_in(
    context: &SessionContext,
    transform: &Transform,
    (source, rows): (&SourceTable, Arc<dyn TableProvider>),
    window_start: Option<Time>,
) -> Result<Planned, LakeQueryError> {
    let fault = |error: &DataFusionError| one(SqlFault::of(error, &transform.sql), transform);
    source.register(context, rows, transform, window_start).map_err(|e| query(&e))?;
    for reference in &transform.references {
        let table = MemTable::try_new(Arc::clone(&reference.schema), vec![reference.rows.clone()]).map_err(|e| query(&e))?;
        context.register_table(TableReference::bare(reference.name.clone()), Arc::new(table)).map_err(|e| query(&e))?;
    }
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(&transform.sql, options).await.map_err(|e| fault(&e))?;
    check_plan(&frame, transform)?;
    let planned = physical_schema(&frame).await.map_err(|e| fault(&e))?;
    let result = ResultSchema::new(transform, &planned).map_err(|faults| all(faults, transform))?;
    Ok(Planned { frame, result })
}

/// The types that rows will have: the analyzer decides them, not the parser.
async fn physical_schema(frame: &DataFrame) -> Result<SchemaRef, DataFusionError> {
    Ok(frame.clone().create_physical_plan().await?.schema())
}

/// One SELECT, of functions that give the same result for the same rows.
fn check_plan(frame: &DataFrame, transform: &Transform) -> Result<(), LakeQueryError> {
    let plan = frame.logical_plan();
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) | LogicalPlan::Statement(_)) {
        return Err(one(SqlFault::whole("the statement is no SELECT", "write one SELECT"), transform));
    }
    let mut faults = Vec::new();
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                if let Expr::ScalarFunction(call) = inner
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    let name = call.func.name();
                    let what =
                        format!("`{name}` gives another result in each run; results follow from the source and the references alone");
                    let fault = SqlFault::at_word(&transform.sql, name, what, "use `window_start` or `window_end` for a time");
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    visited.map_err(|e| query(&e))?;
    if faults.is_empty() { Ok(()) } else { Err(all(faults, transform)) }
}

fn one(fault: SqlFault, transform: &Transform) -> LakeQueryError {
    all(vec![fault], transform)
}

fn all(faults: Vec<SqlFault>, transform: &Transform) -> LakeQueryError {
    LakeQueryError::Transform { name: transform.name.clone(), faults }
}

fn query(error: &DataFusionError) -> LakeQueryError {
    LakeQueryError::Query(error.strip_backtrace())
}

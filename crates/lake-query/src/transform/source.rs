//! The source of a transform: its columns and files in the SQL, once for each grouping window that holds a row.
use super::{EVENT_TIME_SHIFT, Transform, WINDOW_END, WINDOW_START};
use crate::LakeQueryError;
use crate::provider::SnapshotProvider;
use crate::snapshot::{self, SnapshotFile, SnapshotTable};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use std::sync::Arc;
use table_log::key::Layout;
use table_log::record::{FileEntry, TableBody};
use table_log::{Seq, TableName};
use windowing::{Micros, Time};

/// Name of the column with the number of a hop, inside the plan.
const HOP: &str = "__hop";

/// A file of a named revision.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Record that names it.
    pub seq: Seq,
    /// What the record says of it.
    pub entry: FileEntry,
}

/// The table that a transform reads, as its log has it.
#[derive(Clone, Debug)]
pub struct SourceTable {
    name: String,
    layout: Layout,
    schema: datafusion::datasource::table_schema::TableSchema,
    event_time: String,
    /// Added to the event-time column it is the event time.
    shift: Micros,
}

impl SourceTable {
    /// From the `table` record that stands, or will stand, in the source's log.
    ///
    /// # Errors
    /// The schema cannot be used by this program.
    pub fn new(name: &str, table: &TableBody) -> Result<Self, LakeQueryError> {
        let settings = &table.settings;
        let layout = Layout { table: TableName(name.to_owned()), window: settings.window, partition_by: settings.partition_by.clone() };
        Ok(Self {
            name: name.to_owned(),
            schema: snapshot::scan_schema(snapshot::file_schema(name, table)?, &layout),
            layout,
            event_time: snapshot::event_time_column(table),
            shift: if snapshot::is_derived(table) { EVENT_TIME_SHIFT } else { Micros::ZERO },
        })
    }

    /// Length of its windows.
    pub fn window(&self) -> windowing::WindowSize {
        self.layout.window
    }

    /// All its columns: those of its files, then its partition columns, which are text.
    pub fn columns(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    /// Columns that rows of a test may have: those of the files and the columns of `partition_by`.
    pub fn test_columns(&self) -> SchemaRef {
        let is_time = |name: &str| !self.layout.partition_by.iter().any(|c| c == name) && self.schema.file_schema().index_of(name).is_err();
        let fields: Vec<_> = self.columns().fields().iter().filter(|f| !is_time(f.name())).cloned().collect();
        Arc::new(arrow::datatypes::Schema::new(fields))
    }

    /// Column with the event time, and what is added to it.
    pub fn event_time(&self) -> (&str, Micros) {
        (&self.event_time, self.shift)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The files as a table of DataFusion.
    pub(super) fn files(&self, files: &[InputFile]) -> Arc<dyn TableProvider> {
        let files: Vec<SnapshotFile> =
            files.iter().map(|file| snapshot::snapshot_file(file.seq.0, file.entry.clone(), &self.layout)).collect();
        let table = SnapshotTable {
            name: self.name.clone(),
            schema: self.schema.clone(),
            event_time: Some(self.event_time.clone()),
            event_time_shift: self.shift,
            files,
            left_out: 0,
        };
        Arc::new(SnapshotProvider::new(Arc::new(table)))
    }

    /// Registers the rows, each once per grouping window of the derived window that holds it. `None`: any derived window (to plan only).
    pub(super) fn register(
        &self,
        context: &SessionContext,
        rows: Arc<dyn TableProvider>,
        transform: &Transform,
        window_start: Option<Time>,
    ) -> Result<()> {
        let expanded = self.expand(context.read_table(rows)?, transform, window_start.unwrap_or_default())?;
        let frame = DataFrame::new(context.state(), expanded);
        context.register_table(datafusion::common::TableReference::bare(self.name.clone()), frame.into_view())?;
        Ok(())
    }

    fn expand(&self, rows: DataFrame, transform: &Transform, window_start: Time) -> Result<datafusion::logical_expr::LogicalPlan> {
        let grouping = transform.grouping;
        let (from, to) = grouping.reach(window_start, transform.window);
        let fields = rows.schema().as_arrow().clone();
        let kind = fields.field_with_name(&self.event_time)?.data_type().clone();
        // As the column has it: event times are the column's values + shift.
        let moment = |time: Time| Ok::<_, datafusion::common::DataFusionError>(lit(micros(time - self.shift).cast_to(&kind)?));
        let event_time = || Expr::Column(Column::from_name(self.event_time.as_str()));
        let in_reach = event_time().gt_eq(moment(from)?).and(event_time().lt(moment(to)?));
        let mut plan = LogicalPlanBuilder::from(rows.into_unoptimized_plan()).filter(in_reach)?;
        let every = grouping.every().0;
        let at = cast(event_time(), DataType::Int64) + lit(self.shift.0);
        let past = (at.clone() % lit(every) + lit(every)) % lit(every);
        let mut end = at - past + lit(every);
        if grouping.per_row() > 1 {
            let hops = (0..grouping.per_row()).map(|hop| vec![lit(hop * every)]).collect();
            let hops = LogicalPlanBuilder::values(hops)?.project([Expr::Column(Column::from_name("column1")).alias(HOP)])?;
            plan = plan.cross_join(hops.build()?)?;
            end = end + Expr::Column(Column::from_name(HOP));
        }
        let own = fields.fields().iter().map(|field| {
            let column = Expr::Column(Column::from_name(field.name()));
            // A derived table's own windows make room for those of this transform.
            match field.name().as_str() {
                WINDOW_START | WINDOW_END => column.alias(format!("source_{}", field.name())),
                name => column.alias(name),
            }
        });
        let own: Vec<Expr> = own.collect();
        let start = cast(end.clone() - lit(grouping.size().0), instant()).alias(WINDOW_START);
        let plan = plan.project(own.into_iter().chain([start, cast(end, instant()).alias(WINDOW_END)]))?;
        let window_end = || Expr::Column(Column::from_name(WINDOW_END));
        let last = transform.window.end_of(window_start);
        plan.filter(window_end().gt(lit(micros(window_start))).and(window_end().lt_eq(lit(micros(last)))))?.build()
    }
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn micros(time: Time) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into()))
}

//! What the log says of a table, prepared for the hot path. Rebuilt when a newer `table` record is folded.
use crate::error::WriterError;
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use event_schema::{TableSchema, identity_fields};
use std::{sync::Arc, time::Duration};
use table_log::{TableName, TableState, key::Layout, record::TableBody};
use windowing::{Micros, PartitionWatermark, Time, Watermark, WindowSize};

/// Where event times come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTimeSource {
    /// A data column (index in the table's schema) of microseconds.
    Column(usize),
    /// Kafka's timestamp.
    KafkaTimestamp,
}

/// The rules of a table in the state that is folded now.
#[derive(Debug)]
pub struct TableRules {
    /// The record behind all this.
    pub body: TableBody,
    /// Builds keys.
    pub layout: Layout,
    /// Reader schema.
    pub schema: Arc<TableSchema>,
    /// Where event times come from.
    pub event_time: EventTimeSource,
    /// Indexes of the partition columns in the table's schema, in order.
    pub partition_columns: Vec<usize>,
    /// Indexes of the columns that stay in the files.
    pub file_columns: Vec<usize>,
    /// Columns of a data file: `file_columns`, then the identity columns.
    pub file_schema: SchemaRef,
}

impl TableRules {
    /// Reads the rules from a state.
    ///
    /// # Errors
    /// The state has no `table` record, its schema cannot be used by this program, or a column that the settings name does not fit.
    pub fn from_state(table: &TableName, state: &TableState) -> Result<Self, WriterError> {
        let body = state.table.clone().ok_or_else(|| WriterError::Settings("log has no `table` record".into()))?;
        let layout = state.layout(table).ok_or_else(|| WriterError::Settings("log has no `table` record".into()))?;
        let schema = Arc::new(TableSchema::parse(&body.avro_schema)?);
        Self::new(body, layout, schema)
    }

    /// Checks the settings against the schema.
    ///
    /// # Errors
    /// A column that the settings name is missing or of a type that does not fit.
    pub fn new(body: TableBody, layout: Layout, schema: Arc<TableSchema>) -> Result<Self, WriterError> {
        let arrow = schema.arrow().clone();
        let event_time = match &body.settings.event_time {
            None => EventTimeSource::KafkaTimestamp,
            Some(name) => EventTimeSource::Column(time_column(&arrow, name)?),
        };
        let partition_columns =
            body.settings.partition_by.iter().map(|name| partition_column(&arrow, name)).collect::<Result<Vec<_>, _>>()?;
        let file_columns: Vec<usize> = (0..arrow.fields().len()).filter(|index| !partition_columns.contains(index)).collect();
        let fields = file_columns.iter().map(|&index| arrow.field(index).clone()).chain(identity_fields());
        let file_schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { body, layout, schema, event_time, partition_columns, file_columns, file_schema })
    }

    /// Window size.
    pub fn window(&self) -> WindowSize {
        self.body.settings.window
    }

    /// The moment from which a row of the window is late: its end plus the allowed lateness; saturates.
    pub fn late_from(&self, window_start: Time) -> Time {
        let end = self.window().end_of(window_start);
        end.checked_add(self.body.settings.allowed_lateness).unwrap_or(Time::MAX)
    }

    /// A watermark that goes on from the log's.
    pub fn watermark(&self, current: Watermark) -> PartitionWatermark {
        PartitionWatermark::new(self.body.settings.out_of_orderness, self.body.settings.idle_timeout, current)
    }

    /// After this without a record a kafka_partition reports itself idle.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.body.settings.idle_timeout.map(|Micros(micros)| Duration::from_micros(micros.max(0) as u64))
    }
}

fn time_column(schema: &Schema, name: &str) -> Result<usize, WriterError> {
    let index = schema.index_of(name).map_err(|_| WriterError::Settings(format!("event-time column `{name}` is not in the schema")))?;
    match schema.field(index).data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(index),
        other => Err(WriterError::Settings(format!("event-time column `{name}` is `{other}`; it must be a timestamp"))),
    }
}

fn partition_column(schema: &Schema, name: &str) -> Result<usize, WriterError> {
    let index = schema.index_of(name).map_err(|_| WriterError::Settings(format!("partition column `{name}` is not in the schema")))?;
    match schema.field(index).data_type() {
        DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Boolean => Ok(index),
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => Ok(index),
        other => Err(WriterError::Settings(format!(
            "partition column `{name}` is `{other}`; it must be a string, enum, int, long, date or boolean"
        ))),
    }
}

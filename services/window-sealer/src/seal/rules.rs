//! What the log says of a table, prepared for sealing: columns by their places in a file.
use crate::error::SealerError;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::row::{RowConverter, SortField};
use table_log::key::Layout;
use table_log::{LakePartition, Seq, TableName, TableState};

/// Columns by which the rows of a lake partition are told apart and ordered.
#[derive(Clone, Debug)]
pub struct SealRules {
    /// Table.
    pub table: TableName,
    /// Builds keys.
    pub layout: Layout,
    /// Columns of a file.
    pub schema: SchemaRef,
    /// Schema version that they come from.
    pub schema_version: u32,
    /// Newest seq of the state that these rules are read from.
    pub staged_on: Seq,
    /// The event time.
    pub event_time: usize,
    /// `_kafka_timestamp`, `_kafka_topic`, `_kafka_partition`, `_kafka_offset`: the order in which the first of equal rows is found.
    pub identity: [usize; 4],
    /// Columns that with the event time make two rows duplicates; `None`: no row is one.
    pub dedupe: Option<Vec<usize>>,
    /// Sort order of the files.
    pub sort: Vec<usize>,
}

impl SealRules {
    /// Reads the rules from a state.
    ///
    /// # Errors
    /// The schema cannot be used by this program, or a column that the settings name does not fit.
    pub fn from_state(table: &TableName, state: &TableState) -> Result<Self, SealerError> {
        let nothing = || SealerError::Settings(format!("the log of table `{table}` has no `table` record"));
        let body = state.table.as_ref().ok_or_else(nothing)?;
        let layout = state.layout(table).ok_or_else(nothing)?;
        let staged_on = state.newest_seq().ok_or_else(nothing)?;
        let schema = lake_query::file_schema(&table.0, body)?;
        let find = |name: &str| {
            let found = schema.index_of(&name.to_lowercase());
            found.map_err(|_| SealerError::Settings(format!("column `{name}` of table `{table}` is not in its schema")))
        };
        let event_time = find(body.settings.event_time.as_deref().unwrap_or("_kafka_timestamp"))?;
        if !matches!(schema.field(event_time).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
            return Err(SealerError::Settings(format!("event-time column of table `{table}` is no timestamp")));
        }
        let in_file = |names: &[String]| -> Result<Vec<usize>, SealerError> {
            names.iter().filter(|name| !body.settings.partition_by.contains(name)).map(|name| find(name)).collect()
        };
        let dedupe = if body.settings.dedupe_by.is_empty() { None } else { Some(in_file(&body.settings.dedupe_by)?) };
        let sort = in_file(&body.settings.sort_by)?;
        let identity = [find("_kafka_timestamp")?, find("_kafka_topic")?, find("_kafka_partition")?, find("_kafka_offset")?];
        for &column in dedupe.iter().flatten().chain(&sort) {
            let field = schema.field(column);
            if !RowConverter::supports_fields(&[SortField::new(field.data_type().clone())]) {
                let what = format!(
                    "column `{}` of table `{table}` has no order, so it can be neither in `dedupe_by` nor in `sort_by`",
                    field.name()
                );
                return Err(SealerError::Settings(what));
            }
        }
        Ok(Self {
            table: table.clone(),
            layout,
            schema,
            schema_version: body.schema_version,
            staged_on,
            event_time,
            identity,
            dedupe,
            sort,
        })
    }

    /// The rules for one lake partition: a partition column is the same in all its rows, and where it is null there are no duplicates.
    #[must_use]
    pub fn in_partition(&self, lake_partition: &LakePartition, dedupe_by: &[String]) -> Self {
        let mut columns = self.layout.partition_by.iter().zip(&lake_partition.values);
        let null = columns.any(|(column, value)| value.is_none() && dedupe_by.contains(column));
        Self { dedupe: self.dedupe.clone().filter(|_| !null), ..self.clone() }
    }

    /// The identity columns in the order of a file: topic, kafka_partition, offset, timestamp.
    pub fn identity_columns(&self) -> [usize; 4] {
        let [timestamp, topic, kafka_partition, offset] = self.identity;
        [topic, kafka_partition, offset, timestamp]
    }

    /// The whole order of the rows but for identity, which decides the rest: `sort_by`, event time, the other columns of `dedupe_by`.
    pub fn order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let dedupe = self.dedupe.as_deref().unwrap_or_default();
        for &column in self.sort.iter().chain([&self.event_time]).chain(dedupe) {
            if !order.contains(&column) {
                order.push(column);
            }
        }
        order
    }

    /// Whether duplicates stand side by side in [`SealRules::order`]: no column of it differs between them.
    pub fn order_joins_duplicates(&self) -> bool {
        self.sort.iter().all(|column| self.tells_duplicates(*column))
    }

    /// Columns by whose ranges rows are divided into slices: duplicates share their values, and as far as possible the ranges are those of the
    /// order. Without `dedupe_by` no two rows need to stay together.
    pub fn slice_key(&self) -> Vec<usize> {
        let Some(dedupe) = &self.dedupe else {
            return self.order().into_iter().chain(self.identity).collect();
        };
        let mut key: Vec<usize> = self.sort.iter().copied().take_while(|column| self.tells_duplicates(*column)).collect();
        for &column in [&self.event_time].into_iter().chain(dedupe) {
            if !key.contains(&column) {
                key.push(column);
            }
        }
        key
    }

    fn tells_duplicates(&self, column: usize) -> bool {
        column == self.event_time || self.dedupe.as_ref().is_none_or(|dedupe| dedupe.contains(&column))
    }
}

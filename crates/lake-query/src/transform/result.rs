//! The columns of a transform's result: what they may be, and how they may change.
use super::{SqlFault, Transform, WINDOW_END, WINDOW_START};
use crate::LakeQueryError;
use crate::catalog_type::{canonical, catalog_name, is_column_name};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use table_log::key::Layout;
use table_log::record::{Column, TableBody, TableSettings};
use table_log::{LakePartition, TableName};
use windowing::Time;

/// Columns that the lake adds itself begin so.
const IDENTITY_PREFIX: &str = "_kafka_";

/// The columns of a result, checked, in the SQL's order and of canonical types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultSchema {
    schema: SchemaRef,
    partition_by: Vec<String>,
}

impl ResultSchema {
    /// Checks the columns that a plan gives.
    ///
    /// # Errors
    /// All faults: names that no engine takes, types without one in the catalog, missing columns.
    pub(super) fn new(transform: &Transform, planned: &Schema) -> Result<Self, Vec<SqlFault>> {
        let mut faults = Vec::new();
        let fields = planned.fields().iter().enumerate();
        let fields: Vec<Field> = fields.filter_map(|(index, field)| column(transform, planned, index, field, &mut faults)).collect();
        let found = Self { schema: Arc::new(Schema::new(fields)), partition_by: transform.partition_by.clone() };
        found.check_windows(transform, planned, &mut faults);
        found.check_uses(transform, planned, &mut faults);
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }

    fn check_windows(&self, transform: &Transform, planned: &Schema, faults: &mut Vec<SqlFault>) {
        for name in [WINDOW_START, WINDOW_END] {
            match planned.field_with_name(name) {
                Err(_) => faults.push(SqlFault::whole(
                    format!("the result has no column `{name}`"),
                    format!("select `{name}`, and group by it where rows are grouped"),
                )),
                Ok(field) if !matches!(field.data_type(), DataType::Timestamp(..)) => {
                    let what = format!("`{name}` is of type `{}`, not a timestamp", field.data_type());
                    faults.push(SqlFault::at_word(&transform.sql, name, what, format!("give the source's `{name}` as it is")));
                }
                Ok(_) => {}
            }
        }
    }

    fn check_uses(&self, transform: &Transform, planned: &Schema, faults: &mut Vec<SqlFault>) {
        let known = || planned.fields().iter().map(|f| format!("`{}`", f.name())).collect::<Vec<_>>().join(", ");
        for name in &transform.partition_by {
            match self.schema.field_with_name(name).map(Field::data_type) {
                Ok(DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Boolean) => {}
                Ok(kind) => faults.push(SqlFault::at_word(
                    &transform.sql,
                    name,
                    format!("`{name}` of `partition_by` is of type `{}`", catalog_name(kind)),
                    "partition columns are strings, ints, longs, dates or booleans",
                )),
                Err(_) if planned.field_with_name(name).is_ok() => {}
                Err(_) => faults.push(SqlFault::whole(
                    format!("the result has no column `{name}`, which is in `partition_by`"),
                    format!("its columns are {}", known()),
                )),
            }
        }
        for name in &transform.sort_by {
            match planned.field_with_name(name).map(|f| f.data_type().is_nested()) {
                Ok(false) => {}
                Ok(true) => faults.push(SqlFault::at_word(
                    &transform.sql,
                    name,
                    format!("files cannot be sorted by the nested column `{name}`"),
                    "name another in `sort_by`",
                )),
                Err(_) => faults.push(SqlFault::whole(
                    format!("the result has no column `{name}`, which is in `sort_by`"),
                    format!("its columns are {}", known()),
                )),
            }
        }
    }

    /// All columns, partition columns too.
    pub fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns as the catalog has them: without partition columns.
    pub fn catalog_columns(&self) -> Vec<Column> {
        let fields = self.schema.fields().iter().filter(|f| !self.partition_by.contains(f.name()));
        fields.map(|f| Column { name: f.name().clone(), glue_type: catalog_name(f.data_type()) }).collect()
    }

    /// The first `table` record of the derived table.
    pub fn first_table(&self, settings: TableSettings) -> TableBody {
        TableBody { schema_version: 1, avro_schema: String::new(), columns: self.catalog_columns(), settings }
    }

    /// Rows of a plan as rows of the result.
    pub(super) fn adapt(&self, rows: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let column = |(field, column): (&Arc<Field>, &ArrayRef)| {
            if field.data_type() == column.data_type() { Ok(Arc::clone(column)) } else { cast(column, field.data_type()) }
        };
        let columns = self.schema.fields().iter().zip(rows.columns()).map(column).collect::<Result<Vec<_>, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

/// One column of a result. Faulty names and types are noted.
fn column(transform: &Transform, planned: &Schema, index: usize, field: &Field, faults: &mut Vec<SqlFault>) -> Option<Field> {
    let name = field.name();
    let number = index + 1;
    if !is_column_name(name) {
        let what = format!("column {number} of the result is named `{name}`");
        faults.push(SqlFault::whole(what, "give it a name of lower-case letters, digits and `_` with AS"));
        return None;
    }
    if planned.fields()[..index].iter().any(|before| before.name() == name) {
        faults.push(SqlFault::whole(format!("two columns of the result are named `{name}`"), "give one another name with AS"));
        return None;
    }
    let layout = Layout { table: TableName(transform.name.clone()), window: transform.window, partition_by: Vec::new() };
    let folders = layout.partition_values(&LakePartition { window_start: Time(0), values: Vec::new() });
    if name.starts_with(IDENTITY_PREFIX) || folders.iter().any(|(folder, _)| folder == name) {
        let what = format!("column {number} of the result is named `{name}`, as one that the lake adds itself");
        faults.push(SqlFault::whole(what, "give it another name with AS"));
        return None;
    }
    match canonical(field.data_type()) {
        Ok(kind) => Some(Field::new(name, kind, true)),
        Err(none) => {
            let what = format!("column `{name}` is of type `{}`, which the catalog does not have", none.found);
            let suggestion = match none.cast_to {
                "" => "leave it out, or make another value of it".to_owned(),
                kind => format!("write CAST(… AS {kind}) AS {name}"),
            };
            faults.push(SqlFault::at_word(&transform.sql, name, what, suggestion));
            None
        }
    }
}

/// The columns that a derived table has once it takes up a result: its own, then new ones. `None`: they are the same.
///
/// # Errors
/// A column is gone or of another type: the text shows both schemas.
pub fn evolve(name: &str, current: &[Column], result: &[Column]) -> Result<Option<Vec<Column>>, LakeQueryError> {
    let find = |column: &Column| result.iter().find(|new| new.name == column.name);
    let fits = current.iter().all(|column| find(column).is_some_and(|new| new.glue_type == column.glue_type));
    if !fits {
        let mut differences = Vec::new();
        for column in current {
            match find(column) {
                None => differences.push(format!("`{}` is gone", column.name)),
                Some(new) if new.glue_type != column.glue_type => {
                    differences.push(format!("`{}` was `{}` and is `{}`", column.name, column.glue_type, new.glue_type));
                }
                Some(_) => {}
            }
        }
        return Err(LakeQueryError::Incompatible {
            table: name.to_owned(),
            differences: differences.join(", "),
            current: text(current),
            result: text(result),
        });
    }
    let known = |column: &&Column| !current.iter().any(|old| old.name == column.name);
    let added: Vec<Column> = result.iter().filter(known).cloned().collect();
    Ok((!added.is_empty()).then(|| current.iter().cloned().chain(added).collect()))
}

fn text(columns: &[Column]) -> String {
    columns.iter().map(|c| format!("{} {}", c.name, c.glue_type)).collect::<Vec<_>>().join(", ")
}

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;
use table_log::key::partition_value;
use table_log::record::TableBody;

use crate::verify::row_hash::RowHasher;

/// What is hashed of a row: the columns of its file, identity included, and the values of its lake partition as text.
#[derive(Debug)]
pub struct RowShape {
    /// Columns of data files.
    pub file_schema: SchemaRef,
    /// Partition columns, lower-case.
    pub partition_by: Vec<String>,
    hasher: RowHasher,
}

impl RowShape {
    /// For rows of a table.
    pub fn new(table: &str, body: &TableBody) -> anyhow::Result<Self> {
        let file_schema = lake_query::file_schema(table, body)?;
        let partition_by: Vec<String> = body.settings.partition_by.iter().map(|c| c.to_lowercase()).collect();
        let values = partition_by.iter().map(|c| Arc::new(Field::new(c, DataType::Utf8, true)));
        let fields: Fields = file_schema.fields().iter().map(Arc::clone).chain(values).collect::<Vec<FieldRef>>().into();
        let hasher = RowHasher::new(&fields)?;
        Ok(Self { file_schema, partition_by, hasher })
    }

    /// Hashes rows: the columns of [`RowShape::file_schema`], then one of text per partition column.
    pub fn hashes(&self, columns: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
        self.hasher.hashes(columns)
    }
}

/// Columns of a quarantine file that are compared: identity, key and value.
pub fn refused_schema() -> SchemaRef {
    let fields: Vec<FieldRef> = vec![
        Arc::new(Field::new("_kafka_topic", DataType::Utf8, true)),
        Arc::new(Field::new("_kafka_partition", DataType::Int32, true)),
        Arc::new(Field::new("_kafka_offset", DataType::Int64, true)),
        Arc::new(Field::new("key", DataType::Binary, true)),
        Arc::new(Field::new("value", DataType::Binary, true)),
    ];
    Arc::new(Schema::new(fields))
}

/// A decoded partition column as the text of its lake partitions.
pub fn partition_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = cast(column, &DataType::Utf8)?;
    let values: StringArray = texts.as_string::<i32>().iter().map(partition_value).collect();
    Ok(Arc::new(values))
}

//! The columns that every data file has beside the table's own, and the fixed columns of quarantine files.
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// Names starting so belong to the identity columns; no data column may have one.
pub(crate) const IDENTITY_PREFIX: &str = "_kafka_";

/// Name of the item field of lists, as Parquet's standard has it.
pub(crate) const LIST_ITEM: &str = "element";
/// Name of the entries field of maps, as Parquet's standard has it.
pub(crate) const MAP_ENTRIES: &str = "key_value";

/// Arrow type of points in time: microseconds, UTC.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The four identity columns `_kafka_topic` (`topic#<generation>` after the first generation), `_kafka_partition`, `_kafka_offset` and
/// `_kafka_timestamp` (microseconds, UTC) that follow the data columns in each file, in this order. With them each row names its record.
pub fn identity_fields() -> Vec<Field> {
    vec![
        Field::new("_kafka_topic", DataType::Utf8, true),
        Field::new("_kafka_partition", DataType::Int32, true),
        Field::new("_kafka_offset", DataType::Int64, true),
        Field::new("_kafka_timestamp", instant(), true),
    ]
}

/// All columns of a quarantine file: `reason`, `detail`, `schema_id`, `key`, `value`, `headers`, `ingest_time` (microseconds, UTC), then the
/// identity columns. `schema_id` has the four bytes of the header as a signed number, as registries count (`u32::cast_signed`).
pub fn quarantine_schema() -> SchemaRef {
    let header = Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Binary, true)]);
    let headers = DataType::List(Arc::new(Field::new(LIST_ITEM, DataType::Struct(header), true)));
    let mut fields = vec![
        Field::new("reason", DataType::Utf8, true),
        Field::new("detail", DataType::Utf8, true),
        Field::new("schema_id", DataType::Int32, true),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", headers, true),
        Field::new("ingest_time", instant(), true),
    ];
    fields.extend(identity_fields());
    Arc::new(Schema::new(fields))
}

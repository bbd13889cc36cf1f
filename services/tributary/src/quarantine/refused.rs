//! Refused records as rows of a table's quarantine.
use crate::context::Context;
use anyhow::Context as _;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use lake_query::LakeSession;
use serde::Serialize;
use table_log::TableName;
use windowing::Time;

/// A refused record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Why, as a code of docs/refusals.md.
    pub reason: String,
    /// Where and what.
    pub detail: String,
    /// Id in the record's header.
    pub schema_id: Option<i32>,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// When it was refused.
    pub ingest_time: Option<Time>,
    /// `_kafka_topic`.
    pub topic: String,
    /// `_kafka_partition`.
    pub kafka_partition: i32,
    /// `_kafka_offset`.
    pub offset: i64,
    /// `_kafka_timestamp`.
    pub timestamp: Option<Time>,
}

impl RefusedRecord {
    /// `topic/kafka_partition/offset`
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.topic, self.kafka_partition, self.offset)
    }
}

/// The JSON of an export: bytes in base64.
#[derive(Debug, Serialize)]
pub struct Exported<'a> {
    reason: &'a str,
    detail: &'a str,
    schema_id: Option<i32>,
    topic: &'a str,
    kafka_partition: i32,
    offset: i64,
    timestamp: Option<String>,
    ingest_time: Option<String>,
    key_base64: Option<String>,
    value_base64: Option<String>,
    headers: Vec<ExportedHeader<'a>>,
}

#[derive(Debug, Serialize)]
struct ExportedHeader<'a> {
    key: &'a str,
    value_base64: Option<String>,
}

impl<'a> From<&'a RefusedRecord> for Exported<'a> {
    fn from(record: &'a RefusedRecord) -> Self {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(super::bytes::base64);
        Self {
            reason: &record.reason,
            detail: &record.detail,
            schema_id: record.schema_id,
            topic: &record.topic,
            kafka_partition: record.kafka_partition,
            offset: record.offset,
            timestamp: record.timestamp.map(|t| t.to_string()),
            ingest_time: record.ingest_time.map(|t| t.to_string()),
            key_base64: text(&record.key),
            value_base64: text(&record.value),
            headers: record.headers.iter().map(|(key, value)| ExportedHeader { key, value_base64: text(value) }).collect(),
        }
    }
}

/// A session over one table.
pub async fn open(table: &TableName, context: &Context) -> anyhow::Result<LakeSession> {
    let log = context.log(table, true).await?;
    LakeSession::open(context.store()?, vec![log]).await.context("open the quarantine")
}

/// Text as a literal in SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The records of a batch with all columns of a quarantine table.
pub fn records(batch: &RecordBatch) -> anyhow::Result<Vec<RefusedRecord>> {
    let column = |name: &str| batch.column_by_name(name).with_context(|| format!("the quarantine has no column `{name}`"));
    let (reasons, details, topics) =
        (column("reason")?.as_string::<i32>(), column("detail")?.as_string::<i32>(), column("_kafka_topic")?.as_string::<i32>());
    let (keys, values, headers) = (column("key")?, column("value")?, column("headers")?);
    let schema_ids = column("schema_id")?.as_primitive::<Int32Type>();
    let partitions = column("_kafka_partition")?.as_primitive::<Int32Type>();
    let offsets = column("_kafka_offset")?.as_primitive::<Int64Type>();
    let (ingest_times, timestamps) = (column("ingest_time")?, column("_kafka_timestamp")?);
    let record = |row: usize| RefusedRecord {
        reason: reasons.value(row).to_owned(),
        detail: details.value(row).to_owned(),
        schema_id: schema_ids.is_valid(row).then(|| schema_ids.value(row)),
        key: bytes(keys, row),
        value: bytes(values, row),
        headers: header_list(headers, row),
        ingest_time: time(ingest_times, row),
        topic: topics.value(row).to_owned(),
        kafka_partition: partitions.value(row),
        offset: offsets.value(row),
        timestamp: time(timestamps, row),
    };
    Ok((0..batch.num_rows()).map(record).collect())
}

fn bytes(column: &ArrayRef, row: usize) -> Option<Vec<u8>> {
    let column = column.as_binary::<i32>();
    column.is_valid(row).then(|| column.value(row).to_vec())
}

fn time(column: &ArrayRef, row: usize) -> Option<Time> {
    let column = column.as_primitive::<TimestampMicrosecondType>();
    column.is_valid(row).then(|| Time(column.value(row)))
}

fn header_list(column: &ArrayRef, row: usize) -> Vec<(String, Option<Vec<u8>>)> {
    let lists = column.as_list::<i32>();
    if lists.is_null(row) {
        return Vec::new();
    }
    let items = lists.value(row);
    let fields = items.as_struct();
    let keys = fields.column(0).as_string::<i32>();
    (0..items.len()).map(|item| (keys.value(item).to_owned(), bytes(fields.column(1), item))).collect()
}

//! Refused records, kept raw with their reason until the commit: one buffer per day of ingest.
use crate::{error::WriterError, refuse::Header};
use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Field, Fields, SchemaRef},
    record_batch::RecordBatch,
};
use event_schema::{Refusal, quarantine_schema};
use std::{collections::BTreeMap, sync::Arc};
use windowing::Time;

/// A refused record. Borrowed: its bytes are copied once, into the column builders.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRecord<'a> {
    /// Why.
    pub refusal: &'a Refusal,
    /// Raw key.
    pub key: Option<&'a [u8]>,
    /// Raw value.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [Header],
    /// Kafka's timestamp, or the clock where it is missing or unusable.
    pub ingest_time: Time,
    /// `topic`, or `topic#<generation>` after the first.
    pub topic_label: &'a str,
    /// Number of the kafka_partition.
    pub kafka_partition: i32,
    /// Offset.
    pub offset: i64,
    /// Kafka's timestamp, if usable.
    pub kafka_timestamp: Option<Time>,
}

impl RefusedRecord<'_> {
    fn bytes(&self) -> u64 {
        let headers: usize = self.headers.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len) + 16).sum();
        let raw = self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        (raw + headers + self.refusal.detail.len() + self.topic_label.len() + 96) as u64
    }
}

/// Refused records of one day of ingest.
#[derive(Debug)]
pub struct DayBuffer {
    columns: Columns,
    rows: u64,
    /// Lowest ingest time.
    pub ingest_min: Time,
    /// Highest ingest time.
    pub ingest_max: Time,
}

impl DayBuffer {
    /// Records held.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows as a batch of [`quarantine_schema`].
    ///
    /// # Errors
    /// The columns do not fit the schema: a defect.
    pub fn finish(mut self) -> Result<RecordBatch, WriterError> {
        let schema = quarantine_schema();
        RecordBatch::try_new(schema, self.columns.finish())
            .map_err(|e| WriterError::Bug { what: "build quarantine rows", detail: e.to_string() })
    }
}

/// All refused records of the next commit.
#[derive(Debug, Default)]
pub struct QuarantineBuffer {
    days: BTreeMap<Time, DayBuffer>,
    bytes: u64,
}

/// What the builders of one day's buffer take before any record: bounds the memory of records whose days are all different.
const DAY_OVERHEAD_BYTES: u64 = 16 << 10;

impl QuarantineBuffer {
    /// Keeps a record.
    pub fn push(&mut self, record: RefusedRecord<'_>) {
        self.bytes += record.bytes();
        let bytes = &mut self.bytes;
        let day = self.days.entry(record.ingest_time.day_start()).or_insert_with(|| {
            *bytes += DAY_OVERHEAD_BYTES;
            DayBuffer { columns: Columns::new(), rows: 0, ingest_min: record.ingest_time, ingest_max: record.ingest_time }
        });
        day.columns.push(record);
        day.rows += 1;
        day.ingest_min = day.ingest_min.min(record.ingest_time);
        day.ingest_max = day.ingest_max.max(record.ingest_time);
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Days, each a file of the next commit.
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// Hands out all days and starts empty.
    pub fn take(&mut self) -> BTreeMap<Time, DayBuffer> {
        self.bytes = 0;
        std::mem::take(&mut self.days)
    }
}

/// One builder per column of [`quarantine_schema`].
#[derive(Debug)]
struct Columns {
    reason: StringBuilder,
    detail: StringBuilder,
    schema_id: Int32Builder,
    key: BinaryBuilder,
    value: BinaryBuilder,
    headers: ListBuilder<StructBuilder>,
    ingest_time: TimestampMicrosecondBuilder,
    topic: StringBuilder,
    kafka_partition: Int32Builder,
    offset: Int64Builder,
    kafka_timestamp: TimestampMicrosecondBuilder,
}

impl Columns {
    fn new() -> Self {
        let schema = quarantine_schema();
        let (item, header) = header_fields(&schema);
        let builders: Vec<Box<dyn ArrayBuilder>> = vec![Box::new(StringBuilder::new()), Box::new(BinaryBuilder::new())];
        let time = || TimestampMicrosecondBuilder::with_capacity(0).with_timezone("UTC");
        Self {
            reason: StringBuilder::with_capacity(0, 0),
            detail: StringBuilder::with_capacity(0, 0),
            schema_id: Int32Builder::with_capacity(0),
            key: BinaryBuilder::with_capacity(0, 0),
            value: BinaryBuilder::with_capacity(0, 0),
            headers: ListBuilder::new(StructBuilder::new(header, builders)).with_field(item),
            ingest_time: time(),
            topic: StringBuilder::with_capacity(0, 0),
            kafka_partition: Int32Builder::with_capacity(0),
            offset: Int64Builder::with_capacity(0),
            kafka_timestamp: time(),
        }
    }

    fn push(&mut self, record: RefusedRecord<'_>) {
        self.reason.append_value(record.refusal.code.as_str());
        self.detail.append_value(&record.refusal.detail);
        // Ids are 32-bit on the wire and signed in the column: the bits stay the same.
        self.schema_id.append_option(record.refusal.schema_id.map(|id| id as i32));
        self.key.append_option(record.key);
        self.value.append_option(record.value);
        for (name, value) in record.headers {
            let header = self.headers.values();
            header.field_builder::<StringBuilder>(0).expect("header key is a string").append_value(name);
            header.field_builder::<BinaryBuilder>(1).expect("header value is binary").append_option(value.as_deref());
            header.append(true);
        }
        self.headers.append(true);
        self.ingest_time.append_value(record.ingest_time.0);
        self.topic.append_value(record.topic_label);
        self.kafka_partition.append_value(record.kafka_partition);
        self.offset.append_value(record.offset);
        self.kafka_timestamp.append_option(record.kafka_timestamp.map(|time| time.0));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.reason.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.schema_id.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.headers.finish()),
            Arc::new(self.ingest_time.finish()),
            Arc::new(self.topic.finish()),
            Arc::new(self.kafka_partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.kafka_timestamp.finish()),
        ]
    }
}

/// The item field of `headers` and the fields of its struct.
fn header_fields(schema: &SchemaRef) -> (Arc<Field>, Fields) {
    let headers = schema.field_with_name("headers").expect("quarantine files have headers");
    match headers.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => (Arc::clone(item), fields.clone()),
            other => panic!("headers are a list of structs, not of `{other}`"),
        },
        other => panic!("headers are a list, not `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use event_schema::RefusalCode;

    #[test]
    fn records_are_kept_raw_by_day_of_ingest() {
        let refusal = Refusal { code: RefusalCode::BadMagic, detail: "first byte is `7b`".into(), schema_id: Some(u32::MAX) };
        let headers = [("a".to_owned(), Some(vec![0xff])), ("b".to_owned(), None)];
        let record = RefusedRecord {
            refusal: &refusal,
            key: Some(b"k"),
            value: None,
            headers: &headers,
            ingest_time: Time(5),
            topic_label: "t#2",
            kafka_partition: 3,
            offset: 42,
            kafka_timestamp: None,
        };
        let mut buffer = QuarantineBuffer::default();
        buffer.push(record);
        buffer.push(RefusedRecord { ingest_time: Time(-1), headers: &[], ..record });
        assert!(buffer.bytes() > 2 * DAY_OVERHEAD_BYTES);
        assert_eq!(buffer.days(), 2);
        let mut days = buffer.take();
        assert_eq!((buffer.bytes(), buffer.days()), (0, 0));
        let day = days.remove(&Time(0)).expect("the first record's day");
        assert_eq!((day.rows(), day.ingest_min, day.ingest_max), (1, Time(5), Time(5)));
        let batch = day.finish().expect("columns fit");
        assert_eq!(batch.schema(), quarantine_schema());
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "bad_magic");
        assert_eq!(batch.column(3).as_binary::<i32>().value(0), b"k");
        assert!(batch.column(4).is_null(0));
        assert_eq!(batch.column(5).as_list::<i32>().value_length(0), 2);
        let other = days.remove(&Time(-86_400_000_000)).expect("the second record's day").finish().expect("columns fit");
        assert_eq!(other.column(5).as_list::<i32>().value_length(0), 0);
    }
}

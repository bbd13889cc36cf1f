use super::{DAY, Reading, TOPIC};
use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use windowing::Time;

/// Rows of one file, with the kafka_partition and offset of each.
#[derive(Debug, Default)]
pub struct StagedRows {
    identities: Vec<(i32, i64)>,
    readings: Vec<Reading>,
    refused: Vec<(&'static str, Vec<u8>)>,
}

impl StagedRows {
    pub fn row(&mut self, kafka_partition: i32, offset: i64, reading: Reading) {
        self.identities.push((kafka_partition, offset));
        self.readings.push(reading);
    }

    pub fn refused(&mut self, kafka_partition: i32, offset: i64, refused: (&'static str, Vec<u8>)) {
        self.identities.push((kafka_partition, offset));
        self.refused.push(refused);
    }

    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// Lowest and highest event time.
    pub fn event_times(&self) -> (Time, Time) {
        let times = || self.readings.iter().map(|r| r.at);
        (times().min().unwrap_or(DAY), times().max().unwrap_or(DAY))
    }

    /// A batch of data, without `site` if that is a partition column.
    pub fn data_batch(&self, with_site: bool) -> anyhow::Result<RecordBatch> {
        let ids: StringArray = self.identities.iter().map(|(p, o)| Some(format!("{p}-{o}"))).collect();
        let sites: StringArray = self.readings.iter().map(|r| r.site.as_deref()).collect();
        let values = Float64Array::from_iter_values(self.readings.iter().map(|r| r.value));
        let times: Vec<i64> = self.readings.iter().map(|r| r.at.0).collect();
        let mut columns: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(ids)), ("at", instants(&times))];
        if with_site {
            columns.push(("site", Arc::new(sites)));
        }
        columns.push(("value", Arc::new(values)));
        columns.extend(self.identity(&times));
        Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
    }

    /// A batch of quarantine.
    pub fn quarantine_batch(&self) -> anyhow::Result<RecordBatch> {
        let schema = event_schema::quarantine_schema();
        let rows = self.identities.len();
        let times = vec![DAY.0; rows];
        let reasons: StringArray = self.refused.iter().map(|(reason, _)| Some(*reason)).collect();
        let values: BinaryArray = self.refused.iter().map(|(_, value)| Some(value.as_slice())).collect();
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("reason", Arc::new(reasons)), ("value", Arc::new(values)), ("ingest_time", instants(&times))];
        columns.extend(self.identity(&times));
        let column = |name: &str, kind: &_| {
            let known = columns.iter().find(|(known, _)| *known == name).map(|(_, array)| Arc::clone(array));
            known.unwrap_or_else(|| new_null_array(kind, rows))
        };
        let arrays = schema.fields().iter().map(|f| column(f.name(), f.data_type())).collect();
        Ok(RecordBatch::try_new(schema, arrays)?)
    }

    fn identity(&self, times: &[i64]) -> Vec<(&'static str, ArrayRef)> {
        let topics = StringArray::from(vec![TOPIC; self.identities.len()]);
        vec![
            ("_kafka_topic", Arc::new(topics)),
            ("_kafka_partition", Arc::new(Int32Array::from_iter_values(self.identities.iter().map(|(p, _)| *p)))),
            ("_kafka_offset", Arc::new(Int64Array::from_iter_values(self.identities.iter().map(|(_, o)| *o)))),
            ("_kafka_timestamp", instants(times)),
        ]
    }
}

/// kafka_partition and offset of a row.
pub type RowName = (i32, i64);
/// A row that is dropped, and the one that is kept for it.
pub type Duplicate = (RowName, RowName);

/// A list of duplicates: identities of rows that are dropped, each with that of the row that is kept for it.
pub fn duplicates_batch(pairs: &[Duplicate]) -> anyhow::Result<RecordBatch> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let of = |row: fn(&Duplicate) -> RowName| pairs.iter().map(row).collect::<Vec<_>>();
    for (prefix, rows) in [("_kafka", of(|(dropped, _)| *dropped)), ("kept_kafka", of(|(_, kept)| *kept))] {
        columns.push((format!("{prefix}_topic"), Arc::new(StringArray::from(vec![TOPIC; rows.len()]))));
        columns.push((format!("{prefix}_partition"), Arc::new(Int32Array::from_iter_values(rows.iter().map(|(p, _)| *p)))));
        columns.push((format!("{prefix}_offset"), Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, o)| *o)))));
        columns.push((format!("{prefix}_timestamp"), instants(&vec![DAY.0; rows.len()])));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
}

fn instants(micros: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC"))
}

/// The batch as a Parquet file.
pub fn parquet(table: &str, batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let pairs = vec![KeyValue::new("tributary.table".to_owned(), table.to_owned())];
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_coerce_types(true)
        .set_key_value_metadata(Some(pairs))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

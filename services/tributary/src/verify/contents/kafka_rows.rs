use super::shape::{RowShape, partition_texts};
use crate::schemas::wait_for_schema;
use crate::verify::bitmap::Bitmap;
use crate::verify::report::topic_name;
use crate::verify::row_hash::refused_hash;
use crate::verify::walk::KafkaAccess;
use anyhow::{Context, anyhow, ensure};
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use event_schema::{BatchDecoder, Limits, Push, RefusalCode, SchemaSource, TableSchema};
use kafka_io::{RangeReader, RawRecord, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use table_log::SourcePartition;

/// Rows decoded at once.
const BATCH_ROWS: usize = 4_096;
/// Unexpected refusals that are kept with their text.
const KEPT: usize = 20;
/// 0001-01-01 and the end of 9999: what engines can show.
const SHOWN_MICROS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Takes the offset of a record that Kafka delivered and its hash; `None`: left out by a setting.
pub type Sink<'a> = &'a mut dyn FnMut(i64, Option<u128>);

/// Reads records from Kafka, decodes them by the table's schema, and hashes them as the lake's rows are hashed.
#[derive(Debug)]
pub struct KafkaRows {
    reader: RangeReader,
    /// By version.
    tables: BTreeMap<u32, Arc<TableSchema>>,
    schemas: Arc<dyn SchemaSource>,
    limits: Limits,
    skip_tombstones: bool,
}

/// What is hashed next.
struct Pending<'a> {
    shape: &'a RowShape,
    source: &'a SourcePartition,
    schemas: Arc<dyn SchemaSource>,
    decoder: BatchDecoder,
    rows: Vec<(i64, Option<i64>)>,
    sink: Sink<'a>,
    refused: Vec<(i64, String)>,
    failure: Option<anyhow::Error>,
}

impl KafkaRows {
    /// Decodes by the `table` record that the writer had; `schemas` are the texts of all.
    pub fn new(access: &KafkaAccess, schemas: &BTreeMap<u32, String>) -> anyhow::Result<Self> {
        let parse = |(version, text): (&u32, &String)| Ok((*version, Arc::new(TableSchema::parse(text)?)));
        let tables = schemas.iter().map(parse).collect::<anyhow::Result<_>>()?;
        let KafkaAccess { config, limits, schemas, skip_tombstones, .. } = access;
        Ok(Self {
            reader: RangeReader::new(config)?,
            tables,
            schemas: schemas.clone(),
            limits: limits.clone(),
            skip_tombstones: *skip_tombstones,
        })
    }

    /// Reads `[start, end)` of a kafka_partition, whose rows were decoded by one version of the schema. Offsets in `quarantined` are hashed raw.
    /// Answers records that are refused although they are not in quarantine: their offsets and why, at most twenty.
    pub fn read(
        &mut self,
        (source, start, end, schema_version): (&SourcePartition, i64, i64, u32),
        quarantined: &Bitmap,
        shape: &RowShape,
        sink: Sink<'_>,
    ) -> anyhow::Result<Vec<(i64, String)>> {
        let table = self.tables.get(&schema_version).with_context(|| format!("the log has no schema version {schema_version}"))?;
        let decoder = BatchDecoder::new(Arc::clone(table), self.schemas.clone(), self.limits.clone());
        let schemas = self.schemas.clone();
        let mut pending = Pending { shape, source, schemas, decoder, rows: Vec::new(), sink, refused: Vec::new(), failure: None };
        let partition = TopicPartition { topic: source.topic.clone(), kafka_partition: source.kafka_partition.0 };
        let skip_tombstones = self.skip_tombstones;
        self.reader
            .read(&partition, start, end, &mut |record| pending.take(&record, quarantined, skip_tombstones))
            .with_context(|| format!("read `{}/{}` from {start} to {end}", partition.topic, partition.kafka_partition))?;
        pending.flush();
        match pending.failure {
            Some(error) => Err(error),
            None => Ok(pending.refused),
        }
    }
}

impl Pending<'_> {
    fn take(&mut self, record: &RawRecord<'_>, quarantined: &Bitmap, skip_tombstones: bool) {
        if self.failure.is_some() {
            return;
        }
        let offset = record.offset;
        if u64::try_from(offset).is_ok_and(|o| quarantined.contains(o)) {
            let topic = topic_name(&self.source.topic, self.source.generation);
            let hash = refused_hash((&topic, record.kafka_partition, offset), record.key, record.value);
            return (self.sink)(offset, Some(hash));
        }
        let Some(value) = record.value else {
            return if skip_tombstones {
                (self.sink)(offset, None)
            } else {
                self.refuse(offset, RefusalCode::Tombstone.as_str().to_owned())
            };
        };
        match self.decoder.push(value) {
            Push::Row => {
                let micros = record.timestamp_ms.checked_mul(1_000).filter(|m| record.timestamp_ms != -1 && SHOWN_MICROS.contains(m));
                self.rows.push((offset, micros));
                if self.rows.len() >= BATCH_ROWS {
                    self.flush();
                }
            }
            Push::Refused(refusal) => self.refuse(offset, format!("{}: {}", refusal.code.as_str(), refusal.detail)),
            Push::SchemaPending { schema_id } => match wait_for_schema(&*self.schemas, schema_id) {
                Ok(()) => self.take(record, quarantined, skip_tombstones),
                // Nothing can be said of this record; what was wrong is said once.
                Err(error) => {
                    self.failure.get_or_insert(error);
                }
            },
            Push::SchemaChanged { schema_id, .. } => {
                self.refuse(offset, format!("written with schema id {schema_id}, which the table's schema does not cover"))
            }
        }
    }

    fn refuse(&mut self, offset: i64, why: String) {
        (self.sink)(offset, Some(0));
        if self.refused.len() < KEPT {
            self.refused.push((offset, why));
        }
    }

    fn flush(&mut self) {
        if self.rows.is_empty() || self.failure.is_some() {
            self.rows.clear();
            return;
        }
        let rows = std::mem::take(&mut self.rows);
        match self.hash(&rows) {
            Ok(hashes) => rows.iter().zip(hashes).for_each(|((offset, _), hash)| (self.sink)(*offset, Some(hash))),
            Err(error) => self.failure = Some(error),
        }
    }

    fn hash(&mut self, rows: &[(i64, Option<i64>)]) -> anyhow::Result<Vec<u128>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.decoder.flush().map_err(|e| anyhow!(e))? {
            batches.push(batch);
        }
        let schema = batches.first().map(RecordBatch::schema).context("the decoder gave no rows")?;
        let decoded = concat_batches(&schema, &batches)?;
        ensure!(decoded.num_rows() == rows.len(), "the decoder gave {} rows for {} records", decoded.num_rows(), rows.len());
        let mut columns = Vec::new();
        for field in self.shape.file_schema.fields() {
            let column = match decoded.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None if field.name().starts_with("_kafka_") => self.identity(field.name(), rows)?,
                // Of a later version: files of this one do not have it.
                None => new_null_array(field.data_type(), rows.len()),
            };
            columns.push(if column.data_type() == field.data_type() { column } else { cast(&column, field.data_type())? });
        }
        for name in &self.shape.partition_by {
            let column = decoded.column_by_name(name).with_context(|| format!("the schema has no partition column `{name}`"))?;
            columns.push(partition_texts(column)?);
        }
        Ok(self.shape.hashes(&columns)?)
    }

    fn identity(&self, column: &str, rows: &[(i64, Option<i64>)]) -> anyhow::Result<ArrayRef> {
        Ok(match column {
            "_kafka_topic" => {
                let topic = topic_name(&self.source.topic, self.source.generation);
                Arc::new(StringArray::from(vec![topic.as_str(); rows.len()]))
            }
            "_kafka_partition" => Arc::new(Int32Array::from(vec![self.source.kafka_partition.0; rows.len()])),
            "_kafka_offset" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|(offset, _)| *offset))),
            "_kafka_timestamp" => {
                Arc::new(rows.iter().map(|(_, micros)| *micros).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            other => return Err(anyhow!("the schema of the table has no column `{other}`")),
        })
    }
}

//! Takes records: checks continuity, decodes or refuses each, routes the rows and buffers them.
//!
//! A batch is worked in chunks of bounded size: admit (per record: offset, decode, refuse), then route and buffer (columns at a time).
use crate::{
    buffer::{Buffers, SlotRows, Target},
    error::WriterError,
    offsets::{Owned, Step},
    partition_value::combinations,
    quarantine::RefusedRecord,
    refuse::{KafkaTimestamp, event_time_detail},
    route::{Routed, Routing, RowSources, route},
    rules::{EventTimeSource, TableRules},
};
use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, StringBuilder, TimestampMicrosecondArray},
    datatypes::TimestampMicrosecondType,
    record_batch::RecordBatch,
};
use event_schema::{BatchDecoder, Push, Refusal, RefusalCode, refused};
use kafka_io::RawRecord;
use service_runtime::settings::Tombstones;
use std::{collections::BTreeSet, sync::Arc};
use table_log::{KafkaPartition, LakePartition, Offset, SourcePartition};
use windowing::Time;

/// Raw bytes decoded at once: bounds what a chunk can grow to in memory.
const CHUNK_BYTES: usize = 4 << 20;
/// Memory of the decoded rows of a chunk: a few bytes can announce many nulls, each with its place in the columns.
const CHUNK_DECODED_BYTES: usize = 16 << 20;
/// Records decoded at once.
const CHUNK_RECORDS: usize = 8_192;

/// Schema ids that are looked up ahead of a record that waits for its own.
const MAX_AHEAD: usize = 256;

/// A record whose schema the table's does not cover.
#[derive(Clone, Debug)]
pub struct SchemaChange {
    /// Where.
    pub source: SourcePartition,
    /// Its offset.
    pub offset: Offset,
    /// Its schema id.
    pub schema_id: u32,
    /// Its schema.
    pub writer: String,
}

/// Why taking ends before the batch does. What came before is taken.
#[derive(Debug)]
pub enum Halt {
    /// A record has a schema that the table's does not cover.
    SchemaChanged(SchemaChange),
    /// Offsets were skipped that Kafka has deleted: records may be lost.
    Lost {
        /// Where.
        source: SourcePartition,
        /// Next offset.
        expected: Offset,
        /// Kafka's first offset.
        earliest: Offset,
    },
    /// A defect.
    Bug(WriterError),
}

impl From<WriterError> for Halt {
    fn from(error: WriterError) -> Self {
        Self::Bug(error)
    }
}

/// What taking rests on besides the records.
pub struct TakeContext<'a> {
    /// Whether a window is closed in the fold.
    pub is_closed: &'a dyn Fn(Time) -> bool,
    /// Kafka's first offset of a kafka_partition, cached by the client; `None`: not known.
    pub earliest: &'a dyn Fn(&SourcePartition) -> Option<i64>,
    /// The writer's clock.
    pub clock: Time,
    /// What the buffers may hold before the rest has to wait.
    pub limit_bytes: u64,
}

impl std::fmt::Debug for TakeContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TakeContext").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Takes records for one shard.
#[derive(Debug)]
pub struct Intake {
    rules: Arc<TableRules>,
    decoder: BatchDecoder,
    tombstones: Tombstones,
    rows: PendingRows,
    /// Schema ids of records behind those that wait.
    ahead: BTreeSet<u32>,
}

/// Rows pushed into the decoder: where each came from.
#[derive(Debug, Default)]
struct PendingRows {
    record: Vec<u32>,
    partition: Vec<u32>,
    timestamp: Vec<KafkaTimestamp>,
}

impl PendingRows {
    fn clear(&mut self) {
        self.record.clear();
        self.partition.clear();
        self.timestamp.clear();
    }
}

/// What became of one record.
enum Admitted {
    Row,
    Refused(Refusal),
    Skipped,
    AwaitsSchema(u32),
}

impl Intake {
    /// An intake without rows.
    pub fn new(rules: Arc<TableRules>, decoder: BatchDecoder, tombstones: Tombstones) -> Self {
        Self { rules, decoder, tombstones, rows: PendingRows::default(), ahead: BTreeSet::new() }
    }

    /// Newer settings of the same schema.
    pub fn set_rules(&mut self, rules: Arc<TableRules>) {
        self.rules = rules;
    }

    /// Another schema with its rules. Nothing that was decoded by the old one is left here: every take ends with that.
    pub fn set_schema(&mut self, rules: Arc<TableRules>, decoder: BatchDecoder) {
        self.rules = rules;
        self.decoder = decoder;
    }

    /// Schema ids met behind records that wait for theirs: to be looked up, so that they are known when it comes to them.
    pub fn take_ahead(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.ahead)
    }

    /// Takes records in order until the buffers hold `context.limit_bytes`, at least one chunk. Records of kafka_partitions that are not
    /// owned, or wait for a schema, and those taken before, are dropped. Returns how many were taken or dropped.
    ///
    /// # Errors
    /// The first record that cannot be taken at all; the ones before it are in the buffers, and `owned` stands at it.
    pub fn take(
        &mut self,
        records: &[RawRecord<'_>],
        owned: &mut Owned,
        buffers: &mut Buffers,
        context: &TakeContext<'_>,
    ) -> Result<usize, Halt> {
        let mut done = 0;
        while done < records.len() && (done == 0 || buffers.bytes() < context.limit_bytes) {
            let chunk = &records[done..];
            let chunk = &chunk[..chunk_len(chunk)];
            let mut admitted = 0;
            let outcome = self.admit_all(chunk, &mut admitted, owned, (buffers, context));
            self.buffer_rows(chunk, owned, buffers, context)?;
            outcome?;
            done += admitted;
        }
        Ok(done)
    }

    fn admit_all(
        &mut self,
        records: &[RawRecord<'_>],
        admitted_records: &mut usize,
        owned: &mut Owned,
        (buffers, context): (&mut Buffers, &TakeContext<'_>),
    ) -> Result<(), Halt> {
        for (index, record) in records.iter().enumerate() {
            if self.decoder.memory_bytes() >= CHUNK_DECODED_BYTES {
                return Ok(());
            }
            *admitted_records = index + 1;
            let Some(partition) = owned.find(record.topic, record.kafka_partition) else { continue };
            if owned.at(partition).awaits_schema().is_some() {
                if self.ahead.len() < MAX_AHEAD {
                    self.ahead.extend(schema_id(record.value));
                }
                continue;
            }
            match owned.at(partition).step(record.offset) {
                Step::Duplicate => continue,
                Step::Next => {}
                Step::Gap { .. } => cross_gap(partition, record.offset, owned, context)?,
            }
            let timestamp = KafkaTimestamp::from_millis(record.timestamp_ms);
            let progress = owned.at(partition);
            let admitted = self.admit(record, progress.refused, &progress.source)?;
            if let Admitted::AwaitsSchema(schema_id) = admitted {
                progress.await_schema(schema_id);
                continue;
            }
            progress.take(record.leader_epoch);
            buffers.observe_kafka_timestamp(timestamp.or_clock(context.clock));
            match admitted {
                Admitted::Row => {
                    self.rows.record.push(index as u32);
                    self.rows.partition.push(partition as u32);
                    self.rows.timestamp.push(timestamp);
                }
                Admitted::Skipped => {
                    progress.count_skipped();
                    progress.watermark.observe_refused(timestamp.or_clock(context.clock), context.clock);
                }
                Admitted::Refused(refusal) => {
                    progress.watermark.observe_refused(timestamp.or_clock(context.clock), context.clock);
                    refuse(record, &refusal, partition, (owned, buffers, context.clock));
                }
                Admitted::AwaitsSchema(_) => unreachable!("it was not taken"),
            }
        }
        Ok(())
    }

    fn admit(&mut self, record: &RawRecord<'_>, refused_topic: bool, source: &SourcePartition) -> Result<Admitted, Halt> {
        if refused_topic {
            return Ok(Admitted::Refused(refused::refusal(&record.headers())));
        }
        let Some(value) = record.value else {
            return Ok(match self.tombstones {
                Tombstones::Skip => Admitted::Skipped,
                Tombstones::Quarantine => {
                    Admitted::Refused(Refusal { code: RefusalCode::Tombstone, detail: "no value".to_owned(), schema_id: None })
                }
            });
        };
        match self.decoder.push(value) {
            Push::Row => Ok(Admitted::Row),
            Push::Refused(refusal) => Ok(Admitted::Refused(refusal)),
            Push::SchemaPending { schema_id } => Ok(Admitted::AwaitsSchema(schema_id)),
            Push::SchemaChanged { schema_id, writer, .. } => {
                Err(Halt::SchemaChanged(SchemaChange { source: source.clone(), offset: Offset(record.offset), schema_id, writer }))
            }
        }
    }

    /// Routes the decoded rows and gives each lake partition its own.
    fn buffer_rows(
        &mut self,
        records: &[RawRecord<'_>],
        owned: &mut Owned,
        buffers: &mut Buffers,
        context: &TakeContext<'_>,
    ) -> Result<(), Halt> {
        let flushed = self.decoder.flush().map_err(|detail| WriterError::Bug { what: "decode rows", detail })?;
        let rows = std::mem::take(&mut self.rows);
        let decoded = flushed.as_ref().map_or(0, RecordBatch::num_rows);
        if decoded != rows.record.len() {
            let detail = format!("decoder gave `{decoded}` rows for `{}` records", rows.record.len());
            return Err(WriterError::Bug { what: "decode rows", detail }.into());
        }
        if let Some(batch) = flushed {
            self.route_rows(&batch, &rows, records, (owned, buffers, context))?;
        }
        self.rows = rows;
        self.rows.clear();
        Ok(())
    }

    fn route_rows(
        &self,
        batch: &RecordBatch,
        rows: &PendingRows,
        records: &[RawRecord<'_>],
        (owned, buffers, context): (&mut Owned, &mut Buffers, &TakeContext<'_>),
    ) -> Result<(), Halt> {
        let rules = &self.rules;
        let combinations = combinations(batch, &rules.partition_columns, &rules.layout).map_err(WriterError::from)?;
        let event_time = match rules.event_time {
            EventTimeSource::Column(index) => Some(micros_column(batch.column(index))?),
            EventTimeSource::KafkaTimestamp => None,
        };
        let sources = RowSources { partition: &rows.partition, timestamp: &rows.timestamp, event_time };
        let routing = Routing { rules, combinations: &combinations, is_closed: context.is_closed, clock: context.clock };
        let routed = route(sources, routing, owned);
        for refused in &routed.refused {
            let row = refused.row as usize;
            let detail = match refused.code {
                RefusalCode::PartitionValueTooLong => "partition values do not fit into an object key".to_owned(),
                code => event_time_detail(code, refused.event_time, rows.timestamp[row]),
            };
            let record = &records[rows.record[row] as usize];
            let refusal = Refusal { code: refused.code, detail, schema_id: schema_id(record.value) };
            refuse(record, &refusal, rows.partition[row] as usize, (owned, buffers, context.clock));
        }
        for (row, _) in routed.slot_of.iter().enumerate().filter(|(_, slot)| **slot != Routed::REFUSED) {
            owned.at(rows.partition[row] as usize).count_row();
        }
        let whole = with_identity(batch, rows, records, (rules, owned))?;
        push_slots(&whole, &routed, &combinations.values, buffers)?;
        Ok(())
    }
}

/// Gives each slot its rows.
fn push_slots(batch: &RecordBatch, routed: &Routed, values: &[Vec<Option<String>>], buffers: &mut Buffers) -> Result<(), WriterError> {
    let slots = routed.slots.iter().map(|slot| {
        let lake_partition = LakePartition { window_start: slot.window_start, values: values[slot.combination as usize].clone() };
        let target = Target { lake_partition, late: slot.late };
        SlotRows { target, rows: slot.rows, event_time_min: slot.event_time_min, event_time_max: slot.event_time_max }
    });
    buffers.push(batch, routed.rows_by_slot(), slots.collect())
}

/// Decides about offsets that were not delivered: lost if Kafka begins beyond them, else absent.
fn cross_gap(partition: usize, offset: i64, owned: &mut Owned, context: &TakeContext<'_>) -> Result<(), Halt> {
    let progress = owned.at(partition);
    match (context.earliest)(&progress.source) {
        Some(earliest) if earliest > progress.next().0 => {
            Err(Halt::Lost { source: progress.source.clone(), expected: progress.next(), earliest: Offset(earliest) })
        }
        _ => {
            progress.skip_absent(offset);
            Ok(())
        }
    }
}

fn refuse(record: &RawRecord<'_>, refusal: &Refusal, partition: usize, (owned, buffers, clock): (&mut Owned, &mut Buffers, Time)) {
    let progress = owned.at(partition);
    progress.count_quarantined();
    let timestamp = KafkaTimestamp::from_millis(record.timestamp_ms);
    buffers.quarantine.push(RefusedRecord {
        refusal,
        key: record.key,
        value: record.value,
        headers: &record.headers(),
        ingest_time: timestamp.or_clock(clock),
        topic_label: &topic_label(&progress.source),
        kafka_partition: record.kafka_partition,
        offset: record.offset,
        kafka_timestamp: timestamp.time(),
    });
}

/// `topic`, or `topic#<generation>` after the first: with the kafka_partition and the offset it names a record for good.
pub fn topic_label(source: &SourcePartition) -> String {
    match source.generation {
        1 => source.topic.clone(),
        generation => format!("{}#{generation}", source.topic),
    }
}

/// The id in the header of a value.
fn schema_id(value: Option<&[u8]>) -> Option<u32> {
    let id = value?.get(1..5)?;
    Some(u32::from_be_bytes(id.try_into().expect("four bytes")))
}

fn chunk_len(records: &[RawRecord<'_>]) -> usize {
    let mut bytes = 0;
    for (index, record) in records.iter().enumerate().take(CHUNK_RECORDS) {
        bytes += record.value.map_or(0, <[u8]>::len);
        if bytes >= CHUNK_BYTES {
            return index + 1;
        }
    }
    records.len().min(CHUNK_RECORDS)
}

fn micros_column(column: &ArrayRef) -> Result<&TimestampMicrosecondArray, WriterError> {
    use arrow::array::AsArray;
    column
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| WriterError::Bug { what: "read event times", detail: format!("column is `{}`", column.data_type()) })
}

/// The columns of the file: data without partition columns, then the identity of each row's record.
fn with_identity(
    batch: &RecordBatch,
    rows: &PendingRows,
    records: &[RawRecord<'_>],
    (rules, owned): (&TableRules, &mut Owned),
) -> Result<RecordBatch, WriterError> {
    let sources: Vec<(String, KafkaPartition)> = owned.iter().map(|p| (topic_label(&p.source), p.source.kafka_partition)).collect();
    let mut topic = StringBuilder::with_capacity(rows.record.len(), rows.record.len() * 16);
    for &partition in &rows.partition {
        topic.append_value(&sources[partition as usize].0);
    }
    let kafka_partition = Int32Array::from_iter_values(rows.partition.iter().map(|&partition| sources[partition as usize].1.0));
    let offset = Int64Array::from_iter_values(rows.record.iter().map(|&record| records[record as usize].offset));
    let timestamp: TimestampMicrosecondArray = rows.timestamp.iter().map(|timestamp| timestamp.time().map(|time| time.0)).collect();
    let mut columns: Vec<ArrayRef> = rules.file_columns.iter().map(|&index| Arc::clone(batch.column(index))).collect();
    columns.extend([
        Arc::new(topic.finish()) as ArrayRef,
        Arc::new(kafka_partition),
        Arc::new(offset),
        Arc::new(timestamp.with_timezone("UTC")),
    ]);
    RecordBatch::try_new(Arc::clone(&rules.file_schema), columns)
        .map_err(|e| WriterError::Bug { what: "build file rows", detail: e.to_string() })
}

#[cfg(test)]
mod tests;

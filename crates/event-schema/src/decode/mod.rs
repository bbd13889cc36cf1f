//! Framed records to Arrow batches: frame, walk, decode, finish.
mod cursor;
mod fault;
mod finish;
mod frame;
mod segment;
mod walk;

pub(crate) use frame::frame;
pub(crate) use segment::arrow_decoder;

use crate::{Refusal, RefusalCode, SchemaLookup, SchemaSource, TableSchema, schema::normalise};
use arrow::record_batch::RecordBatch;
use segment::Segment;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Limits on a record.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nesting of a value (64; ceiling 256).
    pub depth: usize,
    /// Decoded nodes of a record (10^6): fields, items, entries, and the members that nulls of records have in memory.
    pub nodes: usize,
    /// Bytes of a record (16 MiB).
    pub record_bytes: usize,
}

/// Nesting that no setting can exceed.
const DEPTH_CEILING: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, nodes: 1_000_000, record_bytes: 16 << 20 }
    }
}

/// Result of pushing one record.
#[derive(Debug)]
pub enum Push {
    /// It is the next row of the batch.
    Row,
    /// It is refused; the batch is as before.
    Refused(Refusal),
    /// The schema with its id is not known yet: nothing was taken, the same record must be pushed again later.
    SchemaPending {
        /// Id in the record's header.
        schema_id: u32,
    },
    /// It was written with a schema that the table's does not cover: nothing was taken. [`TableSchema::evolve`] says whether the table can
    /// take it up; with that table schema in a new decoder the record must be pushed again.
    SchemaChanged {
        /// Id in the record's header.
        schema_id: u32,
        /// Canonical text of the writer's schema.
        writer: String,
        /// Canonical text of the table's.
        table: String,
    },
}

/// Memory after which rows go into a further segment, so that 32-bit offsets of Arrow cannot overflow.
const SEGMENT_BYTES: usize = 1 << 30;

/// Decodes Confluent-framed Avro records into Arrow batches of the table's schema. A record is decoded whole or refused and never harms a
/// neighbour. Any schema that is the same as the table's is accepted, whatever its id and subject; as these have the same bytes, rows of
/// different ids share a batch in the order of their pushes.
#[derive(Debug)]
pub struct BatchDecoder {
    schema: Arc<TableSchema>,
    schemas: Arc<dyn SchemaSource>,
    limits: Limits,
    /// What is known of each writer schema.
    writers: HashMap<u32, Writer>,
    /// The id of the record before, which is nearly always that of the next.
    last_same: Option<u32>,
    segment: Segment,
    full: VecDeque<RecordBatch>,
    full_rows: usize,
    /// [`SEGMENT_BYTES`] but in tests.
    segment_bytes: usize,
    broken: Option<String>,
}

#[derive(Clone, Debug)]
enum Writer {
    Same,
    Differs(String),
}

impl BatchDecoder {
    /// A decoder for one table. Depth above 256 counts as 256.
    pub fn new(schema: Arc<TableSchema>, schemas: Arc<dyn SchemaSource>, limits: Limits) -> Self {
        let limits = Limits { depth: limits.depth.min(DEPTH_CEILING), ..limits };
        let segment = Segment::new(&schema);
        Self {
            schema,
            schemas,
            limits,
            writers: HashMap::new(),
            last_same: None,
            segment,
            full: VecDeque::new(),
            full_rows: 0,
            segment_bytes: SEGMENT_BYTES,
            broken: None,
        }
    }

    /// Takes one record's value. An empty value is a record without a header; a null value never gets here.
    pub fn push(&mut self, value: &[u8]) -> Push {
        let refused = |code, detail, schema_id| Push::Refused(Refusal { code, detail, schema_id });
        if value.len() > self.limits.record_bytes {
            let detail = format!("the value has `{}` bytes, the limit is `{}`", value.len(), self.limits.record_bytes);
            return refused(RefusalCode::TooLarge, detail, frame::split(value).ok().map(|(id, _)| id));
        }
        let (id, body) = match frame::split(value) {
            Ok(framed) => framed,
            Err((code, detail)) => return refused(code, detail, None),
        };
        if self.last_same != Some(id) {
            match self.writer(id) {
                Ok(Writer::Same) => self.last_same = Some(id),
                Ok(Writer::Differs(writer)) => {
                    return Push::SchemaChanged { schema_id: id, writer, table: self.schema.avro_json().to_owned() };
                }
                Err(push) => return push,
            }
        }
        match walk::walk_record(body, self.schema.members(), &self.limits) {
            Ok(nodes) => {
                self.append(body, nodes);
                Push::Row
            }
            Err(fault) => refused(fault.code, fault.detail(), Some(id)),
        }
    }

    /// Rows pushed since the last flush.
    pub fn rows(&self) -> usize {
        self.full_rows + self.segment.rows()
    }

    /// About how many bytes the rows take in memory; never less than the values pushed.
    pub fn memory_bytes(&self) -> usize {
        self.full.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() + self.segment.memory_bytes()
    }

    /// The rows in the order of their pushes; `None` if there are none. One batch holds about 1 GiB: whoever lets more come together calls
    /// again until `None`. Cannot fail for data: an error is a bug of ours, and the rows since the last flush are lost to this decoder.
    pub fn flush(&mut self) -> Result<Option<RecordBatch>, String> {
        if let Some(what) = self.broken.take() {
            self.segment = Segment::new(&self.schema);
            self.full.clear();
            self.full_rows = 0;
            return Err(what);
        }
        if let Some(batch) = self.full.pop_front() {
            self.full_rows -= batch.num_rows();
            return Ok(Some(batch));
        }
        self.segment.flush(&self.schema)
    }

    fn writer(&mut self, id: u32) -> Result<Writer, Push> {
        if let Some(known) = self.writers.get(&id) {
            return Ok(known.clone());
        }
        let found = match self.schemas.lookup(id) {
            SchemaLookup::Found(found) => found,
            SchemaLookup::Pending => return Err(Push::SchemaPending { schema_id: id }),
            SchemaLookup::Refused { code, detail } => return Err(Push::Refused(Refusal { code, detail, schema_id: Some(id) })),
        };
        let writer = match normalise(&found.avro_json) {
            Ok(canonical) if canonical == self.schema.avro_json() => Writer::Same,
            Ok(canonical) => Writer::Differs(canonical),
            Err(_) => Writer::Differs(found.avro_json.clone()),
        };
        self.writers.insert(id, writer.clone());
        Ok(writer)
    }

    /// Adds a walked record. A failure is kept for the flush, as the walk has promised that there is none.
    fn append(&mut self, body: &[u8], nodes: usize) {
        if self.broken.is_some() {
            return;
        }
        let appended = self.segment.append(body, nodes).and_then(|()| {
            if self.segment.memory_bytes() < self.segment_bytes {
                return Ok(());
            }
            let batch = self.segment.flush(&self.schema)?;
            self.full_rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
            self.full.extend(batch);
            Ok(())
        });
        self.broken = appended.err();
    }
}

#[cfg(test)]
mod tests;

//! Framed records to Arrow batches, in one checked pass.
//!
//! ```text
//! writer schema ─┐
//!                ├─▶ plan ─▶ op ──┐
//! table schema ──┤                ├─▶ pass ─▶ store ─▶ assemble ─▶ RecordBatch
//!                └─▶ store ───────┤
//! record ─▶ frame ────────────────┘
//! ```
//! The plan is made once per writer schema; rows of several writer schemas share a batch.
mod assemble;
mod check;
mod cursor;
mod fault;
mod frame;
mod map_keys;
mod op;
mod pass;
mod plan;
mod plans;
mod store;
mod text;
mod validity;

pub use check::{Checked, PayloadCheck};
pub(crate) use frame::frame;
pub(crate) use pass::decodes;
pub(crate) use plan::resolve;

use crate::{Refusal, RefusalCode, SchemaSource, TableSchema};
use arrow::record_batch::RecordBatch;
use plans::{Plans, Resolved};
use std::{collections::VecDeque, sync::Arc};
use store::{Node, Store};

/// Limits on a record.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nesting of a value (64; ceiling 256).
    pub depth: usize,
    /// Decoded nodes of a record (10^6; ceiling 32 million): fields, items, entries, and the members that nulls of records have in memory.
    pub nodes: usize,
    /// Bytes of a record (16 MiB; ceiling 512 MiB).
    pub record_bytes: usize,
}

/// What no setting can exceed: a stack of 256 levels is small, and a segment with one record more than it should have stays below 2^31 bytes.
const CEILING: Limits = Limits { depth: 256, nodes: 32_000_000, record_bytes: 512 << 20 };

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
const _: () = assert!(SEGMENT_BYTES + CEILING.record_bytes + CEILING.nodes * NODE_BYTES <= i32::MAX as usize);
/// Memory of a node: its value and its share of null masks and offsets.
const NODE_BYTES: usize = 16;

/// Decodes Confluent-framed Avro records into Arrow batches of the table's schema. A record is decoded whole or refused and never harms a
/// neighbour. Any schema that the table's covers is accepted, whatever its id and subject; rows of different ids share a batch in the order
/// of their pushes.
#[derive(Debug)]
pub struct BatchDecoder {
    schema: Arc<TableSchema>,
    plans: Plans,
    limits: Limits,
    store: Store,
    root: Node,
    /// Rows in the store.
    rows: usize,
    /// About what they take.
    memory_bytes: usize,
    full: VecDeque<RecordBatch>,
    full_rows: usize,
    /// [`SEGMENT_BYTES`] but in tests.
    segment_bytes: usize,
    broken: Option<String>,
}

impl BatchDecoder {
    /// A decoder for one table. Limits above their ceilings count as these.
    pub fn new(schema: Arc<TableSchema>, schemas: Arc<dyn SchemaSource>, limits: Limits) -> Self {
        let limits = Limits {
            depth: limits.depth.min(CEILING.depth),
            nodes: limits.nodes.min(CEILING.nodes),
            record_bytes: limits.record_bytes.min(CEILING.record_bytes),
        };
        let mut store = Store::default();
        let root = store.add(schema.root());
        Self {
            plans: Plans::new(schemas),
            schema,
            limits,
            store,
            root,
            rows: 0,
            memory_bytes: 0,
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
        let (id, datum) = match frame::split(value) {
            Ok(framed) => framed,
            Err((code, detail)) => return refused(code, detail, None),
        };
        let op = match self.plans.of(id, &self.schema, (&self.store, self.root)) {
            Resolved::Plan(plan) => &plan.op,
            Resolved::Other(push) => return push,
        };
        match pass::decode_record(datum, op, &mut self.store, &self.limits) {
            Ok(nodes) => {
                self.rows += 1;
                self.memory_bytes += datum.len() + nodes * NODE_BYTES;
                if self.memory_bytes >= self.segment_bytes {
                    self.end_segment();
                }
                Push::Row
            }
            Err(fault) => {
                self.store.truncate(self.root, self.rows);
                refused(fault.code, fault.detail(), Some(id))
            }
        }
    }

    /// Rows pushed since the last flush.
    pub fn rows(&self) -> usize {
        self.full_rows + self.rows
    }

    /// About how many bytes the rows take in memory; never less than the values pushed.
    pub fn memory_bytes(&self) -> usize {
        self.full.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() + self.memory_bytes
    }

    /// The rows in the order of their pushes; `None` if there are none. One batch holds about 1 GiB: whoever lets more come together calls
    /// again until `None`. Cannot fail for data: an error is a bug of ours, and the rows since the last flush are lost to this decoder.
    pub fn flush(&mut self) -> Result<Option<RecordBatch>, String> {
        if let Some(what) = self.broken.take() {
            self.full.clear();
            self.full_rows = 0;
            return Err(what);
        }
        if let Some(batch) = self.full.pop_front() {
            self.full_rows -= batch.num_rows();
            return Ok(Some(batch));
        }
        self.take_rows()
    }

    /// Drops the rows since the last flush.
    fn forget_rows(&mut self) {
        self.store.truncate(self.root, 0);
        self.rows = 0;
        self.memory_bytes = 0;
    }

    /// The column of a member of the top level, where that is a record.
    fn member(&self, index: usize) -> Option<Node> {
        match self.root {
            Node::Struct(at) => self.store.structs[at].members.get(index).copied().flatten(),
            _ => None,
        }
    }

    /// Moves the rows of the store out of it.
    fn take_rows(&mut self) -> Result<Option<RecordBatch>, String> {
        let rows = std::mem::take(&mut self.rows);
        self.memory_bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let batch = self.store.take_batch(self.root, &self.schema, rows);
        if batch.is_err() {
            self.plans.forget();
            self.store = Store::default();
            self.root = self.store.add(self.schema.root());
        }
        batch.map(Some).map_err(|error| format!("cannot assemble `{rows}` decoded rows: {error}"))
    }

    /// A failure is kept for the flush.
    fn end_segment(&mut self) {
        match self.take_rows() {
            Ok(batch) => {
                self.full_rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
                self.full.extend(batch);
            }
            Err(what) => self.broken = Some(what),
        }
    }
}

#[cfg(test)]
mod tests;

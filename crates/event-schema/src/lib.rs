//! Avro ↔ Arrow ↔ Glue types, wire framing, schemas from files, and the checked decode of records. STUB: API to be kept, split into files.
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use table_log::record::Column;

/// Limits on a record.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nesting of a value (64; ceiling 256).
    pub depth: usize,
    /// Decoded nodes of a record (10^6), so that zero-width items cost nothing.
    pub nodes: usize,
    /// Bytes of a record (16 MiB).
    pub record_bytes: usize,
}

/// One fault of a schema: where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// Path in the schema, such as `reading.values[]`.
    pub path: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// A schema that cannot be used; all faults at once.
#[derive(Clone, Debug, thiserror::Error)]
#[error("schema is not usable: {}", faults.iter().map(|f| format!("`{}`: {}", f.path, f.what)).collect::<Vec<_>>().join("; "))]
pub struct SchemaError { pub faults: Vec<SchemaFault> }

/// The table's schema: a checked Avro record schema and its Arrow form (lower-case data columns, timestamps as micros).
#[derive(Debug)]
pub struct TableSchema {}
impl TableSchema {
    /// Parses and checks; unsupported types, colliding column names, too large schemas are refused with their paths.
    pub fn parse(avro_json: &str) -> Result<Self, SchemaError> { let _ = avro_json; todo!() }
    /// Data columns.
    pub fn arrow(&self) -> &SchemaRef { todo!() }
    /// Data columns as the catalog shows them.
    pub fn columns(&self) -> Vec<Column> { todo!() }
    /// Normalised Avro JSON, as it stands in the `table` record.
    pub fn avro_json(&self) -> &str { todo!() }
    /// Whether another schema decodes to the same rows the same way (canonical form with logical types and defaults).
    pub fn same_as(&self, avro_json: &str) -> bool { let _ = avro_json; todo!() }
}

/// The four identity columns `_kafka_topic`, `_kafka_partition`, `_kafka_offset`, `_kafka_timestamp` that follow the data columns in each file.
pub fn identity_fields() -> Vec<arrow::datatypes::Field> { todo!() }

/// Schemas from `schemas/<subject>/v<N>.avsc`; the id of each stands in the file's top-level attribute `"schema_id"`.
#[derive(Debug, Default)]
pub struct SchemaFolder {}
/// One schema of a subject.
#[derive(Debug)]
pub struct SubjectSchema { pub subject: String, pub version: u32, pub id: u32, pub avro_json: String }
impl SchemaFolder {
    /// Reads the folder; faults name the file. Two schemas with one id are a fault.
    pub fn load(folder: &Path) -> Result<Self, Vec<String>> { let _ = folder; todo!() }
    /// By id.
    pub fn by_id(&self, id: u32) -> Option<&Arc<SubjectSchema>> { let _ = id; todo!() }
    /// The highest version of a subject.
    pub fn latest(&self, subject: &str) -> Option<&Arc<SubjectSchema>> { let _ = subject; todo!() }
    /// All subjects.
    pub fn subjects(&self) -> BTreeMap<String, Vec<Arc<SubjectSchema>>> { todo!() }
}

/// Why a record is refused. `code` is stable, listed in docs/refusals.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum RefusalCode { Tombstone, BadMagic, ShortHeader, UnknownSchema, ShortRecord, TrailingBytes, InvalidUtf8, InvalidEnum, InvalidUnion, InvalidBlock, InvalidBoolean, TooDeep, TooManyNodes, TooLarge, DecimalOverflow, ValueOutOfRange, EventTimeNull, EventTimeFuture, EventTimePast, EventTimeRange, PartitionValueTooLong, BridgeRefused }
impl RefusalCode {
    /// Text form, snake_case.
    pub fn as_str(self) -> &'static str { todo!() }
    /// All codes, for docs and tests.
    pub fn all() -> &'static [RefusalCode] { &[] }
}
/// A refused record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal { pub code: RefusalCode, /// Where and what, without payload bytes.
    pub detail: String, pub schema_id: Option<u32> }

/// Result of pushing one record.
#[derive(Debug)]
pub enum Push {
    /// It is the next row of the batch.
    Row,
    /// It is refused; the batch is as before.
    Refused(Refusal),
    /// It was written with a schema of the subject that is not the table's: the table stops, both are shown.
    SchemaChanged { schema_id: u32, writer: String, table: String },
}

/// Decodes Confluent-framed Avro records into Arrow batches of the table's schema. A record is decoded whole or refused and never harms a neighbour.
#[derive(Debug)]
pub struct BatchDecoder {}
impl BatchDecoder {
    /// A decoder for one table.
    pub fn new(schema: Arc<TableSchema>, schemas: Arc<SchemaFolder>, limits: Limits) -> Self { let _ = (schema, schemas, limits); todo!() }
    /// Takes one record's value.
    pub fn push(&mut self, value: &[u8]) -> Push { let _ = value; todo!() }
    /// Rows pushed since the last flush.
    pub fn rows(&self) -> usize { todo!() }
    /// The rows in the order of their pushes; `None` if there are none. Cannot fail for data: an error is a bug of ours.
    pub fn flush(&mut self) -> Result<Option<RecordBatch>, String> { todo!() }
}

/// Encodes a JSON-like row as Confluent-framed Avro (for `produce` and the demo): see `encode` module, owner decides.
pub mod encode {}

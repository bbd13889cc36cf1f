//! arrow-avro's decoder, fed one walked record at a time.
//!
//! Its framing serves to end each record: a fixed single-object prefix goes before every datum, so bytes can never run into the next one.
use super::finish::finish_members;
use crate::TableSchema;
use arrow::record_batch::RecordBatch;
use arrow_avro::{
    reader::{Decoder, ReaderBuilder},
    schema::{AvroSchema, Fingerprint, SchemaStore},
};

/// Identity of the one schema that the inner decoder knows; any number does.
const FINGERPRINT: u64 = 0x7472_6962_7574_6172;
/// Memory of a node: its value and its share of null masks and offsets.
const NODE_BYTES: usize = 16;

/// An inner decoder for a plain schema.
pub(crate) fn arrow_decoder(wire_schema: &str) -> Result<Decoder, String> {
    let mut store = SchemaStore::new();
    let fingerprint = store.set(Fingerprint::Rabin(FINGERPRINT), AvroSchema::new(wire_schema.to_owned())).map_err(|e| e.to_string())?;
    ReaderBuilder::new()
        .with_writer_schema_store(store)
        .with_active_fingerprint(fingerprint)
        .with_batch_size(usize::MAX)
        .build_decoder()
        .map_err(|e| e.to_string())
}

fn prefix() -> [u8; 10] {
    let mut prefix = [0xc3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];
    prefix[2..].copy_from_slice(&FINGERPRINT.to_le_bytes());
    prefix
}

/// Rows that become one batch.
#[derive(Debug)]
pub(super) struct Segment {
    decoder: Decoder,
    rows: usize,
    memory_bytes: usize,
}

impl Segment {
    pub(super) fn new(schema: &TableSchema) -> Self {
        let decoder = arrow_decoder(schema.wire_schema()).expect("TableSchema::parse has built one from the same text");
        Self { decoder, rows: 0, memory_bytes: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Decodes a record that the walk has passed.
    pub(super) fn append(&mut self, datum: &[u8], nodes: usize) -> Result<(), String> {
        let prefix = prefix();
        let before = self.decoder.capacity();
        let header = self.decoder.decode(&prefix).map_err(|e| format!("cannot start a record: {e}"))?;
        let consumed = self.decoder.decode(datum).map_err(|e| format!("cannot decode a checked record: {e}"))?;
        let rows = before - self.decoder.capacity();
        if header != prefix.len() || consumed != datum.len() || rows != 1 {
            return Err(format!("a checked record of `{}` bytes was decoded as `{rows}` rows from `{consumed}` bytes", datum.len()));
        }
        self.rows += 1;
        self.memory_bytes += datum.len() + nodes * NODE_BYTES;
        Ok(())
    }

    /// The rows as a batch of the table's schema; `None` if there are none.
    pub(super) fn flush(&mut self, schema: &TableSchema) -> Result<Option<RecordBatch>, String> {
        let rows = std::mem::take(&mut self.rows);
        self.memory_bytes = 0;
        let Some(decoded) = self.decoder.flush().map_err(|e| format!("cannot flush checked records: {e}"))? else {
            return if rows == 0 { Ok(None) } else { Err(format!("`{rows}` checked records were decoded as none")) };
        };
        if decoded.num_rows() != rows {
            return Err(format!("`{rows}` checked records were decoded as `{}`", decoded.num_rows()));
        }
        let (_, columns, _) = decoded.into_parts();
        finish_members(columns, schema.members(), schema.arrow().fields(), None)
            .and_then(|columns| RecordBatch::try_new(schema.arrow().clone(), columns))
            .map(Some)
            .map_err(|e| format!("cannot bring checked records to the table's schema: {e}"))
    }
}

//! The decode against apache-avro, which shares no code with it.
mod batches;
mod generate;
mod malformed;
mod mutations;
mod parquet_files;
mod plain;
mod types;
mod writers;

use super::{BatchDecoder, Limits, Push, frame};
use crate::{Refusal, SchemaFolder, TableSchema};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

pub(super) const ID: u32 = 7;

/// A decoder for a table whose schema is the only one, with the id [`ID`].
pub(super) fn decoder(avro_json: &str) -> BatchDecoder {
    limited(avro_json, Limits::default())
}

pub(super) fn limited(avro_json: &str, limits: Limits) -> BatchDecoder {
    let schema = TableSchema::parse(avro_json).unwrap_or_else(|error| panic!("{error}\n{avro_json}"));
    BatchDecoder::new(Arc::new(schema), Arc::new(SchemaFolder::from_schemas("s", [(ID, avro_json.to_owned())])), limits)
}

pub(super) fn framed(datum: &[u8]) -> Vec<u8> {
    let mut value = frame(ID);
    value.extend_from_slice(datum);
    value
}

/// Pushes a datum and expects a row.
pub(super) fn accept(decoder: &mut BatchDecoder, datum: &[u8]) {
    match decoder.push(&framed(datum)) {
        Push::Row => {}
        other => panic!("{other:?} for {datum:02x?}"),
    }
}

/// Pushes a datum and expects a refusal.
pub(super) fn refuse(decoder: &mut BatchDecoder, datum: &[u8]) -> Refusal {
    match decoder.push(&framed(datum)) {
        Push::Refused(refusal) => refusal,
        other => panic!("{other:?} for {datum:02x?}"),
    }
}

pub(super) fn flush(decoder: &mut BatchDecoder) -> RecordBatch {
    decoder.flush().unwrap().expect("there are rows")
}

/// A record schema of one field `f`.
pub(super) fn one_field(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#)
}

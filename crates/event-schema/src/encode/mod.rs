//! JSON documents and rows of text to Confluent-framed Avro, by the schema of a subject.
//!
//! ```text
//! schema ─▶ form ──┐
//! document ─▶ lexer ─▶ pass (record, union, scalar) ─▶ framed bytes
//! ```
//! One pass over the bytes of a document. Values are kept exactly or refused with their path and place: integers are range-checked, decimals
//! and timestamps are never rounded, a name that stands twice in an object is refused, and so is a field that the schema does not have,
//! unless [`UnknownFields`] says otherwise.
//!
//! | Avro | JSON | text (CSV) |
//! |---|---|---|
//! | boolean | `true`, `false` | the same |
//! | int, long, time-* | integer | the same |
//! | float, double | number, or `"NaN"`, `"Infinity"`, `"-Infinity"` | the same without quotes |
//! | string, enum, uuid | string | as it is |
//! | bytes, fixed | base64 with padding | the same |
//! | decimal | string such as `"-12.50"`, or an integer | the same without quotes |
//! | date | `"2026-11-21"`, or days since 1970 | the same without quotes |
//! | timestamp-* | RFC 3339 with `Z` or an offset, or a number as [`EpochUnit`] says: by default an integer of the type's unit | the same without quotes |
//! | local-timestamp-* | the same without an offset | the same without quotes |
//! | array, map, record | array, object, object | the same as JSON |
//! | `["null", T]` | `null`, T, or T tagged: `{"string": "x"}` | an empty cell, or T |
//! | other unions | tagged, or as the first branch that the value fits | the same as JSON |
//! | big-decimal | string such as `"-12.50"` | the same as JSON |
//! | duration | `{"months": 1, "days": 2, "millis": 3}` | the same as JSON |
//! | a field left out | its default, else null | the same |
pub(crate) mod binary;
mod calendar;
mod elements;
mod fault;
mod form;
mod lexer;
mod name_index;
mod number;
mod options;
mod pass;
mod record;
mod room;
mod scalar;
mod text_row;
mod union;

pub use elements::split_array;
pub use fault::{EncodeError, Position};
pub use options::{Conflict, EncodeOptions, EpochUnit, Supplied, UnknownFields};
pub use room::Room;

use crate::{
    RefusalCode, SchemaError, TableSchema,
    decode::frame,
    schema::{NullBranch, Shape},
};
use binary::put_long;
use fault::Walk;
use form::{Form, RecordForm};
use lexer::{Budget, Lexer};
use pass::Pass;
use std::ops::Range;

/// Encodes documents and rows of one schema.
#[derive(Debug)]
pub struct AvroEncoder {
    root: RecordForm,
    /// Header, and the branch where the top level is a union with null.
    start: Vec<u8>,
    options: EncodeOptions,
    /// Place of the key field.
    key: Option<usize>,
}

/// Where in the output a document became what. All ranges count from the output's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The framed record.
    pub value: Range<usize>,
    /// The text of the key field; `None`: it is null, or no field is the key.
    pub key: Option<Range<usize>>,
    /// A bit for each supplied field, in their order, that the document claimed otherwise.
    pub conflicts: u64,
}

impl AvroEncoder {
    /// An encoder for a schema that a table could have, whose top level is a record, also in a union with null; `schema_id` goes into each
    /// header.
    ///
    /// # Errors
    /// The schema is no such.
    pub fn new(avro_json: &str, schema_id: u32) -> Result<Self, SchemaError> {
        Self::with_options(avro_json, schema_id, EncodeOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// The schema is no such, or lacks what the options name; all faults at once, with the fields.
    pub fn with_options(avro_json: &str, schema_id: u32, options: EncodeOptions) -> Result<Self, SchemaError> {
        let schema = TableSchema::parse(avro_json)?;
        let Shape::Record(members) = &schema.root().shape else {
            return Err(SchemaError::whole("records are made for records only: the top level of the schema is none"));
        };
        let mut root = RecordForm::new(members);
        root.assign(&options)?;
        let mut start = frame(schema_id);
        match schema.root().null {
            NullBranch::Absent => {}
            NullBranch::First => put_long(&mut start, 1),
            NullBranch::Second => put_long(&mut start, 0),
        }
        let key = options.key.as_ref().and_then(|key| root.find(key));
        Ok(Self { root, start, options, key })
    }

    /// Names of the top-level fields, as in the Avro schema.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.root.members.iter().map(|member| &*member.name)
    }

    /// Encodes one JSON document, an object whose names are the fields', behind what `out` has. `supplied` are the values of the fields that
    /// [`EncodeOptions::supplied`] names, in that order; of one that is `None`, or not there, the document's own counts. A key that is not a
    /// string stands behind the record as text.
    ///
    /// # Errors
    /// The document is not JSON, or not a record of the schema; `out` is as before.
    pub fn encode(&self, document: &[u8], supplied: &[Option<&str>], room: &mut Room, out: &mut Vec<u8>) -> Result<Encoded, EncodeError> {
        let start = out.len();
        self.encode_document(document, supplied, room, out).map_err(|error| {
            out.truncate(start);
            error.finished(document)
        })
    }

    fn encode_document(&self, document: &[u8], supplied: &[Option<&str>], room: &mut Room, out: &mut Vec<u8>) -> Walk<Encoded> {
        let limits = &self.options.limits;
        if document.len() > limits.record_bytes {
            let what = format!("the document has `{}` bytes, the limit is `{}`", document.len(), limits.record_bytes);
            return Err(EncodeError::new(RefusalCode::TooLarge, what));
        }
        let lexer = Lexer::new(document)?;
        room.clear();
        let start = out.len();
        out.extend_from_slice(&self.start);
        let budget = Budget { nodes: limits.nodes, depth: limits.depth };
        let mut pass = Pass { lexer, out, room, budget, options: &self.options, supplied, strict: false, conflicts: 0 };
        let member = pass.document(&self.root, self.key)?;
        let conflicts = pass.conflicts;
        let value = start..out.len();
        let key = match (self.key, member) {
            (Some(index), Some(member)) => put_key(&self.root.members[index].form, member, out),
            _ => None,
        };
        Ok(Encoded { value, key, conflicts })
    }

    /// Encodes one JSON document without values from outside. For many, [`Self::encode`] needs no memory of its own.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_json(&self, document: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        let encoded = self.encode(document, &[], &mut Room::default(), &mut out)?;
        out.truncate(encoded.value.end);
        Ok(out)
    }
}

/// Where the text of a key stands: in the record for a string, else behind it.
fn put_key(form: &Form, member: Range<usize>, out: &mut Vec<u8>) -> Option<Range<usize>> {
    let mut datum = &out[member.clone()];
    if let Form::Union(union) = form {
        let branch = binary::take_long(&mut datum)?;
        if usize::try_from(branch).ok() == union.null {
            return None;
        }
    }
    let text = match form.value() {
        Form::String | Form::Scalar(Shape::UuidText) => {
            binary::take_long(&mut datum)?;
            return Some(member.end - datum.len()..member.end);
        }
        Form::Scalar(Shape::Enum(symbols)) => {
            let index = usize::try_from(binary::take_long(&mut datum)?).ok()?;
            symbols.get(index)?.clone()
        }
        form => key_text(form, datum)?,
    };
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    Some(start..out.len())
}

/// Integers, booleans and uuids have a text that everybody writes alike; of the other types the record's bytes are the key.
fn key_text(form: &Form, mut datum: &[u8]) -> Option<String> {
    Some(match form {
        Form::Int | Form::Long | Form::Scalar(Shape::Date | Shape::TimeMillis | Shape::TimeMicros | Shape::Timestamp(_)) => {
            binary::take_long(&mut datum)?.to_string()
        }
        Form::Scalar(Shape::Boolean) => (datum == [1]).to_string(),
        Form::Scalar(Shape::UuidBytes) => uuid_text(datum),
        _ => datum.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

#[cfg(test)]
mod tests;

//! Rows from JSON or text to Confluent-framed Avro, for `produce` and the demo.
//!
//! Values are kept exactly or refused with their path: integers are range-checked, decimals and timestamps are never rounded, a field that the
//! schema does not have is an error.
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
//! | timestamp-* | RFC 3339 with `Z` or an offset, or an integer of the type's unit | the same without quotes |
//! | local-timestamp-* | the same without an offset | the same without quotes |
//! | array, map, record | array, object, object | the same as JSON |
//! | `["null", T]` | `null`, a left-out field, or T | an empty cell, or T |
//! | other unions | as the first branch that the value fits | the same as JSON |
//! | big-decimal | string such as `"-12.50"` | the same as JSON |
//! | duration | `{"months": 1, "days": 2, "millis": 3}` | the same as JSON |
pub(crate) mod binary;
mod calendar;
mod scalar;
mod value;

use crate::{
    SchemaError, TableSchema,
    decode::frame,
    schema::{Member, Shape},
};
use serde_json::Value;
use std::collections::HashMap;

/// A value that does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {what}")]
pub struct EncodeError {
    /// Path to the value, such as `reading.values[2]`; `row` for the whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
}

impl EncodeError {
    fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    /// The same error, seen from one level further out.
    fn within(self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with(['[', '{']) { "" } else { "." };
        Self { path: format!("{step}{dot}{}", self.path), what: self.what }
    }

    fn rooted(self) -> Self {
        if self.path.is_empty() { Self { path: "row".to_owned(), ..self } } else { self }
    }
}

/// Encodes rows of one schema.
#[derive(Debug)]
pub struct AvroEncoder {
    schema: TableSchema,
    schema_id: u32,
}

impl AvroEncoder {
    /// An encoder for a schema that a table could have, whose top level is a record, also in a union with null; `schema_id` goes into each
    /// header.
    pub fn new(avro_json: &str, schema_id: u32) -> Result<Self, SchemaError> {
        let schema = TableSchema::parse(avro_json)?;
        match schema.root().shape {
            Shape::Record(_) => Ok(Self { schema, schema_id }),
            _ => Err(SchemaError::whole("rows are made for records only: the top level of the schema is none")),
        }
    }

    fn members(&self) -> &[Member] {
        match &self.schema.root().shape {
            Shape::Record(members) => members,
            _ => unreachable!("`new` takes records only"),
        }
    }

    /// Header, and the branch where the top level is a union with null.
    fn start(&self) -> Vec<u8> {
        let mut bytes = frame(self.schema_id);
        value::put_branch(&mut bytes, self.schema.root().null);
        bytes
    }

    /// Names of the top-level fields, as in the Avro schema.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.members().iter().map(|m| m.avro_name.as_str())
    }

    /// Encodes an object whose keys are the fields' names. A left-out nullable field is null.
    pub fn encode_json(&self, row: &Value) -> Result<Vec<u8>, EncodeError> {
        let Value::Object(object) = row else { return Err(EncodeError::new("the row is not an object").rooted()) };
        let mut bytes = self.start();
        value::encode_record(&mut bytes, self.members(), object).map_err(EncodeError::rooted)?;
        Ok(bytes)
    }

    /// Encodes a row of text cells under their columns' names. A cell of a nullable field is null when empty, and so is a left-out column.
    pub fn encode_text_row(&self, columns: &[&str], values: &[&str]) -> Result<Vec<u8>, EncodeError> {
        if columns.len() != values.len() {
            let what = format!("the row has `{}` values for `{}` columns", values.len(), columns.len());
            return Err(EncodeError::new(what).rooted());
        }
        let mut cells = HashMap::with_capacity(columns.len());
        for (column, value) in columns.iter().zip(values) {
            if cells.insert(*column, *value).is_some() {
                return Err(EncodeError::new("the column stands twice in the header").within(column));
            }
        }
        let mut bytes = self.start();
        for member in self.members() {
            let cell = cells.remove(member.avro_name.as_str());
            value::encode_cell(&mut bytes, &member.ty, cell).map_err(|error| error.within(&member.avro_name))?;
        }
        match cells.into_keys().min() {
            None => Ok(bytes),
            Some(unknown) => Err(EncodeError::new("the schema has no such field").within(unknown)),
        }
    }
}

#[cfg(test)]
mod tests;

//! What a caller decides about documents.
use crate::Limits;

/// How documents of one source are encoded.
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// What becomes of fields that the schema does not have.
    pub unknown_fields: UnknownFields,
    /// Fields of the top level that are passed over whatever [`UnknownFields`] says, unless the schema has them.
    pub passed_over: Vec<String>,
    /// What numbers mean that stand for timestamps.
    pub epoch: EpochUnit,
    /// Limits on a document. Depth and values are those of JSON: an object, a list and each of their values count.
    pub limits: Limits,
    /// Fields of the top level whose values come from outside of the document, at most 64.
    pub supplied: Vec<Supplied>,
    /// Field of the top level whose text is the record's key.
    pub key: Option<String>,
}

/// What becomes of fields that the schema does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// The document is refused.
    #[default]
    Refuse,
    /// They are passed over; their syntax is checked.
    Ignore,
    /// They go into this field of the top level, a map of strings, under their paths: strings as their text, anything else as its JSON.
    KeepIn(String),
}

/// What numbers mean that stand for timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EpochUnit {
    /// Integers of the type's own unit.
    #[default]
    OfType,
    /// Seconds since 1970, with digits after the point as far as the type's unit goes; likewise the others.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// A field whose value comes from outside of the document, such as from the topic that it was sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied {
    /// Field of the top level.
    pub field: String,
    /// What happens when the document has another value there. Null is no value.
    pub conflict: Conflict,
}

/// What happens when a document claims another value for a supplied field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// The document is refused.
    #[default]
    Refuse,
    /// The supplied value stands.
    Override,
    /// The supplied value stands, and the claim goes as text into this field, which no document can set.
    KeepClaimedIn(String),
}

impl Conflict {
    pub(super) fn keeps_in(&self) -> Option<&str> {
        match self {
            Self::KeepClaimedIn(field) => Some(field),
            _ => None,
        }
    }
}

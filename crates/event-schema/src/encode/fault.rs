//! Why a document or a row cannot be encoded, and where.
use crate::{Refusal, RefusalCode};
use std::fmt;

/// Result of a step; boxed, so that the good way moves one word.
pub(super) type Walk<T> = Result<T, Box<EncodeError>>;

/// A value that does not fit its field, or a document that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct EncodeError {
    /// Why, as it stands in quarantine.
    pub code: RefusalCode,
    /// Path to the value, such as `reading.values[2]` or `tags{site}`; `row` for the whole.
    pub path: String,
    /// What is wrong. It may quote the beginning of the value.
    pub what: String,
    /// Where in the document; `None` for rows of text.
    pub at: Option<Position>,
}

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub byte: usize,
    /// Line from 1.
    pub line: usize,
    /// Byte of the line, from 1.
    pub column: usize,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.what)?;
        match self.at {
            Some(Position { byte, line: 1, .. }) => write!(f, ", at byte {byte}"),
            Some(Position { byte, line, column }) => write!(f, ", at byte {byte} (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

impl EncodeError {
    /// The refusal of the record that the document should have become.
    pub fn refusal(&self) -> Refusal {
        Refusal { code: self.code, detail: self.to_string(), schema_id: None }
    }

    #[cold]
    pub(super) fn new(code: RefusalCode, what: impl Into<String>) -> Box<Self> {
        Box::new(Self { code, path: String::new(), what: what.into(), at: None })
    }

    /// Not JSON.
    #[cold]
    pub(super) fn invalid(what: impl Into<String>) -> Box<Self> {
        Self::new(RefusalCode::InvalidJson, what)
    }

    /// A field without a value.
    #[cold]
    pub(super) fn missing() -> Box<Self> {
        Self::new(RefusalCode::MissingField, "the field is missing and not nullable")
    }

    /// A field that the schema does not have.
    #[cold]
    pub(super) fn unknown(name: &str) -> Box<Self> {
        Self::new(RefusalCode::UnknownField, "the schema has no such field").within(&shortened(name))
    }

    /// A name that stands twice in an object.
    #[cold]
    pub(super) fn twice(at: usize, step: &str) -> Box<Self> {
        Self::new(RefusalCode::DuplicateField, "the name stands twice in the object").at(at).within(step)
    }

    /// At a byte of the document, if it has no place yet.
    #[cold]
    pub(super) fn at(mut self: Box<Self>, byte: usize) -> Box<Self> {
        self.at.get_or_insert(Position { byte, line: 0, column: 0 });
        self
    }

    /// The same error, seen from one level further out.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, step: &str) -> Box<Self> {
        self.path = joined(step, &self.path);
        self
    }

    /// For the caller: with its line, and the path of the whole where it has none.
    #[cold]
    pub(super) fn finished(mut self, document: &[u8]) -> Self {
        if self.path.is_empty() {
            self.path = "row".to_owned();
        }
        if let Some(Position { byte, line, column }) = &mut self.at {
            let before = &document[..(*byte).min(document.len())];
            *line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            *column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        }
        self
    }
}

/// A path below a step.
pub(super) fn joined(step: &str, path: &str) -> String {
    let dot = if path.is_empty() || path.starts_with(['[', '{']) { "" } else { "." };
    format!("{step}{dot}{path}")
}

/// The beginning of a text from outside.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

//! Records as bytes.
use super::{Body, FORMAT, Record};
use serde::Deserialize;

/// Why bytes are no record that this program can fold.
#[derive(Debug)]
pub enum RecordError {
    /// A newer program wrote it.
    NewerFormat {
        /// Its format.
        format: u32,
    },
    /// Of this format, but of a kind that this program does not know.
    UnknownKind {
        /// Its kind.
        kind: String,
    },
    /// Not JSON, or fields are missing or of other types.
    Malformed(serde_json::Error),
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NewerFormat { format } => {
                write!(f, "record has format `{format}`, and this program reads formats up to `{FORMAT}`: run a newer version")
            }
            Self::UnknownKind { kind } => write!(f, "record is of kind `{kind}`, which this program does not know: run a newer version"),
            Self::Malformed(error) => write!(f, "record cannot be read: {error}"),
        }
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::NewerFormat { .. } | Self::UnknownKind { .. } => None,
        }
    }
}

/// The kinds of format 1, as in `kind`.
const KINDS: [&str; 10] = ["table", "source", "append", "seal", "derive", "register", "vacuum", "sweep", "flush", "repair"];

impl Record {
    /// Reads a record's JSON. Unknown fields are tolerated.
    ///
    /// # Errors
    /// A newer `format`, an unknown `kind` (a fold that skips what it does not know would be wrong), or malformed JSON.
    pub fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            kind: String,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(RecordError::Malformed)?;
        if head.format > FORMAT {
            return Err(RecordError::NewerFormat { format: head.format });
        }
        if !KINDS.contains(&head.kind.as_str()) {
            return Err(RecordError::UnknownKind { kind: head.kind });
        }
        serde_json::from_slice(bytes).map_err(RecordError::Malformed)
    }

    /// The record's JSON, as it stands in the log.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has string keys only and cannot fail to serialise")
    }

    /// The record's kind, as in its JSON.
    pub fn kind(&self) -> &'static str {
        match &self.body {
            Body::Table(_) => "table",
            Body::Source(_) => "source",
            Body::Append(_) => "append",
            Body::Seal(_) => "seal",
            Body::Derive(_) => "derive",
            Body::Register(_) => "register",
            Body::Vacuum(_) => "vacuum",
            Body::Sweep(_) => "sweep",
            Body::Flush(_) => "flush",
            Body::Repair(_) => "repair",
        }
    }
}

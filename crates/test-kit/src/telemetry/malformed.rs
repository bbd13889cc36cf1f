//! Records that must be refused, one kind per defect.
use super::{TelemetryRow, avro};

/// A schema id that no test registers.
pub(super) const UNKNOWN_SCHEMA_ID: i32 = 999_999;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformation {
    /// No bytes at all (which is not null).
    Empty,
    /// Fewer bytes than a frame has.
    ShortFrame,
    /// The first byte is not zero.
    BadMagic,
    /// A schema id that nobody knows.
    UnknownSchema,
    /// The last bytes are missing.
    Truncated,
    /// Bytes after the end of the record.
    TrailingBytes,
    /// A second whole record behind the first.
    TwoRecords,
    /// The device id is not UTF-8.
    InvalidUtf8,
    /// A symbol that the enum does not have.
    BadEnumIndex,
}

impl Malformation {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Empty,
        Self::ShortFrame,
        Self::BadMagic,
        Self::UnknownSchema,
        Self::Truncated,
        Self::TrailingBytes,
        Self::TwoRecords,
        Self::InvalidUtf8,
        Self::BadEnumIndex,
    ];

    /// The framed bytes of `row` with this defect.
    pub(super) fn apply(self, row: &TelemetryRow, good: Vec<u8>) -> Vec<u8> {
        let mut bytes = good;
        match self {
            Self::Empty => bytes.clear(),
            Self::ShortFrame => bytes.truncate(4),
            Self::BadMagic => bytes[0] = 1,
            Self::UnknownSchema => bytes[1..5].copy_from_slice(&UNKNOWN_SCHEMA_ID.to_be_bytes()),
            Self::Truncated => bytes.truncate(bytes.len() - 3),
            Self::TrailingBytes => bytes.extend([0, 0]),
            Self::TwoRecords => bytes.extend_from_within(5..),
            // After the frame and the length of the device id, which is one byte.
            Self::InvalidUtf8 => bytes[6] = 0xff,
            Self::BadEnumIndex => bytes[avro::site_at(row)] = 14,
        }
        bytes
    }
}

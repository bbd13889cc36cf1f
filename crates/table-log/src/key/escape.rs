//! Partition values as path segments: `[A-Za-z0-9_-]` and inner dots stand for themselves, everything else is `%HH` of its UTF-8 bytes.
//!
//! So a device id `../../x` becomes `%2E.%2F..%2Fx`: no value makes a segment `.` or `..`, adds a `/`, or looks like another value.

/// Hive's name for NULL. A value that happens to be this very text is written with its first byte escaped.
pub const NULL_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Longest escaped value, in bytes. A longer one is refused rather than shortened, since shortening could not be undone.
pub const MAX_ESCAPED_BYTES: usize = 128;

/// Whether a value can be a partition value: escaped it has at most [`MAX_ESCAPED_BYTES`]. Writers refuse a record with a longer one.
pub fn partition_value_fits(value: &str) -> bool {
    escape(value).len() <= MAX_ESCAPED_BYTES
}

/// A column's value as a partition value: an empty string is NULL, as in Hive, whose paths cannot tell the two apart.
/// A [`crate::LakePartition`] never holds `Some("")`.
pub fn partition_value(value: Option<&str>) -> Option<String> {
    value.filter(|v| !v.is_empty()).map(str::to_owned)
}

/// The escaped text of a value that is not NULL.
pub(super) fn escape(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut escaped = String::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        let inner = at > 0 && at + 1 < bytes.len();
        let plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || (byte == b'.' && inner);
        if plain && !(at == 0 && value == NULL_VALUE) {
            escaped.push(char::from(byte));
        } else {
            push_hex(&mut escaped, byte);
        }
    }
    escaped
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The inverse of [`escape`]; `None` if the text is not exactly what `escape` writes for some value that is not empty.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    let value = String::from_utf8(bytes).ok()?;
    (!value.is_empty() && escape(&value) == text).then_some(value)
}

/// A value, or NULL, as a path segment's right side. The empty string is written as NULL (see [`partition_value`]).
pub(super) fn value_text(value: Option<&str>) -> String {
    match value {
        None | Some("") => NULL_VALUE.to_owned(),
        Some(value) => escape(value),
    }
}

/// The inverse of [`value_text`], up to the empty string.
pub(super) fn parse_value(text: &str) -> Option<Option<String>> {
    match text {
        NULL_VALUE => Some(None),
        text => unescape(text).map(Some),
    }
}

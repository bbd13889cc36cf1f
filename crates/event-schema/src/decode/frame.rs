//! The Confluent wire format: the byte 0x00, the schema id as four bytes big-endian, then the Avro datum.
use crate::RefusalCode;

/// Bytes before the datum.
const HEADER_BYTES: usize = 5;

/// Schema id and datum of a framed value.
pub(super) fn split(value: &[u8]) -> Result<(u32, &[u8]), (RefusalCode, String)> {
    match value {
        [0, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        [] | [0, ..] => {
            Err((RefusalCode::ShortHeader, format!("the value has `{}` bytes, the header alone has `{HEADER_BYTES}`", value.len())))
        }
        [magic, ..] => Err((RefusalCode::BadMagic, format!("the first byte is `0x{magic:02x}`, not `0x00`"))),
    }
}

/// Frames a datum.
pub(crate) fn frame(schema_id: u32) -> Vec<u8> {
    let mut value = vec![0];
    value.extend(schema_id.to_be_bytes());
    value
}

//! Avro's binary form, written by hand: what the cases show is the bytes, not what an encoder makes of a value.

/// A zig-zag integer, also a length, a count, or the index of a branch or symbol.
pub fn int(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// Bytes with their length before them.
pub fn bytes(bytes: &[u8]) -> Vec<u8> {
    [int(bytes.len() as i64), bytes.to_vec()].concat()
}

/// Text with its length before it.
pub fn text(text: &str) -> Vec<u8> {
    bytes(text.as_bytes())
}

/// A float's four bytes.
pub fn float(value: f32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// A double's eight bytes.
pub fn double(value: f64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// One after the other.
pub fn all(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// An array or map of one block, or none.
pub fn block(items: &[Vec<u8>]) -> Vec<u8> {
    if items.is_empty() { vec![0] } else { [int(items.len() as i64), items.concat(), vec![0]].concat() }
}

/// An array or map of one block that tells its size in bytes.
pub fn sized_block(items: &[Vec<u8>]) -> Vec<u8> {
    let items_bytes = items.concat();
    [int(-(items.len() as i64)), int(items_bytes.len() as i64), items_bytes, vec![0]].concat()
}

/// A branch of a union.
pub fn branch(index: i64, value: Vec<u8>) -> Vec<u8> {
    [int(index), value].concat()
}

/// A two's-complement number of so many bytes.
pub fn number(value: i128, size: usize) -> Vec<u8> {
    let mut wide = vec![if value < 0 { 0xff } else { 0 }; 24];
    wide.extend(value.to_be_bytes());
    wide.split_off(40 - size)
}

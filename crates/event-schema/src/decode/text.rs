//! Values that become text: UTF-8, uuids and decimals with a scale of their own.
use super::{
    cursor::Cursor,
    fault::{Fault, Walk},
    store::Strings,
};
use crate::RefusalCode;

/// Digits of a decimal with a scale of its own, and zeros that its scale stands for: few bytes could announce gigabytes of text.
const MAX_DIGITS: usize = 1_000;
/// Bytes that hold so many digits.
const MAX_UNSCALED_BYTES: usize = 416;
/// Decimal digits that are taken off at once.
const DIGITS_AT_ONCE: u32 = 9;

/// Bytes of a block: text no longer than this is checked and copied as one, where the record has so many bytes left.
const BLOCK: usize = 16;

/// Reads a string and adds it. Most are short and ASCII.
#[inline(always)]
pub(super) fn put_string(cursor: &mut Cursor<'_>, column: &mut Strings) -> Walk<()> {
    const HIGH_BITS: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    let length = cursor.long()?;
    if let (1..=16, Some(block)) = (length, cursor.rest().first_chunk::<BLOCK>()) {
        let used = u128::MAX >> (128 - 8 * length.unsigned_abs());
        if u128::from_le_bytes(*block) & used & HIGH_BITS == 0 {
            let length = length.unsigned_abs() as usize;
            column.push_block(block, length);
            return cursor.take(length).map(drop);
        }
    }
    *cursor = put_any_string(*cursor, length, column)?;
    Ok(())
}

#[inline(never)]
fn put_any_string<'a>(mut cursor: Cursor<'a>, length: i64, column: &mut Strings) -> Walk<Cursor<'a>> {
    let bytes = cursor.counted(length)?;
    if !bytes.is_ascii()
        && let Err(error) = std::str::from_utf8(bytes)
    {
        return Err(Fault::new(RefusalCode::InvalidUtf8, format!("the string is not UTF-8 from byte `{}`", error.valid_up_to())));
    }
    column.push(bytes);
    Ok(cursor)
}

/// A uuid in text form, in lower case.
pub(super) fn put_uuid(bytes: &[u8], column: &mut Strings) -> Walk<()> {
    let fits = |(index, byte): (usize, &u8)| if matches!(index, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
    if bytes.len() != 36 || !bytes.iter().enumerate().all(fits) {
        return Err(Fault::new(RefusalCode::InvalidUuid, format!("`{}` bytes are not a uuid in text form", bytes.len())));
    }
    let start = column.bytes.len();
    column.bytes.extend_from_slice(bytes);
    column.bytes[start..].make_ascii_lowercase();
    column.end_value();
    Ok(())
}

/// The text form of a uuid.
pub(super) fn put_uuid_bytes(bytes: &[u8; 16], column: &mut Strings) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            column.bytes.push(b'-');
        }
        column.bytes.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    column.end_value();
}

/// A decimal that has its scale beside it, in plain digits: bytes with an unscaled number of any width, then the scale.
pub(super) fn big_decimal(bytes: &[u8]) -> Walk<String> {
    let mut cursor = Cursor::new(bytes);
    let unscaled = cursor.bytes()?;
    let scale = cursor.long()?;
    if cursor.remaining() > 0 {
        return Err(Fault::new(RefusalCode::TrailingBytes, format!("`{}` bytes follow the scale of the decimal", cursor.remaining())));
    }
    let too_long = || Fault::new(RefusalCode::DecimalOverflow, format!("the decimal has more than `{MAX_DIGITS}` digits"));
    let zeros = usize::try_from(scale.unsigned_abs()).ok().filter(|zeros| *zeros <= MAX_DIGITS).ok_or_else(too_long)?;
    if unscaled.len() > MAX_UNSCALED_BYTES {
        return Err(too_long());
    }
    let (negative, mut digits) = unscaled_digits(unscaled);
    if scale < 0 && digits != "0" {
        digits.extend(std::iter::repeat_n('0', zeros));
    } else if scale > 0 {
        let missing = (zeros + 1).saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(missing));
        digits.insert(digits.len() - zeros, '.');
    }
    Ok(if negative { format!("-{digits}") } else { digits })
}

/// Sign and digits of a big-endian two's-complement number.
fn unscaled_digits(bytes: &[u8]) -> (bool, String) {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let mut limbs: Vec<u32> =
        magnitude.rchunks(4).rev().map(|chunk| chunk.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte))).collect();
    let mut groups = Vec::new();
    while limbs.iter().any(|limb| *limb != 0) {
        groups.push(divide(&mut limbs));
    }
    let mut digits = groups.pop().unwrap_or_default().to_string();
    groups.iter().rev().for_each(|group| digits += &format!("{group:09}"));
    (negative, digits)
}

/// Divides in place by 10^9; returns the remainder.
fn divide(limbs: &mut [u32]) -> u32 {
    let divisor = u64::from(10u32.pow(DIGITS_AT_ONCE));
    let mut remainder = 0;
    for limb in limbs {
        let value = remainder << 32 | u64::from(*limb);
        *limb = u32::try_from(value / divisor).expect("a remainder is less than the divisor");
        remainder = value % divisor;
    }
    u32::try_from(remainder).expect("a remainder is less than 10^9")
}

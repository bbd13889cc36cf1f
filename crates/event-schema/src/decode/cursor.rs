//! Checked reading of Avro's binary primitives. Nothing is allocated; no length is believed before the bytes are there.
//!
//! A cursor is two words that are passed by value where functions are not inlined, so that a loop over fields keeps it in registers.
use super::fault::{Fault, Walk};
use crate::RefusalCode;

/// The rest of a record.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    #[inline(always)]
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What is not read yet.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next bytes, as many as the result has.
    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Walk<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(too_short(N, self.rest.len())),
        }
    }

    /// The next `count` bytes.
    #[inline(always)]
    pub(super) fn take(&mut self, count: usize) -> Walk<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(too_short(count, self.rest.len())),
        }
    }

    /// A zig-zag integer of up to 64 bits. Longer forms of a small number are accepted, as all readers do.
    #[inline(always)]
    pub(super) fn long(&mut self) -> Walk<i64> {
        let (value, rest) = match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => (u64::from(*byte), rest),
            [low, high, rest @ ..] if *high < 0x80 => (u64::from(*low & 0x7f) | u64::from(*high) << 7, rest),
            rest => long_form(rest)?,
        };
        self.rest = rest;
        Ok(zigzag(value))
    }

    /// A zig-zag integer of up to 32 bits.
    #[inline(always)]
    pub(super) fn int(&mut self) -> Walk<i32> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| no_int())
    }

    /// Bytes with their length before them.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Walk<&'a [u8]> {
        let length = self.long()?;
        self.counted(length)
    }

    /// So many bytes as were announced.
    #[inline(always)]
    pub(super) fn counted(&mut self, length: i64) -> Walk<&'a [u8]> {
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(no_length(length)),
        }
    }
}

/// Eight bytes at once: the number ends with the first byte that has no high bit, and seven bits of each byte are its own.
#[inline(always)]
fn long_form(rest: &[u8]) -> Walk<(u64, &[u8])> {
    if let Some(word) = rest.first_chunk() {
        let word = u64::from_le_bytes(*word);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let bits = ends.trailing_zeros() + 1;
            return Ok((gather(word & (u64::MAX >> (64 - bits))), &rest[(bits / 8) as usize..]));
        }
    }
    any_form(rest)
}

/// Numbers of nine and ten bytes, and those near the end of a record.
#[inline(never)]
fn any_form(rest: &[u8]) -> Walk<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().take(10).enumerate() {
        if index == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, &rest[index + 1..]));
        }
    }
    if rest.len() < 10 {
        return Err(Fault::new(RefusalCode::ShortRecord, "the record ends inside a number"));
    }
    Err(Fault::new(RefusalCode::InvalidNumber, "a number has more than 64 bits"))
}

/// The lower seven bits of each byte, side by side.
#[inline(always)]
fn gather(word: u64) -> u64 {
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let quads = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (quads & 0x0fff_ffff) | (quads & 0x0fff_ffff_0000_0000) >> 4
}

#[inline(always)]
fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cold]
fn too_short(wanted: usize, left: usize) -> Box<Fault> {
    Fault::new(RefusalCode::ShortRecord, format!("`{wanted}` bytes are announced, `{left}` are left"))
}

#[cold]
fn no_int() -> Box<Fault> {
    Fault::new(RefusalCode::InvalidNumber, "an int has more than 32 bits")
}

#[cold]
fn no_length(length: i64) -> Box<Fault> {
    Fault::new(RefusalCode::InvalidLength, format!("the length is `{length}`"))
}

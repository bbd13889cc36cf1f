//! Checked reading of Avro's binary primitives. Nothing is allocated; no length is believed before the bytes are there.
use super::fault::{Fault, Walk};
use crate::RefusalCode;

/// The rest of a record.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next bytes, as many as the result has.
    #[inline]
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
    #[inline]
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
    #[inline]
    pub(super) fn long(&mut self) -> Walk<i64> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(zigzag(u64::from(*byte)))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(zigzag(u64::from(*low & 0x7f) | u64::from(*high) << 7))
            }
            _ => self.long_form(),
        }
    }

    /// Eight bytes at once: the number ends with the first byte that has no high bit, and seven bits of each byte are its own.
    fn long_form(&mut self) -> Walk<i64> {
        if let Some(word) = self.rest.first_chunk() {
            let word = u64::from_le_bytes(*word);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                let bits = ends.trailing_zeros() + 1;
                self.rest = &self.rest[(bits / 8) as usize..];
                return Ok(zigzag(gather(word & (u64::MAX >> (64 - bits)))));
            }
        }
        self.any_form()
    }

    fn any_form(&mut self) -> Walk<i64> {
        let mut value = 0u64;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(zigzag(value));
            }
        }
        if self.rest.len() < 10 {
            return Err(Fault::new(RefusalCode::ShortRecord, "the record ends inside a number"));
        }
        Err(Fault::new(RefusalCode::InvalidNumber, "a number has more than 64 bits"))
    }

    /// A zig-zag integer of up to 32 bits.
    #[inline]
    pub(super) fn int(&mut self) -> Walk<i32> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| Fault::new(RefusalCode::InvalidNumber, "an int has more than 32 bits"))
    }

    /// Bytes with their length before them.
    #[inline]
    pub(super) fn bytes(&mut self) -> Walk<&'a [u8]> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Fault::new(RefusalCode::InvalidLength, format!("the length is `{length}`")))?;
        self.take(length)
    }
}

/// The lower seven bits of each byte, side by side.
fn gather(word: u64) -> u64 {
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let quads = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (quads & 0x0fff_ffff) | (quads & 0x0fff_ffff_0000_0000) >> 4
}

#[cold]
fn too_short(wanted: usize, left: usize) -> Box<Fault> {
    Fault::new(RefusalCode::ShortRecord, format!("`{wanted}` bytes are announced, `{left}` are left"))
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

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

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Walk<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Fault::new(RefusalCode::ShortRecord, format!("`{count}` bytes are announced, `{}` are left", self.rest.len()))),
        }
    }

    /// A zig-zag integer of up to 64 bits. Longer forms of a small number are accepted, as all readers do.
    #[inline]
    pub(super) fn long(&mut self) -> Walk<i64> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(zigzag(u64::from(byte)))
            }
            _ => self.long_form(),
        }
    }

    fn long_form(&mut self) -> Walk<i64> {
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

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

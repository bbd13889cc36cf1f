//! Accepts or refuses a record by its bytes alone, without building anything.
//!
//! Whatever passes here decodes completely and at a cost in memory that the nodes counted here bound; that is why each rule of the decode
//! (lengths, UTF-8, indexes, blocks, widths, ranges) has its check in this file.
use super::{
    Limits,
    cursor::Cursor,
    fault::{Fault, Walk},
};
use crate::{
    RefusalCode,
    schema::{BYTES_PER_NODE, Decimal, Member, NullBranch, Shape, Timestamp, Type},
};

/// Nodes that a uuid of 16 bytes takes as text.
const UUID_NODES: usize = 3;

/// Walks one record; returns the nodes that it decodes to.
pub(super) fn walk_record(bytes: &[u8], members: &[Member], limits: &Limits) -> Walk<usize> {
    let mut walker = Walker { cursor: Cursor::new(bytes), nodes_left: limits.nodes, depth_left: limits.depth };
    walker.record(members)?;
    match walker.cursor.remaining() {
        0 => Ok(limits.nodes - walker.nodes_left),
        left => Err(Fault::new(RefusalCode::TrailingBytes, format!("`{left}` of `{}` bytes follow the record", bytes.len()))),
    }
}

struct Walker<'a> {
    cursor: Cursor<'a>,
    nodes_left: usize,
    depth_left: usize,
}

impl Walker<'_> {
    #[inline]
    fn spend(&mut self, nodes: usize) -> Walk<()> {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => Err(Fault::new(RefusalCode::TooManyNodes, "the record has more nodes than the limit")),
        }
    }

    fn deeper<T>(&mut self, walk: impl FnOnce(&mut Self) -> Walk<T>) -> Walk<T> {
        self.depth_left =
            self.depth_left.checked_sub(1).ok_or_else(|| Fault::new(RefusalCode::TooDeep, "the value is nested deeper than the limit"))?;
        let result = walk(self);
        self.depth_left += 1;
        result
    }

    fn record(&mut self, members: &[Member]) -> Walk<()> {
        self.spend(members.len())?;
        self.deeper(|walker| {
            for member in members {
                walker.value(&member.ty).map_err(|fault| fault.within(member.avro_name.as_str()))?;
            }
            Ok(())
        })
    }

    fn value(&mut self, ty: &Type) -> Walk<()> {
        let null_branch = match ty.null {
            NullBranch::Absent => return self.shape(&ty.shape),
            NullBranch::First => 0,
            NullBranch::Second => 1,
        };
        match self.cursor.long()? {
            branch if branch == null_branch => self.spend(ty.null_nodes - 1),
            0 | 1 => self.shape(&ty.shape),
            branch => Err(Fault::new(RefusalCode::InvalidUnion, format!("the branch index is `{branch}` of `2`"))),
        }
    }

    fn shape(&mut self, shape: &Shape) -> Walk<()> {
        match shape {
            Shape::Boolean => match self.cursor.take(1)? {
                [0 | 1] => Ok(()),
                _ => Err(Fault::new(RefusalCode::InvalidBoolean, "the boolean is neither 0 nor 1")),
            },
            Shape::Int | Shape::Date | Shape::TimeMillis => self.cursor.int().map(drop),
            Shape::Long | Shape::TimeMicros => self.cursor.long().map(drop),
            Shape::Timestamp(timestamp) => self.timestamp(*timestamp),
            Shape::Float => self.cursor.take(4).map(drop),
            Shape::Double => self.cursor.take(8).map(drop),
            Shape::Bytes => self.cursor.bytes().map(drop),
            Shape::String => self.string().map(drop),
            Shape::UuidText => self.uuid_text(),
            Shape::UuidBytes => {
                self.cursor.take(16)?;
                self.spend(UUID_NODES)
            }
            Shape::Fixed(size) => self.cursor.take(*size).map(drop),
            Shape::Decimal(decimal) => self.decimal(*decimal),
            Shape::Enum(symbols) => self.symbol(symbols),
            Shape::Array(items) => self.blocks(1, |walker| walker.value(items).map_err(|fault| fault.within("[]"))),
            Shape::Map(values) => self.blocks(2, |walker| {
                walker.string().map_err(|fault| fault.within("{}"))?;
                walker.value(values).map_err(|fault| fault.within("{}"))
            }),
            Shape::Record(members) => self.record(members),
        }
    }

    fn string(&mut self) -> Walk<&str> {
        let bytes = self.cursor.bytes()?;
        std::str::from_utf8(bytes)
            .map_err(|error| Fault::new(RefusalCode::InvalidUtf8, format!("the string is not UTF-8 from byte `{}`", error.valid_up_to())))
    }

    fn uuid_text(&mut self) -> Walk<()> {
        let bytes = self.cursor.bytes()?;
        let fits = |(index, byte): (usize, &u8)| if matches!(index, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
        if bytes.len() == 36 && bytes.iter().enumerate().all(fits) {
            return Ok(());
        }
        Err(Fault::new(RefusalCode::InvalidUuid, format!("`{}` bytes are not a uuid in text form", bytes.len())))
    }

    fn timestamp(&mut self, timestamp: Timestamp) -> Walk<()> {
        let value = self.cursor.long()?;
        if timestamp.millis && value.checked_mul(1_000).is_none() {
            return Err(Fault::new(RefusalCode::ValueOutOfRange, "the milliseconds overflow 64 bits of microseconds"));
        }
        Ok(())
    }

    fn decimal(&mut self, decimal: Decimal) -> Walk<()> {
        let bytes = match decimal.fixed {
            Some(size) => self.cursor.take(size)?,
            None => self.cursor.bytes()?,
        };
        match decimal_value(bytes) {
            Some(value) if value.unsigned_abs() < decimal.bound().unsigned_abs() => Ok(()),
            _ => Err(Fault::new(RefusalCode::DecimalOverflow, format!("the decimal has more than `{}` digits", decimal.precision))),
        }
    }

    fn symbol(&mut self, symbols: &[String]) -> Walk<()> {
        let index = self.cursor.int()?;
        match usize::try_from(index).ok().and_then(|index| symbols.get(index)) {
            Some(symbol) => self.spend(symbol.len() / BYTES_PER_NODE),
            None => Err(Fault::new(RefusalCode::InvalidEnum, format!("the symbol index is `{index}` of `{}`", symbols.len()))),
        }
    }

    /// Items of an array or entries of a map, in blocks; a negative count is followed by the block's size in bytes, which must be right.
    fn blocks(&mut self, nodes_per_item: usize, mut item: impl FnMut(&mut Self) -> Walk<()>) -> Walk<()> {
        self.deeper(|walker| {
            loop {
                let count = walker.cursor.long()?;
                if count == 0 {
                    return Ok(());
                }
                let size = if count < 0 { Some(walker.block_size()?) } else { None };
                let count = walker.block_count(count)?;
                walker.spend(count.saturating_mul(nodes_per_item))?;
                let before = walker.cursor.remaining();
                for _ in 0..count {
                    item(walker)?;
                }
                let used = before - walker.cursor.remaining();
                if size.is_some_and(|size| size != used) {
                    return Err(Fault::new(
                        RefusalCode::InvalidBlock,
                        format!("the block's byte size is not the `{used}` bytes of its items"),
                    ));
                }
            }
        })
    }

    /// Whether the size is right, and so whether the bytes are there, is seen after the items.
    fn block_size(&mut self) -> Walk<usize> {
        let size = self.cursor.long()?;
        usize::try_from(size).map_err(|_| Fault::new(RefusalCode::InvalidBlock, format!("the block's byte size is `{size}`")))
    }

    /// No supported type takes less than a byte, so a count above the bytes left is never right; this bounds the loop before it starts.
    fn block_count(&self, count: i64) -> Walk<usize> {
        let left = self.cursor.remaining();
        match usize::try_from(count.unsigned_abs()) {
            _ if count == i64::MIN => Err(Fault::new(RefusalCode::InvalidBlock, "the block's count has no positive form")),
            Ok(count) if count <= left => Ok(count),
            _ => Err(Fault::new(
                RefusalCode::ShortRecord,
                format!("`{}` items are announced, `{left}` bytes are left", count.unsigned_abs()),
            )),
        }
    }
}

/// A big-endian two's-complement number; `None` if it needs more than 128 bits. No bytes are zero, as the other readers have it.
pub(super) fn decimal_value(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let sign = if negative { 0xff } else { 0x00 };
    let (head, tail) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut wide = [sign; 16];
    wide[16 - tail.len()..].copy_from_slice(tail);
    let value = i128::from_be_bytes(wide);
    let fits = head.iter().all(|byte| *byte == sign) && (value < 0) == negative;
    fits.then_some(value)
}

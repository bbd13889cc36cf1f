//! The one pass over a record's bytes: checks them and adds their values to the columns.
//!
//! Every rule for what is accepted has its place here or in the cursor: lengths, UTF-8, indexes, blocks, widths, ranges, depth and the budget
//! of nodes. What is refused in its middle is cut off by the caller.
use super::{
    Limits,
    cursor::Cursor,
    fault::{Fault, Walk},
    op::{ArrayOp, DecimalOp, DurationOp, EnumOp, MapOp, MemberOp, Op, RecordOp, RecordTarget},
    plan::Plan,
    store::{Store, offset},
    text,
};
use crate::{
    RefusalCode,
    schema::{BYTES_PER_NODE, Type},
};

/// Nodes that a uuid of 16 bytes takes as text.
const UUID_NODES: usize = 3;

/// Decodes one record into the store; returns the nodes that it takes. After a fault the store has part of the record.
pub(super) fn decode_record(bytes: &[u8], op: &Op, store: &mut Store, limits: &Limits) -> Walk<usize> {
    let mut pass = Pass { cursor: Cursor::new(bytes), store, nodes_left: limits.nodes, depth_left: limits.depth };
    pass.step(op)?;
    match pass.cursor.remaining() {
        0 => Ok(limits.nodes - pass.nodes_left),
        left => Err(Fault::new(RefusalCode::TrailingBytes, format!("`{left}` of `{}` bytes follow the record", bytes.len()))),
    }
}

/// Whether the bytes are a value of the type, within the default limits.
pub(crate) fn decodes(bytes: &[u8], ty: &Type) -> bool {
    let mut store = Store::default();
    let root = store.add(ty);
    let plan = Plan::new(ty, ty, (&store, root));
    decode_record(bytes, &plan.op, &mut store, &Limits::default()).is_ok()
}

struct Pass<'a> {
    cursor: Cursor<'a>,
    store: &'a mut Store,
    nodes_left: usize,
    depth_left: usize,
}

impl<'a> Pass<'a> {
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

    #[inline]
    fn deeper(&mut self, pass: impl FnOnce(&mut Self) -> Walk<()>) -> Walk<()> {
        self.depth_left =
            self.depth_left.checked_sub(1).ok_or_else(|| Fault::new(RefusalCode::TooDeep, "the value is nested deeper than the limit"))?;
        pass(self)?;
        self.depth_left += 1;
        Ok(())
    }

    fn step(&mut self, op: &Op) -> Walk<()> {
        let mut cursor = self.cursor;
        self.value(op, &mut cursor)?;
        self.cursor = cursor;
        Ok(())
    }

    /// Takes a step at a cursor that is the caller's own, so that it stays in registers; the pass's own is behind meanwhile.
    #[inline(always)]
    fn value(&mut self, op: &Op, cursor: &mut Cursor<'a>) -> Walk<()> {
        let op = match op {
            Op::Nullable(nullable) => match cursor.long()? {
                branch if branch == nullable.null_branch => &nullable.null,
                0 | 1 => &nullable.value,
                branch => return Err(no_branch(branch, 2)),
            },
            op => op,
        };
        match op {
            Op::Boolean(at) => self.boolean(*at, cursor.array()?)?,
            Op::Int(at) => self.store.ints[*at].push(cursor.int()?),
            Op::Long(at) => self.store.longs[*at].push(cursor.long()?),
            Op::Float(at) => self.store.floats[*at].push(f32::from_le_bytes(cursor.array()?)),
            Op::Double(at) => self.store.doubles[*at].push(f64::from_le_bytes(cursor.array()?)),
            Op::Text(at) => text::put_string(cursor, &mut self.store.strings[*at])?,
            Op::Enum(symbols) => self.symbol(symbols, cursor.int()?)?,
            op => {
                self.cursor = *cursor;
                self.rarer(op)?;
                *cursor = self.cursor;
            }
        }
        Ok(())
    }

    /// Steps apart from the common ones, so that these stay small.
    #[inline(never)]
    fn rarer(&mut self, op: &Op) -> Walk<()> {
        match op {
            Op::Nothing => {}
            Op::Null(node, nodes) => {
                self.spend(nodes - 1)?;
                self.store.push_null(*node);
            }
            Op::IntToLong(at) => self.store.longs[*at].push(i64::from(self.cursor.int()?)),
            Op::Millis(at) => self.millis(*at)?,
            Op::Nanos(at) => self.store.longs[*at].push(self.cursor.long()?.div_euclid(1_000)),
            Op::FloatToDouble(at) => self.store.doubles[*at].push(f64::from(f32::from_le_bytes(self.cursor.array()?))),
            Op::Bytes(at) => self.store.strings[*at].push(self.cursor.bytes()?),
            Op::Fixed { column, size } => {
                let column = &mut self.store.fixeds[*column];
                column.bytes.extend_from_slice(self.cursor.take(*size)?);
                column.valid.push_valid();
            }
            Op::FixedToBytes { column, size } => self.store.strings[*column].push(self.cursor.take(*size)?),
            Op::UuidText(at) => text::put_uuid(self.cursor.bytes()?, &mut self.store.strings[*at])?,
            Op::UuidBytes(at) => {
                let bytes = self.cursor.array()?;
                self.spend(UUID_NODES)?;
                text::put_uuid_bytes(&bytes, &mut self.store.strings[*at]);
            }
            Op::Decimal(decimal) => self.decimal(decimal)?,
            Op::BigDecimal(at) => {
                let text = text::big_decimal(self.cursor.bytes()?)?;
                self.spend(text.len() / BYTES_PER_NODE)?;
                self.store.strings[*at].push(text.as_bytes());
            }
            Op::Duration(duration) => self.duration(duration)?,
            Op::Union(branches) => {
                let index = self.cursor.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                self.step(branch.ok_or_else(|| no_branch(index, branches.len()))?)?;
            }
            Op::Member(member) => self.member(member)?,
            Op::Array(array) => self.array(array)?,
            Op::Map(map) => self.map(map)?,
            Op::Record(record) => self.record(record)?,
            op => self.step(op)?,
        }
        Ok(())
    }

    fn record(&mut self, record: &RecordOp) -> Walk<()> {
        self.spend(record.nodes)?;
        self.deeper(|pass| {
            let mut cursor = pass.cursor;
            for field in &record.fields {
                if let Err(fault) = pass.value(&field.op, &mut cursor) {
                    return Err(fault.within(&*field.name));
                }
            }
            pass.cursor = cursor;
            if !record.lacking.is_empty() {
                pass.lacking(record)?;
            }
            Ok(())
        })?;
        match record.target {
            RecordTarget::Struct(at) => self.store.structs[at].end_row(),
            RecordTarget::Empty(at) => self.store.strings[at].push(b"{}"),
        }
        Ok(())
    }

    /// Members that the writer's schema lacks: a default is decoded as if it had been sent.
    #[cold]
    fn lacking(&mut self, record: &RecordOp) -> Walk<()> {
        for lacking in &record.lacking {
            self.spend(1 + lacking.default.len() / BYTES_PER_NODE)?;
            let cursor = Cursor::new(&lacking.default);
            let mut pass = Pass { cursor, store: &mut *self.store, nodes_left: self.nodes_left, depth_left: self.depth_left };
            pass.step(&lacking.op).map_err(|fault| fault.within(&*lacking.name))?;
            self.nodes_left = pass.nodes_left;
        }
        Ok(())
    }

    #[inline(always)]
    fn boolean(&mut self, at: usize, [byte]: [u8; 1]) -> Walk<()> {
        if byte > 1 {
            return Err(Fault::new(RefusalCode::InvalidBoolean, "the boolean is neither 0 nor 1"));
        }
        let column = &mut self.store.booleans[at];
        column.values.append(byte == 1);
        column.valid.push_valid();
        Ok(())
    }

    fn millis(&mut self, at: usize) -> Walk<()> {
        let Some(micros) = self.cursor.long()?.checked_mul(1_000) else {
            return Err(Fault::new(RefusalCode::ValueOutOfRange, "the milliseconds overflow 64 bits of microseconds"));
        };
        self.store.longs[at].push(micros);
        Ok(())
    }

    #[inline(always)]
    fn symbol(&mut self, op: &EnumOp, index: i32) -> Walk<()> {
        let Some(symbol) = usize::try_from(index).ok().and_then(|index| op.symbols.get(index)) else {
            return Err(Fault::new(RefusalCode::InvalidEnum, format!("the symbol index is `{index}` of `{}`", op.symbols.len())));
        };
        self.spend(symbol.text.len() / BYTES_PER_NODE)?;
        let column = &mut self.store.strings[op.column];
        match &symbol.block {
            Some(block) => column.push_block(block, symbol.text.len()),
            None => column.push(&symbol.text),
        }
        Ok(())
    }

    fn decimal(&mut self, decimal: &DecimalOp) -> Walk<()> {
        let bytes = match decimal.fixed {
            Some(size) => self.cursor.take(size)?,
            None => self.cursor.bytes()?,
        };
        match decimal_value(bytes) {
            Some(value) if value.unsigned_abs() < decimal.bound => self.store.decimals[decimal.column].push(value),
            _ => return Err(Fault::new(RefusalCode::DecimalOverflow, format!("the decimal has more than `{}` digits", decimal.precision))),
        }
        Ok(())
    }

    fn duration(&mut self, duration: &DurationOp) -> Walk<()> {
        let [months, days, millis] = [self.cursor.array()?, self.cursor.array()?, self.cursor.array()?].map(u32::from_le_bytes);
        let (Ok(months), Ok(days)) = (i32::try_from(months), i32::try_from(days)) else {
            return Err(Fault::new(RefusalCode::ValueOutOfRange, "the months or days of the duration do not fit 31 bits"));
        };
        self.spend(3)?;
        self.store.ints[duration.months].push(months);
        self.store.ints[duration.days].push(days);
        self.store.longs[duration.millis].push(i64::from(millis));
        self.store.structs[duration.structure].end_row();
        Ok(())
    }

    fn member(&mut self, member: &MemberOp) -> Walk<()> {
        self.spend(member.nodes)?;
        self.deeper(|pass| pass.step(&member.value))?;
        for other in (0..self.store.structs[member.structure].members.len()).filter(|other| *other != member.member) {
            self.store.push_null_member(member.structure, other);
        }
        self.store.structs[member.structure].end_row();
        Ok(())
    }

    fn array(&mut self, array: &ArrayOp) -> Walk<()> {
        let mut items = 0;
        self.blocks(1, array.items_take_bytes, |pass| {
            items += 1;
            pass.step(&array.items).map_err(|fault| fault.within("[]"))
        })?;
        let list = &mut self.store.lists[array.list];
        let start = *list.offsets.last().expect("there is always a first offset");
        list.offsets.push(start + offset(items));
        list.valid.push_valid();
        Ok(())
    }

    fn map(&mut self, map: &MapOp) -> Walk<()> {
        self.blocks(2, true, |pass| {
            text::put_string(&mut pass.cursor, &mut pass.store.strings[map.keys]).map_err(|fault| fault.within("{}"))?;
            pass.step(&map.values).map_err(|fault| fault.within("{}"))
        })?;
        let end = self.store.strings[map.keys].offsets.len() - 1;
        let column = &mut self.store.maps[map.map];
        column.offsets.push(offset(end));
        column.valid.push_valid();
        Ok(())
    }

    /// Items of an array or entries of a map, in blocks; a negative count is followed by the block's size in bytes, which must be right.
    fn blocks(&mut self, nodes_per_item: usize, take_bytes: bool, mut item: impl FnMut(&mut Self) -> Walk<()>) -> Walk<()> {
        self.deeper(|pass| {
            loop {
                let count = pass.cursor.long()?;
                if count == 0 {
                    return Ok(());
                }
                let size = if count < 0 { Some(pass.block_size()?) } else { None };
                let count = pass.block_count(count, take_bytes)?;
                pass.spend(count.saturating_mul(nodes_per_item))?;
                let before = pass.cursor.remaining();
                for _ in 0..count {
                    item(pass)?;
                }
                let used = before - pass.cursor.remaining();
                if size.is_some_and(|size| size != used) {
                    let what = format!("the block's byte size is not the `{used}` bytes of its items");
                    return Err(Fault::new(RefusalCode::InvalidBlock, what));
                }
            }
        })
    }

    /// Whether the size is right, and so whether the bytes are there, is seen after the items.
    fn block_size(&mut self) -> Walk<usize> {
        let size = self.cursor.long()?;
        usize::try_from(size).map_err(|_| Fault::new(RefusalCode::InvalidBlock, format!("the block's byte size is `{size}`")))
    }

    /// A count above the bytes left is never right where each item takes a byte; this bounds the loop before it starts. Where items take
    /// none, the budget of nodes does.
    fn block_count(&self, count: i64, take_bytes: bool) -> Walk<usize> {
        let left = self.cursor.remaining();
        match usize::try_from(count.unsigned_abs()) {
            _ if count == i64::MIN => Err(Fault::new(RefusalCode::InvalidBlock, "the block's count has no positive form")),
            Ok(count) if count <= left || !take_bytes => Ok(count),
            _ => Err(Fault::new(
                RefusalCode::ShortRecord,
                format!("`{}` items are announced, `{left}` bytes are left", count.unsigned_abs()),
            )),
        }
    }
}

fn no_branch(index: i64, branches: usize) -> Box<Fault> {
    Fault::new(RefusalCode::InvalidUnion, format!("the branch index is `{index}` of `{branches}`"))
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

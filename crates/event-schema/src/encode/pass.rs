//! The one pass over a document: each value is written where it is met; members that come in another order than the schema's are put right
//! when their record ends.
use super::{
    fault::{EncodeError, Walk, shortened},
    form::{Form, RecordForm},
    lexer::{Budget, Lexer},
    options::EncodeOptions,
    room::{ObjectNames, Room},
    scalar::{Misfit, Scalar, put_scalar},
};
use crate::{
    RefusalCode,
    encode::binary::{put_bytes, put_count, put_long},
    schema::{DURATION_MEMBERS, Shape},
};
use std::ops::Range;

/// A document on its way into `out`.
pub(super) struct Pass<'a, 'r> {
    pub lexer: Lexer<'a>,
    pub out: &'r mut Vec<u8>,
    pub room: &'r mut Room,
    pub budget: Budget,
    pub options: &'r EncodeOptions,
    /// Values from outside, as the options have them.
    pub supplied: &'r [Option<&'r str>],
    /// Whether unknown fields are refused whatever the options say: where a value is tried.
    pub strict: bool,
    /// A bit for each supplied field that the document claims otherwise.
    pub conflicts: u64,
}

/// A state to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    at: usize,
    out: usize,
    slots: usize,
    kept: usize,
    depth: usize,
    strict: bool,
    names: ObjectNames,
}

impl<'a> Pass<'a, '_> {
    pub(super) fn mark(&mut self) -> Mark {
        Mark {
            at: self.lexer.at,
            out: self.out.len(),
            slots: self.room.slots.len(),
            kept: self.room.kept.len(),
            depth: self.budget.depth,
            strict: self.strict,
            names: self.room.names.open(),
        }
    }

    /// As if nothing had been read since. Values that were looked at stay counted.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.lexer.at = mark.at;
        self.out.truncate(mark.out);
        self.room.slots.truncate(mark.slots);
        self.room.kept.truncate(mark.kept);
        self.room.names.close(mark.names);
        self.budget.depth = mark.depth;
        self.strict = mark.strict;
    }

    /// The whole document: an object that is a record of the top level. Returns where in the output the member `key` stands.
    pub(super) fn document(&mut self, root: &RecordForm, key: Option<usize>) -> Walk<Option<Range<usize>>> {
        if self.lexer.peek()? != b'{' {
            let at = self.lexer.at;
            self.lexer.skip(&mut self.budget)?;
            return Err(EncodeError::new(RefusalCode::WrongType, "the document is not an object").at(at));
        }
        let key = self.record(root, true, key)?;
        self.lexer.end()?;
        Ok(key)
    }

    #[inline]
    pub(super) fn value(&mut self, form: &Form) -> Walk<()> {
        let first = self.lexer.peek()?;
        let at = self.lexer.at;
        self.budget.spend(1, at)?;
        match (form, first) {
            (Form::Union(union), _) => self.union(union, first),
            (Form::Long, b'-' | b'0'..=b'9') => match self.lexer.number()?.long() {
                Some(value) => {
                    put_long(self.out, value);
                    Ok(())
                }
                None => Err(self.unfit(at, "an integer of 64 bits")),
            },
            (Form::Int, b'-' | b'0'..=b'9') => match self.lexer.number()?.long().and_then(|value| i32::try_from(value).ok()) {
                Some(value) => {
                    put_long(self.out, i64::from(value));
                    Ok(())
                }
                None => Err(self.unfit(at, "an integer of 32 bits")),
            },
            (Form::Double, b'-' | b'0'..=b'9') => {
                let value = self.lexer.number()?.double();
                if value.is_infinite() {
                    return Err(self.unfit(at, "a number that a double holds"));
                }
                self.out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            (Form::String, b'"') => {
                let text = self.lexer.string()?;
                put_bytes(self.out, text.text(&mut self.room.text).as_bytes());
                Ok(())
            }
            (Form::Record(record), b'{') => self.record(record, false, None).map(|_| ()),
            (Form::Array(items), b'[') => self.array(items),
            (Form::Map(values), b'{') => self.map(values),
            (Form::Duration, b'{') => self.duration(),
            (form, _) => self.rarer(form, first, at),
        }
    }

    #[inline(never)]
    fn rarer(&mut self, form: &Form, first: u8, at: usize) -> Walk<()> {
        let shape = match form {
            Form::Null if first == b'n' => return self.lexer.word("null"),
            Form::Null => return Err(self.unfit(at, "null")),
            Form::Array(_) => return Err(self.not_nested(at, "the value is not an array")),
            Form::Record(_) | Form::Map(_) | Form::Duration => return Err(self.not_nested(at, "the value is not an object")),
            Form::Scalar(shape) => shape,
            Form::Int => &Shape::Int,
            Form::Long => &Shape::Long,
            Form::Double => &Shape::Double,
            Form::String => &Shape::String,
            Form::Union(_) => unreachable!("unions have a step of their own"),
        };
        let scalar = match first {
            b'"' => Scalar::Text(self.lexer.string()?.text(&mut self.room.text)),
            b'-' | b'0'..=b'9' => Scalar::Number(self.lexer.number()?),
            b't' => {
                self.lexer.word("true")?;
                Scalar::Boolean(true)
            }
            b'f' => {
                self.lexer.word("false")?;
                Scalar::Boolean(false)
            }
            _ => return Err(self.unfit(at, wanted_of(shape))),
        };
        put_scalar(self.out, shape, scalar, self.options.epoch).map_err(|misfit| match misfit {
            Misfit::Wanted(wanted) => self.unfit(at, &wanted),
            Misfit::Said(what) => EncodeError::new(RefusalCode::WrongType, what).at(at),
        })
    }

    /// The value at a place is not what its field wants; if it is no value at all, that is the fault.
    #[cold]
    pub(super) fn unfit(&mut self, at: usize, wanted: &str) -> Box<EncodeError> {
        let mut lexer = self.lexer.moved_to(at);
        let found = match lexer.peek() {
            Ok(b'{') => "an object".to_owned(),
            Ok(b'[') => "an array".to_owned(),
            Ok(_) => match lexer.skip(&mut Budget { nodes: 1, depth: 0 }) {
                Ok(()) if lexer.since(at) == "null" => "null".to_owned(),
                Ok(()) => format!("`{}`", shortened(lexer.since(at))),
                Err(error) => return error,
            },
            Err(error) => return error,
        };
        EncodeError::new(RefusalCode::WrongType, format!("{found} is not {wanted}")).at(at)
    }

    #[cold]
    fn not_nested(&mut self, at: usize, what: &'static str) -> Box<EncodeError> {
        let mut lexer = self.lexer.moved_to(at);
        match lexer.skip(&mut self.budget) {
            Ok(()) => EncodeError::new(RefusalCode::WrongType, what).at(at),
            Err(error) => error,
        }
    }

    fn array(&mut self, items: &Form) -> Walk<()> {
        self.budget.enter(self.lexer.at)?;
        self.lexer.at += 1;
        let block = self.open_block();
        let mut count = 0;
        if !self.lexer.take(b']') {
            loop {
                let kept = self.room.kept.len();
                self.value(items).map_err(|error| error.within(&format!("[{count}]")))?;
                if self.room.kept.len() > kept {
                    self.prefix(kept, &format!("[{count}]"));
                }
                count += 1;
                if !self.lexer.more(b']')? {
                    break;
                }
            }
        }
        self.close_block(block, count);
        self.budget.leave();
        Ok(())
    }

    fn map(&mut self, values: &Form) -> Walk<()> {
        self.budget.enter(self.lexer.at)?;
        self.lexer.at += 1;
        let block = self.open_block();
        let names = self.room.names.open();
        let mut count = 0;
        if !self.lexer.take(b'}') {
            loop {
                self.lexer.peek()?;
                let name_at = self.lexer.at;
                let quoted = self.lexer.name()?;
                let name = quoted.text(&mut self.room.name);
                if !self.room.names.add(names, name) {
                    return Err(EncodeError::twice(name_at, &format!("{{{}}}", shortened(name))));
                }
                put_bytes(self.out, name.as_bytes());
                let kept = self.room.kept.len();
                let step = |room: &mut Room| format!("{{{}}}", shortened(quoted.text(&mut room.name)));
                if let Err(error) = self.value(values) {
                    return Err(error.within(&step(self.room)));
                }
                if self.room.kept.len() > kept {
                    let step = step(self.room);
                    self.prefix(kept, &step);
                }
                count += 1;
                if !self.lexer.more(b'}')? {
                    break;
                }
            }
        }
        self.room.names.close(names);
        self.close_block(block, count);
        self.budget.leave();
        Ok(())
    }

    /// Leaves a byte for the count, which nearly always fits there.
    fn open_block(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    /// Writes the count and the end. An empty block is only its end.
    fn close_block(&mut self, start: usize, count: usize) {
        if count == 0 {
            return;
        }
        let end = self.out.len();
        put_count(self.out, count);
        let bytes = self.out.len() - end;
        if bytes == 1 {
            self.out[start] = self.out[end];
            self.out.truncate(end);
        } else {
            // The count goes to the front: what is behind its place moves by the bytes that are missing there.
            self.out[start + 1..].rotate_right(bytes);
            self.out.remove(start);
        }
        self.out.push(0);
    }

    fn duration(&mut self) -> Walk<()> {
        self.budget.enter(self.lexer.at)?;
        self.lexer.at += 1;
        let mut parts = [None; 3];
        let mut more = !self.lexer.take(b'}');
        while more {
            self.lexer.peek()?;
            let name_at = self.lexer.at;
            let name = self.lexer.name()?;
            let name = name.text(&mut self.room.name);
            let Some(index) = DURATION_MEMBERS.iter().position(|member| *member == name) else {
                return Err(EncodeError::new(RefusalCode::UnknownField, "a duration has no such member")
                    .at(name_at)
                    .within(&shortened(name)));
            };
            if parts[index].is_some() {
                return Err(EncodeError::twice(name_at, name));
            }
            let first = self.lexer.peek()?;
            let at = self.lexer.at;
            let number = if matches!(first, b'-' | b'0'..=b'9') { self.lexer.number()?.long() } else { None };
            match number.and_then(|number| u32::try_from(number).ok()) {
                Some(number) => parts[index] = Some(number),
                None => return Err(self.unfit(at, "an integer of 32 bits without sign").within(DURATION_MEMBERS[index])),
            }
            more = self.lexer.more(b'}')?;
        }
        self.budget.leave();
        for (part, name) in parts.into_iter().zip(DURATION_MEMBERS) {
            let part = part.ok_or_else(|| EncodeError::missing().at(self.lexer.at - 1).within(name))?;
            self.out.extend_from_slice(&part.to_le_bytes());
        }
        Ok(())
    }
}

/// What a type wants, where the value is of no kind that could be it.
fn wanted_of(shape: &Shape) -> &'static str {
    match shape {
        Shape::Boolean => "`true` or `false`",
        Shape::Int | Shape::TimeMillis => "an integer of 32 bits",
        Shape::Long | Shape::TimeMicros => "an integer of 64 bits",
        Shape::Float => "a number that a float holds",
        Shape::Double => "a number that a double holds",
        Shape::Bytes | Shape::Fixed(_) => "base64 with padding",
        Shape::UuidText | Shape::UuidBytes => "a uuid",
        Shape::Decimal(_) | Shape::BigDecimal => "a decimal, as a string",
        Shape::Date => "a date",
        Shape::Timestamp(_) => "a timestamp",
        Shape::Enum(_) => "a symbol of the enum",
        _ => "a string",
    }
}

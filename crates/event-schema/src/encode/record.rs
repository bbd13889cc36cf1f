//! Records: members in any order, fields that the schema does not have, and fields whose values come from outside.
use super::{
    fault::{EncodeError, Walk, joined, shortened},
    form::{Form, MemberForm, RecordForm, Role},
    lexer::Quoted,
    name_index::NamePrint,
    options::{Conflict, UnknownFields},
    pass::Pass,
    room::{Kept, Slot},
    scalar::{Misfit, Scalar, put_scalar},
};
use crate::{
    RefusalCode,
    encode::binary::{put_bytes, put_count},
    schema::Shape,
};
use std::ops::Range;

impl<'a> Pass<'a, '_> {
    /// An object at its brace, as a record. Returns where the member `key` stands.
    pub(super) fn record(&mut self, record: &RecordForm, top: bool, key: Option<usize>) -> Walk<Option<Range<usize>>> {
        self.budget.enter(self.lexer.at)?;
        let start = self.out.len();
        let base = self.room.slots.len();
        self.room.slots.resize(base + record.members.len(), Slot::EMPTY);
        let names = self.room.names.open();
        // Members up to here stand in the output in their order, and nothing else does while `in_order`.
        let (mut filled, mut in_order, mut expected) = (0, true, 0);
        self.lexer.at += 1;
        let mut more = !self.lexer.take(b'}');
        while more {
            if top && in_order {
                filled = self.supply(record, base, filled);
            }
            self.lexer.peek()?;
            let name_at = self.lexer.at;
            let quoted = self.lexer.name()?;
            let name = quoted.text(&mut self.room.name);
            let found = match record.members.get(expected) {
                Some(member) if member.is_named(name, NamePrint::of(name)) => Some(expected),
                _ => record.find(name),
            };
            match found.filter(|index| !matches!(record.members[*index].role, Role::Claim(_) | Role::Kept)) {
                Some(index) => {
                    expected = index + 1;
                    let member = &record.members[index];
                    let from = self.out.len();
                    let written = self.member(member, (base + index, name_at))?;
                    if written {
                        self.room.slots[base + index] = Slot { start: from, end: self.out.len() };
                        in_order &= index == filled;
                        filled += usize::from(index == filled);
                    }
                }
                None => {
                    let name = quoted.text(&mut self.room.name);
                    if !self.room.names.add(names, name) {
                        return Err(EncodeError::twice(name_at, &shortened(name)));
                    }
                    self.unknown(quoted, top)?;
                }
            }
            more = self.lexer.more(b'}')?;
        }
        self.room.names.close(names);
        self.budget.leave();
        let found = if in_order { self.complete(record, (base, filled), key)? } else { self.reorder(record, (base, start), key)? };
        self.room.slots.truncate(base);
        Ok(found)
    }

    /// Writes supplied fields whose turn it is. Returns how many members stand in their order then.
    fn supply(&mut self, record: &RecordForm, base: usize, mut filled: usize) -> usize {
        while let Some(MemberForm { role: Role::Supplied(index), form, .. }) = record.members.get(filled)
            && let Some(value) = self.supplied.get(*index).copied().flatten()
            && self.room.slots[base + filled] == Slot::EMPTY
        {
            let start = self.out.len();
            if self.put_supplied(form, value).is_err() {
                // It is tried again at the end, where its fault has a path.
                self.out.truncate(start);
                break;
            }
            self.room.slots[base + filled] = Slot { start, end: self.out.len() };
            filled += 1;
        }
        filled
    }

    /// The value of a member that the document has. False: nothing was written, as the value comes from outside.
    #[inline]
    fn member(&mut self, member: &MemberForm, (slot, name_at): (usize, usize)) -> Walk<bool> {
        if let Role::Supplied(index) = member.role
            && let Some(given) = self.supplied.get(index).copied().flatten()
        {
            self.claim(member, (index, given), name_at)?;
            return Ok(false);
        }
        if self.room.slots[slot] != Slot::EMPTY {
            return Err(EncodeError::twice(name_at, &member.name));
        }
        let kept = self.room.kept.len();
        match self.value(&member.form) {
            Ok(()) if self.room.kept.len() == kept => Ok(true),
            Ok(()) => {
                self.prefix(kept, &member.name);
                Ok(true)
            }
            Err(error) => Err(error.within(&member.name)),
        }
    }

    /// What the document says of a field whose value comes from outside.
    fn claim(&mut self, member: &MemberForm, (index, given): (usize, &str), name_at: usize) -> Walk<()> {
        if self.room.claims.iter().any(|(other, _)| *other == index) {
            return Err(EncodeError::twice(name_at, &member.name));
        }
        let first = self.lexer.peek()?;
        let start = self.lexer.at;
        let mark = self.mark();
        self.lexer.skip(&mut self.budget)?;
        let (end, raw) = (self.lexer.at, self.lexer.since(start));
        let mut same = first == b'n';
        if !same {
            self.go_back(mark);
            let (at, claimed) = (self.out.len(), self.value(&member.form).is_ok());
            let given_at = self.out.len();
            same = claimed && self.put_supplied(&member.form, given).is_ok() && self.out[at..given_at] == self.out[given_at..];
        }
        self.go_back(mark);
        self.lexer.at = end;
        // Remembered in any case, so that a second one is seen.
        self.room.claims.push((index, start..end));
        if same {
            return Ok(());
        }
        self.conflicts |= 1 << index;
        if matches!(self.options.supplied[index].conflict, Conflict::Refuse) {
            let what = format!("`{}` is claimed, but the value from outside of the document is `{}`", shortened(raw), shortened(given));
            return Err(EncodeError::new(RefusalCode::ConflictingField, what).at(start).within(&member.name));
        }
        Ok(())
    }

    fn put_supplied(&mut self, form: &Form, value: &str) -> Result<(), Misfit> {
        form.put_branch(self.out);
        let shape = match form.value() {
            Form::Scalar(shape) => shape,
            Form::Int => &Shape::Int,
            Form::Long => &Shape::Long,
            Form::Double => &Shape::Double,
            _ => &Shape::String,
        };
        put_scalar(self.out, shape, Scalar::Cell(value), self.options.epoch)
    }

    /// A field that the schema does not have, at its value.
    fn unknown(&mut self, name: Quoted<'a>, top: bool) -> Walk<()> {
        self.lexer.peek()?;
        let start = self.lexer.at;
        let text = name.text(&mut self.room.name);
        let passed_over = top && self.options.passed_over.iter().any(|other| other == text);
        if !passed_over && (self.strict || self.options.unknown_fields == UnknownFields::Refuse) {
            return Err(EncodeError::unknown(text).at(start));
        }
        self.lexer.skip(&mut self.budget)?;
        if !passed_over && matches!(self.options.unknown_fields, UnknownFields::KeepIn(_)) {
            let path = name.text(&mut self.room.name).to_owned();
            self.room.kept.push(Kept { path, value: start..self.lexer.at });
        }
        Ok(())
    }

    /// Fields to be kept are those of a member, item or entry.
    #[cold]
    pub(super) fn prefix(&mut self, from: usize, step: &str) {
        for kept in &mut self.room.kept[from..] {
            kept.path = joined(step, &kept.path);
        }
    }

    /// The members that are left, where the others stand in their order.
    fn complete(&mut self, record: &RecordForm, (base, filled): (usize, usize), key: Option<usize>) -> Walk<Option<Range<usize>>> {
        let mut found = None;
        for (index, member) in record.members.iter().enumerate().skip(filled) {
            let start = self.out.len();
            self.fill(member)?;
            if key == Some(index) {
                found = Some(start..self.out.len());
            }
        }
        Ok(match key {
            Some(key) if key < filled => {
                let Slot { start, end } = self.room.slots[base + key];
                Some(start..end)
            }
            _ => found,
        })
    }

    /// All members again, in their order.
    fn reorder(&mut self, record: &RecordForm, (base, start): (usize, usize), key: Option<usize>) -> Walk<Option<Range<usize>>> {
        let mut spare = std::mem::take(&mut self.room.spare);
        spare.clear();
        spare.extend_from_slice(&self.out[start..]);
        self.out.truncate(start);
        let mut found = None;
        let mut filled = Ok(());
        for (index, member) in record.members.iter().enumerate() {
            let from = self.out.len();
            match self.room.slots[base + index] {
                Slot::EMPTY => filled = self.fill(member),
                slot => self.out.extend_from_slice(&spare[slot.start - start..slot.end - start]),
            }
            if filled.is_err() {
                break;
            }
            if key == Some(index) {
                found = Some(from..self.out.len());
            }
        }
        self.room.spare = spare;
        filled.map(|()| found)
    }

    /// A member that the document does not have.
    fn fill(&mut self, member: &MemberForm) -> Walk<()> {
        match member.role {
            Role::Supplied(index) => {
                if let Some(value) = self.supplied.get(index).copied().flatten() {
                    return self.put_supplied(&member.form, value).map_err(|misfit| {
                        let what = match misfit {
                            Misfit::Wanted(wanted) => {
                                format!("the value from outside of the document, `{}`, is not {wanted}", shortened(value))
                            }
                            Misfit::Said(what) => format!("the value from outside of the document: {what}"),
                        };
                        EncodeError::new(RefusalCode::WrongType, what).within(&member.name)
                    });
                }
            }
            Role::Claim(index) if self.conflicts & 1 << index != 0 => {
                let claim = self.room.claims.iter().find(|(other, _)| *other == index);
                let (_, claim) = claim.cloned().expect("a conflict is one with a claim");
                member.form.put_branch(self.out);
                return self.put_text(claim);
            }
            Role::Claim(_) => {}
            Role::Kept => return self.keep(member),
            Role::Document => {}
        }
        match &member.missing {
            Some(bytes) => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
            None => Err(EncodeError::missing().at(self.lexer.at - 1).within(&member.name)),
        }
    }

    /// A value of the document as a string: the text of one, of anything else its JSON.
    fn put_text(&mut self, value: Range<usize>) -> Walk<()> {
        let mut lexer = self.lexer.moved_to(value.start);
        if lexer.peek()? == b'"' {
            put_bytes(self.out, lexer.string()?.text(&mut self.room.text).as_bytes());
        } else {
            lexer.at = value.end;
            put_bytes(self.out, lexer.since(value.start).as_bytes());
        }
        Ok(())
    }

    /// The fields that the schema does not have, as a map of strings.
    fn keep(&mut self, member: &MemberForm) -> Walk<()> {
        let kept = std::mem::take(&mut self.room.kept);
        let nothing = kept.is_empty() && member.missing.is_some();
        if let (true, Some(bytes)) = (nothing, &member.missing) {
            self.out.extend_from_slice(bytes);
        } else {
            member.form.put_branch(self.out);
            if !kept.is_empty() {
                put_count(self.out, kept.len());
            }
            let Form::Map(values) = member.form.value() else { unreachable!("it was checked when the options were") };
            let names = self.room.names.open();
            for Kept { path, value } in &kept {
                // A name may look like the path of another.
                if !self.room.names.add(names, path) {
                    return Err(EncodeError::twice(value.start, &shortened(path)));
                }
                put_bytes(self.out, path.as_bytes());
                values.put_branch(self.out);
                self.put_text(value.clone())?;
            }
            self.room.names.close(names);
            self.out.push(0);
        }
        self.room.kept = kept;
        Ok(())
    }
}

//! Unions: values as they stand, and values tagged with their branch as in Avro's JSON encoding, `{"string": "x"}`.
//!
//! An object of one member that is named like a branch is read as tagged. What could also be meant as it stands is refused, never guessed:
//! a map with the one key `string`, say, in a union that has both. Without a tag a value is of the first branch that it fits; objects are tried
//! with all their fields known, so that none gets lost in the wrong branch.
use super::{
    fault::{EncodeError, Walk},
    form::{UnionForm, kind},
    pass::Pass,
};
use crate::{RefusalCode, encode::binary::put_count};

impl Pass<'_, '_> {
    /// A value at its first byte.
    #[inline]
    pub(super) fn union(&mut self, union: &UnionForm, first: u8) -> Walk<()> {
        match (first, union.null, union.only) {
            (b'n', Some(null), _) => {
                self.lexer.word("null")?;
                put_count(self.out, null);
                Ok(())
            }
            (b'{', ..) => self.object_of(union),
            (_, _, Some(only)) => self.branch(union, only),
            _ => self.any_of(union, kind_of(first)),
        }
    }

    #[inline]
    fn branch(&mut self, union: &UnionForm, index: usize) -> Walk<()> {
        put_count(self.out, index);
        self.value(&union.branches[index].form)
    }

    /// The first branch that the value fits, of those that could be.
    fn any_of(&mut self, union: &UnionForm, kind: u8) -> Walk<()> {
        let at = self.lexer.at;
        let mut candidates = union.candidates(kind);
        match (candidates.next(), candidates.next(), union.only) {
            (None, _, None) => Err(self.unfit(at, "of a type that the union has")),
            (Some(only), None, _) | (None, _, Some(only)) => self.branch(union, only),
            _ => {
                for index in union.candidates(kind) {
                    match self.tried(union, index) {
                        Err(error) if is_final(&error) => return Err(error),
                        Ok(()) => return Ok(()),
                        Err(_) => {}
                    }
                }
                let mut lexer = self.lexer;
                lexer.skip(&mut self.budget)?;
                Err(EncodeError::new(RefusalCode::WrongType, "the value fits no branch of the union").at(at))
            }
        }
    }

    /// As one branch, with all fields known; nothing is read or written if that fails.
    fn tried(&mut self, union: &UnionForm, index: usize) -> Walk<()> {
        let mark = self.mark();
        let strict = std::mem::replace(&mut self.strict, true);
        let outcome = self.branch(union, index);
        self.strict = strict;
        if outcome.is_err() {
            self.go_back(mark);
            self.strict = strict;
        }
        outcome
    }

    /// An object at its brace, tagged or as it stands.
    fn object_of(&mut self, union: &UnionForm) -> Walk<()> {
        let mark = self.mark();
        let (at, out) = (self.lexer.at, self.out.len());
        let Some(branch) = self.tag(union)? else {
            self.go_back(mark);
            return self.any_of(union, kind::OBJECT);
        };
        let tagged = self.branch(union, branch).map_err(|error| error.within(&format!("{{{}}}", union.branches[branch].tag)));
        let closed = match &tagged {
            Ok(()) => !self.lexer.more(b'}')?,
            Err(error) if is_final(error) => return tagged,
            Err(_) => true,
        };
        if !closed {
            // A further member: it was the name of a field.
            self.go_back(mark);
            return self.any_of(union, kind::OBJECT);
        }
        if !union.ambiguous {
            return tagged;
        }
        let (end, bytes) = (self.lexer.at, self.out[out..].to_vec());
        self.go_back(mark);
        let plain = union.candidates(kind::OBJECT).find(|index| self.tried(union, *index).is_ok());
        match (plain, tagged) {
            (Some(_), Err(_)) => Ok(()),
            (None, Ok(())) => {
                self.lexer.at = end;
                self.out.extend_from_slice(&bytes);
                Ok(())
            }
            (None, Err(error)) => Err(error),
            (Some(plain), Ok(())) => {
                let [plain, tagged] = [plain, branch].map(|index| &*union.branches[index].tag);
                let what = format!("the object could be a `{plain}`, and a `{tagged}` with its tag: put the tag of its type around it");
                Err(EncodeError::new(RefusalCode::WrongType, what).at(at))
            }
        }
    }

    /// The branch that the only name of an object at its brace is the tag of; then its value is next.
    fn tag(&mut self, union: &UnionForm) -> Walk<Option<usize>> {
        self.lexer.at += 1;
        if self.lexer.peek()? != b'"' {
            return Ok(None);
        }
        let name = self.lexer.name()?;
        Ok(union.tagged(name.text(&mut self.room.name)))
    }
}

/// Faults that no other reading of a value can mend.
fn is_final(error: &EncodeError) -> bool {
    matches!(error.code, RefusalCode::InvalidJson | RefusalCode::TooDeep | RefusalCode::TooManyNodes)
}

/// The kind of JSON value that starts with a byte.
fn kind_of(first: u8) -> u8 {
    match first {
        b'"' => kind::STRING,
        b'{' => kind::OBJECT,
        b'[' => kind::ARRAY,
        b't' | b'f' => kind::BOOLEAN,
        b'n' => kind::NULL,
        _ => kind::NUMBER,
    }
}

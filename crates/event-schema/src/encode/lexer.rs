//! The tokens of one JSON document (RFC 8259), read where they stand.
use super::{
    fault::{EncodeError, Walk},
    number::Number,
};
use crate::RefusalCode;

/// What is left of a record's limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub nodes: usize,
    pub depth: usize,
}

impl Budget {
    /// Counts values; each that is looked at counts, also those that are looked at twice.
    #[inline]
    pub(super) fn spend(&mut self, nodes: usize, at: usize) -> Walk<()> {
        match self.nodes.checked_sub(nodes) {
            Some(left) => {
                self.nodes = left;
                Ok(())
            }
            None => Err(EncodeError::new(RefusalCode::TooManyNodes, "the document has more values than the limit").at(at)),
        }
    }

    #[inline]
    pub(super) fn enter(&mut self, at: usize) -> Walk<()> {
        match self.depth.checked_sub(1) {
            Some(left) => {
                self.depth = left;
                Ok(())
            }
            None => Err(EncodeError::new(RefusalCode::TooDeep, "the document is nested deeper than the limit").at(at)),
        }
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }
}

/// What stands between two quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    /// As it stands.
    pub raw: &'a str,
    /// Whether it has escapes; they are correct.
    pub escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The text that is meant, in `room` if it has escapes.
    #[inline]
    pub(super) fn text<'r>(self, room: &'r mut String) -> &'r str
    where
        'a: 'r,
    {
        if self.escaped {
            room.clear();
            unescape(self.raw, room);
            room
        } else {
            self.raw
        }
    }
}

/// A document and how far it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// The next byte.
    pub at: usize,
}

impl<'a> Lexer<'a> {
    /// At the start of a document that must be UTF-8.
    pub(super) fn new(document: &'a [u8]) -> Walk<Self> {
        match std::str::from_utf8(document) {
            Ok(text) => Ok(Self { text, at: 0 }),
            Err(error) => Err(EncodeError::new(RefusalCode::InvalidUtf8, "the document is not UTF-8").at(error.valid_up_to())),
        }
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The same document at another place.
    pub(super) fn moved_to(&self, at: usize) -> Self {
        Self { at, ..*self }
    }

    /// What was read since a place.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// The first byte of the next token.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Walk<u8> {
        match self.byte() {
            Some(byte) if byte > b' ' => Ok(byte),
            _ => self.peek_behind_space(),
        }
    }

    #[inline(never)]
    fn peek_behind_space(&mut self) -> Walk<u8> {
        self.space();
        self.byte().ok_or_else(|| self.fault("the document ends here, in its middle"))
    }

    /// Takes the next token if it is this byte.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        if self.byte().is_none_or(|next| next <= b' ') {
            self.space();
        }
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Whether a further member or item follows; takes the comma, or the end.
    #[inline(always)]
    pub(super) fn more(&mut self, close: u8) -> Walk<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.fault(format!("neither `,` nor `{}` follows the value", char::from(close)))),
        }
    }

    /// A member's name and the colon.
    #[inline(always)]
    pub(super) fn name(&mut self) -> Walk<Quoted<'a>> {
        if self.peek()? != b'"' {
            return Err(self.fault("a name in quotes should be here"));
        }
        let name = self.string()?;
        if !self.take(b':') {
            return Err(self.fault("`:` does not follow the name"));
        }
        Ok(name)
    }

    /// A string, at its quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Walk<Quoted<'a>> {
        let start = self.at + 1;
        let end = plain_end(self.text.as_bytes(), start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Quoted { raw: &self.text[start..end], escaped: false });
        }
        self.rare_string(start, end)
    }

    /// One with escapes, or that does not end well.
    #[inline(never)]
    fn rare_string(&mut self, start: usize, mut end: usize) -> Walk<Quoted<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += self.escape(end)?,
                Some(_) => return Err(EncodeError::invalid("a control character stands in a string without an escape").at(end)),
                None => return Err(EncodeError::invalid("the document ends inside a string").at(end)),
            }
            end = plain_end(bytes, end);
        }
        self.at = end + 1;
        Ok(Quoted { raw: &self.text[start..end], escaped: true })
    }

    /// Bytes of the escape, or of the two that stand for one character, at a backslash.
    fn escape(&self, at: usize) -> Walk<usize> {
        let wrong = |what: &str| Err(EncodeError::invalid(what).at(at));
        match self.text.as_bytes().get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => match (unit(self.text, at), unit(self.text, at + 6)) {
                (None, _) => wrong("`\\u` has no four hexadecimal digits"),
                (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => Ok(12),
                (Some(0xd800..0xe000), _) => wrong("an escape stands for half a character"),
                (Some(_), _) => Ok(6),
            },
            _ => wrong("the string has an unknown escape"),
        }
    }

    /// A number, at its first byte.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Walk<Number<'a>> {
        match Number::read(&self.text[self.at..]) {
            Some(number) => {
                self.at += number.text.len();
                Ok(number)
            }
            None => Err(self.fault("the number is not one of JSON")),
        }
    }

    /// `true`, `false` or `null`.
    pub(super) fn word(&mut self, word: &'static str) -> Walk<()> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.fault("this is no JSON value"))
    }

    /// Passes over a value. Inside of it only the syntax is checked.
    pub(super) fn skip(&mut self, budget: &mut Budget) -> Walk<()> {
        let first = self.peek()?;
        budget.spend(1, self.at)?;
        match first {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'{' | b'[' => {
                budget.enter(self.at)?;
                self.at += 1;
                let close = if first == b'{' { b'}' } else { b']' };
                if !self.take(close) {
                    loop {
                        if first == b'{' {
                            self.name()?;
                        }
                        self.skip(budget)?;
                        if !self.more(close)? {
                            break;
                        }
                    }
                }
                budget.leave();
                Ok(())
            }
            _ => Err(self.fault("this is no JSON value")),
        }
    }

    /// Nothing but space may follow.
    pub(super) fn end(&mut self) -> Walk<()> {
        self.space();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the end of the document")),
        }
    }

    /// A fault of the syntax, here.
    #[cold]
    pub(super) fn fault(&self, what: impl Into<String>) -> Box<EncodeError> {
        EncodeError::invalid(what).at(self.at)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control character from `at` on. Eight bytes at once: of the marks in a word the lowest is never a wrong one.
#[inline(always)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = word ^ (ONES * u64::from(b'"'));
        let backslashes = word ^ (ONES * u64::from(b'\\'));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let marks = (quotes.wrapping_sub(ONES) & !quotes | backslashes.wrapping_sub(ONES) & !backslashes | controls) & HIGHS;
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        at += 1;
    }
    at
}

/// The code unit at a place where `\u` and four hexadecimal digits stand.
fn unit(text: &str, at: usize) -> Option<u32> {
    let escape = text.as_bytes().get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Appends the text that is meant; the escapes are correct.
fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (character, length) = match rest.as_bytes().get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => code_point(rest, at),
            other => (char::from(*other.expect("an escape has a second byte")), 2),
        };
        out.push(character);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
}

fn code_point(text: &str, at: usize) -> (char, usize) {
    let high = unit(text, at).expect("the escapes were checked");
    let (code, length) = match high {
        0xd800..0xdc00 => {
            let low = unit(text, at + 6).expect("the escapes were checked");
            (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
        }
        _ => (high, 6),
    };
    (char::from_u32(code).expect("halves of characters were refused"), length)
}

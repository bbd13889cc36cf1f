//! One scalar of JSON, or one cell of text, to the value of an Avro scalar.
use super::{
    EpochUnit,
    binary::{from_base64, put_bytes, put_count, put_long},
    calendar::{parse_date, parse_timestamp},
    number::Number,
};
use crate::schema::{Decimal, Shape, Timestamp, Unit};
use std::borrow::Cow;

/// Where a scalar comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    /// A string of JSON.
    Text(&'a str),
    /// A number of JSON.
    Number(Number<'a>),
    /// `true` or `false`.
    Boolean(bool),
    /// A cell, or a value from outside: text that may stand for any of the others.
    Cell(&'a str),
}

/// What the scalar should have been.
#[derive(Debug)]
pub(super) enum Misfit {
    /// It is not this.
    Wanted(Cow<'static, str>),
    /// Said in full.
    Said(String),
}

type Fitted<T> = Result<T, Misfit>;

fn wanted<T>(what: &'static str) -> Fitted<T> {
    Err(Misfit::Wanted(Cow::Borrowed(what)))
}

/// Writes a scalar as a value of the type; nothing is written if it does not fit.
pub(super) fn put_scalar(out: &mut Vec<u8>, shape: &Shape, scalar: Scalar<'_>, epoch: EpochUnit) -> Fitted<()> {
    match shape {
        Shape::Boolean => out.push(u8::from(scalar.boolean()?)),
        Shape::Int | Shape::TimeMillis => put_long(out, i64::from(scalar.int()?)),
        Shape::Date => put_long(out, i64::from(scalar.date()?)),
        Shape::Long | Shape::TimeMicros => put_long(out, scalar.long()?),
        Shape::Timestamp(timestamp) => put_long(out, scalar.timestamp(*timestamp, epoch)?),
        Shape::Float => out.extend(scalar.float()?.to_le_bytes()),
        Shape::Double => out.extend(scalar.double()?.to_le_bytes()),
        Shape::Bytes => put_bytes(out, &scalar.bytes()?),
        Shape::String => put_bytes(out, scalar.string()?.as_bytes()),
        Shape::UuidText => {
            scalar.uuid()?;
            put_bytes(out, scalar.string()?.as_bytes());
        }
        Shape::UuidBytes => out.extend(scalar.uuid()?),
        Shape::Fixed(size) => {
            let bytes = scalar.bytes()?;
            if bytes.len() != *size {
                return Err(Misfit::Said(format!("the value has `{}` bytes, the fixed has `{size}`", bytes.len())));
            }
            out.extend(bytes);
        }
        Shape::Decimal(decimal) => put_decimal(out, *decimal, scalar.decimal(*decimal)?),
        Shape::Enum(symbols) => put_count(out, scalar.symbol(symbols)?),
        Shape::BigDecimal => {
            let (value, scale) = scalar.big_decimal()?;
            let mut inner = Vec::new();
            put_bytes(&mut inner, shortest(&value.to_be_bytes()));
            put_count(&mut inner, usize::from(scale));
            put_bytes(out, &inner);
        }
        Shape::Null | Shape::Array(_) | Shape::Map(_) | Shape::Record(_) | Shape::Union(_) | Shape::Duration => {
            unreachable!("types with members have forms of their own")
        }
    }
    Ok(())
}

impl<'a> Scalar<'a> {
    /// The text of a cell or of a JSON string.
    fn text(self) -> Option<&'a str> {
        match self {
            Scalar::Text(text) | Scalar::Cell(text) => Some(text),
            Scalar::Number(_) | Scalar::Boolean(_) => None,
        }
    }

    /// An integer of JSON, or a cell of digits.
    fn integer(self) -> Option<i64> {
        match self {
            Scalar::Number(number) => number.long(),
            Scalar::Cell(text) => text.parse().ok(),
            Scalar::Text(_) | Scalar::Boolean(_) => None,
        }
    }

    fn string(self) -> Fitted<&'a str> {
        self.text().map_or_else(|| wanted("a string"), Ok)
    }

    fn boolean(self) -> Fitted<bool> {
        match self {
            Scalar::Boolean(value) => Ok(value),
            Scalar::Cell("true") => Ok(true),
            Scalar::Cell("false") => Ok(false),
            _ => wanted("`true` or `false`"),
        }
    }

    fn int(self) -> Fitted<i32> {
        self.integer().and_then(|value| value.try_into().ok()).map_or_else(|| wanted("an integer of 32 bits"), Ok)
    }

    fn long(self) -> Fitted<i64> {
        self.integer().map_or_else(|| wanted("an integer of 64 bits"), Ok)
    }

    fn float(self) -> Fitted<f32> {
        let value: Option<f32> = match self {
            // The nearest float of a number is that of its text, not that of its double.
            Scalar::Number(number) => number.text.parse().ok(),
            _ => self.text().and_then(|text| text.parse().ok()),
        };
        match value {
            Some(value) if self.may_be(value.is_infinite()) => Ok(value),
            _ => wanted("a number that a float holds"),
        }
    }

    fn double(self) -> Fitted<f64> {
        let value: Option<f64> = match self {
            Scalar::Number(number) => Some(number.double()),
            _ => self.text().and_then(|text| text.parse().ok()),
        };
        match value {
            Some(value) if self.may_be(value.is_infinite()) => Ok(value),
            _ => wanted("a number that a double holds"),
        }
    }

    /// Infinity is a value when it is spelled out, and an overflow when it comes from digits; a number in quotes is a string.
    fn may_be(self, infinite: bool) -> bool {
        let has_digits = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
        match self {
            Scalar::Number(_) => !infinite,
            Scalar::Text(text) => !has_digits(text),
            Scalar::Cell(text) => !(infinite && has_digits(text)),
            Scalar::Boolean(_) => false,
        }
    }

    fn bytes(self) -> Fitted<Vec<u8>> {
        self.text().and_then(from_base64).map_or_else(|| wanted("base64 with padding"), Ok)
    }

    fn date(self) -> Fitted<i32> {
        let days = self.integer().map_or_else(|| self.text().and_then(parse_date), |days| days.try_into().ok());
        days.map_or_else(|| wanted("a date such as `2026-11-21`, nor days since 1970"), Ok)
    }

    /// In the wire's unit.
    fn timestamp(self, timestamp: Timestamp, epoch: EpochUnit) -> Fitted<i64> {
        let value = match (self.epoch(timestamp.unit, epoch), self.text()) {
            (Some(value), _) => Some(value),
            (None, Some(text)) => parse_timestamp(text, timestamp.utc).and_then(|micros| match timestamp.unit {
                Unit::Millis => (micros % 1_000 == 0).then_some(micros / 1_000),
                Unit::Micros => Some(micros),
                Unit::Nanos => micros.checked_mul(1_000),
            }),
            (None, None) => None,
        };
        value.ok_or_else(|| {
            let zone = if timestamp.utc { "Z" } else { "" };
            let unit = epoch_name(timestamp.unit, epoch);
            Misfit::Wanted(format!("a timestamp such as `2026-11-21T10:00:00{zone}`, nor {unit} since 1970, without loss").into())
        })
    }

    /// A number that stands for a moment.
    fn epoch(self, unit: Unit, epoch: EpochUnit) -> Option<i64> {
        let given = match epoch {
            EpochUnit::OfType => return self.integer(),
            EpochUnit::Seconds => 0,
            EpochUnit::Millis => 3,
            EpochUnit::Micros => 6,
            EpochUnit::Nanos => 9,
        };
        let own: u32 = match unit {
            Unit::Millis => 3,
            Unit::Micros => 6,
            Unit::Nanos => 9,
        };
        let text = match self {
            Scalar::Number(number) => number.text,
            Scalar::Cell(text) => text,
            Scalar::Text(_) | Scalar::Boolean(_) => return None,
        };
        let plain = |scale: u32| unscaled(text, Decimal { precision: 38, scale: u8::try_from(scale).ok()?, fixed: None });
        let value = match own.checked_sub(given) {
            Some(more) => plain(more)?,
            None => {
                let (value, fewer) = (plain(0)?, 10i128.pow(given - own));
                (value % fewer == 0).then_some(value / fewer)?
            }
        };
        value.try_into().ok()
    }

    /// The unscaled value.
    fn decimal(self, decimal: Decimal) -> Fitted<i128> {
        let whole = match self {
            // A number with a point has gone through a double on most ways; a decimal must not.
            Scalar::Number(number) => number.is_integer().then(|| unscaled(number.text, decimal)).flatten(),
            _ => self.text().and_then(|text| unscaled(text, decimal)),
        };
        whole.ok_or_else(|| {
            let digits = format!("a decimal of `{}` digits, `{}` of them after the point, as a string", decimal.precision, decimal.scale);
            Misfit::Wanted(digits.into())
        })
    }

    /// The unscaled value and the scale, as the text has it.
    fn big_decimal(self) -> Fitted<(i128, u8)> {
        let parsed = self.text().and_then(|text| {
            let scale = u8::try_from(text.split_once('.').map_or(0, |(_, fraction)| fraction.len())).ok()?;
            let decimal = Decimal { precision: 38, scale, fixed: None };
            unscaled(text, decimal).map(|value| (value, scale))
        });
        parsed.map_or_else(|| wanted("a decimal of at most `38` digits, as a string"), Ok)
    }

    /// The 16 bytes of a uuid in text form.
    fn uuid(self) -> Fitted<[u8; 16]> {
        self.text().and_then(uuid_bytes).map_or_else(|| wanted("a uuid such as `0190163d-8694-739b-aea5-966c26f8ad91`"), Ok)
    }

    fn symbol(self, symbols: &[String]) -> Fitted<usize> {
        let index = self.text().and_then(|text| symbols.iter().position(|symbol| symbol == text));
        index.map_or_else(|| wanted("a symbol of the enum"), Ok)
    }
}

fn epoch_name(unit: Unit, epoch: EpochUnit) -> &'static str {
    match (epoch, unit) {
        (EpochUnit::Seconds, _) => "seconds",
        (EpochUnit::Millis, _) | (EpochUnit::OfType, Unit::Millis) => "milliseconds",
        (EpochUnit::Micros, _) | (EpochUnit::OfType, Unit::Micros) => "microseconds",
        (EpochUnit::Nanos, _) | (EpochUnit::OfType, Unit::Nanos) => "nanoseconds",
    }
}

/// The digits of `-12.5` at a scale of 2 are -1250; `None` if digits would be lost or are too many.
fn unscaled(text: &str, decimal: Decimal) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let scale = usize::from(decimal.scale);
    let (kept, lost) = fraction.split_at(fraction.len().min(scale));
    if lost.bytes().any(|b| b != b'0') {
        return None;
    }
    let padding = scale - kept.len();
    let all = whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', padding));
    let mut value = 0i128;
    for digit in all {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    (value < decimal.bound()).then_some(if negative { -value } else { value })
}

fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut digits = text.iter().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23)).map(|(_, b)| char::from(*b).to_digit(16));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let value = digits.next()?? << 4 | digits.next()??;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

/// As few bytes as hold the number and its sign.
fn shortest(wide: &[u8; 16]) -> &[u8] {
    let sign = if wide[0] >= 0x80 { 0xff } else { 0x00 };
    let start = (1..16).rev().find(|at| {
        let head_is_sign = wide[..*at].iter().all(|byte| *byte == sign);
        head_is_sign && (wide[*at] ^ sign) < 0x80
    });
    &wide[start.unwrap_or(0)..]
}

/// As few bytes as hold the sign, or the fixed's with the sign before.
fn put_decimal(out: &mut Vec<u8>, decimal: Decimal, value: i128) {
    let wide = value.to_be_bytes();
    let digits = shortest(&wide);
    match decimal.fixed {
        None => put_bytes(out, digits),
        Some(size) => {
            let sign = if value < 0 { 0xff } else { 0x00 };
            out.extend(std::iter::repeat_n(sign, size - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}

//! One JSON scalar or text cell to the value of an Avro scalar.
use super::{
    EncodeError,
    calendar::{parse_date, parse_timestamp},
};
use crate::schema::{Decimal, Timestamp, Unit};
use serde_json::Value;

/// Where a scalar comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    /// A JSON value.
    Json(&'a Value),
    /// A cell of text.
    Text(&'a str),
}

type Encoded<T> = Result<T, EncodeError>;

impl<'a> Scalar<'a> {
    fn unfit<T>(self, wanted: &str) -> Encoded<T> {
        let found = match self {
            Scalar::Json(Value::Null) => "null".to_owned(),
            Scalar::Json(Value::Array(_)) => "an array".to_owned(),
            Scalar::Json(Value::Object(_)) => "an object".to_owned(),
            Scalar::Json(value) => format!("`{}`", shortened(&value.to_string())),
            Scalar::Text(text) => format!("`{}`", shortened(text)),
        };
        Err(EncodeError::new(format!("{found} is not {wanted}")))
    }

    /// The text of a cell or of a JSON string.
    fn text(self) -> Option<&'a str> {
        match self {
            Scalar::Json(value) => value.as_str(),
            Scalar::Text(text) => Some(text),
        }
    }

    /// An integer of JSON, or a cell of digits.
    fn integer(self) -> Option<i128> {
        match self {
            Scalar::Json(Value::Number(number)) => number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)),
            Scalar::Json(_) => None,
            Scalar::Text(text) => text.parse().ok(),
        }
    }

    pub(super) fn string(self) -> Encoded<&'a str> {
        self.text().map_or_else(|| self.unfit("a string"), Ok)
    }

    pub(super) fn boolean(self) -> Encoded<bool> {
        match self {
            Scalar::Json(Value::Bool(value)) => Ok(*value),
            Scalar::Text("true") => Ok(true),
            Scalar::Text("false") => Ok(false),
            _ => self.unfit("`true` or `false`"),
        }
    }

    pub(super) fn int(self) -> Encoded<i32> {
        self.integer().and_then(|value| value.try_into().ok()).map_or_else(|| self.unfit("an integer of 32 bits"), Ok)
    }

    pub(super) fn long(self) -> Encoded<i64> {
        self.integer().and_then(|value| value.try_into().ok()).map_or_else(|| self.unfit("an integer of 64 bits"), Ok)
    }

    pub(super) fn float(self) -> Encoded<f32> {
        let value = match self {
            // The nearest float of a JSON number is that of its text, not that of its double.
            Scalar::Json(Value::Number(number)) => number.to_string().parse().ok(),
            _ => self.text().and_then(|text| text.parse().ok()),
        };
        self.in_range(value, f32::is_infinite, "a number that a float holds")
    }

    pub(super) fn double(self) -> Encoded<f64> {
        let value = match self {
            Scalar::Json(Value::Number(number)) => number.as_f64(),
            _ => self.text().and_then(|text| text.parse().ok()),
        };
        self.in_range(value, f64::is_infinite, "a number that a double holds")
    }

    /// Infinity is a value when it is spelled out, and an overflow when it comes from digits; a number in quotes is a string.
    fn in_range<T: Copy>(self, value: Option<T>, is_infinite: fn(T) -> bool, wanted: &str) -> Encoded<T> {
        let has_digits = match self {
            Scalar::Json(Value::Number(_)) => true,
            _ => self.text().is_some_and(|text| text.bytes().any(|b| b.is_ascii_digit())),
        };
        let quoted = matches!(self, Scalar::Json(Value::String(_)));
        match value {
            Some(value) if has_digits && (quoted || is_infinite(value)) => self.unfit(wanted),
            Some(value) => Ok(value),
            None => self.unfit(wanted),
        }
    }

    pub(super) fn bytes(self) -> Encoded<Vec<u8>> {
        self.text().and_then(super::binary::from_base64).map_or_else(|| self.unfit("base64 with padding"), Ok)
    }

    pub(super) fn date(self) -> Encoded<i32> {
        let days = self.integer().map_or_else(|| self.text().and_then(parse_date), |days| days.try_into().ok());
        days.map_or_else(|| self.unfit("a date such as `2026-11-21`, nor days since 1970"), Ok)
    }

    /// In the wire's unit.
    pub(super) fn timestamp(self, timestamp: Timestamp) -> Encoded<i64> {
        let example =
            if timestamp.utc { "a timestamp such as `2026-11-21T10:00:00Z`" } else { "a timestamp such as `2026-11-21T10:00:00`" };
        let unit = match timestamp.unit {
            Unit::Millis => "milliseconds",
            Unit::Micros => "microseconds",
            Unit::Nanos => "nanoseconds",
        };
        let value = match (self.integer(), self.text()) {
            (Some(number), _) => number.try_into().ok(),
            (None, Some(text)) => parse_timestamp(text, timestamp.utc).and_then(|micros| match timestamp.unit {
                Unit::Millis => (micros % 1_000 == 0).then_some(micros / 1_000),
                Unit::Micros => Some(micros),
                Unit::Nanos => micros.checked_mul(1_000),
            }),
            (None, None) => None,
        };
        value.map_or_else(|| self.unfit(&format!("{example}, nor {unit} since 1970, without loss")), Ok)
    }

    /// The unscaled value.
    pub(super) fn decimal(self, decimal: Decimal) -> Encoded<i128> {
        let whole = match self {
            Scalar::Json(Value::Number(number)) if number.is_f64() => None,
            Scalar::Json(Value::Number(number)) => unscaled(&number.to_string(), decimal),
            _ => self.text().and_then(|text| unscaled(text, decimal)),
        };
        let wanted = format!("a decimal of `{}` digits, `{}` of them after the point, as a string", decimal.precision, decimal.scale);
        whole.map_or_else(|| self.unfit(&wanted), Ok)
    }

    /// The unscaled value and the scale, as the text has it.
    pub(super) fn big_decimal(self) -> Encoded<(i128, u8)> {
        let parsed = self.text().and_then(|text| {
            let scale = u8::try_from(text.split_once('.').map_or(0, |(_, fraction)| fraction.len())).ok()?;
            let decimal = Decimal { precision: 38, scale, fixed: None };
            unscaled(text, decimal).map(|value| (value, scale))
        });
        parsed.map_or_else(|| self.unfit("a decimal of at most `38` digits, as a string"), Ok)
    }

    /// The 16 bytes of a uuid in text form.
    pub(super) fn uuid(self) -> Encoded<[u8; 16]> {
        self.text().and_then(uuid_bytes).map_or_else(|| self.unfit("a uuid such as `0190163d-8694-739b-aea5-966c26f8ad91`"), Ok)
    }

    pub(super) fn symbol(self, symbols: &[String]) -> Encoded<usize> {
        let index = self.text().and_then(|text| symbols.iter().position(|symbol| symbol == text));
        index.map_or_else(|| self.unfit("a symbol of the enum"), Ok)
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
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

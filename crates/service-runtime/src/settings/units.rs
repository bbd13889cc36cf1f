//! Values with a unit: durations and sizes.
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use windowing::Micros;

/// A length of time, written with its unit: `500ms`, `60s`, `5m`, `1h`, `30d`. A bare number is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub std::time::Duration);

/// A number of bytes, written as `512MiB`, `64KiB`, `2GiB`, `10MB` or a bare number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units of a duration in milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of a size in bytes, largest first; those of 1024 are preferred for display.
const BYTE_UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];
/// Longest duration: a hundred years keeps all sums of event times and durations in range.
const MAX_DURATION_MS: u64 = 36_525 * 86_400_000;

impl Duration {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(std::time::Duration::from_millis(milliseconds))
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.0.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Splits `12ms` into `12` and `ms`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no duration");
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit"));
        }
        let (_, unit_ms) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let milliseconds = number.checked_mul(*unit_ms).filter(|ms| *ms <= MAX_DURATION_MS);
        milliseconds.map(Self::from_millis).ok_or_else(|| format!("`{text}` is longer than a hundred years"))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let unit = DURATION_UNITS.iter().find(|(_, size)| milliseconds > 0 && milliseconds % size == 0);
        match unit {
            Some((name, size)) => write!(f, "{}{name}", milliseconds / size),
            None => f.write_str("0s"),
        }
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no size");
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        if unit.is_empty() {
            return Ok(Self(number));
        }
        let (_, unit_bytes) = BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
        number.checked_mul(*unit_bytes).map(Self).ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BYTE_UNITS.iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size)) {
            Some((name, size)) if *size > 1 => write!(f, "{}{name}", self.0 / size),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(bytes) => Ok(Self(bytes)),
            Form::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$", "description": "A length of time with its unit, such as `500ms`, `60s`, `5m`, `1h` or `30d`." })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+ *([KkMmGgTt][Ii][Bb]|[KkMmGg][Bb]|[Bb])?$",
            "minimum": 0,
            "description": "A number of bytes, such as `512MiB`, `64KiB`, `10MB` or `5000000`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_print_in_their_largest_whole_one() {
        for (text, milliseconds, shown) in [
            ("500ms", 500, "500ms"),
            ("60s", 60_000, "1m"),
            ("90m", 5_400_000, "90m"),
            ("24h", 86_400_000, "1d"),
            ("0s", 0, "0s"),
            ("5 m", 300_000, "5m"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(duration.to_string(), shown);
            assert_eq!(shown.parse::<Duration>().unwrap(), duration);
        }
        for (text, what) in [
            ("60", "`60` has no unit"),
            ("60sec", "`60sec` is no duration"),
            ("-1s", "`-1s` is no duration"),
            ("1.5h", "`1.5h` is no duration"),
            ("", "`` is no duration"),
            ("200000d", "`200000d` is longer than a hundred years"),
            ("99999999999999999999s", "`99999999999999999999s` is no duration"),
        ] {
            assert_eq!(text.parse::<Duration>().unwrap_err(), what);
        }
    }

    #[test]
    fn sizes_have_units_of_1024_and_1000() {
        for (text, bytes, shown) in [
            ("512MiB", 512 << 20, "512MiB"),
            ("64kib", 64 << 10, "64KiB"),
            ("5000000", 5_000_000, "5MB"),
            ("10MB", 10_000_000, "10MB"),
            ("7", 7, "7"),
            ("0", 0, "0"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size, ByteSize(bytes), "{text}");
            assert_eq!(size.to_string(), shown);
        }
        for text in ["", "MiB", "12XB", "-1", "99999999TiB", "1.5GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}

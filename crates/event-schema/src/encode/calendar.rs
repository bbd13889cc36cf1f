//! Dates and RFC 3339 timestamps to days and microseconds since 1970, in the proleptic Gregorian calendar, years 0000 to 9999.

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Days of `2026-11-21`.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    let mut reader = Reader { rest: text.as_bytes() };
    let days = reader.date()?;
    reader.rest.is_empty().then_some(days)
}

/// Microseconds of `2026-11-21T10:00:00.123456+01:00`. With `utc` an offset (or `Z`) is needed, without it there must be none. `None` also for
/// leap seconds and for digits below a microsecond that are not zero.
pub(super) fn parse_timestamp(text: &str, utc: bool) -> Option<i64> {
    let mut reader = Reader { rest: text.as_bytes() };
    let days = reader.date()?;
    reader.one_of(b"Tt ")?;
    let hour = reader.number(2, 23)?;
    reader.one_of(b":")?;
    let minute = reader.number(2, 59)?;
    reader.one_of(b":")?;
    let second = reader.number(2, 59)?;
    let fraction = reader.fraction_micros()?;
    let offset_minutes = if utc { reader.offset_minutes()? } else { 0 };
    if !reader.rest.is_empty() {
        return None;
    }
    let minutes = (i64::from(days) * 24 + hour) * 60 + minute - offset_minutes;
    Some((minutes * 60 + second) * MICROS_PER_SECOND + fraction)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn one_of(&mut self, accepted: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        accepted.contains(first).then_some(*first)
    }

    /// So many digits, at most `max`.
    fn number(&mut self, digits: usize, max: i64) -> Option<i64> {
        let (text, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        let value = text.iter().try_fold(0, |value, b| b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0')))?;
        (value <= max).then_some(value)
    }

    fn date(&mut self) -> Option<i32> {
        let year = self.number(4, 9999)?;
        self.one_of(b"-")?;
        let month = self.number(2, 12)?;
        self.one_of(b"-")?;
        let day = self.number(2, days_in_month(year, month)?)?;
        let days = (day > 0).then(|| days_since_epoch(year, month, day))?;
        i32::try_from(days).ok()
    }

    fn fraction_micros(&mut self) -> Option<i64> {
        if self.rest.first() != Some(&b'.') {
            return Some(0);
        }
        self.one_of(b".")?;
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (fraction, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let (kept, lost) = fraction.split_at(digits.min(6));
        if digits == 0 || lost.iter().any(|b| *b != b'0') {
            return None;
        }
        let value = kept.iter().fold(0, |value, b| value * 10 + i64::from(b - b'0'));
        let missing = u32::try_from(6 - kept.len()).expect("at most 6");
        Some(value * 10i64.pow(missing))
    }

    fn offset_minutes(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2, 23)?;
        self.one_of(b":")?;
        Some(sign * (hours * 60 + self.number(2, 59)?))
    }
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Years are counted from March, so that a leap day is the last of its year; 719,468 days lie between 0000-03-01 and 1970-01-01.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

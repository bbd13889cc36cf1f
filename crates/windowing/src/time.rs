use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, negative before it.
///
/// `+` and `-` saturate: times come from devices, so a hostile one must neither wrap nor panic. [`Time::checked_add`] tells the two apart.
/// `Display` is RFC 3339 in UTC (`2026-11-21T05:00:00Z`, fractions only where there are any).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

/// A length of time in microseconds. `+` and `-` saturate, as those of [`Time`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// A day of the proleptic Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Astronomical year: 0 is 1 BC.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
}

impl Micros {
    /// No time at all.
    pub const ZERO: Micros = Micros(0);
    /// One second.
    pub const SECOND: Micros = Micros(MICROS_PER_SECOND);
    /// One minute.
    pub const MINUTE: Micros = Micros(60 * MICROS_PER_SECOND);
    /// One hour.
    pub const HOUR: Micros = Micros(3_600 * MICROS_PER_SECOND);
    /// One day.
    pub const DAY: Micros = Micros(MICROS_PER_DAY);

    /// A length in milliseconds; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A length in seconds; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(MICROS_PER_SECOND))
    }

    /// The sum; `None` if it cannot be represented.
    pub fn checked_add(self, other: Micros) -> Option<Micros> {
        self.0.checked_add(other.0).map(Micros)
    }
}

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Time = Time(0);
    /// The earliest time there is.
    pub const MIN: Time = Time(i64::MIN);
    /// The latest time there is.
    pub const MAX: Time = Time(i64::MAX);

    /// A time in milliseconds since 1970 (Kafka's timestamps); saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Whole milliseconds since 1970, floored.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The sum; `None` if it cannot be represented.
    pub fn checked_add(self, length: Micros) -> Option<Time> {
        self.0.checked_add(length.0).map(Time)
    }

    /// The difference; `None` if it cannot be represented.
    pub fn checked_sub(self, length: Micros) -> Option<Time> {
        self.0.checked_sub(length.0).map(Time)
    }

    /// Microseconds from `earlier` to here; `None` if it cannot be represented.
    pub fn checked_since(self, earlier: Time) -> Option<Micros> {
        self.0.checked_sub(earlier.0).map(Micros)
    }

    /// The day that holds this time.
    pub fn date(self) -> Date {
        Date::from_days(self.0.div_euclid(MICROS_PER_DAY))
    }

    /// Midnight of the day that holds this time (floor, also before 1970; the very first, partial day clamps to [`Time::MIN`]).
    pub fn day_start(self) -> Time {
        Time(self.0.checked_sub(self.0.rem_euclid(MICROS_PER_DAY)).unwrap_or(i64::MIN))
    }

    /// Length since midnight, UTC: at least 0, less than a day.
    pub fn time_of_day(self) -> Micros {
        Micros(self.0.rem_euclid(MICROS_PER_DAY))
    }
}

impl Date {
    /// Midnight of the day, UTC. `None` if month or day do not exist, or the time cannot be represented.
    pub fn midnight(self) -> Option<Time> {
        let days = self.days();
        (Date::from_days(days) == self).then_some(())?;
        days.checked_mul(MICROS_PER_DAY).map(Time)
    }

    /// Days since 1970-01-01. Algorithm: Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
    fn days(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (i64::from(self.month) + 9).rem_euclid(12);
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The inverse of [`Date::days`] (`civil_from_days`).
    fn from_days(days: i64) -> Date {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year: year as i32, month: month as u32, day: day as u32 }
    }
}

impl fmt::Display for Date {
    /// `2026-11-21`; years before 0 have a sign, years after 9999 more digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{:02}-{:02}", self.year.unsigned_abs(), self.month, self.day)
    }
}

impl std::str::FromStr for Date {
    type Err = ();

    /// The exact inverse of `Display`; any other spelling is refused.
    fn from_str(text: &str) -> Result<Self, ()> {
        let at = text.len().checked_sub(6).ok_or(())?;
        let (year, rest) = text.split_at_checked(at).ok_or(())?;
        let (month, day) = rest.strip_prefix('-').and_then(|r| r.split_once('-')).ok_or(())?;
        let parse = |s: &str| s.parse::<u32>().map_err(|_| ());
        let date = Date { year: year.parse().map_err(|_| ())?, month: parse(month)?, day: parse(day)? };
        if date.midnight().is_some() && date.to_string() == text { Ok(date) } else { Err(()) }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.time_of_day().0;
        let secs = of_day / MICROS_PER_SECOND;
        let micros = of_day % MICROS_PER_SECOND;
        write!(f, "{}T{:02}:{:02}:{:02}", self.date(), secs / 3_600, secs / 60 % 60, secs % 60)?;
        match micros {
            0 => {}
            m if m % 1_000 == 0 => write!(f, ".{:03}", m / 1_000)?,
            m => write!(f, ".{m:06}")?,
        }
        f.write_str("Z")
    }
}

impl fmt::Display for Micros {
    /// Seconds with up to six decimals: `3600s`, `0.25s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}", magnitude / 1_000_000)?;
        match magnitude % 1_000_000 {
            0 => {}
            rest => write!(f, ".{}", format!("{rest:06}").trim_end_matches('0'))?,
        }
        f.write_str("s")
    }
}

impl Add<Micros> for Time {
    type Output = Time;
    fn add(self, length: Micros) -> Time {
        Time(self.0.saturating_add(length.0))
    }
}

impl Sub<Micros> for Time {
    type Output = Time;
    fn sub(self, length: Micros) -> Time {
        Time(self.0.saturating_sub(length.0))
    }
}

impl Sub for Time {
    type Output = Micros;
    fn sub(self, earlier: Time) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Micros {
    type Output = Micros;
    fn add(self, other: Micros) -> Micros {
        Micros(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Micros;
    fn sub(self, other: Micros) -> Micros {
        Micros(self.0.saturating_sub(other.0))
    }
}

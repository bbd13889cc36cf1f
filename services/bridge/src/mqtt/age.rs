//! When a message was sent, as far as it says: for a metric only, so what cannot be read is left out.

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Numbers below these are seconds, milliseconds, microseconds since 1970: each is beyond the year 5000 in the unit before.
const SECONDS_BELOW: i64 = 100_000_000_000;
const MILLIS_BELOW: i64 = 100_000_000_000_000;
const MICROS_BELOW: i64 = 100_000_000_000_000_000;

/// Microseconds since 1970 of a number in seconds, milliseconds, microseconds or nanoseconds (told by its size), or of RFC 3339.
pub fn sent_at_micros(text: &str) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(number) => Some(match number {
            ..SECONDS_BELOW => number.checked_mul(MICROS_PER_SECOND)?,
            SECONDS_BELOW..MILLIS_BELOW => number * 1_000,
            MILLIS_BELOW..MICROS_BELOW => number,
            MICROS_BELOW.. => number / 1_000,
        }),
        Err(_) => rfc3339(text),
    }
}

/// `2026-11-21T05:00:00.25Z` or with an offset such as `+01:00`.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let fraction_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (fraction, zone) = rest.split_at(fraction_end);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let micros = match fraction.strip_prefix('.') {
        Some(digits) if !digits.is_empty() => format!("{digits:0<6}").get(..6)?.parse::<i64>().ok()?,
        Some(_) => return None,
        None => 0,
    };
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        zone => {
            let (sign, zone) = zone.split_at_checked(1)?;
            let [hours, minutes] = numbers(zone, ':')?;
            (hours * 60 + minutes) * if sign == "-" { -1 } else { 1 }
        }
    };
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(days_since_1970(year, month, day) * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + micros)
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for number in &mut found {
        *number = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// In the proleptic Gregorian calendar; years begin in March, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_devices_use() {
        const TIME: i64 = 1_795_237_200_000_000;
        for text in
            ["1795237200", "1795237200000", "1795237200000000", "1795237200000000000", "2026-11-21T05:00:00Z", "2026-11-21T06:00:00+01:00"]
        {
            assert_eq!(sent_at_micros(text), Some(TIME), "{text}");
        }
        assert_eq!(sent_at_micros("2026-11-21t05:00:00.25z"), Some(TIME + 250_000));
        assert_eq!(sent_at_micros("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(sent_at_micros("2000-02-29T00:00:00Z"), Some(951_782_400_000_000));
    }

    #[test]
    fn what_is_no_time_is_left_out() {
        for text in [
            "",
            "x",
            "2026-11-21",
            "2026-13-01T00:00:00Z",
            "2026-11-21T25:00:00Z",
            "2026-11-21T05:00:00",
            "2026-11-21T05:00:00.Z",
            "1.5",
            "ä026-11-21T05:00:00Z",
        ] {
            assert_eq!(sent_at_micros(text), None, "{text}");
        }
    }
}

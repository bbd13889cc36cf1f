//! Times, dates and windows, also before 1970, on leap days and at the ends of what can be represented.
use proptest::prelude::*;
use windowing::{Date, Micros, Time, WindowSize};

fn date(year: i32, month: u32, day: u32) -> Date {
    Date { year, month, day }
}

#[test]
fn known_days() {
    let known = [
        (date(1970, 1, 1), 0),
        (date(1969, 12, 31), -1),
        (date(2000, 2, 29), 11_016),
        (date(2000, 3, 1), 11_017),
        (date(1900, 2, 28), -25_509),
        (date(1900, 3, 1), -25_508),
        (date(2024, 2, 29), 19_782),
        (date(2026, 11, 21), 20_778),
        (date(9999, 12, 31), 2_932_896),
        (date(0, 3, 1), -719_468),
    ];
    for (date, days) in known {
        let midnight = Time(days * Micros::DAY.0);
        assert_eq!(date.midnight(), Some(midnight), "{date}");
        assert_eq!(midnight.date(), date);
        assert_eq!((midnight + Micros(Micros::DAY.0 - 1)).date(), date);
    }
}

#[test]
fn days_that_do_not_exist_are_refused() {
    let absent =
        [date(2026, 2, 29), date(1900, 2, 29), date(2026, 4, 31), date(2026, 0, 1), date(2026, 13, 1), date(2026, 1, 0), date(2026, 1, 32)];
    for day in absent {
        assert_eq!(day.midnight(), None, "{day:?}");
    }
    assert_eq!(date(i32::MAX, 1, 1).midnight(), None, "beyond what a time holds");
    for text in ["2026-2-01", "2026-02-1", "+2026-02-01", "02026-02-01", "2026-02-29", "", "-", "2026-02-01 ", "２026-02-01", "-0000-01-01"]
    {
        assert!(text.parse::<Date>().is_err(), "{text}");
    }
}

#[test]
fn rfc_3339() {
    let known = [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (-1_000, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00Z"),
        (1_795_237_200_000_000, "2026-11-21T05:00:00Z"),
        (1_795_237_200_000_001, "2026-11-21T05:00:00.000001Z"),
        (i64::MAX, "294247-01-10T04:00:54.775807Z"),
        (i64::MIN, "-290308-12-21T19:59:05.224192Z"),
    ];
    for (micros, text) in known {
        assert_eq!(Time(micros).to_string(), text);
    }
    assert_eq!(Micros(-1_500_000).to_string(), "-1.5s");
    assert_eq!(Micros::HOUR.to_string(), "3600s");
}

#[test]
fn arithmetic_saturates_or_says_so() {
    assert_eq!(Time::MAX + Micros(1), Time::MAX);
    assert_eq!(Time::MIN - Micros(1), Time::MIN);
    assert_eq!(Time::MIN - Time::MAX, Micros(i64::MIN));
    assert_eq!(Time(5) - Time(7), Micros(-2));
    assert_eq!(Micros(i64::MAX) + Micros(1), Micros(i64::MAX));
    assert_eq!(Time::MAX.checked_add(Micros(1)), None);
    assert_eq!(Time::MIN.checked_sub(Micros(1)), None);
    assert_eq!(Time::MIN.checked_since(Time::MAX), None);
    assert_eq!(Time(7).checked_since(Time(5)), Some(Micros(2)));
    assert_eq!(Time::from_millis(i64::MAX), Time::MAX);
    assert_eq!(Time(-1).millis(), -1, "floored");
}

#[test]
fn window_sizes_are_divisors_of_a_day_in_whole_minutes() {
    let sizes: Vec<i64> = (1..=24 * 60).filter(|minutes| WindowSize::new(Micros(minutes * Micros::MINUTE.0)).is_ok()).collect();
    let divisors: Vec<i64> = (1..=24 * 60).filter(|minutes| 24 * 60 % minutes == 0).collect();
    assert_eq!(sizes, divisors);
    for refused in [0, -Micros::HOUR.0, Micros::SECOND.0, 90 * Micros::SECOND.0, Micros::HOUR.0 + 1, 2 * Micros::DAY.0, i64::MIN, i64::MAX]
    {
        let error = WindowSize::new(Micros(refused)).unwrap_err();
        assert!(error.to_string().contains("not a divisor of a day"), "{refused}");
    }
    assert_eq!(serde_json::from_str::<WindowSize>("3600000000").unwrap(), WindowSize::HOUR);
    assert!(serde_json::from_str::<WindowSize>("3600000001").is_err(), "a size is checked when it is read");
    assert_eq!(serde_json::to_string(&WindowSize::HOUR).unwrap(), "3600000000");
}

#[test]
fn the_first_window_of_time_is_partial() {
    assert_eq!(WindowSize::HOUR.start_of(Time::MIN), Time::MIN);
    assert_eq!(WindowSize::HOUR.end_of(Time::MAX), Time::MAX);
    assert_eq!(Time::MIN.day_start(), Time::MIN);
}

fn any_time() -> impl Strategy<Value = Time> {
    prop_oneof![any::<i64>(), -4_000_000_000_000_000..4_000_000_000_000_000_i64, -2..2_i64].prop_map(Time)
}

fn any_size() -> impl Strategy<Value = WindowSize> {
    let sizes: Vec<_> = (1..=24 * 60).filter_map(|minutes| WindowSize::new(Micros(minutes * Micros::MINUTE.0)).ok()).collect();
    prop::sample::select(sizes)
}

proptest! {
    #[test]
    fn dates_round_trip(time in any_time()) {
        let date = time.date();
        prop_assert_eq!(date.to_string().parse::<Date>(), if date.midnight().is_some() { Ok(date) } else { Err(()) });
        if let Some(midnight) = date.midnight() {
            prop_assert_eq!(midnight, time.day_start());
            prop_assert_eq!(midnight + time.time_of_day(), time);
        }
    }

    #[test]
    fn days_follow_one_another(day in -100_000_000..100_000_000_i64) {
        let today = Time(day * Micros::DAY.0).date();
        let tomorrow = Time((day + 1) * Micros::DAY.0).date();
        let next_in_month = Date { day: today.day + 1, ..today };
        let first = |month: u32, year: i32| Date { year, month, day: 1 };
        let leap = today.year.rem_euclid(4) == 0 && (today.year.rem_euclid(100) != 0 || today.year.rem_euclid(400) == 0);
        let length = match today.month { 2 if leap => 29, 2 => 28, 4 | 6 | 9 | 11 => 30, _ => 31 };
        let expected = match (today.day == length, today.month) {
            (false, _) => next_in_month,
            (true, 12) => first(1, today.year + 1),
            (true, month) => first(month + 1, today.year),
        };
        prop_assert_eq!(tomorrow, expected);
    }

    #[test]
    fn every_time_is_in_exactly_its_window(time in any_time(), size in any_size()) {
        let start = size.start_of(time);
        let end = size.end_of(start);
        prop_assert!(start <= time);
        prop_assert!(time < end || end == Time::MAX);
        if start != Time::MIN {
            prop_assert!(size.is_start(start));
            prop_assert_eq!(size.start_of(start), start);
            prop_assert_eq!(size.start_of(start - Micros(1)), size.start_of(start - size.micros()));
            prop_assert_eq!(start.date(), time.date(), "no window straddles midnight");
        }
        if end != Time::MAX {
            prop_assert_eq!(size.start_of(end), end);
            prop_assert_eq!(end - start, if start == Time::MIN { end - start } else { size.micros() });
        }
    }
}

//! Closing, from what kafka_partitions report alone: held by the slowest, by idle ones until they say so, by new ones until they have reported;
//! not by those that do not count; never undone. Also before 1970, on leap days, for every window size.
use proptest::prelude::*;
use windowing::{Date, Micros, PartitionWatermark, Time, Watermark, WindowSize, closed_through, table_watermark};

/// A kafka_partition as a fold keeps it.
#[derive(Clone, Debug)]
struct Reporting {
    watermark: Watermark,
    counts: bool,
    /// When it was declared: the table's watermark of that moment, which it holds until it has reported.
    declared_at: Watermark,
    reported: bool,
}

#[derive(Clone, Debug)]
enum Event {
    /// Declares a kafka_partition; a `.refused` topic does not count.
    Declare { refused: bool },
    /// A kafka_partition reports so much more than it had.
    Report { of: usize, more: i64 },
    /// Retired, or its generation ends.
    End { of: usize },
    /// New settings.
    Lateness(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        1 => any::<bool>().prop_map(|refused| Event::Declare { refused }),
        6 => (any::<usize>(), 0..200_i64).prop_map(|(of, minutes)| Event::Report { of, more: minutes * Micros::MINUTE.0 }),
        1 => any::<usize>().prop_map(|of| Event::End { of }),
        1 => (0..180_i64).prop_map(|minutes| Event::Lateness(minutes * Micros::MINUTE.0)),
    ];
    prop::collection::vec(event, 1..80)
}

fn any_size() -> impl Strategy<Value = WindowSize> {
    let sizes: Vec<_> = (1..=24 * 60).filter_map(|minutes| WindowSize::new(Micros(minutes * Micros::MINUTE.0)).ok()).collect();
    prop::sample::select(sizes)
}

/// Times around which windows are looked at: the end of a leap day, of a year, of the epoch, long before it.
fn any_era() -> impl Strategy<Value = Time> {
    let midnight = |year, month, day| Date { year, month, day }.midnight().expect("a day");
    prop_oneof![
        Just(midnight(2024, 2, 29)),
        Just(midnight(2028, 3, 1)),
        Just(midnight(1900, 2, 28)),
        Just(midnight(1970, 1, 1)),
        Just(midnight(-400, 2, 29)),
        (-100_000..100_000_i64).prop_map(|day| Time(day * Micros::DAY.0)),
    ]
}

/// The fold's part of closing.
#[derive(Clone, Debug)]
struct Closing {
    partitions: Vec<Reporting>,
    watermark: Watermark,
    lateness: Micros,
    closed_through: Option<Time>,
}

impl Closing {
    fn take(&mut self, event: &Event, era: Time) {
        let known = self.partitions.len();
        match event {
            Event::Declare { refused } => {
                let watermark = self.watermark;
                self.partitions.push(Reporting { watermark, counts: !refused, declared_at: watermark, reported: false });
            }
            Event::Report { of, more } if known > 0 => {
                let partition = &mut self.partitions[of % known];
                let to = partition.watermark.map_or(era, |now| now + Micros(*more));
                partition.watermark = partition.watermark.max(Some(to));
                partition.reported = true;
            }
            Event::End { of } if known > 0 => self.partitions[of % known].counts = false,
            Event::Lateness(lateness) => self.lateness = Micros(*lateness),
            Event::Report { .. } | Event::End { .. } => {}
        }
        let counting = self.partitions.iter().filter(|partition| partition.counts).map(|partition| partition.watermark);
        self.watermark = table_watermark(self.watermark, counting);
        self.closed_through = closed_through(self.closed_through, self.watermark, self.lateness);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_window_closes_when_all_that_count_have_passed_it_and_stays_closed(events in events(), size in any_size(), era in any_era()) {
        let mut closing = Closing { partitions: Vec::new(), watermark: None, lateness: Micros::ZERO, closed_through: None };
        let windows: Vec<Time> = (-3..12).map(|n| size.start_of(era) + Micros(size.micros().0 * n)).collect();
        let mut was_closed = vec![false; windows.len()];
        for event in events {
            let before = closing.clone();
            closing.take(&event, era);
            prop_assert!(closing.watermark >= before.watermark, "TM-1");
            let lowest = closing.partitions.iter().filter(|p| p.counts).map(|p| p.watermark).min();
            prop_assert!(lowest.is_none_or(|lowest| closing.watermark <= lowest.max(before.watermark)), "never above what counts and was not there before");
            prop_assert!(lowest.is_some() || closing.watermark == before.watermark, "with nothing counting it stays");
            for partition in closing.partitions.iter().filter(|p| p.counts && !p.reported) {
                prop_assert!(closing.watermark <= partition.declared_at.max(before.watermark), "a new one holds it until it has reported");
            }
            for (window, was) in windows.iter().zip(&mut was_closed) {
                let is_closed = size.is_closed(*window, closing.closed_through);
                prop_assert!(is_closed || !*was, "closed for good");
                if is_closed && !*was {
                    let end = size.end_of(*window) + closing.lateness;
                    prop_assert!(closing.watermark.is_some_and(|watermark| watermark >= end), "not before the watermark passes end + lateness");
                }
                if closing.watermark.is_some_and(|watermark| watermark >= size.end_of(*window) + closing.lateness) {
                    prop_assert!(is_closed, "and no later");
                }
                *was = is_closed;
            }
        }
    }

    #[test]
    fn windows_close_in_order_and_hold_no_later_time(time in any::<i64>(), watermark in any::<i64>(), lateness in 0..i64::MAX, size in any_size()) {
        let (time, watermark, lateness) = (Time(time), Time(watermark), Micros(lateness));
        let closed = closed_through(None, Some(watermark), lateness);
        let start = size.start_of(time);
        if size.is_closed(start, closed) {
            prop_assert!(time < watermark || size.end_of(start) == Time::MAX);
            prop_assert!(size.is_closed(size.start_of(start - Micros(1)), closed), "the one before is closed too");
        }
        prop_assert!(!size.is_closed(start, None));
    }

    #[test]
    fn an_idle_kafka_partition_does_not_hold_the_others_for_ever(quiet_minutes in 0..600_i64, lateness_minutes in 0..60_i64) {
        let (slack, idle_timeout) = (Micros::from_secs(30), Micros(5 * Micros::MINUTE.0));
        let start = Time(0);
        let mut quiet = PartitionWatermark::new(slack, Some(idle_timeout), None);
        quiet.observe(start, start, start);
        let now = start + Micros(quiet_minutes * Micros::MINUTE.0);
        let mut busy = PartitionWatermark::new(slack, Some(idle_timeout), None);
        busy.observe(now, now, now);
        // Its owner reports once and again, each time that the timeout has passed.
        for report in 1..=quiet_minutes / 5 {
            quiet.observe_idle(start + Micros(report * idle_timeout.0));
        }
        let watermark = table_watermark(None, [quiet.current(), busy.current()].into_iter());
        let behind = now - watermark.expect("both have reported");
        prop_assert!(behind <= Micros(2 * idle_timeout.0) + slack, "{behind} behind");
        let lateness = Micros(lateness_minutes * Micros::MINUTE.0);
        prop_assert!(closed_through(None, watermark, lateness) <= Some(now - slack - lateness), "and never ahead of the clock");
    }
}

//! Watermarks: never back, never ahead of the clock, held by the slowest.
use proptest::prelude::*;
use windowing::{Micros, PartitionWatermark, Time, Watermark, table_watermark};

const SLACK: Micros = Micros(10);
const IDLE: Micros = Micros(100);

fn watermark() -> PartitionWatermark {
    PartitionWatermark::new(SLACK, Some(IDLE), None)
}

#[test]
fn the_least_of_three_times_counts() {
    for (event_time, kafka_timestamp, clock) in [(500, 900, 900), (900, 500, 900), (900, 900, 500)] {
        let mut watermark = watermark();
        watermark.observe(Time(event_time), Time(kafka_timestamp), Time(clock));
        assert_eq!(watermark.current(), Some(Time(490)));
    }
}

#[test]
fn refused_records_and_idleness_count_less() {
    let mut watermark = watermark();
    watermark.observe_refused(Time(1_000), Time(2_000));
    assert_eq!(watermark.current(), Some(Time(890)));
    watermark.observe_refused(Time(9_000), Time(1_500));
    assert_eq!(watermark.current(), Some(Time(1_390)), "the clock bounds Kafka's timestamp");
    watermark.observe_idle(Time(3_000));
    assert_eq!(watermark.current(), Some(Time(2_890)));
    watermark.observe_idle(Time(2_000));
    assert_eq!(watermark.current(), Some(Time(2_890)));
}

#[test]
fn without_an_idle_timeout_only_rows_move_it() {
    let mut watermark = PartitionWatermark::new(SLACK, None, Some(Time(5)));
    watermark.observe_refused(Time(1_000), Time(1_000));
    watermark.observe_idle(Time(1_000));
    assert_eq!(watermark.current(), Some(Time(5)));
    watermark.observe(Time(100), Time(1_000), Time(1_000));
    assert_eq!(watermark.current(), Some(Time(90)));
}

#[test]
fn the_slowest_holds_the_table() {
    let table = |previous: Watermark, counting: &[Watermark]| table_watermark(previous, counting.iter().copied());
    assert_eq!(table(None, &[Some(Time(5)), Some(Time(3))]), Some(Time(3)));
    assert_eq!(table(Some(Time(4)), &[Some(Time(5)), Some(Time(3))]), Some(Time(4)), "never back");
    assert_eq!(table(Some(Time(4)), &[None, Some(Time(9))]), Some(Time(4)), "minus infinity holds it");
    assert_eq!(table(None, &[None, Some(Time(9))]), None);
    assert_eq!(table(Some(Time(4)), &[]), Some(Time(4)), "with nothing counting it stays");
}

proptest! {
    #[test]
    fn never_back_and_never_ahead_of_the_clock(start in any::<Option<i64>>(), seen in prop::collection::vec((0..3, any::<i64>(), any::<i64>()), 0..50)) {
        let mut watermark = PartitionWatermark::new(SLACK, Some(IDLE), start.map(Time));
        let mut clock = Time(0);
        for (what, event_time, kafka_timestamp) in seen {
            let before = watermark.current();
            clock = clock + Micros(7);
            match what {
                0 => watermark.observe(Time(event_time), Time(kafka_timestamp), clock),
                1 => watermark.observe_refused(Time(kafka_timestamp), clock),
                _ => watermark.observe_idle(clock),
            }
            prop_assert!(watermark.current() >= before);
            prop_assert!(watermark.current() == before || watermark.current() <= Some(clock - SLACK));
        }
    }
}

//! 10,000 devices, one in a hundred of them with a clock up to 55 minutes fast: no window closes early for the others.
use windowing::{Micros, PartitionWatermark, Time, Watermark, WindowSize, closed_through, table_watermark};

const DEVICES: u64 = 10_000;
const KAFKA_PARTITIONS: usize = 8;
/// Each device sends so often.
const EVERY: Micros = Micros(Micros::MINUTE.0);
const ROUNDS: i64 = 150;
const OUT_OF_ORDERNESS: Micros = Micros::from_secs(10);
const IDLE_TIMEOUT: Micros = Micros(5 * Micros::MINUTE.0);
/// 2026-11-21T00:00:00Z
const START: Time = Time(1_795_219_200_000_000);

/// splitmix64: well-spread bits from any number.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn below(seed: u64, bound: u64) -> i64 {
    (mix(seed) % bound).cast_signed()
}

/// How far the device's clock is ahead: one in a hundred by 5 to 55 minutes, the others by up to a second either way.
fn clock_error(device: u64) -> Micros {
    match device % 100 {
        0 => Micros(5 * Micros::MINUTE.0 + below(device, 50 * Micros::MINUTE.0.unsigned_abs() + 1)),
        _ => Micros(below(device, 2_000_001) - 1_000_000),
    }
}

struct Sent {
    device: u64,
    event_time: Time,
    /// When Kafka had it: up to four seconds after it was sent.
    kafka_timestamp: Time,
}

/// What all devices send in a round, in the order of arrival.
fn round(number: i64) -> Vec<Sent> {
    let send = |device: u64| {
        let seed = mix(device) ^ number.unsigned_abs();
        let at = START + Micros(number * EVERY.0 + below(mix(device), EVERY.0.unsigned_abs()));
        Sent { device, event_time: at + clock_error(device), kafka_timestamp: at + Micros(below(seed, 4_000_000)) }
    };
    let mut sent: Vec<Sent> = (0..DEVICES).map(send).collect();
    sent.sort_by_key(|sent| sent.kafka_timestamp);
    sent
}

/// What came of a replay.
#[derive(Debug, Default)]
struct Outcome {
    rows: u64,
    /// Rows of devices with right clocks whose window was closed when they came.
    late: u64,
    /// Rows of fast clocks whose window was closed when they came.
    fast_late: u64,
    /// Windows that closed before the clock of the wall had reached their end.
    early: u64,
    closed: u64,
}

/// `believed`: the time by which a row moves its kafka_partition's watermark, of event time and Kafka's timestamp.
fn replay(window: WindowSize, believed: impl Fn(&Sent) -> (Time, Time)) -> Outcome {
    let watermark = || PartitionWatermark::new(OUT_OF_ORDERNESS, Some(IDLE_TIMEOUT), None);
    let mut partitions: Vec<PartitionWatermark> = (0..KAFKA_PARTITIONS).map(|_| watermark()).collect();
    let (mut table, mut closed): (Watermark, Option<Time>) = (None, None);
    let mut outcome = Outcome::default();
    for sent in (0..ROUNDS).flat_map(round) {
        // The writer takes it a moment after it came.
        let clock = sent.kafka_timestamp + Micros::from_millis(200);
        let row_window = window.start_of(sent.event_time);
        outcome.rows += 1;
        if window.is_closed(row_window, closed) {
            let late = if clock_error(sent.device) > Micros::MINUTE { &mut outcome.fast_late } else { &mut outcome.late };
            *late += 1;
        }
        let (event_time, kafka_timestamp) = believed(&sent);
        partitions[(mix(sent.device) % KAFKA_PARTITIONS as u64) as usize].observe(event_time, kafka_timestamp, kafka_timestamp.max(clock));
        table = table_watermark(table, partitions.iter().map(PartitionWatermark::current));
        let before = closed;
        closed = closed_through(closed, table, Micros::ZERO);
        if window.start_of(closed.unwrap_or(START)) > window.start_of(before.unwrap_or(START)) {
            outcome.closed += 1;
            outcome.early += u64::from(closed > Some(clock - OUT_OF_ORDERNESS));
        }
    }
    outcome
}

#[test]
fn fast_clocks_close_no_window_early() {
    for window in [WindowSize::HOUR, WindowSize::new(Micros(5 * Micros::MINUTE.0)).expect("a divisor of a day")] {
        let outcome = replay(window, |sent| (sent.event_time, sent.kafka_timestamp));
        assert!(outcome.closed >= 2, "windows do close: {outcome:?}");
        assert_eq!((outcome.late, outcome.fast_late, outcome.early), (0, 0, 0), "{outcome:?}");
        assert_eq!(outcome.rows, DEVICES * ROUNDS.unsigned_abs());
    }
}

/// The same devices, if event times alone moved the watermark: the test above is not blind.
#[test]
fn by_event_times_alone_they_would() {
    let outcome = replay(WindowSize::HOUR, |sent| (sent.event_time, sent.event_time));
    assert!(outcome.late > 100_000 && outcome.early > 0, "{outcome:?}");
}

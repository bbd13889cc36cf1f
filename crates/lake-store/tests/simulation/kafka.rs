//! A topic whose records are a function of seed, kafka_partition and offset.
use windowing::{Micros, Time};

pub const KAFKA_PARTITIONS: i32 = 4;
/// Taken by one shard only, so that also a proposal that was held up for minutes may be committed. All others are fought over.
pub const UNDISPUTED: i32 = 3;
/// Falls silent early.
const SHORT: i32 = 2;
/// The run's time 0.
pub const START: Time = Time(1_790_000_040_000_000);
/// A record arrives so often in each kafka_partition.
const INTERVAL: Micros = Micros(5_000_000);

/// What becomes of an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Row,
    Quarantined,
    Skipped,
    Absent,
}

#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub fate: Fate,
    pub event_time: Time,
    pub kafka_timestamp: Time,
}

/// Where a kafka_partition ends.
pub fn log_end(kafka_partition: i32) -> i64 {
    if kafka_partition == SHORT { 25 } else { 80 }
}

/// First offset that has not arrived by `clock`.
pub fn available(kafka_partition: i32, clock: Time) -> i64 {
    ((clock.0 - START.0) / INTERVAL.0).clamp(0, log_end(kafka_partition))
}

pub fn event(seed: u64, kafka_partition: i32, offset: i64) -> Event {
    let draw = mix(seed ^ mix(kafka_partition.unsigned_abs().into()) ^ mix(offset.unsigned_abs() + 1000));
    let kafka_timestamp = Time(START.0 + offset * INTERVAL.0);
    let behind_ms = if draw.is_multiple_of(8) { (draw >> 8) % 300_000 } else { (draw >> 8) % 4_000 };
    let fate = match (draw >> 40) % 40 {
        0..=1 => Fate::Quarantined,
        2 => Fate::Skipped,
        3 => Fate::Absent,
        _ => Fate::Row,
    };
    Event { fate, event_time: Time(kafka_timestamp.0 - behind_ms as i64 * 1000), kafka_timestamp }
}

/// splitmix64: any seed gives well-spread bits.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

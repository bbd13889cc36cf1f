//! A topic whose records are a function of seed, kafka_partition and offset: some come late, some twice, some from a fast clock.
use crate::lake::Row;
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
/// No device's clock is further ahead.
const FASTEST_MS: u64 = 240_000;

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
    /// The dedupe column; two rows of one key and one event time are one event that was sent twice.
    pub key: Option<u64>,
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
    let sent = sent(seed, kafka_partition, offset);
    let draw = draw(seed, kafka_partition, offset + 5000);
    if offset == 0 || !draw.is_multiple_of(9) {
        return sent;
    }
    // What an earlier offset holds, soon after it or long after.
    let back = 1 + (draw >> 8) % if draw.is_multiple_of(2) { 3 } else { 40 };
    let first = self::sent(seed, kafka_partition, (offset - back as i64).max(0));
    Event { event_time: first.event_time, key: first.key, ..sent }
}

/// An event that nothing repeats.
fn sent(seed: u64, kafka_partition: i32, offset: i64) -> Event {
    let draw = draw(seed, kafka_partition, offset);
    let kafka_timestamp = Time(START.0 + offset * INTERVAL.0);
    let behind_ms = if draw.is_multiple_of(8) { (draw >> 8) % 300_000 } else { (draw >> 8) % 4_000 };
    let ahead_ms = if (draw >> 32).is_multiple_of(16) { (draw >> 16) % FASTEST_MS } else { 0 };
    let fate = match (draw >> 40) % 40 {
        0..=1 => Fate::Quarantined,
        2 => Fate::Skipped,
        3 => Fate::Absent,
        _ => Fate::Row,
    };
    let key = (!(draw >> 50).is_multiple_of(5)).then_some(offset.unsigned_abs() * 8 + u64::from(kafka_partition.unsigned_abs()));
    Event { fate, event_time: Time(kafka_timestamp.0 + (ahead_ms as i64 - behind_ms as i64) * 1000), kafka_timestamp, key }
}

/// What makes a row equal to another: its key and event time; `None`: it is equal to none.
pub fn identity(seed: u64, row: &Row) -> Option<(u64, Time)> {
    Some((event(seed, row.kafka_partition, row.offset).key?, row.event_time))
}

/// Of equal rows the first is kept.
pub fn order(seed: u64, row: &Row) -> (Time, i32, i64) {
    (event(seed, row.kafka_partition, row.offset).kafka_timestamp, row.kafka_partition, row.offset)
}

fn draw(seed: u64, kafka_partition: i32, offset: i64) -> u64 {
    mix(seed ^ mix(kafka_partition.unsigned_abs().into()) ^ mix(offset.unsigned_abs() + 1000))
}

/// splitmix64: any seed gives well-spread bits.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

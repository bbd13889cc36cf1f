//! Seeded telemetry records with known counts and sums.
//!
//! The Avro bytes are written by hand here, not by the code under test, so a wrong decoder cannot agree with a wrong encoder.
mod avro;
mod malformed;

use std::collections::BTreeMap;

use kafka_io::NewRecord;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

pub use malformed::Malformation;

/// The writer schema of all rows here. As a table it has the columns of the same names in lower case.
pub const SCHEMA: &str = include_str!("schema.avsc");

/// Symbols of `site`, in the schema's order.
pub const SITES: [&str; 4] = ["north", "south", "east", "west"];

/// One row as the analyst should see it.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryRow {
    /// `device-<n>`; the record's key.
    pub device_id: String,
    /// Ascending per device: `(device_id, seq)` identifies a row. Malformed records use up a number too.
    pub seq: i64,
    /// Microseconds since 1970.
    pub event_time_us: i64,
    /// Index in [`SITES`].
    pub site: usize,
    /// Null in about a tenth of the rows.
    pub temperature: Option<f64>,
    /// Below 1,000.
    pub counter: i32,
    /// Anything.
    pub active: bool,
    /// Latitude and longitude; null in about a third of the rows.
    pub location: Option<(f64, f64)>,
    /// Up to two entries.
    pub tags: Vec<(String, String)>,
}

/// What to generate.
#[derive(Clone, Debug)]
pub struct TelemetryMix {
    /// The same seed gives the same records.
    pub seed: u64,
    /// Records in all, with late and malformed ones.
    pub records: u64,
    /// Devices, which take turns at random.
    pub devices: u32,
    /// Event time of the first record, in microseconds since 1970.
    pub start_us: i64,
    /// Event time from one record to the next.
    pub step_us: i64,
    /// Schema id in the frame of each value.
    pub schema_id: i32,
    /// Share of late rows.
    pub late_per_mille: u32,
    /// By how much a late row's event time lies back.
    pub late_by_us: i64,
    /// Share of malformed records, all kinds in turn.
    pub malformed_per_mille: u32,
}

impl Default for TelemetryMix {
    /// 1,000 good records of 10 devices from 2026-01-01T00:00:00Z on, one a second, schema id 1.
    fn default() -> Self {
        Self {
            seed: 1,
            records: 1_000,
            devices: 10,
            start_us: 1_767_225_600_000_000,
            step_us: 1_000_000,
            schema_id: 1,
            late_per_mille: 0,
            late_by_us: 0,
            malformed_per_mille: 0,
        }
    }
}

/// What a record is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// In time.
    Good(TelemetryRow),
    /// Its event time lies back by `late_by_us`.
    Late(TelemetryRow),
    /// To be refused.
    Malformed(Malformation),
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryRecord {
    /// Device id.
    pub key: Vec<u8>,
    /// Framed Avro (0x00, schema id, body), or what a malformation made of it.
    pub value: Vec<u8>,
    /// Kafka's timestamp: event time of a record in time, also for a late one, in milliseconds.
    pub timestamp_ms: i64,
    /// What it is.
    pub kind: Kind,
}

impl TelemetryRecord {
    /// As a record to produce; the kafka_partition follows from the key.
    pub fn to_new(&self, topic: &str) -> NewRecord {
        NewRecord {
            topic: topic.to_owned(),
            key: Some(self.key.clone()),
            value: Some(self.value.clone()),
            timestamp_ms: Some(self.timestamp_ms),
            ..NewRecord::default()
        }
    }
}

/// What must come out at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows, late ones included.
    pub rows: u64,
    /// Late rows.
    pub late_rows: u64,
    /// Sum of `seq` over all rows.
    pub seq_sum: i64,
    /// Sum of `counter` over all rows.
    pub counter_sum: i64,
    /// Rows with a temperature.
    pub temperature_rows: u64,
    /// Malformed records by kind.
    pub malformed: BTreeMap<Malformation, u64>,
}

impl Totals {
    /// Malformed records of all kinds.
    pub fn malformed_records(&self) -> u64 {
        self.malformed.values().sum()
    }

    fn add(&mut self, kind: &Kind) {
        let row = match kind {
            Kind::Malformed(malformation) => {
                *self.malformed.entry(*malformation).or_default() += 1;
                return;
            }
            Kind::Late(row) => {
                self.late_rows += 1;
                row
            }
            Kind::Good(row) => row,
        };
        self.rows += 1;
        self.seq_sum += row.seq;
        self.counter_sum += i64::from(row.counter);
        self.temperature_rows += u64::from(row.temperature.is_some());
    }
}

/// The records of a mix, one after the other; [`TelemetryStream::totals`] counts those given out.
#[derive(Debug)]
pub struct TelemetryStream {
    mix: TelemetryMix,
    rng: ChaCha8Rng,
    next: u64,
    next_seq: Vec<i64>,
    next_malformation: usize,
    totals: Totals,
}

impl TelemetryMix {
    /// Starts at the first record.
    pub fn stream(self) -> TelemetryStream {
        let rng = ChaCha8Rng::seed_from_u64(self.seed);
        let devices = self.devices.max(1) as usize;
        TelemetryStream { mix: self, rng, next: 0, next_seq: vec![0; devices], next_malformation: 0, totals: Totals::default() }
    }
}

impl TelemetryStream {
    /// Counts and sums of all records given out so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    fn row(&mut self, event_time_us: i64) -> TelemetryRow {
        let device = self.rng.random_range(0..self.next_seq.len());
        let seq = self.next_seq[device];
        self.next_seq[device] += 1;
        let rng = &mut self.rng;
        let tags =
            (0..rng.random_range(0..3)).map(|number| (format!("tag{number}"), format!("value-{}", rng.random_range(0..100)))).collect();
        TelemetryRow {
            device_id: format!("device-{device}"),
            seq,
            event_time_us,
            site: rng.random_range(0..SITES.len()),
            temperature: rng.random_bool(0.9).then(|| f64::from(rng.random_range(-4_000..12_000)) / 100.0),
            counter: rng.random_range(0..1_000),
            active: rng.random(),
            location: rng.random_bool(0.67).then(|| (rng.random_range(-90.0..90.0), rng.random_range(-180.0..180.0))),
            tags,
        }
    }
}

impl Iterator for TelemetryStream {
    type Item = TelemetryRecord;

    fn next(&mut self) -> Option<TelemetryRecord> {
        if self.next == self.mix.records {
            return None;
        }
        let time_us = self.mix.start_us + i64::try_from(self.next).unwrap_or(i64::MAX) * self.mix.step_us;
        self.next += 1;
        let dice = self.rng.random_range(0..1_000);
        let is_malformed = dice < self.mix.malformed_per_mille;
        let is_late = !is_malformed && dice < self.mix.malformed_per_mille + self.mix.late_per_mille;
        let row = self.row(if is_late { time_us - self.mix.late_by_us } else { time_us });
        let key = row.device_id.clone().into_bytes();
        let value = avro::framed(&row, self.mix.schema_id);
        let (kind, value) = if is_malformed {
            let malformation = Malformation::ALL[self.next_malformation % Malformation::ALL.len()];
            self.next_malformation += 1;
            (Kind::Malformed(malformation), malformation.apply(&row, value))
        } else if is_late {
            (Kind::Late(row), value)
        } else {
            (Kind::Good(row), value)
        };
        self.totals.add(&kind);
        Some(TelemetryRecord { key, value, timestamp_ms: time_us / 1_000, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix() -> TelemetryMix {
        TelemetryMix {
            seed: 7,
            records: 5_000,
            late_per_mille: 50,
            late_by_us: 7_200_000_000,
            malformed_per_mille: 20,
            ..TelemetryMix::default()
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_records() {
        assert!(mix().stream().eq(mix().stream()));
        assert!(!mix().stream().eq(TelemetryMix { seed: 8, ..mix() }.stream()));
    }

    #[test]
    fn totals_are_those_of_the_records() {
        let mut stream = mix().stream();
        let records: Vec<_> = stream.by_ref().collect();
        let totals = stream.totals();
        assert_eq!(totals.rows + totals.malformed_records(), 5_000);
        assert!((150..350).contains(&totals.late_rows), "{totals:?}");
        assert!((60..140).contains(&totals.malformed_records()), "{totals:?}");
        assert_eq!(totals.malformed.len(), Malformation::ALL.len());
        let mut identities = std::collections::HashSet::new();
        for record in &records {
            if let Kind::Good(row) | Kind::Late(row) = &record.kind {
                assert!(identities.insert((row.device_id.clone(), row.seq)));
            }
        }
        assert_eq!(identities.len() as u64, totals.rows);
    }

    #[test]
    fn a_late_row_lies_back_and_keeps_its_timestamp() {
        for record in mix().stream() {
            match record.kind {
                Kind::Good(row) => assert_eq!(row.event_time_us / 1_000, record.timestamp_ms),
                Kind::Late(row) => assert_eq!(row.event_time_us / 1_000, record.timestamp_ms - 7_200_000),
                Kind::Malformed(_) => {}
            }
        }
    }
}

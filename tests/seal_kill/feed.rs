//! What devices send: some rows late, some twice, and devices that begin to count anew.
use crate::scene::{KAFKA_PARTITIONS, Scene};
use kafka_io::{NewRecord, Producer};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use test_kit::{KafkaServer, wait_until};

pub const SCHEMA: &str = r#"{"type": "record", "name": "Reading", "schema_id": 1, "fields": [
    {"name": "device_id", "type": "string"},
    {"name": "seq", "type": "long"},
    {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "site", "type": "string"},
    {"name": "counter", "type": "int"}]}"#;
const SITES: [&str; 4] = ["north", "south", "east", "west"];
const DEVICES: usize = 300;
const MINUTE_US: i64 = 60_000_000;
/// Event time that goes by during the whole feed.
const EVENT_MINUTES: i64 = 60;
/// Rows in time are at most so far behind the newest.
const JITTER_US: i64 = 4_000_000;
const LATE_PER_MILLE: u32 = 50;
const LATEST_MINUTES: i64 = 8;
const REPEATED_PER_MILLE: u32 = 30;
/// Repeated is one of so many rows sent last.
const REMEMBERED: usize = 20_000;
const RESTART_ONE_IN: u32 = 400;
const FLUSH: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
struct Reading {
    device: usize,
    seq: i64,
    event_time_us: i64,
    site: &'static str,
    counter: i32,
}

/// What was sent, for the judge.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub rows: u64,
    pub late: u64,
    pub repeated: u64,
    pub restarts: u64,
    /// All rows but those that close the windows: `device_id,seq,event_time,site,counter` with a header line, event time in microseconds.
    pub file: PathBuf,
    /// Windows that end here or before are closed when all is taken.
    pub closed_us: i64,
}

/// The thread that sends.
pub struct Feed(JoinHandle<Sent>);

impl Feed {
    pub fn start(scene: &Scene, rows: u64, seed: u64, time: Duration) -> Self {
        let (topic, file) = (scene.topic.clone(), scene.folder().join("sent.csv"));
        let config = KafkaServer::shared().config();
        Self(std::thread::spawn(move || {
            let mut producer = Producer::new(&config, &[]).expect("start a producer");
            let mut devices = Devices::new(seed, rows);
            let mut csv = "device_id,seq,event_time,site,counter\n".to_owned();
            let started = Instant::now();
            for number in 0..rows {
                if number % 200 == 0 {
                    let due = time.mul_f64(number as f64 / rows as f64);
                    wait_until(time * 2, "the next rows are due", || started.elapsed() >= due);
                }
                let (reading, now_us) = devices.next(number);
                producer.send(record(&topic, &reading, now_us)).expect("send a row");
                let Reading { device, seq, event_time_us, site, counter } = reading;
                writeln!(csv, "device-{device},{seq},{event_time_us},{site},{counter}").expect("text grows");
            }
            let closing_us = devices.start_us + (EVENT_MINUTES + 30) * MINUTE_US;
            for kafka_partition in 0..KAFKA_PARTITIONS {
                let reading =
                    Reading { device: DEVICES, seq: kafka_partition.into(), event_time_us: closing_us, site: SITES[0], counter: 0 };
                let last = NewRecord { kafka_partition: Some(kafka_partition), ..record(&topic, &reading, closing_us) };
                producer.send(last).expect("send what closes the windows");
            }
            producer.flush(FLUSH).expect("the broker acknowledges everything");
            std::fs::write(&file, csv).expect("write what was sent");
            Sent { file, closed_us: closing_us - 2 * MINUTE_US, rows, ..devices.sent }
        }))
    }

    /// Waits until all is sent.
    pub fn end(self) -> Sent {
        self.0.join().expect("the producer sends everything")
    }
}

struct Devices {
    rng: ChaCha8Rng,
    next_seq: Vec<i64>,
    last: Vec<Reading>,
    start_us: i64,
    step_us: i64,
    sent: Sent,
}

impl Devices {
    fn new(seed: u64, rows: u64) -> Self {
        let now_us = jiff::Timestamp::now().as_microsecond();
        let start_us = (now_us - 3 * 60 * MINUTE_US).div_euclid(MINUTE_US) * MINUTE_US;
        let step_us = EVENT_MINUTES * MINUTE_US / i64::try_from(rows).expect("not that many");
        let (rng, next_seq) = (ChaCha8Rng::seed_from_u64(seed), vec![0; DEVICES]);
        Self { rng, next_seq, last: Vec::new(), start_us, step_us, sent: Sent::default() }
    }

    /// The next row and when it is sent.
    fn next(&mut self, number: u64) -> (Reading, i64) {
        let now_us = self.start_us + self.step_us * i64::try_from(number).expect("not that many");
        let dice = self.rng.random_range(0..1_000);
        if dice < REPEATED_PER_MILLE && !self.last.is_empty() {
            self.sent.repeated += 1;
            return (self.last[self.rng.random_range(0..self.last.len())].clone(), now_us);
        }
        let late = dice < REPEATED_PER_MILLE + LATE_PER_MILLE;
        self.sent.late += u64::from(late);
        let back = if late { self.rng.random_range(MINUTE_US..LATEST_MINUTES * MINUTE_US) } else { self.rng.random_range(0..JITTER_US) };
        let device = self.rng.random_range(0..DEVICES);
        if self.rng.random_ratio(1, RESTART_ONE_IN) {
            self.next_seq[device] = 0;
            self.sent.restarts += 1;
        }
        let seq = self.next_seq[device];
        self.next_seq[device] += 1;
        let reading = Reading {
            device,
            seq,
            event_time_us: now_us - back,
            site: SITES[device % SITES.len()],
            counter: self.rng.random_range(0..1_000),
        };
        if self.last.len() < REMEMBERED {
            self.last.push(reading.clone());
        } else {
            let place = self.rng.random_range(0..REMEMBERED);
            self.last[place] = reading.clone();
        }
        (reading, now_us)
    }
}

fn record(topic: &str, reading: &Reading, now_us: i64) -> NewRecord {
    let device = format!("device-{}", reading.device);
    let mut value = vec![0, 0, 0, 0, 1];
    text(&device, &mut value);
    long(reading.seq, &mut value);
    long(reading.event_time_us, &mut value);
    text(reading.site, &mut value);
    long(reading.counter.into(), &mut value);
    let (key, value, timestamp_ms) = (Some(device.into_bytes()), Some(value), Some(now_us / 1_000));
    NewRecord { topic: topic.to_owned(), key, value, timestamp_ms, ..NewRecord::default() }
}

/// Avro by hand, after its specification.
fn long(value: i64, bytes: &mut Vec<u8>) {
    let mut left = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

fn text(value: &str, bytes: &mut Vec<u8>) {
    long(i64::try_from(value.len()).expect("short"), bytes);
    bytes.extend(value.as_bytes());
}

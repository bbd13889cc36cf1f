//! The simulated devices: what each measures, what goes wrong with it, and when its messages leave. Pure; all from one seed.
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::f64::consts::TAU;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// How long the devices are watched.
pub(super) const SPAN_MS: i64 = 30 * MINUTE_MS;
/// Between two measurements of a device.
const PERIOD_MS: i64 = 10_000;
/// Where the devices stand.
pub(crate) const SITES: [&str; 4] = ["greenhouse", "orchard", "pasture", "silo"];
/// Below it a device falls silent for good.
const EMPTY_BATTERY_V: f64 = 3.0;
/// Ahead of all that a table takes (`max_future` is one hour).
const FAST_CLOCK_MS: i64 = 48 * HOUR_MS;
/// Behind all that a table takes (`max_past` is 30 days).
const SLOW_CLOCK_MS: i64 = -45 * 24 * HOUR_MS;

/// What is special about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Nothing.
    Plain,
    /// It was kept while the device was out of reach, and left minutes later.
    Late,
    /// The device sent it once more, as it believed the first one lost.
    Repeated,
    /// The device's clock is two days ahead.
    FastClock,
    /// The device's clock is 45 days behind.
    SlowClock,
    /// The payload ends in its middle.
    Truncated,
    /// A text stands where a number belongs.
    WrongType,
    /// The payload claims the id of another device.
    Spoofed,
}

impl Kind {
    /// All kinds, in the order of the summary.
    pub(crate) const ALL: [Self; 8] =
        [Self::Plain, Self::Late, Self::Repeated, Self::FastClock, Self::SlowClock, Self::Truncated, Self::WrongType, Self::Spoofed];

    /// In words.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Late => "late, after minutes out of reach",
            Self::Repeated => "sent a second time",
            Self::FastClock => "clock two days ahead",
            Self::SlowClock => "clock 45 days behind",
            Self::Truncated => "cut in the middle",
            Self::WrongType => "text for a number",
            Self::Spoofed => "claims another device's id",
        }
    }

    /// As a name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Late => "late",
            Self::Repeated => "repeated",
            Self::FastClock => "fast_clock",
            Self::SlowClock => "slow_clock",
            Self::Truncated => "truncated",
            Self::WrongType => "wrong_type",
            Self::Spoofed => "spoofed",
        }
    }

    /// Why it is refused; `None`: it becomes a row.
    pub(crate) fn refused_as(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Late | Self::Repeated => None,
            Self::FastClock => Some("event_time_future"),
            Self::SlowClock => Some("event_time_past"),
            Self::Truncated => Some("invalid_json"),
            Self::WrongType => Some("wrong_type"),
            Self::Spoofed => Some("conflicting_field"),
        }
    }
}

/// A message, ready to be published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// Index of the device.
    pub device: usize,
    /// Counts the device's messages.
    pub seq: i64,
    /// When it leaves, ms since the start of the span.
    pub leaves_ms: i64,
    /// What is special about it.
    pub kind: Kind,
    /// The JSON, or what is left of it.
    pub payload: Vec<u8>,
}

/// What all devices send.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    /// Ids of the devices.
    pub devices: Vec<String>,
    /// All messages in the order in which they leave.
    pub messages: Vec<Message>,
    /// Devices whose battery ran out.
    pub died: usize,
}

/// One device.
struct Device {
    id: String,
    /// Mean of the day and half of the difference between its extremes, in °C.
    mean_c: f64,
    swing_c: f64,
    noise_c: f64,
    battery_v: f64,
    drain_v: f64,
    /// What its clock is off by.
    clock_ms: i64,
    firmware: &'static str,
    seq: i64,
    /// From when to when it is out of reach.
    away: Option<(i64, i64)>,
}

impl Fleet {
    /// So many devices over a span that starts at `start_ms`, ms since 1970.
    pub(crate) fn simulate(devices: usize, seed: u64, start_ms: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut fleet = Self { devices: Vec::with_capacity(devices), messages: Vec::new(), died: 0 };
        for index in 0..devices {
            let device = Device::new(index, &mut rng);
            fleet.devices.push(device.id.clone());
            fleet.run(device, start_ms, (index, devices), &mut rng);
        }
        fleet.messages.sort_by_key(|message| (message.leaves_ms, message.device));
        fleet
    }

    fn run(&mut self, mut device: Device, start_ms: i64, (index, devices): (usize, usize), rng: &mut StdRng) {
        let phase = rng.random_range(0..PERIOD_MS);
        for at_ms in (phase..SPAN_MS).step_by(PERIOD_MS as usize) {
            device.battery_v -= device.drain_v * rng.random_range(0.5..1.5);
            if device.battery_v < EMPTY_BATTERY_V {
                self.died += 1;
                return;
            }
            let kind = device.kind(at_ms, rng);
            let payload = device.payload(kind, start_ms + at_ms, (index, devices), rng);
            let leaves_ms = match device.away {
                Some((from, until)) if (from..until).contains(&at_ms) => until + rng.random_range(0..10_000),
                _ => at_ms,
            };
            if kind == Kind::Plain && rng.random_bool(0.02) {
                let leaves_ms = leaves_ms + rng.random_range(1_000..30_000);
                self.messages.push(Message { device: index, seq: device.seq, leaves_ms, kind: Kind::Repeated, payload: payload.clone() });
            }
            self.messages.push(Message { device: index, seq: device.seq, leaves_ms, kind, payload });
        }
    }
}

impl Device {
    fn new(index: usize, rng: &mut StdRng) -> Self {
        // One in eight starts with a battery that will not last.
        let weak = index % 8 == 5;
        let clock_ms = match index % 16 {
            3 => FAST_CLOCK_MS,
            11 => SLOW_CLOCK_MS,
            // Seconds, as clocks drift that nobody sets: no table minds.
            _ => rng.random_range(-5_000..2_000),
        };
        let away = (index % 4 == 2).then(|| {
            let from = rng.random_range(2 * MINUTE_MS..15 * MINUTE_MS);
            (from, from + rng.random_range(4 * MINUTE_MS..8 * MINUTE_MS))
        });
        Self {
            id: format!("sensor-{index:03}"),
            mean_c: rng.random_range(8.0..22.0),
            swing_c: rng.random_range(2.0..7.0),
            noise_c: rng.random_range(0.05..0.4),
            battery_v: if weak { rng.random_range(3.05..3.25) } else { rng.random_range(3.5..4.2) },
            drain_v: if weak { 0.001_5 } else { 0.000_2 },
            clock_ms,
            firmware: ["1.0", "2.1", "2.3"][rng.random_range(0..3)],
            seq: 0,
            away,
        }
    }

    fn kind(&self, at_ms: i64, rng: &mut StdRng) -> Kind {
        match rng.random_range(0..1_000) {
            0..4 => return Kind::Truncated,
            4..7 => return Kind::WrongType,
            7..9 => return Kind::Spoofed,
            _ => {}
        }
        match self.clock_ms {
            FAST_CLOCK_MS => Kind::FastClock,
            SLOW_CLOCK_MS => Kind::SlowClock,
            _ if self.away.is_some_and(|(from, until)| (from..until).contains(&at_ms)) => Kind::Late,
            _ => Kind::Plain,
        }
    }

    fn payload(&mut self, kind: Kind, now_ms: i64, (own, devices): (usize, usize), rng: &mut StdRng) -> Vec<u8> {
        self.seq += 1;
        let hour = now_ms.rem_euclid(24 * HOUR_MS) as f64 / HOUR_MS as f64;
        // Coldest before dawn, warmest in the afternoon.
        let curve = (TAU * (hour - 9.0) / 24.0).sin();
        let temperature = self.mean_c + self.swing_c * curve + self.noise_c * noise(rng);
        let humidity = (60.0 - 4.0 * curve * self.swing_c + 3.0 * noise(rng)).clamp(5.0, 100.0);
        let measured_ms = now_ms + self.clock_ms;
        let temperature = if kind == Kind::WrongType { "\"n/a\"".to_owned() } else { format!("{temperature:.2}") };
        let (seq, battery, firmware) = (self.seq, self.battery_v, self.firmware);
        let claimed = match kind {
            Kind::Spoofed => format!("\"device_id\":\"sensor-{:03}\",", (own + 1) % devices.max(2)),
            // Old firmware says who it is, newer leaves that to the topic.
            _ if firmware == "1.0" => format!("\"device_id\":\"{}\",", self.id),
            _ => String::new(),
        };
        // Old firmware writes the time as text, newer as a number.
        let time = match jiff::Timestamp::from_millisecond(measured_ms) {
            Ok(time) if firmware == "1.0" => format!("\"{time}\""),
            _ => measured_ms.to_string(),
        };
        let text = format!(
            r#"{{{claimed}"seq":{seq},"measured_at":{time},"temperature_c":{temperature},"humidity":{humidity:.1},"battery_v":{battery:.3},"firmware":"{firmware}"}}"#
        );
        let mut payload = text.into_bytes();
        if kind == Kind::Truncated {
            payload.truncate(rng.random_range(1..payload.len()));
        }
        payload
    }
}

/// About normal, of variance 1.
fn noise(rng: &mut StdRng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schema::encode::{AvroEncoder, Conflict, EncodeOptions, Room, Supplied};
    use std::collections::BTreeMap;

    const START_MS: i64 = 1_790_000_000_000;

    #[test]
    fn a_seed_gives_the_same_messages_and_another_one_others() {
        let messages = |seed| Fleet::simulate(10, seed, START_MS).messages;
        assert_eq!(messages(1), messages(1));
        assert_ne!(messages(1), messages(2));
    }

    #[test]
    fn all_kinds_come_up_in_order_and_batteries_run_out() {
        let fleet = Fleet::simulate(40, 7, START_MS);
        let mut counts = BTreeMap::new();
        fleet.messages.iter().for_each(|message| *counts.entry(message.kind).or_insert(0) += 1);
        assert!(Kind::ALL.iter().all(|kind| counts.get(kind).is_some_and(|count| *count > 10)), "{counts:?}");
        assert!(counts[&Kind::Plain] * 2 > fleet.messages.len(), "{counts:?}");
        assert!((1..=5).contains(&fleet.died), "{} died", fleet.died);
        assert!(fleet.messages.is_sorted_by_key(|message| message.leaves_ms));
    }

    /// What the summary will say of a kind is what the bridge's encoder makes of it.
    #[test]
    fn kinds_are_refused_as_they_say() {
        let options = EncodeOptions {
            supplied: vec![Supplied { field: "device_id".to_owned(), conflict: Conflict::Refuse }],
            ..EncodeOptions::default()
        };
        let encoder = AvroEncoder::with_options(super::super::SCHEMA, 2, options).unwrap();
        let fleet = Fleet::simulate(40, 7, START_MS);
        let (mut room, mut out) = (Room::default(), Vec::new());
        for message in &fleet.messages {
            let own = Some(fleet.devices[message.device].as_str());
            let refused = encoder.encode(&message.payload, &[own], &mut room, &mut out).err().map(|error| error.code.as_str());
            let expected = message.kind.refused_as().filter(|code| !code.starts_with("event_time"));
            assert_eq!(refused, expected, "{:?}: {}", message.kind, String::from_utf8_lossy(&message.payload));
        }
    }
}

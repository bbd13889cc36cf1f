//! Refusals that the writer itself decides: event times out of range. Pure.
use event_schema::RefusalCode;
use windowing::{Micros, Time};

/// First moment that engines can show: 0001-01-01T00:00:00Z.
pub const EARLIEST: Time = Time(-62_135_596_800_000_000);
/// Last moment that engines can show: 9999-12-31T23:59:59.999999Z.
pub const LATEST: Time = Time(253_402_300_799_999_999);

/// Kafka's timestamp of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaTimestamp {
    /// The record has none.
    Absent,
    /// A moment.
    At(Time),
    /// A number that no engine can show as a moment.
    OutOfRange,
}

impl KafkaTimestamp {
    /// From the wire: milliseconds, -1 for none.
    pub fn from_millis(millis: i64) -> Self {
        if millis == -1 {
            return Self::Absent;
        }
        match millis.checked_mul(1_000).map(Time) {
            Some(time) if (EARLIEST..=LATEST).contains(&time) => Self::At(time),
            _ => Self::OutOfRange,
        }
    }

    /// The moment, if there is one.
    pub fn time(self) -> Option<Time> {
        match self {
            Self::At(time) => Some(time),
            Self::Absent | Self::OutOfRange => None,
        }
    }

    /// The moment, or the writer's clock in its place: never far from when the record came.
    pub fn or_clock(self, clock: Time) -> Time {
        self.time().unwrap_or(clock)
    }
}

/// Bounds on event times around Kafka's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTimeLimits {
    /// How far ahead.
    pub max_future: Micros,
    /// How far behind.
    pub max_past: Micros,
}

impl EventTimeLimits {
    /// Checks an event time; `None` is a null. `reference` is Kafka's timestamp, or the clock where there is none.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn check(&self, event_time: Option<Time>, reference: Time) -> Result<Time, RefusalCode> {
        let event_time = event_time.ok_or(RefusalCode::EventTimeNull)?;
        if !(EARLIEST..=LATEST).contains(&event_time) {
            return Err(RefusalCode::EventTimeRange);
        }
        let ahead = event_time.0.saturating_sub(reference.0);
        if ahead > self.max_future.0 {
            return Err(RefusalCode::EventTimeFuture);
        }
        if ahead.saturating_neg() > self.max_past.0 {
            return Err(RefusalCode::EventTimePast);
        }
        Ok(event_time)
    }
}

/// Text for a refused event time.
pub fn event_time_detail(code: RefusalCode, event_time: Option<Time>, kafka: KafkaTimestamp) -> String {
    match (code, event_time, kafka) {
        (RefusalCode::EventTimeNull, ..) => "event time is null".to_owned(),
        (_, Some(event), KafkaTimestamp::At(kafka)) => format!("event time is `{}` µs, Kafka's timestamp `{}` µs", event.0, kafka.0),
        (_, Some(event), _) => format!("event time is `{}` µs, Kafka's timestamp is not usable", event.0),
        (_, None, _) => "Kafka's timestamp is outside of the years 1 to 9999".to_owned(),
    }
}

/// A header: name and value.
pub type Header = (String, Option<Vec<u8>>);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: EventTimeLimits = EventTimeLimits { max_future: Micros(10), max_past: Micros(100) };

    #[test]
    fn event_times_are_bounded_around_kafkas_timestamp() {
        let check = |event: i64| LIMITS.check(Some(Time(event)), Time(1_000));
        assert_eq!(check(1_010), Ok(Time(1_010)));
        assert_eq!(check(1_011), Err(RefusalCode::EventTimeFuture));
        assert_eq!(check(900), Ok(Time(900)));
        assert_eq!(check(899), Err(RefusalCode::EventTimePast));
        assert_eq!(LIMITS.check(None, Time(1_000)), Err(RefusalCode::EventTimeNull));
    }

    #[test]
    fn hostile_times_do_not_overflow() {
        assert_eq!(LIMITS.check(Some(Time(i64::MIN)), Time(i64::MAX)), Err(RefusalCode::EventTimeRange));
        assert_eq!(LIMITS.check(Some(Time(i64::MAX)), Time(i64::MIN)), Err(RefusalCode::EventTimeRange));
        assert_eq!(LIMITS.check(Some(EARLIEST), Time(i64::MAX)), Err(RefusalCode::EventTimePast));
        assert_eq!(LIMITS.check(Some(LATEST), Time(i64::MIN)), Err(RefusalCode::EventTimeFuture));
        assert_eq!(KafkaTimestamp::from_millis(i64::MAX), KafkaTimestamp::OutOfRange);
        assert_eq!(KafkaTimestamp::from_millis(i64::MIN), KafkaTimestamp::OutOfRange);
        assert_eq!(KafkaTimestamp::from_millis(-1), KafkaTimestamp::Absent);
        assert_eq!(KafkaTimestamp::from_millis(5), KafkaTimestamp::At(Time(5_000)));
        assert_eq!(LATEST.date().year, 9_999);
        assert_eq!(EARLIEST.date().year, 1);
    }
}

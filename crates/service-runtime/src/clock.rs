//! The injected clock: whoever decides by time takes it from here, so that tests and simulations can decide what time it is.
use windowing::Time;

/// Wall clock of the data path (event-time checks, watermarks). The lint bans `SystemTime::now` elsewhere.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
        let now = std::time::SystemTime::now();
        match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            Err(before) => Time(i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros)),
        }
    }
}

/// A clock that stands until it is moved, for tests and replays.
#[derive(Debug)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

impl ManualClock {
    /// Stands at `now`.
    pub fn new(now: Time) -> Self {
        Self(now.0.into())
    }

    /// Moves to `now`, forwards or backwards.
    pub fn set(&self, now: Time) {
        self.0.store(now.0, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_is_in_this_century_and_a_manual_one_stands() {
        let now = SystemClock.now();
        assert!((Time(1_700_000_000_000_000)..Time(4_100_000_000_000_000)).contains(&now), "{now:?}");
        let manual = ManualClock::new(Time(5));
        manual.set(Time(-7));
        assert_eq!(manual.now(), Time(-7));
    }
}

//! Kills and pauses at random times.
use crate::battle::{Battle, LONGER_THAN_THE_SESSION, WRITERS};
use rand::Rng as _;
use std::time::{Duration, Instant};
use test_kit::Signal;

/// Between two events.
const GAP_MS: std::ops::Range<u64> = 100..2_500;
/// A killed writer stays away: sometimes shorter, sometimes longer than its session of 6 s.
const AWAY_MS: std::ops::Range<u64> = 0..7_000;
/// A pause is longer than the session by up to this.
const LONGER_MS: std::ops::Range<u64> = 0..4_000;

/// A writer that something was done to, until it is put right.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Killed(Instant),
    Frozen(Instant),
}

impl Battle<'_> {
    /// One event in three is a pause; the writers may be down both at once.
    pub fn fire_at_random(&mut self, events: u64) {
        let mut fates: [Option<Fate>; WRITERS] = [None; WRITERS];
        let mut done = 0;
        while done < events {
            let gap = Duration::from_millis(self.rng.random_range(GAP_MS));
            self.scene.pause(gap);
            self.put_right(&mut fates, Instant::now());
            let number = self.rng.random_range(0..WRITERS);
            if fates[number].is_some() {
                continue;
            }
            done += 1;
            let fate = self.strike(number, done);
            fates[number] = Some(fate);
            self.flow.step_done();
        }
        let last = fates.into_iter().flatten().map(|(Fate::Killed(until) | Fate::Frozen(until))| until).max();
        if let Some(last) = last {
            self.scene.pause(last.saturating_duration_since(Instant::now()));
            self.put_right(&mut fates, last);
        }
    }

    fn strike(&mut self, number: usize, event: u64) -> Fate {
        if self.rng.random_ratio(1, 3) {
            let time = LONGER_THAN_THE_SESSION + Duration::from_millis(self.rng.random_range(LONGER_MS));
            self.writer(number).signal(Signal::Stop);
            self.fought.pauses += 1;
            self.say(&format!("event {event}: writer {number} frozen for {} ms", time.as_millis()));
            return Fate::Frozen(Instant::now() + time);
        }
        let away = Duration::from_millis(self.rng.random_range(AWAY_MS));
        self.writer(number).kill();
        self.writers[number] = None;
        self.fought.kills += 1;
        self.say(&format!("event {event}: writer {number} killed, back after {} ms", away.as_millis()));
        Fate::Killed(Instant::now() + away)
    }

    fn put_right(&mut self, fates: &mut [Option<Fate>; WRITERS], now: Instant) {
        for (number, fate) in fates.iter_mut().enumerate() {
            match *fate {
                Some(Fate::Killed(until)) if until <= now => {
                    self.start(number, &[]);
                }
                Some(Fate::Frozen(until)) if until <= now => self.writer(number).signal(Signal::Continue),
                _ => continue,
            }
            *fate = None;
        }
    }
}

//! When to connect next: at most once in a second, later and later while it does not help, and never all at once.
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// Brokers take one connect in a second for a client id.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// A session that lasted so long was well: the next try is soon.
pub const WELL_AFTER: Duration = Duration::from_secs(30);

/// Pauses between the beginnings of two tries.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    random: StdRng,
}

impl Backoff {
    /// Begins with the shortest pause. Connections have seeds of their own.
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// Pause from the beginning of the last try to the beginning of the next: doubled with each that did not last, with up to half as much again.
    pub fn next(&mut self, lasted: Duration) -> Duration {
        self.failures = if lasted >= WELL_AFTER { 0 } else { self.failures.saturating_add(1) };
        let base = SHORTEST.saturating_mul(1 << self.failures.saturating_sub(1).min(6)).min(LONGEST);
        base + base.mul_f64(self.random.random_range(0.0..0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_again_after_a_session_that_lasted() {
        let mut backoff = Backoff::new(7);
        let pauses: Vec<Duration> = (0..10).map(|_| backoff.next(Duration::ZERO)).collect();
        assert!(pauses.iter().all(|pause| *pause >= SHORTEST && *pause <= LONGEST.mul_f64(1.5)), "{pauses:?}");
        assert!(pauses[0] < Duration::from_millis(1_500) && pauses[9] >= LONGEST, "{pauses:?}");
        assert!(backoff.next(WELL_AFTER) < Duration::from_millis(1_500));
        assert_ne!(Backoff::new(1).next(Duration::ZERO), Backoff::new(2).next(Duration::ZERO), "not all at once");
    }
}

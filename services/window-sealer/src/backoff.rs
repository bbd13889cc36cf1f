//! Items whose work failed wait, each for itself, so that a failing one never stops the others.
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// First wait.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// Waits by item. Items that are never heard of again are forgotten after their wait.
#[derive(Debug)]
pub struct ItemBackoff<K> {
    waits: BTreeMap<K, Wait>,
    jitter: StdRng,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    failures: u32,
    until: Instant,
}

impl<K> Default for ItemBackoff<K> {
    fn default() -> Self {
        Self { waits: BTreeMap::new(), jitter: StdRng::from_os_rng() }
    }
}

impl<K: Ord + Clone> ItemBackoff<K> {
    /// Whether the item may be tried now.
    pub fn is_ready(&self, item: &K) -> bool {
        self.waits.get(item).is_none_or(|wait| wait.until <= Instant::now())
    }

    /// The item's work failed: it waits twice as long as the last time, with jitter. Returns the wait.
    pub fn failed(&mut self, item: &K) -> Duration {
        let now = Instant::now();
        self.waits.retain(|_, wait| now < wait.until + LONGEST);
        let failures = self.waits.get(item).map_or(0, |wait| wait.failures);
        let base = (FIRST * (1 << failures.min(10))).min(LONGEST);
        let wait = base.mul_f64(self.jitter.random_range(0.5..=1.0));
        self.waits.insert(item.clone(), Wait { failures: failures.saturating_add(1), until: now + wait });
        wait
    }

    /// The item's work is done.
    pub fn succeeded(&mut self, item: &K) {
        self.waits.remove(item);
    }

    /// Items that wait.
    pub fn waiting(&self) -> usize {
        let now = Instant::now();
        self.waits.values().filter(|wait| wait.until > now).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failing_item_waits_longer_each_time_and_alone() {
        let mut backoff = ItemBackoff::default();
        let first = backoff.failed(&1);
        assert!(!backoff.is_ready(&1) && backoff.is_ready(&2));
        assert_eq!(backoff.waiting(), 1);
        tokio::time::advance(first).await;
        assert!(backoff.is_ready(&1));
        let longest = (0..20).map(|_| backoff.failed(&1)).last().expect("twenty");
        assert!(longest > first && longest <= LONGEST);
        backoff.succeeded(&1);
        assert!(backoff.is_ready(&1));
    }
}

//! At most so many calls in a second, evenly: whatever is asked, the registry serves others too.
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Calls that may come at once after a pause, as a share of a second.
const BURST: Duration = Duration::from_millis(100);

/// Gives out places for calls.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    /// When the next call has its place.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(calls_per_second: u32) -> Self {
        Self { period: Duration::from_secs(1) / calls_per_second.max(1), next: Mutex::new(None) }
    }

    /// Waits for the next place.
    pub(super) async fn wait(&self) {
        let now = Instant::now();
        let place = {
            // An instant is whole after any panic.
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let place = next.map_or(now, |next| next.max(now.checked_sub(BURST).unwrap_or(now)));
            *next = Some(place + self.period);
            place
        };
        if place > now {
            sleep_until(place).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_come_at_the_pace() {
        let pace = Pace::new(50);
        let start = Instant::now();
        for _ in 0..200 {
            pace.wait().await;
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(3_800) && took <= Duration::from_secs(4), "{took:?}");
    }
}

//! Waiting for a condition with a deadline: the only place that polls.
use std::time::{Duration, Instant};

/// Between two looks at the condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold before the deadline, with `what` in the message.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(deadline, what, || condition().then_some(()));
}

/// Waits until `probe` gives a value.
///
/// # Panics
/// If it gives none before the deadline, with `what` in the message.
#[track_caller]
pub fn wait_for<T>(deadline: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match try_wait_for(deadline, probe) {
        Some(value) => value,
        None => panic!("waited {} ms in vain for: {what}", deadline.as_millis()),
    }
}

/// Waits until `probe` gives a value; `None` after the deadline.
pub fn try_wait_for<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if started.elapsed() >= deadline {
            return None;
        }
        std::thread::park_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_until_the_condition_holds() {
        let mut looks = 0;
        wait_until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "in vain for: the impossible")]
    fn gives_up_at_the_deadline() {
        wait_until(Duration::from_millis(20), "the impossible", || false);
    }
}

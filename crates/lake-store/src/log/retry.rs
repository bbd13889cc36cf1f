//! The one place that decides when a store call is tried again.
use crate::StoreError;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// First pause between two tries. Small, as most trouble is one lost connection.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause. A store that is down for long is asked a few times a minute by each client.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long one try and all tries of an operation may take, and the jitter's source.
#[derive(Debug)]
pub(super) struct RetryPolicy {
    pub(super) request_timeout: Duration,
    pub(super) retry_for: Duration,
    pub(super) jitter: Mutex<ChaCha8Rng>,
}

/// Pauses that double up to a bound, each drawn from its upper half: clients that failed together don't come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    started: Instant,
}

impl RetryPolicy {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff { next: FIRST_PAUSE, started: Instant::now() }
    }

    /// One try. A try without an answer in time has an unknown outcome.
    pub(super) async fn once<T>(
        &self,
        operation: &'static str,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(self.request_timeout, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unknown(operation, key, format!("no answer within {:?}", self.request_timeout))))
    }

    /// Tries a repeatable operation until it succeeds, is denied, or `retry_for` has passed.
    pub(super) async fn repeat<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        operation: &'static str,
        key: &str,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        let mut backoff = self.backoff();
        loop {
            match self.once(operation, key, call()).await {
                Err(error) if error.is_transient() && backoff.started.elapsed() < self.retry_for => {
                    tracing::warn!(operation, key, %error, "store call is tried again");
                    self.pause(&mut backoff).await;
                }
                result => return result,
            }
        }
    }

    pub(super) async fn pause(&self, backoff: &mut Backoff) {
        let factor = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random_range(0.5..=1.0);
        sleep(backoff.next.mul_f64(factor)).await;
        backoff.next = (backoff.next * 2).min(LONGEST_PAUSE);
    }
}

impl Backoff {
    /// Since the first try.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

//! Trouble of the store within one piece of work: waited out for a few seconds, since the whole work is done again otherwise.
use lake_store::StoreError;
use std::time::Duration;

/// Tries of one step.
const TRIES: u32 = 6;
/// First pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Pauses between the tries of a step.
#[derive(Debug)]
pub(crate) struct Pauses {
    tries: u32,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Self { tries: 0 }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The error itself, when trying again does not help or has been done often enough.
    pub(crate) async fn after(&mut self, what: &'static str, error: StoreError) -> Result<(), StoreError> {
        self.tries += 1;
        if !error.is_transient() || self.tries >= TRIES {
            return Err(error);
        }
        tracing::warn!(what, %error, tries = self.tries, "store call is tried again");
        tokio::time::sleep(FIRST_PAUSE * (1 << self.tries)).await;
        Ok(())
    }
}

/// Tries a repeatable step.
///
/// # Errors
/// As [`Pauses::after`].
pub(crate) async fn repeat<T, F: Future<Output = Result<T, StoreError>>>(
    what: &'static str,
    mut step: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut pauses = Pauses::new();
    loop {
        match step().await {
            Ok(value) => return Ok(value),
            Err(error) => pauses.after(what, error).await?,
        }
    }
}

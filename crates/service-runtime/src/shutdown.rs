//! Shutdown: asked for by SIGTERM, SIGINT or the program itself; seen by every task.
use std::sync::Arc;
use tokio::sync::watch;

/// Cheap to clone; all clones are triggered together, once and for good.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    /// Without signals, for tests and the demo.
    pub fn manual() -> Self {
        Self { asked: Arc::new(watch::Sender::new(false)) }
    }

    /// Listens for SIGTERM and SIGINT; a second one ends the process at once with code 1, for a drain that hangs.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let shutdown = Self::manual();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let asked = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if asked.is_triggered() {
                    tracing::warn!(signal = name, "asked again to stop: ending without commit");
                    std::process::exit(1);
                }
                tracing::info!(signal = name, "stopping");
                asked.trigger();
            }
        });
        Ok(shutdown)
    }

    /// Asks to stop. Repeatable.
    pub fn trigger(&self) {
        self.asked.send_replace(true);
    }

    /// Whether asked.
    pub fn is_triggered(&self) -> bool {
        *self.asked.borrow()
    }

    /// Resolves when asked; at once if that was before.
    pub async fn triggered(&self) {
        // An error means that all senders are gone, and this one holds a sender.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_clones_see_it_before_and_after() {
        let shutdown = Shutdown::manual();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.triggered().await }
        });
        assert!(!shutdown.is_triggered());
        shutdown.clone().trigger();
        let deadline = std::time::Duration::from_secs(10);
        tokio::time::timeout(deadline, early).await.expect("the early one sees it").unwrap();
        tokio::time::timeout(deadline, shutdown.triggered()).await.expect("a late one sees it");
        assert!(shutdown.is_triggered());
    }
}

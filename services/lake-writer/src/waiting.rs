//! A stopped table waits for the record of a person while other tables of the process run, and then starts again.
use lake_store::TableLog;
use service_runtime::shutdown::Shutdown;
use std::{sync::Arc, time::Duration};
use table_log::{Body, Seq};
use tokio::sync::watch;

/// Period of looking for new records.
const LOOK: Duration = Duration::from_secs(2);

/// Counts the tables of the process that are not stopped: without any the process ends.
#[derive(Clone, Debug)]
pub struct Running(Arc<watch::Sender<usize>>);

impl Running {
    /// All of them run.
    pub fn new(tables: usize) -> Self {
        Self(Arc::new(watch::Sender::new(tables)))
    }

    /// One stopped.
    pub fn stopped(&self) {
        self.0.send_modify(|running| *running -= 1);
    }

    /// One starts again.
    pub fn starts_again(&self) {
        self.0.send_modify(|running| *running += 1);
    }

    /// Resolves when all are stopped.
    pub async fn none(&self) {
        // An error means that all senders are gone, and this one holds a sender.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

/// Waits until a record from `seen` on may have put the table right. `false`: no table runs any more, or shutdown was asked for.
pub async fn for_a_repair(log: Option<&TableLog>, seen: Seq, running: &Running, shutdown: &Shutdown) -> bool {
    tokio::select! {
        biased;
        () = shutdown.triggered() => false,
        () = running.none() => false,
        () = until_repaired(log, seen) => true,
    }
}

async fn until_repaired(log: Option<&TableLog>, mut seen: Seq) {
    let Some(log) = log else { return std::future::pending().await };
    loop {
        match is_repaired(log, &mut seen).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::warn!(table = log.table().0, %error, "log of the stopped table cannot be read, trying again"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a record from `seen` on is one that a person makes; `seen` goes on behind those that were looked at.
async fn is_repaired(log: &TableLog, seen: &mut Seq) -> Result<bool, lake_store::TableLogError> {
    let next = log.refresh().await?.next_seq;
    while *seen < next {
        let record = log.record(*seen).await?;
        *seen = Seq(seen.0 + 1);
        if matches!(record.body, Body::Repair(_) | Body::Source(_) | Body::Table(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

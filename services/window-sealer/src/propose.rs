//! Commits a revision and publishes its files.
use crate::error::SealerError;
use lake_store::{CommitOutcome, TableLog};
use service_runtime::fail_point;
use service_runtime::shutdown::Shutdown;
use std::sync::Arc;
use table_log::record::FileEntry;
use table_log::{Body, Fenced, Record};

/// How a proposal ended.
#[derive(Clone, Debug)]
pub enum Proposed {
    /// It is in the log; its files are published, or will be by whoever sees it.
    Committed(Arc<Record>),
    /// Somebody else was faster; the files are discarded. The text says how.
    Lost(String),
}

/// Commits `body` and publishes its `files`. They are discarded only when the log knows that they will never be committed.
///
/// # Errors
/// The log cannot be read or written, or the process is stopping: then the record may exist all the same, so the files stay. A proposal that
/// broke a rule of the log itself is a defect.
pub async fn propose(log: &TableLog, body: Body, files: &[FileEntry], shutdown: &Shutdown) -> Result<Proposed, SealerError> {
    fail_point!("sealer-before-create");
    let outcome = log.commit(body, shutdown.triggered()).await;
    fail_point!("sealer-after-create");
    match outcome? {
        CommitOutcome::Committed(record) => {
            publish(log, &record).await;
            Ok(Proposed::Committed(record))
        }
        CommitOutcome::Fenced(why @ Fenced::Invalid(_)) => {
            discard(log, files).await;
            Err(SealerError::Refused(why))
        }
        CommitOutcome::Fenced(why) => Ok(lost(log, files, why.to_string()).await),
        CommitOutcome::Stale(why) => Ok(lost(log, files, why.to_string()).await),
        CommitOutcome::AlreadyDone => Ok(lost(log, files, "the log says this already".to_owned()).await),
        CommitOutcome::Abandoned => Err(SealerError::Stopping),
    }
}

async fn lost(log: &TableLog, files: &[FileEntry], why: String) -> Proposed {
    discard(log, files).await;
    Proposed::Lost(why)
}

/// Publishes at once; what fails is left to the helping that goes on with every look at the log.
async fn publish(log: &TableLog, record: &Record) {
    fail_point!("sealer-before-publish");
    if let Err(error) = log.publish(record).await {
        tracing::warn!(table = log.table().0, seq = record.seq.0, %error, "publish failed and is tried again");
    }
    fail_point!("sealer-after-publish");
}

/// Discards files that no request under way can commit.
pub(crate) async fn discard(log: &TableLog, files: &[FileEntry]) {
    if files.is_empty() {
        return;
    }
    fail_point!("sealer-before-discard");
    log.discard(files).await;
    fail_point!("sealer-after-discard");
}

//! What the window-sealer makes of the demo's tables: waits until all that can be done is done, and counts it.
use super::fleet;
use crate::{context::Context, output::Failure};
use anyhow::bail;
use lake_store::{CommitOutcome, TableLog};
use std::{collections::BTreeSet, time::Duration};
use table_log::{
    TableName, TableState,
    record::{Body, FlushBody},
};
use tokio::time::interval;
use windowing::Time;

/// How long the last windows may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A table's windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows {
    /// Sealed ones.
    pub sealed: u64,
    /// Those of them that late rows gave a further revision.
    pub amended: u64,
    /// Not closed yet.
    pub open: u64,
    /// Rows that came when their kafka_partition was past their window.
    pub late_rows: u64,
    /// Rows dropped in favour of an equal one.
    pub duplicates: u64,
}

impl Windows {
    /// Of one table's state.
    pub(super) fn count(state: &TableState) -> Self {
        let totals = state.totals();
        let mut windows = Self { late_rows: totals.late_rows, duplicates: totals.duplicates, ..Self::default() };
        for (_, revision, closed) in state.windows() {
            windows.sealed += u64::from(revision > 0);
            windows.amended += u64::from(revision > 1);
            windows.open += u64::from(!closed);
        }
        windows
    }
}

/// Asks for what waits (late rows wait for others before they make a revision), and waits until every closed window is sealed, every late row
/// is in a revision, and the derived table is made from the newest revisions.
///
/// # Errors
/// A log that cannot be written or read; not done in time.
pub(super) async fn settled(context: &Context, tables: &[&str], derived: bool) -> anyhow::Result<()> {
    let mut logs = Vec::new();
    for table in tables {
        let log = context.log(&TableName((*table).to_owned()), false).await?;
        match log.commit(Body::Flush(FlushBody { actor: "demo".to_owned() }), std::future::pending()).await? {
            CommitOutcome::Committed(_) => logs.push(log),
            other => bail!("the log of `{table}` does not take a flush: {other:?}"),
        }
    }
    let derived = match derived {
        true => Some(context.log(&TableName(fleet::DERIVED.to_owned()), true).await?),
        false => None,
    };
    let mut tick = interval(Duration::from_millis(200));
    let all = async {
        while !is_settled(&logs, derived.as_ref()).await? {
            tick.tick().await;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(SETTLE_TIMEOUT, all).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let what = format!("the window-sealer did not finish within {} s", SETTLE_TIMEOUT.as_secs());
            Err(Failure::failed(what, "look at the log lines above").into())
        }
    }
}

async fn is_settled(logs: &[TableLog], derived: Option<&TableLog>) -> anyhow::Result<bool> {
    for log in logs {
        if !is_clean(&*log.refresh().await?) {
            return Ok(false);
        }
    }
    let (Some(derived), Some(source)) = (derived, logs.iter().find(|log| log.table().0 == fleet::TABLE)) else { return Ok(true) };
    Ok(is_current(&*derived.refresh().await?, &source.state()))
}

/// Every closed window is sealed, and no late row waits.
fn is_clean(state: &TableState) -> bool {
    let late: BTreeSet<Time> = state.late_files().map(|(lake_partition, _)| lake_partition.window_start).collect();
    state.windows().all(|(start, revision, closed)| !closed || (revision > 0 && !late.contains(&start)))
}

/// Each sealed window of the source is in the derived window of the same minute, with its newest revision.
fn is_current(derived: &TableState, source: &TableState) -> bool {
    source.windows().filter(|(_, revision, _)| *revision > 0).all(|(start, revision, _)| {
        let inputs = derived.window(start).map(|window| window.inputs.as_slice()).unwrap_or_default();
        inputs.iter().any(|input| input.window_start == start && input.revision == revision)
    })
}

//! `tributary repair`: a person puts right what stopped a table, by a `repair` record that says who, why, and what it cost.
//!
//! Each command first shows what it would record, checked against log, Kafka and lake; with `--apply` it records exactly that.
mod files;
mod gap;
mod restart;

use crate::cli::{How, RepairArgs, RepairCommand};
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure};
use lake_store::{CommitOutcome, TableLog};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use table_log::record::{RepairAction, RepairBody};
use table_log::{Body, Record};

/// Runs the command.
pub async fn run(args: &RepairArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.command {
        RepairCommand::Gap(args) => gap::run(args, context).await,
        RepairCommand::Restart(args) => restart::run(args, context).await,
        RepairCommand::Refile(args) => files::refile(args, context).await,
        RepairCommand::Lost(args) => files::lost(args, context).await,
    }
}

/// One line of what a repair records.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Topic, with `#<generation>` after the first.
    pub topic: Option<String>,
    /// Its kafka_partition.
    pub kafka_partition: Option<i32>,
    /// Offsets, half-open.
    pub offsets: Option<String>,
    /// Records that are lost by it; `None`: nobody knows.
    pub records_lost: Option<u64>,
    /// What happens to them.
    pub what: String,
}

/// Shows lines, and whether they were recorded.
pub fn show(table: &str, lines: &[Line], records: Option<&[u64]>, context: &Context) -> anyhow::Result<ExitCode> {
    if context.output.is_json() {
        let lost: Option<u64> = lines.iter().map(|line| line.records_lost).sum();
        let applied = records.is_some();
        context.output.json(&serde_json::json!({
            "table": table, "applied": applied, "records": records.unwrap_or_default(), "lines": lines, "records_lost": lost
        }))?;
        return Ok(ExitCode::Done);
    }
    let header = [
        ("topic", Align::Left),
        ("kafka_partition", Align::Right),
        ("offsets", Align::Left),
        ("records lost", Align::Right),
        ("what", Align::Left),
    ];
    let text = |lost: Option<u64>| lost.map_or_else(|| "unknown".to_owned(), |lost| lost.to_string());
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows = lines.iter().map(|line| {
        let (topic, offsets) = (line.topic.clone(), line.offsets.clone());
        let kafka_partition = line.kafka_partition.map(|number| number.to_string());
        vec![or_none(topic), or_none(kafka_partition), or_none(offsets), text(line.records_lost), line.what.clone()]
    });
    context.output.table(&header, rows);
    match records {
        None => context.output.line(&format!("table `{table}`: nothing is recorded; the same command with `--apply` records this")),
        Some(records) => {
            let seqs: Vec<String> = records.iter().map(ToString::to_string).collect();
            context.output.line(&format!("table `{table}`: committed as record {}", seqs.join(", ")));
            context
                .output
                .line("a running lake-writer goes on by itself within seconds; one that ended (exit code 4) is to be started again");
        }
    }
    Ok(ExitCode::Done)
}

/// How the commit of a repair ended.
#[derive(Debug)]
pub enum Committed {
    /// It stands in the log.
    Done(Arc<Record>),
    /// The log says this already.
    Already,
    /// The log moved: look again.
    Moved(String),
}

/// Commits one repair.
pub async fn commit(log: &TableLog, how: &How, action: RepairAction) -> anyhow::Result<Committed> {
    let body = Body::Repair(RepairBody { actor: how.who.actor.clone(), reason: how.reason.clone(), action });
    Ok(match log.commit(body, std::future::pending()).await? {
        CommitOutcome::Committed(record) => Committed::Done(record),
        CommitOutcome::AlreadyDone => Committed::Already,
        CommitOutcome::Fenced(why) => Committed::Moved(why.to_string()),
        CommitOutcome::Stale(why) => Committed::Moved(why.to_string()),
        CommitOutcome::Abandoned => anyhow::bail!("the commit was abandoned"),
    })
}

/// The table's log moved between looking and committing.
pub fn moved(why: &str) -> anyhow::Error {
    Failure::failed(format!("nothing was recorded: {why}"), "run the command again without `--apply` and look at what it shows").into()
}

/// A log to be repaired; a table without one has nothing to repair.
pub async fn open(table: &str, apply: bool, context: &Context) -> anyhow::Result<TableLog> {
    let (table, _) = context.table(table)?;
    let log = context.log(&table, !apply).await?;
    if log.state().table.is_none() {
        return Err(Failure::usage(format!("table `{table}` has no log yet"), "the first start of a lake-writer makes it").into());
    }
    Ok(log)
}

/// Whether nothing is there twice.
pub fn distinct<T: Ord>(items: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

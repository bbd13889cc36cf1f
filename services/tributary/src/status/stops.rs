//! What a person must put right, found out from log, Kafka and lake: a stopped lake-writer says the same, but it may have ended.
use crate::context::Context;
use anyhow::Context as _;
use kafka_io::Admin;
use lake_store::TableLog;
use lake_writer::StoppedTable;
use lake_writer::error::LostFile;
use lake_writer::examine::{self, ClusterLook};
use serde::Serialize;
use service_runtime::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use table_log::Seq;
use windowing::Micros;

/// One situation.
#[derive(Clone, Debug, Serialize)]
pub struct Stop {
    /// Its stable short name.
    pub situation: &'static str,
    /// What happened, how many records it costs, and how to go on.
    pub message: String,
    /// The command that goes on.
    pub command: Option<String>,
}

/// The situations of a table. `look`: what Kafka says of its topics and perhaps others; `None`: it cannot be reached, and what only it shows is
/// left out.
///
/// # Errors
/// The lake cannot be read.
pub async fn of(log: &TableLog, look: Option<&ClusterLook>, context: &Context) -> anyhow::Result<Vec<Stop>> {
    let mut found = lost_files(log, context).await?;
    if let Some(look) = look {
        found.extend(examine::findings(&log.table().0, &log.state(), look));
    }
    let file = &context.settings.file;
    let stop = |stop: StoppedTable| Stop { situation: stop.situation(), message: stop.message(file), command: stop.command(file) };
    Ok(found.into_iter().map(stop).collect())
}

/// Asks Kafka about the topics that these tables read.
///
/// # Errors
/// It does not answer.
pub async fn ask(logs: &[TableLog], context: &Context) -> anyhow::Result<ClusterLook> {
    let topics: BTreeSet<String> = logs.iter().flat_map(|log| examine::current_topics(&log.state())).collect();
    if topics.is_empty() {
        return Ok(ClusterLook::default());
    }
    let kafka = context.kafka();
    let asked =
        tokio::task::spawn_blocking(move || Admin::new(&kafka).and_then(|admin| examine::ask(&admin, topics.into_iter().collect())));
    Ok(asked.await.context("ask Kafka")??)
}

/// Files of records that are not known to be published. Young records are left out: their writer may be at it.
async fn lost_files(log: &TableLog, context: &Context) -> anyhow::Result<Vec<StoppedTable>> {
    let lost_after = i64::try_from(context.settings.lake_writer.lost_file_after.0.as_micros()).unwrap_or(i64::MAX);
    let mut files = Vec::new();
    let mut old: BTreeSet<Seq> = BTreeSet::new();
    for (file, entry) in examine::lost_files(log, None).await? {
        if old.contains(&file.seq) || SystemClock.now() - log.record(file.seq).await?.at >= Micros(lost_after) {
            old.insert(file.seq);
            files.push(LostFile { seq: file.seq, key: entry.key, rows: Some(entry.rows) });
        }
    }
    let table = log.table().0.clone();
    Ok(if files.is_empty() { Vec::new() } else { vec![StoppedTable::LakeFileLost { table, files }] })
}

//! `tributary status`: what each table holds and how far it is behind.
//!
//! *Lag* is in records: the log end offset in Kafka minus the log's next offset, summed over the kafka_partitions of sources that still take
//! appends. *Delay* is in seconds: how long the oldest record that is not in the lake has been in Kafka (this machine's clock minus its Kafka
//! timestamp); 0 when the lag is 0. Both are unknown while Kafka cannot be reached.
//!
//! A table that only a person can put right is shown with the command that goes on, and the command ends with exit code 4.
mod behind;
mod show;
mod stops;

use crate::cli::StatusArgs;
use crate::context::Context;
use crate::output::ExitCode;
use crate::table::differences;
use anyhow::Context as _;
use behind::Behind;
use lake_store::TableLog;
use serde::Serialize;
use table_log::{SourcePartition, TableState};

/// Status of a table.
#[derive(Debug, Default, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table: String,
    /// The table that a derived table is made from.
    pub source: Option<String>,
    /// Newest record of its log; `None`: the table has no log yet.
    pub newest_seq: Option<u64>,
    /// When that record was made.
    pub newest_at: Option<String>,
    /// Offsets that became rows, late ones included. Of a derived table: rows of its newest revisions.
    pub rows: u64,
    /// Rows that sealing dropped in favour of an equal one.
    pub duplicates: u64,
    /// Rows behind the watermark, which wait for the next revision.
    pub late_rows: u64,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Offsets left out by a setting.
    pub skipped: u64,
    /// Offsets that Kafka never delivers.
    pub absent: u64,
    /// Offsets declared lost.
    pub lost: u64,
    /// Records that are not taken yet; `None`: Kafka cannot be reached.
    pub lag_records: Option<u64>,
    /// How long the oldest of them has been in Kafka; `None`: unknown.
    pub delay_seconds: Option<f64>,
    /// The table's watermark; `None`: some kafka_partition has not reported yet.
    pub watermark: Option<String>,
    /// Windows with rows that are open.
    pub open_windows: u64,
    /// Windows with rows that are closed.
    pub closed_windows: u64,
    /// Windows with a revision.
    pub sealed_windows: u64,
    /// Revisions of these beyond their first.
    pub amendments: u64,
    /// Committed records whose files are not known to be in place.
    pub unpublished_records: u64,
    /// Settings that differ from the log, which the services follow.
    pub drift: Vec<String>,
    /// What stops it and a person must put right.
    pub stops: Vec<stops::Stop>,
    /// Its kafka_partitions.
    pub kafka_partitions: Vec<PartitionStatus>,
}

/// Status of a source kafka_partition.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionStatus {
    /// Topic, kafka_partition, generation.
    #[serde(flatten)]
    pub source: SourcePartition,
    /// Its topic takes no more appends.
    pub ended: bool,
    /// First offset that is not in the log.
    pub next_offset: i64,
    /// End of the kafka_partition in Kafka.
    pub log_end_offset: Option<i64>,
    /// The difference.
    pub lag_records: Option<u64>,
    /// See [`TableStatus::delay_seconds`].
    pub delay_seconds: Option<f64>,
    /// Its watermark.
    pub watermark: Option<String>,
}

/// Runs the command.
pub async fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let mut tables = Vec::new();
    let mut logs = Vec::new();
    for table in context.any_tables(&args.tables)? {
        let log = context.log(&table, true).await?;
        tables.push(of_log(&log, context).await?);
        logs.push(log);
    }
    let sources: Vec<SourcePartition> =
        tables.iter().flat_map(|t| &t.kafka_partitions).filter(|p| !p.ended).map(|p| p.source.clone()).collect();
    let nexts = tables.iter().flat_map(|t| &t.kafka_partitions).filter(|p| !p.ended).map(|p| p.next_offset);
    let asked: Vec<(SourcePartition, i64)> = sources.into_iter().zip(nexts).collect();
    let config = context.kafka();
    let behind = tokio::task::spawn_blocking(move || behind::ask(&config, &asked)).await.context("ask Kafka")?;
    let reached = behind.is_ok();
    match behind {
        Ok(answers) => tables.iter_mut().for_each(|table| add_behind(table, &answers)),
        Err(error) => context.output.note(&format!("lag and delay are unknown: {error:#}")),
    }
    let look = if reached { stops::ask(&logs, context).await.ok() } else { None };
    for (status, log) in tables.iter_mut().zip(&logs) {
        status.stops = stops::of(log, look.as_ref(), context).await?;
    }
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "tables": tables }))?;
    } else {
        show::tables(&tables, args.partitions, context.output);
    }
    Ok(if tables.iter().all(|table| table.stops.is_empty()) { ExitCode::Done } else { ExitCode::Stopped })
}

async fn of_log(log: &TableLog, context: &Context) -> anyhow::Result<TableStatus> {
    let state = log.state();
    let mut status = TableStatus { table: log.table().0.clone(), kafka_partitions: partitions(&state), ..TableStatus::default() };
    if let Some(seq) = state.newest_seq() {
        status.newest_seq = Some(seq.0);
        status.newest_at = Some(log.record(seq).await?.at.to_string());
    }
    status.source = context.settings.transforms.get(&status.table).map(|config| config.source.clone());
    let totals = state.totals();
    status.rows = match status.source {
        None => totals.rows,
        Some(_) => state.windows().map(|(window_start, _, _)| state.visible_rows(window_start)).sum(),
    };
    status.duplicates = totals.duplicates;
    status.sealed_windows = state.windows().filter(|(_, revision, _)| *revision > 0).count() as u64;
    status.amendments = state.windows().map(|(_, revision, _)| u64::from(revision.saturating_sub(1))).sum();
    status.late_rows = state.windows().map(|(window_start, _, _)| state.late_rows(window_start)).sum();
    status.quarantined = totals.quarantined;
    status.skipped = totals.skipped;
    status.absent = totals.absent;
    status.lost = totals.lost;
    status.watermark = state.watermark().map(|t| t.to_string());
    status.closed_windows = state.windows().filter(|(_, _, closed)| *closed).count() as u64;
    status.open_windows = state.windows().count() as u64 - status.closed_windows;
    status.unpublished_records = state.unpublished().len() as u64;
    if let Some(body) = &state.table {
        status.drift = differences(body, log.table(), context)?.iter().map(ToString::to_string).collect();
    }
    Ok(status)
}

fn partitions(state: &TableState) -> Vec<PartitionStatus> {
    let mut all = Vec::new();
    for (topic, generation, source) in state.sources() {
        for (&kafka_partition, partition) in &source.partitions {
            all.push(PartitionStatus {
                source: SourcePartition { topic: topic.to_owned(), generation, kafka_partition },
                ended: source.ended,
                next_offset: partition.next_offset.0,
                log_end_offset: None,
                lag_records: None,
                delay_seconds: None,
                watermark: partition.watermark.map(|t| t.to_string()),
            });
        }
    }
    all
}

fn add_behind(table: &mut TableStatus, answers: &[(SourcePartition, Behind)]) {
    for partition in &mut table.kafka_partitions {
        if let Some((_, behind)) = answers.iter().find(|(source, _)| *source == partition.source) {
            partition.log_end_offset = Some(behind.log_end_offset);
            partition.lag_records = Some(behind.lag_records);
            partition.delay_seconds = behind.delay_seconds;
        }
    }
    let current = || table.kafka_partitions.iter().filter(|p| !p.ended);
    table.lag_records = current().map(|p| p.lag_records).sum();
    let delays: Option<Vec<f64>> = current().map(|p| p.delay_seconds).collect();
    table.delay_seconds = delays.map(|delays| delays.into_iter().fold(0.0, f64::max));
}

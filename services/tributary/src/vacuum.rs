//! `tributary vacuum`: deletes files that newer revisions replaced, as a window-sealer does by itself, or shows what it would delete.
use crate::cli::VacuumArgs;
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure};
use lake_store::TableLog;
use serde::Serialize;
use service_runtime::clock::SystemClock;
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use table_log::{FileRef, Seq, TableName};
use window_sealer::store_time::StoreTimes;
use window_sealer::vacuum::{self, Keeper};

/// Superseded files of a table.
#[derive(Debug, Serialize)]
struct Superseded {
    table: String,
    /// Deleted now, or to be deleted with `--dry-run`.
    files: usize,
    bytes: u64,
    /// Kept for readers that may still use them.
    retained_files: usize,
    /// Replaced, but the log does not allow their deletion yet: not published, or not yet shown by the catalog.
    waiting_files: usize,
    /// Keys of `files`, with `--dry-run`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

/// Runs the command.
pub async fn run(args: &VacuumArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let mut tables = Vec::new();
    for table in tables_of(&args.tables, context)? {
        tables.push(vacuum_table(table, args.dry_run, context).await?);
    }
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "dry_run": args.dry_run, "tables": tables }))?;
        return Ok(ExitCode::Done);
    }
    for key in tables.iter().flat_map(|table| &table.keys) {
        context.output.line(key);
    }
    let deleted = if args.dry_run { "files to delete" } else { "files deleted" };
    let header = [
        ("table", Align::Left),
        (deleted, Align::Right),
        ("bytes", Align::Right),
        ("retained files", Align::Right),
        ("waiting files", Align::Right),
    ];
    let row = |table: &Superseded| {
        let numbers = [table.files.to_string(), table.bytes.to_string(), table.retained_files.to_string(), table.waiting_files.to_string()];
        [table.table.clone()].into_iter().chain(numbers).collect()
    };
    context.output.table(&header, tables.iter().map(row));
    Ok(ExitCode::Done)
}

fn tables_of(names: &[String], context: &Context) -> anyhow::Result<Vec<TableName>> {
    let settings = &context.settings;
    let known: Vec<&String> = settings.tables.keys().chain(settings.transforms.keys()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("table `{unknown}` is not in the settings"), format!("the tables are {known}")).into());
    }
    let wanted = known.into_iter().filter(|name| names.is_empty() || names.contains(name));
    Ok(wanted.map(|name| TableName(name.clone())).collect())
}

async fn vacuum_table(table: TableName, dry_run: bool, context: &Context) -> anyhow::Result<Superseded> {
    let retain = context.settings.window_sealer.retain_superseded.0;
    let log = context.log(&table, dry_run).await?;
    let mut times = StoreTimes::new(log.clone(), Arc::new(SystemClock));
    times.compare().await?;
    let state = log.state();
    let retained = vacuum::retained(&log, &state);
    let due = vacuum::due_files(&retained, vacuum::newest_old(&retained, &mut times, retain).await?);
    let entries = log.files(&due).await?;
    let allowed: usize = retained.values().map(Vec::len).sum();
    let superseded = Superseded {
        files: due.len(),
        bytes: entries.iter().map(|entry| entry.bytes).sum(),
        retained_files: allowed - due.len(),
        waiting_files: state.superseded_files().count() - allowed,
        keys: if dry_run { entries.into_iter().map(|entry| entry.key).collect() } else { Vec::new() },
        table: table.0,
    };
    if !dry_run {
        delete(&log, &mut times, (retain, &retained)).await?;
    }
    Ok(superseded)
}

/// Rounds until nothing is due any more; a round has a bound.
async fn delete(
    log: &TableLog,
    times: &mut StoreTimes,
    (retain, retained): (Duration, &BTreeMap<Seq, Vec<FileRef>>),
) -> anyhow::Result<()> {
    let (mut keeper, shutdown) = (Keeper::default(), Shutdown::manual());
    let mut rounds = retained.values().map(Vec::len).sum::<usize>();
    while vacuum::run(log, times, &mut keeper, (retain, &shutdown)).await? > 0 && rounds > 0 {
        rounds -= 1;
    }
    Ok(())
}

//! `tributary table plan|apply`: services follow the log; these commands bring the settings file's values into it.
mod differences;

pub use differences::differences;

use crate::cli::{TableArgs, TableCommand};
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure};
use differences::{Difference, Effect};
use lake_store::CommitOutcome;
use table_log::Body;
use table_log::record::TableBody;

/// Runs the command.
pub async fn run(args: &TableArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.command {
        TableCommand::Plan { tables } => plan(tables, context).await,
        TableCommand::Apply { table } => apply(table, context).await,
    }
}

async fn plan(names: &[String], context: &Context) -> anyhow::Result<ExitCode> {
    let mut planned = Vec::new();
    for table in context.any_tables(names)? {
        let state = context.log(&table, true).await?.state();
        match &state.table {
            Some(body) => planned.push((table.0.clone(), differences(body, &table, context)?)),
            None => context.output.note(&format!("table `{table}` has no log yet; its first rows make it")),
        }
    }
    if context.output.is_json() {
        let tables: Vec<_> = planned.iter().map(|(table, found)| serde_json::json!({ "table": table, "differences": found })).collect();
        context.output.json(&serde_json::json!({ "tables": tables }))?;
        return Ok(ExitCode::Done);
    }
    if planned.iter().all(|(_, found)| found.is_empty()) {
        context.output.line("settings and logs agree");
        return Ok(ExitCode::Done);
    }
    show(&planned, context);
    Ok(ExitCode::Done)
}

fn show(planned: &[(String, Vec<Difference>)], context: &Context) {
    let header =
        [("table", Align::Left), ("setting", Align::Left), ("log", Align::Left), ("settings file", Align::Left), ("on apply", Align::Left)];
    let rows = planned.iter().flat_map(|(table, found)| {
        found.iter().map(|d| vec![table.clone(), d.setting.to_owned(), d.log.clone(), d.file.clone(), d.effect.text().to_owned()])
    });
    context.output.table(&header, rows);
}

async fn apply(name: &str, context: &Context) -> anyhow::Result<ExitCode> {
    let table = context.any_table(name)?;
    let settings = match context.settings.transforms.get(name) {
        Some(config) => config.to_log(),
        None => context.table(name)?.1.to_log(),
    };
    let log = context.log(&table, false).await?;
    let state = log.refresh().await?;
    let Some(body) = &state.table else {
        return Err(Failure::failed(format!("table `{table}` has no log yet"), "the first start of a lake-writer makes it").into());
    };
    let found = differences(body, &table, context)?;
    if let Some(refused) = found.iter().find(|d| d.effect == Effect::Refused) {
        return Err(Failure::usage(
            format!("{refused}, and never changes"),
            "make a new table, or put the log's value into the settings file",
        )
        .into());
    }
    if found.is_empty() {
        return done(name, None, &found, context);
    }
    let proposal = TableBody { schema_version: body.schema_version + 1, settings, ..body.clone() };
    match log.commit(Body::Table(proposal), std::future::pending()).await? {
        CommitOutcome::Committed(record) => done(name, Some(record.seq.0), &found, context),
        CommitOutcome::AlreadyDone => done(name, None, &[], context),
        other => Err(Failure::failed(
            format!("the settings of table `{table}` were not committed: {other:?}"),
            "look at `table plan` and try again",
        )
        .into()),
    }
}

fn done(table: &str, seq: Option<u64>, applied: &[Difference], context: &Context) -> anyhow::Result<ExitCode> {
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "table": table, "record": seq, "applied": applied }))?;
    } else if let Some(seq) = seq {
        show(&[(table.to_owned(), applied.to_vec())], context);
        context.output.line(&format!("table `{table}`: committed as record {seq}"));
    } else {
        context.output.line(&format!("table `{table}`: settings and log agree"));
    }
    Ok(ExitCode::Done)
}

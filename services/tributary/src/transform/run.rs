use super::{derive_context, failure, settings_of};
use crate::cli::TransformRunArgs;
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use crate::sql::print;
use lake_query::transform::{RunOptions, SourceRows, SourceTable};
use std::sync::Arc;
use table_log::record::DeriveInput;
use window_sealer::SealerError;
use window_sealer::derive::{DeriveContext, Derived, Facts, load, named_files};
use windowing::Time;

/// Makes one window, or shows it.
pub async fn run(args: &TransformRunArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let transform = settings_of(&args.table, context)?;
    let window_start = Time(args.window.as_microsecond());
    if !transform.window.is_start(window_start) {
        let before = transform.window.start_of(window_start);
        let what = format!("no window of `{}` starts at {window_start}", args.table);
        return Err(Failure::usage(what, format!("the one that holds this time starts at {before}")).into());
    }
    let derive = derive_context(transform, args.dry_run, context).await?;
    let facts = derive.facts().await.map_err(failure)?;
    let inputs = facts.named_inputs(&derive.transform.table, window_start).map_err(|missing| incomplete(&derive, &missing))?;
    if args.dry_run {
        return show(&derive, &facts, (window_start, &inputs), (args.max_rows, context)).await;
    }
    let Some(due) = facts.due_window(&derive.transform.table, window_start).map_err(failure)? else {
        return done(args, None, "nothing newer than what it was made from, so nothing was done", context);
    };
    let revision = due.revision;
    match derive.make(&facts, due).await.map_err(failure)? {
        Derived::Committed { record, rows } => {
            done(args, Some(record.seq.0), &format!("revision {revision} with {rows} rows is committed as record {}", record.seq), context)
        }
        Derived::Lost(why) => done(args, None, &format!("another was faster: {why}"), context),
    }
}

fn incomplete(derive: &DeriveContext, missing: &[Time]) -> anyhow::Error {
    let source = &derive.transform.source;
    let what = match missing {
        [] => format!("table `{source}` has no log yet"),
        windows => {
            let windows = windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("source windows of `{source}` are not complete: {windows}")
        }
    };
    Failure::failed(what, "a window is complete when it is closed and sealed; `tributary status` shows the watermark").into()
}

/// The rows that the window would have, from the newest revisions of its source windows.
async fn show(
    derive: &DeriveContext,
    facts: &Facts,
    (window_start, inputs): (Time, &[DeriveInput]),
    (max_rows, context): (usize, &Context),
) -> anyhow::Result<ExitCode> {
    let bug = |what: &'static str| failure(SealerError::Bug { what, detail: format!("table `{}`", derive.transform.source) });
    let state = facts.states.get(&derive.transform.source).ok_or_else(|| bug("find state"))?;
    let log = derive.logs.get(&derive.transform.source).ok_or_else(|| bug("find log"))?;
    let table = state.table.as_ref().ok_or_else(|| bug("find table record"))?;
    let transform = load(&derive.transform, Some(log.store())).await.map_err(failure)?;
    let source = SourceTable::new(&transform.source, table)?;
    let files = named_files(log, state, inputs).await.map_err(failure)?.ok_or_else(|| bug("find files"))?;
    let input = SourceRows::Files(Arc::clone(log.store()), files);
    let mut rows = lake_query::transform::run(&transform, &source, input, window_start, &RunOptions::default())
        .await
        .map_err(|error| failure(error.into()))?;
    let (mut batches, mut found) = (Vec::new(), 0);
    while let Some(batch) = rows.next().await.map_err(|error| failure(error.into()))? {
        found += batch.num_rows();
        batches.push(batch);
    }
    let limit = if max_rows == 0 { usize::MAX } else { max_rows };
    print::batches(rows.result.columns(), &batches, limit, context.output)?;
    let inputs = inputs.iter().filter(|input| input.revision > 0);
    let inputs = inputs.map(|input| format!("{} revision {}", input.window_start, input.revision)).collect::<Vec<_>>().join(", ");
    let inputs = if inputs.is_empty() { "source windows without rows".to_owned() } else { inputs };
    context.output.note(&format!("{found} rows from {inputs} of `{}`; nothing was committed", derive.transform.source));
    Ok(ExitCode::Done)
}

fn done(args: &TransformRunArgs, seq: Option<u64>, what: &str, context: &Context) -> anyhow::Result<ExitCode> {
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "table": args.table, "window": args.window.to_string(), "record": seq, "what": what }))?;
    } else {
        context.output.line(&format!("window {} of `{}`: {what}", args.window, args.table));
    }
    Ok(ExitCode::Done)
}

//! `tributary flush`: asks for a commit of what is buffered, and for the revisions of closed windows, now.
use crate::cli::FlushArgs;
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use lake_store::CommitOutcome;
use table_log::Body;
use table_log::record::FlushBody;

/// Runs the command.
pub async fn run(args: &FlushArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let (table, _) = context.table(&args.table)?;
    let log = context.log(&table, false).await?;
    if log.state().table.is_none() {
        return Err(Failure::usage(format!("table `{table}` has no log yet"), "the first start of a lake-writer makes it").into());
    }
    let body = Body::Flush(FlushBody { actor: args.actor.clone() });
    let record = match log.commit(body, std::future::pending()).await? {
        CommitOutcome::Committed(record) => record,
        other => anyhow::bail!("a flush ended as `{other:?}`"),
    };
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "table": table.0, "record": record.seq.0 }))?;
    } else {
        context.output.line(&format!("table `{table}`: committed as record {}", record.seq));
        context.output.line(
            "running services commit what is buffered and revise closed windows within seconds; open windows close with the watermark",
        );
    }
    Ok(ExitCode::Done)
}

//! `tributary sql`: statements over the lake's tables and their quarantine, read-only.
pub mod print;

use crate::cli::SqlArgs;
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use anyhow::Context as _;
use arrow::record_batch::RecordBatch;
use lake_query::{LakeQueryError, LakeSession};
use std::io::Read;

/// Rows that a person is shown unless asked otherwise.
const SHOWN_ROWS: usize = 1_000;

/// Runs the command.
pub async fn run(args: &SqlArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let text = statement(args)?;
    let session = open(context).await?;
    let form = if args.csv {
        print::Form::Csv
    } else if context.output.is_json() {
        print::Form::Json
    } else {
        print::Form::Table
    };
    let limit = match args.max_rows {
        Some(0) => None,
        Some(rows) => Some(rows),
        None => (form == print::Form::Table).then_some(SHOWN_ROWS),
    };
    let printed = print::stream(&session, &text, limit, (form, context.output)).await.map_err(failure)?;
    if args.max_rows.is_none() && limit == Some(printed) {
        context.output.note(&format!("the first {printed} rows; `--max-rows 0` shows all"));
    }
    Ok(ExitCode::Done)
}

/// Runs one statement over all tables of the settings and collects its rows.
///
/// # Errors
/// A wrong statement, a lake that cannot be read, a missing file.
pub async fn query(context: &Context, text: &str) -> anyhow::Result<Vec<RecordBatch>> {
    open(context).await?.sql(text, None).await.map_err(failure)
}

/// A session over all tables of the settings that have a log.
pub async fn open(context: &Context) -> anyhow::Result<LakeSession> {
    let mut logs = Vec::new();
    for table in context.all_tables() {
        logs.push(context.log(&table, true).await?);
    }
    let session = LakeSession::open(context.store()?, logs).await.map_err(failure)?;
    for table in session.tables().iter().filter(|t| t.left_out > 0) {
        let left_out = table.left_out;
        context.output.note(&format!("table `{}`: {left_out} files are committed, but not published yet; they are left out", table.name));
    }
    Ok(session)
}

fn statement(args: &SqlArgs) -> anyhow::Result<String> {
    match (&args.query, &args.file) {
        (Some(text), _) if text != "-" => Ok(text.clone()),
        (_, Some(file)) => std::fs::read_to_string(file).with_context(|| format!("read `{}`", file.display())),
        _ => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("read the statement from stdin")?;
            Ok(text)
        }
    }
}

/// A wrong statement is a usage error.
fn failure(error: LakeQueryError) -> anyhow::Error {
    match error {
        LakeQueryError::Query(_) => {
            Failure::usage(error.to_string(), "`SHOW TABLES` lists the tables, `DESCRIBE <table>` their columns").into()
        }
        other => other.into(),
    }
}

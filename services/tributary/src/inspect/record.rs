use super::{file_json, no_log, standing};
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure};
use lake_store::TableLog;
use table_log::{FileRef, Seq};

/// Shows a log record and where its files stand now.
pub async fn show(log: &TableLog, seq: Seq, context: &Context) -> anyhow::Result<ExitCode> {
    let state = log.state();
    let Some(newest) = state.newest_seq() else {
        return Err(no_log(log.table()));
    };
    if seq > newest {
        return Err(Failure::usage(format!("table `{}` has no record {seq}", log.table()), format!("its newest record is {newest}")).into());
    }
    let record = log.record(seq).await?;
    let files: Vec<_> = (0..).zip(record.files()).map(|(index, entry)| (FileRef { seq, index }, entry)).collect();
    if context.output.is_json() {
        let files: Vec<_> = files.iter().map(|(file, entry)| file_json(&state, *file, entry)).collect();
        context.output.json(&serde_json::json!({ "record": &*record, "files": files }))?;
        return Ok(ExitCode::Done);
    }
    context.output.line(&serde_json::to_string_pretty(&*record)?);
    if !files.is_empty() {
        context.output.line("");
        let header = [("file", Align::Left), ("rows", Align::Right), ("bytes", Align::Right), ("standing", Align::Left)];
        let row = |(file, entry): &(FileRef, &table_log::record::FileEntry)| {
            vec![entry.key.clone(), entry.rows.to_string(), entry.bytes.to_string(), standing(&state, *file).to_owned()]
        };
        context.output.table(&header, files.iter().map(row));
        let published =
            if state.unpublished().contains(&seq) { "its files are not known to be in place yet" } else { "its files are published" };
        context.output.line(published);
    }
    Ok(ExitCode::Done)
}

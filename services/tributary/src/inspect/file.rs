use super::{file_json, no_log, standing};
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use anyhow::Context as _;
use lake_query::LakeFile;
use lake_store::TableLog;
use std::sync::Arc;
use table_log::record::FileEntry;
use table_log::{Body, FileRef, Record, Seq};

/// Shows a file: the record that names it, its ranges, its footer, and where it stands.
pub async fn show(log: &TableLog, name: &str, context: &Context) -> anyhow::Result<ExitCode> {
    let state = log.state();
    if state.newest_seq().is_none() {
        return Err(no_log(log.table()));
    }
    let Some((record, file, entry)) = find(log, name, context).await? else {
        let fix = "an object that no record names is an orphan: `tributary verify` lists it";
        return Err(Failure::failed(format!("no record of table `{}` names the file `{name}`", log.table()), fix).into());
    };
    let footer = footer(log, &entry).await;
    let ranges = match &record.body {
        Body::Append(body) => serde_json::to_value(&body.ranges)?,
        _ => serde_json::Value::Null,
    };
    if context.output.is_json() {
        let footer = footer.unwrap_or_else(|why| serde_json::json!({ "error": format!("{why:#}") }));
        let shown =
            serde_json::json!({ "file": file_json(&state, file, &entry), "kind": record.kind(), "ranges": ranges, "footer": footer });
        context.output.json(&shown)?;
        return Ok(ExitCode::Done);
    }
    let output = context.output;
    output.line(&format!("{}: {}", entry.key, standing(&state, file)));
    output.line(&format!("named by record {} ({}, made {} by `{}`):", record.seq, record.kind(), record.at, record.writer));
    output.line(&serde_json::to_string_pretty(&entry)?);
    if !ranges.is_null() {
        output.line("ranges of the record:");
        output.line(&serde_json::to_string_pretty(&ranges)?);
    }
    match footer {
        Ok(footer) => {
            output.line("footer:");
            output.line(&serde_json::to_string_pretty(&footer)?);
        }
        Err(why) => output.line(&format!("the file cannot be read: {why:#}")),
    }
    Ok(ExitCode::Done)
}

/// The record that names the file. A file is named after the newest seq before its staging: the search starts behind it.
async fn find(log: &TableLog, name: &str, context: &Context) -> anyhow::Result<Option<(Arc<Record>, FileRef, FileEntry)>> {
    let newest = log.state().newest_seq().map_or(0, |seq| seq.0);
    let file_name = name.rsplit('/').next().unwrap_or(name);
    let staged_on = file_name.split('-').next().and_then(|base| base.parse::<u64>().ok()).unwrap_or(0);
    let progress = context.output.progress("log records", Some(newest.saturating_sub(staged_on)));
    for seq in staged_on..=newest {
        let record = log.record(Seq(seq)).await?;
        progress.add(1);
        for (index, entry) in (0..).zip(record.files()) {
            if entry.key == name || entry.key.rsplit('/').next() == Some(name) {
                return Ok(Some((Arc::clone(&record), FileRef { seq: record.seq, index }, entry.clone())));
            }
        }
    }
    Ok(None)
}

async fn footer(log: &TableLog, entry: &FileEntry) -> anyhow::Result<serde_json::Value> {
    let (store, entry) = (Arc::clone(log.store()), entry.clone());
    let read = move || -> anyhow::Result<serde_json::Value> {
        let file = LakeFile::open(store, &entry.key, entry.bytes)?;
        let metadata = file.metadata();
        let groups: Vec<_> =
            metadata.row_groups().iter().map(|g| serde_json::json!({ "rows": g.num_rows(), "bytes": g.compressed_size() })).collect();
        let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten().filter(|kv| kv.key.starts_with("tributary."));
        let pairs: serde_json::Map<_, _> = pairs.map(|kv| (kv.key.clone(), parsed(kv.value.as_deref().unwrap_or_default()))).collect();
        let columns: Vec<_> = file.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
        Ok(
            serde_json::json!({ "rows": file.rows(), "created_by": metadata.file_metadata().created_by(), "row_groups": groups, "columns": columns, "key_values": pairs }),
        )
    };
    tokio::task::spawn_blocking(read).await.context("read the footer")?
}

/// A value that is JSON is shown as such.
fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text))
}

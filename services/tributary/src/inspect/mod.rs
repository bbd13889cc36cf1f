//! `tributary inspect`: a log record, a file, a window with its revisions, or where a record of Kafka is.
mod file;
mod offset;
mod record;
mod window;

use crate::cli::InspectArgs;
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use lake_store::TableLog;
use table_log::record::FileEntry;
use table_log::{FileRef, Seq, TableName, TableState};
use windowing::Time;

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Record(Seq),
    File(String),
    Offset(String, i32, i64),
    /// The window that holds this time.
    Window(Time),
}

impl What {
    fn parse(text: &str) -> Self {
        if let Ok(seq) = text.parse() {
            return Self::Record(Seq(seq));
        }
        if text.ends_with(".parquet") {
            return Self::File(text.to_owned());
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Self::Window(Time(time.as_microsecond()));
        }
        match parse_record_name(text) {
            Some((topic, kafka_partition, offset)) => Self::Offset(topic, kafka_partition, offset),
            None => Self::File(text.to_owned()),
        }
    }
}

/// Parses `topic/kafka_partition/offset`; the topic as `_kafka_topic` has it.
pub fn parse_record_name(text: &str) -> Option<(String, i32, i64)> {
    let mut parts = text.rsplitn(3, '/');
    let offset = parts.next()?.parse().ok()?;
    let kafka_partition = parts.next()?.parse().ok()?;
    let topic = parts.next()?;
    (!topic.is_empty() && !topic.contains('/')).then(|| (topic.to_owned(), kafka_partition, offset))
}

/// Runs the command.
pub async fn run(args: &InspectArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match What::parse(&args.what) {
        What::Record(seq) => record::show(&one_log(args, None, context).await?, seq, context).await,
        What::Window(time) => window::show(&one_log(args, None, context).await?, time, context).await,
        What::File(name) => {
            let table = name.split_once('/').map(|(table, _)| table.to_owned());
            file::show(&one_log(args, table.as_deref(), context).await?, &name, context).await
        }
        What::Offset(topic, kafka_partition, offset) => {
            let mut found = false;
            for log in logs_of_topic(args, &topic, context).await? {
                found = true;
                offset::show(&log, (&topic, kafka_partition, offset), context).await?;
            }
            if found {
                return Ok(ExitCode::Done);
            }
            Err(Failure::usage(format!("no table has taken from topic `{topic}`"), "`tributary status --partitions` lists the sources")
                .into())
        }
    }
}

/// The log of the table that is meant: named, in the key, or the only one.
async fn one_log(args: &InspectArgs, in_key: Option<&str>, context: &Context) -> anyhow::Result<TableLog> {
    let name = match (&args.table, in_key) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => only_table(context)?,
    };
    context.log(&context.any_table(&name)?, true).await
}

fn only_table(context: &Context) -> anyhow::Result<String> {
    match context.all_tables().as_slice() {
        [only] => Ok(only.0.clone()),
        _ => Err(Failure::usage("there are several tables", "say which with `--table`").into()),
    }
}

async fn logs_of_topic(args: &InspectArgs, topic: &str, context: &Context) -> anyhow::Result<Vec<TableLog>> {
    let (plain, _) = split_generation(topic);
    let names: Vec<String> = args.table.iter().cloned().collect();
    let mut logs = Vec::new();
    for (table, _) in context.tables(&names)? {
        let log = context.log(&table, true).await?;
        if log.state().sources().any(|(name, _, _)| name == plain) {
            logs.push(log);
        }
    }
    Ok(logs)
}

/// `topic#<generation>` → topic, generation; without one the first.
fn split_generation(topic: &str) -> (&str, Option<u32>) {
    match topic.rsplit_once('#') {
        Some((name, generation)) => match generation.parse() {
            Ok(generation) => (name, Some(generation)),
            Err(_) => (topic, None),
        },
        None => (topic, None),
    }
}

/// Where a file stands in the state, for people and programs.
fn standing(state: &TableState, file: FileRef) -> &'static str {
    let among = |refs: &[FileRef]| refs.contains(&file);
    if state.live_files().any(|(_, _, refs)| among(refs)) {
        "live"
    } else if state.late_files().any(|(_, refs)| among(refs)) {
        "late, waits for the next revision"
    } else if among(state.quarantine_files()) {
        "quarantine"
    } else if among(state.duplicates_files()) {
        "list of duplicates"
    } else if state.names_file(file) {
        "superseded"
    } else {
        "vacuumed, lost or replaced"
    }
}

/// The standing and whether the file is known to be in place.
fn file_json(state: &TableState, file: FileRef, entry: &FileEntry) -> serde_json::Value {
    serde_json::json!({
        "record": file.seq,
        "index": file.index,
        "standing": standing(state, file),
        "published": !state.unpublished().contains(&file.seq),
        "entry": entry,
    })
}

fn no_log(table: &TableName) -> anyhow::Error {
    Failure::failed(format!("table `{table}` has no log yet"), "the first start of a lake-writer makes it").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_told_by_its_form() {
        assert_eq!(What::parse("42"), What::Record(Seq(42)));
        assert_eq!(What::parse("readings/0/17"), What::Offset("readings".to_owned(), 0, 17));
        assert_eq!(What::parse("readings#2/0/17"), What::Offset("readings#2".to_owned(), 0, 17));
        let key = "t/data/dt=2026-11-21/hr=05/open/00000000000000000001-x.parquet";
        assert_eq!(What::parse(key), What::File(key.to_owned()));
        assert_eq!(What::parse("1970-01-01T00:01:00Z"), What::Window(Time(60_000_000)));
        assert_eq!(What::parse("a/b/c/1/2"), What::File("a/b/c/1/2".to_owned()));
    }

    #[test]
    fn a_generation_is_split_off() {
        assert_eq!(split_generation("a"), ("a", None));
        assert_eq!(split_generation("a#3"), ("a", Some(3)));
        assert_eq!(split_generation("a#b"), ("a#b", None));
    }
}

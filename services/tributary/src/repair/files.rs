//! `repair refile` and `repair lost`: files that records name and that are neither in place nor staged.
use super::{Committed, Line, commit, moved, open, show};
use crate::cli::FilesArgs;
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use lake_store::TableLog;
use lake_writer::examine;
use lake_writer::refile::{self, RefileError};
use std::collections::{BTreeMap, BTreeSet};
use table_log::record::{AppendRange, FileEntry, RepairAction};
use table_log::{Body, FileRef, Seq};

/// Lost files of one record.
type Lost = BTreeMap<Seq, Vec<(FileRef, FileEntry)>>;

/// Files that are lost: of the records and keys named, else of the whole table.
async fn find(args: &FilesArgs, log: &TableLog) -> anyhow::Result<Lost> {
    let state = log.state();
    let all = || state.named_files().map(|file| file.seq).collect::<BTreeSet<_>>().into_iter().collect();
    if let Some(seq) = args.seqs.iter().find(|seq| **seq >= state.next_seq.0) {
        return Err(Failure::usage(format!("table `{}` has no record {seq}", args.table), "`tributary inspect` shows a record").into());
    }
    let seqs = if args.seqs.is_empty() { all() } else { args.seqs.iter().copied().map(Seq).collect() };
    let mut lost = Lost::new();
    for (file, entry) in examine::lost_files(log, Some(seqs)).await? {
        if args.files.is_empty() || args.files.contains(&entry.key) {
            lost.entry(file.seq).or_default().push((file, entry));
        }
    }
    let found = |key: &String| lost.values().flatten().any(|(_, entry)| entry.key == *key);
    if let Some(key) = args.files.iter().find(|key| !found(key)) {
        let fix = "it is in place, staged, or no longer named by the log; `tributary inspect` shows it";
        return Err(Failure::usage(format!("file `{key}` is not lost"), fix).into());
    }
    Ok(lost)
}

fn nothing(args: &FilesArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if context.output.is_json() {
        return show(&args.table, &[], None, context);
    }
    context.output.line(&format!("table `{}`: no file is lost that the log still needs", args.table));
    Ok(ExitCode::Done)
}

/// Runs `repair lost`.
pub async fn lost(args: &FilesArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let log = open(&args.table, args.how.who.apply, context).await?;
    let lost = find(args, &log).await?;
    if lost.is_empty() {
        return nothing(args, context);
    }
    let (mut lines, mut records) = (Vec::new(), Vec::new());
    for (seq, files) in &lost {
        lines.extend(files.iter().map(|(_, entry)| file_line(*seq, entry, Some(rows_lost(entry)), "declared lost")));
        if args.how.who.apply {
            let lost = files.iter().map(|(file, _)| *file).collect();
            match commit(&log, &args.how, RepairAction::Lost { lost }).await? {
                Committed::Done(record) => records.push(record.seq.0),
                Committed::Already => {}
                Committed::Moved(why) => return Err(moved(&why)),
            }
        }
    }
    show(&args.table, &lines, args.how.who.apply.then_some(records.as_slice()), context)
}

/// The rows that were in the lake only in this file: those of a list of duplicates are in other files.
fn rows_lost(entry: &FileEntry) -> u64 {
    if entry.key.split('/').nth(1) == Some("duplicates") { 0 } else { entry.rows }
}

/// A file may hold rows of many kafka_partitions: it is named by its record.
fn file_line(seq: Seq, entry: &FileEntry, records_lost: Option<u64>, what: &str) -> Line {
    let what = format!("{} row(s) of file `{}` of record {seq} {what}", entry.rows, entry.key);
    Line { topic: None, kafka_partition: None, offsets: None, records_lost, what }
}

/// Runs `repair refile`.
pub async fn refile(args: &FilesArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let log = open(&args.table, args.how.who.apply, context).await?;
    let lost = find(args, &log).await?;
    if lost.is_empty() {
        return nothing(args, context);
    }
    let writer = crate::run::table_context(&args.table, log.clone(), context)?;
    let (mut lines, mut records) = (Vec::new(), Vec::new());
    for (seq, files) in &lost {
        check_kind(&log, *seq, args, context).await?;
        let refused = |error: RefileError| impossible(&error, (*seq, files), args, context);
        let remade = refile::remake(&writer, files).await.map_err(refused)?;
        lines.extend(remade.ranges.iter().filter(|range| !range.range.is_empty()).map(range_line));
        lines.extend(files.iter().map(|(_, entry)| file_line(*seq, entry, Some(0), "made again")));
        if !args.how.who.apply {
            continue;
        }
        let made = refile::stage(&writer, remade).await.map_err(refused)?;
        let lost = files.iter().map(|(file, _)| *file).collect();
        match commit(&log, &args.how, RepairAction::Refile { lost, files: made.clone() }).await? {
            Committed::Done(record) => {
                records.push(record.seq.0);
                log.publish(&record).await?;
            }
            Committed::Already => log.discard(&made).await,
            Committed::Moved(why) => {
                log.discard(&made).await;
                return Err(moved(&why));
            }
        }
    }
    show(&args.table, &lines, args.how.who.apply.then_some(records.as_slice()), context)
}

/// Only what was made from Kafka can be made again from it.
async fn check_kind(log: &TableLog, seq: Seq, args: &FilesArgs, context: &Context) -> anyhow::Result<()> {
    match &log.record(seq).await?.body {
        Body::Append(_) | Body::Repair(_) => Ok(()),
        _ => {
            let what =
                format!("record {seq} made a revision; its files are made again by sealing its inputs again, which this version cannot do");
            Err(Failure::failed(
                what,
                format!("if its inputs are gone too, `{}` declares their rows lost", lost_command(seq, args, context)),
            )
            .into())
        }
    }
}

fn range_line(range: &AppendRange) -> Line {
    Line {
        topic: Some(crate::verify::topic_name(&range.source.topic, range.source.generation)),
        kafka_partition: Some(range.source.kafka_partition.0),
        offsets: Some(format!("{}..{}", range.range.start, range.range.end)),
        records_lost: Some(0),
        what: "read again from Kafka".to_owned(),
    }
}

/// The command that declares them lost instead.
fn lost_command(seq: Seq, args: &FilesArgs, context: &Context) -> String {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut command = words(&["repair", "lost", &args.table, &seq.to_string()]);
    command.extend(args.files.iter().flat_map(|key| ["--file".to_owned(), key.clone()]));
    command.extend(words(&["--reason", "the file cannot be made again", "--apply"]));
    lake_writer::command_line(command, &context.settings.file)
}

fn impossible(error: &RefileError, (seq, files): (Seq, &[(FileRef, FileEntry)]), args: &FilesArgs, context: &Context) -> anyhow::Error {
    let rows: u64 = files.iter().map(|(_, entry)| rows_lost(entry)).sum();
    let what = format!("the lost files of record {seq} were not made again: {error}");
    let fix = match error {
        RefileError::Trouble(_) => "try again once the other side is well".to_owned(),
        RefileError::Impossible(_) => format!("`{}` declares their {rows} row(s) lost and goes on", lost_command(seq, args, context)),
    };
    Failure::failed(what, fix).into()
}

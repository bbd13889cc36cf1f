//! Where is my record: file, quarantine, absent, skipped, declared lost, or not taken yet.
use super::{split_generation, standing};
use crate::context::Context;
use anyhow::Context as _;
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use lake_query::LakeFile;
use lake_store::{LakeStore, TableLog};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use table_log::record::{AppendRange, FileEntry, RepairAction, RepairBody};
use table_log::{Body, FileRef, KafkaPartition, Offset, Record, Seq, SourcePartition};
use windowing::Time;

/// What became of an offset.
#[derive(Debug, Default, Serialize)]
struct Whereabouts {
    table: String,
    offset: String,
    /// One of `row`, `duplicate`, `quarantine`, `absent`, `skipped`, `absent_or_skipped`, `lost`, `not_yet_taken`, `before_start`, `unknown_source`, `file_not_readable`.
    place: &'static str,
    record: Option<u64>,
    file: Option<String>,
    standing: Option<&'static str>,
    next_offset: Option<i64>,
    /// The row or the refused record.
    content: Option<Value>,
}

/// Finds an offset and says where it is.
pub async fn show(log: &TableLog, (topic, kafka_partition, offset): (&str, i32, i64), context: &Context) -> anyhow::Result<()> {
    let state = log.state();
    let (name, generation) = split_generation(topic);
    let newest = state.sources().filter(|(t, _, _)| *t == name).map(|(_, generation, _)| generation).max();
    let generation = generation.or(newest).unwrap_or(1);
    let source = SourcePartition { topic: name.to_owned(), generation, kafka_partition: KafkaPartition(kafka_partition) };
    let mut found = Whereabouts { table: log.table().0.clone(), offset: format!("{source}/{offset}"), ..Whereabouts::default() };
    let partition =
        state.sources().find(|(t, g, _)| *t == name && *g == generation).and_then(|(_, _, s)| s.partitions.get(&source.kafka_partition));
    match partition {
        None => found.place = "unknown_source",
        Some(partition) => {
            found.next_offset = Some(partition.next_offset.0);
            if Offset(offset) >= partition.next_offset {
                found.place = "not_yet_taken";
            } else if Offset(offset) < partition.start {
                found.place = "before_start";
            } else {
                search(log, &source, offset, &mut found, context).await?;
            }
        }
    }
    print(&found, context)
}

/// Goes back through the log to the record that took the offset.
async fn search(log: &TableLog, source: &SourcePartition, offset: i64, found: &mut Whereabouts, context: &Context) -> anyhow::Result<()> {
    let newest = log.state().newest_seq().map_or(0, |seq| seq.0);
    let progress = context.output.progress("log records", Some(newest));
    let mut repairs = Vec::new();
    for seq in (0..=newest).rev() {
        progress.add(1);
        let record = log.record(Seq(seq)).await?;
        if let Some(range) = range_with(&record, source, offset) {
            found.record = Some(seq);
            in_files(log, &record, (source, offset, range), found).await?;
            if found.place == "file_not_readable" {
                in_repairs(log, &repairs, (source, offset, range), found).await?;
            }
            return in_revisions(log, &record, (source, offset), found).await;
        }
        if matches!(&record.body, Body::Repair(RepairBody { action: RepairAction::Refile { .. } | RepairAction::Lost { .. }, .. })) {
            repairs.push(Arc::clone(&record));
        }
        if is_gap(&record, source, offset) {
            found.record = Some(seq);
            found.place = "lost";
            return Ok(());
        }
    }
    anyhow::bail!("no record of table `{}` has taken `{}`; run `tributary verify`", log.table(), found.offset)
}

/// The offset was in a file that a later record replaced or declared lost: in a replacement, or else in the lost one.
async fn in_repairs(
    log: &TableLog,
    repairs: &[Arc<Record>],
    (source, offset, range): (&SourcePartition, i64, &AppendRange),
    found: &mut Whereabouts,
) -> anyhow::Result<()> {
    let taken_by = found.record;
    let mut seqs: Vec<Seq> = taken_by.map(Seq).into_iter().collect();
    // The oldest first, as a replacement may be replaced.
    for record in repairs.iter().rev() {
        let Body::Repair(RepairBody { action, .. }) = &record.body else { continue };
        match action {
            RepairAction::Refile { lost, .. } if lost.iter().any(|file| seqs.contains(&file.seq)) => {
                seqs.push(record.seq);
                let mut replaced = Whereabouts::default();
                in_files(log, record, (source, offset, range), &mut replaced).await?;
                if replaced.content.is_some() {
                    let Whereabouts { place, file, standing, content, .. } = replaced;
                    *found = Whereabouts { place, file, standing, content, ..std::mem::take(found) };
                    return Ok(());
                }
            }
            RepairAction::Lost { lost } if lost.iter().any(|file| seqs.contains(&file.seq)) => {
                found.place = "lost";
                found.record = Some(record.seq.0);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A file of the writers that a revision has replaced: the row is in the newest one, or dropped in favour of another.
async fn in_revisions(
    log: &TableLog,
    record: &Record,
    (source, offset): (&SourcePartition, i64),
    found: &mut Whereabouts,
) -> anyhow::Result<()> {
    let replaced = found.place == "file_not_readable" || found.standing == Some("superseded");
    if !replaced {
        return Ok(());
    }
    let state = log.state();
    let windows: BTreeSet<Time> = record.files().map(|entry| entry.lake_partition.window_start).collect();
    let live = state.live_files().filter(|(place, revision, _)| *revision > 0 && windows.contains(&place.window_start));
    let wanted = (crate::verify::topic_name(&source.topic, source.generation), source.kafka_partition.0, offset);
    for entry in log.files(&live.flat_map(|(_, _, files)| files).copied().collect::<Vec<_>>()).await? {
        let (store, key, wanted) = (Arc::clone(log.store()), entry.key.clone(), wanted.clone());
        if let Some(content) = tokio::task::spawn_blocking(move || row_of(store, &entry, &wanted)).await.context("read a file")?? {
            (found.place, found.standing) = ("row", Some("live"));
            (found.file, found.content) = (Some(key), Some(content));
            return Ok(());
        }
    }
    let lists = log.files(state.duplicates_files()).await?;
    for entry in lists.into_iter().filter(|entry| windows.contains(&entry.lake_partition.window_start)) {
        let (store, key, wanted) = (Arc::clone(log.store()), entry.key.clone(), wanted.clone());
        let kept = tokio::task::spawn_blocking(move || kept_for(store, &entry, &wanted)).await.context("read a file")??;
        if let Some(kept) = kept {
            (found.place, found.standing) = ("duplicate", Some("list of duplicates"));
            (found.file, found.content) = (Some(key), Some(serde_json::json!({ "kept": kept })));
            return Ok(());
        }
    }
    Ok(())
}

/// The row that was kept for a dropped one, if the list names it.
fn kept_for(
    store: Arc<dyn LakeStore>,
    entry: &FileEntry,
    (topic, kafka_partition, offset): &(String, i32, i64),
) -> anyhow::Result<Option<String>> {
    let list = LakeFile::open(store, &entry.key, entry.bytes)?;
    let mut found = None;
    crate::verify::read_duplicates(&list, |dropped, kept| {
        if (dropped.topic, dropped.kafka_partition, dropped.offset) == (topic.as_str(), *kafka_partition, *offset) {
            found = Some(kept.to_string());
        }
    })?;
    Ok(found)
}

fn range_with<'a>(record: &'a Record, source: &SourcePartition, offset: i64) -> Option<&'a AppendRange> {
    let Body::Append(body) = &record.body else {
        return None;
    };
    body.ranges.iter().find(|r| r.source == *source && r.range.start.0 <= offset && offset < r.range.end.0)
}

fn is_gap(record: &Record, source: &SourcePartition, offset: i64) -> bool {
    match &record.body {
        Body::Repair(RepairBody { action: RepairAction::Gap { source: lost, range }, .. }) => {
            lost == source && range.start.0 <= offset && offset < range.end.0
        }
        _ => false,
    }
}

/// Reads the identity of the rows in the record's files. A file that cannot be read is remembered: the offset may be in it.
async fn in_files(
    log: &TableLog,
    record: &Record,
    (source, offset, range): (&SourcePartition, i64, &AppendRange),
    found: &mut Whereabouts,
) -> anyhow::Result<()> {
    let topic = crate::verify::topic_name(&source.topic, source.generation);
    let mut unreadable = None;
    for (index, entry) in (0..).zip(record.files()) {
        let file = FileRef { seq: record.seq, index };
        let (store, entry) = (Arc::clone(log.store()), entry.clone());
        let key = entry.key.clone();
        let wanted = (topic.clone(), source.kafka_partition.0, offset);
        match tokio::task::spawn_blocking(move || row_of(store, &entry, &wanted)).await.context("read a file")? {
            Ok(None) => {}
            Ok(Some(content)) => {
                let standing = standing(&log.state(), file);
                found.place = if standing == "quarantine" { "quarantine" } else { "row" };
                found.standing = Some(standing);
                found.file = Some(key);
                found.content = Some(content);
                return Ok(());
            }
            Err(_) => unreadable = Some((key, standing(&log.state(), file))),
        }
    }
    if let Some((key, standing)) = unreadable {
        found.place = "file_not_readable";
        found.file = Some(key);
        found.standing = Some(standing);
        return Ok(());
    }
    found.place = match (range.absent, range.skipped) {
        (_, 0) => "absent",
        (0, _) => "skipped",
        _ => "absent_or_skipped",
    };
    Ok(())
}

/// The row with an identity, as JSON; reads whole batches only once the identity is found.
fn row_of(
    store: Arc<dyn LakeStore>,
    entry: &FileEntry,
    (topic, kafka_partition, offset): &(String, i32, i64),
) -> anyhow::Result<Option<Value>> {
    let file = LakeFile::open(store, &entry.key, entry.bytes)?;
    let identity = arrow::datatypes::Schema::new(event_schema::identity_fields());
    let mut before = 0;
    for batch in file.read(Arc::new(identity))? {
        let batch = batch?;
        let (topics, partitions) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<arrow::datatypes::Int32Type>());
        let offsets = batch.column(2).as_primitive::<Int64Type>();
        let is = |row: usize| {
            offsets.is_valid(row)
                && offsets.value(row) == *offset
                && partitions.value(row) == *kafka_partition
                && topics.value(row) == topic
        };
        if let Some(row) = (0..batch.num_rows()).find(|row| is(*row)) {
            return row_json(&file, before + row).map(Some);
        }
        before += batch.num_rows();
    }
    Ok(None)
}

fn row_json(file: &LakeFile, mut row: usize) -> anyhow::Result<Value> {
    for batch in file.read(Arc::clone(file.schema()))? {
        let batch: RecordBatch = batch?;
        if row < batch.num_rows() {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&batch.slice(row, 1))?;
            writer.finish()?;
            return Ok(serde_json::from_slice(&writer.into_inner())?);
        }
        row -= batch.num_rows();
    }
    anyhow::bail!("the file has fewer rows than its identity columns")
}

fn print(found: &Whereabouts, context: &Context) -> anyhow::Result<()> {
    let output = context.output;
    if output.is_json() {
        return output.json(found);
    }
    let record = found.record.map(|seq| format!("record {seq}")).unwrap_or_default();
    let file = found.file.as_deref().unwrap_or_default();
    let next = found.next_offset.unwrap_or(0);
    let what = match found.place {
        "row" => format!("a row in `{file}` ({}), taken by {record}", found.standing.unwrap_or_default()),
        "duplicate" => format!("a row that was dropped in favour of an equal one, as `{file}` says, taken by {record}"),
        "quarantine" => format!(
            "in quarantine, in `{file}`, taken by {record}; `tributary quarantine show {} {}` shows its bytes",
            found.table, found.offset
        ),
        "absent" => format!("absent: Kafka never delivers it (transaction marker, aborted or compacted), by {record}"),
        "skipped" => format!("left out by a setting (tombstone), by {record}"),
        "absent_or_skipped" => format!("in no file of {record}: absent in Kafka, or left out by a setting"),
        "lost" => format!("declared lost by {record}"),
        "not_yet_taken" => format!("not in the lake yet: the next offset is {next}"),
        "before_start" => "before the source's declared start; it is not part of the table".to_owned(),
        "file_not_readable" => format!("taken by {record}; file `{file}` ({}) cannot be read", found.standing.unwrap_or_default()),
        _ => "no `source` record declares this kafka_partition".to_owned(),
    };
    output.line(&format!("table `{}`, {}: {what}", found.table, found.offset));
    if let Some(content) = &found.content {
        output.line(&serde_json::to_string_pretty(content)?);
    }
    Ok(())
}

//! Do log and cluster fit together? Asked before a table starts, when it stops (to say all that is to be put right at once), and by
//! `tributary status`. Decided purely by [`findings`].
use crate::{
    context::TableContext,
    error::{CutPartition, LostFile, LostRange, StoppedTable, WriterError},
    identity::{self, ClusterView, Identity},
};
use kafka_io::{Admin, KafkaIoError, OffsetQuery};
use lake_store::{LakeStore, PublishOutcome, TableLog, TableLogError};
use std::{collections::BTreeMap, path::Path, time::Duration};
use table_log::{
    FileRef, Offset, Record, Seq, TableState,
    record::FileEntry,
    state::{PartitionState, SourceState},
};

/// Longest wait for answers when a table is stopped anyway.
const PATIENCE: Duration = Duration::from_secs(30);
/// A log end that lies before the table's next offset is believed when it is seen twice.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// First and end offset of each kafka_partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// First offsets.
    pub earliest: Vec<i64>,
    /// Log end offsets.
    pub log_end: Vec<i64>,
}

/// What the cluster says of the topics that a table reads.
#[derive(Clone, Debug, Default)]
pub struct ClusterLook {
    /// Ids and kafka_partitions.
    pub view: ClusterView,
    /// Offsets of the topics that exist.
    pub bounds: BTreeMap<String, Bounds>,
}

/// Topics of the generations that take appends.
pub fn current_topics(state: &TableState) -> Vec<String> {
    state.sources().filter(|(_, _, source)| !source.ended).map(|(topic, ..)| topic.to_owned()).collect()
}

/// Asks the cluster; blocks.
///
/// # Errors
/// It does not answer.
pub fn ask(admin: &Admin, topics: Vec<String>) -> Result<ClusterLook, KafkaIoError> {
    let cluster_id = admin.cluster_id()?;
    let found = if topics.is_empty() { Vec::new() } else { admin.topics(&topics)? };
    let mut bounds = BTreeMap::new();
    for info in found.iter().flatten() {
        let of = |query| admin.offsets(&info.topic, info.partitions, query);
        bounds.insert(info.topic.clone(), Bounds { earliest: of(OffsetQuery::Earliest)?, log_end: of(OffsetQuery::Latest)? });
    }
    Ok(ClusterLook { view: ClusterView { cluster_id, topics: topics.into_iter().zip(found).collect() }, bounds })
}

/// All that a person must put right, by log and cluster. A log that was truncated and written on cannot be seen here: only a fetch with the
/// leader epoch tells.
pub fn findings(table: &str, state: &TableState, look: &ClusterLook) -> Vec<StoppedTable> {
    let mut moved: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let (mut found, mut ranges) = (Vec::new(), Vec::new());
    for (topic, info) in &look.view.topics {
        let Some((_, declared)) = state.current_source(topic) else { continue };
        let identity = identity::compare(declared, look.view.cluster_id.as_deref(), info.as_ref());
        match (&identity, look.bounds.get(topic)) {
            (Identity::ClusterChanged { found }, _) => {
                moved.entry((declared.cluster_id.clone(), found.clone())).or_default().push(topic.clone());
            }
            (Identity::Missing, _) => found.push(identity::gone(table, topic, declared)),
            (Identity::Same, Some(bounds)) => {
                ranges.extend(lost_ranges(topic, declared, bounds));
                let cuts = cuts(declared, bounds);
                if !cuts.is_empty() {
                    found.push(StoppedTable::OffsetOutOfRange { table: table.to_owned(), topic: topic.clone(), cuts });
                }
            }
            _ => found.extend(identity::stop_of(table, topic, declared, &identity)),
        }
    }
    if !moved.is_empty() {
        // Of topics in another cluster nothing else can be said.
        let stop = |((declared, found), topics)| StoppedTable::ClusterChanged { table: table.to_owned(), topics, declared, found };
        return moved.into_iter().map(stop).collect();
    }
    if !ranges.is_empty() {
        found.push(StoppedTable::RetentionPassed { table: table.to_owned(), ranges });
    }
    found
}

fn bounds_of<'a>(
    declared: &'a SourceState,
    offsets: &'a [i64],
) -> impl Iterator<Item = (table_log::KafkaPartition, &'a PartitionState, i64)> {
    let offset = |number: i32| usize::try_from(number).ok().and_then(|index| offsets.get(index).copied());
    declared.partitions.iter().filter_map(move |(number, state)| Some((*number, state, offset(number.0)?)))
}

fn lost_ranges(topic: &str, declared: &SourceState, bounds: &Bounds) -> Vec<LostRange> {
    let lost = bounds_of(declared, &bounds.earliest).filter(|(_, state, earliest)| *earliest > state.next_offset.0);
    lost.map(|(kafka_partition, state, earliest)| LostRange {
        topic: topic.to_owned(),
        kafka_partition,
        expected: state.next_offset,
        earliest: Offset(earliest),
    })
    .collect()
}

fn cuts(declared: &SourceState, bounds: &Bounds) -> Vec<CutPartition> {
    let cut = bounds_of(declared, &bounds.log_end).filter(|(_, state, log_end)| *log_end < state.next_offset.0);
    cut.map(|(kafka_partition, state, end)| CutPartition { kafka_partition, expected: state.next_offset, end: Offset(end) }).collect()
}

/// What keeps a table from starting; topics that are not there are waited for elsewhere.
///
/// # Errors
/// Trouble that passes.
pub async fn at_start(context: &TableContext) -> Result<Option<StoppedTable>, WriterError> {
    let first = first_finding(context).await?;
    if !matches!(first, Some(StoppedTable::OffsetOutOfRange { .. })) {
        return Ok(first);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    first_finding(context).await
}

async fn first_finding(context: &TableContext) -> Result<Option<StoppedTable>, WriterError> {
    let found = ask_of(context).await?;
    Ok(found.into_iter().find(|stop| !matches!(stop, StoppedTable::TopicGone { .. })))
}

async fn ask_of(context: &TableContext) -> Result<Vec<StoppedTable>, WriterError> {
    let state = context.log.refresh().await?;
    let topics = current_topics(&state);
    let look = context.ask(move |admin| ask(admin, topics).map_err(Into::into)).await?;
    Ok(findings(context.name(), &state, &look))
}

/// The whole of a situation, by what log and cluster say after the table has drained: one shard saw a part of it, and from where the log
/// stands now. What cannot be found out stays as it was seen.
pub async fn complete(context: &TableContext, stop: StoppedTable) -> StoppedTable {
    let completed = async {
        match &stop {
            StoppedTable::LakeFileLost { .. } => {
                let files = lost_files(&context.log, None).await.ok()?;
                let files: Vec<LostFile> = files.iter().map(|(file, entry)| named(*file, entry)).collect();
                (!files.is_empty()).then(|| StoppedTable::LakeFileLost { table: context.name().to_owned(), files })
            }
            StoppedTable::LogTruncated { table, topic, cuts, detail } => {
                let (table, topic, detail) = (table.clone(), topic.clone(), detail.clone());
                let state = context.log.refresh().await.ok()?;
                let cuts = cuts_by_log(&topic, cuts, &state, &ask_of(context).await.ok()?);
                Some(StoppedTable::LogTruncated { table, topic, cuts, detail })
            }
            StoppedTable::RetentionPassed { .. }
            | StoppedTable::OffsetOutOfRange { .. }
            | StoppedTable::TopicRecreated { .. }
            | StoppedTable::TopicGone { .. }
            | StoppedTable::ClusterChanged { .. } => ask_of(context).await.ok()?.into_iter().find(|found| is_newer_view(&stop, found)),
            _ => None,
        }
    };
    match tokio::time::timeout(PATIENCE, completed).await {
        Ok(Some(StoppedTable::TopicRecreated { table, topic, declared, found, .. })) => {
            let untaken = context.ends.untaken(&topic, &context.log.state());
            StoppedTable::TopicRecreated { table, topic, declared, found, untaken }
        }
        Ok(Some(completed)) => completed,
        _ => stop,
    }
}

/// Cuts by the log's next offsets, as what was taken beyond them is dropped; with those that end before them all the same.
fn cuts_by_log(topic: &str, seen: &[CutPartition], state: &TableState, found: &[StoppedTable]) -> Vec<CutPartition> {
    let next = |cut: &CutPartition| Some(state.current_source(topic)?.1.partitions.get(&cut.kafka_partition)?.next_offset);
    let mut cuts: Vec<CutPartition> = seen
        .iter()
        .map(|cut| {
            let expected = next(cut).unwrap_or(cut.expected);
            CutPartition { expected, end: cut.end.min(expected), ..*cut }
        })
        .collect();
    for stop in found {
        if let StoppedTable::OffsetOutOfRange { topic: other, cuts: more, .. } = stop
            && other == topic
        {
            cuts.extend(more.iter().filter(|cut| seen.iter().all(|known| known.kafka_partition != cut.kafka_partition)));
        }
    }
    cuts
}

/// The same situation, of the same topic if it is about one; a topic that was gone may be there again.
fn is_newer_view(stop: &StoppedTable, found: &StoppedTable) -> bool {
    use StoppedTable::{OffsetOutOfRange, TopicGone, TopicRecreated};
    match (stop, found) {
        (TopicGone { topic: a, .. } | TopicRecreated { topic: a, .. }, TopicGone { topic: b, .. } | TopicRecreated { topic: b, .. })
        | (OffsetOutOfRange { topic: a, .. }, OffsetOutOfRange { topic: b, .. }) => a == b,
        _ => stop.situation() == found.situation(),
    }
}

fn named(file: FileRef, entry: &FileEntry) -> LostFile {
    LostFile { seq: file.seq, key: entry.key.clone(), rows: Some(entry.rows) }
}

/// Files that the state names and that have neither object nor upload: those of the given records, or of all that no `published` names yet.
/// A client that may write publishes what can be published.
///
/// # Errors
/// Trouble of the store, an unreadable record.
pub async fn lost_files(log: &TableLog, seqs: Option<Vec<Seq>>) -> Result<Vec<(FileRef, FileEntry)>, TableLogError> {
    let state = log.refresh().await?;
    let seqs = seqs.unwrap_or_else(|| state.unpublished().iter().copied().collect());
    let mut lost = Vec::new();
    for seq in seqs {
        for (file, entry) in numbered(log.record(seq).await?.as_ref()) {
            if state.names_file(file) && !exists(log, &entry).await? {
                lost.push((file, entry));
            }
        }
    }
    Ok(lost)
}

/// The files of a record with their references.
pub fn numbered(record: &Record) -> Vec<(FileRef, FileEntry)> {
    (0..).zip(record.files()).map(|(index, entry)| (FileRef { seq: record.seq, index }, entry.clone())).collect()
}

/// Whether a file is in place or can be published.
async fn exists(log: &TableLog, entry: &FileEntry) -> Result<bool, TableLogError> {
    let store = log.store();
    if store.head(&entry.key).await?.is_some() {
        return Ok(true);
    }
    if log.is_read_only() {
        return Ok(is_staged(store.as_ref(), entry) || store.head(&entry.key).await?.is_some());
    }
    Ok(store.publish(&entry.key, &entry.upload, entry.bytes).await? == PublishOutcome::Published)
}

/// Only the staging of a local store can be seen without publishing.
fn is_staged(store: &dyn LakeStore, entry: &FileEntry) -> bool {
    !entry.upload.id.is_empty() && Path::new(&store.root()).join(&entry.upload.id).is_file()
}

#[cfg(test)]
mod tests;

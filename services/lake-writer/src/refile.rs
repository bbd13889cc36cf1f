//! Makes lost files of an append again: the same ranges of Kafka, decoded by the schema and settings of then, less the offsets that the
//! record's other files hold. What comes out must have exactly the rows of each lost file, else nothing is made.
use crate::{
    buffer::{Buffers, Target},
    context::{GiveUp, TableContext},
    encode::Footer,
    error::WriterError,
    examine::numbered,
    identity::{self, Identity},
    offsets::{Owned, PartitionProgress, Start},
    rules::TableRules,
    stage::{FileRows, StageBase, stage_all},
    take::{Halt, Intake, TakeContext, topic_label},
};
use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use event_schema::{BatchDecoder, TableSchema};
use kafka_io::{RangeReader, RawRecord, TopicPartition};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use table_log::{
    Body, FileRef, Record, Seq,
    record::{AppendBody, AppendRange, FileEntry, RepairAction, RepairBody, TableBody},
};
use windowing::{Micros, Time};

/// Why lost files cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum RefileError {
    /// Trouble that may pass.
    #[error(transparent)]
    Trouble(#[from] WriterError),
    /// They cannot be made again; the text says why.
    #[error("{0}")]
    Impossible(String),
}

impl<E> From<E> for RefileError
where
    WriterError: From<E>,
    E: NotWriterError,
{
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

/// Errors that are trouble and no [`WriterError`] yet.
trait NotWriterError {}
impl NotWriterError for lake_store::TableLogError {}
impl NotWriterError for lake_store::StoreError {}
impl NotWriterError for kafka_io::KafkaIoError {}
impl NotWriterError for event_schema::SchemaError {}

fn impossible<T>(why: impl Into<String>) -> Result<T, RefileError> {
    Err(RefileError::Impossible(why.into()))
}

/// Lost files of one record, made again in memory.
#[derive(Debug)]
pub struct Remade {
    /// Ranges of the record that took the offsets.
    pub ranges: Vec<AppendRange>,
    files: Vec<FileRows>,
    rules: Arc<TableRules>,
}

/// Reads the ranges again and makes the files in memory.
///
/// # Errors
/// See [`RefileError`].
pub async fn remake(context: &Arc<TableContext>, lost: &[(FileRef, FileEntry)]) -> Result<Remade, RefileError> {
    let Some((first, entry)) = lost.first() else { return impossible("no file is lost") };
    let (taken_by, family) = family(context, first.seq).await?;
    let Body::Append(body) = &taken_by.body else {
        return impossible(format!("record {} is no `append`: a revision is made again by sealing its inputs again", first.seq));
    };
    check_topics(context, body).await?;
    let lost_refs: BTreeSet<FileRef> = lost.iter().map(|(file, _)| *file).collect();
    let state = context.log.state();
    let mut kept = Kept::new(body);
    for (_, entry) in family.iter().filter(|(file, _)| !lost_refs.contains(file) && state.names_file(*file)) {
        kept.read(context, entry).await?;
    }
    let rules = rules_of_then(context, entry.schema_version, taken_by.seq).await?;
    let (settings, schemas) = (Arc::clone(&context.settings), Arc::clone(&context.schemas));
    let decoder = BatchDecoder::new(Arc::clone(&rules.schema), schemas, settings.limits.clone());
    let mut taking = Taking {
        intake: Intake::new(Arc::clone(&rules), decoder, context.table.tombstones),
        owned: Owned::default(),
        buffers: Buffers::new(context.encode_options(), context.settings.consumers()),
        clock: taken_by.at,
    };
    let ranges = body.ranges.clone();
    let kafka = settings.kafka.clone();
    let taking = tokio::task::spawn_blocking(move || taking.read(&kafka, &ranges, &kept).map(|()| taking));
    let taking = taking.await.map_err(|error| bug("read ranges again", &error))??;
    check_topics(context, body).await?;
    let files = pick(taking.buffers, lost)?;
    Ok(Remade { ranges: body.ranges.clone(), files, rules })
}

/// Stages what was made. The entries are in the order of their keys.
///
/// # Errors
/// A defect; trouble of the store is waited out.
pub async fn stage(context: &Arc<TableContext>, remade: Remade) -> Result<Vec<FileEntry>, RefileError> {
    let state = context.log.refresh().await?;
    let staged_on = state.newest_seq().ok_or_else(|| bug("stage files", &"the log is empty"))?;
    let footer = Footer {
        table: context.name().to_owned(),
        schema_version: remade.rules.body.schema_version,
        ranges_json: serde_json::to_string(&remade.ranges).expect("ranges are plain data"),
    };
    let base = StageBase { rules: remade.rules, staged_on, footer };
    match stage_all(context, &base, remade.files, &GiveUp::new()).await {
        Ok(Some(staged)) => Ok(staged.all()),
        Ok(None) => impossible("staging was given up"),
        Err(stop) => impossible(stop.to_string()),
    }
}

fn bug(what: &'static str, detail: &dyn std::fmt::Display) -> WriterError {
    WriterError::Bug { what, detail: detail.to_string() }
}

/// The record that took the offsets, with its files and all that replaced some of them.
async fn family(context: &TableContext, seq: Seq) -> Result<(Arc<Record>, Vec<(FileRef, FileEntry)>), RefileError> {
    let log = &context.log;
    let mut first = log.record(seq).await?;
    while let Body::Repair(RepairBody { action: RepairAction::Refile { lost, .. }, .. }) = &first.body {
        let Some(replaced) = lost.first() else { break };
        first = log.record(replaced.seq).await?;
    }
    let mut seqs = BTreeSet::from([first.seq]);
    let mut files = numbered(&first);
    let state = log.state();
    // Files that are all named were never replaced.
    if files.iter().all(|(file, _)| state.names_file(*file)) {
        return Ok((first, files));
    }
    for seq in (first.seq.0 + 1..state.next_seq.0).map(Seq) {
        let record = log.record(seq).await?;
        if let Body::Repair(RepairBody { action: RepairAction::Refile { lost, .. }, .. }) = &record.body
            && lost.iter().any(|file| seqs.contains(&file.seq))
        {
            seqs.insert(seq);
            files.extend(numbered(&record));
        }
    }
    Ok((first, files))
}

/// The topics are still those that the record read, and nothing was cut off them.
async fn check_topics(context: &TableContext, body: &AppendBody) -> Result<(), RefileError> {
    let topics: BTreeSet<String> = body.ranges.iter().map(|range| range.source.topic.clone()).collect();
    let view = identity::view(context, topics.into_iter().collect()).await?;
    let state = context.log.state();
    for range in &body.ranges {
        let (topic, generation) = (range.source.topic.as_str(), range.source.generation);
        let newest = state.sources().filter(|(name, ..)| *name == topic).max_by_key(|(_, number, _)| *number);
        let Some((_, newest, declared)) = newest else { return impossible(format!("topic `{topic}` is not declared")) };
        if newest != generation {
            return impossible(format!("generation {generation} of topic `{topic}` has ended: its offsets are those of other records now"));
        }
        let found = view.topics.iter().find(|(name, _)| name == topic).and_then(|(_, found)| found.as_ref());
        match identity::compare(declared, view.cluster_id.as_deref(), found) {
            Identity::Same => {}
            Identity::Missing => return impossible(format!("topic `{topic}` does not exist any more")),
            Identity::Recreated { found } => return impossible(format!("topic `{topic}` is another one now: {found}")),
            Identity::ClusterChanged { found } => return impossible(format!("topic `{topic}` is in another cluster now: `{found}`")),
        }
    }
    Ok(())
}

/// Schema and settings by which the record was made. No row is late: that is what the lost file says.
async fn rules_of_then(context: &TableContext, schema_version: u32, taken_by: Seq) -> Result<Arc<TableRules>, RefileError> {
    let state = context.log.state();
    let mut body = table_of_then(context, schema_version, taken_by).await?;
    let layout = state.layout(&context.table.table).ok_or_else(|| bug("read the layout", &"the log is empty"))?;
    body.settings.allowed_lateness = Micros(i64::MAX);
    let schema = Arc::new(TableSchema::parse(&body.avro_schema)?);
    Ok(Arc::new(TableRules::new(body, layout, schema)?))
}

async fn table_of_then(context: &TableContext, schema_version: u32, taken_by: Seq) -> Result<TableBody, RefileError> {
    let state = context.log.state();
    if let Some(table) = state.table.as_ref().filter(|table| table.schema_version == schema_version) {
        return Ok(table.clone());
    }
    for seq in (0..taken_by.0).rev().map(Seq) {
        if let Body::Table(table) = &context.log.record(seq).await?.body
            && table.schema_version == schema_version
        {
            return Ok(table.clone());
        }
    }
    impossible(format!("no record has schema version {schema_version}"))
}

/// Offsets that the record's other files hold: one bit for each offset of its ranges.
struct Kept {
    ranges: BTreeMap<(String, i32), (i64, Vec<u64>)>,
}

impl Kept {
    fn new(body: &AppendBody) -> Self {
        let bits = |range: &AppendRange| {
            let words = range.range.len().unwrap_or(0).div_ceil(64);
            let key = (topic_label(&range.source), range.source.kafka_partition.0);
            (key, (range.range.start.0, vec![0; usize::try_from(words).unwrap_or(0)]))
        };
        Self { ranges: body.ranges.iter().map(bits).collect() }
    }

    async fn read(&mut self, context: &TableContext, entry: &FileEntry) -> Result<(), RefileError> {
        let Some(bytes) = context.log.store().get(&entry.key, None).await? else {
            return impossible(format!("file `{}` of the same record is lost too; name its record or file as well", entry.key));
        };
        let unreadable = |error: &dyn std::fmt::Display| RefileError::Impossible(format!("file `{}` cannot be read: {error}", entry.key));
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| unreadable(&error))?;
        let columns = ["_kafka_topic", "_kafka_partition", "_kafka_offset"];
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        let reader = builder.with_projection(mask).build().map_err(|error| unreadable(&error))?;
        for batch in reader {
            let batch = batch.map_err(|error| unreadable(&error))?;
            let column = |name: &str| batch.column_by_name(name).ok_or_else(|| unreadable(&format!("it has no column `{name}`")));
            let topics = column(columns[0])?.as_string::<i32>();
            let (partitions, offsets) = (column(columns[1])?.as_primitive::<Int32Type>(), column(columns[2])?.as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                self.insert(topics.value(row), partitions.value(row), offsets.value(row));
            }
        }
        Ok(())
    }

    fn insert(&mut self, topic: &str, kafka_partition: i32, offset: i64) {
        let Some((start, bits)) = self.ranges.get_mut(&(topic.to_owned(), kafka_partition)) else { return };
        if let Ok(index) = usize::try_from(offset - *start)
            && let Some(word) = bits.get_mut(index / 64)
        {
            *word |= 1 << (index % 64);
        }
    }

    fn has(&self, (start, bits): &(i64, Vec<u64>), offset: i64) -> bool {
        let index = usize::try_from(offset - start).unwrap_or(usize::MAX);
        bits.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

/// The writer's own way from records to buffers.
struct Taking {
    intake: Intake,
    owned: Owned,
    buffers: Buffers,
    clock: Time,
}

impl Taking {
    fn read(&mut self, kafka: &kafka_io::KafkaConfig, ranges: &[AppendRange], kept: &Kept) -> Result<(), RefileError> {
        let mut reader = RangeReader::new(kafka)?;
        for range in ranges.iter().filter(|range| !range.range.is_empty()) {
            let bits = &kept.ranges[&(topic_label(&range.source), range.source.kafka_partition.0)];
            // What the topic was does not matter: files of a `.refused` topic are in quarantine, and no row of it is in a data file.
            let refused = range.rows == 0 && range.source.topic.ends_with(".refused");
            let watermark = windowing::PartitionWatermark::new(Micros(0), None, None);
            let start = Start { source: range.source.clone(), refused, next_offset: range.range.start, leader_epoch: None, watermark };
            self.owned.insert(PartitionProgress::new(start, Duration::ZERO));
            let partition = TopicPartition { topic: range.source.topic.clone(), kafka_partition: range.source.kafka_partition.0 };
            let mut halt = None;
            let outcome = reader.read_batches(&partition, range.range.start.0, range.range.end.0, &mut |records| {
                if halt.is_none() {
                    let wanted: Vec<RawRecord<'_>> = records.iter().filter(|record| !kept.has(bits, record.offset)).copied().collect();
                    halt = self.take(&wanted).err();
                }
            });
            match (outcome, halt) {
                (_, Some(halt)) => return impossible(halted(&halt)),
                (Err(error @ kafka_io::KafkaIoError::OffsetOutOfRange { .. }), None) => {
                    return impossible(format!("Kafka no longer has all offsets of `{}`: {error}", range.source));
                }
                (outcome, None) => outcome?,
            }
            if let Some(schema_id) = self.owned.iter().find_map(PartitionProgress::awaits_schema) {
                return impossible(format!("schema id `{schema_id}` is not known"));
            }
        }
        Ok(())
    }

    fn take(&mut self, records: &[RawRecord<'_>]) -> Result<(), Halt> {
        let context = TakeContext { is_closed: &|_| false, earliest: &|_| None, clock: self.clock, limit_bytes: u64::MAX };
        let mut done = 0;
        while done < records.len() {
            done += self.intake.take(&records[done..], &mut self.owned, &mut self.buffers, &context)?;
        }
        Ok(())
    }
}

fn halted(halt: &Halt) -> String {
    match halt {
        Halt::Bug(error) => format!("the records cannot be decoded: {error}"),
        other => format!("the records cannot be decoded by the schema of then: {other:?}"),
    }
}

/// The rows of each lost file, exactly as many as it had.
fn pick(mut buffers: Buffers, lost: &[(FileRef, FileEntry)]) -> Result<Vec<FileRows>, RefileError> {
    let mut taken = buffers.take();
    let mut files = Vec::new();
    for (_, entry) in lost {
        let target = |late| Target { lake_partition: entry.lake_partition.clone(), late };
        let rows = match entry.key.split('/').nth(1) {
            Some("quarantine") => taken.quarantine.remove(&entry.lake_partition.window_start).map(|day| {
                let rows = day.rows();
                (rows, FileRows::Quarantine(entry.lake_partition.window_start, day))
            }),
            _ => taken.files.remove(&target(false)).map(|file| (file.rows(), FileRows::Data(target(entry.late), file))),
        };
        match rows {
            Some((rows, made)) if rows == entry.rows => files.push(made),
            other => {
                let found = other.map_or(0, |(rows, _)| rows);
                return impossible(format!("file `{}` had {} rows, and Kafka's records give {found} for it", entry.key, entry.rows));
            }
        }
    }
    Ok(files)
}

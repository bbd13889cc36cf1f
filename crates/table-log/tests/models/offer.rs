//! What processes propose, small enough to be hashed millions of times, and its translation into production proposals.
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use table_log::key::{DataFolder, Key, Layout};
use table_log::record::{
    AppendBody, AppendRange, Catalog, DeriveBody, DeriveInput, FileEntry, RegisterBody, RepairAction, RepairBody, RevisedPartition,
    SealBody, SourceBody, SourceDeclaration, SweepBody, TableBody, TableSettings, Upload, VacuumBody,
};
use table_log::{Body, FileRef, KafkaPartition, LakePartition, Offset, OffsetRange, Proposal, PutId, Seq, SourcePartition, TableName};
use windowing::{Micros, Time, WindowSize};

/// A set of records of Kafka: one bit for each, see `Scenario::bit`.
pub type Rows = u128;

/// Length of a window, and of one tick of the models' time.
pub const TICK_MICROS: i64 = 60_000_000;
/// The only topic of the models.
pub const TOPIC: &str = "readings";

/// Identity of a proposal: who made it, and its number among theirs. Never reused, also not after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId {
    pub process: u8,
    pub number: u8,
}

/// A file: the proposal that names it and its place there, which is also [`FileRef::index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey {
    pub offer: OfferId,
    pub index: u8,
}

/// Folder of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    Open,
    Late,
    Revision(u8),
    Duplicates,
    Quarantine,
}

/// A staged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StagedFile {
    pub window: u8,
    pub value: u8,
    pub folder: Folder,
    pub rows: Rows,
    pub staged_on: u8,
}

/// A taken range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taken {
    pub kafka_partition: u8,
    pub generation: u8,
    pub start: u8,
    pub end: u8,
    pub quarantined: u8,
    pub watermark: Option<u8>,
}

/// What a proposal says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    Table { version: u8, lateness: u8 },
    Declare { partitions: Vec<u8> },
    Append { taken: Vec<Taken> },
    Seal { window: u8, revision: u8, through: u8, values: Vec<u8>, dropped: Rows },
    Derive { window: u8, revision: u8, inputs: Vec<(u8, u8)> },
    Register { shows: u8, full: bool },
    Vacuum { files: Vec<(u8, u8)> },
    Sweep { before: u8 },
    Restart { generation: u8, partitions: u8 },
    Gap { generation: u8, kafka_partition: u8, start: u8, end: u8 },
}

/// A proposal. The hash is computed once.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub published: Vec<u8>,
    pub what: What,
    pub files: Vec<StagedFile>,
    hash: u64,
}

impl PartialEq for Offer {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.id == other.id
    }
}
impl Eq for Offer {}
impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Offer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.id, self.hash).cmp(&(other.id, other.hash))
    }
}
impl Hash for Offer {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash.hash(hasher);
    }
}

/// A hash that is the same in every run.
pub fn fixed_hash(value: &impl Hash) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Offer {
    pub fn new(id: OfferId, published: Vec<u8>, what: What, files: Vec<StagedFile>) -> Arc<Self> {
        let hash = fixed_hash(&(id, &published, &what, &files));
        Arc::new(Self { id, published, what, files, hash })
    }

    pub fn file_keys(&self) -> impl Iterator<Item = FileKey> + '_ {
        (0..self.files.len()).map(|index| FileKey { offer: self.id, index: index as u8 })
    }

    /// The production proposal. `values` is the number of values of the partition column; 1 is none.
    pub fn proposal(&self, values: u8) -> Proposal {
        Proposal {
            put_id: PutId(format!("{:08x}-0000-7000-8000-{:012x}", self.id.process, self.id.number)),
            writer: format!("p{}", self.id.process),
            at: Time(0),
            published: self.published.iter().map(|seq| Seq(u64::from(*seq))).collect(),
            body: self.body(values),
        }
    }

    fn body(&self, values: u8) -> Body {
        match &self.what {
            What::Table { version, lateness } => Body::Table(table_body(*version, *lateness, values)),
            What::Declare { partitions } => {
                Body::Source(SourceBody { sources: vec![declaration(1, partitions.iter().copied())], retired: vec![] })
            }
            What::Append { taken } => Body::Append(self.append_body(taken, values)),
            What::Seal { window, revision, through, values: revised, dropped } => Body::Seal(SealBody {
                window_start: tick(*window),
                revision: u32::from(*revision),
                through: Seq(u64::from(*through)),
                lake_partitions: self.revised(*window, revised, values),
                duplicates: self.entries(values, |f| f.folder == Folder::Duplicates),
                duplicate_rows: u64::from(dropped.count_ones()),
            }),
            What::Derive { window, revision, inputs } => Body::Derive(DeriveBody {
                window_start: tick(*window),
                revision: u32::from(*revision),
                inputs: inputs
                    .iter()
                    .map(|(w, r)| DeriveInput { table: "s".into(), window_start: tick(*w), revision: u32::from(*r) })
                    .collect(),
                transform_sha256: "0".repeat(64),
                references: BTreeMap::new(),
                lake_partitions: self.revised(*window, &[0], values),
            }),
            What::Register { shows, full } => Body::Register(RegisterBody { shows: Seq(u64::from(*shows)), full: *full }),
            What::Vacuum { files } => Body::Vacuum(VacuumBody {
                files: files.iter().map(|(s, i)| FileRef { seq: Seq(u64::from(*s)), index: u32::from(*i) }).collect(),
            }),
            What::Sweep { before } => Body::Sweep(SweepBody { before: Seq(u64::from(*before)) }),
            What::Restart { generation, partitions } => {
                let source = declaration(u32::from(*generation), 0..*partitions);
                repair(RepairAction::Restart { source, ends: BTreeMap::new() })
            }
            What::Gap { generation, kafka_partition, start, end } => repair(RepairAction::Gap {
                source: source_partition(*generation, *kafka_partition),
                range: OffsetRange { start: Offset(i64::from(*start)), end: Offset(i64::from(*end)) },
            }),
        }
    }

    fn append_body(&self, taken: &[Taken], values: u8) -> AppendBody {
        let ranges = taken.iter().map(|t| AppendRange {
            source: source_partition(t.generation, t.kafka_partition),
            range: OffsetRange { start: Offset(i64::from(t.start)), end: Offset(i64::from(t.end)) },
            rows: u64::from(t.end - t.start - t.quarantined),
            quarantined: u64::from(t.quarantined),
            skipped: 0,
            absent: 0,
            watermark: t.watermark.map(tick),
            leader_epoch: None,
        });
        AppendBody {
            ranges: ranges.collect(),
            files: self.entries(values, |f| f.folder != Folder::Quarantine),
            quarantine: self.entries(values, |f| f.folder == Folder::Quarantine),
            file_list: None,
        }
    }

    fn revised(&self, window: u8, revised: &[u8], values: u8) -> Vec<RevisedPartition> {
        let partition = |value: &u8| RevisedPartition {
            lake_partition: lake_partition(window, *value, values),
            files: self.entries(values, |f| f.value == *value && matches!(f.folder, Folder::Revision(_))),
        };
        revised.iter().map(partition).collect()
    }

    fn entries(&self, values: u8, wanted: impl Fn(&StagedFile) -> bool) -> Vec<FileEntry> {
        self.files.iter().enumerate().filter(|(_, f)| wanted(f)).map(|(index, file)| self.entry(index, file, values)).collect()
    }

    fn entry(&self, index: usize, file: &StagedFile, values: u8) -> FileEntry {
        let token = format!("{:08x}-0000-4000-8000-{:06x}{index:06x}", self.id.process, self.id.number);
        let partition = lake_partition(file.window, file.value, values);
        let (base, staging) = (Seq(u64::from(file.staged_on)), token.clone());
        let data = |folder| Key::Data { lake_partition: partition.clone(), folder, base, staging: staging.clone() };
        let key = match file.folder {
            Folder::Open => data(DataFolder::Open),
            Folder::Late => data(DataFolder::Late),
            Folder::Revision(revision) => data(DataFolder::Revision(u32::from(revision))),
            Folder::Duplicates => Key::Duplicates { lake_partition: partition.clone(), base, staging: staging.clone() },
            Folder::Quarantine => Key::Quarantine { day: Time(0), base, staging: staging.clone() },
        };
        let quarantine = file.folder == Folder::Quarantine;
        FileEntry {
            key: layout(values).path(&key),
            lake_partition: if quarantine { LakePartition { window_start: Time(0), values: vec![] } } else { partition },
            late: file.folder == Folder::Late,
            rows: u64::from(file.rows.count_ones()),
            bytes: 1,
            event_time_min: tick(file.window),
            event_time_max: tick(file.window),
            schema_version: 1,
            staged_on: Seq(u64::from(file.staged_on)),
            upload: Upload { id: format!("_staging/{token}"), token, parts: vec![] },
        }
    }
}

fn layout(values: u8) -> Layout {
    let TableSettings { window, partition_by, .. } = table_body(1, 0, values).settings;
    Layout { table: TableName("s".into()), window, partition_by }
}

fn repair(action: RepairAction) -> Body {
    Body::Repair(RepairBody { actor: "someone".into(), reason: "a drill".into(), action })
}

pub fn tick(ticks: u8) -> Time {
    Time(i64::from(ticks) * TICK_MICROS)
}

pub fn source_partition(generation: u8, kafka_partition: u8) -> SourcePartition {
    SourcePartition { topic: TOPIC.into(), generation: u32::from(generation), kafka_partition: KafkaPartition(i32::from(kafka_partition)) }
}

pub fn lake_partition(window: u8, value: u8, values: u8) -> LakePartition {
    let values = if values > 1 { vec![Some(value.to_string())] } else { vec![] };
    LakePartition { window_start: tick(window), values }
}

fn declaration(generation: u32, partitions: impl Iterator<Item = u8>) -> SourceDeclaration {
    let starts: BTreeMap<_, _> = partitions.map(|p| (KafkaPartition(i32::from(p)), Offset(0))).collect();
    SourceDeclaration {
        cluster_id: "cluster".into(),
        topic: TOPIC.into(),
        topic_id: Some(format!("id-{generation}")),
        generation,
        refused: false,
        starts,
    }
}

fn table_body(version: u8, lateness: u8, values: u8) -> TableBody {
    TableBody {
        schema_version: u32::from(version),
        avro_schema: r#"{"type":"record","name":"r","fields":[]}"#.into(),
        columns: vec![],
        settings: TableSettings {
            event_time: None,
            window: WindowSize::new(Micros(TICK_MICROS)).expect("a minute divides a day"),
            partition_by: if values > 1 { vec!["v".into()] } else { vec![] },
            allowed_lateness: Micros(i64::from(lateness) * TICK_MICROS),
            out_of_orderness: Micros(0),
            idle_timeout: Some(Micros(TICK_MICROS)),
            max_future: Micros(1_000 * TICK_MICROS),
            max_past: Micros(1_000 * TICK_MICROS),
            dedupe_by: vec!["k".into()],
            sort_by: vec![],
            catalog: Catalog::Glue,
        },
    }
}

//! Records of format 1, as they stand in `<table>/_log/<seq>.json`.
//!
//! A newer `format` or an unknown `kind` is refused; unknown fields are tolerated.
mod parse;

pub use parse::RecordError;

use crate::id::{FileRef, KafkaPartition, LakePartition, Offset, OffsetRange, PutId, Seq, SourcePartition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windowing::{Micros, Time, WindowSize};

/// The record format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// One committed record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Format of the record.
    pub format: u32,
    /// Its position in the log.
    pub seq: Seq,
    /// Identity of the proposal.
    pub put_id: PutId,
    /// Instance that made it.
    pub writer: String,
    /// Writer's clock when it was made; for people, decides nothing.
    pub at: Time,
    /// Seqs whose files are known to be in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Seq>,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What a record says, by `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Columns, schema and settings of the table.
    Table(TableBody),
    /// Topics as sources.
    Source(SourceBody),
    /// Offsets taken and the files made of them.
    Append(AppendBody),
    /// A window's next revision.
    Seal(SealBody),
    /// A derived window's next revision.
    Derive(DeriveBody),
    /// What the catalog shows now.
    Register(RegisterBody),
    /// Superseded objects that are deleted next.
    Vacuum(VacuumBody),
    /// Files staged on a state older than `before` can no longer be committed.
    Sweep(SweepBody),
    /// Commit what is buffered; seal and amend closed windows now.
    Flush(FlushBody),
    /// A person put something right.
    Repair(RepairBody),
}

/// `table`: columns, schema and settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableBody {
    /// Dense from 1; files are staged only against a committed schema version.
    pub schema_version: u32,
    /// The table's (reader) schema: Avro JSON text. Empty for derived tables.
    pub avro_schema: String,
    /// Data columns in file order, without partition and `_kafka_*` columns.
    pub columns: Vec<Column>,
    /// Settings that decide where rows go and when windows close.
    pub settings: TableSettings,
}

/// A column as the catalog shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Lower-case name.
    pub name: String,
    /// Glue/Hive type, such as `decimal(9,2)` or `struct<a:int>`.
    #[serde(rename = "type")]
    pub glue_type: String,
}

/// Settings in the log. Window, partition columns and event-time column never change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableSettings {
    /// Event-time column; `None`: Kafka's timestamp.
    pub event_time: Option<String>,
    /// Window size.
    pub window: WindowSize,
    /// Further partition columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// How long after its end a window stays open.
    pub allowed_lateness: Micros,
    /// Subtracted from the highest time seen.
    pub out_of_orderness: Micros,
    /// After this without a record a kafka_partition reports itself idle; `None`: never.
    pub idle_timeout: Option<Micros>,
    /// Event times further ahead of the Kafka timestamp are refused.
    pub max_future: Micros,
    /// Event times further behind the Kafka timestamp are refused.
    pub max_past: Micros,
    /// Columns that, with the event time, make two rows duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dedupe_by: Vec<String>,
    /// Sort order of sealed files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort_by: Vec<String>,
    /// The catalog that shows the table.
    #[serde(default, skip_serializing_if = "Catalog::is_none")]
    pub catalog: Catalog,
}

/// Which catalog shows a table: superseded files are kept until it shows their successors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Catalog {
    /// None: readers follow the log, which shows a revision as soon as its files are published.
    #[default]
    None,
    /// A catalog in files.
    File,
    /// AWS Glue.
    Glue,
}

impl Catalog {
    /// Whether readers follow the log.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// `source`: topics as sources of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceBody {
    /// New or extended sources. All existing topics of a table are declared in one record before any append.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceDeclaration>,
    /// Topics that take no more appends and no longer count for the watermark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<String>,
}

/// One topic as a source. A declaration of a known topic and generation adds kafka_partitions (they start at their beginning).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceDeclaration {
    /// Kafka's cluster id.
    pub cluster_id: String,
    /// Topic name.
    pub topic: String,
    /// Topic id, where the broker gives one.
    pub topic_id: Option<String>,
    /// 1 at first.
    pub generation: u32,
    /// A `<topic>.refused` topic: its records go to quarantine and it does not count for the watermark.
    #[serde(default)]
    pub refused: bool,
    /// First offset to take per declared kafka_partition; dense from 0 over the source's life.
    #[serde(with = "crate::pairs::by_kafka_partition")]
    pub starts: BTreeMap<KafkaPartition, Offset>,
}

/// `append`: what a writer took and what it made of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppendBody {
    /// Ranges taken, at most one per source kafka_partition.
    pub ranges: Vec<AppendRange>,
    /// Data files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
    /// Quarantine files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<FileEntry>,
    /// Where the two lists above are when they are over 1 MiB (then empty in the object; the log client fills them in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_list: Option<FileListRef>,
}

/// One taken range: `end - start = rows + quarantined + skipped + absent`. Empty (`start = end`) for an idle report.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppendRange {
    /// Which kafka_partition.
    #[serde(flatten)]
    pub source: SourcePartition,
    /// Offsets taken.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// Offsets that became rows.
    pub rows: u64,
    /// Offsets in quarantine.
    pub quarantined: u64,
    /// Offsets left out by a setting (tombstones under `tombstones: skip`).
    pub skipped: u64,
    /// Offsets that Kafka never delivers (transaction markers, aborted, compacted).
    pub absent: u64,
    /// Watermark of the kafka_partition after the range; `None`: still minus infinity.
    pub watermark: Option<Time>,
    /// Leader epoch of the last record taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
}

/// One staged file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileEntry {
    /// Key under the lake root; immutable, never reused.
    pub key: String,
    /// Lake partition; for quarantine files the day of ingest, without values.
    pub lake_partition: LakePartition,
    /// Late data file: never live, read by the next revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Rows in the file.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Lowest event time.
    pub event_time_min: Time,
    /// Highest event time.
    pub event_time_max: Time,
    /// Schema version that it was written with.
    pub schema_version: u32,
    /// Seq of the newest record in the state on which staging began: the `<base seq>` of its name.
    pub staged_on: Seq,
    /// How to publish it.
    pub upload: Upload,
}

/// A finished staging that can be published. Local: `id` is the path under `_staging/`; S3: the multipart upload id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upload {
    /// Unique token, stored with the object (S3: user metadata).
    pub token: String,
    /// Upload id.
    pub id: String,
    /// Parts (S3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UploadPart>,
}

/// One part of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UploadPart {
    /// Part number from 1.
    pub number: u32,
    /// ETag.
    pub etag: String,
    /// Size of the part.
    pub bytes: u64,
    /// Checksum.
    pub checksum: String,
}

/// An immutable object with file lists, written before the record that names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileListRef {
    /// Key under the lake root.
    pub key: String,
    /// SHA-256 of the object, lower-case hex.
    pub sha256: String,
}

/// `seal`: revision `revision` of a window.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SealBody {
    /// The window.
    pub window_start: Time,
    /// 1 or the previous one + 1.
    pub revision: u32,
    /// Everything up to this seq is in it.
    pub through: Seq,
    /// The lake partitions that changed (revision 1: all), each with the files of its new revision (may be none).
    pub lake_partitions: Vec<RevisedPartition>,
    /// Files naming each newly dropped row and the row kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<FileEntry>,
    /// Rows dropped in this revision.
    #[serde(default)]
    pub duplicate_rows: u64,
}

/// A lake partition's files in a revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RevisedPartition {
    /// Which one.
    pub lake_partition: LakePartition,
    /// Its files from now on.
    pub files: Vec<FileEntry>,
}

/// `derive`: a derived window from named revisions of source windows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeriveBody {
    /// The window.
    pub window_start: Time,
    /// 1 or the previous one + 1.
    pub revision: u32,
    /// What it was made from.
    pub inputs: Vec<DeriveInput>,
    /// SHA-256 of the SQL and its references' versions, lower-case hex.
    pub transform_sha256: String,
    /// Versions of the reference tables that were joined: name and SHA-256 of the file, lower-case hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, String>,
    /// Its lake partitions with their files.
    pub lake_partitions: Vec<RevisedPartition>,
}

/// A named revision of a source window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeriveInput {
    /// Source table.
    pub table: String,
    /// Source window.
    pub window_start: Time,
    /// Its revision; 0 for a complete window without rows.
    pub revision: u32,
}

/// `register`: the seq that the catalog now shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegisterBody {
    /// The fold that the catalog shows.
    pub shows: Seq,
    /// After a full comparison.
    pub full: bool,
}

/// `vacuum`: superseded files that are deleted next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VacuumBody {
    /// The files.
    pub files: Vec<FileRef>,
}

/// `sweep`: files staged on a state older than `before` can no longer be committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SweepBody {
    /// H, below the record's own seq.
    pub before: Seq,
}

/// `flush`: asks for a commit now, and seal and amend of closed windows now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlushBody {
    /// Who asked.
    pub actor: String,
}

/// `repair`: what a person put right.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RepairBody {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What.
    pub action: RepairAction,
}

/// Kinds of repair.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum RepairAction {
    /// Offsets that Kafka lost: counted as lost; `range.start` is the source's next offset.
    Gap {
        /// Which kafka_partition.
        #[serde(flatten)]
        source: SourcePartition,
        /// The lost offsets.
        #[serde(flatten)]
        range: OffsetRange,
    },
    /// The topic's generation ends; the next starts as declared (generation + 1).
    Restart {
        /// The next generation.
        source: SourceDeclaration,
        /// Next offsets of the generation that ends, as the person saw them: taken further meanwhile, the starts may no longer be right.
        /// Empty: not said.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "crate::pairs::by_kafka_partition")]
        ends: BTreeMap<KafkaPartition, Offset>,
    },
    /// Lost files replaced by files with the same rows.
    Refile {
        /// The lost files.
        lost: Vec<FileRef>,
        /// Their replacements.
        files: Vec<FileEntry>,
    },
    /// Files whose rows are declared lost.
    Lost {
        /// The lost files.
        lost: Vec<FileRef>,
    },
}

impl Record {
    /// All file entries of the record, in the order that [`FileRef::index`] counts:
    /// append: data files, then quarantine; seal: per lake partition, then duplicates; derive: per lake partition; refile: replacements.
    pub fn files(&self) -> Box<dyn Iterator<Item = &FileEntry> + '_> {
        match &self.body {
            Body::Append(b) => Box::new(b.files.iter().chain(&b.quarantine)),
            Body::Seal(b) => Box::new(b.lake_partitions.iter().flat_map(|p| &p.files).chain(&b.duplicates)),
            Body::Derive(b) => Box::new(b.lake_partitions.iter().flat_map(|p| &p.files)),
            Body::Repair(RepairBody { action: RepairAction::Refile { files, .. }, .. }) => Box::new(files.iter()),
            _ => Box::new(std::iter::empty()),
        }
    }
}

//! STUB. The one settings file of all services: types with their units and defaults, loading with all faults at once.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};
use windowing::Micros;

/// `60s`, `5m`, `1h`, `30d`, `500ms`: text with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub std::time::Duration);
/// `512MiB`, `64KiB`, `5000000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// The whole file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lake root: a folder (S3 comes later: `s3://bucket/prefix` is refused with that word).
    pub lake: String,
    pub kafka: KafkaSettings,
    /// Folder with `<subject>/v<N>.avsc`, relative to the settings file.
    pub schemas: PathBuf,
    /// Admin port (127.0.0.1:9464).
    pub admin: SocketAddr,
    pub tables: BTreeMap<String, TableConfig>,
    pub lake_writer: LakeWriterSettings,
}
#[derive(Clone, Debug)]
pub struct KafkaSettings { pub bootstrap_servers: String, pub security: KafkaSecurity, /// 45s
    pub session_timeout: Duration }
#[derive(Clone, Debug, Default)]
pub enum KafkaSecurity { #[default] Plaintext }

/// A table.
#[derive(Clone, Debug)]
pub struct TableConfig {
    pub topics: Vec<TopicSettings>,
    /// Subject of the table's schema (`<first topic>-value`).
    pub subject: String,
    /// Event-time column; `kafka_timestamp` for Kafka's.
    pub event_time: Option<String>,
    pub window: Duration,
    pub partition_by: Vec<String>,
    pub allowed_lateness: Duration,
    pub out_of_orderness: Duration,
    /// `none`: never idle.
    pub idle_timeout: Option<Duration>,
    pub max_future: Duration,
    pub max_past: Duration,
    pub dedupe_by: Vec<String>,
    pub sort_by: Vec<String>,
    pub tombstones: Tombstones,
}
#[derive(Clone, Debug)]
pub struct TopicSettings { pub topic: String, pub start: StartFrom, /// topic holds the bridge's refused records
    pub refused: bool }
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom { #[default] Earliest, Latest, Time(windowing::Time) }
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones { Skip, #[default] Quarantine }

/// The lake-writer's part.
#[derive(Clone, Debug)]
pub struct LakeWriterSettings {
    /// Unique and stable name of this process (`${HOSTNAME}`): static group membership rests on it.
    pub instance: String,
    pub commit_interval: Duration, // 60s
    pub commit_bytes: ByteSize,    // 128MiB
    pub memory_budget: ByteSize,   // 512MiB
    pub files_per_commit: u32,     // 500
    pub shards: u32,               // number of cores
    pub row_group_rows: u32,       // 1_000_000
    pub compression: Compression,  // zstd
    pub shutdown_timeout: Duration, // 10s
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression { #[default] Zstd, Snappy }

/// One fault: where in the file, what, and a suggestion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFault { pub path: String, pub line: Option<usize>, pub what: String, pub suggestion: Option<String> }
/// All faults of a file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} fault(s) in `{file}`", faults.len())]
pub struct SettingsError { pub file: String, pub faults: Vec<SettingsFault> }

impl Settings {
    /// Loads, substitutes `${ENV}` in parsed string leaves only, fills defaults, checks everything that needs no network.
    pub fn load(file: &std::path::Path) -> Result<Self, SettingsError> { let _ = file; todo!() }
    /// The JSON Schema for editors.
    pub fn json_schema() -> serde_json::Value { todo!() }
}
impl TableConfig {
    /// What of it stands in the log.
    pub fn to_log(&self) -> table_log::record::TableSettings { todo!() }
}
impl From<Duration> for Micros { fn from(d: Duration) -> Self { Micros(d.0.as_micros() as i64) } }

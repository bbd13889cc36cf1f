//! The one settings file of all services.
//!
//! Loading is a pipeline, and each stage reports all faults that it finds: the YAML text becomes a tree with lines (`document`), the
//! tree is walked against the JSON Schema of the types below while `${NAME}` is replaced in text leaves (`shape`), the faultless part
//! becomes [`Settings`], and these are checked for what types cannot say (`meaning`).
mod bridge;
mod bridge_http;
mod bridge_mqtt;
mod document;
mod environment;
mod fault;
mod meaning;
mod reference;
mod registry;
mod route_filter;
mod shape;
mod table;
mod transforms;
mod units;
mod window_sealer;

pub use bridge::{BridgeSettings, EpochSetting, KeepUnknown, PayloadFormat, RouteSettings, SegmentField, UnknownFieldsSetting};
pub use bridge_http::{HttpLimits, HttpSettings, HttpTls, HttpTlsFiles, HttpTopicSettings};
pub use bridge_mqtt::{MqttAddress, MqttSettings, MqttVersion};
pub use fault::{SettingsError, SettingsFault};
pub use registry::{SchemaRegistrySettings, Secret};
pub use route_filter::{RouteFilter, Segment};
pub use shape::closest;
pub use table::{CatalogSetting, KAFKA_TIMESTAMP, StartFrom, TableConfig, Tombstones, TopicSettings};
pub use transforms::{IN_LAKE, TransformConfig, WINDOW_END, WINDOW_START};
pub use units::{ByteSize, Duration};
pub use window_sealer::WindowSealerSettings;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Largest settings file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The whole file. Relative paths are relative to its folder; in text values `${NAME}` stands for an environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Tributary settings", extend("required" = ["lake", "kafka", "tables"]))]
pub struct Settings {
    /// Root of the lake: a folder, made when missing. Example: `./lake`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lake: String,
    /// The Kafka cluster. Example: `{bootstrap_servers: "localhost:9092"}`.
    #[serde(skip_serializing)]
    pub kafka: KafkaSettings,
    /// Folder with the Avro schemas: `<subject>/v<N>.avsc`. Not beside `schema_registry`.
    pub schemas: PathBuf,
    /// A schema registry, in place of the folder. Example: `{url: "https://registry.example.com:8081"}`.
    #[serde(skip_serializing)]
    pub schema_registry: Option<SchemaRegistrySettings>,
    /// Address of the admin port with /metrics, /live and /ready; it has no authentication, so keep it off public networks. Example: `0.0.0.0:9464`.
    #[schemars(with = "String")]
    pub admin: SocketAddr,
    /// The tables by name: lower-case letters, digits and `_`, beginning with a letter; at least one. Example: `{readings: {topics: [readings]}}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableConfig>,
    /// Transforms by the names of the derived tables that they make by SQL from complete windows. Example: `{site_averages: {source: readings, sql: site_averages.sql, size: 10s}}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub transforms: BTreeMap<String, TransformConfig>,
    /// The lake-writer.
    #[serde(skip_serializing)]
    pub lake_writer: LakeWriterSettings,
    /// The window-sealer.
    #[serde(skip_serializing)]
    pub window_sealer: WindowSealerSettings,
    /// The bridge, where one runs. Example: `{mqtt: {url: "mqtt://localhost"}, routes: [{filter: "devices/{device_id}/telemetry", topic: telemetry}]}`.
    #[serde(skip_serializing)]
    pub bridge: Option<BridgeSettings>,
    /// Where the settings were loaded from, as a whole path: messages print it in the commands that they propose.
    #[serde(skip)]
    pub file: PathBuf,
}

/// The Kafka cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["bootstrap_servers"]))]
pub struct KafkaSettings {
    /// Brokers to begin with, `host:port` separated by commas. Example: `localhost:9092`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bootstrap_servers: String,
    /// How connections are protected.
    #[serde(skip_serializing)]
    pub security: KafkaSecurity,
    /// After this without a sign of life a consumer's kafka_partitions go to others: 1s to 30m.
    pub session_timeout: Duration,
}

/// How connections are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "protocol", rename_all = "snake_case", deny_unknown_fields)]
pub enum KafkaSecurity {
    /// No encryption, no authentication.
    #[default]
    Plaintext,
}

/// The lake-writer. Its memory is that of one process, all tables together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LakeWriterSettings {
    /// Unique and stable name of this process; its place in the consumer groups rests on it. Default: the environment variable `HOSTNAME`, else the host's name. Example: `${HOSTNAME}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Longest time between two commits of a table while records arrive: 100ms to 1h.
    pub commit_interval: Duration,
    /// A commit is made when this much is buffered for a table, whatever the interval: at least 64KiB.
    pub commit_bytes: ByteSize,
    /// Bound of the process's queues, buffers and encoders: at least 32MiB. Over it, fetching pauses.
    pub memory_budget: ByteSize,
    /// Over this many files in one commit its interval stretches, within the memory budget.
    #[schemars(range(min = 1, max = 100_000))]
    pub files_per_commit: u32,
    /// Consumers of each table that work side by side; 0: as many as give all tables together one per processor core, at least one each.
    #[schemars(range(min = 0, max = 256))]
    pub shards: u32,
    /// Rows of a Parquet row group.
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub row_group_rows: u32,
    /// Compression of Parquet pages.
    pub compression: Compression,
    /// A stopping service has this long to commit what it has: 1s to 10m.
    pub shutdown_timeout: Duration,
    /// A committed file that has neither object nor upload for so long is lost, and its table stops: 1s to 1d.
    pub lost_file_after: Duration,
    /// A record of more bytes is refused: 1KiB to 512MiB.
    pub max_record_bytes: ByteSize,
    /// A record with deeper nesting is refused.
    #[schemars(range(min = 1, max = 256))]
    pub max_record_depth: u32,
    /// A record with more values, counting each item of lists and maps, is refused.
    #[schemars(range(min = 1, max = 32_000_000))]
    pub max_record_values: u32,
}

/// Compression of Parquet pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Small files; all common engines read it.
    #[default]
    Zstd,
    /// Larger files, less work; for old readers.
    Snappy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lake: String::new(),
            kafka: KafkaSettings::default(),
            schemas: PathBuf::from("schemas"),
            schema_registry: None,
            admin: SocketAddr::from(([127, 0, 0, 1], 9464)),
            tables: BTreeMap::new(),
            transforms: BTreeMap::new(),
            lake_writer: LakeWriterSettings::default(),
            window_sealer: WindowSealerSettings::default(),
            bridge: None,
            file: PathBuf::new(),
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self { bootstrap_servers: String::new(), security: KafkaSecurity::default(), session_timeout: Duration::from_secs(45) }
    }
}

impl KafkaSettings {
    /// How to reach the cluster.
    pub fn to_config(&self) -> kafka_io::KafkaConfig {
        let security = match self.security {
            KafkaSecurity::Plaintext => kafka_io::Security::Plaintext,
        };
        kafka_io::KafkaConfig { bootstrap_servers: self.bootstrap_servers.clone(), security }
    }
}

impl Default for LakeWriterSettings {
    fn default() -> Self {
        Self {
            instance: String::new(),
            commit_interval: Duration::from_secs(60),
            commit_bytes: ByteSize(128 << 20),
            memory_budget: ByteSize(512 << 20),
            files_per_commit: 500,
            shards: 0,
            row_group_rows: 1_000_000,
            compression: Compression::default(),
            shutdown_timeout: Duration::from_secs(10),
            lost_file_after: Duration::from_secs(600),
            max_record_bytes: ByteSize(16 << 20),
            max_record_depth: 64,
            max_record_values: 1_000_000,
        }
    }
}

impl LakeWriterSettings {
    /// Bounds on what one record may make the decoder do.
    pub fn limits(&self) -> event_schema::Limits {
        event_schema::Limits {
            depth: self.max_record_depth as usize,
            nodes: self.max_record_values as usize,
            record_bytes: usize::try_from(self.max_record_bytes.0).unwrap_or(usize::MAX),
        }
    }
}

impl Settings {
    /// Loads the file, replaces `${NAME}` in text values, fills defaults, and checks everything that needs no network.
    ///
    /// # Errors
    /// All faults at once, each with its path, line and a suggestion.
    pub fn load(file: &Path) -> Result<Self, SettingsError> {
        Self::load_with_places(file).map(|(settings, _)| settings)
    }

    /// Like [`Settings::load`]; also says where in the file each value stands.
    pub fn load_with_places(file: &Path) -> Result<(Self, Places), SettingsError> {
        let name = file.display().to_string();
        let cannot_read = |error: std::io::Error| {
            SettingsError::whole_file(&name, format!("the settings file cannot be read: {error}"), "name another with `--settings FILE`")
        };
        let bytes = std::fs::metadata(file).map_err(cannot_read)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(SettingsError::whole_file(&name, format!("the file has {bytes} bytes"), "a settings file has at most 1 MiB"));
        }
        let text = std::fs::read_to_string(file).map_err(cannot_read)?;
        let (mut settings, places) = Self::parse(&name, &text, &|variable| std::env::var(variable).ok())?;
        settings.resolve_paths(file.parent().unwrap_or_else(|| Path::new("")));
        settings.file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Ok((settings, places))
    }

    /// Parses the text of a settings file. `lookup` gives the value of an environment variable; paths stay as they are.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn parse(file: &str, text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(Self, Places), SettingsError> {
        let failed = |faults| SettingsError { file: file.to_owned(), faults };
        let root = document::parse(text).map_err(|fault| failed(vec![fault]))?;
        let shaped = shape::walk(&Self::json_schema(), &root, lookup);
        let mut faults = shaped.faults;
        let settings = match serde_json::from_value::<Self>(shaped.value) {
            Ok(settings) => settings,
            Err(error) => {
                let fault = SettingsFault { path: String::new(), line: None, what: error.to_string(), suggestion: None };
                faults.push(fault);
                return Err(failed(faults));
            }
        };
        let settings = settings.with_computed_defaults(lookup);
        let places = Places { lines: shaped.lines };
        meaning::check(&settings, &places, &mut faults);
        if faults.is_empty() {
            return Ok((settings, places));
        }
        faults.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
        Err(failed(faults))
    }

    /// Fills defaults that depend on other values or on the machine.
    fn with_computed_defaults(mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        for table in self.tables.values_mut().filter(|table| table.subject.is_empty()) {
            let first = table.topics.iter().find(|topic| !topic.refused).or(table.topics.first());
            table.subject = first.map(|topic| format!("{}-value", topic.topic)).unwrap_or_default();
        }
        let bridge = self.bridge.as_mut().map(|bridge| {
            bridge.fill_defaults();
            &mut bridge.instance
        });
        let writer = &mut self.lake_writer;
        for instance in [Some(&mut writer.instance), Some(&mut self.window_sealer.instance), bridge]
            .into_iter()
            .flatten()
            .filter(|instance| instance.is_empty())
        {
            let host = lookup("HOSTNAME").or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
            *instance = host.map(|name| name.trim().to_owned()).unwrap_or_default();
        }
        if writer.shards == 0 {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            writer.shards = u32::try_from(cores.div_ceil(self.tables.len().max(1))).unwrap_or(256).min(256);
        }
        self
    }

    fn resolve_paths(&mut self, folder: &Path) {
        self.schemas = folder.join(&self.schemas);
        if let Some(registry) = &mut self.schema_registry {
            registry.resolve_paths(folder);
        }
        if let Some(bridge) = &mut self.bridge {
            bridge.resolve_paths(folder);
        }
        self.window_sealer.resolve_paths(folder);
        self.transforms.values_mut().for_each(|transform| transform.resolve_paths(folder));
        self.lake = folder.join(&self.lake).to_string_lossy().into_owned();
    }

    /// The JSON Schema of the file, for editors.
    pub fn json_schema() -> serde_json::Value {
        let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
        generator.root_schema_for::<Self>().to_value()
    }

    /// docs/settings.md: every setting with its type, default and meaning.
    pub fn reference() -> String {
        reference::markdown(&Self::json_schema())
    }
}

/// Where in the file each value stands.
#[derive(Clone, Debug, Default)]
pub struct Places {
    lines: BTreeMap<String, usize>,
}

impl Places {
    /// Line of the value at `path`, or of the nearest enclosing value that is in the file.
    pub fn line(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

#[cfg(test)]
mod tests;

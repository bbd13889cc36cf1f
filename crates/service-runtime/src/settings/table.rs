//! Settings of a table and of the topics that it reads.
use super::units::{ByteSize, Duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use table_log::record::{Catalog, TableSettings};
use windowing::{Micros, Time, WindowSize};

/// Name in `event_time` that stands for Kafka's timestamp.
pub const KAFKA_TIMESTAMP: &str = "kafka_timestamp";

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["topics"]))]
pub struct TableConfig {
    /// Topics that the table is made of, each a name or a map with `topic`, `start` and `refused`. At least one. Example: `[temperatures]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<TopicSettings>,
    /// Subject of the table's schema: a folder of `schemas`. Default: the first topic's name followed by `-value`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Column with the event time, lower-case, or `kafka_timestamp` for the record's Kafka timestamp. Never changes once the table exists. Example: `measured_at`.
    #[serde(with = "event_time")]
    #[schemars(with = "String")]
    pub event_time: Option<String>,
    /// Length of a window, and so of a lake partition: 1m to 1d, whole minutes, a divisor of a day. Results are as fresh as the window is short. Never changes once the table exists.
    pub window: Duration,
    /// Columns, lower-case, that divide each window's folder further. Never change once the table exists. Example: `[site]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// How long after its end a window still takes rows as on time.
    pub allowed_lateness: Duration,
    /// How far records may be out of the order of their times: subtracted from the highest time seen.
    pub out_of_orderness: Duration,
    /// A kafka_partition without records for this long no longer holds the watermark back. `none`: never idle, for replays of old data.
    #[serde(with = "idle_timeout")]
    #[schemars(with = "IdleTimeout")]
    pub idle_timeout: Option<Duration>,
    /// Event times further ahead of the record's Kafka timestamp are refused.
    pub max_future: Duration,
    /// Event times further behind the record's Kafka timestamp are refused.
    pub max_past: Duration,
    /// Columns, lower-case, that with the event time tell duplicates: sealing keeps the first of equal rows. Empty: no row is dropped. Example: `[device, reading_id]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dedupe_by: Vec<String>,
    /// Columns, lower-case, that sealed files are sorted by. Example: `[device]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort_by: Vec<String>,
    /// Size of a sealed file, about: 1MiB to 4GiB.
    pub target_file_bytes: ByteSize,
    /// Columns, lower-case, whose sealed files get bloom filters: for lookups of single values of columns that the files are not sorted by. Example: `[reading_id]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bloom_filters: Vec<String>,
    /// The catalog that shows the table.
    pub catalog: CatalogSetting,
    /// What becomes of records without a value.
    pub tombstones: Tombstones,
}

/// The catalog that shows a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatalogSetting {
    /// None: `tributary sql` and other readers of the table log.
    #[default]
    None,
}

impl CatalogSetting {
    /// As the table log has it.
    pub fn to_log(self) -> Catalog {
        match self {
            Self::None => Catalog::None,
        }
    }
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            subject: String::new(),
            event_time: None,
            window: Duration::from_secs(3_600),
            partition_by: Vec::new(),
            allowed_lateness: Duration::from_secs(0),
            out_of_orderness: Duration::from_secs(60),
            idle_timeout: Some(Duration::from_secs(300)),
            max_future: Duration::from_secs(3_600),
            max_past: Duration::from_secs(30 * 86_400),
            dedupe_by: Vec::new(),
            sort_by: Vec::new(),
            target_file_bytes: ByteSize(256 << 20),
            bloom_filters: Vec::new(),
            catalog: CatalogSetting::default(),
            tombstones: Tombstones::default(),
        }
    }
}

impl TableConfig {
    /// What of it stands in the table log.
    pub fn to_log(&self) -> TableSettings {
        TableSettings {
            event_time: self.event_time.clone(),
            window: WindowSize::new(self.window.into()).expect("loading the settings refuses other windows"),
            partition_by: self.partition_by.clone(),
            allowed_lateness: self.allowed_lateness.into(),
            out_of_orderness: self.out_of_orderness.into(),
            idle_timeout: self.idle_timeout.map(Micros::from),
            max_future: self.max_future.into(),
            max_past: self.max_past.into(),
            dedupe_by: self.dedupe_by.clone(),
            sort_by: self.sort_by.clone(),
            catalog: self.catalog.to_log(),
        }
    }
}

/// A topic that a table reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "TopicEntry")]
pub struct TopicSettings {
    /// Name of the topic.
    pub topic: String,
    /// Where the first run begins.
    pub start: StartFrom,
    /// Whether the topic holds the bridge's refused records, which go to the table's quarantine.
    pub refused: bool,
}

/// A topic in the file: its name alone or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum TopicEntry {
    /// The topic's name.
    Name(String),
    /// The topic with its options.
    Full(TopicOptions),
}

/// A topic with its options.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["topic"]))]
struct TopicOptions {
    /// Name of the topic. Example: `temperatures`.
    #[schemars(extend("default" = serde_json::Value::Null))]
    topic: String,
    /// Where the first run begins: `earliest`, `latest` or a time such as `2026-11-21T05:00:00Z`. Later runs go on from the table log. Default: `earliest`.
    start: Option<StartFrom>,
    /// Whether the topic holds the bridge's refused records, which go to the table's quarantine. Default: true for names that end in `.refused`.
    refused: Option<bool>,
}

impl From<TopicEntry> for TopicSettings {
    fn from(entry: TopicEntry) -> Self {
        let options = match entry {
            TopicEntry::Name(topic) => TopicOptions { topic, ..TopicOptions::default() },
            TopicEntry::Full(options) => options,
        };
        let refused = options.refused.unwrap_or_else(|| options.topic.ends_with(".refused"));
        Self { topic: options.topic, start: options.start.unwrap_or_default(), refused }
    }
}

/// Where the first run on a topic begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// The oldest record that Kafka has.
    #[default]
    Earliest,
    /// Only records that come after the first start.
    Latest,
    /// The first record with this Kafka timestamp or a later one.
    Time(Time),
}

impl std::str::FromStr for StartFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match text.parse::<jiff::Timestamp>() {
                Ok(time) => Ok(Self::Time(Time(time.as_microsecond()))),
                Err(_) => Err(format!("`{text}` is neither `earliest`, `latest` nor a time")),
            },
        }
    }
}

impl Serialize for StartFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Earliest => serializer.serialize_str("earliest"),
            Self::Latest => serializer.serialize_str("latest"),
            Self::Time(Time(micros)) => {
                serializer.collect_str(&jiff::Timestamp::from_microsecond(*micros).map_err(serde::ser::Error::custom)?)
            }
        }
    }
}

impl<'de> Deserialize<'de> for StartFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for StartFrom {
    fn schema_name() -> Cow<'static, str> {
        "StartFrom".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "`earliest`, `latest` or a time such as `2026-11-21T05:00:00Z`." })
    }
}

/// What becomes of records without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// They are counted as skipped.
    Skip,
    /// They go to quarantine.
    #[default]
    Quarantine,
}

/// Text form of `idle_timeout` in the JSON Schema.
struct IdleTimeout;

impl JsonSchema for IdleTimeout {
    fn schema_name() -> Cow<'static, str> {
        "IdleTimeout".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+ *(ms|s|m|h|d)|none)$", "description": "A length of time with its unit, such as `5m`, or `none`." })
    }
}

mod idle_timeout {
    use super::{Cow, Deserialize, Deserializer, Duration, Serializer, de};

    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.collect_str(duration),
            None => serializer.serialize_str("none"),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        match Cow::<str>::deserialize(deserializer)?.as_ref() {
            "none" => Ok(None),
            text => text.parse().map(Some).map_err(de::Error::custom),
        }
    }
}

mod event_time {
    use super::{Deserialize, Deserializer, KAFKA_TIMESTAMP, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_deref().unwrap_or(KAFKA_TIMESTAMP))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        let column = String::deserialize(deserializer)?;
        Ok((column != KAFKA_TIMESTAMP).then_some(column))
    }
}

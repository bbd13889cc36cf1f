//! The bridge: what its MQTT and HTTP sides share, and the routes of MQTT topics.
use super::bridge_http::{self, HttpSettings};
use super::bridge_mqtt::{self, MqttSettings};
use super::meaning::Checker;
use super::route_filter::{RouteFilter, Segment};
use super::units::{ByteSize, Duration};
use event_schema::encode::{Conflict, EncodeOptions, EpochUnit, Supplied, UnknownFields};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Words of `unknown_fields`.
const IGNORE: &str = "ignore";
const REFUSE: &str = "refuse";
/// Subscriptions that AWS IoT Core allows one connection.
const MAX_ROUTES: usize = 50;

/// The bridge: devices over MQTT and clients over HTTP into Kafka.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSettings {
    /// Unique and stable name of this process: MQTT client ids are made of it, so that a restarted process resumes its sessions. Default: the environment variable `HOSTNAME`, else the host's name. Example: `${HOSTNAME}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Bound of the records that Kafka has not acknowledged yet, all sides together: 4MiB to 16GiB. Over it HTTP clients get 429 and MQTT messages wait in their broker.
    pub queue_bytes: ByteSize,
    /// A record of more bytes is refused: 1KiB to 64MiB. Kafka's topics must take it (`max.message.bytes`).
    pub max_record_bytes: ByteSize,
    /// How long a record may wait for others to be sent with: 0s to 1s. Longer means fewer, larger batches.
    pub linger: Duration,
    /// Without any acknowledgement for so long while records wait, Kafka counts as away: HTTP clients get 503, and the process is not ready: 1s to 10m.
    pub unavailable_after: Duration,
    /// A stopping service has this long to have acknowledged what it took: 1s to 10m.
    pub shutdown_timeout: Duration,
    /// How often the newest schema of each subject is looked up: 1s to 1d.
    pub schema_refresh: Duration,
    /// Folder of schemas, laid out as `schemas`, whose newest versions are registered in `schema_registry` at the start. Without it nothing is registered, and each subject must exist. Example: `./schemas`.
    pub register_schemas: Option<PathBuf>,
    /// What a topic's name is followed by in the name of the topic with its refused records. Both must exist.
    pub refused_suffix: String,
    /// Where devices are heard.
    #[serde(skip_serializing)]
    pub mqtt: Option<MqttSettings>,
    /// Which MQTT topics become which Kafka topics; no topic may belong to two. Example: `[{filter: "devices/{device_id}/telemetry", topic: telemetry}]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSettings>,
    /// Where clients post records.
    #[serde(skip_serializing)]
    pub http: Option<HttpSettings>,
}

/// A route: MQTT topics that become one Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["filter", "topic"]))]
pub struct RouteSettings {
    /// MQTT topics: levels separated by `/`, each a text, a name in braces that stands for any text, `+`, or at the end `#`. Example: `devices/{device_id}/telemetry`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// The Kafka topic. Example: `telemetry`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topic: String,
    /// Subject whose newest schema the payloads are checked against. Default: the topic's name followed by `-value`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What the payloads are.
    pub format: PayloadFormat,
    /// Name in the filter whose text becomes the record's key, so that its records keep their order. Default: the first name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Fields that are set from names in the filter, and what becomes of payloads that claim another value. Default: each name sets the field of its name, and other claims are refused. Example: `{device_id: {segment: device_id, claimed_in: claimed_device_id}}`.
    #[schemars(with = "BTreeMap<String, SegmentField>")]
    pub fields: Option<BTreeMap<String, SegmentField>>,
    /// What becomes of fields that the schema does not have.
    pub unknown_fields: UnknownFieldsSetting,
    /// What a number stands for where the schema has a timestamp.
    pub epoch: EpochSetting,
    /// Field with the time at which the payload was made, for the metric of how old it is when it arrives. Example: `measured_at`.
    pub sent_at: Option<String>,
}

/// A field that is set from a name in the filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["segment"]))]
pub struct SegmentField {
    /// Name in the filter.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub segment: String,
    /// Field that keeps what a payload claimed, if it claimed another value. Without it such a payload is refused.
    pub claimed_in: Option<String>,
}

/// What payloads are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadFormat {
    /// A JSON object.
    #[default]
    Json,
    /// Avro in the registry's framing: a zero byte, the schema's id, the record.
    Avro,
}

/// What a number stands for where the schema has a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EpochSetting {
    /// So many of the schema's unit since 1970.
    #[default]
    OfType,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micros,
    /// Nanoseconds since 1970.
    Nanos,
}

/// What becomes of fields that the schema does not have: `ignore`, `refuse`, or `{keep_in: FIELD}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnknownFieldsSetting {
    /// `ignore`: they are left out. `refuse`: the record is refused.
    Word(String),
    /// They go to a field of the type map of string, as texts.
    Keep(KeepUnknown),
}

/// Where unknown fields are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["keep_in"]))]
pub struct KeepUnknown {
    /// Field of the type map of string. Example: `extra`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub keep_in: String,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self {
            instance: String::new(),
            queue_bytes: ByteSize(64 << 20),
            max_record_bytes: ByteSize(900 << 10),
            linger: Duration::from_millis(5),
            unavailable_after: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(10),
            schema_refresh: Duration::from_secs(60),
            register_schemas: None,
            refused_suffix: ".refused".to_owned(),
            mqtt: None,
            routes: Vec::new(),
            http: None,
        }
    }
}

impl Default for UnknownFieldsSetting {
    fn default() -> Self {
        Self::Word(IGNORE.to_owned())
    }
}

impl UnknownFieldsSetting {
    /// For the encoder.
    pub fn to_encode(&self) -> UnknownFields {
        match self {
            Self::Word(word) if word == REFUSE => UnknownFields::Refuse,
            Self::Word(_) => UnknownFields::Ignore,
            Self::Keep(keep) => UnknownFields::KeepIn(keep.keep_in.clone()),
        }
    }

    /// Faults of the value at `path`.
    pub(super) fn check(&self, checker: &mut Checker<'_>, path: &str) {
        match self {
            Self::Word(word) if word != IGNORE && word != REFUSE => {
                let what = format!("`{}` is no value of this setting", word.escape_debug());
                checker.fault(path, what, "write `ignore`, `refuse` or `{keep_in: FIELD}`");
            }
            Self::Keep(keep) if keep.keep_in.is_empty() => {
                checker.fault(&format!("{path}.keep_in"), "is empty", "name a field of the type map of string");
            }
            _ => {}
        }
    }
}

impl EpochSetting {
    /// For the encoder.
    pub fn to_encode(self) -> EpochUnit {
        match self {
            Self::OfType => EpochUnit::OfType,
            Self::Seconds => EpochUnit::Seconds,
            Self::Millis => EpochUnit::Millis,
            Self::Micros => EpochUnit::Micros,
            Self::Nanos => EpochUnit::Nanos,
        }
    }
}

impl RouteSettings {
    /// The parsed filter; `None` only before the checks.
    pub fn parsed_filter(&self) -> Option<RouteFilter> {
        RouteFilter::parse(&self.filter).ok()
    }

    /// Fields set from names in the filter: field, name, where another claim is kept. In the order of the fields.
    pub fn segment_fields(&self) -> Vec<(String, SegmentField)> {
        match &self.fields {
            Some(fields) => fields.iter().map(|(field, from)| (field.clone(), from.clone())).collect(),
            None => {
                let filter = self.parsed_filter();
                let names = filter.iter().flat_map(RouteFilter::names);
                names.map(|name| (name.to_owned(), SegmentField { segment: name.to_owned(), claimed_in: None })).collect()
            }
        }
    }

    /// What the encoder does with payloads; `supplied` in the order of [`Self::segment_fields`].
    pub fn encode_options(&self) -> EncodeOptions {
        let supplied = self.segment_fields().into_iter().map(|(field, from)| {
            let conflict = from.claimed_in.map_or(Conflict::Refuse, Conflict::KeepClaimedIn);
            Supplied { field, conflict }
        });
        EncodeOptions {
            unknown_fields: self.unknown_fields.to_encode(),
            epoch: self.epoch.to_encode(),
            supplied: supplied.collect(),
            // The record's key is the name's text; the encoder hands out the time for the metric in its place.
            key: self.sent_at.clone(),
            ..EncodeOptions::default()
        }
    }
}

impl BridgeSettings {
    /// Values that follow others.
    pub(super) fn fill_defaults(&mut self) {
        for route in &mut self.routes {
            if route.subject.is_empty() {
                route.subject = format!("{}-value", route.topic);
            }
            if route.key.is_empty() {
                let filter = route.parsed_filter();
                route.key = filter.iter().flat_map(RouteFilter::names).next().unwrap_or_default().to_owned();
            }
        }
        if let Some(http) = &mut self.http {
            http.fill_defaults();
        }
    }

    /// Paths are relative to the settings file.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        if let Some(schemas) = &mut self.register_schemas {
            *schemas = folder.join(&*schemas);
        }
        if let Some(mqtt) = &mut self.mqtt {
            mqtt.resolve_paths(folder);
        }
        if let Some(http) = &mut self.http {
            http.resolve_paths(folder);
        }
    }
}

/// What types cannot say.
pub(super) fn check(checker: &mut Checker<'_>, bridge: &BridgeSettings, has_registry: bool) {
    let at = |key: &str| format!("bridge.{key}");
    checker.instance(&at("instance"), &bridge.instance);
    checker.size(&at("queue_bytes"), bridge.queue_bytes, ByteSize(4 << 20), ByteSize(16 << 30));
    checker.size(&at("max_record_bytes"), bridge.max_record_bytes, ByteSize(1 << 10), ByteSize(64 << 20));
    let (second, ten_minutes) = (Duration::from_secs(1), Duration::from_secs(600));
    checker.duration(&at("linger"), bridge.linger, Duration::from_secs(0), second);
    checker.duration(&at("unavailable_after"), bridge.unavailable_after, second, ten_minutes);
    checker.duration(&at("shutdown_timeout"), bridge.shutdown_timeout, second, ten_minutes);
    checker.duration(&at("schema_refresh"), bridge.schema_refresh, second, Duration::from_secs(86_400));
    if bridge.refused_suffix.is_empty() {
        checker.fault(&at("refused_suffix"), "is empty", "write such as `.refused`");
    }
    if bridge.register_schemas.is_some() && !has_registry {
        checker.fault(&at("register_schemas"), "needs `schema_registry`", "remove it: schemas in a folder are not registered");
    }
    match &bridge.mqtt {
        Some(mqtt) => bridge_mqtt::check(checker, mqtt, &bridge.routes),
        None if !bridge.routes.is_empty() => checker.fault(&at("routes"), "there is no `mqtt`", "add `mqtt` or remove the routes"),
        None if bridge.http.is_none() => checker.fault("bridge", "hears nobody", "add `mqtt` with `routes`, or `http`"),
        None => {}
    }
    if bridge.mqtt.is_some() && bridge.routes.is_empty() {
        checker.fault(&at("routes"), "there is no route", "write `[{filter: \"devices/{device_id}/telemetry\", topic: telemetry}]`");
    }
    if bridge.routes.len() > MAX_ROUTES {
        checker.fault(&at("routes"), format!("{} routes are too many", bridge.routes.len()), "write at most 50, with wider filters");
    }
    let mut seen: Vec<(usize, RouteFilter)> = Vec::new();
    for (index, settings) in bridge.routes.iter().enumerate() {
        if let Some(filter) = route(checker, &format!("bridge.routes[{index}]"), settings, &bridge.refused_suffix) {
            if let Some((other, _)) = seen.iter().find(|(_, other)| other.overlaps(&filter)) {
                let what = format!("some topics belong to route {other} too, and would come into Kafka twice");
                checker.fault(&format!("bridge.routes[{index}].filter"), what, "make the filters disjoint");
            }
            seen.push((index, filter));
        }
    }
    if let Some(http) = &bridge.http {
        bridge_http::check(checker, http);
    }
}

/// Checks a route; its filter, if that is one.
fn route(checker: &mut Checker<'_>, at: &str, route: &RouteSettings, refused_suffix: &str) -> Option<RouteFilter> {
    let key = |name: &str| format!("{at}.{name}");
    checker.topic_name(&key("topic"), &format!("{}{refused_suffix}", route.topic));
    route.unknown_fields.check(checker, &key("unknown_fields"));
    let filter = match RouteFilter::parse(&route.filter) {
        Ok(filter) => filter,
        Err(what) => {
            checker.fault(&key("filter"), what, "write levels such as `devices/{device_id}/telemetry`");
            return None;
        }
    };
    let names: Vec<&str> = filter.names().collect();
    let known = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if !route.key.is_empty() && !names.contains(&route.key.as_str()) {
        checker.fault(&key("key"), format!("the filter has no name `{}`", route.key.escape_debug()), format!("its names are {}", known()));
    }
    for (field, from) in route.fields.iter().flatten() {
        let at = key(&format!("fields.{field}"));
        if !names.contains(&from.segment.as_str()) {
            let what = format!("the filter has no name `{}`", from.segment.escape_debug());
            checker.fault(&format!("{at}.segment"), what, format!("its names are {}", known()));
        }
        if from.claimed_in.as_ref() == Some(field) {
            checker.fault(&format!("{at}.claimed_in"), "is the field itself", "name another field");
        }
        if from.claimed_in.is_some() && route.format == PayloadFormat::Avro {
            let what = "an Avro payload is passed on as it is";
            checker.fault(&format!("{at}.claimed_in"), what, "remove it: a payload that claims another value is refused");
        }
    }
    let is_system = matches!(filter.segments().first(), Some(Segment::Text(text)) if text.starts_with('$'));
    if is_system {
        checker.fault(&key("filter"), "topics that begin with `$` are the broker's own", "name topics of devices");
    }
    Some(filter)
}

#[cfg(test)]
mod tests;

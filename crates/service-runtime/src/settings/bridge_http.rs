//! The bridge's HTTP side.
use super::bridge::{EpochSetting, UnknownFieldsSetting};
use super::meaning::Checker;
use super::units::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Word for `tls` when an ingress in front of the bridge ends the clients' TLS.
const INGRESS: &str = "ingress";

/// Clients that post records over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["listen", "tokens_file", "topics"]))]
pub struct HttpSettings {
    /// Address to listen on. Off loopback it needs `tls`. Example: `0.0.0.0:8443`.
    #[serde(skip_serializing)]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Certificate and key, or `ingress` if an ingress in front ends TLS. Without it only a loopback address may be listened on. Example: `{cert_file: /run/tls/tls.crt, key_file: /run/tls/tls.key}`.
    pub tls: Option<HttpTls>,
    /// YAML file with the bearer tokens and the topics that each may write. Changes take effect without a restart. Example: `/run/secrets/bridge-tokens.yaml`.
    #[serde(skip_serializing)]
    pub tokens_file: PathBuf,
    /// How often the files of tokens and certificates are looked at: 100ms to 1h.
    pub files_refresh: Duration,
    /// The topics that clients may write, by name; at least one. Example: `{telemetry: {key: device_id, message_id: message_id}}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, HttpTopicSettings>,
    /// What clients may ask of the process.
    #[serde(skip_serializing)]
    pub limits: HttpLimits,
}

/// How connections are protected: `ingress`, or files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HttpTls {
    /// `ingress`: an ingress in front ends TLS, and only it can reach the address.
    Word(String),
    /// The bridge ends TLS itself.
    Files(HttpTlsFiles),
}

/// Certificate and key in PEM form. Changed files take effect for new connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["cert_file", "key_file"]))]
pub struct HttpTlsFiles {
    /// The server's certificate, followed by those between it and the root. Example: `/run/tls/tls.crt`.
    #[serde(skip_serializing)]
    pub cert_file: PathBuf,
    /// Its private key. Example: `/run/tls/tls.key`.
    #[serde(skip_serializing)]
    pub key_file: PathBuf,
}

/// A topic that clients may write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpTopicSettings {
    /// Subject whose newest schema the records are checked against. Default: the topic's name followed by `-value`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Field whose value becomes the record's key, so that its records keep their order. Without it records have no key. Example: `device_id`.
    pub key: Option<String>,
    /// Field of type string, or string with null, that takes the record's `message_id`, made of the client's name, its `Idempotency-Key` and the record's place in the request. Example: `message_id`.
    pub message_id: Option<String>,
    /// What becomes of fields that the schema does not have.
    pub unknown_fields: UnknownFieldsSetting,
    /// What a number stands for where the schema has a timestamp.
    pub epoch: EpochSetting,
}

/// What clients may ask of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// A request with a longer body is answered with 413: 1KiB to 256MiB.
    pub max_body_bytes: ByteSize,
    /// A request with more records is answered with 413.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_records: u32,
    /// A request with longer headers, names and values together with the request line, is answered with 431: 1KiB to 64KiB.
    pub max_header_bytes: ByteSize,
    /// Longest time for the TLS handshake, for the headers of a request, and for silence between two requests: 100ms to 10m.
    pub header_timeout: Duration,
    /// Longest time for the body of a request, then 408: 100ms to 1h.
    pub body_timeout: Duration,
    /// Longest wait for Kafka's acknowledgement after the body, then 503: 100ms to 1h.
    pub request_timeout: Duration,
    /// Connections at a time; further ones wait to be taken.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_connections: u32,
    /// Connections from one address at a time; further ones are closed. Not counted with `tls: ingress`, where all come from the ingress.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_connections_per_address: u32,
    /// Bytes of bodies that are held at a time, all requests together; beyond that requests are answered with 429: at least `max_body_bytes`.
    pub max_in_flight_bytes: ByteSize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8_080)),
            tls: None,
            tokens_file: PathBuf::new(),
            files_refresh: Duration::from_secs(5),
            topics: BTreeMap::new(),
            limits: HttpLimits::default(),
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: ByteSize(8 << 20),
            max_records: 100_000,
            max_header_bytes: ByteSize(16 << 10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            max_connections: 1_024,
            max_connections_per_address: 256,
            max_in_flight_bytes: ByteSize(64 << 20),
        }
    }
}

impl HttpSettings {
    /// Subjects that are not given follow the topics' names.
    pub(super) fn fill_defaults(&mut self) {
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| topic.subject.is_empty()) {
            topic.subject = format!("{name}-value");
        }
    }

    /// Paths are relative to the settings file.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        self.tokens_file = folder.join(&self.tokens_file);
        if let Some(HttpTls::Files(files)) = &mut self.tls {
            files.cert_file = folder.join(&files.cert_file);
            files.key_file = folder.join(&files.key_file);
        }
    }

    /// The files of certificate and key, if the bridge ends TLS itself.
    pub fn tls_files(&self) -> Option<&HttpTlsFiles> {
        match &self.tls {
            Some(HttpTls::Files(files)) => Some(files),
            _ => None,
        }
    }

    /// Whether an ingress in front ends TLS.
    pub fn behind_ingress(&self) -> bool {
        matches!(&self.tls, Some(HttpTls::Word(_)))
    }
}

/// What types cannot say.
pub(super) fn check(checker: &mut Checker<'_>, http: &HttpSettings) {
    let at = |key: &str| format!("bridge.http.{key}");
    match &http.tls {
        None if !http.listen.ip().is_loopback() => {
            let what = format!("`{}` can be reached from outside, and `tls` is not given", http.listen);
            checker.fault(
                &at("listen"),
                what,
                "give `tls` a certificate and a key, or write `tls: ingress` if an ingress in front ends TLS",
            );
        }
        Some(HttpTls::Word(word)) if word != INGRESS => {
            let what = format!("`{}` is no value of this setting", word.escape_debug());
            checker.fault(&at("tls"), what, "write `ingress`, or `{cert_file: FILE, key_file: FILE}`");
        }
        _ => {}
    }
    if http.tokens_file.as_os_str().is_empty() {
        checker.fault(&at("tokens_file"), "is empty", "name a file");
    }
    let tenth = Duration::from_millis(100);
    checker.duration(&at("files_refresh"), http.files_refresh, tenth, Duration::from_secs(3_600));
    topics(checker, http);
    limits(checker, &http.limits);
}

fn topics(checker: &mut Checker<'_>, http: &HttpSettings) {
    if http.topics.is_empty() {
        checker.fault("bridge.http.topics", "there is no topic", "name at least one");
    }
    for (name, topic) in &http.topics {
        let at = format!("bridge.http.topics.{name}");
        checker.topic_name(&at, name);
        topic.unknown_fields.check(checker, &format!("{at}.unknown_fields"));
        for (key, field) in [("key", &topic.key), ("message_id", &topic.message_id)] {
            if field.as_deref() == Some("") {
                checker.fault(&format!("{at}.{key}"), "is empty", "name a field of the schema or remove it");
            }
        }
    }
}

fn limits(checker: &mut Checker<'_>, limits: &HttpLimits) {
    let at = |key: &str| format!("bridge.http.limits.{key}");
    let (tenth, hour) = (Duration::from_millis(100), Duration::from_secs(3_600));
    checker.duration(&at("header_timeout"), limits.header_timeout, tenth, Duration::from_secs(600));
    checker.duration(&at("body_timeout"), limits.body_timeout, tenth, hour);
    checker.duration(&at("request_timeout"), limits.request_timeout, tenth, hour);
    checker.size(&at("max_body_bytes"), limits.max_body_bytes, ByteSize(1 << 10), ByteSize(256 << 20));
    checker.size(&at("max_header_bytes"), limits.max_header_bytes, ByteSize(1 << 10), ByteSize(64 << 10));
    if limits.max_in_flight_bytes < limits.max_body_bytes {
        let what = format!("`{}` is less than `max_body_bytes` ({})", limits.max_in_flight_bytes, limits.max_body_bytes);
        checker.fault(&at("max_in_flight_bytes"), what, "write several times `max_body_bytes`");
    } else if limits.max_in_flight_bytes > ByteSize(4 << 30) {
        checker.fault(&at("max_in_flight_bytes"), format!("`{}` is too large", limits.max_in_flight_bytes), "write at most 4GiB");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, SettingsFault};
    use super::*;

    fn parse(http: &str) -> Result<HttpSettings, Vec<SettingsFault>> {
        let text = format!(
            "lake: ./lake\nkafka: {{bootstrap_servers: \"a:1\"}}\ntables: {{t: {{topics: [t]}}}}\nbridge: {{instance: b, http: {http}}}\nlake_writer: {{instance: w}}\n"
        );
        let parsed = Settings::parse("f", &text, &|_| None).map_err(|error| error.faults);
        parsed.map(|(settings, _)| settings.bridge.and_then(|bridge| bridge.http).expect("given"))
    }

    #[test]
    fn defaults_are_filled_and_paths_resolved() {
        let mut http =
            parse("{listen: \"127.0.0.1:8080\", tokens_file: tokens.yaml, topics: {a: {}, b: {subject: s, key: k, message_id: m}}}")
                .expect("valid");
        assert_eq!((http.topics["a"].subject.as_str(), http.topics["b"].subject.as_str()), ("a-value", "s"));
        assert_eq!((http.topics["b"].key.as_deref(), http.topics["b"].message_id.as_deref()), (Some("k"), Some("m")));
        http.tls = Some(HttpTls::Files(HttpTlsFiles { cert_file: "c".into(), key_file: "/abs/k".into() }));
        http.resolve_paths(Path::new("/etc/x"));
        assert_eq!(http.tokens_file, Path::new("/etc/x/tokens.yaml"));
        let files = http.tls_files().expect("given");
        assert_eq!((files.cert_file.as_path(), files.key_file.as_path()), (Path::new("/etc/x/c"), Path::new("/abs/k")));
    }

    #[test]
    fn without_tls_only_loopback_is_listened_on() {
        let of = |listen: &str, tls: &str| parse(&format!("{{listen: \"{listen}\", tokens_file: t, topics: {{a: {{}}}}{tls}}}"));
        for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            of(loopback, "").expect(loopback);
        }
        for outside in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:10.0.0.1]:1"] {
            let faults = of(outside, "").expect_err(outside);
            assert!(
                faults.iter().any(|fault| fault.path == "bridge.http.listen" && fault.what.contains("`tls` is not given")),
                "{faults:?}"
            );
            assert!(of(outside, ", tls: ingress").expect("behind one").behind_ingress());
            assert!(of(outside, ", tls: {cert_file: c, key_file: k}").expect("with files").tls_files().is_some());
        }
    }

    #[test]
    fn faults_say_what_to_write() {
        let whole = "listen: \"127.0.0.1:1\", tokens_file: t, topics: {a: {}}";
        for (http, path, part) in [
            ("{tokens_file: t, topics: {a: {}}}".to_owned(), "bridge.http.listen", "is missing"),
            ("{listen: \"localhost:1\", tokens_file: t, topics: {a: {}}}".to_owned(), "bridge.http.listen", "is no address"),
            ("{listen: \"127.0.0.1:1\", topics: {a: {}}}".to_owned(), "bridge.http.tokens_file", "is missing"),
            ("{listen: \"127.0.0.1:1\", tokens_file: t, topics: {}}".to_owned(), "bridge.http.topics", "no topic"),
            ("{listen: \"127.0.0.1:1\", tokens_file: t, topics: {a/b: {}}}".to_owned(), "bridge.http.topics.a/b", "no topic name"),
            ("{listen: \"127.0.0.1:1\", tokens_file: t, topics: {a: {key: \"\"}}}".to_owned(), "bridge.http.topics.a.key", "is empty"),
            (format!("{{{whole}, tls: off}}"), "bridge.http.tls", "no value of this setting"),
            (format!("{{{whole}, tls: {{cert_file: c}}}}"), "bridge.http.tls.key_file", "is missing"),
            (format!("{{{whole}, files_refresh: 1ms}}"), "bridge.http.files_refresh", "out of range"),
            (format!("{{{whole}, limits: {{max_header_bytes: 1MiB}}}}"), "bridge.http.limits.max_header_bytes", "out of range"),
            (format!("{{{whole}, limits: {{max_records: 0}}}}"), "bridge.http.limits.max_records", "out of range"),
            (format!("{{{whole}, limits: {{max_in_flight_bytes: 1MiB}}}}"), "bridge.http.limits.max_in_flight_bytes", "less than"),
            (format!("{{{whole}, limits: {{body_timeout: 0s}}}}"), "bridge.http.limits.body_timeout", "out of range"),
        ] {
            let faults = parse(&http).expect_err(&http);
            assert!(faults.iter().any(|fault| fault.path == path && fault.what.contains(part)), "{http}: {faults:?}");
        }
    }
}

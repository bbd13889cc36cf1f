//! A bridge in this process with a real broker behind it.
use crate::{
    curl::{Answer, Request},
    reading,
};
use bridge::Components;
use event_schema::{SchemaFolder, SchemaSource, SubjectSchema};
use kafka_io::OffsetQuery;
use prometheus::{Registry, TextEncoder};
use service_runtime::{clock::SystemClock, health::Health, settings::Settings, shutdown::Shutdown};
use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread::JoinHandle,
    time::Duration,
};
use tempfile::TempDir;
use test_kit::{KafkaServer, unique_name, wait_until};

pub const LONG: Duration = Duration::from_secs(60);
pub const PARTITIONS: i32 = 2;
/// May write every topic.
pub const TOKEN: &str = "token-of-the-gateway-0123456789";
/// May write none that there is.
pub const POOR_TOKEN: &str = "token-of-a-stranger-0123456789";
pub const JSON: &str = "Content-Type: application/json";
pub const LINES: &str = "Content-Type: application/x-ndjson";

/// How a scene differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further lines of `bridge`, in YAML flow form, such as `unavailable_after: 1s,`.
    pub bridge: &'static str,
    /// The same of `bridge.http`.
    pub http: &'static str,
    /// Certificate and key, to be written to `tls.crt` and `tls.key` beside the settings.
    pub tls: Option<(String, String)>,
    /// Of the topic.
    pub topic_config: &'static [(&'static str, &'static str)],
    /// No other scene runs beside it, so that the process's memory is its own.
    pub alone: bool,
}

/// Scenes run beside each other, but for those that must be alone.
static TURNS: RwLock<()> = RwLock::new(());

enum Turn {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

impl Turn {
    fn take(alone: bool) -> Self {
        // A test that failed leaves nothing behind that matters here.
        if alone {
            Self::Alone(TURNS.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Self::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

pub struct Scene {
    pub folder: TempDir,
    pub topic: String,
    pub address: String,
    pub registry: Registry,
    pub health: Arc<Health>,
    tls: bool,
    shutdown: Shutdown,
    running: Option<JoinHandle<Result<(), String>>>,
    _turn: Turn,
}

impl Scene {
    pub fn start(server: &KafkaServer, options: &Options) -> Self {
        let turn = Turn::take(options.alone);
        let folder = tempfile::tempdir().expect("a folder");
        let topic = unique_name("readings");
        create(server, &topic, PARTITIONS, options.topic_config);
        create(server, &format!("{topic}.refused"), 1, &[]);
        let mut scene = Self {
            folder,
            topic,
            address: format!("127.0.0.1:{}", free_port()),
            registry: Registry::new(),
            health: Arc::default(),
            tls: options.tls.is_some(),
            shutdown: Shutdown::manual(),
            running: None,
            _turn: turn,
        };
        scene.write_tokens(&[("gateway", TOKEN, "\"*\""), ("stranger", POOR_TOKEN, "[elsewhere]")]);
        if let Some((certificate, key)) = &options.tls {
            scene.write("tls.crt", certificate);
            scene.write("tls.key", key);
        }
        scene.run(server, options);
        scene
    }

    fn run(&mut self, server: &KafkaServer, options: &Options) {
        let tls = if self.tls { "tls: {cert_file: tls.crt, key_file: tls.key}," } else { "" };
        let text = format!(
            "lake: ./lake\nkafka: {{bootstrap_servers: '{}'}}\ntables: {{t: {{topics: [t]}}}}\nlake_writer: {{instance: w}}\n\
             bridge: {{instance: b, {} http: {{listen: '{}', {tls} tokens_file: tokens.yaml, files_refresh: 100ms, {} \
             topics: {{'{}': {{subject: reading, key: device_id, message_id: message_id, unknown_fields: refuse}}}}}}}}\n",
            server.bootstrap_servers(),
            options.bridge,
            self.address,
            options.http,
            self.topic
        );
        let file = self.write("settings.yaml", &text);
        let loaded = Settings::load(&file).unwrap_or_else(|error| panic!("{}", error.report()));
        let settings = bridge::Settings::from_settings(&loaded).expect("there is a bridge");
        let schema = SubjectSchema { subject: "reading".into(), version: 1, id: reading::SCHEMA_ID, avro_json: reading::SCHEMA.into() };
        let schemas: Arc<dyn SchemaSource> = Arc::new(SchemaFolder::from_subjects([schema]));
        let components = Components {
            schemas,
            clock: Arc::new(SystemClock),
            health: Arc::clone(&self.health),
            metrics: bridge::BridgeMetrics::new(&self.registry).expect("a fresh registry"),
            shutdown: self.shutdown.clone(),
        };
        self.running = Some(std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(bridge::run(settings, components)).map_err(|error| error.to_string())
        }));
        wait_until(LONG, "the server", || {
            assert!(!self.running.as_ref().is_some_and(JoinHandle::is_finished), "it ended: {:?}", self.end());
            TcpStream::connect(&self.address).is_ok()
        });
        wait_until(LONG, "the schema", || self.health.not_ready().is_empty());
    }

    fn end(&mut self) -> Option<Result<(), String>> {
        self.running.take().map(|running| running.join().expect("it does not panic"))
    }

    /// Asks it to end and waits for that.
    pub fn stop(&mut self) {
        self.shutdown.trigger();
        if let Some(ended) = self.end() {
            ended.expect("it ends well");
        }
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        // As mounted secrets change: whole, by a rename.
        let fresh = self.folder.path().join(format!("{name}.new"));
        std::fs::write(&fresh, text).expect("write a file");
        std::fs::rename(&fresh, &path).expect("rename it");
        path
    }

    /// Name, token, topics.
    pub fn write_tokens(&self, tokens: &[(&str, &str, &str)]) {
        let entry = |(name, token, topics): &(&str, &str, &str)| format!("- {{name: {name}, token: {token}, topics: {topics}}}\n");
        self.write("tokens.yaml", &format!("tokens:\n{}", tokens.iter().map(entry).collect::<String>()));
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn records_path(&self) -> String {
        format!("/v1/topics/{}/records", self.topic)
    }

    /// A request without a token.
    pub fn bare(&self, method: &'static str, path: &str) -> Request {
        let scheme = if self.tls { "https" } else { "http" };
        let request = Request { method, url: format!("{scheme}://{}{path}", self.address), ..Request::default() };
        if self.tls { request.argument("--cacert").argument(self.path("ca.crt")) } else { request }
    }

    /// A request with the token that may do everything.
    pub fn request(&self, method: &'static str, path: &str) -> Request {
        self.bare(method, path).header(format!("Authorization: Bearer {TOKEN}"))
    }

    /// A request that posts records.
    pub fn posting(&self, media_type: &str, body: impl Into<Vec<u8>>) -> Request {
        Request { body: Some(body.into()), ..self.request("POST", &self.records_path()).header(media_type) }
    }

    pub fn post(&self, media_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.posting(media_type, body).must()
    }

    pub fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("metrics are text")
    }

    /// Sum of a metric over its labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let metrics = self.metrics();
        let fits = |line: &&str| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| line.contains(label))
        };
        metrics.lines().filter(fits).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

fn create(server: &KafkaServer, topic: &str, kafka_partitions: i32, config: &[(&str, &str)]) {
    let config: Vec<_> = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    server.admin().create_topic(topic, kafka_partitions, 1, &config).expect("create a topic");
    wait_until(LONG, "the topic", || server.admin().offsets(topic, kafka_partitions, OffsetQuery::Latest).is_ok());
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

//! A broker of its own, and bridges in this process between it and Kafka.
use crate::telemetry::{self, identity};
use bridge::Components;
use event_schema::{SchemaFolder, SchemaSource, SubjectSchema};
use kafka_io::OffsetQuery;
use prometheus::{Registry, TextEncoder};
use service_runtime::{clock::SystemClock, health::Health, settings::Settings, shutdown::Shutdown};
use std::{path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};
use tempfile::TempDir;
use test_kit::{KafkaServer, MosquittoServer, StoredRecord, stored_records, try_wait_for, unique_name, wait_until};
use tokio::sync::oneshot;

pub const LONG: Duration = Duration::from_secs(60);
pub const PARTITIONS: i32 = 3;

/// How a bridge differs from the plain one: further lines in YAML flow form, each with a comma at its end.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of `bridge`.
    pub bridge: String,
    /// Of `bridge.mqtt`, `url` too; empty: the broker's port without TLS.
    pub mqtt: String,
    /// Of the route.
    pub route: String,
}

/// A broker, a topic, a folder.
pub struct Scene {
    pub folder: TempDir,
    pub topic: String,
    pub mosquitto: MosquittoServer,
}

/// A running bridge.
pub struct Bridge {
    pub registry: Registry,
    pub health: Arc<Health>,
    shutdown: Shutdown,
    kill: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), String>>>,
}

impl Scene {
    pub fn new(kafka: &KafkaServer, lines: &[&str]) -> Self {
        let topic = kafka.create_topic("telemetry", PARTITIONS).expect("create a topic");
        kafka.admin().create_topic(&format!("{topic}.refused"), 1, 1, &[]).expect("create a topic");
        let mosquitto = MosquittoServer::start(lines).expect("mosquitto starts");
        Self { folder: tempfile::tempdir().expect("a folder"), topic, mosquitto }
    }

    /// A bridge that is subscribed.
    pub fn bridge(&self, kafka: &KafkaServer, options: &Options) -> Bridge {
        let bridge = self.start(kafka, options);
        bridge.wait_until_ready();
        bridge
    }

    /// A bridge that may not be subscribed yet.
    pub fn start(&self, kafka: &KafkaServer, options: &Options) -> Bridge {
        let url = format!("url: 'mqtt://127.0.0.1:{}',", self.mosquitto.port());
        let mqtt = if options.mqtt.contains("url:") { options.mqtt.clone() } else { format!("{url} {}", options.mqtt) };
        let instance = if options.bridge.contains("instance:") { "" } else { "instance: b," };
        let connections = if mqtt.contains("connections:") { "" } else { "connections: 2," };
        let text = format!(
            "lake: ./lake\nkafka: {{bootstrap_servers: '{}'}}\ntables: {{t: {{topics: [t]}}}}\nlake_writer: {{instance: w}}\n\
             bridge: {{{instance} {} mqtt: {{{mqtt} {connections} keep_alive: 5s}},\n\
             routes: [{{filter: 'devices/{{device_id}}/telemetry', topic: '{}', subject: telemetry, sent_at: measured_at, {}}}]}}\n",
            kafka.bootstrap_servers(),
            options.bridge,
            self.topic,
            options.route,
        );
        let file = self.folder.path().join(unique_name("settings"));
        std::fs::write(&file, text).expect("write the settings");
        let loaded = Settings::load(&file).unwrap_or_else(|error| panic!("{}", error.report()));
        Bridge::start(bridge::Settings::from_settings(&loaded).expect("there is a bridge"))
    }

    /// Records of the topic that are there now.
    pub fn stored(&self, kafka: &KafkaServer) -> Vec<StoredRecord> {
        stored_records(kafka, &self.topic, PARTITIONS)
    }

    /// Records of the refused topic.
    pub fn refused(&self, kafka: &KafkaServer) -> Vec<StoredRecord> {
        stored_records(kafka, &format!("{}.refused", self.topic), 1)
    }

    /// Records in the topic so far.
    pub fn count(&self, kafka: &KafkaServer) -> i64 {
        kafka.admin().offsets(&self.topic, PARTITIONS, OffsetQuery::Latest).map_or(0, |ends| ends.iter().sum())
    }

    /// Waits until the distinct messages in Kafka are these; returns all records, repeated ones too.
    pub fn wait_for_all(&self, kafka: &KafkaServer, expected: &[(String, i64)]) -> Vec<StoredRecord> {
        let mut expected = expected.to_vec();
        expected.sort();
        let (mut last, mut found) = (-1, Vec::new());
        let records = try_wait_for(LONG, || {
            let count = self.count(kafka);
            if count == last || count < i64::try_from(expected.len()).expect("small") {
                return None;
            }
            last = count;
            let records = self.stored(kafka);
            found = records.iter().map(identity).collect();
            found.sort();
            found.dedup();
            (found == expected).then_some(records)
        });
        records.unwrap_or_else(|| {
            let missing: Vec<_> = expected.iter().filter(|message| found.binary_search(message).is_err()).collect();
            let (count, first) = (self.count(kafka), &missing[..missing.len().min(5)]);
            panic!("{} of {} messages are missing, such as {first:?}, in {count} records", missing.len(), expected.len())
        })
    }

    /// Publishes messages `from..to` of a device with `mosquitto_pub`: when it returns, the broker has them.
    pub fn publish(&self, device: &str, range: std::ops::Range<i64>) -> Vec<(String, i64)> {
        let line = |seq: i64| format!("{{\"seq\": {seq}, \"measured_at\": {}}}\n", 1_795_237_200_000 + seq);
        let text: String = range.clone().map(line).collect();
        self.mosquitto.publish_lines(&format!("devices/{device}/telemetry"), &text).expect("the broker takes them");
        range.map(|seq| (device.to_owned(), seq)).collect()
    }

    /// File names of a certificate for the bridge, and of the authority, as settings have them.
    pub fn tls_settings(&self, name: &str) -> String {
        let authority = self.mosquitto.authority();
        let files = authority.issue(name).expect("a certificate");
        let show = |path: PathBuf| path.display().to_string();
        format!(
            "url: 'mqtts://localhost:{}', ca_file: '{}', cert_file: '{}', key_file: '{}', alpn: x-amzn-mqtt-ca,",
            self.mosquitto.tls_port(),
            show(authority.file().to_owned()),
            show(files.certificate),
            show(files.key)
        )
    }
}

impl Bridge {
    fn start(settings: bridge::Settings) -> Self {
        let registry = Registry::new();
        let (health, shutdown) = (Arc::new(Health::default()), Shutdown::manual());
        let schema =
            SubjectSchema { subject: "telemetry".into(), version: 1, id: telemetry::SCHEMA_ID, avro_json: telemetry::SCHEMA.into() };
        let schemas: Arc<dyn SchemaSource> = Arc::new(SchemaFolder::from_subjects([schema]));
        let components = Components {
            schemas,
            clock: Arc::new(SystemClock),
            health: Arc::clone(&health),
            metrics: bridge::BridgeMetrics::new(&registry).expect("a fresh registry"),
            shutdown: shutdown.clone(),
        };
        let (kill, killed) = oneshot::channel();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let ended = runtime.block_on(async {
                tokio::select! {
                    ended = bridge::run(settings, components) => ended.map_err(|error| error.to_string()),
                    _ = killed => Ok(()),
                }
            });
            runtime.shutdown_background();
            ended
        });
        Self { registry, health, shutdown, kill: Some(kill), running: Some(running) }
    }

    pub fn wait_until_ready(&self) {
        let all = || self.metric("tributary_bridge_mqtt_connected_bool");
        wait_until(LONG, "subscribed connections", || {
            self.health.not_ready().is_empty() && all().is_some_and(|sum| sum >= self.connections())
        });
    }

    fn connections(&self) -> f64 {
        let text = self.metrics();
        text.lines().filter(|line| line.starts_with("tributary_bridge_mqtt_connected_bool{")).count() as f64
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        self.shutdown.trigger();
        self.join().expect("it ends well");
    }

    /// Ends it as a crash would: nothing is drained and no DISCONNECT is sent.
    pub fn kill(mut self) {
        drop(self.kill.take());
        self.join().expect("it ends");
    }

    fn join(&mut self) -> Result<(), String> {
        self.running.take().map_or(Ok(()), |running| running.join().expect("it does not panic"))
    }

    pub fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("metrics are text")
    }

    /// Sum of a metric over its labels, or of those lines that begin so.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.metrics();
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{', ',']) || name.contains('{'));
        let values: Vec<f64> = text.lines().filter(is_it).filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        drop(self.kill.take());
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

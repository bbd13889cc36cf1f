//! Kafka, an MQTT broker, and the bridge as the built binary between them.
use event_schema::{BatchDecoder, Limits, Push, SchemaFolder, TableSchema};
use kafka_io::{Admin, OffsetQuery, RangeReader, TopicPartition};
use service_runtime::fail_points::MARK;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use test_kit::{KafkaServer, MosquittoServer, Signal, Tributary, wait_until};

const TOPIC: &str = "telemetry";
const KAFKA_PARTITIONS: i32 = 6;
const SCHEMA: &str = r#"{"type": "record", "name": "Telemetry", "fields": [
    {"name": "device_id", "type": "string"},
    {"name": "seq", "type": "long"},
    {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "temperature", "type": ["null", "double"], "default": null}]}"#;
const ENDED: Duration = Duration::from_secs(60);

/// Everything a test needs, gone at its end.
#[derive(Debug)]
pub struct Scene {
    /// Where records end.
    pub kafka: KafkaServer,
    /// Where devices publish.
    pub mosquitto: MosquittoServer,
    admin: Admin,
    folder: TempDir,
    binary: PathBuf,
    settings: PathBuf,
    bridge: Option<Tributary>,
}

/// A record of the topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Device.
    pub device: String,
    /// Its number of the message.
    pub sequence: i64,
    /// Event time in microseconds.
    pub event_time: i64,
}

impl Scene {
    /// Starts both brokers, not the bridge.
    pub fn new(connections: u32) -> Self {
        let kafka = KafkaServer::start(&[]).expect("start Kafka");
        let mosquitto = MosquittoServer::start(&[]).expect("start Mosquitto");
        let admin = kafka.admin();
        for topic in [TOPIC.to_owned(), format!("{TOPIC}.refused")] {
            admin.create_topic(&topic, KAFKA_PARTITIONS, 1, &[("retention.ms".to_owned(), "-1".to_owned())]).expect("create a topic");
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let schemas = folder.path().join("schemas").join(format!("{TOPIC}-value"));
        std::fs::create_dir_all(&schemas).expect("make the schemas folder");
        let schema = SCHEMA.replacen('{', "{\"schema_id\": 7, ", 1);
        std::fs::write(schemas.join("v1.avsc"), schema).expect("write the schema");
        let settings = Tributary::write_settings(folder.path(), &settings(&kafka, &mosquitto, connections)).expect("write the settings");
        let binary = folder.path().join("tributary");
        // A name of its own: a build that ends meanwhile must not change the program under test.
        let built = env!("CARGO_BIN_EXE_tributary");
        std::fs::hard_link(built, &binary).or_else(|_| std::fs::copy(built, &binary).map(drop)).expect("take the built binary");
        Self { kafka, mosquitto, admin, folder, binary, settings, bridge: None }
    }

    /// Where files of the test may lie.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts the bridge; `fail_point` is where it ends.
    pub fn start_bridge(&mut self, fail_point: Option<&str>) {
        let settings = self.settings.to_str().expect("the path is UTF-8");
        let environment: Vec<_> = fail_point.map(|point| ("TRIBUTARY_FAIL_POINT", point)).into_iter().collect();
        let started = Tributary::start(&self.binary, &["run", "bridge", "-s", settings], &environment, self.folder.path());
        self.bridge = Some(started.expect("start the bridge"));
    }

    /// What the bridge logged so far.
    pub fn bridge_log(&self) -> String {
        self.bridge.as_ref().map(Tributary::log).unwrap_or_default()
    }

    /// Ends the bridge as a power cut would.
    pub fn kill_bridge(&mut self) {
        let mut bridge = self.bridge.take().expect("the bridge runs");
        assert!(bridge.ended().expect("ask for its end").is_none(), "the bridge ended by itself; its log:\n{}", bridge.log());
        bridge.signal(Signal::Kill).expect("kill the bridge");
        bridge.wait(ENDED).expect("a killed process ends");
    }

    /// Waits until the bridge ended at the point where it was told to.
    pub fn wait_for_fail_point(&mut self, point: &str) {
        let mut bridge = self.bridge.take().expect("the bridge runs");
        let ended = bridge.wait(ENDED);
        let log = bridge.log();
        ended.unwrap_or_else(|error| panic!("{point} was not passed: {error}"));
        assert!(log.contains(&format!("{MARK} {point}")), "the bridge ended, but not at {point}; its log:\n{log}");
    }

    /// Ends the bridge in order.
    pub fn end_bridge(&mut self) {
        let mut bridge = self.bridge.take().expect("the bridge runs");
        bridge.signal(Signal::Terminate).expect("end the bridge");
        let status = bridge.wait(ENDED).expect("it ends");
        assert!(status.success(), "the bridge ended with {status}; its log:\n{}", bridge.log());
    }

    /// Records of the topic so far, without looking at them.
    pub fn kafka_records(&self) -> u64 {
        let ends = self.admin.offsets(TOPIC, KAFKA_PARTITIONS, OffsetQuery::Latest);
        ends.map_or(0, |ends| ends.iter().map(|end| end.unsigned_abs()).sum())
    }

    /// Waits until nothing has come to the topic for `quiet`.
    pub fn wait_until_quiet(&self, quiet: Duration, deadline: Duration) {
        let mut last = (self.kafka_records(), std::time::Instant::now());
        wait_until(deadline, "no more records come", || {
            let records = self.kafka_records();
            if records != last.0 {
                last = (records, std::time::Instant::now());
            }
            last.1.elapsed() >= quiet
        });
    }

    /// All records of the topic, each kafka_partition in its order; nothing may be among the refused ones.
    pub fn records(&self) -> Vec<Record> {
        let admin = &self.admin;
        let refused = admin.offsets(&format!("{TOPIC}.refused"), KAFKA_PARTITIONS, OffsetQuery::Latest).expect("ask for the refused");
        assert_eq!(refused.iter().sum::<i64>(), 0, "the devices send nothing that is refused");
        let ends = admin.offsets(TOPIC, KAFKA_PARTITIONS, OffsetQuery::Latest).expect("ask for the ends");
        let mut reader = RangeReader::new(&self.kafka.config()).expect("a reader");
        let mut records = Vec::new();
        for (kafka_partition, end) in (0..).zip(ends) {
            let partition = TopicPartition { topic: TOPIC.to_owned(), kafka_partition };
            reader.read_batches(&partition, 0, end, &mut |batch| records.extend(decode(batch))).expect("read the topic");
        }
        records
    }
}

fn decode(batch: &[kafka_io::RawRecord<'_>]) -> Vec<Record> {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    if batch.is_empty() {
        return Vec::new();
    }
    let schema = Arc::new(TableSchema::parse(SCHEMA).expect("a plain schema"));
    let source = Arc::new(SchemaFolder::from_schemas("telemetry-value", [(7, SCHEMA.to_owned())]));
    let mut decoder = BatchDecoder::new(schema, source, Limits::default());
    for record in batch {
        let pushed = decoder.push(record.value.expect("a record has a value"));
        assert!(matches!(pushed, Push::Row), "offset {}: {pushed:?}", record.offset);
    }
    let rows = decoder.flush().expect("good rows").expect("some rows");
    let devices = rows.column_by_name("device_id").expect("the column").as_string::<i32>();
    let sequences = rows.column_by_name("seq").expect("the column").as_primitive::<Int64Type>();
    let times = rows.column_by_name("event_time").expect("the column").as_primitive::<TimestampMicrosecondType>();
    let row = |row| {
        let device = devices.value(row).to_owned();
        assert_eq!(batch[row].key, Some(device.as_bytes()), "the key is the device");
        Record { device, sequence: sequences.value(row), event_time: times.value(row) }
    };
    (0..devices.len()).map(row).collect()
}

fn settings(kafka: &KafkaServer, mosquitto: &MosquittoServer, connections: u32) -> String {
    format!(
        "lake: ./lake
schemas: ./schemas
admin: \"127.0.0.1:0\"
kafka: {{bootstrap_servers: \"{}\"}}
tables: {{telemetry: {{topics: [{TOPIC}], event_time: event_time}}}}
bridge:
  instance: bridge-0
  mqtt:
    url: mqtt://127.0.0.1:{}
    connections: {connections}
  routes:
    - {{filter: \"devices/{{device_id}}/telemetry\", topic: {TOPIC}}}
",
        kafka.bootstrap_servers(),
        mosquitto.port()
    )
}

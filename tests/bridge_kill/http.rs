//! The bridge ends within a request, before and after each of its effects; the client posts again with the same key.
use service_runtime::fail_points::MARK;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};
use test_kit::{KafkaServer, Tributary, stored_records, unique_name, wait_until};

const SCHEMA: &str = r#"{"type": "record", "name": "Reading", "schema_id": 7, "fields": [
    {"name": "seq", "type": "long"},
    {"name": "message_id", "type": ["null", "string"], "default": null}]}"#;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const KAFKA_PARTITIONS: i32 = 2;
const RECORDS: u64 = 3;
const DEADLINE: Duration = Duration::from_secs(60);

struct Place<'a> {
    folder: &'a Path,
    settings: String,
    address: String,
    topic: String,
}

impl Place<'_> {
    fn start(&self, environment: &[(&str, &str)]) -> Tributary {
        let arguments = ["run", "bridge", "-s", &self.settings];
        let bridge = Tributary::start(Path::new(env!("CARGO_BIN_EXE_tributary")), &arguments, environment, self.folder);
        let bridge = bridge.expect("start the bridge");
        wait_until(DEADLINE, "the server", || TcpStream::connect(&self.address).is_ok());
        bridge
    }

    /// Posts request `number`; whether it was answered with 200.
    fn post(&self, number: u64) -> bool {
        let lines: String = (0..RECORDS).map(|index| format!("{{\"seq\": {}}}\n", number * RECORDS + index)).collect();
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &format!("Authorization: Bearer {TOKEN}")])
            .args(["-H", "Content-Type: application/x-ndjson", "-H", &format!("Idempotency-Key: request-{number}")])
            .args(["--data-binary", &lines, &format!("http://{}/v1/topics/{}/records", self.address, self.topic)])
            .output()
            .expect("run curl");
        output.stdout == b"200"
    }
}

#[test]
fn a_request_that_is_posted_again_is_whole_in_kafka() {
    let kafka = KafkaServer::start(&[]).expect("start Kafka");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for point in ["bridge-http-before-produce", "bridge-http-after-produce", "bridge-http-before-answer"] {
        let place = prepare(&kafka, folder.path());
        let mut bridge = place.start(&[("TRIBUTARY_FAIL_POINT", &format!("{point}:3"))]);
        // One after the other: the third request finds the point.
        let answered: Vec<bool> = (0..3).map(|number| place.post(number)).collect();
        assert_eq!(answered, [true, true, false], "{point}");
        bridge.wait(DEADLINE).expect("it ends");
        assert!(bridge.log().contains(&format!("{MARK} {point}")), "{point}: {}", bridge.log());
        let before = found(&kafka, &place.topic);
        assert!((0..2 * RECORDS as i64).all(|seq| before.contains_key(&seq)), "{point}: acknowledged records are there: {before:?}");

        let _bridge = place.start(&[]);
        wait_until(DEADLINE, "the request is taken", || place.post(2));
        let after = found(&kafka, &place.topic);
        assert_eq!(after.keys().copied().collect::<Vec<_>>(), (0..3 * RECORDS as i64).collect::<Vec<_>>(), "{point}");
        assert!(after.values().all(|ids| ids.len() == 1), "{point}: a repeated record has the id of the first: {after:?}");
    }
}

/// Message ids by sequence number.
fn found(kafka: &KafkaServer, topic: &str) -> BTreeMap<i64, BTreeSet<String>> {
    let mut ids: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for record in stored_records(kafka, topic, KAFKA_PARTITIONS) {
        let mut avro = record.avro(7);
        let (seq, has_id) = (avro.long(), avro.long());
        assert_eq!(has_id, 1, "each record has an id");
        ids.entry(seq).or_default().insert(avro.text());
    }
    ids
}

fn prepare<'a>(kafka: &KafkaServer, folder: &'a Path) -> Place<'a> {
    let topic = kafka.create_topic("readings", KAFKA_PARTITIONS).expect("create a topic");
    let refused = format!("{topic}.refused");
    kafka.admin().create_topic(&refused, 1, 1, &[]).expect("create the topic of refused records");
    let schemas = folder.join("schemas/reading");
    std::fs::create_dir_all(&schemas).expect("make the schemas folder");
    std::fs::write(schemas.join("v1.avsc"), SCHEMA).expect("write the schema");
    std::fs::write(folder.join("tokens.yaml"), format!("tokens:\n- {{name: gateway, token: {TOKEN}, topics: \"*\"}}\n"))
        .expect("write tokens");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port();
    let address = format!("127.0.0.1:{port}");
    let text = format!(
        "lake: ./lake
admin: \"127.0.0.1:0\"
kafka: {{bootstrap_servers: \"{}\"}}
tables: {{t: {{topics: [{topic}], subject: reading}}}}
bridge:
  instance: {}
  http:
    listen: \"{address}\"
    tokens_file: tokens.yaml
    topics: {{{topic}: {{subject: reading, message_id: message_id}}}}
",
        kafka.bootstrap_servers(),
        unique_name("bridge"),
    );
    let settings = Tributary::write_settings(folder, &text).expect("write the settings");
    Place { folder, settings: settings.display().to_string(), address, topic }
}

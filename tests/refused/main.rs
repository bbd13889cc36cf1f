//! What the bridge refuses is in the lake's quarantine as it came: the real services on a real broker, from an HTTP request to
//! `tributary quarantine`.
use event_schema::refused;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use test_kit::{KafkaServer, Signal, Tributary, unique_name, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");
const TOKEN: &str = "token-of-the-gateway-0123456789";
const LONG: Duration = Duration::from_secs(90);
const SCHEMA: &str = r#"{"schema_id":3,"type":"record","name":"Reading","fields":[
    {"name":"device","type":"string"},
    {"name":"measured_at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"value","type":["null","double"],"default":null}]}"#;
/// Larger than the bridge takes for a record, and than it keeps of one.
const LARGE_BYTES: usize = 120_000;

struct Place {
    folder: TempDir,
    topic: String,
    http: String,
}

fn free_port() -> u16 {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    held.local_addr().expect("its address").port()
}

impl Place {
    fn new() -> Self {
        let server = KafkaServer::shared();
        let topic = unique_name("refusals");
        for (name, partitions) in [(topic.clone(), 2), (format!("{topic}.refused"), 1)] {
            server.admin().create_topic(&name, partitions, 1, &[]).expect("a new topic");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = Self { folder, topic, http: format!("127.0.0.1:{}", free_port()) };
        place.write("schemas/readings/v1.avsc", SCHEMA);
        place.write("tokens.yaml", &format!("tokens:\n  - {{name: gateway, token: {TOKEN}, topics: \"*\"}}\n"));
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
        std::fs::write(path, text).expect("write the file");
    }

    /// The settings file of one process: each has an admin port of its own.
    fn settings(&self) -> PathBuf {
        let (brokers, topic) = (KafkaServer::shared().bootstrap_servers(), &self.topic);
        let text = format!(
            "lake: ./lake\nschemas: ./schemas\nadmin: 127.0.0.1:0\nkafka: {{bootstrap_servers: '{brokers}'}}\n\
             lake_writer: {{instance: w, commit_interval: 1s, shards: 1}}\n\
             tables:\n  readings: {{topics: ['{topic}', '{topic}.refused'], subject: readings, event_time: measured_at}}\n\
             bridge:\n  instance: b\n  max_record_bytes: 100KiB\n  http:\n    listen: {}\n    tokens_file: tokens.yaml\n    topics: {{'{topic}': \
             {{subject: readings, key: device, unknown_fields: refuse}}}}\n",
            self.http
        );
        Tributary::write_settings(self.folder.path(), &text).expect("write the settings")
    }

    fn start(&self, service: &str) -> Tributary {
        let settings = self.settings();
        let arguments = ["run", service, "-s", settings.to_str().expect("a path in UTF-8")];
        Tributary::start(Path::new(BINARY), &arguments, &[], self.folder.path()).expect("start a service")
    }

    /// Posts records; the answer's status and JSON, as soon as the bridge listens.
    fn post(&self, body: &[u8], more: &str) -> (u16, Value) {
        wait_for(LONG, "the bridge to answer", || self.try_post(body, more).ok().filter(|(status, _)| *status != 503))
    }

    fn try_post(&self, body: &[u8], more: &str) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(&self.http)?;
        stream.set_read_timeout(Some(LONG))?;
        let head = format!(
            "POST /v1/topics/{}/records HTTP/1.1\r\nHost: bridge\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n",
            self.topic,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let start = text.find('{').unwrap_or(text.len());
        let end = text.rfind('}').map_or(start, |end| end + 1);
        Ok((status, serde_json::from_str(&text[start..end]).unwrap_or_default()))
    }

    /// Runs a command and gives the objects that it prints.
    fn command(&self, arguments: &[&str]) -> Vec<Value> {
        let settings = self.settings();
        let ended = Command::new(BINARY).args(arguments).args(["-o", "json", "-s"]).arg(settings).output().expect("run the command");
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        let stream = serde_json::Deserializer::from_slice(&ended.stdout).into_iter();
        stream.map(|value| value.expect("the command prints JSON")).collect()
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let listed = self.command(&["quarantine", "list", "readings"]);
        let reasons = listed[0]["reasons"].as_array().expect("a list").iter();
        reasons.map(|reason| (reason["reason"].as_str().expect("text").to_owned(), reason["records"].as_u64().expect("a number"))).collect()
    }

    /// The only refused record of a reason: its value, and its headers as text.
    fn only(&self, reason: &str) -> (Vec<u8>, BTreeMap<String, String>, String) {
        let shown = self.command(&["quarantine", "show", "readings", "--reason", reason]);
        let [record] = &shown[..] else { panic!("{reason}: {shown:?}") };
        let bytes = |value: &Value| base64(value.as_str().expect("base64"));
        let headers = record["headers"].as_array().expect("a list").iter().map(|header| {
            let text = String::from_utf8(bytes(&header["value_base64"])).expect("headers are text");
            (header["key"].as_str().expect("a name").to_owned(), text)
        });
        assert_eq!(record["topic"], format!("{}.refused", self.topic));
        (bytes(&record["value_base64"]), headers.collect(), record["detail"].as_str().expect("text").to_owned())
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(digit).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - group.len()));
        bytes.extend(bits.to_be_bytes()[1..group.len()].iter());
    }
    bytes
}

fn header<'a>(headers: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    headers.get(name).map(String::as_str)
}

#[test]
fn what_the_bridge_refused_is_in_quarantine_as_it_came() {
    let place = Place::new();
    let (mut bridge, mut writer) = (place.start("bridge"), place.start("lake-writer"));
    let now = "2026-01-01T00:00:00Z";
    let lines = [
        // The first event time is far behind Kafka's timestamp: the lake-writer's own refusal, beside the bridge's.
        r#"{"device":"d-1","measured_at":"1999-01-01T00:00:00Z","value":1}"#.to_owned(),
        r#"{"device":"d-2","measured_at":"#.to_owned(),
        format!(r#"{{"device":"d-3","measured_at":"{now}","value":"warm"}}"#),
        format!(r#"{{"device":"d-4","measured_at":"{now}","value":1,"value":2}}"#),
        format!(r#"{{"measured_at":"{now}"}}"#),
        format!(r#"{{"device":"d-5","measured_at":"{now}","colour":"red"}}"#),
        format!(r#"{{"device":"{}","measured_at":"{now}"}}"#, "x".repeat(LARGE_BYTES)),
    ];
    let more = "Content-Type: application/x-ndjson\r\nIdempotency-Key: night-shift-7\r\n";
    let (status, answer) = place.post(lines.join("\n").as_bytes(), more);
    assert_eq!(status, 400, "{answer}");

    let expected: BTreeMap<String, u64> =
        ["duplicate_field", "event_time_past", "invalid_json", "missing_field", "too_large", "unknown_field", "wrong_type"]
            .map(|reason| (reason.to_owned(), 1))
            .into();
    wait_for(LONG, "all of them in quarantine", || {
        let lake_is_there = place.folder.path().join("lake/readings/_log/00000000000000000002.json").exists();
        lake_is_there.then(|| place.counts()).filter(|found| found.values().sum::<u64>() >= 7)
    });
    assert_eq!(place.counts(), expected);

    let (value, headers, detail) = place.only("wrong_type");
    assert_eq!(value, lines[2].as_bytes(), "the bytes are as they came");
    let named = [refused::SOURCE, refused::CLIENT, refused::REQUEST_ID, refused::REQUEST_INDEX, refused::SHA256];
    assert_eq!(named.map(|name| header(&headers, name)), [Some("http"), Some("gateway"), Some("night-shift-7"), Some("2"), None]);
    assert_eq!(header(&headers, refused::DETAIL), Some(detail.as_str()));
    assert!(detail.starts_with("`value`: `\"warm\"` is not a number that a double holds, at byte"), "{detail}");
    let (value, headers, _) = place.only("invalid_json");
    assert_eq!((value.as_slice(), header(&headers, refused::REQUEST_INDEX)), (lines[1].as_bytes(), Some("1")));

    let (value, headers, _) = place.only("too_large");
    assert_eq!(value, &lines[6].as_bytes()[..64 << 10], "the head of what is too large");
    assert_eq!(header(&headers, refused::SIZE_BYTES), Some(lines[6].len().to_string().as_str()));
    assert_eq!(header(&headers, refused::SHA256).map(str::len), Some(64));

    let verified = place.command(&["verify", "readings", "--deep", "--kafka"]);
    assert_eq!(verified.last().map(|report| &report["violations"]), Some(&json!([])), "{verified:?}");
    for service in [&mut bridge, &mut writer] {
        service.signal(Signal::Terminate).expect("it runs");
        assert!(service.wait(LONG).expect("it ends").success(), "{}", service.log());
    }
}

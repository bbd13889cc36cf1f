//! Commands against a real broker.
use super::{Ended, project, run, run_with};
use kafka_io::{RangeReader, TopicPartition};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use test_kit::{KafkaServer, Signal, Tributary, unique_name, wait_for};

/// A record as it came back.
#[derive(Debug, PartialEq, Eq)]
struct Back {
    kafka_partition: i32,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

fn settings(topic: &str, extra: &str) -> (TempDir, String) {
    let brokers = KafkaServer::shared().bootstrap_servers();
    project(&format!(
        "lake: ./lake\nkafka: {{bootstrap_servers: '{brokers}'}}\n{extra}tables:\n  readings: {{topics: [{topic}], subject: readings-value, event_time: measured_at}}\n"
    ))
}

fn read_back(topic: &str, kafka_partition: i32, count: i64) -> Vec<Back> {
    let mut found = Vec::new();
    let partition = TopicPartition { topic: topic.to_owned(), kafka_partition };
    let mut each = |record: kafka_io::RawRecord<'_>| {
        found.push(Back {
            kafka_partition: record.kafka_partition,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        });
    };
    let mut reader = RangeReader::new(&KafkaServer::shared().config()).expect("a reader");
    reader.read(&partition, 0, count, &mut each).expect("the records are there");
    found
}

/// Frame with schema id 1, device, micros, null.
fn reading(device: &str, millis: i64) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 1, (device.len() * 2) as u8];
    bytes.extend(device.as_bytes());
    let mut zigzag = (millis * 1_000 * 2) as u64;
    while zigzag >= 0x80 {
        bytes.push((zigzag as u8) | 0x80);
        zigzag >>= 7;
    }
    bytes.extend([zigzag as u8, 0]);
    bytes
}

fn words(ended: &Ended, line: usize) -> Vec<&str> {
    ended.stdout.lines().nth(line).unwrap_or_default().split_whitespace().collect()
}

#[test]
fn topics_are_checked_and_created_once() {
    let topic = unique_name("topics");
    let (_folder, file) = settings(&topic, "");
    let check = run(&["topics", "check", "-s", &file]);
    assert_eq!(check.code, 1, "{check:?}");
    assert_eq!(words(&check, 3), [topic.as_str(), "missing", "readings"]);
    assert!(check.stderr.contains("1 missing; `tributary topics create` makes it"), "{check:?}");
    let create = run(&["topics", "create", "--partitions", "3", "--replication", "1", "-s", &file, "-o", "json"]);
    assert_eq!(create.code, 0, "{create:?}");
    assert_eq!(create.json()["topics"][0]["state"], "created");
    let found = wait_for(Duration::from_secs(30), "the topic to be seen", || {
        Some(run(&["topics", "check", "-s", &file, "-o", "json"])).filter(|ended| ended.code == 0).map(|ended| ended.json())
    });
    assert_eq!((&found["topics"][0]["state"], &found["topics"][0]["partitions"]), (&Value::from("exists"), &Value::from(3)));
    assert!(found["cluster_id"].as_str().is_some_and(|id| !id.is_empty()));
    let again = run(&["topics", "create", "-s", &file, "-o", "json"]);
    assert_eq!((again.code, &again.json()["topics"][0]["state"]), (0, &Value::from("exists")), "{again:?}");
}

#[test]
fn csv_ndjson_and_raw_arrive_as_they_were_written() {
    let topic = KafkaServer::shared().create_topic("produce", 2).unwrap();
    let (_folder, file) = settings(&topic, "");
    let produce =
        |more: &[&str], input: &str| run_with(&[&["produce", &topic, "-s", &file, "--partition", "1"], more].concat(), input.as_bytes());
    let csv = "device,measured_at,value\na,2013-01-01T06:00:00Z,\nb,2013-01-01T07:00:00Z,\n";
    let ended =
        produce(&["--subject", "readings-value", "--format", "csv", "--timestamp-column", "measured_at", "--key-column", "device"], csv);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, format!("2 records sent to topic {topic}\n").as_str()), "{ended:?}");
    let json = "{\"device\": \"c\", \"measured_at\": \"2013-01-01T08:00:00Z\"}\n";
    let ended = produce(&["--subject", "readings-value", "--timestamp", "1357027200001", "-o", "json"], json);
    assert_eq!((ended.code, &ended.json()["records_sent"]), (0, &Value::from(1)), "{ended:?}");
    assert_eq!(produce(&["--format", "raw", "--timestamp", "5"], "xyz").code, 0);
    let back = |timestamp_ms, key: Option<&[u8]>, value: &[u8]| Back {
        kafka_partition: 1,
        timestamp_ms,
        key: key.map(<[u8]>::to_vec),
        value: Some(value.to_vec()),
    };
    let hour = 3_600_000;
    let first = 1_357_020_000_000;
    assert_eq!(
        read_back(&topic, 1, 4),
        [
            back(first, Some(b"a"), &reading("a", first)),
            back(first + hour, Some(b"b"), &reading("b", first + hour)),
            back(first + 2 * hour + 1, None, &reading("c", first + 2 * hour)),
            back(5, None, b"xyz"),
        ]
    );
}

#[test]
fn what_cannot_be_produced_says_where_and_sends_what_was_before() {
    let topic = KafkaServer::shared().create_topic("produce-bad", 1).unwrap();
    let (_folder, file) = settings(&topic, "");
    let csv = "device,measured_at,value\na,2013-01-01T06:00:00Z,1.5\nb,soon,1\n";
    let ended = run_with(&["produce", &topic, "-s", &file, "--subject", "readings-value", "--format", "csv"], csv.as_bytes());
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.starts_with("error: 1 records were sent before this: stdin:3: column `measured_at`: "), "{ended:?}");
    assert_eq!(read_back(&topic, 0, 1).len(), 1);
    let missing = run(&["produce", "no-such-topic-here", "-s", &file, "--subject", "readings-value"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("topic `no-such-topic-here` does not exist"), "{missing:?}");
    assert_eq!(run(&["topics", "check", "-s", &file]).code, 0);
    for (wrong, what) in [
        (&["--subject", "reading-value"][..], "subject `reading-value` has no schema"),
        (&["--subject", "readings-value", "--partition", "7"], "has no kafka_partition 7"),
        (&["--subject", "readings-value", "--timestamp", "noon"], "`noon` is no time"),
        (&[], "--subject"),
    ] {
        let ended = run(&[&["produce", &topic, "-s", &file], wrong].concat());
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains(what), "{ended:?}");
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

#[test]
fn the_lake_writer_becomes_ready_counts_rows_and_ends_well_on_sigterm() {
    let topic = KafkaServer::shared().create_topic("run", 1).unwrap();
    let port = free_port();
    let (folder, file) =
        settings(&topic, &format!("admin: 127.0.0.1:{port}\nlake_writer: {{instance: w1, commit_interval: 200ms, shards: 1}}\n"));
    let csv = "device,measured_at\na,2013-01-01T06:00:00Z\nb,2013-01-01T07:00:00Z\n";
    let arguments = ["produce", &topic, "-s", &file, "--subject", "readings-value", "--format", "csv", "--timestamp-column", "measured_at"];
    assert_eq!(run_with(&arguments, csv.as_bytes()).code, 0);
    let mut writer =
        Tributary::start(Path::new(env!("CARGO_BIN_EXE_tributary")), &["run", "lake-writer", "-s", &file], &[], folder.path()).unwrap();
    let metrics = wait_for(Duration::from_secs(90), "two rows in the lake", || {
        get(port, "/metrics").filter(|text| text.contains("tributary_writer_rows_total{table=\"readings\"} 2"))
    });
    assert!(metrics.contains("tributary_build_info{version="), "{metrics}");
    assert!(get(port, "/ready").unwrap().starts_with("HTTP/1.1 200"), "{}", writer.log());
    assert!(get(port, "/live").unwrap().starts_with("HTTP/1.1 200"));
    let second = run(&["run", "lake-writer", "-s", &file]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("listen on admin port"), "{second:?}");
    writer.signal(Signal::Terminate).unwrap();
    let status = writer.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", writer.log());
}

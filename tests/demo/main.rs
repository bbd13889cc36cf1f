//! `tributary demo`: what it sends is in the lake, value by value, as pyarrow reads it; and each message of a simulated device is where its
//! kind ends.
use serde_json::Value;
use std::{path::Path, process::Command};
use test_kit::{KafkaServer, PythonReaders};

const COMPARE: &str = include_str!("compare.py");
const COUNT: &str = include_str!("count.py");

fn demo(folder: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["demo", "-o", "json", "--dir"])
        .arg(folder)
        .args(arguments)
        .output()
        .expect("run the demo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the demo ended with {}:\n{errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}

fn compare(folder: &Path) -> Value {
    let observations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/weather/weather.csv");
    let readers = PythonReaders::prepare().expect("prepare the readers");
    let text = readers.run_python(COMPARE, &[observations, folder.join("lake/weather")]).expect("compare with pyarrow");
    serde_json::from_str(&text).expect("the script prints JSON")
}

/// The sums of the devices' part agree; returns how many messages they sent.
fn check_devices(summary: &Value) -> u64 {
    let telemetry = &summary["telemetry"];
    assert_eq!(telemetry["agree"], true, "{summary:#}");
    assert_eq!((&telemetry["violations"], &telemetry["surplus"]), (&Value::from(0), &Value::from(0)), "{summary:#}");
    let kinds = telemetry["kinds"].as_array().expect("a list of kinds");
    let sum = |name: &str| kinds.iter().map(|kind| kind[name].as_u64().expect("a number")).sum::<u64>();
    let sent = telemetry["messages_sent"].as_u64().expect("a number");
    assert_eq!((sum("sent"), sum("rows") + sum("duplicates") + sum("quarantined")), (sent, sent), "{summary:#}");
    assert_eq!(telemetry["windows"]["duplicates"], sum("duplicates"), "{summary:#}");
    for kind in kinds {
        // Whatever the summary believes: a kind with a reason is refused whole, one without becomes rows.
        let end = if kind["reason"].is_null() { "rows" } else { "quarantined" };
        let dropped = kind["duplicates"].as_u64().expect("a number");
        assert!(dropped == 0 || kind["kind"] == "repeated", "{kind}");
        assert_eq!(kind[end].as_u64().expect("a number") + dropped, kind["sent"], "{kind}");
    }
    sent
}

/// Rows and refused records of the devices' table, as pyarrow reads the files.
fn count_devices(folder: &Path) -> Value {
    let readers = PythonReaders::prepare().expect("prepare the readers");
    let text = readers.run_python(COUNT, &[folder.join("lake/telemetry")]).expect("count with pyarrow");
    serde_json::from_str(&text).expect("the script prints JSON")
}

#[test]
fn the_lake_holds_the_observations_value_by_value() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path().join("demo");
    let summary = demo(&folder, &[]);
    assert_eq!(summary["records_sent"], 26_115, "{summary}");
    assert_eq!(summary["rows_in_lake"], 26_115, "{summary}");
    assert_eq!(summary["quarantined"], 0, "{summary}");
    assert_eq!(summary["violations"], 0, "{summary}");
    assert_eq!(compare(&folder), serde_json::json!({"rows": 26_115, "expected": 26_115, "different": []}));

    let sent = check_devices(&summary);
    assert!(sent > 5_000, "{summary:#}");
    let windows = |name: &str| summary["telemetry"]["windows"][name].as_u64().expect("a number");
    assert!(windows("sealed") > 20 && windows("amended") > 3 && windows("late_rows") > 50 && windows("duplicates") > 20, "{summary:#}");
    assert!(summary["telemetry"]["derived_rows"].as_u64().is_some_and(|rows| rows > 500), "{summary:#}");
    let kinds = summary["telemetry"]["kinds"].as_array().expect("a list of kinds");
    assert!(
        kinds.len() == 8 && kinds.iter().all(|kind| kind["sent"].as_u64().is_some_and(|sent| sent > 0)),
        "every kind comes up: {summary:#}"
    );
    assert!(summary["telemetry"]["died"].as_u64().is_some_and(|died| died > 0), "{summary:#}");
    let found = count_devices(&folder);
    let by_reason = |kind: &Value| Some((kind["reason"].as_str()?.to_owned(), kind["sent"].clone()));
    let expected: serde_json::Map<String, Value> = kinds.iter().filter_map(by_reason).collect();
    assert_eq!(found["refused"], Value::Object(expected));
    let rows: u64 = kinds.iter().map(|kind| kind["rows"].as_u64().expect("a number")).sum();
    assert_eq!(found["rows"], rows, "{found}");
    assert_eq!(found["repeated"], kinds.iter().find(|kind| kind["kind"] == "repeated").expect("the kind")["rows"], "{found}");
}

#[test]
fn on_a_real_broker_it_ends_after_the_seconds_given() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path().join("demo");
    let servers = KafkaServer::shared().bootstrap_servers();
    let summary = demo(&folder, &["--kafka", &servers, "--seconds", "3"]);
    let sent = summary["records_sent"].as_u64().expect("a number");
    assert!((1..26_115).contains(&sent), "{summary}");
    assert_eq!(summary["rows_in_lake"], sent, "{summary}");
    assert_eq!(summary["violations"], 0, "{summary}");
    let sent = check_devices(&summary);
    assert!((1..5_000).contains(&sent), "{summary:#}");

    let again = demo(&folder, &["--kafka", &servers, "--seconds", "1", "--devices", "0"]);
    assert_eq!(again["telemetry"], Value::Null, "{again}");
    assert_eq!(again["rows_in_lake"], again["records_sent"], "the folder of the earlier demo is replaced: {again}");
}

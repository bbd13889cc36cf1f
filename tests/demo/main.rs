//! `tributary demo`: what it sends is in the lake, value by value, as pyarrow reads it.
use serde_json::Value;
use std::{path::Path, process::Command};
use test_kit::{KafkaServer, PythonReaders};

const COMPARE: &str = include_str!("compare.py");

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

    let again = demo(&folder, &["--kafka", &servers, "--seconds", "1"]);
    assert_eq!(again["rows_in_lake"], again["records_sent"], "the folder of the earlier demo is replaced: {again}");
}

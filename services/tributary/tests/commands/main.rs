//! The commands around the lake-writer, run as a user runs them: what they print, and how they end.
mod kafka;

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The one JSON object on stdout.
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `tributary` with `input` on stdin.
fn run_with(arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(arguments).env("HOSTNAME", "test-host").env_remove("TRIBUTARY_SETTINGS");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    // A command that does not read its input closes the pipe.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Ended { code: output.status.code().expect("no signal ended it"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn run(arguments: &[&str]) -> Ended {
    run_with(arguments, b"")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder with a settings file and the example's schema. Returns the folder and the file.
fn project(settings: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let subject = folder.path().join("schemas/readings-value");
    fs::create_dir_all(&subject).expect("make the subject");
    fs::copy(root().join("examples/schemas/readings-value/v1.avsc"), subject.join("v1.avsc")).expect("copy the schema");
    let file = folder.path().join("tributary.yaml");
    fs::write(&file, settings).expect("write the settings");
    let file = file.display().to_string();
    (folder, file)
}

#[test]
fn help_names_the_exit_codes_and_usage_errors_end_with_2() {
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for (code, word) in [(0, "done"), (1, "failed"), (2, "settings or usage"), (3, "violation"), (4, "stopped")] {
        let line = help.stdout.lines().find(|line| line.trim_start().starts_with(&format!("{code}  "))).expect("a line per code");
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(run(&["no-such-command"]).code, 2);
    assert_eq!(run(&["produce", "t", "--partition", "-1"]).code, 2);
    assert_eq!(run(&["topics", "create", "--partitions", "0"]).code, 2);
    assert!(run(&["--version"]).stdout.starts_with("tributary 0."));
}

#[test]
fn check_of_the_example_finds_nothing() {
    let file = root().join("examples/minimal.yaml").display().to_string();
    let ended = run(&["check", "-s", &file]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let row = ended.stdout.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(row, "readings readings readings-value v1 (id 1) measured_at 1h 3");
    let json = run(&["check", "-s", &file, "-o", "json"]).json();
    assert_eq!((&json["ok"], &json["tables"][0]["schema_id"]), (&Value::from(true), &Value::from(1)));
}

#[test]
fn check_prints_all_faults_with_their_lines_and_ends_with_2() {
    let text = fs::read_to_string(root().join("crates/service-runtime/tests/invalid/faults_everywhere.yaml")).unwrap();
    let (_folder, file) = project(&text);
    let ended = run(&["check", "-s", &file]);
    assert_eq!(ended.code, 2);
    let expected: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("#! ")).map(|fault| format!("{file}:{fault}")).collect();
    assert!(expected.len() >= 10);
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), expected);
    let json = run(&["check", "-s", &file, "-o", "json"]);
    assert_eq!(json.code, 2);
    assert_eq!(json.json()["faults"].as_array().unwrap().len(), expected.len());
    assert_eq!(json.json()["faults"][0]["path"], "lake");
    assert_eq!(json.json()["faults"][0]["line"], 1);
}

#[test]
fn commands_on_faulty_settings_print_all_faults_and_end_with_2() {
    let (_folder, file) = project("lake: s3://bucket\n");
    for command in [&["status"][..], &["topics", "check"], &["run", "lake-writer"], &["sql", "select 1"]] {
        let ended = run(&[command, &["-s", &file]].concat());
        assert_eq!(ended.code, 2, "{ended:?}");
        assert_eq!(ended.stderr.lines().filter(|line| line.starts_with(&file)).count(), 3, "{ended:?}");
    }
    let ended = run(&["status", "-s", "/nonexistent.yaml", "-o", "json"]);
    assert_eq!(ended.code, 2);
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["exit"], 2);
    assert!(error["faults"][0]["what"].as_str().unwrap().contains("No such file"));
}

#[test]
fn a_lake_that_is_not_there_is_an_error_and_is_not_made() {
    let (folder, file) = project("lake: ./lake\nkafka: {bootstrap_servers: 'localhost:1'}\ntables:\n  readings: {topics: [readings]}\n");
    let ended = run(&["sql", "select 1 from readings", "-s", &file]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("does not exist\nhelp: run the lake-writer first"), "{ended:?}");
    assert!(!folder.path().join("lake").exists());
}

#[test]
fn settings_schema_is_the_one_in_the_repository() {
    let ended = run(&["settings", "schema"]);
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    let stored: Value = serde_json::from_str(&fs::read_to_string(root().join("schemas/tributary.schema.json")).unwrap()).unwrap();
    assert_eq!(printed, stored);
}

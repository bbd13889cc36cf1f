//! The commands with a schema registry in place of the folder: Apicurio, a real broker, the real binary.
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};
use test_kit::{KafkaServer, RegistryServer, Signal, Tributary, unique_name, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");
const LONG: Duration = Duration::from_secs(90);
const FIRST: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"site","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"value","type":"double"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"site","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"value","type":"double"},{"name":"unit","type":"string","default":"C"}]}"#;

struct Scene {
    folder: tempfile::TempDir,
    settings: PathBuf,
    topic: String,
    subject: String,
}

impl Scene {
    fn new(registry: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let server = KafkaServer::shared();
        let topic = server.create_topic("readings", 2).expect("create a topic");
        let subject = format!("{topic}-value");
        let text = format!(
            "lake: ./lake\nadmin: 127.0.0.1:0\nkafka: {{bootstrap_servers: '{}'}}\nschema_registry: {registry}\n\
             lake_writer: {{instance: w, commit_interval: 500ms, memory_budget: 128MiB}}\n\
             tables:\n  readings: {{topics: ['{topic}'], event_time: at, partition_by: [site], max_past: 36500d}}\n",
            server.bootstrap_servers()
        );
        let settings = Tributary::write_settings(folder.path(), &text).expect("write the settings");
        Self { folder, settings, topic, subject }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--settings").arg(&self.settings).env("REGISTRY_TOKEN", "hunter2");
        command.output().expect("run the command")
    }

    fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Rows of the subject's latest schema.
    fn produce(&self, rows: std::ops::Range<u32>, more: &str) {
        let file = self.folder.path().join(unique_name("rows"));
        let row = |n: u32| format!("{{\"site\": \"s{}\", \"at\": \"2026-01-01T00:00:{:02}Z\", \"value\": {n}.5{more}}}\n", n % 3, n % 60);
        std::fs::write(&file, rows.map(row).collect::<String>()).expect("write the rows");
        let file = file.display().to_string();
        self.must(&["produce", &self.topic, "--subject", &self.subject, "--file", &file, "--timestamp", "2026-01-01T00:01:00Z"]);
    }

    fn writer(&self) -> Tributary {
        let settings = self.settings.display().to_string();
        let arguments = ["run", "lake-writer", "--settings", &settings];
        Tributary::start(Path::new(BINARY), &arguments, &[("REGISTRY_TOKEN", "hunter2")], self.folder.path()).expect("start")
    }

    fn wait_for_rows(&self, rows: u64) {
        wait_until(LONG, &format!("{rows} rows"), || {
            let output = self.run(&["sql", "SELECT count(*) AS rows FROM readings", "-o", "json"]);
            let parsed: Option<Value> = serde_json::from_slice(&output.stdout).ok();
            parsed.is_some_and(|value| value.to_string().contains(&format!(":{rows}")))
        });
    }
}

fn stop(mut writer: Tributary) -> String {
    writer.signal(Signal::Terminate).expect("it runs");
    let status = writer.wait(LONG).expect("it ends");
    assert!(status.success(), "{}", writer.log());
    writer.log()
}

#[test]
fn every_command_works_with_a_registry() {
    let registry = RegistryServer::shared();
    let scene = Scene::new(&format!("{{url: '{}', token: '${{REGISTRY_TOKEN}}'}}", registry.url()));
    let missing = scene.run(&["check"]);
    assert_eq!(missing.status.code(), Some(2));
    let text = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(text.contains("tables.readings.subject") && text.contains(&scene.subject), "{text}");

    registry.register(&scene.subject, FIRST);
    let checked = scene.must(&["check"]);
    assert!(checked.contains(&format!("{} v1", scene.subject)), "{checked}");
    scene.produce(0..100, "");
    let writer = scene.writer();
    scene.wait_for_rows(100);

    registry.register(&scene.subject, SECOND);
    scene.produce(100..200, ", \"unit\": \"F\"");
    scene.wait_for_rows(200);
    let log = stop(writer);
    assert!(!log.contains("hunter2"), "{log}");
    let units =
        scene.must(&["sql", "SELECT coalesce(unit, 'none') AS unit, count(*) AS rows FROM readings GROUP BY 1 ORDER BY 1", "-o", "json"]);
    assert!(units.contains("\"F\"") && units.contains("none"), "{units}");
    scene.must(&["verify", "readings", "--deep", "--kafka"]);
}

#[test]
fn a_registry_that_cannot_be_reached_is_a_fault_of_check_and_no_end_of_the_writer() {
    let scene = Scene::new("{url: 'http://127.0.0.1:9', token: '${REGISTRY_TOKEN}', timeout: 500ms}");
    let output = scene.run(&["check"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("schema_registry") && text.contains("in trouble") && !text.contains("hunter2"), "{text}");
    let output = scene.run(&["produce", &scene.topic, "--subject", &scene.subject]);
    assert_eq!(output.status.code(), Some(1));
    let writer = scene.writer();
    wait_until(LONG, "the reason in its log", || writer.log().contains("in trouble"));
    let log = stop(writer);
    assert!(!log.contains("hunter2"), "{log}");
}

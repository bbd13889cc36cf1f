use super::*;
use std::fmt::Write;
use table_log::record::TableSettings;
use windowing::{Micros, Time};

const MINIMAL: &str = include_str!("../../../../examples/minimal.yaml");

fn environment(name: &str) -> Option<String> {
    match name {
        "HOSTNAME" => Some("pod-7".to_owned()),
        "BROKERS" => Some("a:9092,b:9092".to_owned()),
        "SHARDS" => Some("3".to_owned()),
        "EVIL" => Some("x\nlake: /etc".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse("tributary.yaml", text, &environment).map(|(settings, _)| settings)
}

#[test]
fn the_minimal_example_works_and_has_at_most_15_lines() {
    assert!(MINIMAL.lines().count() <= 15);
    let settings = parse(MINIMAL).unwrap_or_else(|error| panic!("{}", error.report()));
    let table = settings.tables.values().next().unwrap();
    assert_eq!(table.subject, format!("{}-value", table.topics[0].topic));
    assert_eq!(settings.lake_writer.instance, "pod-7");
    assert!(settings.lake_writer.shards >= 1);
    assert_eq!(settings.lake_writer.commit_interval, Duration::from_secs(60));
}

#[test]
fn everything_can_be_set() {
    let settings = parse(
        r#"
lake: /data/lake
kafka:
  bootstrap_servers: ${BROKERS}
  security: {protocol: plaintext}
  session_timeout: 10s
schemas: avro
admin: 0.0.0.0:9000
lake_writer:
  instance: writer-${HOSTNAME}
  commit_interval: 500ms
  commit_bytes: 1000000
  memory_budget: 64MiB
  shards: ${SHARDS}
  compression: snappy
tables:
  readings:
    topics:
      - readings
      - {topic: old.readings, start: 2026-11-21T05:00:00Z}
      - topic: readings.refused
    subject: reading
    event_time: measured_at
    window: 15m
    partition_by: [site]
    allowed_lateness: 10m
    out_of_orderness: 0s
    idle_timeout: none
    max_future: 5m
    max_past: 7d
    dedupe_by: [device, id]
    sort_by: [device]
    tombstones: skip
"#,
    )
    .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(settings.kafka.bootstrap_servers, "a:9092,b:9092");
    assert_eq!(settings.lake_writer.shards, 3);
    assert_eq!(settings.lake_writer.commit_bytes, ByteSize(1_000_000));
    assert_eq!(settings.lake_writer.instance, "writer-pod-7");
    let table = &settings.tables["readings"];
    let starts: Vec<_> = table.topics.iter().map(|topic| (topic.topic.as_str(), topic.start, topic.refused)).collect();
    let time = StartFrom::Time(Time(1_795_237_200_000_000));
    assert_eq!(
        starts,
        [("readings", StartFrom::Earliest, false), ("old.readings", time, false), ("readings.refused", StartFrom::Earliest, true)]
    );
    let minute = 60_000_000;
    assert_eq!(
        table.to_log(),
        TableSettings {
            event_time: Some("measured_at".to_owned()),
            window: WindowSize::new(Micros(15 * minute)).unwrap(),
            partition_by: vec!["site".to_owned()],
            allowed_lateness: Micros(10 * minute),
            out_of_orderness: Micros(0),
            idle_timeout: None,
            max_future: Micros(5 * minute),
            max_past: Micros(7 * 1_440 * minute),
            dedupe_by: vec!["device".to_owned(), "id".to_owned()],
            sort_by: vec!["device".to_owned()],
            catalog: Default::default(),
        }
    );
}

use windowing::WindowSize;

#[test]
fn a_variable_brings_no_structure_and_messages_show_its_name() {
    let text = |instance: &str, window: &str| {
        format!(
            "lake: ./lake\nkafka: {{bootstrap_servers: 'k:1'}}\nlake_writer: {{instance: '{instance}'}}\ntables:\n  t: {{topics: [a], window: '{window}'}}\n"
        )
    };
    let error = parse(&text("${EVIL}", "1h")).unwrap_err();
    assert_eq!(error.faults.len(), 1, "{}", error.report());
    assert_eq!(error.faults[0].path, "lake_writer.instance");
    let error = parse(&text("a", "${SECRET}")).unwrap_err();
    assert_eq!(
        error.report(),
        "tributary.yaml:5: tables.t.window: `${SECRET}` is no duration (write a number with `ms`, `s`, `m`, `h` or `d`, such as `60s`)"
    );
}

#[test]
fn a_topic_may_be_read_by_two_tables() {
    let text = format!("{MINIMAL}  second:\n    topics: [readings]\n");
    assert_eq!(parse(&text).unwrap_or_else(|error| panic!("{}", error.report())).tables.len(), 2);
}

#[test]
fn hostile_files_are_faults_and_no_crash() {
    let deep = format!("lake: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    for text in ["", "null", "[]", "- a", "lake", "\0", "a: b: c", "%", "---\na: 1\n---\nb: 2\n", "? [a]\n: b\n", &deep, bomb] {
        let error = parse(text).expect_err("a fault");
        assert!(!error.faults.is_empty());
    }
}

#[test]
fn a_missing_file_is_one_fault() {
    let error = Settings::load(Path::new("/nonexistent/tributary.yaml")).unwrap_err();
    assert!(
        error.report().starts_with("/nonexistent/tributary.yaml: the settings file cannot be read: No such file"),
        "{}",
        error.report()
    );
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tributary.yaml");
    std::fs::write(&file, MINIMAL.replace("${", "$${")).unwrap();
    let (settings, places) = Settings::load_with_places(&file).unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(Path::new(&settings.lake).starts_with(folder.path()));
    assert!(settings.schemas.starts_with(folder.path()));
    assert_eq!(places.line("tables.readings.window"), places.line("tables.readings"));
    assert!(places.line("tables.readings.topics[0]") > places.line("tables"));
}

/// Each file in tests/invalid is named by its defect and ends with the faults that it must give, as comments.
#[test]
fn invalid_files_give_all_their_faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "only {} invalid files", files.len());
    let mut wrong = String::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let body: String = text.lines().filter(|line| !line.starts_with("#! ")).fold(String::new(), |all, line| all + line + "\n");
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#! ")).map(str::to_owned).collect();
        let found = match Settings::parse(&name, &body, &environment) {
            Ok(_) => vec!["no fault".to_owned()],
            Err(error) => error.report().lines().map(|line| line.replacen(&name, "", 1)[1..].to_owned()).collect(),
        };
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            let faults: String = found.iter().map(|fault| format!("#! {fault}\n")).collect();
            std::fs::write(&file, body + &faults).unwrap();
        } else if found != expected {
            let _ = writeln!(wrong, "{name}\n  expected {expected:#?}\n  found {found:#?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_json_schema_and_the_reference_are_those_of_the_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schema = serde_json::to_string_pretty(&Settings::json_schema()).unwrap() + "\n";
    for (file, expected) in [("schemas/tributary.schema.json", schema), ("docs/settings.md", Settings::reference())] {
        let file = root.join(file);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == expected, "{} differs from the types: run `UPDATE_DOCS=1 cargo test -p service-runtime`", file.display());
    }
}

/// Every setting says what it is; every default is in the schema or described.
#[test]
fn every_setting_is_documented() {
    let schema = Settings::json_schema();
    let mut without = Vec::new();
    let definitions = schema["$defs"].as_object().unwrap().iter().map(|(name, definition)| (name.as_str(), definition));
    for (name, definition) in definitions.chain([("Settings", &schema)]) {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().unwrap_or_default().len() < 10 && property.get("const").is_none() {
                without.push(format!("{name}.{key}"));
            }
        }
    }
    assert!(without.is_empty(), "no description: {without:?}");
}

use super::*;
use crate::output::Mode;
use std::fs;

const SCHEMA: &str = r#"{"schema_id": 7, "type": "record", "name": "R", "fields": [
    {"name": "device_id", "type": "string"},
    {"name": "measured_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "value", "type": ["null", "double"], "default": null}]}"#;
const SETTINGS: &str = "lake: ./lake
kafka: {bootstrap_servers: 'localhost:9092'}
lake_writer: {instance: a}
window_sealer: {instance: a}
tables:
  r: {topics: [r], event_time: measured_at, window: 1m}
transforms:
  averages: {source: r, sql: averages.sql, size: 10s, every: 5s, window: 1m, references: {devices: devices.csv}}
  hourly: {source: averages, sql: hourly.sql, size: 1h}
";
const SQL: &str = "SELECT window_start, window_end, d.site, avg(r.value) AS value, count(*) AS readings
FROM r JOIN devices d ON r.device_id = d.device_id GROUP BY 1, 2, 3";
const HOURLY: &str = "SELECT window_start, window_end, sum(readings) AS readings FROM averages GROUP BY 1, 2";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs the tests of a file in a folder with two transforms.
fn run_in(tests: &str) -> anyhow::Result<Vec<Outcome>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    write("schemas/r-value/v1.avsc", SCHEMA);
    write("averages.sql", SQL);
    write("hourly.sql", HOURLY);
    write("devices.csv", "device_id,site\na,north\nb,south\n");
    let file = write("tributary.yaml", SETTINGS);
    let tests = write("averages.test.yaml", tests);
    let settings = Settings::load(&file).unwrap();
    assert_eq!(beside_the_sql(&settings), [tests.as_path()]);
    block_on(async {
        let planned = plan(&settings).await?;
        let found = TestFile::read(&tests).map_err(anyhow::Error::msg)?;
        let transform = planned[&found.transform].as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut outcomes = Vec::new();
        for case in &found.tests {
            let (windows, differences) = run_case(transform, case).await?;
            outcomes.push(Outcome {
                file: String::new(),
                transform: found.transform.clone(),
                test: case.name.clone(),
                windows,
                differences,
            });
        }
        show(&outcomes, Output::new(Mode::Json))?;
        Ok(outcomes)
    })
}

#[test]
fn rows_in_and_expected_rows_out() {
    let outcomes = run_in(
        "transform: averages
tests:
  - name: a hop has the rows of the window before
    window: 2026-11-21T05:01:00Z
    rows:
      - {device_id: a, measured_at: 2026-11-21T05:00:57Z, value: 1}
      - {device_id: b, measured_at: 2026-11-21T05:00:58Z, value: 0.3}
      - {device_id: x, measured_at: 2026-11-21T05:00:58Z, value: 100}
    expect:
      - {window_end: 2026-11-21T05:01:05Z, site: south, value: 0.30000000000000004, readings: 1}
      - {window_end: 2026-11-21T05:01:05Z, site: north, value: 1, readings: 1}
  - name: all windows, and another list of devices
    rows: [{device_id: x, measured_at: 2026-11-21T05:00:57Z, value: 1}]
    references: {devices: [{device_id: x, site: east}]}
    expect:
      - {window_start: 2026-11-21T05:00:50Z, site: east}
      - {window_start: 2026-11-21T05:00:55Z, site: east}
",
    )
    .unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.differences.is_empty()), "{outcomes:?}");
    assert_eq!(outcomes.iter().map(|outcome| outcome.windows).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_differs_is_shown() {
    let outcomes = run_in(
        "transform: averages
tests:
  - name: wrong
    rows: [{device_id: a, measured_at: 2026-11-21T05:00:02Z, value: 1}]
    expect: [{window_end: 2026-11-21T05:00:10Z, value: 2}, {window_end: 2026-11-21T05:00:05Z, value: 1}]
  - name: nothing is expected
    window: 2026-11-21T05:00:00Z
    rows: [{device_id: x, measured_at: 2026-11-21T05:00:02Z, value: 1}]
    expect: []
  - name: something comes
    window: 2026-11-21T05:00:00Z
    rows: [{device_id: a, measured_at: 2026-11-21T05:00:02Z, value: 1}]
    expect: []
",
    )
    .unwrap();
    let text = outcomes[0].differences.join("\n");
    assert!(text.starts_with("missing:    {") && text.contains("unexpected: {"), "{text}");
    assert_eq!(outcomes[0].differences.len(), 2);
    assert!(outcomes[1].differences.is_empty());
    assert_eq!(outcomes[2].differences.len(), 2);
}

#[test]
fn chains_are_tested_by_the_columns_of_the_transform_before() {
    let outcomes = run_in(
        "transform: hourly
tests:
  - name: sums
    rows:
      - {window_start: 2026-11-21T05:59:50Z, window_end: 2026-11-21T06:00:00Z, readings: 2}
      - {window_start: 2026-11-21T05:00:00Z, window_end: 2026-11-21T05:00:10Z, readings: 3}
    expect: [{window_start: 2026-11-21T05:00:00Z, window_end: 2026-11-21T06:00:00Z, readings: 5}]
",
    )
    .unwrap();
    assert_eq!((outcomes[0].windows, outcomes[0].differences.as_slice()), (1, &[][..]));
}

#[test]
fn faults_of_a_file_say_where() {
    for (tests, what) in [
        ("transform: averages\ntests: []\n", "`tests` is empty"),
        ("transform: averages\ntests:\n  - {name: a, row: [], expect: []}\n", "line 3"),
        (
            "transform: averages\ntests:\n  - {name: a, rows: [{device: a}], expect: []}\n",
            "there is no column `device`; did you mean `device_id`?",
        ),
        ("transform: averages\ntests:\n  - {name: a, rows: [{device_id: a}], expect: []}\n", "has no `measured_at`"),
        ("transform: averages\ntests:\n  - {name: a, rows: [], expect: [], references: {sites: []}}\n", "no reference table `sites`"),
    ] {
        let error = format!("{:#}", run_in(tests).unwrap_err());
        assert!(error.contains(what), "{error}");
    }
}

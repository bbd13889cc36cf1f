use super::*;
use std::fs;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

const SCHEMA: &str = r#"{"schema_id": 7, "type": "record", "name": "R", "fields": [
    {"name": "Device", "type": "string"},
    {"name": "measured_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "value", "type": ["null", "double"], "default": null},
    {"name": "tags", "type": {"type": "array", "items": "string"}}]}"#;

/// Runs `check` on a settings file whose tables are given, beside `schemas/<subject>/v1.avsc` files.
fn check_in(tables: &str, schemas: &[(&str, &str)]) -> Result<Vec<CheckedTable>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in schemas {
        let file = folder.path().join("schemas").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let file = folder.path().join("tributary.yaml");
    fs::write(
        &file,
        format!("lake: ./lake\nkafka: {{bootstrap_servers: 'localhost:9092'}}\nlake_writer: {{instance: a}}\ntables:\n{tables}"),
    )
    .unwrap();
    let place = format!("{}/", folder.path().display());
    block_on(check(&file)).map_err(|faults| faults.iter().map(|fault| fault.text().replace(&place, "")).collect())
}

#[test]
fn a_table_that_fits_its_schema() {
    let tables =
        check_in("  r: {topics: [r], event_time: measured_at, partition_by: [device], sort_by: [value]}\n", &[("r-value/v1.avsc", SCHEMA)])
            .unwrap();
    let expected = CheckedTable {
        table: "r".to_owned(),
        topics: vec!["r".to_owned()],
        subject: "r-value".to_owned(),
        schema_version: 1,
        schema_id: 7,
        event_time: "measured_at".to_owned(),
        window: "1h".to_owned(),
        columns: 4,
    };
    assert_eq!(tables, [expected]);
}

#[test]
fn all_faults_of_all_tables_at_once() {
    let bad = r#"{"schema_id": 8, "type": "record", "name": "B", "fields": [{"name": "a", "type": "int"}, {"name": "A", "type": "int"}]}"#;
    let time =
        r#"{"schema_id": 9, "type": "record", "name": "T", "fields": [{"name": "dt", "type": "string"}, {"name": "x", "type": "int"}]}"#;
    let tables = "  r:\n    topics: [r]\n    event_time: mesured_at\n    partition_by: [value, device]\n    dedupe_by: [device, tags]\n    sort_by: [nothing]\n  s: {topics: [s], subject: r-valu, window: 1d}\n  t: {topics: [t]}\n  b: {topics: [b]}\n  u: {topics: [r], subject: r-value, event_time: device}\n";
    let faults = check_in(tables, &[("r-value/v1.avsc", SCHEMA), ("b-value/v1.avsc", bad), ("t-value/v1.avsc", time)]).unwrap_err();
    let expected = include_str!("snapshot.txt").lines().collect::<Vec<_>>();
    assert_eq!(faults, expected, "\n{}", faults.join("\n"));
}

#[test]
fn a_missing_or_broken_schema_folder() {
    let table = "  r: {topics: [r]}\n";
    let faults = check_in(table, &[]).unwrap_err();
    assert_eq!(faults, ["tributary.yaml: schemas: folder `schemas` does not exist (make it, with `<subject>/v1.avsc` for each table)"]);
    let faults = check_in(table, &[("r-value/v1.avsc", "{"), ("s-value/v2.avsc", SCHEMA)]).unwrap_err();
    assert!(faults.len() >= 2, "{faults:?}");
    assert!(faults.iter().any(|fault| fault.starts_with("schemas/r-value/v1.avsc: ")), "{faults:?}");
}

#[test]
fn settings_faults_keep_their_lines() {
    let faults = check_in("  r: {topics: [r], window: 50m}\n", &[]).unwrap_err();
    assert_eq!(
        faults,
        [
            "tributary.yaml:5: tables.r.window: `50m` is no length of a window (write 1m to 1d in whole minutes that divide a day, such as `15m`, `1h` or `1d`)"
        ]
    );
}

#[test]
fn the_minimal_example_passes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/minimal.yaml");
    let tables =
        block_on(check(&file)).unwrap_or_else(|faults| panic!("{}", faults.iter().map(Fault::text).collect::<Vec<_>>().join("\n")));
    assert_eq!(tables.len(), 1);
}

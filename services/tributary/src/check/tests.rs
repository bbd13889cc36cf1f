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
    block_on(check(&file)).map(|(tables, _)| tables).map_err(|faults| faults.iter().map(|fault| fault.text().replace(&place, "")).collect())
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
    let (tables, _) =
        block_on(check(&file)).unwrap_or_else(|faults| panic!("{}", faults.iter().map(Fault::text).collect::<Vec<_>>().join("\n")));
    assert_eq!(tables.len(), 1);
}

/// Runs `check` on the settings of a table `r` and of transforms, beside files of SQL and references.
fn check_transforms(transforms: &str, files: &[(&str, &str)]) -> Result<Vec<CheckedTransform>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let head = "lake: ./lake\nkafka: {bootstrap_servers: 'localhost:9092'}\nlake_writer: {instance: a}\nwindow_sealer: {instance: a}\ntables:\n  r: {topics: [r], event_time: measured_at}\ntransforms:\n";
    let settings = format!("{head}{transforms}");
    for (name, text) in files.iter().chain(&[("schemas/r-value/v1.avsc", SCHEMA), ("tributary.yaml", settings.as_str())]) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let place = format!("{}/", folder.path().display());
    let outcome = block_on(check(&folder.path().join("tributary.yaml"))).map(|(_, transforms)| transforms);
    outcome.map_err(|faults| faults.iter().map(|fault| fault.text().replace(&place, "")).collect())
}

#[test]
fn transforms_that_plan_show_their_columns_through_a_chain() {
    let transforms = "  a: {source: r, sql: a.sql, size: 10s, every: 5s, window: 1m, references: {devices: devices.csv}, partition_by: [site]}\n  b: {source: a, sql: b.sql, size: 1h}\n";
    let a = "SELECT window_start, window_end, site, avg(value) AS value FROM r JOIN devices USING (device) GROUP BY 1, 2, 3";
    let b = "SELECT window_start, window_end, site, max(value) AS value, max(source_window_end) AS last FROM a GROUP BY 1, 2, 3";
    let checked = check_transforms(transforms, &[("a.sql", a), ("b.sql", b), ("devices.csv", "device,site\na,north\n")]).unwrap();
    let columns: Vec<_> = checked.iter().map(|t| t.columns.join(", ")).collect();
    assert_eq!(
        columns,
        [
            "window_start timestamp, window_end timestamp, value double",
            "window_start timestamp, window_end timestamp, site string, value double, last timestamp"
        ]
    );
}

#[test]
fn faults_of_sql_are_at_their_places_in_its_file() {
    let transforms = "  a: {source: r, sql: a.sql, size: 10s}\n  b: {source: r, sql: b.sql, size: 10s}\n  c: {source: r, sql: c.sql, size: 10s, references: {devices: devices.csv, sites: 'lake:sites.csv'}}\n  d: {source: a, sql: d.sql, size: 10s}\n  e: {source: r, sql: e.sql, size: 10s}\n";
    let files = [
        ("a.sql", "SELECT window_start, window_end,\n  averge(value) AS value\nFROM r"),
        ("b.sql", "SELECT window_start, window_end, approx_distinct(device) AS devices\nFROM r GROUP BY 1, 2"),
        ("e.sql", "SELECT window_start, window_end,\n  vale\nFROM r"),
    ];
    let faults = check_transforms(transforms, &files).unwrap_err();
    let begins = [
        "a.sql:2: column 3: ",
        "b.sql:1: column 61: column `devices` is of type `UInt64`, which the catalog does not have (write CAST(… AS BIGINT) AS devices)",
        "tributary.yaml:10: transforms.c.sql: cannot read SQL of transform `c` from `c.sql`: ",
        "e.sql:2: column 3: ",
    ];
    assert_eq!(faults.len(), begins.len(), "{faults:#?}");
    for (fault, begin) in faults.iter().zip(begins) {
        assert!(fault.starts_with(begin), "{fault}");
    }
    let transforms = "  c: {source: r, sql: c.sql, size: 10s, references: {devices: devices.csv}}\n";
    let faults = check_transforms(transforms, &[("c.sql", "SELECT 1")]).unwrap_err();
    assert!(faults[0].starts_with("tributary.yaml:8: transforms.c.references.devices: cannot read `devices.csv`: "), "{faults:?}");
}

#[test]
fn the_example_of_transforms_passes_and_so_do_its_tests() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/transforms/tributary.yaml");
    let (_, transforms) =
        block_on(check(&file)).unwrap_or_else(|faults| panic!("{}", faults.iter().map(Fault::text).collect::<Vec<_>>().join("\n")));
    assert_eq!(transforms.len(), 2);
    let args = crate::cli::TestArgs { files: Vec::new() };
    let exit = block_on(crate::test_transforms::run(&args, &file, Output::new(crate::output::Mode::Json))).unwrap();
    assert_eq!(exit, ExitCode::Done);
}

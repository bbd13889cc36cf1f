//! Planning and running transforms over rows that a test gives.
#![allow(clippy::unwrap_used, reason = "a failure here is the failure of a test")]
use super::*;
use crate::LakeQueryError;
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use std::sync::Arc;
use table_log::record::{Catalog, Column, TableBody, TableSettings};
use windowing::Time;

const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"device_id","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"site","type":["null","string"],"default":null},
    {"name":"value","type":["null","double"],"default":null}]}"#;
const SQL: &str = "SELECT window_start, window_end, d.site AS site, avg(r.value) AS value, count(*) AS readings
FROM readings r JOIN devices d ON r.device_id = d.device_id
GROUP BY window_start, window_end, d.site";

fn minutes(minutes: i64) -> WindowSize {
    WindowSize::new(Micros::from_secs(60 * minutes)).unwrap()
}

fn settings(window: WindowSize, event_time: &str, partition_by: &[&str]) -> TableSettings {
    TableSettings {
        event_time: Some(event_time.to_owned()),
        window,
        partition_by: partition_by.iter().map(|c| (*c).to_owned()).collect(),
        allowed_lateness: Micros::ZERO,
        out_of_orderness: Micros::ZERO,
        idle_timeout: None,
        max_future: Micros::DAY,
        max_past: Micros::DAY,
        dedupe_by: Vec::new(),
        sort_by: Vec::new(),
        catalog: Catalog::None,
    }
}

fn readings(partition_by: &[&str]) -> SourceTable {
    let body = TableBody {
        schema_version: 1,
        avro_schema: SCHEMA.to_owned(),
        columns: Vec::new(),
        settings: settings(minutes(1), "at", partition_by),
    };
    SourceTable::new("readings", &body).unwrap()
}

fn devices() -> Reference {
    Reference::parse("devices", "devices.csv", Bytes::from_static(b"device_id,site\na,north\nb,south\n")).unwrap()
}

fn transform(sql: &str, size_s: i64, every_s: i64) -> Transform {
    let window = minutes(1);
    Transform {
        name: "averages".to_owned(),
        source: "readings".to_owned(),
        sql: sql.to_owned(),
        grouping: Grouping::new(Micros::from_secs(size_s), Micros::from_secs(every_s), window).unwrap(),
        window,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        references: vec![devices()],
    }
}

fn at(seconds: i64) -> Time {
    Time(seconds * 1_000_000)
}

/// Rows of device, second and value.
fn rows(rows: &[(&str, i64, f64)]) -> SourceRows {
    let devices: StringArray = rows.iter().map(|(device, _, _)| Some(*device)).collect();
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, second, _)| second * 1_000_000)).with_timezone("UTC");
    let values = Float64Array::from_iter_values(rows.iter().map(|(_, _, value)| *value));
    let columns: [(&str, ArrayRef); 3] = [("device_id", Arc::new(devices)), ("at", Arc::new(times)), ("value", Arc::new(values))];
    SourceRows::Rows(vec![RecordBatch::try_from_iter(columns).unwrap()])
}

async fn table(transform: &Transform, source: &SourceTable, input: SourceRows, start: i64) -> Vec<String> {
    let found = run(transform, source, input, at(start), &RunOptions::default()).await.unwrap().collect().await.unwrap();
    let text = pretty_format_batches(&found).unwrap().to_string();
    text.lines().filter(|line| line.starts_with("| ")).skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

async fn faults(sql: &str) -> Vec<String> {
    match plan(&transform(sql, 10, 5), &readings(&[])).await {
        Err(LakeQueryError::Transform { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn a_tumbling_window_holds_its_rows_once() {
    let input =
        rows(&[("a", 59, 100.0), ("a", 60, 1.0), ("a", 69, 3.0), ("b", 70, 5.0), ("x", 71, 9.0), ("a", 119, 7.0), ("a", 120, 100.0)]);
    let found = table(&transform(SQL, 10, 10), &readings(&[]), input, 60).await;
    assert_eq!(
        found,
        [
            "| 1970-01-01T00:01:00Z | 1970-01-01T00:01:10Z | north | 2.0 | 2 |",
            "| 1970-01-01T00:01:10Z | 1970-01-01T00:01:20Z | south | 5.0 | 1 |",
            "| 1970-01-01T00:01:50Z | 1970-01-01T00:02:00Z | north | 7.0 | 1 |",
        ]
    );
}

#[tokio::test]
async fn a_hopping_window_reaches_back_and_holds_each_row_twice() {
    let input = rows(&[("a", 54, 100.0), ("a", 55, 1.0), ("a", 62, 3.0), ("a", 119, 7.0)]);
    let found = table(&transform(SQL, 10, 5), &readings(&[]), input, 60).await;
    assert_eq!(
        found,
        [
            "| 1970-01-01T00:00:55Z | 1970-01-01T00:01:05Z | north | 2.0 | 2 |",
            "| 1970-01-01T00:01:00Z | 1970-01-01T00:01:10Z | north | 3.0 | 1 |",
            "| 1970-01-01T00:01:50Z | 1970-01-01T00:02:00Z | north | 7.0 | 1 |",
        ]
    );
    let input = rows(&[("a", -3, 1.0)]);
    let found = table(&transform(SQL, 10, 5), &readings(&[]), input, -60).await;
    assert_eq!(found, ["| 1969-12-31T23:59:50Z | 1970-01-01T00:00:00Z | north | 1.0 | 1 |"]);
}

#[tokio::test]
async fn rows_are_sorted_by_partition_then_by_the_sort_columns() {
    let sorted = Transform { partition_by: vec!["site".to_owned()], sort_by: vec!["value".to_owned()], ..transform(SQL, 10, 10) };
    let input = rows(&[("b", 60, 5.0), ("a", 70, 9.0), ("b", 80, 1.0), ("a", 90, 2.0)]);
    let found = table(&sorted, &readings(&[]), input, 60).await;
    let order: Vec<&str> = found.iter().map(|line| line.split(" | ").nth(3).unwrap()).collect();
    assert_eq!(order, ["2.0", "9.0", "1.0", "5.0"]);
}

#[tokio::test]
async fn a_derived_source_is_grouped_by_the_last_moment_of_its_rows() {
    let columns = [("window_start", "timestamp"), ("window_end", "timestamp"), ("value", "double")];
    let columns = columns.map(|(name, kind)| Column { name: name.to_owned(), glue_type: kind.to_owned() }).to_vec();
    let body =
        TableBody { schema_version: 1, avro_schema: String::new(), columns, settings: settings(minutes(1), "window_end", &["site"]) };
    let source = SourceTable::new("averages", &body).unwrap();
    let sql = "SELECT window_start, window_end, max(source_window_end) AS last, sum(value) AS value FROM averages GROUP BY 1, 2";
    let chained = Transform { source: "averages".to_owned(), references: Vec::new(), ..transform(sql, 60, 60) };
    let ends = TimestampMicrosecondArray::from(vec![60_000_000, 70_000_000, 120_000_000, 125_000_000]).with_timezone("UTC");
    let values = Float64Array::from(vec![100.0, 1.0, 2.0, 100.0]);
    let batch = RecordBatch::try_from_iter([("window_end", Arc::new(ends) as ArrayRef), ("value", Arc::new(values))]).unwrap();
    let found = table(&chained, &source, SourceRows::Rows(vec![batch]), 60).await;
    assert_eq!(found, ["| 1970-01-01T00:01:00Z | 1970-01-01T00:02:00Z | 1970-01-01T00:02:00Z | 3.0 |"]);
}

#[tokio::test]
async fn everything_that_the_engine_can_do_is_allowed() {
    let sql = "SELECT window_start, window_end, device_id, approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS middle,
        CAST(approx_distinct(device_id) AS BIGINT) AS devices, round(avg(value), 1) AS value,
        first_value(value) OVER (PARTITION BY window_start ORDER BY max(at)) AS first
        FROM readings GROUP BY window_start, window_end, device_id, value";
    let result = plan(&transform(sql, 10, 5), &readings(&[])).await.unwrap();
    let columns: Vec<String> = result.catalog_columns().iter().map(|c| format!("{} {}", c.name, c.glue_type)).collect();
    assert_eq!(
        columns,
        [
            "window_start timestamp",
            "window_end timestamp",
            "device_id string",
            "middle double",
            "devices bigint",
            "value double",
            "first double"
        ]
    );
}

#[tokio::test]
async fn a_wrong_statement_says_where() {
    for (sql, place, what) in [
        ("SELECT window_start FORM readings", "line 1, column 26: ", "found: readings"),
        ("SELECT window_start, window_end,\n  nothing FROM readings", "line 2, column 3: ", "nothing"),
        ("SELECT window_start, window_end\nFROM reading", "line 2, column 6: ", "reading"),
        ("SELECT window_start, window_end,\n  averge(value) AS value FROM readings", "line 2, column 3: ", "averge"),
        ("SELECT window_start, window_end,\n now() AS at FROM readings", "line 2, column 2: ", "gives another result in each run"),
        ("SELECT window_start, window_end, value FROM readings WHERE value >\n random()", "line 2, column 2: ", "`random`"),
        ("SELECT window_start, window_end, d.serial FROM readings, devices d", "line 1, column 34: ", "serial"),
    ] {
        let found = faults(sql).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(place) && found[0].contains(what) && !found[0].contains('\n'), "{sql}: {found:?}");
    }
    for sql in ["DROP TABLE readings", "EXPLAIN SELECT window_start, window_end FROM readings", "SELECT 1; SELECT 2", "SHOW TABLES"] {
        assert_eq!(faults(sql).await.len(), 1, "{sql}");
    }
}

#[tokio::test]
async fn columns_that_no_catalog_has_are_refused_with_what_to_write() {
    let sql = "SELECT window_start, CAST(window_end AS STRING) AS window_end, count(*), approx_distinct(device_id) AS devices,
        NULL AS nothing, dt, value AS Value2, max(at) - min(at) AS span FROM readings GROUP BY 1, 2, dt, value";
    let found = faults(sql).await.join("\n");
    for what in [
        "column 3 of the result is named `count(*)` (give it a name of lower-case letters, digits and `_` with AS)",
        "column `devices` is of type `UInt64`, which the catalog does not have (write CAST(… AS BIGINT) AS devices)",
        "column `nothing` is of type `Null`, which the catalog does not have (write CAST(… AS STRING) AS nothing)",
        "column 6 of the result is named `dt`, as one that the lake adds itself",
        "`window_end` is of type `Utf8View`, not a timestamp",
        "column `span` is of type",
    ] {
        assert!(found.contains(what), "{what}\n{found}");
    }
    let used = Transform {
        partition_by: vec!["site".to_owned(), "value".to_owned()],
        sort_by: vec!["nothing".to_owned()],
        ..transform("SELECT window_end, value FROM readings", 10, 10)
    };
    let Err(LakeQueryError::Transform { faults, .. }) = plan(&used, &readings(&[])).await else { panic!("all are wrong") };
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[tokio::test]
async fn a_row_outside_of_its_window_or_without_one_is_an_error() {
    for (sql, what) in [
        ("SELECT window_start, window_end + INTERVAL '1 minute' AS window_end FROM readings", "which is not of the derived window"),
        ("SELECT window_start, window_end - INTERVAL '1 minute' AS window_end FROM readings", "which is not of the derived window"),
        ("SELECT window_start, CASE WHEN value > 100 THEN window_end END AS window_end FROM readings", "has no `window_end`"),
    ] {
        let found = run(&transform(sql, 10, 10), &readings(&[]), rows(&[("a", 60, 1.0)]), at(60), &RunOptions::default()).await.unwrap();
        let error = found.collect().await.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_result_may_get_columns_but_lose_none() {
    let column = |name: &str, kind: &str| Column { name: name.to_owned(), glue_type: kind.to_owned() };
    let current = [column("window_end", "timestamp"), column("value", "double")];
    assert_eq!(evolve("t", &current, &current).unwrap(), None);
    let more = [column("rows", "bigint"), column("value", "double"), column("window_end", "timestamp")];
    let names: Vec<String> = evolve("t", &current, &more).unwrap().unwrap().into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["window_end", "value", "rows"]);
    let error = evolve("t", &current, &[column("window_end", "timestamp"), column("value", "bigint")]).unwrap_err().to_string();
    assert!(error.contains("`value` was `double` and is `bigint`"), "{error}");
    assert!(error.contains("window_end timestamp, value double") && error.contains("window_end timestamp, value bigint"), "{error}");
    assert!(evolve("t", &current, &[column("value", "double")]).unwrap_err().to_string().contains("`window_end` is gone"));
}

#[test]
fn whatever_decides_the_result_is_in_its_hash() {
    let base = transform(SQL, 10, 5);
    let others = [
        transform("SELECT 1", 10, 5),
        transform(SQL, 10, 10),
        Transform { references: Vec::new(), ..base.clone() },
        Transform { source: "other".to_owned(), ..base.clone() },
    ];
    assert_eq!(base.sha256(), transform(SQL, 10, 5).sha256());
    for other in others {
        assert_ne!(base.sha256(), other.sha256(), "{other:?}");
    }
    // What only decides where rows lie does not change them.
    assert_eq!(base.sha256(), Transform { sort_by: vec!["site".to_owned()], ..base.clone() }.sha256());
}

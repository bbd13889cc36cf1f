//! DuckDB computes from what was sent what both tables must hold, and compares.
use crate::feed::Sent;
use crate::reader::Identity;
use crate::scene::{DERIVED, Log, Scene, TABLE};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use table_log::FileRef;
use test_kit::PythonReaders;

/// Compares; answers how many rows and windows were compared.
pub fn judge(scene: &Scene, sent: &Sent) -> Value {
    let readers = PythonReaders::prepare().expect("readers in Python");
    let query = |sql: &str| readers.duckdb(sql).unwrap_or_else(|error| panic!("{error:#}\n{sql}"));
    let log = |table| scene.log(table).expect("the table is there");
    let (table, derived) = (files(scene, &log(TABLE)), files(scene, &log(DERIVED)));
    let closed = sent.closed_us;
    let distinct = format!(
        "(SELECT DISTINCT device_id, seq, event_time, site, counter FROM read_csv('{}', header = true,
          types = {{'device_id': 'VARCHAR', 'seq': 'BIGINT', 'event_time': 'BIGINT', 'site': 'VARCHAR', 'counter': 'BIGINT'}}))",
        sent.file.display()
    );
    let sealed = format!(
        "(SELECT device_id, seq, epoch_us(event_time) AS event_time, site, counter::BIGINT AS counter FROM read_parquet({table})
          WHERE epoch_us(event_time) < {closed})"
    );
    // Each row is in the two grouping windows that end in this minute or the next.
    let expected = format!(
        "(SELECT ends - 120000000 AS window_start, ends AS window_end, site, count(*) AS readings, sum(counter)::BIGINT AS total,
          max(counter)::BIGINT AS highest
          FROM (SELECT *, unnest([event_time // 60000000 * 60000000 + 60000000, event_time // 60000000 * 60000000 + 120000000]) AS ends
                FROM {distinct})
          GROUP BY ALL)"
    );
    let made = format!(
        "(SELECT epoch_us(window_start) AS window_start, epoch_us(window_end) AS window_end, site, readings::BIGINT AS readings,
          total::BIGINT AS total, highest::BIGINT AS highest FROM read_parquet({derived}) WHERE epoch_us(window_end) < {closed})"
    );
    for (what, one, other) in [("sealed rows", &sealed, &distinct), ("derived rows", &made, &expected)] {
        for (left, right, side) in [(one, other, "too many"), (other, one, "missing")] {
            let differences =
                query(&format!("SELECT * FROM (SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right}) ORDER BY ALL LIMIT 20"));
            assert_eq!(differences, "", "{what} that are {side}");
        }
    }
    let count = |of: &str| query(&format!("SELECT count(*) FROM {of}")).trim().parse::<u64>().expect("a number");
    let (rows, results) = (count(&sealed), count(&made));
    assert!(rows > 0 && results > 0, "there is something to compare");
    json!({ "sealed_rows": rows, "derived_rows": results, "sent": sent.rows, "repeated": sent.repeated })
}

/// Live files of a table, as a list of DuckDB.
fn files(scene: &Scene, log: &Log) -> String {
    let live: Vec<FileRef> = log.state().live_files().flat_map(|(_, _, files)| files.iter().copied()).collect();
    let names = log.entries(&live).into_iter().map(|entry| format!("'{}'", scene.lake().join(entry.key).display()));
    format!("[{}]", names.collect::<Vec<_>>().join(", "))
}

/// Rows that the lists of duplicates name as dropped.
pub fn dropped(scene: &Scene) -> BTreeSet<Identity> {
    let log = scene.log(TABLE).expect("the table is there");
    let lists = log.entries(log.state().duplicates_files());
    let names: Vec<String> = lists.into_iter().map(|entry| format!("'{}'", scene.lake().join(entry.key).display())).collect();
    assert!(!names.is_empty(), "some rows were dropped");
    let readers = PythonReaders::prepare().expect("readers in Python");
    let sql = format!("SELECT _kafka_partition, _kafka_offset FROM read_parquet([{}])", names.join(", "));
    let text = readers.duckdb(&sql).expect("read the lists of duplicates");
    let rows = text.lines().map(|line| {
        let (kafka_partition, offset) = line.split_once('|').expect("two values");
        (kafka_partition.parse().expect("a number"), offset.parse().expect("a number"))
    });
    rows.collect()
}

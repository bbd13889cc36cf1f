//! A derived table: whole, then with rows that its SQL does not give.
use super::breakage::{read_rows, replace};
use super::{ids, text};
use crate::output::{Mode, Output};
use crate::verify::derived::Derivation;
use crate::verify::lake::Lake;
use crate::verify::report::Report;
use crate::verify::walk::Verification;
use arrow::array::{Array as _, ArrayRef, Int64Array};
use lake_query::transform::RunOptions;
use lake_store::{TableLog, TableLogOptions};
use parquet::arrow::ArrowWriter;
use service_runtime::settings::TransformConfig;
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::sync::Arc;
use table_log::{Body, Record, TableName};
use test_kit::small_lake::{DAY, SmallLake, TABLE, row};
use window_sealer::derive::{DeriveJob, Derived, Facts, TransformSettings, derive_window};

const DERIVED: &str = "hours";
const SQL: &str = "SELECT window_start, window_end, site, count(*) AS readings FROM readings GROUP BY window_start, window_end, site";

/// An hour that is sealed and derived from, then amended and derived from again.
async fn derived_lake() -> (SmallLake, Derivation, Vec<Arc<Record>>) {
    let mut lake = SmallLake::new(&[]).await.unwrap();
    let sql = lake.path("hours.sql");
    std::fs::write(&sql, SQL).unwrap();
    let hour = service_runtime::settings::Duration::from_secs(3_600);
    let config =
        TransformConfig { source: TABLE.to_owned(), sql, size: hour, partition_by: vec!["site".to_owned()], ..TransformConfig::default() };
    let transform = TransformSettings::new(DERIVED, &config);
    let target = TableLog::open(lake.store(), TableName(DERIVED.to_owned()), TableLogOptions::new("derived")).await.unwrap();
    lake.append(vec![(0, row(5, "north", 1.0)), (1, row(6, "north", 2.0)), (1, row(7, "south", 2.0))]).await.unwrap();
    lake.append(vec![(0, row(65, "north", 4.0)), (1, row(66, "north", 8.0))]).await.unwrap();
    lake.seal(DAY, &[]).await.unwrap();
    let mut records = vec![derive(&lake, &transform, &target).await];
    lake.append(vec![(0, row(8, "south", 16.0))]).await.unwrap();
    lake.seal(DAY, &[]).await.unwrap();
    records.push(derive(&lake, &transform, &target).await);
    let source = lake.log.clone();
    (lake, Derivation { transform, source }, records)
}

/// Makes the only window that is due.
async fn derive(lake: &SmallLake, transform: &TransformSettings, target: &TableLog) -> Arc<Record> {
    let states = BTreeMap::from([(TableName(TABLE.to_owned()), lake.log.state()), (transform.table.clone(), target.state())]);
    let facts = Facts { shapes: BTreeMap::from([(transform.table.clone(), transform.shape())]), states };
    let due = facts.due(&transform.table).unwrap();
    assert_eq!(due.len(), 1, "{due:?}");
    let job = DeriveJob {
        transform,
        source: &lake.log,
        source_state: lake.log.state(),
        target,
        due: due[0].clone(),
        options: RunOptions::default(),
        encode: Default::default(),
        shutdown: &Shutdown::manual(),
    };
    match derive_window(job).await.unwrap() {
        Derived::Committed { record, .. } => record,
        other => panic!("{other:?}"),
    }
}

async fn verify(lake: &SmallLake, derivation: Derivation) -> Report {
    let verification = Verification {
        lake: Lake::new(lake.store(), TableName(DERIVED.to_owned())),
        deep: true,
        since: 0,
        kafka: None,
        derivation: Some(derivation),
        output: Output::new(Mode::Json),
    };
    tokio::task::spawn_blocking(move || verification.run()).await.unwrap().unwrap()
}

/// Changes a file of a record, and its size there.
fn rewrite(lake: &SmallLake, record: &Record, change: impl Fn(&ArrayRef) -> ArrayRef) {
    let key = &record.files().next().unwrap().key;
    let rows = replace(&read_rows(lake, key), "readings", change);
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let bytes = writer.into_inner().unwrap();
    std::fs::write(lake.path(key), &bytes).unwrap();
    let path = lake.path(&format!("{DERIVED}/_log/{:020}.json", record.seq.0));
    let mut record = Record::parse(&std::fs::read(&path).unwrap()).unwrap();
    let Body::Derive(body) = &mut record.body else { panic!("{record:?}") };
    body.lake_partitions[0].files[0].bytes = bytes.len() as u64;
    std::fs::write(&path, record.to_json()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_derived_table_gives_the_same_rows_again() {
    let (lake, derivation, _) = derived_lake().await;
    let report = verify(&lake, derivation).await;
    assert_eq!(text(&report), "");
    assert_eq!((report.revisions, report.checked["derived windows made again"]), (2, 1), "{:?}", report.checked);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rows_than_its_sql_gives_are_tm3() {
    let (lake, derivation, records) = derived_lake().await;
    rewrite(&lake, &records[1], |column| Arc::new(Int64Array::from(vec![99; column.len()])));
    let report = verify(&lake, derivation).await;
    assert_eq!(ids(&report), ["TM-3"], "{}", text(&report));
    assert!(text(&report).contains("gives 1 rows that are not in its files"), "{}", text(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sql_is_noted_and_no_violation() {
    let (lake, derivation, _) = derived_lake().await;
    std::fs::write(&derivation.transform.sql, SQL.replace("count(*)", "count(id)")).unwrap();
    let report = verify(&lake, derivation).await;
    assert_eq!(text(&report), "");
    assert!(report.notes.iter().any(|note| note.contains("changed since")), "{:?}", report.notes);
}

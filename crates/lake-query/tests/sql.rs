//! SQL over a small lake: columns, pruning, quarantine, and what is refused.
#![allow(clippy::unwrap_used, reason = "a failure here is the failure of a test")]
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use lake_query::{LakeQueryError, LakeSession};
use test_kit::small_lake::{DAY, SmallLake, Step, row};

async fn session(lake: &SmallLake) -> LakeSession {
    lake.log.refresh().await.unwrap();
    LakeSession::open(lake.store(), vec![lake.log.clone()]).await.unwrap()
}

async fn three_hours(partition_by: &[&str]) -> SmallLake {
    let mut lake = SmallLake::new(partition_by).await.unwrap();
    lake.append(vec![(0, row(5, "north", 1.0)), (0, row(65, "south", 2.0)), (1, row(10, "north", 4.0))]).await.unwrap();
    lake.append(vec![(0, row(130, "south", 8.0)), (1, Step::Refused("bad_magic", vec![1, 2, 3])), (1, Step::Absent)]).await.unwrap();
    lake
}

async fn number(session: &LakeSession, sql: &str) -> i64 {
    let batches = session.sql(sql, None).await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn text(session: &LakeSession, sql: &str) -> String {
    pretty_format_batches(&session.sql(sql, None).await.unwrap()).unwrap().to_string()
}

#[tokio::test]
async fn rows_of_all_live_files_are_seen_once_with_identity_and_lake_partition() {
    let lake = three_hours(&[]).await;
    let session = session(&lake).await;
    let batches = session.sql("SELECT sum(value), count(*) FROM readings", None).await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Float64Type>().value(0), 15.0);
    assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().value(0), 4);
    let found = text(&session, "SELECT dt, hr, id, site, _kafka_partition, _kafka_offset FROM readings ORDER BY hr, id").await;
    assert!(found.contains("| 2026-11-21 | 02 | 0-2 | south | 0                | 2             |"), "{found}");
}

#[tokio::test]
async fn partition_columns_are_text_from_the_log_and_not_in_the_files() {
    let lake = three_hours(&["site"]).await;
    let session = session(&lake).await;
    assert_eq!(number(&session, "SELECT count(*) FROM readings WHERE site = 'south'").await, 2);
    let columns = text(&session, "DESCRIBE readings").await;
    let order: Vec<_> =
        ["id ", "at ", "value ", "_kafka_offset ", "dt ", "hr ", "site "].iter().map(|c| columns.find(&format!("| {c}"))).collect();
    assert!(order.is_sorted() && order[0].is_some(), "{columns}");
}

/// Files that a plan reads.
async fn files_read(session: &LakeSession, sql: &str) -> usize {
    let plan = text(session, &format!("EXPLAIN {sql}")).await;
    plan.matches(".parquet").count()
}

#[tokio::test]
async fn files_are_pruned_by_lake_partition_and_by_event_time() {
    let lake = three_hours(&["site"]).await;
    let session = session(&lake).await;
    assert_eq!(files_read(&session, "SELECT value FROM readings").await, 3);
    assert_eq!(files_read(&session, "SELECT value FROM readings WHERE hr = '00'").await, 1);
    assert_eq!(files_read(&session, "SELECT value FROM readings WHERE dt = '2026-11-20'").await, 0);
    assert_eq!(files_read(&session, "SELECT value FROM readings WHERE site = 'south'").await, 2);
    assert_eq!(files_read(&session, "SELECT value FROM readings WHERE site IN ('east', 'north')").await, 1);
    assert_eq!(files_read(&session, "SELECT value FROM readings WHERE at >= TIMESTAMP '2026-11-21T02:00:00Z'").await, 1);
    assert_eq!(number(&session, "SELECT count(*) FROM readings WHERE at >= TIMESTAMP '2026-11-21T01:00:00Z'").await, 2);
    assert_eq!(number(&session, "SELECT count(*) FROM readings WHERE dt = '2026-11-20'").await, 0);
}

#[tokio::test]
async fn row_groups_are_pruned_by_their_statistics() {
    let lake = three_hours(&[]).await;
    let session = session(&lake).await;
    let plan = text(&session, "EXPLAIN ANALYZE SELECT id FROM readings WHERE value > 100").await;
    assert!(plan.contains("row_groups_pruned_statistics="), "{plan}");
    assert!(plan.contains("output_rows=0"), "{plan}");
}

#[tokio::test]
async fn quarantine_is_a_table_with_its_ingest_day() {
    let lake = three_hours(&[]).await;
    let session = session(&lake).await;
    let found = text(&session, "SELECT reason, encode(value, 'hex') AS value, dt, _kafka_offset FROM readings_quarantine").await;
    assert!(found.contains("| bad_magic | 010203 | 2026-11-21 | 1             |"), "{found}");
    assert_eq!(files_read(&session, "SELECT reason FROM readings_quarantine WHERE dt = '2026-11-20'").await, 0);
}

#[tokio::test]
async fn an_empty_table_has_columns_and_no_rows() {
    let lake = SmallLake::new(&[]).await.unwrap();
    let session = session(&lake).await;
    let batches: Vec<RecordBatch> = session.sql("SELECT * FROM readings", None).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    assert_eq!(batches[0].schema().field(0).name(), "id");
    assert_eq!(number(&session, "SELECT count(*) FROM readings_quarantine").await, 0);
}

#[tokio::test]
async fn max_rows_bounds_a_query_but_not_its_explanation() {
    let lake = three_hours(&[]).await;
    let session = session(&lake).await;
    let batches = session.sql("SELECT id FROM readings ORDER BY id", Some(2)).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    assert!(session.sql("EXPLAIN SELECT id FROM readings", Some(1)).await.is_ok());
    let tables = text(&session, "SHOW TABLES").await;
    assert!(tables.contains("readings_quarantine"), "{tables}");
}

#[tokio::test]
async fn only_reading_statements_are_allowed() {
    let lake = three_hours(&[]).await;
    let session = session(&lake).await;
    let folder = lake.folder.path().display();
    for sql in [
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "DROP TABLE readings".to_owned(),
        "INSERT INTO readings SELECT * FROM readings".to_owned(),
        "DELETE FROM readings".to_owned(),
        format!("COPY readings TO '{folder}/x.parquet'"),
        format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{folder}'"),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        format!("SELECT * FROM '{folder}/readings'"),
    ] {
        let outcome = session.sql(&sql, None).await;
        assert!(matches!(outcome, Err(LakeQueryError::Query(_))), "{sql}: {outcome:?}");
    }
    assert!(!lake.folder.path().join("x.parquet").exists());
}

#[tokio::test]
async fn a_wrong_statement_says_where() {
    let lake = three_hours(&[]).await;
    let session = session(&lake).await;
    for (sql, place) in
        [("SELECT id FROM readings WHERE\n  nothing = 1", "Line: 2, Column: 3"), ("SELECT id FORM readings", "Line: 1, Column: 16")]
    {
        let Err(error) = session.sql(sql, None).await else { panic!("{sql} is wrong") };
        assert!(error.to_string().contains(place), "{error}");
    }
}

#[tokio::test]
async fn an_unpublished_file_is_left_out_and_counted_and_a_published_one_that_is_missing_is_an_error() {
    let mut lake = three_hours(&[]).await;
    lake.append_unpublished(vec![(0, row(190, "east", 16.0))]).await.unwrap();
    let before = session(&lake).await;
    assert_eq!(number(&before, "SELECT count(*) FROM readings").await, 4);
    assert_eq!(before.tables().iter().map(|t| t.left_out).collect::<Vec<_>>(), [1, 0]);

    let record = lake.append(vec![(0, row(250, "east", 32.0))]).await.unwrap();
    // The next record says that the one before is published.
    lake.append(vec![(1, row(250, "west", 64.0))]).await.unwrap();
    let key = record.files().next().unwrap().key.clone();
    std::fs::remove_file(lake.path(&key)).unwrap();
    let after = session(&lake).await;
    assert!(!lake.log.state().unpublished().contains(&record.seq));
    let outcome = after.sql("SELECT sum(value) FROM readings", None).await;
    let Err(LakeQueryError::FileMissing { table, seq, key: missing }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((table.as_str(), seq, missing), ("readings", record.seq.0, key));
}

#[tokio::test]
async fn rows_of_a_revision_that_is_not_in_place_yet_are_read_from_what_it_replaces() {
    let mut lake = SmallLake::new(&["site"]).await.unwrap();
    lake.append(vec![(0, row(5, "north", 1.0)), (1, row(6, "south", 2.0)), (1, row(7, "south", 2.0))]).await.unwrap();
    lake.append(vec![(0, row(65, "north", 4.0)), (1, row(66, "north", 8.0))]).await.unwrap();
    lake.append(vec![(0, row(8, "north", 16.0))]).await.unwrap();
    const SUM: &str = "SELECT CAST(sum(value) AS BIGINT) FROM readings";
    assert_eq!(number(&session(&lake).await, SUM).await, 17, "late rows wait for the revision");
    let record = lake.seal_unpublished(DAY, &[((1, 1), (1, 0))]).await.unwrap();
    assert_eq!(number(&session(&lake).await, SUM).await, 17, "committed, and nothing vanishes");
    lake.log.publish(&record).await.unwrap();
    assert_eq!(number(&session(&lake).await, SUM).await, 17 - 2 + 16);

    lake.append(vec![(0, row(9, "north", 32.0))]).await.unwrap();
    lake.seal_unpublished(DAY, &[]).await.unwrap();
    assert_eq!(number(&session(&lake).await, SUM).await, 31, "the same for an amendment");
}

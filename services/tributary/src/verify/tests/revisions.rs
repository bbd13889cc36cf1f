//! Revisions: whole ones, and each thing that can be wrong with them.
use super::breakage::{read_rows, replace, with_offset};
use super::{ids, text, verify_lake};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;
use table_log::record::VacuumBody;
use table_log::{Body, FileRef, Record};
use test_kit::small_lake::{DAY, SmallLake, TABLE, row};

/// The first hour is closed, has five rows of which one is equal to another, and is sealed; a late row came after it, and is in revision 2.
async fn sealed_lake() -> (SmallLake, Vec<Arc<Record>>) {
    let mut lake = SmallLake::new(&["site"]).await.unwrap();
    let mut records = Vec::new();
    let first = vec![(0, row(5, "north", 1.0)), (0, row(6, "south", 2.0)), (1, row(5, "north", 1.0)), (1, row(7, "north", 3.0))];
    records.push(lake.append(first).await.unwrap());
    records.push(lake.append(vec![(0, row(65, "north", 4.0)), (1, row(66, "north", 5.0))]).await.unwrap());
    records.push(lake.seal(DAY, &[((1, 0), (0, 0))]).await.unwrap());
    records.push(lake.append(vec![(0, row(8, "north", 6.0))]).await.unwrap());
    records.push(lake.seal(DAY, &[]).await.unwrap());
    (lake, records)
}

/// Changes the seal as no program of ours does.
fn edit_seal(lake: &SmallLake, record: &Record, change: impl FnOnce(&mut table_log::record::SealBody)) {
    let path = lake.path(&format!("{TABLE}/_log/{:020}.json", record.seq.0));
    let mut record = Record::parse(&std::fs::read(&path).unwrap()).unwrap();
    let Body::Seal(body) = &mut record.body else { panic!("{record:?}") };
    change(body);
    std::fs::write(&path, record.to_json()).unwrap();
}

/// Writes other rows into a file of a seal: data files first, then lists of duplicates.
fn rewrite(lake: &SmallLake, record: &Record, index: usize, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let key = record.files().nth(index).unwrap().key.clone();
    let rows = change(read_rows(lake, &key));
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let bytes = writer.into_inner().unwrap();
    std::fs::write(lake.path(&key), &bytes).unwrap();
    edit_seal(lake, record, |body| {
        let mut files: Vec<_> = body.lake_partitions.iter_mut().flat_map(|p| &mut p.files).chain(&mut body.duplicates).collect();
        files[index].bytes = bytes.len() as u64;
    });
}

#[tokio::test]
async fn whole_revisions_have_no_violation() {
    let (lake, _) = sealed_lake().await;
    let report = verify_lake(&lake, true).await;
    assert_eq!(text(&report), "");
    assert_eq!((report.revisions, report.duplicates), (2, 1));
    let checked = |what: &str| report.checked.get(what).copied().unwrap_or(0);
    assert_eq!(checked("revisions by identity"), 2, "{:?}", report.checked);
    assert_eq!(checked("rows of revisions by identity"), 3 + 4, "{:?}", report.checked);
    assert_eq!(checked("rows held or dropped, by identity"), 4 + 2 + 1, "{:?}", report.checked);
}

#[tokio::test]
async fn after_a_vacuum_the_table_still_holds_each_row_once() {
    let (lake, records) = sealed_lake().await;
    let superseded: Vec<FileRef> = lake.log.state().superseded_files().map(|(file, _)| file).collect();
    let entries = lake.log.files(&superseded).await.unwrap();
    let unpublished = lake.commit(Body::Vacuum(VacuumBody { files: superseded })).await;
    unpublished.unwrap();
    entries.iter().for_each(|entry| std::fs::remove_file(lake.path(&entry.key)).unwrap());
    let report = verify_lake(&lake, true).await;
    assert_eq!(text(&report), "");
    assert_eq!(report.checked["rows held or dropped, by identity"], 7, "{:?}", report.checked);
    assert_eq!(report.checked["revisions whose inputs are vacuumed, not read"], 2, "{:?}", report.checked);

    // What nobody else can tell any more: the newest revision holds another row.
    rewrite(&lake, &records[4], 0, |rows| with_offset(rows, 3));
    assert_eq!(ids(&verify_lake(&lake, true).await), ["TL-3"]);
}

#[tokio::test]
async fn a_revision_that_skips_one_is_tm3() {
    let (lake, records) = sealed_lake().await;
    edit_seal(&lake, &records[4], |body| body.revision = 3);
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TM-3"], "{}", text(&report));
    assert!(text(&report).contains("follows `1`"), "{}", text(&report));
}

#[tokio::test]
async fn a_revision_that_loses_a_row_by_its_counts_is_tm3() {
    let (lake, records) = sealed_lake().await;
    edit_seal(&lake, &records[2], |body| {
        body.duplicates.clear();
        body.duplicate_rows = 0;
    });
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TL-5", "TM-3", "TM-4"], "{}", text(&report));
}

#[tokio::test]
async fn a_revision_that_holds_another_row_is_tm3_by_identity() {
    let (lake, records) = sealed_lake().await;
    rewrite(&lake, &records[2], 0, |rows| with_offset(rows, 9));
    assert_eq!(text(&verify_lake(&lake, false).await), "", "counts cannot tell");
    let report = verify_lake(&lake, true).await;
    assert!(ids(&report).contains(&"TM-3"), "{}", text(&report));
    assert!(text(&report).contains("or in none of its inputs") && text(&report).contains("neither in revision 1"), "{}", text(&report));
}

#[tokio::test]
async fn a_row_dropped_for_one_that_is_not_there_is_tm3() {
    let (lake, records) = sealed_lake().await;
    let list = records[2].files().count() - 1;
    let other = |column: &ArrayRef| Arc::new(Int64Array::from(vec![77; column.len()])) as ArrayRef;
    rewrite(&lake, &records[2], list, |rows| replace(&rows, "kept_kafka_offset", other));
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TM-3"], "{}", text(&report));
    assert_eq!(report.violations[0].place.offset.as_deref(), Some("readings/1/0"), "{}", text(&report));
}

#[tokio::test]
async fn an_open_file_after_the_first_revision_is_tm4() {
    let (lake, records) = sealed_lake().await;
    super::edit_record(&lake, &records[3], |body| body.files[0].late = false);
    let report = verify_lake(&lake, false).await;
    assert!(ids(&report).contains(&"TM-4"), "{}", text(&report));
}

#[tokio::test]
async fn what_a_reader_may_need_is_not_to_be_vacuumed() {
    let (lake, records) = sealed_lake().await;
    let path = lake.path(&format!("{TABLE}/_log/{:020}.json", records[4].seq.0 + 1));
    let live = FileRef { seq: records[4].seq, index: 0 };
    let vacuum =
        Record { seq: table_log::Seq(records[4].seq.0 + 1), put_id: table_log::PutId("other".to_owned()), ..Record::clone(&records[4]) };
    let vacuum = Record { body: Body::Vacuum(VacuumBody { files: vec![live] }), ..vacuum };
    std::fs::write(path, vacuum.to_json()).unwrap();
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TL-4"], "{}", text(&report));
    assert!(text(&report).contains("which nothing has replaced"), "{}", text(&report));
}

//! A small lake is whole; then each thing is broken by hand, and exactly that is found.
mod breakage;
mod derived;
mod repairs;
mod revisions;
mod topics;

use super::report::Report;
use super::walk::Verification;
use super::*;
use crate::output::{Mode, Output};
use breakage::{edit_record, read_rows, rewrite_file};
use std::sync::Arc;
use table_log::Record;
use table_log::record::RepairAction;
use test_kit::small_lake::{SmallLake, Step, TABLE, row};

/// Four appends: on time, late, refused, skipped and absent offsets of two kafka_partitions.
async fn small_lake() -> (SmallLake, Vec<Arc<Record>>) {
    let mut lake = SmallLake::new(&["site"]).await.unwrap();
    let mut records = Vec::new();
    let steps = [
        vec![(0, row(5, "north", 1.0)), (0, row(6, "north", 2.0)), (0, row(65, "south", 3.0)), (1, row(10, "north", 4.0))],
        vec![(0, row(7, "north", 5.0)), (0, Step::Refused("bad_magic", vec![9, 9])), (1, Step::Absent), (1, Step::Skipped)],
        vec![(0, row(130, "", 6.0)), (1, row(70, "südlich/…", 7.0)), (1, row(71, "südlich/…", 8.0))],
        vec![(1, Step::Refused("too_large", Vec::new())), (1, row(131, "north", 9.0))],
    ];
    for step in steps {
        let step = step.into_iter().map(|(p, s)| (p, no_empty_site(s))).collect();
        records.push(lake.append(step).await.unwrap());
    }
    (lake, records)
}

/// A lake partition never has an empty value: it is NULL.
fn no_empty_site(step: Step) -> Step {
    match step {
        Step::Row(mut reading) => {
            reading.site = reading.site.filter(|s| !s.is_empty());
            Step::Row(reading)
        }
        other => other,
    }
}

async fn verify_lake(lake: &SmallLake, deep: bool) -> Report {
    let verification = Verification {
        lake: Lake::new(lake.store(), table_log::TableName(TABLE.to_owned())),
        deep,
        since: 0,
        kafka: None,
        derivation: None,
        output: Output::new(Mode::Json),
    };
    tokio::task::spawn_blocking(move || verification.run()).await.unwrap().unwrap()
}

/// The ids of the violations found, without repetition.
fn ids(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> = report.violations.iter().map(|v| v.invariant.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn text(report: &Report) -> String {
    report.violations.iter().map(|v| format!("{} {}: {}\n", v.invariant, v.place, v.what)).collect()
}

#[tokio::test]
async fn a_whole_lake_has_no_violation_and_everything_is_counted() {
    let (lake, _) = small_lake().await;
    let report = verify_lake(&lake, true).await;
    assert_eq!(text(&report), "");
    assert_eq!((report.records, report.rows, report.quarantined, report.skipped, report.absent), (6, 9, 2, 1, 1));
    for what in [
        "log records",
        "ranges",
        "files",
        "footers",
        "objects in live folders",
        "rows by identity",
        "event times by row",
        "ranges by identity",
    ] {
        assert!(report.checked.get(what).is_some_and(|count| *count > 0), "{what}: {:?}", report.checked);
    }
    assert_eq!(report.checked["rows by identity"], 11);
}

#[tokio::test]
async fn a_table_without_a_log_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(lake_store::LocalStore::open(folder.path()).unwrap());
    let lake = Lake::new(store, table_log::TableName(TABLE.to_owned()));
    let verification = Verification { lake, deep: true, since: 0, kafka: None, derivation: None, output: Output::new(Mode::Json) };
    let report = tokio::task::spawn_blocking(move || verification.run()).await.unwrap().unwrap();
    assert_eq!((report.violations_total, report.notes.len()), (0, 1));
}

#[tokio::test]
async fn a_deleted_file_is_tl4() {
    let (lake, records) = small_lake().await;
    let key = records[0].files().next().unwrap().key.clone();
    std::fs::remove_file(lake.path(&key)).unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-4"], "{}", text(&report));
    assert_eq!((report.violations.len(), report.violations[0].place.file.as_deref()), (1, Some(key.as_str())));
}

#[tokio::test]
async fn a_staged_file_of_an_unpublished_record_is_no_violation_and_a_vanished_one_is() {
    let (mut lake, _) = small_lake().await;
    let record = lake.append_unpublished(vec![(0, row(190, "north", 1.0))]).await.unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!((text(&report).as_str(), report.checked["files staged, not yet published"]), ("", 1));

    let upload = record.files().next().unwrap().upload.id.clone();
    std::fs::remove_file(lake.path(&upload)).unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-4"], "{}", text(&report));
}

#[tokio::test]
async fn an_orphan_is_tl5_in_each_live_folder() {
    let (lake, records) = small_lake().await;
    let key = records[0].files().next().unwrap().key.clone();
    let quarantine = records[1].files().last().unwrap().key.clone();
    for orphan in [key.replace(".parquet", "0.parquet"), format!("{quarantine}.copy"), format!("{TABLE}/duplicates/x")] {
        std::fs::create_dir_all(lake.path(&orphan).parent().unwrap()).unwrap();
        std::fs::copy(lake.path(&key), lake.path(&orphan)).unwrap();
        let report = verify_lake(&lake, false).await;
        assert_eq!(ids(&report), ["TL-5"], "{}", text(&report));
        assert_eq!(report.violations[0].place.file.as_deref(), Some(orphan.as_str()));
        std::fs::remove_file(lake.path(&orphan)).unwrap();
    }
}

#[tokio::test]
async fn a_missing_record_is_tl1_and_its_offsets_are_a_hole() {
    let (lake, _) = small_lake().await;
    std::fs::remove_file(lake.path(&format!("{TABLE}/_log/{:020}.json", 3))).unwrap();
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TL-1", "TL-2", "TL-5"], "{}", text(&report));
    assert!(text(&report).contains("TL-1 record 3: record 3 is missing"), "{}", text(&report));
}

#[tokio::test]
async fn a_broken_record_is_tl1() {
    let (lake, _) = small_lake().await;
    std::fs::write(lake.path(&format!("{TABLE}/_log/{:020}.json", 5)), b"{\"format\":1,").unwrap();
    assert!(ids(&verify_lake(&lake, false).await).contains(&"TL-1"));
}

#[tokio::test]
async fn a_proposal_committed_twice_is_tl1_and_overlaps() {
    let (lake, records) = small_lake().await;
    let mut again = Record::clone(&records[3]);
    again.seq = table_log::Seq(6);
    std::fs::write(lake.path(&format!("{TABLE}/_log/{:020}.json", 6)), again.to_json()).unwrap();
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TL-1", "TL-2", "TL-4"], "{}", text(&report));
    assert!(text(&report).contains("overlap: offsets"), "{}", text(&report));
}

#[tokio::test]
async fn a_range_that_starts_late_is_a_hole_and_does_not_add_up() {
    let (lake, records) = small_lake().await;
    edit_record(&lake, &records[2], |body| body.ranges[0].range.start.0 += 1);
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-2", "TL-3"], "{}", text(&report));
    assert!(report.violations.iter().all(|v| v.place.record == Some(4)), "{}", text(&report));
}

#[tokio::test]
async fn counts_that_do_not_add_up_are_tl3() {
    let (lake, records) = small_lake().await;
    edit_record(&lake, &records[1], |body| {
        body.ranges[1].absent += 1;
        body.ranges[1].skipped -= 1;
        body.ranges[0].quarantined -= 1;
        body.ranges[0].rows += 1;
    });
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
}

#[tokio::test]
async fn a_watermark_that_goes_back_is_tm1() {
    let (lake, records) = small_lake().await;
    edit_record(&lake, &records[2], |body| body.ranges[1].watermark = Some(windowing::Time(5)));
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TM-1"], "{}", text(&report));
}

#[tokio::test]
async fn a_row_that_is_there_twice_is_tl3_at_its_offset() {
    let (lake, records) = small_lake().await;
    rewrite_file(&lake, &records[0], 0, |rows| breakage::repeat_row(rows, 0, 1));
    let shallow = verify_lake(&lake, false).await;
    assert_eq!(text(&shallow), "", "counts cannot tell");
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
    assert_eq!(report.violations[0].place.offset.as_deref(), Some("readings/0/0"));
}

#[tokio::test]
async fn a_row_of_another_record_is_tl3() {
    let (lake, records) = small_lake().await;
    rewrite_file(&lake, &records[3], 0, |rows| breakage::with_offset(rows, 0));
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
    assert!(text(&report).contains("in none of the record's ranges"), "{}", text(&report));
}

#[tokio::test]
async fn a_row_fewer_is_tl4() {
    let (lake, records) = small_lake().await;
    rewrite_file(&lake, &records[0], 0, |rows| rows.slice(0, 1));
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TL-4", "TM-2"], "{}", text(&report));
    assert!(text(&report).contains("has 1 rows, the record says 3"), "{}", text(&report));
}

#[tokio::test]
async fn a_truncated_file_is_tl4() {
    let (lake, records) = small_lake().await;
    let entry = records[2].files().next().unwrap().clone();
    let whole = std::fs::read(lake.path(&entry.key)).unwrap();
    let cut = &whole[..whole.len() - 10];
    std::fs::write(lake.path(&entry.key), cut).unwrap();
    let by_size = verify_lake(&lake, true).await;
    assert_eq!(ids(&by_size), ["TL-4"], "{}", text(&by_size));

    edit_record(&lake, &records[2], |body| body.files[0].bytes = cut.len() as u64);
    let by_footer = verify_lake(&lake, true).await;
    assert_eq!(ids(&by_footer), ["TL-4"], "{}", text(&by_footer));
    assert!(text(&by_footer).contains("is not whole"), "{}", text(&by_footer));
}

#[tokio::test]
async fn a_row_outside_of_its_window_is_tm2_by_the_footer_and_by_the_row() {
    let (lake, records) = small_lake().await;
    rewrite_file(&lake, &records[0], 0, |rows| breakage::with_time(rows, test_kit::small_lake::DAY.0 + 3_600_000_000));
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TM-2"], "{}", text(&report));
    assert_eq!(report.violations.len(), 2, "{}", text(&report));
}

#[tokio::test]
async fn a_file_under_a_wrong_folder_is_tm2() {
    let (lake, records) = small_lake().await;
    edit_record(&lake, &records[0], |body| body.files[0].late = true);
    let report = verify_lake(&lake, false).await;
    assert_eq!(ids(&report), ["TM-2"], "{}", text(&report));
}

#[tokio::test]
async fn a_gap_that_a_person_declared_is_counted_and_a_lost_file_may_be_missing() {
    let (lake, records) = small_lake().await;
    let (source, end) = match &records[3].body {
        table_log::Body::Append(body) => (body.ranges[0].source.clone(), body.ranges[0].range.end),
        other => panic!("{other:?}"),
    };
    let repair = |action| table_log::Body::Repair(table_log::record::RepairBody { actor: "a".to_owned(), reason: "b".to_owned(), action });
    let range = table_log::OffsetRange { start: end, end: table_log::Offset(end.0 + 5) };
    lake.commit(repair(RepairAction::Gap { source, range })).await.unwrap();
    let lost = table_log::FileRef { seq: records[0].seq, index: 0 };
    lake.commit(repair(RepairAction::Lost { lost: vec![lost] })).await.unwrap();
    std::fs::remove_file(lake.path(&records[0].files().next().unwrap().key)).unwrap();
    let report = verify_lake(&lake, true).await;
    // The file that is declared lost is no longer named by the state, but it was named: it is no orphan either.
    let rows = records[0].files().next().unwrap().rows;
    assert_eq!((text(&report).as_str(), report.lost), ("", 5 + rows));
}

#[tokio::test]
async fn rows_survive_being_read_and_written_by_these_tests() {
    let (lake, records) = small_lake().await;
    let before = read_rows(&lake, &records[0].files().next().unwrap().key);
    rewrite_file(&lake, &records[0], 0, |rows| rows);
    assert_eq!(read_rows(&lake, &records[0].files().next().unwrap().key), before);
    assert_eq!(text(&verify_lake(&lake, true).await), "");
}

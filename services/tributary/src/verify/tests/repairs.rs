//! Logs that a person repaired are whole, and what is broken beside a repair is found all the same.
use super::breakage::{edit_record, repeat_row, rewrite_file};
use super::*;
use table_log::key::{Key, Layout};
use table_log::record::{FileEntry, RepairBody, SourceDeclaration};
use table_log::{Body, FileRef, KafkaPartition, Offset, OffsetRange, Seq, TableName};
use windowing::WindowSize;

fn repair(action: RepairAction) -> Body {
    Body::Repair(RepairBody { actor: "ada".to_owned(), reason: "a test".to_owned(), action })
}

/// A copy of a file under a key of its own, as a replacement that is in place.
fn copied(lake: &SmallLake, entry: &FileEntry, base: Seq) -> FileEntry {
    let layout = Layout { table: TableName(TABLE.to_owned()), window: WindowSize::HOUR, partition_by: vec!["site".to_owned()] };
    let key = match layout.parse(&entry.key).unwrap() {
        Key::Data { lake_partition, folder, staging, .. } => Key::Data { lake_partition, folder, base, staging },
        Key::Quarantine { day, staging, .. } => Key::Quarantine { day, base, staging },
        other => panic!("{other:?}"),
    };
    let key = layout.path(&key);
    std::fs::copy(lake.path(&entry.key), lake.path(&key)).unwrap();
    FileEntry { key, staged_on: base, ..entry.clone() }
}

/// Loses a file of a record and replaces it.
async fn replace(lake: &SmallLake, record: &Record, index: u32, newest: Seq) -> Arc<Record> {
    replace_all(lake, record, &[index], newest).await
}

/// The same with several files in one repair.
async fn replace_all(lake: &SmallLake, record: &Record, indices: &[u32], newest: Seq) -> Arc<Record> {
    let mut files = Vec::new();
    for index in indices {
        let entry = record.files().nth(*index as usize).unwrap();
        files.push(copied(lake, entry, newest));
        std::fs::remove_file(lake.path(&entry.key)).unwrap();
    }
    let lost = indices.iter().map(|index| FileRef { seq: record.seq, index: *index }).collect();
    lake.commit(repair(RepairAction::Refile { lost, files })).await.unwrap()
}

async fn lose(lake: &SmallLake, record: &Record, index: u32) -> u64 {
    let entry = record.files().nth(index as usize).unwrap().clone();
    std::fs::remove_file(lake.path(&entry.key)).unwrap();
    lake.commit(repair(RepairAction::Lost { lost: vec![FileRef { seq: record.seq, index }] })).await.unwrap();
    entry.rows
}

#[tokio::test]
async fn files_made_again_are_the_records_files_however_often() {
    let (lake, records) = small_lake().await;
    let newest = records.last().unwrap().seq;
    let refiled = replace(&lake, &records[1], 1, newest).await;
    let again = replace(&lake, &refiled, 0, refiled.seq).await;
    replace(&lake, &records[0], 0, again.seq).await;
    let report = verify_lake(&lake, true).await;
    assert_eq!((text(&report).as_str(), report.lost), ("", 0));
    assert_eq!(report.checked["ranges by identity"], 7, "no record is left out: {:?}", report.checked);
}

#[tokio::test]
async fn several_files_of_a_record_are_made_again_by_one_repair() {
    let (lake, records) = small_lake().await;
    replace_all(&lake, &records[1], &[0, 1], records.last().unwrap().seq).await;
    let report = verify_lake(&lake, true).await;
    assert_eq!(text(&report), "");
    assert_eq!(report.checked["ranges by identity"], 7, "{:?}", report.checked);
}

#[tokio::test]
async fn a_replacement_with_other_rows_is_tl3() {
    let (lake, records) = small_lake().await;
    rewrite_file(&lake, &records[0], 0, |rows| repeat_row(rows, 0, 1));
    // The broken file is what replaces itself.
    let record = Record::parse(&std::fs::read(lake.path(&format!("{TABLE}/_log/{:020}.json", records[0].seq.0))).unwrap()).unwrap();
    replace(&lake, &record, 0, records.last().unwrap().seq).await;
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
}

#[tokio::test]
async fn a_replacement_that_is_missing_is_tl4() {
    let (lake, records) = small_lake().await;
    let refiled = replace(&lake, &records[0], 0, records.last().unwrap().seq).await;
    std::fs::remove_file(lake.path(&refiled.files().next().unwrap().key)).unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-4"], "{}", text(&report));
    assert!(text(&report).contains(&format!("repair refile {TABLE} {}", refiled.seq)), "{}", text(&report));
}

#[tokio::test]
async fn rows_declared_lost_are_counted_and_cover_nothing_else() {
    let (lake, records) = small_lake().await;
    let refiled = replace(&lake, &records[1], 1, records.last().unwrap().seq).await;
    let lost = lose(&lake, &refiled, 0).await + lose(&lake, &records[0], 0).await;
    let report = verify_lake(&lake, true).await;
    assert_eq!((text(&report).as_str(), report.lost), ("", lost), "lost, and the one made again before it was lost");
    // Another file of the same record.
    std::fs::remove_file(lake.path(&records[0].files().nth(1).unwrap().key)).unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-4"], "{}", text(&report));
}

#[tokio::test]
async fn a_row_that_is_missing_beside_declared_ones_is_tl3() {
    let (lake, records) = small_lake().await;
    let lost = lose(&lake, &records[0], 0).await;
    assert!(lost > 0);
    // Two rows become one in another record, whose counts follow: no declaration covers that.
    rewrite_file(&lake, &records[2], 0, |rows| rows.slice(0, 1));
    edit_record(&lake, &records[2], |body| body.files[0].rows = 1);
    let report = verify_lake(&lake, true).await;
    assert!(ids(&report).contains(&"TL-3"), "{}", text(&report));
}

#[tokio::test]
async fn a_restart_ends_where_the_books_end() {
    let (lake, records) = small_lake().await;
    let ends = |wrong: i64| {
        let mut ends = std::collections::BTreeMap::new();
        for record in &records {
            let Body::Append(body) = &record.body else { panic!("{record:?}") };
            ends.extend(body.ranges.iter().map(|range| (range.source.kafka_partition, Offset(range.range.end.0 + wrong))));
        }
        ends
    };
    let declared = SourceDeclaration {
        cluster_id: "elsewhere".to_owned(),
        topic: test_kit::small_lake::TOPIC.to_owned(),
        topic_id: None,
        generation: 2,
        refused: false,
        starts: [(KafkaPartition(0), Offset(3))].into(),
    };
    let restart = lake.commit(repair(RepairAction::Restart { source: declared.clone(), ends: ends(0) })).await.unwrap();
    assert_eq!(text(&verify_lake(&lake, true).await), "");
    let gap = OffsetRange { start: Offset(3), end: Offset(5) };
    let source = table_log::SourcePartition { topic: declared.topic.clone(), generation: 2, kafka_partition: KafkaPartition(0) };
    lake.commit(repair(RepairAction::Gap { source, range: gap })).await.unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!((text(&report).as_str(), report.lost), ("", 2), "a gap of the next generation");

    let mut forged = Record::clone(&restart);
    forged.body = repair(RepairAction::Restart { source: declared, ends: ends(1) });
    std::fs::write(lake.path(&format!("{TABLE}/_log/{:020}.json", forged.seq.0)), forged.to_json()).unwrap();
    let report = verify_lake(&lake, true).await;
    assert_eq!(ids(&report), ["TL-2"], "{}", text(&report));
    assert!(text(&report).contains("its next offset is"), "{}", text(&report));
}

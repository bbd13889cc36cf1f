//! Golden files of record format 1: what an earlier version wrote is read, written and folded the same for ever.
#![allow(clippy::unwrap_used)]
use std::path::PathBuf;
use table_log::invariant::check::{check_log, entry_of};
use table_log::{Body, FileRef, KafkaPartition, Offset, Record, RecordError, Seq, SourcePartition, TableState};
use windowing::{Micros, Time};

/// 2026-11-21T05:00:00Z, the window of the golden tables.
const WINDOW: Time = Time(1_795_237_200_000_000);

fn golden(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format1").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn parse(folder: &str) -> Vec<Record> {
    golden(folder).iter().map(|(path, bytes)| Record::parse(bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

fn fold(records: &[Record]) -> TableState {
    let mut state = TableState::default();
    for record in records {
        state.apply(record).unwrap_or_else(|error| panic!("{} `{}`: {error}", record.kind(), record.seq));
    }
    state
}

#[test]
fn records_are_written_as_they_were_read() {
    for folder in ["kafka_table", "derived_table", "parsed_only"] {
        for (path, bytes) in golden(folder) {
            let record = Record::parse(&bytes).unwrap();
            let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let written: serde_json::Value = serde_json::from_slice(&record.to_json()).unwrap();
            assert_eq!(written, read, "{}", path.display());
            assert!(path.to_str().unwrap().contains(record.kind()), "{}", path.display());
        }
    }
}

#[test]
fn every_kind_has_a_golden_file() {
    let records: Vec<_> = ["kafka_table", "derived_table", "parsed_only"].into_iter().flat_map(parse).collect();
    for kind in ["table", "source", "append", "seal", "derive", "register", "vacuum", "sweep", "flush", "repair"] {
        assert!(records.iter().any(|record| record.kind() == kind), "{kind}");
    }
    let actions: Vec<_> = golden("kafka_table").iter().map(|(path, _)| path.display().to_string()).collect();
    for action in ["gap", "restart", "refile", "lost"] {
        assert!(actions.iter().any(|path| path.ends_with(&format!("repair-{action}.json"))), "{action}");
    }
}

#[test]
fn the_kafka_table_folds_to_its_known_state() {
    let records = parse("kafka_table");
    let state = fold(&records);
    check_log(&records).unwrap();
    let partition = |topic: &str, generation, number| {
        let kafka_partition = KafkaPartition(number);
        state.next_offset(&SourcePartition { topic: topic.to_owned(), generation, kafka_partition })
    };
    assert_eq!(partition("readings", 1, 0), Some(Offset(13)));
    assert_eq!(partition("readings", 1, 1), Some(Offset(20)), "a gap was declared");
    assert_eq!(partition("readings", 2, 2), Some(Offset(0)));
    assert_eq!(state.current_source("readings").unwrap().0, 2);
    assert!(state.current_source("old").is_none(), "retired");
    assert_eq!(state.watermark(), Some(WINDOW + Micros(71 * Micros::MINUTE.0)));
    assert_eq!(state.closed_through(), Some(WINDOW + Micros(61 * Micros::MINUTE.0)));
    let windows: Vec<_> = state.windows().collect();
    assert_eq!(windows, [(WINDOW, 1, true), (WINDOW + Micros::HOUR, 0, false)]);
    let live: Vec<_> = state.live_files().map(|(p, revision, files)| (p.values[0].as_deref(), revision, files.to_vec())).collect();
    let file = |seq, index| FileRef { seq: Seq(seq), index };
    assert_eq!(
        live,
        [
            (None, 1, vec![file(7, 0)]),
            (Some("north/1"), 1, vec![file(14, 0), file(14, 1)]),
            (Some("south"), 1, vec![]),
            (Some("south"), 0, vec![file(5, 1)]),
        ]
    );
    assert_eq!(state.superseded_files().count(), 0, "vacuumed");
    let unpublished: Vec<_> = state.unpublished().iter().map(|seq| seq.0).collect();
    assert_eq!(unpublished, [14]);
    assert_eq!(state.swept_before(), Some(Seq(6)));
    let totals = state.totals();
    assert_eq!((totals.rows, totals.late_rows, totals.quarantined, totals.skipped, totals.absent), (13, 2, 3, 1, 1));
    assert_eq!((totals.lost, totals.duplicates), (12 + 2, 1));
    assert_eq!(entry_of(&records, state.duplicates_files()[0]).unwrap().rows, 1);
}

#[test]
fn the_derived_table_folds_to_its_known_state() {
    let state = fold(&parse("derived_table"));
    assert_eq!(state.windows().collect::<Vec<_>>(), [(WINDOW, 2, true)]);
    assert_eq!(state.live_files().map(|(_, revision, files)| (revision, files.len())).collect::<Vec<_>>(), [(2, 1)]);
    assert_eq!(state.window(WINDOW).unwrap().inputs[0].revision, 2);
    assert_eq!(state.superseded_files().count(), 1);
}

#[test]
fn the_fold_survives_a_checkpoint_after_each_record() {
    for folder in ["kafka_table", "derived_table"] {
        let mut state = TableState::default();
        for record in parse(folder) {
            state.apply(&record).unwrap();
            let checkpoint = serde_json::to_vec(&state).unwrap();
            state = serde_json::from_slice(&checkpoint).unwrap();
        }
        assert_eq!(state, fold(&parse(folder)));
    }
}

#[test]
fn unknown_fields_are_tolerated_and_unknown_kinds_and_formats_refused() {
    let (_, bytes) = golden("kafka_table").remove(1);
    let edited = |pointer: &str, value: serde_json::Value| {
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        json[pointer] = value;
        Record::parse(&serde_json::to_vec(&json).unwrap())
    };
    let tolerated = edited("added_by_a_newer_version", 1.into()).unwrap();
    assert!(matches!(tolerated.body, Body::Source(body) if body.sources[0].starts[&KafkaPartition(1)] == Offset(5)));
    let newer = edited("format", 2.into()).unwrap_err();
    assert!(matches!(newer, RecordError::NewerFormat { format: 2 }));
    assert_eq!(newer.to_string(), "record has format `2`, and this program reads formats up to `1`: run a newer version");
    let unknown = edited("kind", "teleport".into()).unwrap_err();
    assert!(matches!(&unknown, RecordError::UnknownKind { kind } if kind == "teleport"));
    assert!(unknown.to_string().contains("`teleport`"));
    assert!(matches!(edited("sources", 3.into()).unwrap_err(), RecordError::Malformed(_)));
    assert!(matches!(Record::parse(b"{\"seq\":").unwrap_err(), RecordError::Malformed(_)), "a torn object");
    let key_twice = String::from_utf8(bytes.clone()).unwrap().replacen("\"1\": 5", "\"00\": 5", 1);
    assert!(matches!(Record::parse(key_twice.as_bytes()).unwrap_err(), RecordError::Malformed(_)), "`00` is another spelling of `0`");
    let size =
        String::from_utf8(golden("kafka_table").remove(0).1).unwrap().replacen("\"window\": 3600000000", "\"window\": 3600000001", 1);
    assert!(matches!(Record::parse(size.as_bytes()).unwrap_err(), RecordError::Malformed(_)), "no divisor of a day");
}

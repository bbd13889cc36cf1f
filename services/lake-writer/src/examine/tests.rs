use super::*;
use kafka_io::TopicInfo;
use table_log::{
    Body, KafkaPartition, PutId, Record,
    record::{RepairAction, RepairBody, SourceBody, SourceDeclaration, TableBody, TableSettings},
};
use windowing::{Micros, Time, WindowSize};

fn declaration(topic: &str, starts: &[i64]) -> SourceDeclaration {
    SourceDeclaration {
        cluster_id: "c".into(),
        topic: topic.into(),
        topic_id: Some(format!("id-{topic}")),
        generation: 1,
        refused: false,
        starts: (0..).zip(starts).map(|(number, start)| (KafkaPartition(number), Offset(*start))).collect(),
    }
}

/// A log with these sources, none of which has taken anything.
fn state(sources: Vec<SourceDeclaration>) -> TableState {
    let settings = TableSettings {
        event_time: None,
        window: WindowSize::HOUR,
        partition_by: vec![],
        allowed_lateness: Micros(0),
        out_of_orderness: Micros(0),
        idle_timeout: None,
        max_future: Micros::HOUR,
        max_past: Micros::DAY,
        dedupe_by: vec![],
        sort_by: vec![],
        catalog: Default::default(),
    };
    let table = TableBody { schema_version: 1, avro_schema: "{}".into(), columns: vec![], settings };
    let source = SourceBody { sources, retired: vec![] };
    let mut state = TableState::default();
    for (seq, body) in (0..).zip([Body::Table(table), Body::Source(source)]) {
        apply(&mut state, seq, body);
    }
    state
}

fn apply(state: &mut TableState, seq: u64, body: Body) {
    let (put_id, writer) = (PutId(seq.to_string()), "w".into());
    let record = Record { format: table_log::FORMAT, seq: Seq(seq), put_id, writer, at: Time(0), published: vec![], body };
    state.apply(&record).expect("the record follows the log");
}

fn look(cluster: &str, topics: &[(&str, &[i64], &[i64])]) -> ClusterLook {
    let info = |topic: &str, count| TopicInfo { topic: topic.into(), topic_id: Some(format!("id-{topic}")), partitions: count };
    let named = topics.iter().map(|(topic, earliest, _)| ((*topic).to_owned(), Some(info(topic, earliest.len() as i32))));
    let bounds = topics
        .iter()
        .map(|(topic, earliest, log_end)| ((*topic).to_owned(), Bounds { earliest: earliest.to_vec(), log_end: log_end.to_vec() }));
    ClusterLook { view: ClusterView { cluster_id: Some(cluster.into()), topics: named.collect() }, bounds: bounds.collect() }
}

#[test]
fn what_fits_needs_no_person() {
    let state = state(vec![declaration("a", &[5, 7])]);
    assert_eq!(findings("t", &state, &look("c", &[("a", &[5, 0], &[5, 90])])), vec![]);
    assert_eq!(findings("t", &state, &look("c", &[("unknown", &[5], &[5])])), vec![]);
}

#[test]
fn all_lost_ranges_are_said_at_once() {
    let state = state(vec![declaration("a", &[5, 7]), declaration("b", &[1])]);
    let found = findings("t", &state, &look("c", &[("a", &[6, 7], &[90, 90]), ("b", &[11], &[90])]));
    let [StoppedTable::RetentionPassed { ranges, .. }] = found.as_slice() else { panic!("{found:?}") };
    let ranges: Vec<_> = ranges.iter().map(|r| (r.topic.as_str(), r.kafka_partition.0, r.expected.0, r.earliest.0)).collect();
    assert_eq!(ranges, [("a", 0, 5, 6), ("b", 0, 1, 11)]);
}

#[test]
fn a_log_that_ends_too_early_was_cut() {
    let state = state(vec![declaration("a", &[5, 7])]);
    let found = findings("t", &state, &look("c", &[("a", &[0, 0], &[5, 6])]));
    let cut = CutPartition { kafka_partition: KafkaPartition(1), expected: Offset(7), end: Offset(6) };
    assert_eq!(found, [StoppedTable::OffsetOutOfRange { table: "t".into(), topic: "a".into(), cuts: vec![cut] }]);
}

#[test]
fn of_another_cluster_nothing_else_is_said() {
    let state = state(vec![declaration("a", &[5]), declaration("b", &[1])]);
    let found = findings("t", &state, &look("d", &[("a", &[90], &[90]), ("b", &[0], &[0])]));
    let [StoppedTable::ClusterChanged { topics, declared, found, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((topics.as_slice(), declared.as_str(), found.as_str()), (&["a".to_owned(), "b".to_owned()][..], "c", "d"));
}

#[test]
fn topics_that_are_others_or_gone_are_told_apart() {
    let mut state = state(vec![declaration("a", &[5]), declaration("b", &[1])]);
    let mut other = look("c", &[("a", &[0], &[90]), ("b", &[0], &[90])]);
    other.view.topics[0].1.as_mut().expect("it is there").topic_id = Some("another".into());
    other.view.topics[1].1 = None;
    let situations: Vec<_> = findings("t", &state, &other).iter().map(StoppedTable::situation).collect();
    assert_eq!(situations, ["topic_recreated", "topic_gone"]);
    let retired = SourceBody { sources: vec![], retired: vec!["b".into()] };
    apply(&mut state, 2, Body::Source(retired));
    let source = SourceDeclaration { topic_id: Some("another".into()), generation: 2, ..declaration("a", &[0]) };
    let action = RepairAction::Restart { source, ends: BTreeMap::new() };
    apply(&mut state, 3, Body::Repair(RepairBody { actor: "a".into(), reason: "r".into(), action }));
    assert_eq!(findings("t", &state, &other), vec![], "a retired topic may be gone, and the new generation fits");
}

#[test]
fn a_cut_is_measured_by_the_log() {
    let state = state(vec![declaration("a", &[50, 60, 70])]);
    let cut =
        |number, expected, end| CutPartition { kafka_partition: KafkaPartition(number), expected: Offset(expected), end: Offset(end) };
    // The shard had taken offsets up to 90 and 80 that were never committed; a third kafka_partition ends too early without an error so far.
    let seen = [cut(0, 90, 40), cut(1, 80, 75)];
    let more = StoppedTable::OffsetOutOfRange { table: "t".into(), topic: "a".into(), cuts: vec![cut(0, 50, 45), cut(2, 70, 65)] };
    assert_eq!(cuts_by_log("a", &seen, &state, &[more]), [cut(0, 50, 40), cut(1, 60, 60), cut(2, 70, 65)]);
}

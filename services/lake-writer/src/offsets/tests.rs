use super::*;
use table_log::KafkaPartition;
use windowing::Micros;

const S: fn(u64) -> Duration = Duration::from_secs;

fn progress(topic: &str, kafka_partition: i32, next: i64) -> PartitionProgress {
    PartitionProgress::new(
        Start {
            source: SourcePartition { topic: topic.into(), generation: 1, kafka_partition: KafkaPartition(kafka_partition) },
            refused: false,
            next_offset: Offset(next),
            leader_epoch: Some(3),
            watermark: PartitionWatermark::new(Micros(0), Some(Micros(300_000_000)), None),
        },
        S(0),
    )
}

#[test]
fn continuity_is_decided_per_offset() {
    let p = progress("t", 0, 10);
    assert_eq!(p.step(9), Step::Duplicate);
    assert_eq!(p.step(10), Step::Next);
    assert_eq!(p.step(13), Step::Gap { missing: 3 });
}

#[test]
fn a_cut_balances_and_the_next_one_builds_on_it() {
    let mut p = progress("t", 0, 10);
    p.skip_absent(12);
    p.take(Some(4));
    p.count_row();
    p.take(None);
    p.count_quarantined();
    p.take(None);
    p.count_skipped();
    let (range, counts) = p.cut().expect("something was taken");
    assert_eq!((range.range.start, range.range.end), (Offset(10), Offset(15)));
    assert_eq!(counts, Counts { rows: 1, quarantined: 1, skipped: 1, absent: 2 });
    assert_eq!(counts.total(), 5);
    assert_eq!(range.leader_epoch, Some(4));
    assert!(p.cut().is_none());
    p.take(None);
    p.count_row();
    assert_eq!(p.cut().map(|(r, _)| (r.range.start, r.range.end)), Some((Offset(15), Offset(16))));
}

#[test]
fn a_position_from_before_the_assignment_is_not_believed() {
    let mut p = progress("t", 0, 100);
    assert_eq!(p.tail(Some(500), S(1)), None, "left from the old assignment");
    assert_eq!(p.tail(Some(100), S(2)), None, "at the start: the new assignment holds");
    assert_eq!(p.tail(Some(103), S(3)), Some(103));
    p.stall();
    assert_eq!(p.tail(Some(104), S(4)), None, "an error moves the position");
    p.restarted(S(5));
    assert_eq!(p.tail(Some(104), S(6)), None);
    p.take(None);
    assert_eq!(p.tail(Some(101), S(6)), None, "nothing after next");
    assert_eq!(p.tail(Some(104), S(6)), Some(104), "a record of the new assignment was delivered");
}

#[test]
fn idle_needs_the_whole_timeout_at_the_log_end_and_repeats() {
    let mut p = progress("t", 0, 100);
    p.observe_quiet(true, S(0));
    assert!(!p.idle_report_due(S(300), S(299)));
    p.observe_quiet(false, S(299));
    p.observe_quiet(true, S(300));
    assert!(!p.idle_report_due(S(300), S(599)));
    assert!(p.idle_report_due(S(300), S(600)));
    p.report_idle(Time(1_000_000_000), S(600));
    assert!(p.is_pending());
    let (range, _) = p.cut().expect("an idle report is a proposal");
    assert_eq!(range.range.start, range.range.end);
    assert_eq!(range.watermark, Some(Time(700_000_000)));
    p.observe_quiet(true, S(700));
    assert!(p.is_idle(S(300), S(700)) && !p.idle_report_due(S(300), S(899)));
    assert!(p.idle_report_due(S(300), S(900)));
    p.take(None);
    assert!(!p.is_idle(S(300), S(900)));
}

#[test]
fn owned_partitions_are_found_by_topic_and_number() {
    let mut owned = Owned::default();
    for (topic, number) in [("b", 1), ("a", 2), ("b", 0), ("a", 10)] {
        owned.insert(progress(topic, number, 0));
    }
    for (topic, number) in [("a", 2), ("a", 10), ("b", 0), ("b", 1), ("a", 2)] {
        let index = owned.find(topic, number).expect("owned");
        let source = &owned.at(index).source;
        assert_eq!((source.topic.as_str(), source.kafka_partition.0), (topic, number));
    }
    assert!(owned.find("a", 3).is_none() && owned.find("c", 0).is_none());
    assert!(owned.remove("a", 2).is_some() && owned.find("a", 2).is_none());
    assert!(!owned.is_pending() && owned.cut().is_empty());
}

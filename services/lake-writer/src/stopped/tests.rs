use super::*;

const SETTINGS: &str = "/etc/tributary/tributary.yaml";

fn command(stop: &StoppedTable) -> String {
    let command = stop.command(Path::new(SETTINGS)).expect("a command goes on");
    assert!(stop.message(Path::new(SETTINGS)).contains(&format!("`{command}`")), "the message has the command");
    assert!(!stop.to_string().is_empty());
    command.replacen(&format!(" --apply --settings {SETTINGS}"), "", 1)
}

fn lost(kafka_partition: i32, expected: i64, earliest: i64) -> LostRange {
    let (expected, earliest) = (Offset(expected), Offset(earliest));
    LostRange { topic: "readings".into(), kafka_partition: KafkaPartition(kafka_partition), expected, earliest }
}

#[test]
fn a_gap_names_all_its_ranges_and_counts_them() {
    let stop = StoppedTable::RetentionPassed { table: "t".into(), ranges: vec![lost(0, 10, 25), lost(3, 0, 7)] };
    assert!(stop.to_string().contains("22 offset(s) are lost"), "{stop}");
    assert_eq!(
        command(&stop),
        "tributary repair gap t readings/0:10..25 readings/3:0..7 --reason 'Kafka deleted the records before they were taken'"
    );
    let many = StoppedTable::RetentionPassed { table: "t".into(), ranges: (0..40).map(|number| lost(number, 0, 1)).collect() };
    assert!(many.to_string().contains("and 30 more") && command(&many).contains("readings/39:0..1"), "{many}");
}

#[test]
fn a_cut_log_goes_on_at_the_cut_and_elsewhere_where_it_stands() {
    let cuts = vec![CutPartition { kafka_partition: KafkaPartition(1), expected: Offset(100), end: Offset(90) }];
    let short = StoppedTable::OffsetOutOfRange { table: "t".into(), topic: "readings".into(), cuts: cuts.clone() };
    let truncated = StoppedTable::LogTruncated { table: "t".into(), topic: "readings".into(), cuts, detail: "said so".into() };
    for stop in [short, truncated] {
        assert!(stop.to_string().contains("these 10 offset(s)"), "{stop}");
        assert!(command(&stop).starts_with("tributary repair restart t readings --at next --offset 1=90 --reason '"), "{stop}");
    }
}

#[test]
fn another_topic_and_another_cluster_begin_anew() {
    let (table, topic, declared) = ("t".to_owned(), "readings".to_owned(), "a".to_owned());
    let gone = StoppedTable::TopicGone { table: table.clone(), topic: topic.clone(), declared: declared.clone() };
    assert_eq!(command(&gone), "tributary source retire t readings");
    let recreated =
        StoppedTable::TopicRecreated { table: table.clone(), topic, declared: declared.clone(), found: "b".into(), untaken: Some(4) };
    assert!(recreated.to_string().contains("at least 4"), "{recreated}");
    assert_eq!(command(&recreated), "tributary repair restart t readings --reason 'the topic was made again'");
    let topics = vec!["readings".to_owned(), "more".to_owned()];
    let moved = StoppedTable::ClusterChanged { table, topics, declared, found: "-x".into() };
    assert!(command(&moved).starts_with("tributary repair restart t readings more --cluster -x --reason '"), "{moved}");
}

#[test]
fn a_lost_file_is_named_by_its_record() {
    let file = |seq, rows| LostFile { seq: Seq(seq), key: format!("t/data/{seq}"), rows };
    let stop = StoppedTable::LakeFileLost { table: "t".into(), files: vec![file(7, Some(2)), file(5, Some(3)), file(7, Some(1))] };
    assert!(stop.to_string().starts_with("6 row(s) in 3 file(s) of table `t` are lost"), "{stop}");
    assert_eq!(command(&stop), "tributary repair refile t 5 7 --reason 'the file is lost'");
    let unknown = StoppedTable::LakeFileLost { table: "t".into(), files: vec![file(7, None)] };
    assert!(unknown.to_string().starts_with("1 file(s) of table `t`"), "{unknown}");
}

#[test]
fn arguments_survive_a_shell() {
    assert_eq!(quoted("/a/b-c.yaml"), "/a/b-c.yaml");
    assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    assert_eq!(quoted(""), "''");
    let stop = StoppedTable::TopicGone { table: "t".into(), topic: "x".into(), declared: "y".into() };
    let command = stop.command(Path::new("/a b/s.yaml")).expect("a command");
    assert_eq!(command, "tributary source retire t x --apply --settings '/a b/s.yaml'");
}

#[test]
fn every_situation_has_a_name() {
    let bug = StoppedTable::Bug { table: "t".into(), detail: "d".into() };
    assert!(StoppedTable::situations().contains(&bug.situation()));
    assert_eq!((bug.command(Path::new(SETTINGS)), bug.message(Path::new(SETTINGS))), (None, bug.to_string()));
}

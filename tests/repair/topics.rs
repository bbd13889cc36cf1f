//! Topics that are no longer those that the log declares.
use crate::{
    kafka, one_table,
    place::{self, LONG, Place, Table, text},
    two_tables,
};
use table_log::{KafkaPartition, Offset, SourcePartition};
use test_kit::{KafkaServer, Signal, unique_name, wait_until};

fn next_offset(place: &Place, table: &str, topic: &str, generation: u32, number: i32) -> Option<Offset> {
    place.state(table).next_offset(&SourcePartition { topic: topic.to_owned(), generation, kafka_partition: KafkaPartition(number) })
}

/// Deletes the topic, makes it again with the same name, and fills it.
fn make_again(place: &Place, topic: &str, records: u64) {
    place.admin.delete_topic(topic).expect("delete the topic");
    place.create_topic(topic, 2);
    place.produce(topic, 2, records, 10);
}

/// `records` in the new topic: fewer than the table has taken of the old one, or more.
fn a_topic_made_again_at_start(records: u64) {
    let (place, topic) = one_table();
    place.produce(&topic, 2, 100, 1);
    let mut writer = place.start();
    place.wait_for_taken("readings", 100);
    writer.terminate();
    make_again(&place, &topic, records);

    let message = place.start().wait_for_exit_4();
    assert!(message.contains("was deleted and made again") && message.contains("no longer tells how many"), "{message}");
    assert_eq!(place.command_of_status("readings"), Some(place::command_in(&message)));
    place.follow("readings", &message);
    let mut writer = place.start();
    place.wait_for_taken("readings", 100 + records);
    writer.terminate();
    assert_eq!(next_offset(&place, "readings", &topic, 1, 0), Some(Offset(50)), "the first generation stays where it ended");
    assert_eq!(next_offset(&place, "readings", &topic, 2, 0), Some(Offset(records as i64 / 2)));
    place.verify("readings", "--deep --kafka");
    let labels = place.run(&format!("sql \"select count(*) as n from readings where _kafka_topic = '{topic}#2'\" -o json"));
    assert!(text(&labels).contains(&records.to_string()), "rows of the second generation say so: {}", text(&labels));
    let listed = place.run("source list");
    assert!(text(&listed).contains("ended") && text(&listed).contains("current"), "{}", text(&listed));
}

#[test]
fn a_shorter_topic_made_again_at_start_begins_its_next_generation() {
    a_topic_made_again_at_start(40);
}

#[test]
fn a_longer_topic_made_again_at_start_is_told_by_its_id_alone() {
    a_topic_made_again_at_start(300);
}

/// Under a running writer that sleeps meanwhile, so that it sees nothing but the new topic.
fn a_topic_made_again_under_a_running_writer(records: u64) {
    let (place, topic, other) = two_tables("1s");
    place.produce(&topic, 2, 100, 1);
    let mut writer = place.start();
    place.wait_for_taken("broken", 100);
    writer.signal(Signal::Stop);
    make_again(&place, &topic, records);
    writer.signal(Signal::Continue);

    let message = place.wait_for_stop(&writer, "broken", "topic_recreated");
    assert_eq!(place.state("broken").totals().rows, 100, "nothing of the new topic is in the lake");
    place.produce(&other, 1, 50, 3);
    place.wait_for_taken("whole", 50);
    place.follow("broken", &message);
    place.wait_until_ready();
    place.wait_for_taken("broken", 100 + records);
    writer.terminate();
    place.verify("broken", "--deep --kafka");
}

#[test]
fn a_shorter_topic_made_again_under_a_running_writer_stops_it_until_the_command_was_run() {
    a_topic_made_again_under_a_running_writer(40);
}

#[test]
fn a_longer_topic_made_again_under_a_running_writer_is_never_committed() {
    a_topic_made_again_under_a_running_writer(300);
}

#[test]
fn a_deleted_topic_stops_its_table_until_it_is_retired() {
    let (place, topic, other) = two_tables("1s");
    place.produce(&topic, 2, 10, 1);
    let mut writer = place.start();
    place.wait_for_taken("broken", 10);
    place.admin.delete_topic(&topic).expect("delete the topic");
    let message = place.wait_for_stop(&writer, "broken", "topic_gone");
    assert_eq!(place.command_of_status("broken"), Some(place::command_in(&message)));
    place.follow("broken", &message);
    wait_until(LONG, "the writer to say that nothing is left to read", || {
        place.admin_port("/ready").contains("all its sources are retired")
    });
    assert_eq!(place.command_of_status("broken"), None);
    place.produce(&other, 1, 50, 3);
    place.wait_for_taken("whole", 50);

    // A retired topic comes back with its next generation.
    place.create_topic(&topic, 1);
    place.produce(&topic, 1, 7, 4);
    let back = place.run(&format!("repair restart broken {topic} --reason 'it is back' --apply"));
    assert!(back.status.success(), "{}", text(&back));
    place.wait_for_taken("broken", 17);
    writer.terminate();
    place.verify("broken", "--deep --kafka");
}

#[test]
fn a_restart_of_the_same_topic_does_not_repeat_rows() {
    let (place, topic) = one_table();
    place.produce(&topic, 2, 20, 1);
    let mut writer = place.start();
    place.wait_for_taken("readings", 20);
    writer.terminate();
    let twice = place.run(&format!("repair restart readings {topic} --reason test --apply"));
    assert_eq!(twice.status.code(), Some(2), "{}", text(&twice));
    assert!(text(&twice).contains("would be there twice") && text(&twice).contains("--at next"), "{}", text(&twice));
    let beyond = place.run(&format!("repair restart readings {topic} --at next --offset 1=11 --reason test --apply"));
    assert_eq!(beyond.status.code(), Some(2), "{}", text(&beyond));
    let next = place.run(&format!("repair restart readings {topic} --at next --reason test --actor 'Ada L.' --apply"));
    assert!(next.status.success(), "{}", text(&next));
    place.produce(&topic, 2, 20, 2);
    let mut writer = place.start();
    place.wait_for_taken("readings", 40);
    writer.terminate();
    place.verify("readings", "--deep --kafka");
}

#[test]
fn another_cluster_with_the_same_topic_is_accepted_only_by_the_command_of_the_message() {
    let second = KafkaServer::start(&[]).expect("start a second broker");
    let topic = unique_name("moved");
    let mut place = Place::new(kafka(), &[Table { name: "readings", topics: &[(&topic, "earliest")] }], "1s");
    place.create_topic(&topic, 2);
    place.produce(&topic, 2, 30, 1);
    let mut writer = place.start();
    place.wait_for_taken("readings", 30);
    writer.terminate();
    let first = place.admin.cluster_id().expect("an answer").expect("an id");
    place.move_to(second.config());
    place.create_topic(&topic, 2);
    place.produce(&topic, 2, 80, 2);

    let message = place.start().wait_for_exit_4();
    let found = place.admin.cluster_id().expect("an answer").expect("an id");
    assert!(message.contains(&first) && message.contains(&found), "{message}");
    assert_eq!(place.command_of_status("readings"), Some(place::command_in(&message)));
    let unnamed = place.run(&format!("repair restart readings {topic} --reason test --apply"));
    assert_eq!(unnamed.status.code(), Some(2), "another cluster must be named: {}", text(&unnamed));
    let wrong = place.run(&format!("repair restart readings {topic} --cluster {first} --reason test --apply"));
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong));
    place.follow("readings", &message);
    let mut writer = place.start();
    place.wait_for_taken("readings", 110);
    writer.terminate();
    place.verify("readings", "--deep --kafka");
}

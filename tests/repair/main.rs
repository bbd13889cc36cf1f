//! Trouble that only a person can put right, on a real broker: each stops its table with a message, and the command that is read out of
//! the message is what goes on. What was and was not lost is then counted, and `verify` finds nothing wrong.
mod files;
mod place;
mod topics;
mod truncation;

use place::{Place, Table, text};
use test_kit::{KafkaServer, Signal, unique_name, wait_until};

fn kafka() -> kafka_io::KafkaConfig {
    KafkaServer::shared().config()
}

/// A table `broken` on a topic, and a table `whole` beside it that goes on whatever happens.
fn two_tables(commit_interval: &str) -> (Place, String, String) {
    let (topic, other) = (unique_name("repair"), unique_name("whole"));
    let tables = [Table { name: "broken", topics: &[(&topic, "earliest")] }, Table { name: "whole", topics: &[(&other, "earliest")] }];
    let place = Place::new(kafka(), &tables, commit_interval);
    place.create_topic(&topic, 2);
    place.create_topic(&other, 1);
    (place, topic, other)
}

/// One table `readings` on a topic of two kafka_partitions.
fn one_table() -> (Place, String) {
    let topic = unique_name("repair");
    let place = Place::new(kafka(), &[Table { name: "readings", topics: &[(&topic, "earliest")] }], "1s");
    place.create_topic(&topic, 2);
    (place, topic)
}

#[test]
fn retention_that_passed_at_start_is_declared_by_the_command_of_the_message() {
    let (place, topic) = one_table();
    place.produce(&topic, 2, 100, 1);
    let mut writer = place.start();
    place.wait_for_taken("readings", 100);
    writer.terminate();
    place.produce(&topic, 2, 100, 2);
    place.delete_records(&topic, 0, 70);
    place.delete_records(&topic, 1, 61);

    let message = place.start().wait_for_exit_4();
    assert!(message.contains("31 offset(s) are lost"), "{message}");
    assert!(message.contains(&format!("{topic}/0:50..70 {topic}/1:50..61")), "both kafka_partitions in one command: {message}");
    assert_eq!(place.command_of_status("readings"), Some(place::command_in(&message)), "`status` says the same");

    let refused = place.run(&format!("repair gap readings {topic}/0:50..71 --reason more --apply"));
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("Kafka still has offsets 70 to 70"), "{}", text(&refused));
    let refused = place.run(&format!("repair gap readings {topic}/0:51..70 --reason 'not the next' --apply"));
    assert!(refused.status.code() == Some(2) && text(&refused).contains("is 50, not 51"), "{}", text(&refused));

    let (dry, done) = place.follow("readings", &message);
    for printed in [dry, done] {
        assert!(printed.contains("50..70") && printed.contains("20") && printed.contains("11"), "{printed}");
    }
    assert_eq!(place.command_of_status("readings"), None);
    let mut writer = place.start();
    place.wait_for_taken("readings", 200 - 31);
    writer.terminate();
    assert_eq!(place.state("readings").totals().lost, 31);
    let verified = place.verify("readings", "--deep --kafka");
    assert!(verified.contains("31"), "what was declared lost is shown: {verified}");
    let lost = place.run(&format!("inspect {topic}/0/55"));
    assert!(text(&lost).contains("declared lost by record"), "{}", text(&lost));
}

#[test]
fn retention_that_passes_a_running_writer_stops_one_table_until_the_command_was_run() {
    let (place, topic, other) = two_tables("1s");
    place.produce(&topic, 2, 100, 1);
    let mut writer = place.start();
    place.wait_for_taken("broken", 100);
    writer.signal(Signal::Stop);
    place.produce(&topic, 2, 200, 2);
    place.delete_records(&topic, 0, 150);
    writer.signal(Signal::Continue);

    let message = place.wait_for_stop(&writer, "broken", "retention_passed");
    assert!(message.contains("100 offset(s) are lost"), "{message}");
    assert_eq!(place.command_of_status("broken"), Some(place::command_in(&message)));
    place.produce(&other, 1, 50, 3);
    place.wait_for_taken("whole", 50);

    place.follow("broken", &message);
    place.wait_until_ready();
    place.produce(&topic, 2, 20, 4);
    place.wait_for_taken("broken", 100 + 100 + 20);
    writer.terminate();
    assert_eq!(place.state("broken").totals().lost, 100);
    place.verify("broken", "--deep --kafka");
}

#[test]
fn a_kill_before_the_first_record_loses_nothing_whatever_the_start() {
    let (early, late) = (unique_name("early"), unique_name("late"));
    let tables = [Table { name: "early", topics: &[(&early, "latest")] }, Table { name: "late", topics: &[(&late, "latest")] }];
    let place = Place::new(kafka(), &tables, "1h");
    place.create_topic(&early, 2);
    place.produce(&early, 2, 30, 1);
    // Killed between `source` record and first append: what came after the pin is kept, though nothing was committed.
    let mut writer = place.start();
    let declared = |table: &str| place.in_lake(&format!("{table}/_log")).is_dir() && place.state(table).sources().next().is_some();
    wait_until(place::LONG, "the source record", || declared("early"));
    place.produce(&early, 2, 40, 2);
    // The other topic does not exist yet: no `source` record.
    wait_until(place::LONG, "the other table's log", || place.in_lake("late/_log").is_dir() && place.state("late").table.is_some());
    assert!(!declared("late"));
    writer.kill();
    place.produce(&early, 2, 50, 3);
    place.create_topic(&late, 2);
    place.produce(&late, 2, 60, 4);

    place.write_settings(&tables, "1s");
    let mut writer = place.start();
    wait_until(place::LONG, "the other topic's source record", || declared("late"));
    place.produce(&late, 2, 70, 5);
    place.wait_for_taken("early", 40 + 50);
    place.wait_for_taken("late", 70);
    writer.kill();
    // Nothing more comes after another start.
    let mut writer = place.start();
    place.produce(&early, 2, 5, 6);
    place.wait_for_taken("early", 95);
    place.wait_for_taken("late", 70);
    writer.terminate();
    for table in ["early", "late"] {
        place.verify(table, "--deep --kafka");
    }
}

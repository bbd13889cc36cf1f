//! Offsets that the broker does not have are errors, never jumps.
use std::fs;

use kafka_io::{PartitionErrorKind, StartAt};
use test_kit::{KafkaServer, wait_for};

use crate::{
    DEADLINE, new_group, new_topic, options, partition, produce,
    records::{Reader, at},
};

#[test]
fn a_start_that_retention_passed_is_an_error_until_assigned_again() {
    let (server, topic) = new_topic("passed", 2);
    for number in 0..2 {
        produce(server, &topic, number, 0..1_000);
    }
    server.admin().delete_records(&[(partition(&topic, 0), 600)]).expect("deleted");
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(500));
    let (mut other, mut errors) = (Vec::new(), Vec::new());
    wait_for(DEADLINE, "the error, and the other one's records", || {
        let batch = reader.take();
        errors.extend_from_slice(batch.errors());
        for record in batch.records() {
            assert_eq!(record.kafka_partition, 1, "nothing comes of the one that is out of range");
            other.push(record.offset);
        }
        (other.len() == 500 && errors.len() == 1).then_some(())
    });
    assert!(other.iter().copied().eq(500..1_000));
    assert_eq!((&errors[0].partition, errors[0].kind), (&partition(&topic, 0), PartitionErrorKind::OffsetOutOfRange), "{errors:?}");
    assert_eq!(reader.consumer.position(&partition(&topic, 0)), None, "the position means nothing");
    reader.consumer.reassign(&partition(&topic, 0), at(600)).expect("it is assigned");
    let offsets = reader.offsets(400);
    assert!(offsets.iter().copied().eq(600..1_000));
}

#[test]
fn a_start_behind_the_log_end_is_an_error() {
    let (server, topic) = new_topic("beyond", 1);
    produce(server, &topic, 0, 0..10);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(11));
    assert_eq!(reader.error().kind, PartitionErrorKind::OffsetOutOfRange);
    // The error comes again when it is assigned again at a wrong offset.
    reader.consumer.reassign(&partition(&topic, 0), at(12)).expect("it is assigned");
    assert_eq!(reader.error().kind, PartitionErrorKind::OffsetOutOfRange);
    reader.consumer.reassign(&partition(&topic, 0), at(3)).expect("it is assigned");
    assert_eq!(reader.offsets(7), [3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn retention_that_passes_a_running_reader_is_an_error() {
    let (server, topic) = new_topic("overtaken", 1);
    produce(server, &topic, 0, 0..10);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
    assert_eq!(reader.offsets(10).len(), 10);
    server.admin().delete_topic(&topic).expect("deleted");
    wait_for(DEADLINE, "the topic to be made anew", || server.admin().create_topic(&topic, 1, 1, &[]).ok());
    // The new log ends below the reader's offset.
    let error = wait_for(DEADLINE, "an error", || {
        let batch = reader.take();
        assert!(batch.is_empty(), "no record of the new topic is taken for one of the old");
        batch.errors().first().cloned()
    });
    assert_eq!(error.partition, partition(&topic, 0));
}

#[test]
fn a_truncated_log_is_told_from_one_out_of_range() {
    let mut server = KafkaServer::start(&[("log.segment.bytes", "1048576")]).expect("a broker of its own");
    let topic = server.create_topic("truncated", 1).expect("a new topic");
    produce(&server, &topic, 0, 0..100);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
    assert_eq!(reader.offsets(100).len(), 100);
    drop(reader);
    // The log loses everything, as after an unclean election, and is filled again in a later epoch beyond the reader's offset.
    server.kill();
    for file in fs::read_dir(server.data_folder().join(format!("{topic}-0"))).expect("the data").flatten() {
        if file.file_name().to_string_lossy().starts_with("0000") {
            fs::remove_file(file.path()).expect("removed");
        }
    }
    server.restart().expect("it starts again");
    produce(&server, &topic, 0, 0..200);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(150));
    let epoch = wait_for(DEADLINE, "a record", || reader.take().records().next().and_then(|record| record.leader_epoch));
    assert!(epoch > 0, "the epoch rose with the restart: {epoch}");
    let start = StartAt { offset: 100, leader_epoch: Some(0) };
    let mut reader = Reader::start(&server.config(), options(&new_group(), "two", &[&topic]), start);
    let found = wait_for(DEADLINE, "the truncation, or records", || {
        let batch = reader.take();
        (!batch.is_empty() || !batch.errors().is_empty()).then(|| (batch.len(), batch.errors().first().cloned()))
    });
    assert_eq!(found.1.expect("no record of the new log is delivered").kind, PartitionErrorKind::LogTruncated);
}

//! Closing frees everything, at any moment, without a hang.
use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use kafka_io::{BatchConsumer, GroupEvent};
use test_kit::{KafkaServer, wait_until};

use crate::{
    DEADLINE, new_group, new_topic, options, produce,
    records::{Reader, at},
};

/// Runs `close` on another thread and fails if it does not come back.
fn ends_within(limit: Duration, close: impl FnOnce() + Send + 'static) -> Duration {
    let (done, ended) = mpsc::channel();
    let started = Instant::now();
    std::thread::spawn(move || {
        close();
        done.send(()).expect("the test waits");
    });
    ended.recv_timeout(limit).expect("closing ends");
    started.elapsed()
}

#[test]
fn closing_with_a_full_queue_and_batches_in_hand_ends() {
    let (server, topic) = new_topic("close", 3);
    for number in 0..3 {
        produce(server, &topic, number, 0..20_000);
    }
    for round in 0..5 {
        let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
        let mut batches = Vec::new();
        wait_until(DEADLINE, "records", || {
            batches.push(reader.take());
            batches.last().is_some_and(|batch| !batch.is_empty())
        });
        let consumer = reader.consumer;
        ends_within(Duration::from_secs(9), move || if round % 2 == 0 { consumer.close() } else { drop(consumer) });
        let records: usize = batches.iter().map(|batch| batch.records().count()).sum();
        assert!(records > 0);
        ends_within(Duration::from_secs(9), move || drop(batches));
    }
}

#[test]
fn closing_before_the_first_assignment_ends() {
    let (server, topic) = new_topic("early", 1);
    for pause_ms in [0, 1, 10, 100, 500] {
        let (consumer, events) = BatchConsumer::start(&server.config(), options(&new_group(), "one", &[&topic])).expect("a consumer");
        // The time of a join passes, in parts.
        let _ = events.recv_timeout(Duration::from_millis(pause_ms));
        ends_within(Duration::from_secs(9), move || consumer.close());
    }
}

#[test]
fn closing_while_an_answer_is_awaited_ends() {
    let (server, topic) = new_topic("unanswered", 1);
    let (consumer, events) = BatchConsumer::start(&server.config(), options(&new_group(), "one", &[&topic])).expect("a consumer");
    let assigned = events.recv_timeout(DEADLINE).expect("the assignment");
    assert!(matches!(assigned, GroupEvent::Assigned { .. }));
    ends_within(Duration::from_secs(9), move || consumer.close());
    drop(assigned);
}

#[test]
fn a_member_whose_owner_does_not_listen_reads_nothing_and_closes() {
    let (server, topic) = new_topic("deaf", 1);
    produce(server, &topic, 0, 0..10);
    let (mut consumer, events) = BatchConsumer::start(&server.config(), options(&new_group(), "one", &[&topic])).expect("a consumer");
    drop(events);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        assert!(consumer.take(10, Duration::from_millis(100)).is_empty());
    }
    ends_within(Duration::from_secs(9), move || consumer.close());
}

#[test]
fn taking_does_not_wait_for_an_answer() {
    let (server, topic) = new_topic("meanwhile", 2);
    produce(server, &topic, 0, 0..10);
    produce(server, &topic, 1, 0..10);
    let group = new_group();
    let mut reader = Reader::start(&server.config(), options(&group, "one", &[&topic]), at(0));
    reader.offsets(20);
    let second = Reader::start(&server.config(), options(&group, "two", &[&topic]), at(0));
    let revoked = wait_event(&reader.events);
    let GroupEvent::Revoked { partitions, lost, done } = revoked else { panic!("{revoked:?}") };
    assert!((partitions.len(), lost) == (1, false));
    let kept = 1 - partitions[0].kafka_partition;
    produce(server, &topic, kept, 10..20);
    // librdkafka pauses everything until the answer, but taking does not wait for it.
    let started = Instant::now();
    for _ in 0..10 {
        reader.consumer.take(100, Duration::from_millis(20));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    done.send(()).expect("the poll thread waits");
    let mut found = 0;
    wait_until(DEADLINE, "the records of the one that stays", || {
        found += reader.take().records().filter(|record| record.kafka_partition == kept && record.offset >= 10).count();
        found >= 10
    });
    second.consumer.close();
}

fn wait_event(events: &mpsc::Receiver<GroupEvent>) -> GroupEvent {
    loop {
        match events.recv_timeout(DEADLINE).expect("an event") {
            GroupEvent::Error { .. } => {}
            event => return event,
        }
    }
}

#[test]
fn closing_without_a_broker_ends() {
    let mut server = KafkaServer::start(&[]).expect("a broker of its own");
    let topic = server.create_topic("gone", 1).expect("a new topic");
    produce(&server, &topic, 0, 0..10);
    let group = new_group();
    let mut reader = Reader::start(&server.config(), options(&group, "one", &[&topic]), at(0));
    reader.offsets(10);
    server.kill();
    reader.consumer.commit_offsets(&[(crate::partition(&topic, 0), 10)]);
    let consumer = reader.consumer;
    let took = ends_within(Duration::from_secs(20), move || consumer.close());
    assert!(took < Duration::from_secs(15), "{took:?}");
    let (never_joined, _events) = BatchConsumer::start(&server.config(), options(&group, "two", &[&topic])).expect("a consumer");
    ends_within(Duration::from_secs(20), move || never_joined.close());
}

//! kafka-io against a real broker.
mod admin;
mod closing;
mod errors;
mod ledger;
mod rebalance;
mod records;
mod transactions;

use std::time::Duration;

use kafka_io::{ConsumerOptions, NewRecord, Producer, TopicPartition};
use test_kit::{KafkaServer, unique_name};

/// Enough for a group to form on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn options(group: &str, instance_id: &str, topics: &[&str]) -> ConsumerOptions {
    ConsumerOptions {
        group: group.to_owned(),
        instance_id: instance_id.to_owned(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        session_timeout: Duration::from_secs(3),
        queued_bytes: 16 << 20,
        properties: vec![],
    }
}

fn partition(topic: &str, kafka_partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), kafka_partition }
}

/// A record whose value is its number in its kafka_partition, so equal to its offset in a topic without transactions.
fn numbered(topic: &str, kafka_partition: i32, number: i64) -> NewRecord {
    NewRecord {
        topic: topic.to_owned(),
        kafka_partition: Some(kafka_partition),
        value: Some(number.to_string().into_bytes()),
        ..NewRecord::default()
    }
}

fn number_of(value: Option<&[u8]>) -> i64 {
    std::str::from_utf8(value.expect("numbered records have a value")).expect("digits").parse().expect("a number")
}

/// Produces the numbers of `range` to one kafka_partition.
fn produce(server: &KafkaServer, topic: &str, kafka_partition: i32, range: std::ops::Range<i64>) {
    let mut producer = Producer::new(&server.config(), &[]).expect("a producer");
    for number in range {
        producer.send(numbered(topic, kafka_partition, number)).expect("queued");
    }
    producer.flush(DEADLINE).expect("acknowledged");
}

fn new_topic(prefix: &str, partitions: i32) -> (&'static KafkaServer, String) {
    let server = KafkaServer::shared();
    (server, server.create_topic(prefix, partitions).expect("a new topic"))
}

fn new_group() -> String {
    unique_name("group")
}

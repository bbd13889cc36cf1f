//! Questions to a real cluster.
use kafka_io::{Admin, KafkaConfig, KafkaIoError, NewRecord, OffsetQuery, Producer, Security};
use test_kit::{KafkaServer, unique_name, wait_for};

use crate::{DEADLINE, new_topic, produce};

#[test]
fn cluster_and_topics_have_identities() {
    let (server, topic) = new_topic("identity", 3);
    let admin = server.admin();
    let cluster = admin.cluster_id().expect("the broker answers");
    assert!(cluster.as_ref().is_some_and(|id| id.len() == 22), "{cluster:?}");
    assert_eq!(server.admin().cluster_id(), Ok(cluster));
    let asked = [unique_name("no-such-topic"), topic.clone()];
    let found = admin.topics(&asked).expect("the broker answers");
    assert_eq!(found[0], None);
    let first = found[1].clone().expect("it exists");
    assert_eq!((first.topic.as_str(), first.partitions), (topic.as_str(), 3));
    assert!(first.topic_id.as_ref().is_some_and(|id| id.len() >= 22), "{first:?}");
    assert_eq!(admin.topics(&[]), Ok(vec![]));

    admin.delete_topic(&topic).expect("deleted");
    wait_for(DEADLINE, "the topic to be made anew", || admin.create_topic(&topic, 3, 1, &[]).ok());
    let second = wait_for(DEADLINE, "the new topic", || admin.topics(std::slice::from_ref(&topic)).ok()?.remove(0));
    assert!(second.topic_id.is_some());
    assert_ne!(first.topic_id, second.topic_id, "the same name, another topic");
}

#[test]
fn a_topic_is_created_once() {
    let (server, topic) = new_topic("once", 1);
    let admin = server.admin();
    assert_eq!(admin.create_topic(&topic, 5, 1, &[]), Err(KafkaIoError::TopicExists { topic: topic.clone() }));
    let config = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert!(matches!(admin.create_topic(&unique_name("bad"), 1, 3, &[]), Err(KafkaIoError::Misconfigured { .. })));
    assert!(matches!(admin.create_topic("no good name", 1, 1, &[]), Err(KafkaIoError::Misconfigured { .. })));
    let unknown = admin.create_topic(&unique_name("bad"), 1, 1, &config("retention.ms", "soon"));
    assert!(matches!(unknown, Err(KafkaIoError::Misconfigured { .. })), "{unknown:?}");
    assert_eq!(admin.create_topic(&unique_name("good"), 1, 1, &config("retention.ms", "1000")), Ok(()));
}

#[test]
fn offsets_are_those_of_the_log() {
    let (server, topic) = new_topic("offsets", 3);
    let admin = server.admin();
    produce(server, &topic, 0, 0..10);
    let mut producer = Producer::new(&server.config(), &[]).expect("a producer");
    for time_ms in [1_000, 2_000, 2_000, 3_000] {
        let record = NewRecord {
            topic: topic.clone(),
            kafka_partition: Some(1),
            timestamp_ms: Some(time_ms),
            value: Some(vec![1]),
            ..NewRecord::default()
        };
        producer.send(record).expect("queued");
    }
    producer.flush(DEADLINE).expect("acknowledged");
    admin.delete_records(&[(crate::partition(&topic, 0), 4)]).expect("deleted");
    assert_eq!(admin.offsets(&topic, 3, OffsetQuery::Earliest), Ok(vec![4, 0, 0]));
    assert_eq!(admin.offsets(&topic, 3, OffsetQuery::Latest), Ok(vec![10, 4, 0]));
    assert_eq!(admin.offsets(&topic, 3, OffsetQuery::LastStable), Ok(vec![10, 4, 0]));
    assert_eq!(admin.offsets(&topic, 3, OffsetQuery::AtTime(2_000)), Ok(vec![4, 1, 0]));
    assert_eq!(admin.offsets(&topic, 3, OffsetQuery::AtTime(i64::MAX - 1)), Ok(vec![10, 4, 0]), "the log end if there is none");
    assert_eq!(admin.offsets("no-such-topic", 1, OffsetQuery::Latest), Err(KafkaIoError::UnknownTopic { topic: "no-such-topic".into() }));
    assert_eq!(admin.offsets(&topic, 0, OffsetQuery::Latest), Ok(vec![]));
}

#[test]
fn a_group_that_never_was_has_no_offsets() {
    let server = KafkaServer::shared();
    let partitions = [crate::partition("anything", 0)];
    let found = server.admin().group_offsets(&unique_name("never"), &partitions).expect("the broker answers");
    assert_eq!(found, [(partitions[0].clone(), None)]);
}

#[test]
fn an_unreachable_broker_is_unavailable() {
    let config = KafkaConfig { bootstrap_servers: "127.0.0.1:1".into(), security: Security::Plaintext };
    let admin = Admin::new(&config).expect("a client");
    assert!(matches!(admin.cluster_id(), Err(KafkaIoError::Unavailable { .. })));
}

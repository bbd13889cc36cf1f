//! The embedded broker does what the demo needs.
use std::time::{Duration, Instant};

use kafka_io::{
    Admin, BatchConsumer, ConsumerOptions, GroupEvent, KafkaConfig, KafkaIoError, MockBroker, NewRecord, OffsetQuery, Producer,
    RangeReader, Security, StartAt, TopicPartition,
};
use test_kit::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);

fn produced(records: i64) -> (MockBroker, KafkaConfig) {
    let broker = MockBroker::start().expect("a broker");
    broker.create_topic("demo", 2).expect("a topic");
    let config = KafkaConfig { bootstrap_servers: broker.bootstrap_servers(), security: Security::Plaintext };
    let mut producer = Producer::new(&config, &[]).expect("a producer");
    for number in 0..records {
        let kafka_partition = Some(i32::from(number % 2 == 1));
        let value = Some(number.to_string().into_bytes());
        producer.send(NewRecord { topic: "demo".into(), kafka_partition, value, ..NewRecord::default() }).expect("queued");
    }
    assert_eq!(producer.flush(DEADLINE), Ok(u64::try_from(records).expect("positive")));
    (broker, config)
}

#[test]
fn the_embedded_broker_answers_without_time_outs() {
    let (broker, config) = produced(100);
    let admin = Admin::new(&config).expect("a client");
    let started = Instant::now();
    let topics = admin.topics(&["demo".into(), "other".into()]).expect("it answers");
    let demo = topics[0].clone().expect("it exists");
    assert_eq!((demo.topic_id, demo.partitions, &topics[1]), (None, 2, &None));
    assert!(admin.cluster_id().expect("it answers").is_some());
    assert_eq!(admin.offsets("demo", 2, OffsetQuery::Earliest), Ok(vec![0, 0]));
    assert_eq!(admin.offsets("demo", 2, OffsetQuery::Latest), Ok(vec![50, 50]));
    assert_eq!(admin.offsets("demo", 2, OffsetQuery::LastStable), Ok(vec![50, 50]));
    assert_eq!(broker.create_topic("demo", 2), Err(KafkaIoError::TopicExists { topic: "demo".into() }));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_member_reads_the_embedded_broker() {
    let (_broker, config) = produced(10_000);
    let options = ConsumerOptions {
        group: "demo".into(),
        instance_id: "one".into(),
        topics: vec!["demo".into()],
        session_timeout: Duration::from_secs(10),
        queued_bytes: 16 << 20,
        properties: vec![],
    };
    let (mut consumer, events) = BatchConsumer::start(&config, options).expect("a consumer");
    let mut next = [0_i64; 2];
    wait_until(DEADLINE, "all records", || {
        if let Ok(GroupEvent::Assigned { partitions, starts }) = events.try_recv() {
            let start = |partition| (partition, StartAt { offset: 0, leader_epoch: None });
            starts.send(partitions.into_iter().map(start).collect()).expect("the poll thread waits");
        }
        for record in consumer.take(1_000, Duration::from_millis(50)).records() {
            let slot = &mut next[usize::try_from(record.kafka_partition).expect("0 or 1")];
            assert_eq!(record.offset, *slot);
            *slot += 1;
        }
        next == [5_000, 5_000]
    });
    consumer.commit_offsets(&[(TopicPartition { topic: "demo".into(), kafka_partition: 0 }, 5_000)]);
    let started = Instant::now();
    consumer.close();
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn a_range_of_the_embedded_broker_is_read() {
    let (_broker, config) = produced(1_000);
    let mut reader = RangeReader::new(&config).expect("a reader");
    let mut offsets = Vec::new();
    let partition = TopicPartition { topic: "demo".into(), kafka_partition: 1 };
    reader.read(&partition, 100, 500, &mut |record| offsets.push(record.offset)).expect("the range is there");
    assert!(offsets.into_iter().eq(100..500));
}

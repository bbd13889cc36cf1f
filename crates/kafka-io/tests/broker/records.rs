//! Records come out as they went in.
use std::time::Duration;

use kafka_io::{Batch, BatchConsumer, ConsumerOptions, GroupEvent, KafkaConfig, NewRecord, OffsetQuery, Producer, RangeReader, StartAt};
use test_kit::wait_for;

use crate::{DEADLINE, new_group, new_topic, number_of, numbered, options, partition, produce};

/// A member that answers each assignment with the same start.
pub struct Reader {
    pub consumer: BatchConsumer,
    pub events: std::sync::mpsc::Receiver<GroupEvent>,
    start: StartAt,
}

impl Reader {
    pub fn start(config: &KafkaConfig, options: ConsumerOptions, start: StartAt) -> Self {
        let (consumer, events) = BatchConsumer::start(config, options).expect("a consumer");
        Self { consumer, events, start }
    }

    /// Answers what is asked, and takes once.
    pub fn take(&mut self) -> Batch {
        while let Ok(event) = self.events.try_recv() {
            match event {
                GroupEvent::Assigned { partitions, starts } => {
                    starts.send(partitions.into_iter().map(|partition| (partition, self.start)).collect()).expect("the poll thread waits");
                }
                GroupEvent::Revoked { done, .. } => done.send(()).expect("the poll thread waits"),
                GroupEvent::Error { .. } => {}
            }
        }
        self.consumer.take(1_000, Duration::from_millis(50))
    }

    /// Offsets in the order of their arrival until `enough` of them came.
    pub fn offsets(&mut self, enough: usize) -> Vec<i64> {
        let mut offsets = Vec::new();
        wait_for(DEADLINE, "records", || {
            let batch = self.take();
            assert_eq!(batch.errors(), []);
            offsets.extend(batch.records().map(|record| record.offset));
            (offsets.len() >= enough).then_some(())
        });
        offsets
    }

    /// The next error about a kafka_partition; no record may come before it.
    pub fn error(&mut self) -> kafka_io::PartitionError {
        wait_for(DEADLINE, "an error", || {
            let batch = self.take();
            assert!(batch.is_empty(), "no record before the error");
            batch.errors().first().cloned()
        })
    }
}

pub fn at(offset: i64) -> StartAt {
    StartAt { offset, leader_epoch: None }
}

#[test]
fn key_value_headers_and_timestamp_survive() {
    let (server, topic) = new_topic("records", 1);
    let mut producer = Producer::new(&server.config(), &[]).expect("a producer");
    let base = NewRecord { topic: topic.clone(), kafka_partition: Some(0), timestamp_ms: Some(1_700_000_000_123), ..NewRecord::default() };
    let headers = vec![("a".to_owned(), b"1".to_vec()), ("a".to_owned(), vec![]), ("é".to_owned(), vec![0xff])];
    producer
        .send(NewRecord { key: Some(b"k".to_vec()), value: Some(b"v".to_vec()), headers: headers.clone(), ..base.clone() })
        .expect("queued");
    producer.send(NewRecord { key: None, value: None, ..base.clone() }).expect("queued");
    producer.send(NewRecord { key: Some(vec![]), value: Some(vec![]), ..base }).expect("queued");
    assert_eq!(producer.flush(DEADLINE), Ok(3));

    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
    let mut found = Vec::new();
    let mut batches = Vec::new();
    wait_for(DEADLINE, "three records", || {
        let batch = reader.take();
        found.extend(batch.records().map(|record| {
            assert_eq!((record.topic, record.kafka_partition, record.timestamp_ms), (topic.as_str(), 0, 1_700_000_000_123));
            assert_eq!(record.leader_epoch, Some(0));
            (record.offset, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.headers())
        }));
        batches.push(batch);
        (found.len() == 3).then_some(())
    });
    let expected_headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, Some(value))).collect();
    assert_eq!(found[0], (0, Some(b"k".to_vec()), Some(b"v".to_vec()), expected_headers));
    assert_eq!(found[1], (1, None, None, vec![]));
    assert_eq!(found[2], (2, Some(vec![]), Some(vec![]), vec![]));
    // Batches may outlive the consumer and go to another thread.
    reader.consumer.close();
    let texts = std::thread::spawn(move || format!("{:?}", batches.iter().flat_map(Batch::records).collect::<Vec<_>>()));
    assert!(texts.join().expect("no panic").contains("timestamp_ms: 1700000000123"));
}

#[test]
fn a_member_takes_everything_from_its_start_and_knows_where_it_stands() {
    let (server, topic) = new_topic("take", 1);
    produce(server, &topic, 0, 0..20_000);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(5_000));
    assert_eq!(reader.consumer.position(&partition(&topic, 0)), None, "not assigned yet");
    let offsets = reader.offsets(15_000);
    assert!(offsets.iter().copied().eq(5_000..20_000));
    assert_eq!(reader.consumer.position(&partition(&topic, 0)), Some(20_000));
    assert_eq!(reader.consumer.watermark_offsets(&partition(&topic, 0)).map(|(_, high)| high), Some(20_000));
    reader.consumer.commit_offsets(&[(partition(&topic, 0), 20_000)]);
    reader.consumer.close();
}

#[test]
fn an_assigned_partition_without_new_records_stands_at_its_start() {
    let (server, topic) = new_topic("idle", 1);
    produce(server, &topic, 0, 0..10);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(10));
    wait_for(DEADLINE, "the assignment", || {
        assert!(reader.take().is_empty());
        reader.consumer.position(&partition(&topic, 0))
    });
    assert_eq!(reader.consumer.position(&partition(&topic, 0)), Some(10));
    wait_for(DEADLINE, "the watermark", || {
        reader.take();
        reader.consumer.watermark_offsets(&partition(&topic, 0)).filter(|(_, high)| *high == 10)
    });
}

#[test]
fn group_offsets_are_committed_and_read_back() {
    let (server, topic) = new_topic("group-offsets", 2);
    produce(server, &topic, 0, 0..10);
    let group = new_group();
    let mut reader = Reader::start(&server.config(), options(&group, "one", &[&topic]), at(0));
    reader.offsets(10);
    reader.consumer.commit_offsets(&[(partition(&topic, 0), 7), (partition(&topic, 1), -1)]);
    let partitions = [partition(&topic, 1), partition(&topic, 0)];
    let admin = server.admin();
    let found = wait_for(DEADLINE, "the committed offset", || {
        reader.take();
        let found = admin.group_offsets(&group, &partitions).expect("the broker answers");
        found.iter().any(|(_, offset)| offset.is_some()).then_some(found)
    });
    assert_eq!(found, [(partition(&topic, 1), None), (partition(&topic, 0), Some(7))]);
}

#[test]
fn a_member_can_jump_by_reassign() {
    let (server, topic) = new_topic("jump", 1);
    produce(server, &topic, 0, 0..3_000);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
    assert!(reader.offsets(3_000).iter().copied().eq(0..3_000));
    for start in [10, 2_999, 0, 1_500, 7] {
        reader.consumer.reassign(&partition(&topic, 0), at(start)).expect("it is assigned");
        let position = reader.consumer.position(&partition(&topic, 0));
        assert_eq!(position, Some(start), "nothing is left of the old position");
        let offsets = reader.offsets(usize::try_from(3_000 - start).expect("positive"));
        assert!(offsets.iter().copied().eq(start..3_000), "from {start}");
    }
    assert!(matches!(reader.consumer.reassign(&partition(&topic, 9), at(0)), Err(kafka_io::KafkaIoError::NotAssigned { .. })));
    assert!(matches!(reader.consumer.reassign(&partition(&topic, 0), at(-2)), Err(kafka_io::KafkaIoError::Misconfigured { .. })));
}

#[test]
fn a_partition_without_a_start_waits_for_reassign() {
    let (server, topic) = new_topic("later", 1);
    produce(server, &topic, 0, 0..10);
    let (mut consumer, events) = BatchConsumer::start(&server.config(), options(&new_group(), "one", &[&topic])).expect("a consumer");
    match events.recv_timeout(DEADLINE).expect("the assignment") {
        GroupEvent::Assigned { starts, .. } => starts.send(vec![]).expect("the poll thread waits"),
        other => panic!("{other:?}"),
    }
    assert!(consumer.take(10, Duration::from_millis(300)).is_empty());
    assert_eq!(consumer.position(&partition(&topic, 0)), None);
    // The answer above may still be on its way.
    consumer.reassign(&partition(&topic, 0), at(4)).expect("it is owned");
    let mut offsets = Vec::new();
    wait_for(DEADLINE, "the rest", || {
        offsets.extend(consumer.take(10, Duration::from_millis(50)).records().map(|record| record.offset));
        (offsets.len() == 6).then_some(())
    });
    assert_eq!(offsets, [4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_range_is_read_whole_and_not_beyond() {
    let (server, topic) = new_topic("range", 2);
    produce(server, &topic, 1, 0..5_000);
    let mut reader = RangeReader::new(&server.config()).expect("a reader");
    for (start, end) in [(0, 5_000), (17, 18), (4_990, 5_000), (3, 3), (0, 1)] {
        let mut numbers = Vec::new();
        reader.read(&partition(&topic, 1), start, end, &mut |record| numbers.push(number_of(record.value))).expect("the range is there");
        assert!(numbers.iter().copied().eq(start..end), "{start}..{end}");
    }
    let beyond = reader.read(&partition(&topic, 1), 0, 5_001, &mut |_| {});
    assert!(matches!(beyond, Err(kafka_io::KafkaIoError::OffsetOutOfRange { offset: 5_000, .. })), "{beyond:?}");
    server.admin().delete_records(&[(partition(&topic, 1), 100)]).expect("deleted");
    let passed = reader.read(&partition(&topic, 1), 99, 200, &mut |_| {});
    assert!(matches!(passed, Err(kafka_io::KafkaIoError::OffsetOutOfRange { offset: 99, .. })), "{passed:?}");
    let missing = reader.read(&partition("no-such-topic", 0), 0, 1, &mut |_| {});
    assert!(matches!(missing, Err(kafka_io::KafkaIoError::UnknownTopic { .. })), "{missing:?}");
}

#[test]
fn a_producer_reports_what_was_refused() {
    let (server, topic) = new_topic("refused", 1);
    let mut producer = Producer::new(&server.config(), &[("message.timeout.ms".into(), "5000".into())]).expect("a producer");
    producer.send(numbered("no-such-topic", 0, 1)).expect("queued");
    let outcome = producer.flush(DEADLINE);
    // It is told apart only after 30 s, as a new topic may need that long to be known everywhere.
    assert!(matches!(outcome, Err(kafka_io::KafkaIoError::Unavailable { .. })), "{outcome:?}");
    let huge = NewRecord { topic: topic.clone(), value: Some(vec![0; 2 << 20]), ..NewRecord::default() };
    assert!(matches!(producer.send(huge), Err(kafka_io::KafkaIoError::Misconfigured { .. })));
    producer.send(numbered(&topic, 0, 1)).expect("queued");
    assert_eq!(producer.flush(DEADLINE), Ok(1), "a failure is reported once");
    assert_eq!(server.admin().offsets(&topic, 1, OffsetQuery::Latest), Ok(vec![1]));
}

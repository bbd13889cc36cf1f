//! Transactions and compaction of others: absent offsets are passed, not waited for.
use kafka_io::{OffsetQuery, RangeReader, TransactionalProducer};
use test_kit::{KafkaServer, unique_name, wait_until};

use crate::{
    DEADLINE, new_group, new_topic, number_of, numbered, options, partition,
    records::{Reader, at},
};

/// Offsets 0..3 committed, 3 its marker, 4..6 aborted, 6 its marker, 7..8 committed, 8 its marker, 9..12 aborted, 12 its marker.
fn committed_and_aborted(server: &KafkaServer, topic: &str) -> TransactionalProducer {
    let mut producer = TransactionalProducer::new(&server.config(), &unique_name("transactions")).expect("a producer");
    for (records, is_committed) in [(3, true), (2, false), (1, true), (3, false)] {
        producer.begin().expect("none is open");
        for number in 0..records {
            producer.send(&numbered(topic, 0, number)).expect("queued");
        }
        // Without this an abort could drop the records before they were sent.
        producer.flush().expect("acknowledged");
        if is_committed { producer.commit() } else { producer.abort() }.expect("ended");
    }
    producer
}

const COMMITTED: [i64; 4] = [0, 1, 2, 7];
const LOG_END: i64 = 13;

#[test]
fn aborted_records_and_markers_leave_gaps_and_the_position_passes_them() {
    let (server, topic) = new_topic("transactions", 1);
    committed_and_aborted(server, &topic);
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
    assert_eq!(reader.offsets(4), COMMITTED);
    wait_until(DEADLINE, "the position to pass the last marker", || {
        assert!(reader.take().is_empty());
        reader.consumer.position(&partition(&topic, 0)) == Some(LOG_END)
    });
    assert_eq!(reader.consumer.watermark_offsets(&partition(&topic, 0)).map(|(_, high)| high), Some(LOG_END));
}

#[test]
fn an_open_transaction_holds_readers_back() {
    let (server, topic) = new_topic("open", 1);
    let mut producer = committed_and_aborted(server, &topic);
    producer.begin().expect("none is open");
    producer.send(&numbered(&topic, 0, 0)).expect("queued");
    producer.flush().expect("acknowledged");
    let admin = server.admin();
    assert_eq!(admin.offsets(&topic, 1, OffsetQuery::LastStable), Ok(vec![LOG_END]));
    assert_eq!(admin.offsets(&topic, 1, OffsetQuery::Latest), Ok(vec![LOG_END + 1]));
    let mut reader = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(7));
    assert_eq!(reader.offsets(1), [7]);
    wait_until(DEADLINE, "the log end, which lies behind the last stable offset", || {
        assert!(reader.take().is_empty(), "the open record is not delivered");
        reader.consumer.watermark_offsets(&partition(&topic, 0)).map(|(_, high)| high) == Some(LOG_END + 1)
            && reader.consumer.position(&partition(&topic, 0)) == Some(LOG_END)
    });
    producer.commit().expect("ended");
    assert_eq!(reader.offsets(1), [LOG_END]);
}

#[test]
fn a_range_ends_in_absent_offsets() {
    let (server, topic) = new_topic("range-transactions", 1);
    committed_and_aborted(server, &topic);
    let mut reader = RangeReader::new(&server.config()).expect("a reader");
    for (start, end) in [(0, LOG_END), (3, 7), (8, LOG_END), (2, 4), (9, 10), (12, 13)] {
        let mut offsets = Vec::new();
        reader.read(&partition(&topic, 0), start, end, &mut |record| offsets.push(record.offset)).expect("the range is there");
        let expected: Vec<_> = COMMITTED.into_iter().filter(|offset| (start..end).contains(offset)).collect();
        assert_eq!(offsets, expected, "{start}..{end}");
    }
}

#[test]
fn compacted_offsets_are_absent() {
    let server = KafkaServer::shared();
    let (topic, end) = server.compacted_topic("compacted", 10, 500).expect("compacted");
    let mut reader = RangeReader::new(&server.config()).expect("a reader");
    let (mut values, mut offsets) = (Vec::new(), Vec::new());
    let mut each = |record: kafka_io::RawRecord<'_>| {
        values.push(record.value.map(<[u8]>::to_vec));
        offsets.push(record.offset);
    };
    reader.read(&partition(&topic, 0), 0, end, &mut each).expect("the range is there");
    assert!(values.iter().all(|value| value.as_deref() == Some(b"new")));
    assert!(offsets.len() < 100 && offsets[0] >= 500, "{offsets:?}");
    // A range of nothing but compacted offsets.
    let mut count = 0;
    reader.read(&partition(&topic, 0), 0, 400, &mut |_| count += 1).expect("the range is there");
    assert_eq!(count, 0);
    let mut member = Reader::start(&server.config(), options(&new_group(), "one", &[&topic]), at(0));
    assert_eq!(member.offsets(offsets.len()), offsets);
    assert_eq!(member.consumer.position(&partition(&topic, 0)), Some(end));
}

#[test]
fn numbers_of_transactions_are_not_offsets() {
    let (server, topic) = new_topic("numbers", 1);
    committed_and_aborted(server, &topic);
    let mut numbers = Vec::new();
    let mut reader = RangeReader::new(&server.config()).expect("a reader");
    reader.read(&partition(&topic, 0), 0, LOG_END, &mut |record| numbers.push(number_of(record.value))).expect("the range is there");
    assert_eq!(numbers, [0, 1, 2, 0]);
}

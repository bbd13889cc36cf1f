//! The writer on a real broker: what exactly-once rests on.
mod harness;

use harness::{HOUR, LONG, Lake, Writer};
use kafka_io::{NewRecord, TopicPartition, TransactionalProducer};
use lake_store::TableLogOptions;
use std::time::Duration;
use table_log::{
    KafkaPartition, Offset, SourcePartition, TableName,
    record::{Body, FlushBody},
};
use test_kit::{
    KafkaServer,
    telemetry::{TelemetryMix, TelemetryRecord},
    wait_until,
};

fn lake() -> Lake {
    Lake::new(KafkaServer::shared().config())
}

/// A topic that keeps its records: their timestamps are months old, and the broker's retention would delete them under the test.
fn topic(prefix: &str, partitions: i32) -> String {
    let name = test_kit::unique_name(prefix);
    KafkaServer::shared().admin().create_topic(&name, partitions, 1, &kept()).expect("a new topic");
    name
}

fn kept() -> [(String, String); 1] {
    [("retention.ms".to_owned(), "-1".to_owned())]
}

fn good(seed: u64, records: u64) -> impl Iterator<Item = TelemetryRecord> {
    TelemetryMix { seed, records, ..TelemetryMix::default() }.stream()
}

fn situation(writer: &Writer) -> &'static str {
    let report = writer.wait(LONG);
    report.stopped.first().map(|(_, stop)| stop.situation()).expect("the table is stopped")
}

fn next_offset(lake: &Lake, table: &str, topic: &str, kafka_partition: i32) -> Option<Offset> {
    let source = SourcePartition { topic: topic.into(), generation: 1, kafka_partition: KafkaPartition(kafka_partition) };
    lake.state(table).next_offset(&source)
}

#[test]
fn two_members_share_and_a_leaving_one_hands_over() {
    let (lake, topic) = (lake(), topic("share", 4));
    let first = lake.start(lake.settings("one", "telemetry", &[&topic]));
    let mut sent = lake.produce(&topic, 4, good(1, 4_000));
    lake.wait_for_taken("telemetry", sent);
    let second = lake.start(lake.settings("two", "telemetry", &[&topic]));
    let owned = |writer: &Writer| writer.metric("tributary_writer_owned_kafka_partitions") as i64;
    for seed in 2..40 {
        sent += lake.produce(&topic, 4, good(seed, 500));
        if owned(&second) == 2 && owned(&first) == 2 {
            break;
        }
    }
    wait_until(LONG, "both members to own two", || owned(&second) == 2 && owned(&first) == 2);
    sent += lake.produce(&topic, 4, good(50, 2_000));
    lake.wait_for_taken("telemetry", sent);
    assert!(first.stop().stopped.is_empty());
    sent += lake.produce(&topic, 4, good(51, 2_000));
    lake.wait_for_taken("telemetry", sent);
    assert!(second.stop().stopped.is_empty());
    let (rows, _) = lake.assert_exactly_once("telemetry");
    assert_eq!(rows.len() as u64, sent);
}

#[test]
fn two_owners_of_one_kafka_partition_fence_each_other_and_lose_nothing() {
    let (lake, topic) = (lake(), topic("zombie", 2));
    let other_group = |instance: &str| {
        let mut settings = lake.settings(instance, "telemetry", &[&topic]);
        settings.tables[0].group = format!("tributary.telemetry.{instance}-{topic}");
        settings
    };
    let writers = [lake.start(other_group("one")), lake.start(other_group("two"))];
    let mut sent = 0;
    for seed in 1..200 {
        sent += lake.produce(&topic, 2, good(seed, 500));
        if seed > 10 && writers.iter().any(|writer| writer.metric("tributary_writer_fenced_total") > 0.0) {
            break;
        }
    }
    wait_until(LONG, "one to be fenced", || writers.iter().any(|writer| writer.metric("tributary_writer_fenced_total") > 0.0));
    lake.wait_for_taken("telemetry", sent);
    for writer in writers {
        assert!(writer.stop().stopped.is_empty());
    }
    let (rows, _) = lake.assert_exactly_once("telemetry");
    assert_eq!(rows.len() as u64, sent);
}

#[test]
fn aborted_transactions_and_compacted_records_are_absent() {
    let (lake, transactional) = (lake(), topic("aborted", 1));
    let server = KafkaServer::shared();
    let (compacted, end) = server.compacted_topic("compacted", 10, 200).expect("a compacted topic");
    let mut producer = TransactionalProducer::new(&lake.kafka, &transactional).expect("a producer");
    let mut rows = 0;
    for (round, records) in [7, 5, 3, 9].into_iter().enumerate() {
        producer.begin().expect("a transaction");
        for record in good(round as u64, records) {
            producer.send(&NewRecord { kafka_partition: Some(0), ..record.to_new(&transactional) }).expect("room");
        }
        producer.flush().expect("acknowledgements");
        if round % 2 == 0 {
            producer.commit().expect("a commit");
            rows += records;
        } else {
            producer.abort().expect("an abort");
        }
    }
    // 7 + 5 + 3 + 9 records and four markers; the tail is nine aborted records and their marker.
    let writer = lake.start(lake.settings("w", "telemetry", &[&transactional, &compacted]));
    lake.wait_for_taken("telemetry", 28 + end as u64);
    assert!(writer.stop().stopped.is_empty());
    let totals = lake.state("telemetry").totals();
    let (found, refused) = lake.assert_exactly_once("telemetry");
    assert_eq!(found.len() as u64, rows);
    assert!(refused.iter().all(|record| record.topic == compacted));
    assert_eq!(totals.absent, 28 + end as u64 - rows - refused.len() as u64);
    assert!(totals.absent > 18 + 100, "most of the overwritten records are gone: {totals:?}");
    assert_eq!(next_offset(&lake, "telemetry", &transactional, 0), Some(Offset(28)));
}

#[test]
fn a_drain_commits_all_that_was_taken_and_nothing_is_replayed() {
    let (lake, topic) = (lake(), topic("drain", 3));
    let mut settings = lake.settings("w", "telemetry", &[&topic]);
    settings.commit_interval = Duration::from_secs(3_600);
    settings.shards = 2;
    let writer = lake.start(settings.clone());
    let sent = lake.produce(&topic, 3, good(1, 9_000));
    wait_until(LONG, "everything to be taken", || {
        writer.metric("tributary_writer_buffered_bytes") > 0.0
            && writer.metric("tributary_writer_owned_kafka_partitions") == 3.0
            && writer.metric("tributary_writer_lag_records") == 0.0
    });
    assert_eq!(lake.state("telemetry").totals().rows, 0, "nothing was due");
    assert!(writer.stop().stopped.is_empty());
    assert_eq!(lake.state("telemetry").totals().rows, sent);
    let group: Vec<_> = (0..3).map(|kafka_partition| TopicPartition { topic: topic.clone(), kafka_partition }).collect();
    let offsets = KafkaServer::shared().admin().group_offsets(&settings.tables[0].group, &group).expect("group offsets");
    for (partition, offset) in offsets {
        let next = next_offset(&lake, "telemetry", &topic, partition.kafka_partition).expect("declared");
        assert!(offset.is_none_or(|offset| offset <= next.0), "advisory offsets never lead");
    }
    let again = lake.start(settings);
    let more = lake.produce(&topic, 3, good(2, 300));
    wait_until(LONG, "the rest to be taken", || {
        again.metric("tributary_writer_lag_records") == 0.0 && again.metric("tributary_writer_buffered_bytes") > 0.0
    });
    assert!(again.stop().stopped.is_empty());
    let (rows, _) = lake.assert_exactly_once("telemetry");
    assert_eq!(rows.len() as u64, sent + more);
}

#[test]
fn a_flush_record_commits_at_once() {
    let (lake, topic) = (lake(), topic("flush", 1));
    let mut settings = lake.settings("w", "telemetry", &[&topic]);
    settings.commit_interval = Duration::from_secs(3_600);
    let writer = lake.start(settings);
    let sent = lake.produce(&topic, 1, good(1, 100));
    wait_until(LONG, "rows to be buffered", || writer.metric("tributary_writer_buffered_bytes") > 0.0);
    lake.block_on(async {
        let log = lake_store::TableLog::open(lake.store(), TableName("telemetry".into()), TableLogOptions::new("person")).await;
        let flush = Body::Flush(FlushBody { actor: "test".into() });
        log.expect("a log").commit(flush, std::future::pending()).await.expect("a flush record");
    });
    lake.wait_for_taken("telemetry", sent);
    writer.stop();
}

#[test]
fn a_topic_that_was_made_again_stops_its_table_and_no_other() {
    let (lake, broken, whole) = (lake(), topic("again", 1), topic("whole", 1));
    let mut settings = lake.settings("w", "broken", &[&broken]);
    settings.tables.extend(lake.settings("w", "whole", &[&whole]).tables);
    let writer = lake.start(settings);
    let sent = lake.produce(&broken, 1, good(1, 200));
    lake.wait_for_taken("broken", sent);
    let admin = KafkaServer::shared().admin();
    admin.delete_topic(&broken).expect("a deletion");
    wait_until(LONG, "the name to be free", || admin.create_topic(&broken, 1, 1, &kept()).is_ok());
    lake.produce(&broken, 1, good(2, 500));
    wait_until(LONG, "the table to be stopped", || {
        writer.health.not_ready().get("lake-writer/broken").is_some_and(|why| why.contains("repair restart"))
    });
    let more = lake.produce(&whole, 1, good(3, 100));
    lake.wait_for_taken("whole", more);
    let report = writer.stop();
    assert_eq!(
        report.stopped.iter().map(|(table, stop)| (table.0.as_str(), stop.situation())).collect::<Vec<_>>(),
        [("broken", "topic_recreated")]
    );
    assert_eq!(lake.state("broken").totals().rows, sent, "nothing of the new topic is in the lake");
}

#[test]
fn retention_that_passed_the_next_offset_stops_the_table_with_the_loss() {
    let (lake, topic) = (lake(), topic("retention", 1));
    let writer = lake.start(lake.settings("w", "telemetry", &[&topic]));
    let sent = lake.produce(&topic, 1, good(1, 100));
    lake.wait_for_taken("telemetry", sent);
    writer.stop();
    lake.produce(&topic, 1, good(2, 100));
    let partition = TopicPartition { topic: topic.clone(), kafka_partition: 0 };
    KafkaServer::shared().admin().delete_records(&[(partition, 130)]).expect("a deletion");
    let writer = lake.start(lake.settings("w", "telemetry", &[&topic]));
    assert_eq!(situation(&writer), "retention_passed");
    let why = writer.health.not_ready().values().cloned().collect::<String>();
    let command = format!("tributary repair gap telemetry {topic}/0:100..130 --reason");
    assert!(why.contains("30 offset(s) are lost") && why.contains(&command), "{why}");
    assert_eq!(next_offset(&lake, "telemetry", &topic, 0), Some(Offset(100)));
}

#[test]
fn added_kafka_partitions_are_read_from_their_beginning() {
    let (lake, topic) = (lake(), topic("grow", 1));
    let mut settings = lake.settings("w", "telemetry", &[&topic]);
    settings.consumer_properties.push(("topic.metadata.refresh.interval.ms".into(), "1000".into()));
    let writer = lake.start(settings);
    let mut sent = lake.produce(&topic, 1, good(1, 100));
    lake.wait_for_taken("telemetry", sent);
    KafkaServer::shared().admin().add_partitions(&topic, 3).expect("more kafka_partitions");
    sent += lake.produce(&topic, 3, good(2, 300));
    lake.wait_for_taken("telemetry", sent);
    assert!(writer.stop().stopped.is_empty());
    assert_eq!(next_offset(&lake, "telemetry", &topic, 2), Some(Offset(100)));
}

#[test]
fn quiet_kafka_partitions_report_themselves_idle_so_that_windows_close() {
    let (lake, topic) = (lake(), topic("idle", 2));
    let mut settings = lake.settings("w", "telemetry", &[&topic]);
    settings.tables[0].log.idle_timeout = Some(windowing::Micros(2_000_000));
    let writer = lake.start(settings);
    // Only the first of two kafka_partitions has records.
    let sent = lake.produce(&topic, 1, good(1, 100));
    lake.wait_for_taken("telemetry", sent);
    let first_window = windowing::Time(TelemetryMix::default().start_us / HOUR * HOUR);
    wait_until(LONG, "the window to close", || lake.state("telemetry").is_closed(first_window));
    assert!(writer.stop().stopped.is_empty());
    lake.assert_exactly_once("telemetry");
}

//! Topics of tests.
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use kafka_io::{NewRecord, Producer, RangeReader, TopicPartition};

use crate::{KafkaServer, wait::try_wait_for};

/// A name that no other call in this process gets: `<prefix>-<process>-<number>`.
pub fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new topic reaches the broker's metadata within a second or so.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Deadline for the cleaner, which looks every 100 ms once a segment is closed.
const COMPACTION_TIMEOUT: Duration = Duration::from_secs(60);

impl KafkaServer {
    /// Creates a topic of its own for a test, and waits until the broker knows it and its leaders.
    ///
    /// # Errors
    /// Those of the request.
    pub fn create_topic(&self, prefix: &str, partitions: i32) -> Result<String> {
        let topic = unique_name(prefix);
        let admin = self.admin();
        admin.create_topic(&topic, partitions, 1, &[])?;
        let known = try_wait_for(VISIBLE_TIMEOUT, || {
            admin.topics(std::slice::from_ref(&topic)).ok()?.remove(0)?;
            admin.offsets(&topic, partitions, kafka_io::OffsetQuery::Latest).ok()
        });
        known.with_context(|| format!("topic `{topic}` did not become visible"))?;
        Ok(topic)
    }

    /// Creates a topic with one kafka_partition in which `overwritten` records are compacted away: it holds the keys `0..keys` once, with the
    /// value `new`, and a last record with the key `end`. Returns its name and its log end.
    ///
    /// # Errors
    /// Those of the requests, or no compaction in a minute.
    pub fn compacted_topic(&self, prefix: &str, keys: u32, overwritten: u32) -> Result<(String, i64)> {
        let topic = unique_name(prefix);
        let config =
            [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01"), ("delete.retention.ms", "100")];
        self.admin().create_topic(&topic, 1, 1, &config.map(|(name, value)| (name.to_owned(), value.to_owned())))?;
        let partition = TopicPartition { topic: topic.clone(), kafka_partition: 0 };
        let mut producer = Producer::new(&self.config(), &[])?;
        let record = |key: String, value: &str| NewRecord {
            topic: topic.clone(),
            kafka_partition: Some(0),
            key: Some(key.into_bytes()),
            value: Some(value.as_bytes().to_vec()),
            ..NewRecord::default()
        };
        for number in 0..overwritten {
            producer.send(record((number % keys).to_string(), "old"))?;
        }
        for number in 0..keys {
            producer.send(record(number.to_string(), "new"))?;
        }
        producer.flush(COMPACTION_TIMEOUT)?;
        let mut reader = RangeReader::new(&self.config())?;
        // Each record closes the segment before it once that is old enough; the last segment is never compacted.
        let end = try_wait_for(COMPACTION_TIMEOUT, || {
            producer.send(record("end".to_owned(), "new")).and_then(|()| producer.flush(COMPACTION_TIMEOUT)).ok()?;
            let end = self.admin().offsets(&topic, 1, kafka_io::OffsetQuery::LastStable).ok()?[0];
            let mut old = 0;
            let mut count = |record: kafka_io::RawRecord<'_>| old += u32::from(record.value == Some(b"old".as_slice()));
            reader.read(&partition, 0, end, &mut count).ok()?;
            (old == 0).then_some(end)
        });
        Ok((topic, end.ok_or_else(|| anyhow::anyhow!("the cleaner removed nothing in {} s", COMPACTION_TIMEOUT.as_secs()))?))
    }
}

//! Has the broker check the leader epoch of start offsets.
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, ConsumerContext};

use crate::partition::{StartAt, TopicPartition, list_with_starts};

/// A fetcher starts within milliseconds, unless an earlier stop is still under way.
const TIMEOUT: Duration = Duration::from_secs(5);
const SEEK_TIMEOUT: Duration = Duration::from_secs(1);

/// To be called right after the assign, with no batch call inside: librdkafka takes the offset of an assign as it is, and compares the
/// leader epoch with the broker's log (KIP-320) only after a seek. Returns those that could not be sought, which must not be read.
pub(crate) fn check_epochs<C: ConsumerContext>(consumer: &impl Consumer<C>, starts: &[(TopicPartition, StartAt)]) -> Vec<TopicPartition> {
    let has_epoch = |start: &StartAt| start.leader_epoch.is_some() && start.offset > 0;
    let mut open: Vec<_> = starts.iter().filter(|(_, start)| has_epoch(start)).cloned().collect();
    let deadline = Instant::now() + TIMEOUT;
    while !open.is_empty() && Instant::now() < deadline {
        if let Ok(list) = consumer.seek_partitions(list_with_starts(&open), SEEK_TIMEOUT) {
            let is_sought = |partition: &TopicPartition| {
                let element = list.find_partition(&partition.topic, partition.kafka_partition);
                element.is_some_and(|element| element.error().is_ok())
            };
            open.retain(|(partition, _)| !is_sought(partition));
        }
        if !open.is_empty() {
            // Not started yet.
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    open.into_iter().map(|(partition, _)| partition).collect()
}

//! Group events and errors of single kafka_partitions.
use super::{REVOKE_DRAIN, Shard, ShardEnd};
use crate::{
    error::{StoppedTable, WriterError},
    identity,
    offsets::{PartitionProgress, Start},
};
use kafka_io::{GroupEvent, KafkaIoError, OffsetQuery, PartitionError, PartitionErrorKind, StartAt, TopicPartition};
use service_runtime::fail_point;
use std::sync::Arc;
use table_log::{KafkaPartition, Offset, SourcePartition, TableState};
use tokio::time::Instant;

impl Shard {
    pub(super) fn group_event(&mut self, event: GroupEvent) -> Result<Option<ShardEnd>, StoppedTable> {
        match event {
            GroupEvent::Assigned { partitions, starts } => {
                fail_point!("writer-before-assign");
                let found = self.starts_from_log(&partitions);
                let begun: Vec<TopicPartition> = found.iter().map(|(partition, _)| partition.clone()).collect();
                tracing::info!(
                    table = self.context().name(),
                    shard = self.setup.number,
                    count = partitions.len(),
                    "kafka_partitions assigned"
                );
                if starts.send(found).is_err() {
                    // The client went on without the answer: assigned again by `start_waiting`.
                    for partition in begun {
                        self.owned.remove(&partition.topic, partition.kafka_partition);
                        self.waiting.insert(partition);
                    }
                }
                fail_point!("writer-after-assign");
            }
            GroupEvent::Revoked { partitions, lost, done } => {
                tracing::info!(
                    table = self.context().name(),
                    shard = self.setup.number,
                    count = partitions.len(),
                    lost,
                    "kafka_partitions revoked"
                );
                self.revoked(&partitions, lost)?;
                // Fails only if the client did not wait so long; the log's continuity rule holds either way.
                let _ = done.send(());
            }
            GroupEvent::Error { detail, fatal: true } => {
                self.drain(Instant::now() + REVOKE_DRAIN)?;
                return Ok(Some(ShardEnd::Restart(detail)));
            }
            GroupEvent::Error { detail, fatal: false } => {
                if detail != self.last_client_error {
                    tracing::warn!(table = self.context().name(), shard = self.setup.number, detail, "kafka client in trouble");
                    self.last_client_error = detail;
                }
            }
        }
        Ok(None)
    }

    /// Starts of new kafka_partitions, always from the log. Those that cannot be started yet wait.
    fn starts_from_log(&mut self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, StartAt)> {
        let state = match self.refresh() {
            Some(state) => state,
            None => {
                self.waiting.extend(partitions.iter().cloned());
                return Vec::new();
            }
        };
        let mut starts = Vec::new();
        for partition in partitions {
            match self.start_of(partition, &state) {
                Some((start, at)) => {
                    self.owned.insert(PartitionProgress::new(start, self.now()));
                    starts.push((partition.clone(), at));
                }
                None => {
                    self.waiting.insert(partition.clone());
                }
            }
        }
        starts
    }

    fn refresh(&self) -> Option<Arc<TableState>> {
        match self.setup.runtime.block_on(self.context().log.refresh()) {
            Ok(state) => Some(state),
            Err(error) => {
                tracing::warn!(table = self.context().name(), %error, "log cannot be read; kafka_partitions wait");
                None
            }
        }
    }

    /// `None`: the log does not declare it (yet).
    fn start_of(&self, partition: &TopicPartition, state: &TableState) -> Option<(Start, StartAt)> {
        let (generation, declared) = state.current_source(&partition.topic)?;
        let kafka_partition = KafkaPartition(partition.kafka_partition);
        let from = declared.partitions.get(&kafka_partition)?;
        let start = Start {
            source: SourcePartition { topic: partition.topic.clone(), generation, kafka_partition },
            refused: declared.refused,
            next_offset: from.next_offset,
            leader_epoch: from.leader_epoch,
            watermark: self.rules.watermark(from.watermark),
        };
        Some((start, StartAt { offset: from.next_offset.0, leader_epoch: from.leader_epoch }))
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Result<(), StoppedTable> {
        let deadline = Instant::now() + REVOKE_DRAIN;
        if lost {
            fail_point!("writer-before-lost");
            // Others may own them already: nothing of theirs is proposed any more. Rows of all share files, so all are read again.
            if let Some(flight) = &self.flight {
                flight.give_up.fire();
            }
            self.wait_for_flight(deadline)?;
            self.reset();
            fail_point!("writer-after-lost");
        } else {
            fail_point!("writer-before-revoke");
            self.drain(deadline)?;
            if self.owned.is_pending() {
                self.reset();
            }
            fail_point!("writer-after-revoke");
        }
        for partition in partitions {
            self.owned.remove(&partition.topic, partition.kafka_partition);
            self.waiting.remove(partition);
            self.failing.remove(partition);
        }
        Ok(())
    }

    /// Starts from the log what waits for it.
    pub(super) fn start_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(state) = self.refresh() else { return };
        for partition in self.waiting.clone() {
            let Some((start, at)) = self.start_of(&partition, &state) else { continue };
            match self.consumer.reassign(&partition, at) {
                Ok(()) => {
                    self.owned.insert(PartitionProgress::new(start, self.now()));
                    self.waiting.remove(&partition);
                }
                Err(KafkaIoError::NotAssigned { .. }) => {
                    self.waiting.remove(&partition);
                }
                Err(error) => tracing::warn!(?partition, %error, "kafka_partition cannot be started yet"),
            }
        }
    }

    /// Assigns again, at their own next offset, what an error stopped.
    pub(super) fn restart_failing(&mut self) {
        for partition in std::mem::take(&mut self.failing) {
            let Some(index) = self.owned.find(&partition.topic, partition.kafka_partition) else { continue };
            let now = self.now();
            let progress = self.owned.at(index);
            let at = StartAt { offset: progress.next().0, leader_epoch: progress.leader_epoch() };
            match self.consumer.reassign(&partition, at) {
                Ok(()) => self.owned.at(index).restarted(now),
                Err(KafkaIoError::NotAssigned { .. }) => {}
                Err(error) => {
                    tracing::warn!(?partition, %error, "kafka_partition cannot be assigned again yet");
                    self.failing.insert(partition);
                }
            }
        }
    }

    /// An error stopped a kafka_partition.
    pub(super) fn partition_error(&mut self, error: &PartitionError) -> Result<(), StoppedTable> {
        let PartitionError { partition, kind, detail } = error;
        let Some(index) = self.owned.find(&partition.topic, partition.kafka_partition) else { return Ok(()) };
        self.owned.at(index).stall();
        if *kind != PartitionErrorKind::Other
            && let Some(stop) = self.diagnose(error)?
        {
            return Err(stop);
        }
        tracing::warn!(?partition, detail, "kafka_partition failed; it is assigned again");
        self.failing.insert(partition.clone());
        Ok(())
    }

    /// What an offset that the broker does not have means: the topic is another one, retention passed the offset, or the log was cut.
    fn diagnose(&mut self, error: &PartitionError) -> Result<Option<StoppedTable>, StoppedTable> {
        let PartitionError { partition, kind, detail } = error;
        let Some(index) = self.owned.find(&partition.topic, partition.kafka_partition) else { return Ok(None) };
        let expected = self.owned.at(index).next();
        let context = Arc::clone(self.context());
        let asked = self.setup.runtime.block_on(context.persist("find out about an offset", &self.setup.give_up, || async {
            let view = identity::view(&context, vec![partition.topic.clone()]).await?;
            let (topic, count) = (partition.topic.clone(), partition.kafka_partition + 1);
            let bounds = context.ask(move |admin| {
                let of = |query| admin.offsets(&topic, count, query).map_err(WriterError::from);
                Ok((of(OffsetQuery::Earliest)?.last().copied(), of(OffsetQuery::Latest)?.last().copied()))
            });
            Ok((view, bounds.await?))
        }))?;
        let Some((view, (Some(earliest), Some(log_end)))) = asked else { return Ok(None) };
        let state = context.log.state();
        if let (Some((_, declared)), Some((_, found))) = (state.current_source(&partition.topic), view.topics.first()) {
            let identity = identity::compare(declared, view.cluster_id.as_deref(), found.as_ref());
            if let Some(stop) = identity::stop_of(context.name(), &partition.topic, declared, &identity) {
                return Ok(Some(stop));
            }
        }
        Ok(out_of_range(context.name(), partition, (expected, earliest, log_end), (*kind, detail)))
    }
}

/// Pure: what the bounds of a kafka_partition say about an offset that was refused. `None`: it is there now.
fn out_of_range(
    table: &str,
    partition: &TopicPartition,
    (expected, earliest, log_end): (Offset, i64, i64),
    (kind, detail): (PartitionErrorKind, &str),
) -> Option<StoppedTable> {
    let (table, topic, kafka_partition) = (table.to_owned(), partition.topic.clone(), KafkaPartition(partition.kafka_partition));
    if earliest > expected.0 {
        let lost = (earliest - expected.0) as u64;
        return Some(StoppedTable::RetentionPassed { table, topic, kafka_partition, expected, earliest: Offset(earliest), lost });
    }
    if kind == PartitionErrorKind::LogTruncated {
        return Some(StoppedTable::LogTruncated { table, topic, kafka_partition, expected, detail: detail.to_owned() });
    }
    (expected.0 > log_end).then_some(StoppedTable::OffsetOutOfRange { table, topic, kafka_partition, expected, log_end: Offset(log_end) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_tell_what_happened_to_an_offset() {
        let partition = TopicPartition { topic: "t".into(), kafka_partition: 1 };
        let check = |expected, earliest, log_end, kind| {
            let stop = out_of_range("table", &partition, (Offset(expected), earliest, log_end), (kind, "text"));
            stop.map(|stop| (stop.situation(), stop.to_string()))
        };
        let (situation, text) = check(10, 25, 90, PartitionErrorKind::OffsetOutOfRange).expect("records are gone");
        assert_eq!(situation, "retention_passed");
        assert!(text.contains("15 offset(s) are lost") && text.contains("repair gap"), "{text}");
        let (situation, text) = check(100, 0, 90, PartitionErrorKind::OffsetOutOfRange).expect("beyond the end");
        assert_eq!(situation, "offset_out_of_range");
        assert!(text.contains("repair restart"), "{text}");
        assert_eq!(check(50, 0, 90, PartitionErrorKind::LogTruncated).map(|s| s.0), Some("log_truncated"));
        assert_eq!(check(50, 0, 90, PartitionErrorKind::OffsetOutOfRange), None, "it is there now");
    }
}

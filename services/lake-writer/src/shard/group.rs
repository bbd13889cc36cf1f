//! Group events and errors of single kafka_partitions.
use super::{REVOKE_DRAIN, Shard, ShardEnd};
use crate::{
    error::{CutPartition, LostRange, StoppedTable, WriterError},
    identity,
    offsets::{PartitionProgress, Start},
};
use kafka_io::{GroupEvent, KafkaIoError, OffsetQuery, PartitionError, PartitionErrorKind, StartAt, TopicPartition, truncated_to};
use service_runtime::fail_point;
use std::sync::Arc;
use table_log::{KafkaPartition, Offset, SourcePartition, TableState, state::SourceState};
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
                if starts.send(found).is_ok() {
                    self.tell_of_generations(&begun);
                } else {
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

    /// What the group was told of a generation that ended may be ahead of the next one's start, and stay so until the next commit.
    fn tell_of_generations(&self, begun: &[TopicPartition]) {
        let begun = |progress: &&PartitionProgress| progress.source.generation > 1 && begun.contains(&super::on_the_wire(&progress.source));
        let offsets: Vec<_> = self.owned.iter().filter(begun).map(|p| (super::on_the_wire(&p.source), p.next().0)).collect();
        if !offsets.is_empty() {
            self.consumer.commit_offsets(&offsets);
        }
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
        let before = state.sources().find(|(topic, number, _)| *topic == partition.topic && number + 1 == generation).map(|found| found.2);
        let start = Start {
            source: SourcePartition { topic: partition.topic.clone(), generation, kafka_partition },
            refused: declared.refused,
            next_offset: from.next_offset,
            leader_epoch: leader_epoch(declared, before, kafka_partition),
            watermark: self.rules.watermark(from.watermark),
        };
        let at = StartAt { offset: start.next_offset.0, leader_epoch: start.leader_epoch };
        Some((start, at))
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
            // A held batch may have records behind one that waits: if that came back, they would look like the next ones.
            if self.owned.is_pending() || (self.held.is_some() && !self.suspended.is_empty()) {
                self.reset();
            }
            fail_point!("writer-after-revoke");
        }
        for partition in partitions {
            self.owned.remove(&partition.topic, partition.kafka_partition);
            self.waiting.remove(partition);
            self.failing.remove(partition);
            self.suspended.remove(partition);
        }
        Ok(())
    }

    /// Starts from the log what waits for it.
    pub(super) fn start_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(state) = self.refresh() else { return };
        let mut begun = Vec::new();
        for partition in self.waiting.clone() {
            let Some((start, at)) = self.start_of(&partition, &state) else { continue };
            match self.consumer.reassign(&partition, at) {
                Ok(()) => {
                    self.owned.insert(PartitionProgress::new(start, self.now()));
                    self.waiting.remove(&partition);
                    begun.push(partition);
                }
                Err(KafkaIoError::NotAssigned { .. }) => {
                    self.waiting.remove(&partition);
                }
                Err(error) => tracing::warn!(?partition, %error, "kafka_partition cannot be started yet"),
            }
        }
        self.tell_of_generations(&begun);
    }

    /// Assigns again, at their own next offset, what an error stopped.
    pub(super) fn restart_failing(&mut self) {
        for partition in std::mem::take(&mut self.failing) {
            if !self.restart(&partition) {
                self.failing.insert(partition);
            }
        }
    }

    /// An error stopped a kafka_partition.
    pub(super) fn partition_error(&mut self, error: &PartitionError) -> Result<(), StoppedTable> {
        let PartitionError { partition, kind, detail } = error;
        let Some(index) = self.owned.find(&partition.topic, partition.kafka_partition) else { return Ok(()) };
        self.owned.at(index).stall();
        if self.suspended.contains(partition) {
            return Ok(());
        }
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
        let bounds = (expected, earliest, log_end);
        let Some(stop) = out_of_range(context.name(), partition, bounds, (*kind, detail)) else { return Ok(None) };
        if let StoppedTable::LogTruncated { cuts, .. } = &stop
            && self.is_beyond_the_log(partition, cuts)
        {
            tracing::error!(
                ?partition,
                detail,
                "the log was truncated behind what the table has committed: what was taken since is dropped"
            );
            self.reset();
            return Ok(None);
        }
        Ok(Some(stop))
    }

    /// Whether all that was cut is beyond the log's next offset: then it was taken, but neither log nor Kafka has it.
    fn is_beyond_the_log(&self, partition: &TopicPartition, cuts: &[CutPartition]) -> bool {
        let state = self.context().log.state();
        let committed = state.current_source(&partition.topic).and_then(|(_, declared)| {
            declared.partitions.get(&KafkaPartition(partition.kafka_partition)).map(|committed| committed.next_offset)
        });
        self.flight.is_none() && committed.is_some_and(|committed| cuts.iter().all(|cut| cut.end >= committed))
    }
}

/// Leader epoch of the last record before the next offset. A generation of the same topic that goes on where the one before ends has that one's:
/// else a log that was cut there too would be read on without an error.
fn leader_epoch(declared: &SourceState, before: Option<&SourceState>, kafka_partition: KafkaPartition) -> Option<i32> {
    let from = declared.partitions.get(&kafka_partition)?;
    if from.leader_epoch.is_some() || from.next_offset != from.start {
        return from.leader_epoch;
    }
    let same_topic = |before: &&SourceState| {
        before.topic_id.is_some() && before.topic_id == declared.topic_id && before.cluster_id == declared.cluster_id
    };
    let ended = before.filter(same_topic)?.partitions.get(&kafka_partition)?;
    ended.leader_epoch.filter(|_| ended.next_offset == from.start)
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
        let range = LostRange { topic, kafka_partition, expected, earliest: Offset(earliest) };
        return Some(StoppedTable::RetentionPassed { table, ranges: vec![range] });
    }
    let cut = |end: i64| vec![CutPartition { kafka_partition, expected, end: Offset(end.max(earliest)) }];
    if kind == PartitionErrorKind::LogTruncated {
        let cuts = cut(truncated_to(detail).unwrap_or(log_end).min(expected.0));
        return Some(StoppedTable::LogTruncated { table, topic, cuts, detail: detail.to_owned() });
    }
    (expected.0 > log_end).then(|| StoppedTable::OffsetOutOfRange { table, topic, cuts: cut(log_end) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use table_log::state::PartitionState;

    #[test]
    fn bounds_tell_what_happened_to_an_offset() {
        let partition = TopicPartition { topic: "t".into(), kafka_partition: 1 };
        let check = |expected, earliest, log_end, kind| {
            let stop = out_of_range("table", &partition, (Offset(expected), earliest, log_end), (kind, "text"));
            stop.map(|stop| (stop.situation(), stop.to_string()))
        };
        let (situation, text) = check(10, 25, 90, PartitionErrorKind::OffsetOutOfRange).expect("records are gone");
        assert_eq!(situation, "retention_passed");
        assert!(text.contains("15 offset(s) are lost"), "{text}");
        let (situation, text) = check(100, 0, 90, PartitionErrorKind::OffsetOutOfRange).expect("beyond the end");
        assert_eq!(situation, "offset_out_of_range");
        assert!(text.contains("cut at offset 90") && text.contains("10 offset(s)"), "{text}");
        assert_eq!(check(50, 0, 90, PartitionErrorKind::LogTruncated).map(|s| s.0), Some("log_truncated"));
        assert_eq!(check(50, 0, 90, PartitionErrorKind::OffsetOutOfRange), None, "it is there now");
        let detail = "log truncation detected at offset 50 (leader epoch 0): broker end offset is 40 (offset leader epoch 0)";
        let stop = out_of_range("table", &partition, (Offset(50), 0, 90), (PartitionErrorKind::LogTruncated, detail));
        assert!(
            stop.is_some_and(|stop| stop.to_string().contains("cut at offset 40")),
            "by what the broker said, not by where it ends now"
        );
    }

    #[test]
    fn a_generation_that_goes_on_where_the_one_before_ends_keeps_its_leader_epoch() {
        let source = |topic_id: &str, start: i64, next: i64, leader_epoch| {
            let state = PartitionState { start: Offset(start), next_offset: Offset(next), watermark: None, leader_epoch };
            let partitions = [(KafkaPartition(0), state)].into();
            SourceState { cluster_id: "c".into(), topic_id: Some(topic_id.into()), refused: false, ended: false, partitions }
        };
        let ended = source("a", 0, 50, Some(3));
        let epoch = |declared: &SourceState| leader_epoch(declared, Some(&ended), KafkaPartition(0));
        assert_eq!(epoch(&source("a", 50, 50, None)), Some(3));
        assert_eq!(epoch(&source("a", 40, 40, None)), None, "cut here: the next records have another epoch");
        assert_eq!(epoch(&source("b", 50, 50, None)), None, "another topic");
        assert_eq!(epoch(&source("a", 50, 60, Some(5))), Some(5), "its own");
        assert_eq!(leader_epoch(&source("a", 50, 50, None), None, KafkaPartition(0)), None);
    }
}

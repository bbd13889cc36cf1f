//! Sources: which topics feed the table, how far each kafka_partition is taken, and the watermarks.
use crate::planted::{Bug, is_planted};
use crate::record::{AppendRange, SourceDeclaration};
use crate::{KafkaPartition, Offset, SourcePartition, pairs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windowing::{Watermark, table_watermark};

/// A source kafka_partition in the state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionState {
    /// First offset of the source's declaration.
    pub start: Offset,
    /// First offset not yet taken.
    pub next_offset: Offset,
    /// Its watermark; never goes back.
    pub watermark: Watermark,
    /// Leader epoch of the last record taken.
    pub leader_epoch: Option<i32>,
}

/// A declared generation of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceState {
    /// Kafka's cluster id.
    pub cluster_id: String,
    /// Topic id, where the broker gives one.
    pub topic_id: Option<String>,
    /// A `<topic>.refused` topic: does not count for the watermark.
    pub refused: bool,
    /// Retired or ended by a `restart`: no more appends, does not count for the watermark.
    pub ended: bool,
    /// Its kafka_partitions, dense from 0.
    #[serde(with = "pairs")]
    pub partitions: BTreeMap<KafkaPartition, PartitionState>,
}

/// All sources and the table's watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// By topic and generation.
    #[serde(with = "pairs")]
    declared: BTreeMap<(String, u32), SourceState>,
    /// The table's watermark; never goes back.
    watermark: Watermark,
}

impl Sources {
    pub(crate) fn watermark(&self) -> Watermark {
        self.watermark
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32, &SourceState)> {
        self.declared.iter().map(|((topic, generation), source)| (topic.as_str(), *generation, source))
    }

    /// The newest generation of a topic, ended or not.
    pub(crate) fn newest(&self, topic: &str) -> Option<(u32, &SourceState)> {
        let generations = self.declared.range((topic.to_owned(), 0)..=(topic.to_owned(), u32::MAX));
        generations.last().map(|((_, generation), source)| (*generation, source))
    }

    pub(crate) fn get(&self, source: &SourcePartition) -> Option<(&SourceState, &PartitionState)> {
        let state = self.declared.get(&(source.topic.clone(), source.generation))?;
        Some((state, state.partitions.get(&source.kafka_partition)?))
    }

    /// Adds a topic, a generation or kafka_partitions. They start at the table's watermark of now and so hold it until they have reported.
    pub(crate) fn declare(&mut self, declaration: &SourceDeclaration) {
        let watermark = self.watermark;
        let key = (declaration.topic.clone(), declaration.generation);
        let source = self.declared.entry(key).or_insert_with(|| SourceState {
            cluster_id: declaration.cluster_id.clone(),
            topic_id: declaration.topic_id.clone(),
            refused: declaration.refused,
            ended: false,
            partitions: BTreeMap::new(),
        });
        for (&kafka_partition, &start) in &declaration.starts {
            source.partitions.insert(kafka_partition, PartitionState { start, next_offset: start, watermark, leader_epoch: None });
        }
    }

    /// Ends all generations of a topic.
    pub(crate) fn end(&mut self, topic: &str) {
        for (_, source) in self.declared.range_mut((topic.to_owned(), 0)..=(topic.to_owned(), u32::MAX)) {
            source.ended = true;
        }
    }

    pub(crate) fn take(&mut self, taken: &AppendRange) {
        if let Some(partition) = self.get_mut(&taken.source) {
            partition.next_offset = taken.range.end;
            let goes_back = is_planted(Bug::WatermarkBackOnReassignment);
            partition.watermark = if goes_back { taken.watermark } else { partition.watermark.max(taken.watermark) };
            partition.leader_epoch = taken.leader_epoch.or(partition.leader_epoch);
        }
    }

    /// Goes on at `offset`: the offsets before it are lost.
    pub(crate) fn skip_to(&mut self, source: &SourcePartition, offset: Offset) {
        if let Some(partition) = self.get_mut(source) {
            partition.next_offset = offset;
        }
    }

    /// Computes the table's watermark anew, to be done after each record.
    pub(crate) fn settle(&mut self) {
        let counting = self.declared.values().filter(|source| !source.ended && !source.refused);
        let watermarks = counting.flat_map(|source| source.partitions.values()).map(|partition| partition.watermark);
        self.watermark = table_watermark(self.watermark, watermarks);
    }

    fn get_mut(&mut self, source: &SourcePartition) -> Option<&mut PartitionState> {
        let state = self.declared.get_mut(&(source.topic.clone(), source.generation))?;
        state.partitions.get_mut(&source.kafka_partition)
    }
}

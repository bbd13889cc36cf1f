//! Where the kafka_partitions of a topic ended when it was last known to be the declared one: what a deleted topic held at least.
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use table_log::{SourcePartition, TableState};

/// Log end offsets by source kafka_partition.
pub type Ends = BTreeMap<SourcePartition, i64>;

/// Ends that the clients saw, and those of them that were of the declared topics for sure.
#[derive(Debug, Default)]
pub struct KnownEnds {
    seen: Mutex<Ends>,
    confirmed: Mutex<Ends>,
}

impl KnownEnds {
    /// A client saw where a kafka_partition ends.
    pub fn see(&self, source: &SourcePartition, log_end: i64) {
        lock(&self.seen).insert(source.clone(), log_end);
    }

    /// What was seen so far; to be confirmed when the topics are found to be the declared ones after it.
    pub fn seen(&self) -> Ends {
        lock(&self.seen).clone()
    }

    /// These ends were of the declared topics.
    pub fn confirm(&self, ends: Ends) {
        *lock(&self.confirmed) = ends;
    }

    /// Offsets of a topic's current generation that were there and are not taken; `None`: nothing is known of it.
    pub fn untaken(&self, topic: &str, state: &TableState) -> Option<u64> {
        let confirmed = lock(&self.confirmed);
        let left = confirmed.iter().filter(|(source, _)| source.topic == topic).filter_map(|(source, log_end)| {
            let next = state.next_offset(source)?;
            Some(u64::try_from(log_end.saturating_sub(next.0)).unwrap_or(0))
        });
        left.reduce(u64::saturating_add)
    }
}

/// Plain data: a panic elsewhere leaves it whole.
fn lock(ends: &Mutex<Ends>) -> std::sync::MutexGuard<'_, Ends> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use table_log::KafkaPartition;

    #[test]
    fn only_what_is_confirmed_counts() {
        let ends = KnownEnds::default();
        let source = SourcePartition { topic: "a".into(), generation: 1, kafka_partition: KafkaPartition(0) };
        ends.see(&source, 10);
        assert_eq!(ends.untaken("a", &TableState::default()), None);
        let seen = ends.seen();
        ends.see(&source, 99);
        ends.confirm(seen);
        assert_eq!(lock(&ends.confirmed)[&source], 10, "not what was seen after the topics were compared");
        assert_eq!(ends.untaken("b", &TableState::default()), None);
    }
}

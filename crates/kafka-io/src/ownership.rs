//! Which kafka_partitions this member owns, and which of them it reads. Pure.
use std::collections::{HashMap, HashSet};

use crate::partition::TopicPartition;

/// What this member does with a kafka_partition that the group gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not read yet: the owner named no start.
    Waiting,
    /// Assigned in librdkafka, from this offset on.
    Reading { start: i64 },
    /// Assigned in librdkafka, but an error moved its position: nothing is delivered until it is assigned again.
    Stopped,
}

/// The kafka_partitions of this member.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    states: HashMap<TopicPartition, State>,
}

impl Ownership {
    /// The group gave these.
    pub(crate) fn grant(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.states.insert(partition.clone(), State::Waiting);
        }
    }

    /// The group takes these back. Returns those that librdkafka must be told to unassign: it refuses the whole list for one that it
    /// does not know.
    pub(crate) fn revoke(&mut self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        let assigned = |partition: &&TopicPartition| self.states.get(*partition).is_some_and(|state| *state != State::Waiting);
        let result = partitions.iter().filter(assigned).cloned().collect();
        for partition in partitions {
            self.states.remove(partition);
        }
        result
    }

    /// Sets the state of one that is owned.
    pub(crate) fn set(&mut self, partition: &TopicPartition, state: State) {
        if let Some(old) = self.states.get_mut(partition) {
            *old = state;
        }
    }

    /// Its state; `None` if it is not owned.
    pub(crate) fn state(&self, partition: &TopicPartition) -> Option<State> {
        self.states.get(partition).copied()
    }

    /// Those assigned in librdkafka.
    pub(crate) fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.states.iter().filter(|(_, state)| **state != State::Waiting).map(|(partition, _)| partition)
    }

    /// Those that must deliver nothing.
    pub(crate) fn stopped(&self) -> HashSet<TopicPartition> {
        self.states.iter().filter(|(_, state)| **state == State::Stopped).map(|(partition, _)| partition.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), kafka_partition: number }
    }

    #[test]
    fn only_what_librdkafka_knows_is_unassigned() {
        let mut ownership = Ownership::default();
        ownership.grant(&[partition(0), partition(1), partition(2)]);
        ownership.set(&partition(0), State::Reading { start: 5 });
        ownership.set(&partition(1), State::Stopped);
        ownership.set(&partition(9), State::Stopped);
        assert_eq!(ownership.stopped(), HashSet::from([partition(1)]));
        assert_eq!(ownership.assigned().count(), 2);
        assert_eq!(ownership.revoke(&[partition(0), partition(1), partition(2), partition(9)]), [partition(0), partition(1)]);
        assert_eq!(ownership.state(&partition(0)), None);
        assert_eq!(ownership.revoke(&[partition(0)]), []);
    }
}

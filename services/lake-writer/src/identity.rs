//! Is a topic still the one that the log declares? Names do not tell: a topic deleted, made again and refilled is read on without an error.
use crate::{
    context::TableContext,
    error::{StoppedTable, WriterError},
};
use kafka_io::TopicInfo;
use table_log::state::SourceState;

/// What the cluster says of some topics.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// Cluster id, where the broker gives one.
    pub cluster_id: Option<String>,
    /// As asked: `None` for a topic that does not exist.
    pub topics: Vec<(String, Option<TopicInfo>)>,
}

/// Asks the cluster for topics.
///
/// # Errors
/// The cluster does not answer.
pub async fn view(context: &TableContext, topics: Vec<String>) -> Result<ClusterView, WriterError> {
    context
        .ask(move |admin| {
            let cluster_id = admin.cluster_id()?;
            let found = if topics.is_empty() { Vec::new() } else { admin.topics(&topics)? };
            Ok(ClusterView { cluster_id, topics: topics.into_iter().zip(found).collect() })
        })
        .await
}

/// How a declared topic compares with what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The same, as far as the broker tells.
    Same,
    /// The topic does not exist (or not yet in this broker's metadata).
    Missing,
    /// Another topic of the same name.
    Recreated {
        /// What is there.
        found: String,
    },
    /// Another cluster.
    ClusterChanged {
        /// Its id.
        found: String,
    },
}

/// Compares. Ids count only where both sides have one.
pub fn compare(declared: &SourceState, cluster_id: Option<&str>, found: Option<&TopicInfo>) -> Identity {
    if let Some(cluster) = cluster_id
        && !declared.cluster_id.is_empty()
        && declared.cluster_id != cluster
    {
        return Identity::ClusterChanged { found: cluster.to_owned() };
    }
    let Some(found) = found else { return Identity::Missing };
    if let (Some(declared), Some(id)) = (&declared.topic_id, &found.topic_id)
        && declared != id
    {
        return Identity::Recreated { found: format!("topic id `{id}`") };
    }
    if (found.partitions.max(0) as usize) < declared.partitions.len() {
        return Identity::Recreated { found: format!("`{}` kafka_partitions, fewer than declared", found.partitions) };
    }
    Identity::Same
}

/// The stop that a comparison means; `Missing` means none by itself.
pub fn stop_of(table: &str, topic: &str, declared: &SourceState, identity: &Identity) -> Option<StoppedTable> {
    let (table, topic) = (table.to_owned(), topic.to_owned());
    match identity {
        Identity::Same | Identity::Missing => None,
        Identity::Recreated { found } => {
            let declared = declared.topic_id.clone().unwrap_or_else(|| "unknown".to_owned());
            Some(StoppedTable::TopicRecreated { table, topic, declared, found: found.clone(), untaken: None })
        }
        Identity::ClusterChanged { found } => {
            Some(StoppedTable::ClusterChanged { table, topics: vec![topic], declared: declared.cluster_id.clone(), found: found.clone() })
        }
    }
}

/// The stop that a missing topic means when it stays away.
pub fn gone(table: &str, topic: &str, declared: &SourceState) -> StoppedTable {
    let declared = declared.topic_id.clone().unwrap_or_else(|| "unknown".to_owned());
    StoppedTable::TopicGone { table: table.to_owned(), topic: topic.to_owned(), declared }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use table_log::{KafkaPartition, Offset, state::PartitionState};

    fn declared(topic_id: Option<&str>, partitions: i32) -> SourceState {
        let state = PartitionState { start: Offset(0), next_offset: Offset(0), watermark: None, leader_epoch: None };
        SourceState {
            cluster_id: "c".into(),
            topic_id: topic_id.map(str::to_owned),
            refused: false,
            ended: false,
            partitions: (0..partitions).map(|p| (KafkaPartition(p), state.clone())).collect::<BTreeMap<_, _>>(),
        }
    }

    fn found(topic_id: Option<&str>, partitions: i32) -> TopicInfo {
        TopicInfo { topic: "t".into(), topic_id: topic_id.map(str::to_owned), partitions }
    }

    #[test]
    fn only_the_topic_id_tells_a_recreated_topic() {
        let same = |d: Option<&str>, f: Option<&str>| compare(&declared(d, 2), Some("c"), Some(&found(f, 2)));
        assert_eq!(same(Some("a"), Some("a")), Identity::Same);
        assert!(matches!(same(Some("a"), Some("b")), Identity::Recreated { .. }));
        assert_eq!(same(None, Some("b")), Identity::Same);
        assert_eq!(same(Some("a"), None), Identity::Same);
    }

    #[test]
    fn clusters_partitions_and_absence_are_compared() {
        assert!(matches!(compare(&declared(None, 2), Some("d"), None), Identity::ClusterChanged { .. }));
        assert_eq!(compare(&declared(None, 2), None, None), Identity::Missing);
        assert!(matches!(compare(&declared(None, 2), Some("c"), Some(&found(None, 1))), Identity::Recreated { .. }));
        assert_eq!(compare(&declared(None, 2), Some("c"), Some(&found(None, 3))), Identity::Same);
        let stop = stop_of("t", "topic", &declared(Some("a"), 1), &Identity::Recreated { found: "x".into() });
        assert_eq!(stop.map(|s| s.situation()), Some("topic_recreated"));
    }
}

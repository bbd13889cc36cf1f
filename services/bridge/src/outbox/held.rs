//! Records of topics that Kafka takes nothing for now, in their order.
use super::Sent;
use kafka_io::NewRecord;
use std::collections::{BTreeMap, VecDeque};

/// Records by topic.
#[derive(Debug, Default)]
pub(super) struct Held {
    topics: BTreeMap<String, Topic>,
    /// Topics in trouble, with why: one that fails again for the same reason is not news.
    trying: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Topic {
    records: VecDeque<(NewRecord, Sent)>,
    bytes: u64,
    /// `None`: nothing is wrong with the topic, the records wait their turn.
    why: Option<String>,
}

impl Held {
    /// Names the topic as held; true: it was not before, or for another reason.
    pub fn begin(&mut self, topic: &str, why: &str) -> bool {
        let entry = self.topics.entry(topic.to_owned()).or_default();
        let known = self.trying.get(topic).or(entry.why.as_ref());
        let is_news = known.is_none_or(|known| known != why);
        entry.why = Some(why.to_owned());
        self.trying.insert(topic.to_owned(), why.to_owned());
        is_news
    }

    /// Keeps a record behind those of its topic.
    pub fn push(&mut self, record: NewRecord, sent: Sent) {
        let topic = self.topics.entry(record.topic.clone()).or_default();
        topic.bytes += sent.bytes;
        topic.records.push_back((record, sent));
    }

    /// Bytes held of a topic; `None`: it is not held.
    pub fn bytes(&self, topic: &str) -> Option<u64> {
        self.topics.get(topic).map(|topic| topic.bytes)
    }

    /// What is wrong with the topic, if it is held for that.
    pub fn why(&self, topic: &str) -> Option<String> {
        self.topics.get(topic).and_then(|topic| topic.why.clone())
    }

    /// All held topics with the reason.
    pub fn all(&self) -> Vec<(String, String)> {
        self.topics.iter().filter_map(|(topic, held)| Some((topic.clone(), held.why.clone()?))).collect()
    }

    /// What fails from now on is news.
    pub fn forget_tries(&mut self) {
        self.trying.clear();
    }

    /// Hands all out, to be tried again.
    pub fn take(&mut self) -> Vec<(NewRecord, Sent)> {
        std::mem::take(&mut self.topics).into_values().flat_map(|topic| topic.records).collect()
    }
}

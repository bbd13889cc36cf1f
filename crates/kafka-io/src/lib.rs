//! The only user of rdkafka: batch consumer, producer, admin, the embedded demo broker. STUB: API to be kept, split into files.
use std::{sync::mpsc, time::Duration};

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct KafkaConfig { pub bootstrap_servers: String, pub security: Security }
/// Security protocol; TLS, SCRAM and IAM come as further variants.
#[derive(Clone, Debug, Default)]
pub enum Security { #[default] Plaintext }

/// Errors, as situations.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KafkaIoError {
    /// Broker not reachable, timeouts: passes.
    #[error("{operation} failed: {detail}")]
    Unavailable { operation: &'static str, detail: String },
    /// A setting is wrong (authorisation, unknown property, unknown topic).
    #[error("{operation} was refused: {detail}")]
    Misconfigured { operation: &'static str, detail: String },
    /// The topic does not exist.
    #[error("topic `{topic}` does not exist")]
    UnknownTopic { topic: String },
}

/// A kafka_partition of a topic on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition { pub topic: String, pub kafka_partition: i32 }

/// Consumer options.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    pub group: String,
    /// Static member id.
    pub instance_id: String,
    pub topics: Vec<String>,
    pub session_timeout: Duration,
    /// librdkafka's queue for this consumer.
    pub queued_bytes: u64,
    /// Further librdkafka properties, for tests.
    pub properties: Vec<(String, String)>,
}

/// Events of group membership; the poll thread waits for each answer (bounded by max.poll.interval).
#[derive(Debug)]
pub enum GroupEvent {
    /// Answer with the start of each: offset and last leader epoch from the log. A partition left out is not read (yet).
    Assigned { partitions: Vec<TopicPartition>, starts: mpsc::SyncSender<Vec<(TopicPartition, StartAt)>> },
    /// Commit what is buffered, then answer. `lost`: others may own them already, drop the buffers.
    Revoked { partitions: Vec<TopicPartition>, lost: bool, done: mpsc::SyncSender<()> },
    /// An error of the client; `fatal` ends it.
    Error { detail: String, fatal: bool },
}
/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartAt { pub offset: i64, pub leader_epoch: Option<i32> }

/// A record on loan from the batch.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    pub topic: &'a str,
    pub kafka_partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; -1: none.
    pub timestamp_ms: i64,
    pub leader_epoch: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    // headers: via RawRecord::headers() -> Vec<(String, Option<Vec<u8>>)> (parsed lazily)
}
/// An error about one kafka_partition, such as an offset out of range; the partition delivers nothing more until `reassign`.
#[derive(Clone, Debug)]
pub struct PartitionError { pub partition: TopicPartition, pub kind: PartitionErrorKind, pub detail: String }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionErrorKind { OffsetOutOfRange, LogTruncated, Other }

/// Records taken at once; owned, can go to another thread; frees librdkafka's memory on drop.
#[derive(Debug)]
pub struct Batch {}
impl Batch {
    pub fn records(&self) -> impl Iterator<Item = RawRecord<'_>> { std::iter::empty() }
    pub fn errors(&self) -> &[PartitionError] { &[] }
    pub fn len(&self) -> usize { 0 }
    pub fn is_empty(&self) -> bool { true }
    /// Bytes held.
    pub fn bytes(&self) -> u64 { 0 }
}

/// A group member that takes batches from one own queue (never the main queue), with a poll thread for group events.
#[derive(Debug)]
pub struct BatchConsumer {}
impl BatchConsumer {
    /// Joins the group. Events arrive on the receiver.
    pub fn start(config: &KafkaConfig, options: ConsumerOptions) -> Result<(Self, mpsc::Receiver<GroupEvent>), KafkaIoError> { let _ = (config, options); todo!() }
    /// At most `max_records`, waiting at most `timeout` for the first.
    pub fn take(&mut self, max_records: usize, timeout: Duration) -> Batch { let _ = (max_records, timeout); todo!() }
    /// Next offset that librdkafka would deliver: counts markers and aborted data that were passed.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> { let _ = partition; todo!() }
    /// Cached (low, high) watermark offsets; high is the log end, also under read_committed. No network.
    pub fn watermark_offsets(&self, partition: &TopicPartition) -> Option<(i64, i64)> { let _ = partition; todo!() }
    /// Unassigns and assigns one partition again at an offset (after a PartitionError, or after a fence).
    pub fn reassign(&self, partition: &TopicPartition, start: StartAt) -> Result<(), KafkaIoError> { let _ = (partition, start); todo!() }
    /// Commits group offsets, advisory, without waiting.
    pub fn commit_offsets(&self, offsets: &[(TopicPartition, i64)]) { let _ = offsets; }
    /// Leaves without LeaveGroup (static member) and frees everything in the right order. Revocations are not announced.
    pub fn close(self) {}
}

/// Questions to the cluster, and topic creation.
#[derive(Debug)]
pub struct Admin {}
/// What the cluster says of a topic.
#[derive(Clone, Debug)]
pub struct TopicInfo { pub topic: String, /// Base64 or UUID text; `None`: the broker gives none (mock).
    pub topic_id: Option<String>, pub partitions: i32 }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery { Earliest, Latest, /// Last stable offset.
    LastStable, /// First offset with a timestamp ≥ this, in ms; the log end if none.
    AtTime(i64) }
impl Admin {
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaIoError> { let _ = config; todo!() }
    pub fn cluster_id(&self) -> Result<Option<String>, KafkaIoError> { todo!() }
    /// `None` in place of a topic that does not exist.
    pub fn topics(&self, topics: &[String]) -> Result<Vec<Option<TopicInfo>>, KafkaIoError> { let _ = topics; todo!() }
    pub fn offsets(&self, topic: &str, partitions: i32, query: OffsetQuery) -> Result<Vec<i64>, KafkaIoError> { let _ = (topic, partitions, query); todo!() }
    /// Advisory group offsets.
    pub fn group_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, Option<i64>)>, KafkaIoError> { let _ = (group, partitions); todo!() }
    pub fn create_topic(&self, topic: &str, partitions: i32, replication: i32, config: &[(String, String)]) -> Result<(), KafkaIoError> { let _ = (topic, partitions, replication, config); todo!() }
}

/// Reads one kafka_partition from an offset to an end without a group (for `verify --kafka`, `inspect`).
#[derive(Debug)]
pub struct RangeReader {}
impl RangeReader {
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaIoError> { let _ = config; todo!() }
    /// Calls `each` for every record in `[start, end)` (read_committed); `each` is not called for absent offsets.
    pub fn read(&mut self, partition: &TopicPartition, start: i64, end: i64, each: &mut dyn FnMut(RawRecord<'_>)) -> Result<(), KafkaIoError> { let _ = (partition, start, end, each); todo!() }
}

/// Producer: idempotent, acks=all.
#[derive(Debug)]
pub struct Producer {}
/// A record to send.
#[derive(Clone, Debug, Default)]
pub struct NewRecord { pub topic: String, pub kafka_partition: Option<i32>, pub key: Option<Vec<u8>>, pub value: Option<Vec<u8>>, pub timestamp_ms: Option<i64>, pub headers: Vec<(String, Vec<u8>)> }
impl Producer {
    pub fn new(config: &KafkaConfig, properties: &[(String, String)]) -> Result<Self, KafkaIoError> { let _ = (config, properties); todo!() }
    /// Queues the record, waiting while the queue is full; the failure of an earlier record is returned here or by `flush`.
    pub fn send(&mut self, record: NewRecord) -> Result<(), KafkaIoError> { let _ = record; todo!() }
    /// Waits until all are acknowledged. Returns how many were since the start.
    pub fn flush(&mut self, timeout: Duration) -> Result<u64, KafkaIoError> { let _ = timeout; todo!() }
}

/// librdkafka's in-process mock cluster for the demo: keeps 5 MiB a kafka_partition; proves nothing about exactly-once.
#[derive(Debug)]
pub struct MockBroker {}
impl MockBroker {
    pub fn start() -> Result<Self, KafkaIoError> { todo!() }
    pub fn bootstrap_servers(&self) -> String { todo!() }
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaIoError> { let _ = (topic, partitions); todo!() }
}

//! Records taken at once, on loan from librdkafka.
use std::{borrow::Cow, ffi::CStr, fmt, marker::PhantomData, ptr, slice, sync::Arc};

use rdkafka::{bindings as rdsys, types::RDKafkaRespErr};

use crate::{
    consumer::Shared,
    partition::{TopicPartition, owned_text},
};

/// A message of librdkafka.
pub(crate) type MessagePtr = *mut rdsys::rd_kafka_message_t;

/// What librdkafka keeps beside key and value of a record, estimated; headers and the shared fetch buffer's rest are not counted.
const OVERHEAD_BYTES: u64 = 300;

/// A record on loan from the batch.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Number of the kafka_partition.
    pub kafka_partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970; -1: none.
    pub timestamp_ms: i64,
    /// Epoch of the leader that wrote it.
    pub leader_epoch: Option<i32>,
    /// Key bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is null (a tombstone), which is not the same as no bytes.
    pub value: Option<&'a [u8]>,
    /// Headers, parsed when asked for.
    pub headers: Headers<'a>,
}

impl RawRecord<'_> {
    /// Headers in their order: name, and value (`None` is null). A name that is not UTF-8 is read with replacement characters.
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.headers.to_vec()
    }
}

/// Headers of a record, parsed lazily.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    /// Null: no headers.
    message: MessagePtr,
    lifetime: PhantomData<&'a ()>,
}

impl Headers<'_> {
    /// No headers: for records that do not come from librdkafka.
    pub fn none() -> Self {
        Self { message: ptr::null_mut(), lifetime: PhantomData }
    }

    fn to_vec(self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut result = Vec::new();
        if self.message.is_null() {
            return result;
        }
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives as long as the borrow of its batch. The call parses into the message; it cannot race, as neither
        // `Headers` nor `Batch` is shared between threads (`Headers` holds a raw pointer, `Batch` is not `Sync`).
        let outcome = unsafe { rdsys::rd_kafka_message_headers(self.message, &raw mut headers) };
        if outcome != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return result;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0_usize);
        loop {
            // SAFETY: `headers` belongs to the message; the three results are only read after success.
            let outcome = unsafe { rdsys::rd_kafka_header_get_all(headers, result.len(), &raw mut name, &raw mut value, &raw mut size) };
            if outcome != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return result;
            }
            // SAFETY: the name is NUL-terminated.
            let name = unsafe { owned_text(name) };
            // SAFETY: the value is null or `size` bytes long, and lives as long as the message.
            result.push((name, unsafe { bytes(value, size) }.map(<[u8]>::to_vec)));
        }
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.to_vec()).finish()
    }
}

/// An error about one kafka_partition, such as an offset out of range; the kafka_partition delivers nothing more until
/// [`crate::BatchConsumer::reassign`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionError {
    /// Which one.
    pub partition: TopicPartition,
    /// What happened.
    pub kind: PartitionErrorKind,
    /// librdkafka's text.
    pub detail: String,
}

/// What happened to a kafka_partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionErrorKind {
    /// The broker does not have the offset: retention passed it, or the topic was made anew.
    OffsetOutOfRange,
    /// The log ends before the offset in the epoch in which we read it: records that we read are gone.
    LogTruncated,
    /// Anything else; assign again at your own next offset.
    Other,
}

impl PartitionErrorKind {
    /// From librdkafka's text, which alone tells the cases apart: both come as `_AUTO_OFFSET_RESET`.
    pub(crate) fn of(code: i32, text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32 {
            Self::Other
        } else if text.contains("truncation detected") {
            Self::LogTruncated
        } else if text.contains("out of range") {
            Self::OffsetOutOfRange
        } else {
            Self::Other
        }
    }
}

/// Where a log was cut, by the text of [`PartitionErrorKind::LogTruncated`]: the end of the leader epoch in which the records before were read.
pub fn truncated_to(detail: &str) -> Option<i64> {
    let behind = detail.split_once("broker end offset is ")?.1;
    let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..digits].parse().ok()
}

/// Records taken at once; owned, can go to another thread; frees librdkafka's memory on drop.
pub struct Batch {
    messages: Vec<MessagePtr>,
    errors: Vec<PartitionError>,
    bytes: u64,
    /// Keeps the client alive: a message must be freed before it. `None` in a batch of a [`crate::RangeReader`], which frees in time.
    owner: Option<Arc<Shared>>,
}

// SAFETY: the messages are owned by the batch alone, and librdkafka lets any thread read and free them.
unsafe impl Send for Batch {}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("records", &self.len()).field("errors", &self.errors).field("bytes", &self.bytes).finish()
    }
}

impl Batch {
    /// An empty batch.
    pub(crate) fn new(owner: Option<Arc<Shared>>, errors: Vec<PartitionError>) -> Self {
        Self { messages: Vec::new(), errors, bytes: 0, owner }
    }

    /// Makes room for this many records.
    pub(crate) fn reserve(&mut self, records: usize) {
        self.messages.reserve(records);
    }

    /// Adds an error.
    pub(crate) fn push_error(&mut self, error: PartitionError) {
        self.errors.push(error);
    }

    /// Takes over a message that is a record.
    pub(crate) fn push(&mut self, message: Message) {
        let raw = message.into_raw();
        // SAFETY: alive and now owned by the batch.
        let (key, value) = unsafe { ((*raw).key_len, (*raw).len) };
        self.bytes += key as u64 + value as u64 + OVERHEAD_BYTES;
        self.messages.push(raw);
    }

    /// The records in the order of their arrival: ascending offsets within a kafka_partition. A few of them may come twice after a
    /// rebalance: drop what is below your next offset.
    pub fn records(&self) -> impl Iterator<Item = RawRecord<'_>> {
        let mut topic = (ptr::null_mut(), "");
        self.messages.iter().map(move |message| {
            // SAFETY: the batch owns the message, and the borrow of the batch outlives the record.
            unsafe { record(*message, &mut topic) }
        })
    }

    /// Errors about kafka_partitions; no records of these are in the batch after the error.
    pub fn errors(&self) -> &[PartitionError] {
        &self.errors
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is no record (there may be errors).
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in self.messages.drain(..) {
            drop(Message(message));
        }
        // Only now may the client go.
        self.owner = None;
    }
}

/// A message of librdkafka that we own and free.
pub(crate) struct Message(MessagePtr);

impl Message {
    /// Takes over what a batch call returned.
    ///
    /// # Safety
    /// `message` came from a batch call, is not null, and is taken over once.
    pub(crate) unsafe fn take_over(message: MessagePtr) -> Self {
        Self(message)
    }

    /// Error code; 0 in a record. Read as a number, since a newer broker may send codes that the enum does not have.
    pub(crate) fn code(&self) -> i32 {
        // SAFETY: we own the message; the enum has the representation of an `i32`.
        unsafe { (&raw const (*self.0).err).cast::<i32>().read() }
    }

    /// Its offset.
    pub(crate) fn offset(&self) -> i64 {
        // SAFETY: we own the message.
        unsafe { (*self.0).offset }
    }

    /// The kafka_partition; `None` for an error that is about none.
    pub(crate) fn partition(&self) -> Option<TopicPartition> {
        // SAFETY: we own the message; its topic object lives as long.
        unsafe {
            let message = &*self.0;
            (!message.rkt.is_null())
                .then(|| TopicPartition { topic: owned_text(rdsys::rd_kafka_topic_name(message.rkt)), kafka_partition: message.partition })
        }
    }

    /// The error, if it is one about a kafka_partition.
    pub(crate) fn error(&self) -> Option<PartitionError> {
        let code = self.code();
        if code == 0 {
            return None;
        }
        // SAFETY: we own the message; the text is null or terminated and lives as long.
        let text = unsafe { owned_text(rdsys::rd_kafka_message_errstr(self.0)) };
        let detail = if text.is_empty() { format!("error code {code}") } else { text };
        Some(PartitionError { partition: self.partition()?, kind: PartitionErrorKind::of(code, &detail), detail })
    }

    /// The record, on loan from the message.
    pub(crate) fn record(&self) -> RawRecord<'_> {
        // SAFETY: we own the message, and the borrow outlives the record.
        unsafe { record(self.0, &mut (ptr::null_mut(), "")) }
    }

    fn into_raw(self) -> MessagePtr {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: we own the message, and free it once.
        unsafe { rdsys::rd_kafka_message_destroy(self.0) }
    }
}

/// Reads a message. `topic` remembers the last topic's name, as most neighbours share it.
///
/// # Safety
/// `message` is a live record that outlives `'a`.
unsafe fn record<'a>(message: MessagePtr, topic: &mut (*mut rdsys::rd_kafka_topic_t, &'a str)) -> RawRecord<'a> {
    // SAFETY: promised by the caller.
    let raw = unsafe { &*message };
    if topic.0 != raw.rkt {
        // SAFETY: a record always has a topic; its name lives as long as the message.
        let name = unsafe { CStr::from_ptr(rdsys::rd_kafka_topic_name(raw.rkt)) };
        *topic = (raw.rkt, name.to_str().unwrap_or_default());
    }
    let mut kind = rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is alive; `kind` is written by the call.
    let (timestamp, epoch) =
        unsafe { (rdsys::rd_kafka_message_timestamp(message, &raw mut kind), rdsys::rd_kafka_message_leader_epoch(message)) };
    let has_timestamp = kind != rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    RawRecord {
        topic: topic.1,
        kafka_partition: raw.partition,
        offset: raw.offset,
        timestamp_ms: if has_timestamp { timestamp } else { -1 },
        leader_epoch: (epoch >= 0).then_some(epoch),
        // SAFETY: both are null or as long as the message says, and live as long as it.
        key: unsafe { bytes(raw.key, raw.key_len) },
        // SAFETY: as above.
        value: unsafe { bytes(raw.payload, raw.len) },
        headers: Headers { message, lifetime: PhantomData },
    }
}

/// `None` for null.
///
/// # Safety
/// `start` is null or valid for `length` bytes during `'a`.
unsafe fn bytes<'a>(start: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: promised by the caller.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// The text of an error code.
pub(crate) fn code_text(code: RDKafkaRespErr) -> Cow<'static, str> {
    // SAFETY: the call returns a static text for every code.
    unsafe { CStr::from_ptr(rdsys::rd_kafka_err2str(code)) }.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_truncation_from_range() {
        let reset = RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32;
        let truncated = "Partition log truncation detected at offset 100 (leader epoch 0): broker end offset is 40 (offset leader epoch 0). \
                         Reset to INVALID.: Local: Partition log truncation detected (broker 1)";
        let range = "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)";
        assert_eq!(PartitionErrorKind::of(reset, truncated), PartitionErrorKind::LogTruncated);
        assert_eq!((truncated_to(truncated), truncated_to("Partition log truncation detected")), (Some(40), None));
        assert_eq!(PartitionErrorKind::of(reset, range), PartitionErrorKind::OffsetOutOfRange);
        assert_eq!(
            PartitionErrorKind::of(reset, "no previously committed offset available: Local: No offset stored"),
            PartitionErrorKind::Other
        );
        assert_eq!(PartitionErrorKind::of(1, range), PartitionErrorKind::Other);
    }

    #[test]
    fn no_headers_are_an_empty_list() {
        assert_eq!(Headers::none().to_vec(), []);
    }
}

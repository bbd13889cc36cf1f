//! Reads one kafka_partition between two offsets, without a group.
use std::{
    ptr,
    time::{Duration, Instant},
};

use rdkafka::{bindings as rdsys, consumer::Consumer, types::RDKafkaRespErr};

use crate::{
    Admin, KafkaIoError, OffsetQuery,
    batch::{Message, MessagePtr, PartitionErrorKind, RawRecord},
    config::KafkaConfig,
    partition::{TopicPartition, c_topic},
};

/// Messages taken at once.
const BATCH_RECORDS: usize = 2_000;
/// A read gives up when nothing at all arrives for this long.
const SILENCE: Duration = Duration::from_secs(60);
const TAKE_SLICE: Duration = Duration::from_millis(100);

/// Reads one kafka_partition from an offset to an end without a group (for `verify --kafka`, `inspect`).
#[derive(Debug)]
pub struct RangeReader {
    /// Asks for offsets, on a client of its own.
    admin: Admin,
    /// Reads. Its end-of-partition messages tell that absent offsets at the end were passed; this is safe here, as nothing is ever
    /// paused and no position is used.
    reader: Admin,
}

impl RangeReader {
    /// A client; connects when asked to read.
    ///
    /// # Errors
    /// [`KafkaIoError::Misconfigured`] for properties that librdkafka refuses.
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaIoError> {
        let reader = Admin::with_properties(config, &[("enable.partition.eof", "true")])?;
        Ok(Self { admin: Admin::new(config)?, reader })
    }

    /// Calls `each` for every record in `[start, end)` (read_committed); `each` is not called for absent offsets.
    ///
    /// # Errors
    /// [`KafkaIoError::OffsetOutOfRange`] if the broker does not have the whole range: retention passed `start`, or `end` is beyond the
    /// last stable offset. [`KafkaIoError::Unavailable`] if nothing arrives for a minute. `each` may have been called before an error.
    pub fn read(
        &mut self,
        partition: &TopicPartition,
        start: i64,
        end: i64,
        each: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<(), KafkaIoError> {
        self.read_batches(partition, start, end, &mut |records| records.iter().for_each(|record| each(*record)))
    }

    /// As [`RangeReader::read`], with all records at once that the client has: `each` gets them in order.
    ///
    /// # Errors
    /// As [`RangeReader::read`].
    pub fn read_batches(
        &mut self,
        partition: &TopicPartition,
        start: i64,
        end: i64,
        each: &mut dyn FnMut(&[RawRecord<'_>]),
    ) -> Result<(), KafkaIoError> {
        if start >= end {
            return Ok(());
        }
        self.check_range(partition, start, end)?;
        self.reader.serve();
        let fetch = Fetch::start(&self.reader, partition, start)?;
        let mut room = vec![ptr::null_mut(); BATCH_RECORDS];
        let mut heard = Instant::now();
        loop {
            let taken = fetch.take(&mut room);
            if taken > 0 {
                heard = Instant::now();
            } else if heard.elapsed() >= SILENCE {
                let detail = format!("nothing arrived for {} s", SILENCE.as_secs());
                return Err(KafkaIoError::Unavailable { operation: "read a range", detail });
            }
            // SAFETY: the call filled these slots with messages of ours, each taken over once.
            let messages: Vec<Message> = room[..taken].iter().map(|raw| unsafe { Message::take_over(*raw) }).collect();
            let mut records = Vec::with_capacity(messages.len());
            let ended =
                messages.iter().map(|message| deliver(message, partition, end, &mut records)).find(|outcome| !matches!(outcome, Ok(false)));
            each(&records);
            if let Some(outcome) = ended {
                return outcome.map(drop);
            }
        }
    }

    fn check_range(&self, partition: &TopicPartition, start: i64, end: i64) -> Result<(), KafkaIoError> {
        let index = usize::try_from(partition.kafka_partition).unwrap_or(0);
        let of = |query| -> Result<i64, KafkaIoError> {
            let offsets = self.admin.offsets(&partition.topic, partition.kafka_partition + 1, query)?;
            offsets.get(index).copied().ok_or_else(|| KafkaIoError::UnknownTopic { topic: partition.topic.clone() })
        };
        let (low, stable) = (of(OffsetQuery::Earliest)?, of(OffsetQuery::LastStable)?);
        if start < low {
            return Err(out_of_range(partition, start, format!("the broker starts at `{low}`")));
        }
        if end > stable {
            return Err(out_of_range(partition, end - 1, format!("committed records end at `{stable}`")));
        }
        Ok(())
    }
}

/// Returns whether the end was reached.
fn deliver<'a>(message: &'a Message, partition: &TopicPartition, end: i64, records: &mut Vec<RawRecord<'a>>) -> Result<bool, KafkaIoError> {
    let code = message.code();
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF as i32 {
        // The end of partition is the last stable offset, and that is not below `end`.
        return Ok(message.offset() >= end);
    }
    if code != 0 {
        let detail = message.error().map_or_else(|| format!("error code {code}"), |error| error.detail);
        return Err(match PartitionErrorKind::of(code, &detail) {
            PartitionErrorKind::Other => KafkaIoError::Unavailable { operation: "read a range", detail },
            PartitionErrorKind::OffsetOutOfRange | PartitionErrorKind::LogTruncated => out_of_range(partition, message.offset(), detail),
        });
    }
    if message.offset() >= end {
        return Ok(true);
    }
    records.push(message.record());
    Ok(message.offset() + 1 == end)
}

fn out_of_range(partition: &TopicPartition, offset: i64, detail: String) -> KafkaIoError {
    KafkaIoError::OffsetOutOfRange { topic: partition.topic.clone(), kafka_partition: partition.kafka_partition, offset, detail }
}

/// A running fetch of one kafka_partition; stops on drop.
struct Fetch<'a> {
    topic: *mut rdsys::rd_kafka_topic_t,
    kafka_partition: i32,
    client: &'a Admin,
}

impl<'a> Fetch<'a> {
    fn start(client: &'a Admin, partition: &TopicPartition, start: i64) -> Result<Self, KafkaIoError> {
        let name = c_topic(&partition.topic);
        let native = client.client.client().native_ptr();
        // SAFETY: the client is alive as long as the fetch; the topic object is freed on drop.
        let topic = unsafe { rdsys::rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(KafkaIoError::UnknownTopic { topic: partition.topic.clone() });
        }
        let fetch = Self { topic, kafka_partition: partition.kafka_partition, client };
        // SAFETY: the topic object is alive; nothing else reads this kafka_partition with this client.
        if unsafe { rdsys::rd_kafka_consume_start(topic, partition.kafka_partition, start) } != 0 {
            // SAFETY: only reads the error number of this thread.
            let code = unsafe { rdsys::rd_kafka_last_error() };
            let detail = crate::batch::code_text(code).into_owned();
            return Err(KafkaIoError::from_code("read a range", code.into(), detail, Some(&partition.topic)));
        }
        Ok(fetch)
    }

    fn take(&self, room: &mut [MessagePtr]) -> usize {
        self.client.serve();
        let timeout_ms = i32::try_from(TAKE_SLICE.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the topic object is alive, `room` is writable for its whole length, and one thread takes.
        let taken = unsafe { rdsys::rd_kafka_consume_batch(self.topic, self.kafka_partition, timeout_ms, room.as_mut_ptr(), room.len()) };
        usize::try_from(taken).unwrap_or(0)
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        // SAFETY: the topic object is alive until here and freed once; stopping what never started is an error that harms nothing.
        unsafe {
            rdsys::rd_kafka_consume_stop(self.topic, self.kafka_partition);
            rdsys::rd_kafka_topic_destroy(self.topic);
        }
    }
}

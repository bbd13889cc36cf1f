//! A kafka_partition on the wire, and librdkafka's lists of them.
use std::ffi::{CStr, CString};

use rdkafka::{Offset, TopicPartitionList, bindings as rdsys};

/// A kafka_partition of a topic on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: String,
    /// Number of the kafka_partition.
    pub kafka_partition: i32,
}

/// Where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartAt {
    /// First offset to deliver.
    pub offset: i64,
    /// Leader epoch of the record before it, so that the broker can notice a truncated log.
    pub leader_epoch: Option<i32>,
}

/// The topic as a C string. Names with a NUL byte do not exist in Kafka; such a name becomes the empty one, which no broker knows.
pub(crate) fn c_topic(topic: &str) -> CString {
    CString::new(topic).unwrap_or_default()
}

/// A text of librdkafka as an owned string; null becomes the empty one.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives during the call.
pub(crate) unsafe fn owned_text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises a terminated string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The kafka_partitions of a list.
pub(crate) fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let of = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| TopicPartition {
        topic: element.topic().to_owned(),
        kafka_partition: element.partition(),
    };
    list.elements().iter().map(of).collect()
}

/// A list without offsets.
pub(crate) fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.kafka_partition);
    }
    list
}

/// A list with offsets; a negative offset is left out, since librdkafka would read it as "stored" or "end".
pub(crate) fn list_with_offsets(offsets: &[(TopicPartition, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets.iter().filter(|(_, offset)| *offset >= 0) {
        list.add_partition_offset(&partition.topic, partition.kafka_partition, Offset::Offset(*offset))
            .expect("a plain offset that is not negative can be represented");
    }
    list
}

/// A list with start offsets and leader epochs, for assign.
pub(crate) fn list_with_starts(starts: &[(TopicPartition, StartAt)]) -> TopicPartitionList {
    let offsets: Vec<_> = starts.iter().map(|(partition, start)| (partition.clone(), start.offset)).collect();
    let list = list_with_offsets(&offsets);
    for (partition, start) in starts {
        let (Some(epoch), true) = (start.leader_epoch, start.offset >= 0) else { continue };
        let topic = c_topic(&partition.topic);
        // SAFETY: the list is alive and ours; `find` returns null or an element inside it, which nobody else touches.
        unsafe {
            let element = rdsys::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition.kafka_partition);
            if !element.is_null() {
                rdsys::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), kafka_partition: number }
    }

    #[test]
    fn starts_carry_offset_and_epoch_and_never_a_logical_offset() {
        let starts = [
            (partition(0), StartAt { offset: 7, leader_epoch: Some(3) }),
            (partition(1), StartAt { offset: -1, leader_epoch: Some(3) }),
            (partition(2), StartAt { offset: 0, leader_epoch: None }),
        ];
        let list = list_with_starts(&starts);
        assert_eq!(partitions_of(&list), [partition(0), partition(2)]);
        assert_eq!(list.elements()[0].offset(), Offset::Offset(7));
        let epoch = |index: usize| {
            // SAFETY: the list has two elements and lives until the end of the test.
            unsafe { rdsys::rd_kafka_topic_partition_get_leader_epoch((*list.ptr()).elems.add(index)) }
        };
        assert_eq!((epoch(0), epoch(1)), (3, -1));
    }
}

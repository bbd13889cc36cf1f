//! The own queue that assigned kafka_partitions are forwarded to.
use std::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
    time::Duration,
};

use rdkafka::bindings as rdsys;

use crate::{batch::MessagePtr, partition::TopicPartition, partition::c_topic};

/// A queue made by `rd_kafka_queue_new`.
///
/// Batch calls must never see the consumer's main queue (there librdkafka would answer a rebalance by giving up the assignment), so
/// records get a queue of their own. It must be destroyed before the client: destroying a client waits for its queues.
#[derive(Debug)]
pub(crate) struct RecordQueue {
    client: *mut rdsys::rd_kafka_t,
    /// Null once destroyed.
    queue: AtomicPtr<rdsys::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's clients and queues are thread-safe. The one rule, that only one thread at a time makes batch calls on a consumer,
// is kept by `BatchConsumer::take`, which needs `&mut`.
unsafe impl Send for RecordQueue {}
// SAFETY: as above.
unsafe impl Sync for RecordQueue {}

impl RecordQueue {
    /// A new queue of this client.
    ///
    /// # Safety
    /// `client` is alive, and outlives the queue.
    pub(crate) unsafe fn new(client: *mut rdsys::rd_kafka_t) -> Self {
        // SAFETY: the caller promises a live client; the call never fails but for lack of memory.
        let queue = unsafe { rdsys::rd_kafka_queue_new(client) };
        assert!(!queue.is_null(), "rd_kafka_queue_new returns a queue");
        Self { client, queue: AtomicPtr::new(queue) }
    }

    /// Sends what is fetched of this kafka_partition here. Idempotent: what has arrived before the forward is moved.
    pub(crate) fn forward(&self, partition: &TopicPartition) {
        let Some(queue) = self.alive() else { return };
        let topic = c_topic(&partition.topic);
        // SAFETY: client and queue are alive (see `new`); `get_partition` gives null or a reference that we give back.
        unsafe {
            let source = rdsys::rd_kafka_queue_get_partition(self.client, topic.as_ptr(), partition.kafka_partition);
            if !source.is_null() {
                rdsys::rd_kafka_queue_forward(source, queue);
                rdsys::rd_kafka_queue_destroy(source);
            }
        }
    }

    /// Makes a batch call that waits return; if none waits, the next one returns early.
    pub(crate) fn wake(&self) {
        if let Some(queue) = self.alive() {
            // SAFETY: the queue is alive.
            unsafe { rdsys::rd_kafka_queue_yield(queue) }
        }
    }

    /// Moves at most `room.len()` messages into `room`; waits for the first at most `timeout`, for the others not at all.
    /// Returns how many. To be called by one thread at a time.
    pub(crate) fn take(&self, room: &mut [MessagePtr], timeout: Duration) -> usize {
        let Some((first, rest)) = room.split_first_mut() else { return 0 };
        // A batch call waits for its whole time-out unless the room is full, hence one call for the first and one for the rest.
        if self.batch_call(std::slice::from_mut(first), timeout) == 0 {
            return 0;
        }
        1 + if rest.is_empty() { 0 } else { self.batch_call(rest, Duration::ZERO) }
    }

    fn batch_call(&self, room: &mut [MessagePtr], timeout: Duration) -> usize {
        let Some(queue) = self.alive() else { return 0 };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, `room` is writable for its whole length, and only one thread takes at a time.
        let taken = unsafe { rdsys::rd_kafka_consume_batch_queue(queue, timeout_ms, room.as_mut_ptr(), room.len()) };
        usize::try_from(taken).unwrap_or(0)
    }

    /// Frees the queue with what is in it; later calls do nothing.
    ///
    /// # Safety
    /// No other call on the queue is running.
    pub(crate) unsafe fn destroy(&self) {
        let queue = self.queue.swap(ptr::null_mut(), Ordering::SeqCst);
        if !queue.is_null() {
            // SAFETY: alive until now, and nobody uses it any more.
            unsafe { rdsys::rd_kafka_queue_destroy(queue) };
        }
    }

    fn alive(&self) -> Option<*mut rdsys::rd_kafka_queue_t> {
        let queue = self.queue.load(Ordering::SeqCst);
        (!queue.is_null()).then_some(queue)
    }
}

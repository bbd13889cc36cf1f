//! A group member that takes records in batches.
use std::{
    collections::HashSet,
    fmt, ptr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, bindings as rdsys,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use crate::{
    KafkaIoError,
    batch::{Batch, Message, MessagePtr},
    config::{ConsumerOptions, KafkaConfig},
    context::{EVENT_QUEUE, FORWARD_INTERVAL, GroupContext, GroupEvent},
    ownership::{Ownership, State},
    partition::{StartAt, TopicPartition, c_topic, list_of, list_with_offsets, list_with_starts},
    queue::RecordQueue,
    validation::check_epochs,
};

/// The poll thread looks at the closing flag at least this often.
const POLL_SLICE: Duration = Duration::from_millis(50);
/// librdkafka's default of `max.poll.interval.ms`.
const DEFAULT_MAX_POLL_INTERVAL_MS: u64 = 300_000;
/// `close` waits this long; after it a thread of its own goes on closing, so that nobody hangs on an unreachable coordinator.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// A stopping fetcher answers within milliseconds; after this the regular renewal of forwards makes good what was missed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A group member that takes batches from one own queue (never the main queue), with a poll thread for group events.
///
/// One thread takes; the owner answers each [`GroupEvent`], on the same thread or another.
pub struct BatchConsumer {
    /// `None` once closed.
    shared: Option<Arc<Shared>>,
    poller: Option<JoinHandle<()>>,
    room: Vec<MessagePtr>,
}

// SAFETY: `room` holds no message between calls; everything else is thread-safe.
unsafe impl Send for BatchConsumer {}
// SAFETY: as above, and `room` is reached through `&mut` only.
unsafe impl Sync for BatchConsumer {}

impl fmt::Debug for BatchConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchConsumer").finish_non_exhaustive()
    }
}

impl BatchConsumer {
    /// Joins the group. Events arrive on the receiver; when it is dropped, new kafka_partitions are not read and revocations do not wait.
    ///
    /// # Errors
    /// [`KafkaIoError::Misconfigured`] for properties that librdkafka refuses. An unreachable broker is no error: it is tried for ever.
    pub fn start(config: &KafkaConfig, options: ConsumerOptions) -> Result<(Self, mpsc::Receiver<GroupEvent>), KafkaIoError> {
        let client = config.member(&options);
        let interval = client.get("max.poll.interval.ms").and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_MAX_POLL_INTERVAL_MS);
        let (events, receiver) = mpsc::sync_channel(EVENT_QUEUE);
        let context = GroupContext::new(events, Duration::from_millis(interval) * 4 / 5);
        let failed = |error: KafkaError| KafkaIoError::from_kafka("join the group", &error);
        let consumer: BaseConsumer<GroupContext> = client.create_with_context(context).map_err(failed)?;
        // SAFETY: `Shared` destroys the queue before the client.
        let queue = unsafe { RecordQueue::new(consumer.client().native_ptr()) };
        let shared = Arc::new(Shared { consumer });
        shared.context().queue.set(queue).expect("a new context has no queue");
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        shared.consumer.subscribe(&topics).map_err(failed)?;
        let polled = Arc::clone(&shared);
        let poller = thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || polled.poll_group())
            .map_err(|error| KafkaIoError::Unavailable { operation: "start the poll thread", detail: error.to_string() })?;
        Ok((Self { shared: Some(shared), poller: Some(poller), room: Vec::new() }, receiver))
    }

    /// At most `max_records`, waiting at most `timeout` for the first. It may return early and empty.
    ///
    /// What it returns may be of a kafka_partition that was revoked meanwhile (drop it), and may repeat records below your next offset
    /// after a rebalance (drop them). A jump upwards means absent offsets: compacted, aborted, markers.
    pub fn take(&mut self, max_records: usize, timeout: Duration) -> Batch {
        self.room.resize(max_records.max(1), ptr::null_mut());
        let shared = self.shared.as_ref().expect("only closing takes it");
        let context = shared.context();
        let mut batch = Batch::new(Some(Arc::clone(shared)), context.take_strays());
        let room = &mut self.room;
        // Sorted out inside the gate: a message of a stopped kafka_partition must not outlive its assignment unnoticed.
        context.gate.take(|| {
            let taken = context.queue().take(room, timeout);
            batch.reserve(taken);
            let mut stopped = context.ownership().stopped();
            for raw in &room[..taken] {
                // SAFETY: the batch call filled this slot with a message of ours, taken over once.
                let message = unsafe { Message::take_over(*raw) };
                sort_out(message, &mut batch, &mut stopped, context);
            }
        });
        batch
    }

    /// Next offset that librdkafka would deliver to `take`: counts markers and aborted data that were passed. `None` for a kafka_partition
    /// that this member does not read.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let shared = self.shared();
        let Some(State::Reading { start }) = shared.context().ownership().state(partition) else { return None };
        Some(shared.position(partition).unwrap_or(start))
    }

    /// Cached (low, high) watermark offsets; high is the log end, also under read_committed. No network. `None`: not known yet.
    pub fn watermark_offsets(&self, partition: &TopicPartition) -> Option<(i64, i64)> {
        let (mut low, mut high) = (-1, -1);
        let topic = c_topic(&partition.topic);
        let client = self.shared().consumer.client().native_ptr();
        // SAFETY: the client is alive, the topic is terminated, and both results are ours.
        let outcome = unsafe {
            rdsys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition.kafka_partition, &raw mut low, &raw mut high)
        };
        (outcome == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && low >= 0 && high >= 0).then_some((low, high))
    }

    /// Unassigns and assigns one kafka_partition again at an offset: after a [`crate::PartitionError`], after a fence, or for one that got
    /// no start when it was assigned. Batches taken before belong to the old assignment.
    ///
    /// # Errors
    /// [`KafkaIoError::NotAssigned`] if the group has taken it away; [`KafkaIoError::Unavailable`] if it did not start (then try again).
    pub fn reassign(&self, partition: &TopicPartition, start: StartAt) -> Result<(), KafkaIoError> {
        let shared = self.shared();
        let not_assigned = || KafkaIoError::NotAssigned { topic: partition.topic.clone(), kafka_partition: partition.kafka_partition };
        if start.offset < 0 {
            let detail = format!("start offset `{}` is negative", start.offset);
            return Err(KafkaIoError::Misconfigured { operation: "assign a kafka_partition", detail });
        }
        shared.context().change(|ownership| {
            let failed = |error: KafkaError| KafkaIoError::from_kafka("assign a kafka_partition", &error);
            if ownership.state(partition).ok_or_else(not_assigned)? != State::Waiting {
                shared.stop_reading(partition, ownership)?;
            }
            shared.context().queue().forward(partition);
            let starts = [(partition.clone(), start)];
            shared.consumer.incremental_assign(&list_with_starts(&starts)).map_err(failed)?;
            ownership.set(partition, State::Reading { start: start.offset });
            if !check_epochs(&shared.consumer, &starts).is_empty() {
                ownership.set(partition, State::Stopped);
                let detail = "the leader epoch of the start offset could not be checked".to_owned();
                return Err(KafkaIoError::Unavailable { operation: "assign a kafka_partition", detail });
            }
            Ok(())
        })
    }

    /// Stops reading one kafka_partition until [`Self::reassign`]. What was fetched of it and not taken is dropped, so that it takes no
    /// memory meanwhile. Nothing is done for one that is not read.
    ///
    /// # Errors
    /// [`KafkaIoError::Unavailable`] if the client refuses; it is read on.
    pub fn suspend(&self, partition: &TopicPartition) -> Result<(), KafkaIoError> {
        let shared = self.shared();
        shared.context().change(|ownership| match ownership.state(partition) {
            None | Some(State::Waiting) => Ok(()),
            Some(State::Reading { .. } | State::Stopped) => shared.stop_reading(partition, ownership),
        })
    }

    /// Commits group offsets, advisory, without waiting. Failures are logged only.
    pub fn commit_offsets(&self, offsets: &[(TopicPartition, i64)]) {
        let list = list_with_offsets(offsets);
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.shared().consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "advisory commit of group offsets failed");
        }
    }

    /// Commits group offsets and waits for the coordinator's answer, at most `timeout`. For the last commit before [`Self::close`], which does not
    /// wait for commits under way.
    pub fn commit_offsets_and_wait(&self, offsets: &[(TopicPartition, i64)], timeout: Duration) {
        let list = list_with_offsets(offsets);
        if list.count() == 0 {
            return;
        }
        let client = self.shared().consumer.client().native_ptr();
        let wait_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: client and list are alive; the queue is ours, and librdkafka keeps its own reference while the answer is under way. Without a
        // callback the answer comes as an event, which is null after the time-out and ours to free.
        unsafe {
            let queue = rdsys::rd_kafka_queue_new(client);
            rdsys::rd_kafka_commit_queue(client, list.ptr(), queue, None, ptr::null_mut());
            let answer = rdsys::rd_kafka_queue_poll(queue, wait_ms);
            if answer.is_null() {
                tracing::debug!(wait_ms, "no answer to the last commit of group offsets");
            } else {
                rdsys::rd_kafka_event_destroy(answer);
            }
            rdsys::rd_kafka_queue_destroy(queue);
        }
    }

    /// Leaves without LeaveGroup (static member) and frees everything in the right order. Revocations are not announced.
    pub fn close(mut self) {
        self.shut();
    }

    fn shut(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        shared.context().begin_close();
        if let Some(poller) = self.poller.take() {
            // It panics only for a bug, which its own message tells.
            let _ = poller.join();
        }
        if !shared.close(Some(CLOSE_TIMEOUT)) {
            tracing::warn!("the group coordinator does not answer, closing goes on in the background");
            let finish = move || {
                shared.close(None);
            };
            // Without a thread the client is left to the end of the process.
            let _ = thread::Builder::new().name("kafka-close".to_owned()).spawn(finish);
        }
    }

    fn shared(&self) -> &Shared {
        self.shared.as_ref().expect("only closing takes it")
    }
}

impl Drop for BatchConsumer {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Puts a message where it belongs: a record into the batch, an error to the errors, the rest of a stopped kafka_partition nowhere.
fn sort_out(message: Message, batch: &mut Batch, stopped: &mut HashSet<TopicPartition>, context: &GroupContext) {
    if message.code() != 0 {
        if let Some(error) = message.error() {
            if stopped.contains(&error.partition) {
                return;
            }
            *stopped = context.stop(&error.partition);
            batch.push_error(error);
        }
    } else if stopped.is_empty() || message.partition().is_none_or(|partition| !stopped.contains(&partition)) {
        batch.push(message);
    }
}

/// The client; batches hold it too, so it goes when the last of them goes.
pub(crate) struct Shared {
    consumer: BaseConsumer<GroupContext>,
}

impl Shared {
    fn context(&self) -> &GroupContext {
        self.consumer.context()
    }

    /// Body of the poll thread: rebalances, errors, logs, and the renewal of forwards.
    fn poll_group(&self) {
        let context = self.context();
        let mut forwarded = Instant::now();
        while !context.is_closing() {
            match self.consumer.poll(POLL_SLICE) {
                None => {}
                Some(Ok(stray)) => {
                    let partition = TopicPartition { topic: stray.topic().to_owned(), kafka_partition: stray.partition() };
                    context.stray(partition, stray.offset());
                }
                Some(Err(error)) => context.report(&error, is_fatal(&error)),
            }
            if forwarded.elapsed() >= FORWARD_INTERVAL {
                context.forward_assigned();
                forwarded = Instant::now();
            }
        }
    }

    /// librdkafka's position; `None`: nothing was delivered since the assignment.
    fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let list = list_of(std::slice::from_ref(partition));
        // SAFETY: client and list are alive, and the list has exactly one element.
        let offset = unsafe {
            rdsys::rd_kafka_position(self.consumer.client().native_ptr(), list.ptr());
            (*(*list.ptr()).elems).offset
        };
        (offset >= 0).then_some(offset)
    }

    /// Unassigns one that is assigned: nothing that was fetched before is delivered after this.
    fn stop_reading(&self, partition: &TopicPartition, ownership: &mut Ownership) -> Result<(), KafkaIoError> {
        let failed = |error: KafkaError| KafkaIoError::from_kafka("unassign a kafka_partition", &error);
        let started = self.position(partition).is_some();
        self.consumer.incremental_unassign(&list_of(std::slice::from_ref(partition))).map_err(failed)?;
        ownership.set(partition, State::Waiting);
        if started {
            self.wait_until_stopped(partition);
        }
        Ok(())
    }

    /// A stopped fetcher forgets the position and clears the forward; a forward set before that would be lost.
    fn wait_until_stopped(&self, partition: &TopicPartition) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.position(partition).is_some() && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Closes the group membership and serves the callbacks that this takes. Returns whether it is closed. The order matters: the queue
    /// is destroyed after the last callback and before the client.
    fn close(&self, timeout: Option<Duration>) -> bool {
        self.context().begin_close();
        let started = Instant::now();
        // An error means that a fatal error ended the member already, or that it is closed.
        if self.consumer.closed() || self.consumer.close_queue().is_err() {
            return true;
        }
        while !self.consumer.closed() {
            if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return false;
            }
            let _ = self.consumer.poll(POLL_SLICE);
        }
        true
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close(None);
        if let Some(queue) = self.context().queue.get() {
            // SAFETY: this is the last owner, so nobody takes or forwards, and no callback comes after the close.
            unsafe { queue.destroy() };
        }
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_)) || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}

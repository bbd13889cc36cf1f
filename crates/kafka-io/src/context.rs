//! Group events: what librdkafka calls on the poll thread.
use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, TrySendError},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

use crate::{
    batch::{PartitionError, PartitionErrorKind},
    config::log,
    gate::Gate,
    ownership::{Ownership, State},
    partition::{StartAt, TopicPartition, list_of, list_with_starts, partitions_of},
    queue::RecordQueue,
    validation::check_epochs,
};

/// Events of group membership; the poll thread waits for each answer (bounded by `max.poll.interval.ms`), while `take` keeps
/// returning. librdkafka pauses all kafka_partitions of this member meanwhile, so answer soon.
#[derive(Debug)]
pub enum GroupEvent {
    /// Answer with the start of each: offset and last leader epoch from the log. A kafka_partition left out is not read until
    /// [`crate::BatchConsumer::reassign`]. No answer in time means none of them.
    Assigned {
        /// The new ones only.
        partitions: Vec<TopicPartition>,
        /// Takes the answer.
        starts: mpsc::SyncSender<Vec<(TopicPartition, StartAt)>>,
    },
    /// Commit what is buffered, then answer. After the answer no record of them is delivered.
    Revoked {
        /// Those that go.
        partitions: Vec<TopicPartition>,
        /// Others may own them already: drop the buffers.
        lost: bool,
        /// Takes the answer.
        done: mpsc::SyncSender<()>,
    },
    /// An error of the client.
    Error {
        /// librdkafka's text.
        detail: String,
        /// The member is of no use any more (another one with its instance id joined, for example): close it.
        fatal: bool,
    },
}

/// Events that wait for the owner. At most one of them waits for an answer; the others are errors, which are dropped when it is full.
pub(crate) const EVENT_QUEUE: usize = 64;
/// A wait looks at the closing flag this often.
const WAIT_SLICE: Duration = Duration::from_millis(20);
/// Forwards are renewed this often: a stopping fetcher clears the forward, possibly after it was set anew.
pub(crate) const FORWARD_INTERVAL: Duration = Duration::from_millis(250);

/// State shared by the poll thread and the taking thread.
pub(crate) struct GroupContext {
    events: mpsc::SyncSender<GroupEvent>,
    reply_timeout: Duration,
    pub(crate) queue: OnceLock<RecordQueue>,
    pub(crate) gate: Gate,
    ownership: Mutex<Ownership>,
    strays: Mutex<Vec<PartitionError>>,
    reason: Mutex<Option<String>>,
    closing: AtomicBool,
}

impl GroupContext {
    pub(crate) fn new(events: mpsc::SyncSender<GroupEvent>, reply_timeout: Duration) -> Self {
        Self {
            events,
            reply_timeout,
            queue: OnceLock::new(),
            gate: Gate::default(),
            ownership: Mutex::default(),
            strays: Mutex::default(),
            reason: Mutex::default(),
            closing: AtomicBool::new(false),
        }
    }

    /// From now on nothing is announced, and no wait goes on.
    pub(crate) fn begin_close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(crate) fn queue(&self) -> &RecordQueue {
        self.queue.get().expect("set before the subscription, so before any callback and any take")
    }

    /// To be held only around short calls, never while waiting for an answer.
    pub(crate) fn ownership(&self) -> MutexGuard<'_, Ownership> {
        self.ownership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the assignment while no batch call is inside.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Ownership) -> T) -> T {
        self.gate.change(|| self.queue().wake(), || change(&mut self.ownership()))
    }

    /// Sets all forwards again.
    pub(crate) fn forward_assigned(&self) {
        let ownership = self.ownership();
        for partition in ownership.assigned() {
            self.queue().forward(partition);
        }
    }

    /// A record came out of the main queue, so its kafka_partition was not forwarded and its position has moved: it must be assigned again.
    pub(crate) fn stray(&self, partition: TopicPartition, offset: i64) {
        self.ownership().set(&partition, State::Stopped);
        self.push_error(partition, format!("record at offset `{offset}` arrived outside the queue"));
    }

    fn push_error(&self, partition: TopicPartition, detail: String) {
        lock(&self.strays).push(PartitionError { partition, kind: PartitionErrorKind::Other, detail });
    }

    /// Errors noticed by the poll thread since the last call.
    pub(crate) fn take_strays(&self) -> Vec<PartitionError> {
        std::mem::take(&mut *lock(&self.strays))
    }

    /// Stops the delivery of one; returns all that are stopped.
    pub(crate) fn stop(&self, partition: &TopicPartition) -> HashSet<TopicPartition> {
        let mut ownership = self.ownership();
        ownership.set(partition, State::Stopped);
        ownership.stopped()
    }

    /// Tells the owner of an error; never waits.
    pub(crate) fn report(&self, error: &KafkaError, fatal: bool) {
        let reason = lock(&self.reason).take();
        self.send_error(reason.unwrap_or_else(|| error.to_string()), fatal);
    }

    fn send_error(&self, detail: String, fatal: bool) {
        if fatal {
            self.send(GroupEvent::Error { detail, fatal });
        } else if let Err(TrySendError::Full(event)) = self.events.try_send(GroupEvent::Error { detail, fatal }) {
            tracing::debug!(?event, "dropped a group event, as the owner does not take them");
        }
    }

    /// Waits while the owner's queue is full, at most as long as for an answer. Returns whether the event was sent.
    fn send(&self, event: GroupEvent) -> bool {
        let deadline = Instant::now() + self.reply_timeout;
        let mut event = event;
        loop {
            match self.events.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) if Instant::now() < deadline && !self.is_closing() => event = back,
                Err(_) => return false,
            }
            std::thread::park_timeout(WAIT_SLICE);
        }
    }

    /// `None`: no answer in time, or nobody to give one.
    fn wait_for<T>(&self, answer: &mpsc::Receiver<T>) -> Option<T> {
        let started = Instant::now();
        let mut forwarded = started;
        while !self.is_closing() && started.elapsed() < self.reply_timeout {
            match answer.recv_timeout(WAIT_SLICE) {
                Ok(value) => return Some(value),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if forwarded.elapsed() >= FORWARD_INTERVAL {
                self.forward_assigned();
                forwarded = Instant::now();
            }
        }
        None
    }

    fn ask_starts(&self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, StartAt)> {
        if partitions.is_empty() || self.is_closing() {
            return Vec::new();
        }
        let (starts, answer) = mpsc::sync_channel(1);
        let asked = self.send(GroupEvent::Assigned { partitions: partitions.to_vec(), starts });
        let Some(mut starts) = asked.then(|| self.wait_for(&answer)).flatten() else {
            if !self.is_closing() {
                self.send_error("no start offsets were given for new kafka_partitions, which are not read".to_owned(), false);
            }
            return Vec::new();
        };
        let mut open: HashSet<_> = partitions.iter().cloned().collect();
        starts.retain(|(partition, start)| start.offset >= 0 && open.remove(partition));
        starts
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) {
        self.ownership().grant(partitions);
        let starts = self.ask_starts(partitions);
        let outcome = self.change(|ownership| {
            for (partition, _) in &starts {
                self.queue().forward(partition);
            }
            let outcome = consumer.incremental_assign(&list_with_starts(&starts));
            if outcome.is_ok() {
                for (partition, start) in &starts {
                    ownership.set(partition, State::Reading { start: start.offset });
                }
                for partition in check_epochs(consumer, &starts) {
                    ownership.set(&partition, State::Stopped);
                    self.push_error(partition, "the leader epoch of the start offset could not be checked".to_owned());
                }
            } else {
                // The group waits for a call that succeeds.
                let _ = consumer.incremental_assign(&TopicPartitionList::new());
            }
            outcome
        });
        if let Err(error) = outcome {
            self.send_error(format!("assign failed, so the new kafka_partitions are not read: {error}"), false);
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) {
        let lost = consumer.assignment_lost();
        if !partitions.is_empty() && !self.is_closing() {
            let (done, answer) = mpsc::sync_channel(1);
            if self.send(GroupEvent::Revoked { partitions: partitions.to_vec(), lost, done }) {
                self.wait_for(&answer);
            }
        }
        let outcome = self.change(|ownership| consumer.incremental_unassign(&list_of(&ownership.revoke(partitions))));
        if let (Err(error), false) = (outcome, self.is_closing()) {
            self.send_error(format!("unassign failed: {error}"), false);
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    /// Keeps the text: rdkafka calls this just before the poll returns the bare code.
    fn error(&self, error: KafkaError, reason: &str) {
        *lock(&self.reason) = Some(format!("{error}: {reason}"));
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, &partitions);
        } else {
            self.revoke(consumer, &partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "advisory commit of group offsets failed");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

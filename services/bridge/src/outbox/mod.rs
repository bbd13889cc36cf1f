//! The way to Kafka that all intakes share: bounded, never waiting, and every record that was taken is settled once.
//!
//! ```text
//! intake ──submit──▶ queue (librdkafka) ──▶ Kafka, acks=all ──▶ settled(Stored)
//!                        │ the record's fault: too large, invalid
//!                        ├─▶ <topic>.refused ──▶ Kafka ──────▶ settled(Refused)
//!                        │ the topic's or the cluster's fault
//!                        └─▶ held per topic ──backoff──▶ queue again
//! ```
//! A record counts against `queue_bytes` from `submit` until it is settled, wherever it waits. Without time limit: what Kafka does not take
//! now is sent until it does, and its intake acknowledges nothing meanwhile.
mod held;
mod refusing;
#[cfg(test)]
mod tests;

use crate::{error::BridgeError, metrics::OutboxMetrics};
use event_schema::Refusal;
use held::Held;
use kafka_io::{Delivered, DeliveryFailure, DeliveryHandler, DeliveryProducer, Fault, KafkaConfig, NewRecord, NotSent, RecordRef};
use service_runtime::{fail_point, shutdown::Shutdown};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

/// What a record in the queue costs beside its bytes, so that small records count for what they take.
const RECORD_OVERHEAD_BYTES: u64 = 384;
/// Pauses between two tries for topics that Kafka takes nothing for.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// After so long without trouble the next one is news, and is tried again soon.
const NEW_TROUBLE_AFTER: Duration = Duration::from_secs(30);
/// Most that records of one topic may hold of the queue while Kafka takes nothing for it, as a share: others go on.
const HELD_SHARE: u64 = 4;
/// Room in librdkafka's bound of a message beside key and value, for headers.
const HEADER_ROOM_BYTES: u64 = 64 << 10;
/// librdkafka's own default of `message.max.bytes`.
const MIN_MESSAGE_BYTES: u64 = 1_000_000;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in its topic, on all replicas in sync.
    Stored(Delivered),
    /// Kafka does not accept this record; `<topic>.refused` has it, on all replicas in sync.
    Refused(Refusal),
}

/// Whoever waits for records.
pub trait Receipts: Send + Sync {
    /// Told once for each record that `submit` took. Called on the delivery thread: must not wait.
    fn settled(&self, token: u64, outcome: Outcome);
}

/// Who waits for a record, and what they know it by.
#[derive(Clone)]
pub struct Receipt {
    /// Whom to tell.
    pub to: Arc<dyn Receipts>,
    /// What to tell them.
    pub token: u64,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("token", &self.token).finish_non_exhaustive()
    }
}

/// What an outbox is made with.
#[derive(Clone, Debug)]
pub struct OutboxSettings {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// Bound of all records that are not settled.
    pub queue_bytes: u64,
    /// Largest record.
    pub max_record_bytes: u64,
    /// How long a record waits for others to be sent with.
    pub linger: Duration,
    /// Name of a topic's refused records: the topic's and this.
    pub refused_suffix: String,
    /// Further librdkafka properties, for tests.
    pub properties: Vec<(String, String)>,
}

/// The way to Kafka.
#[derive(Debug)]
pub struct Outbox {
    producer: DeliveryProducer<Deliveries>,
    deliveries: Arc<Deliveries>,
}

/// A record on its way, as librdkafka keeps it for us.
#[derive(Debug)]
pub(crate) struct Sent {
    receipt: Receipt,
    /// What it counts against the queue.
    bytes: u64,
    since: Instant,
    /// It is the refused record in place of one that Kafka does not accept.
    refusal: Option<Box<Refusal>>,
}

/// What the delivery thread knows.
struct Deliveries {
    settings: OutboxSettings,
    metrics: OutboxMetrics,
    records: AtomicU64,
    bytes: AtomicU64,
    /// Milliseconds from `began` to the last acknowledgement, or to when the queue was last empty.
    progress_ms: AtomicU64,
    began: Instant,
    held: Mutex<Held>,
    /// Whether `held` has any.
    holding: AtomicBool,
    /// How many `held` has.
    held_records: AtomicU64,
    /// Something was settled.
    room: Notify,
    /// Something is held.
    wake: Notify,
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, bytes) = (self.records.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        f.debug_struct("Deliveries").field("records", &records).field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl Outbox {
    /// An outbox; [`Outbox::resend`] must run beside it.
    ///
    /// # Errors
    /// The Kafka client refuses its settings.
    pub fn start(settings: OutboxSettings, metrics: OutboxMetrics) -> Result<Arc<Self>, BridgeError> {
        let message_bytes = MIN_MESSAGE_BYTES.max(settings.max_record_bytes + HEADER_ROOM_BYTES);
        let mut properties = vec![
            ("linger.ms".to_owned(), settings.linger.as_millis().to_string()),
            ("message.max.bytes".to_owned(), message_bytes.to_string()),
        ];
        properties.extend(settings.properties.iter().cloned());
        // Ours is the bound that counts.
        let client_bytes = settings.queue_bytes.saturating_mul(2);
        let kafka = settings.kafka.clone();
        let deliveries = Arc::new(Deliveries {
            settings,
            metrics,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            progress_ms: AtomicU64::new(0),
            began: Instant::now(),
            held: Mutex::default(),
            holding: AtomicBool::new(false),
            held_records: AtomicU64::new(0),
            room: Notify::new(),
            wake: Notify::new(),
        });
        let producer = DeliveryProducer::start(&kafka, client_bytes, &properties, Arc::clone(&deliveries))?;
        Ok(Arc::new(Self { producer, deliveries }))
    }

    /// Takes a copy of the record, which will be settled; never waits.
    ///
    /// # Errors
    /// There is no room: the receipt comes back, and nothing follows.
    pub fn submit(&self, record: &RecordRef<'_>, receipt: Receipt) -> Result<(), Receipt> {
        let deliveries = &self.deliveries;
        let bytes = record.bytes() as u64 + RECORD_OVERHEAD_BYTES;
        if !deliveries.reserve(bytes) {
            return Err(receipt);
        }
        let sent = Sent { receipt, bytes, since: Instant::now(), refusal: None };
        if deliveries.holding.load(Ordering::Acquire) {
            return self.submit_held(record, sent);
        }
        match self.send(record, sent) {
            Ok(()) => Ok(()),
            Err(sent) => Err(deliveries.give_back(sent)),
        }
    }

    /// Into the client's queue. `Err`: full.
    fn send(&self, record: &RecordRef<'_>, sent: Sent) -> Result<(), Sent> {
        fail_point!("bridge-before-produce");
        let tried = self.producer.try_send(record, sent);
        fail_point!("bridge-after-produce");
        match tried {
            Ok(()) => Ok(()),
            Err(NotSent::Full(sent)) => Err(sent),
            Err(NotSent::Failed { receipt, error, fault }) => {
                self.deliveries.failed(receipt, DeliveryFailure { error, fault, record: record.to_new() });
                Ok(())
            }
        }
    }

    /// Behind the records of its topic that are held, if there are any.
    fn submit_held(&self, record: &RecordRef<'_>, sent: Sent) -> Result<(), Receipt> {
        let deliveries = &self.deliveries;
        let mut held = deliveries.lock_held();
        match held.bytes(record.topic) {
            Some(bytes) if bytes >= deliveries.settings.queue_bytes / HELD_SHARE => {
                drop(held);
                Err(deliveries.give_back(sent))
            }
            Some(_) => {
                held.push(record.to_new(), sent);
                deliveries.held_records.fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            None => {
                drop(held);
                self.send(record, sent).map_err(|sent| deliveries.give_back(sent))
            }
        }
    }

    /// Whether the queue has room now.
    pub fn has_room(&self) -> bool {
        self.deliveries.bytes.load(Ordering::Relaxed) < self.deliveries.settings.queue_bytes
    }

    /// Resolves when the queue has room, or something was settled.
    pub async fn room(&self) {
        let mut settled = std::pin::pin!(self.deliveries.room.notified());
        settled.as_mut().enable();
        if !self.has_room() {
            settled.await;
        }
    }

    /// Time without any acknowledgement while records wait for one; `None`: none wait, but for those of topics that Kafka takes nothing for, which
    /// say nothing of the others.
    pub fn stalled_for(&self) -> Option<Duration> {
        let deliveries = &self.deliveries;
        if deliveries.records.load(Ordering::Acquire) <= deliveries.held_records.load(Ordering::Acquire) {
            return None;
        }
        let progress = Duration::from_millis(deliveries.progress_ms.load(Ordering::Acquire));
        Some(deliveries.began.elapsed().saturating_sub(progress))
    }

    /// Why Kafka takes nothing for this topic, if it does not.
    pub fn blocked(&self, topic: &str) -> Option<String> {
        if !self.deliveries.holding.load(Ordering::Acquire) {
            return None;
        }
        self.deliveries.lock_held().why(topic)
    }

    /// Topics that Kafka takes nothing for, with the reason.
    pub fn all_blocked(&self) -> Vec<(String, String)> {
        self.deliveries.lock_held().all()
    }

    /// Records that are not settled.
    pub fn unsettled(&self) -> u64 {
        self.deliveries.records.load(Ordering::Acquire)
    }

    /// Waits until all are settled; false: they are not after so long.
    pub async fn drained(&self, longest: Duration) -> bool {
        let settled = async {
            while self.unsettled() > 0 {
                let mut settled = std::pin::pin!(self.deliveries.room.notified());
                settled.as_mut().enable();
                if self.unsettled() > 0 {
                    settled.await;
                }
            }
        };
        timeout(longest, settled).await.is_ok()
    }

    /// Sends again what is held, with backoff, and shows the queue in metrics, until shutdown.
    pub async fn resend(&self, shutdown: &Shutdown) {
        let mut backoff = FIRST_BACKOFF;
        let mut last_round: Option<Instant> = None;
        loop {
            let idle = async {
                self.deliveries.wake.notified().await;
                sleep(backoff).await;
            };
            tokio::select! {
                () = idle => {}
                () = shutdown.triggered() => return,
            }
            let is_new = last_round.is_none_or(|last| last.elapsed() > NEW_TROUBLE_AFTER);
            backoff = if is_new { FIRST_BACKOFF } else { (backoff * 2).min(LONGEST_BACKOFF) };
            last_round = Some(Instant::now());
            self.resend_once(is_new);
        }
    }

    /// One round for each topic that is held.
    fn resend_once(&self, is_new: bool) {
        let round = {
            let mut held = self.deliveries.lock_held();
            if is_new {
                held.forget_tries();
            }
            let round = held.take();
            self.deliveries.holding.store(false, Ordering::Release);
            let before = self.deliveries.held_records.swap(0, Ordering::AcqRel);
            // Only these wait, and they are tried now: without an answer for long enough from now on, that is a stall.
            if self.deliveries.records.load(Ordering::Acquire) <= before {
                self.deliveries.progressed();
            }
            round
        };
        for (record, sent) in round {
            if let Err(sent) = self.send(&record.as_record(), sent) {
                self.deliveries.hold(record, sent, None);
            }
        }
    }
}

impl Deliveries {
    fn lock_held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for so much; then it is taken.
    fn reserve(&self, bytes: u64) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        // An empty queue takes a record of any size, so that a large one is not refused for ever.
        if before > 0 && before + bytes > self.settings.queue_bytes {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.metrics.full();
            return false;
        }
        if self.records.fetch_add(1, Ordering::AcqRel) == 0 {
            self.progressed();
        }
        self.metrics.waiting(before + bytes);
        true
    }

    fn give_back(&self, sent: Sent) -> Receipt {
        self.release(sent.bytes);
        self.metrics.full();
        sent.receipt
    }

    fn release(&self, bytes: u64) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.metrics.waiting(before.saturating_sub(bytes));
        self.records.fetch_sub(1, Ordering::AcqRel);
        self.room.notify_waiters();
    }

    fn progressed(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress_ms.store(now, Ordering::Release);
    }

    /// Keeps a record until its topic takes records again. `why`: what is wrong with the topic, if something is.
    fn hold(&self, record: NewRecord, sent: Sent, why: Option<String>) {
        let mut held = self.lock_held();
        if let Some(why) = why
            && held.begin(&record.topic, &why)
        {
            tracing::warn!(topic = record.topic, why, "kafka takes no records for a topic, they are held and sent again");
        }
        held.push(record, sent);
        self.held_records.fetch_add(1, Ordering::AcqRel);
        self.holding.store(true, Ordering::Release);
        drop(held);
        self.wake.notify_one();
    }
}

impl DeliveryHandler for Deliveries {
    type Receipt = Sent;

    fn delivered(&self, sent: Sent, at: Delivered) {
        fail_point!("bridge-before-kafka-ack");
        self.progressed();
        self.metrics.acknowledged(sent.since.elapsed(), sent.refusal.is_some());
        let outcome = match sent.refusal {
            Some(refusal) => Outcome::Refused(*refusal),
            None => Outcome::Stored(at),
        };
        sent.receipt.to.settled(sent.receipt.token, outcome);
        self.release(sent.bytes);
        fail_point!("bridge-after-kafka-ack");
    }

    fn failed(&self, sent: Sent, failure: DeliveryFailure) {
        let DeliveryFailure { error, fault, record } = failure;
        self.metrics.failed(fault);
        match fault {
            Fault::TooLarge | Fault::Record => {
                let (record, sent) = refusing::in_place_of(record, sent, fault, &error, &self.settings.refused_suffix);
                self.hold(record, sent, None);
            }
            Fault::Service => self.hold(record, sent, Some(error.to_string())),
        }
    }
}

//! One session: what was received on one connection to the broker, until the connection ends.
//!
//! ```text
//! broker ─▶ received ─▶ prepared ─▶ outbox ─▶ Kafka ─▶ settled ─▶ acknowledged, in the order of receipt
//!              └─ no room, no schema yet: parked, and all after it, so that the order stays
//! ```
//! The session never waits: it does what can be done and says when it wants to be asked again.
use super::{
    acks::{Acks, Received},
    adapter::{EndReason, Message, MqttHandle, SessionEnd},
    prepare::{Prepared, Preparer},
};
use crate::{
    metrics::MqttMetrics,
    outbox::{Outbox, Outcome, Receipt, Receipts},
};
use prometheus::IntGauge;
use service_runtime::{clock::Clock, fail_point};
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};
use tokio::sync::mpsc;

/// What a message costs beside its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// Bounds of what one session holds.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Bytes of messages that are not settled. Their number is not bounded: brokers send more than `receive_maximum` when they resume a session
    /// (Mosquitto 2.0 does), and a bridge that takes offence connects for ever.
    pub bytes: u64,
}

/// What a session works with.
pub struct SessionParts {
    /// The way to Kafka.
    pub outbox: Arc<Outbox>,
    /// Wall clock, for times of receipt and ages.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: MqttMetrics,
    /// Messages of this connection that are not acknowledged.
    pub unacknowledged: IntGauge,
    /// Bounds.
    pub limits: SessionLimits,
}

/// What a session is told of its records: token and outcome.
pub type Settled = (u64, Outcome);

/// State of a session.
pub struct Session {
    parts: SessionParts,
    preparer: Preparer,
    acks: Acks,
    /// Messages without a place in the outbox, in the order of receipt.
    parked: VecDeque<(u64, Message)>,
    receipts: Arc<dyn Receipts>,
    /// Why the first parked message waits, if for a schema.
    waits_for: Option<String>,
    /// Nothing is taken any more.
    draining: bool,
}

/// Tells the session of its records. It holds the sender of this session alone: when the session ends, nobody listens, so an outcome cannot
/// reach another session.
struct SessionReceipts(mpsc::UnboundedSender<Settled>);

impl Receipts for SessionReceipts {
    fn settled(&self, token: u64, outcome: Outcome) {
        // The session may have ended; the broker then sends the message again.
        let _ = self.0.send((token, outcome));
    }
}

impl Session {
    /// A session without messages, and where it is told what became of them: as many at most as it holds.
    pub fn new(parts: SessionParts, preparer: Preparer) -> (Self, mpsc::UnboundedReceiver<Settled>) {
        let (sender, settled) = mpsc::unbounded_channel();
        parts.unacknowledged.set(0);
        let session = Self {
            parts,
            preparer,
            acks: Acks::default(),
            parked: VecDeque::new(),
            receipts: Arc::new(SessionReceipts(sender)),
            waits_for: None,
            draining: false,
        };
        (session, settled)
    }

    /// A message from the broker.
    ///
    /// # Errors
    /// The broker sent more than the session can hold: it must end, and the broker sends what was not acknowledged again.
    pub fn receive(&mut self, message: Message) -> Result<(), SessionEnd> {
        fail_point!("bridge-before-receive");
        if self.draining {
            return Ok(());
        }
        let bytes = message.topic.len() + message.payload.len() + MESSAGE_OVERHEAD_BYTES;
        let is_full = self.acks.held_bytes() + bytes as u64 > self.parts.limits.bytes && !self.acks.is_empty();
        if is_full && message.packet_id.is_none() {
            self.parts.metrics.dropped();
            return Ok(());
        }
        if message.redelivered {
            self.parts.metrics.redelivered();
        }
        let token = match self.acks.received(message.packet_id, message.redelivered, fingerprint(&message), bytes) {
            Received::New(token) => token,
            Received::Again => return Ok(()),
        };
        if is_full {
            return Err(self.held_too_much());
        }
        self.parts.unacknowledged.inc();
        self.parked.push_back((token, message));
        fail_point!("bridge-after-receive");
        self.submit_parked();
        Ok(())
    }

    fn held_too_much(&self) -> SessionEnd {
        let (messages, bytes) = (self.acks.unacknowledged(), self.acks.held_bytes());
        let detail =
            format!("the broker sent {messages} messages with {bytes} bytes that are not acknowledged yet, more than the bridge holds");
        SessionEnd { reason: EndReason::HeldTooMuch, detail }
    }

    /// Gives parked messages their place in the outbox, as far as there is room.
    pub fn submit_parked(&mut self) {
        while let Some((token, message)) = self.parked.front() {
            let receipt = Receipt { to: Arc::clone(&self.receipts), token: *token };
            let now = self.parts.clock.now().0;
            let taken = match self.preparer.prepare(message, now.div_euclid(1_000)) {
                Prepared::Record { route, record, conflicts, sent_at } => {
                    let taken = self.parts.outbox.submit(&record, receipt).is_ok();
                    if taken {
                        route.metrics.received.inc();
                        route.metrics.accepted.inc();
                        if conflicts {
                            route.metrics.conflicts.inc();
                        }
                        if let Some(sent_at) = sent_at {
                            self.parts.metrics.age(now.saturating_sub(sent_at) as f64 / 1e6);
                        }
                    }
                    taken
                }
                Prepared::Refused { route, record, code } => {
                    let taken = self.parts.outbox.submit(&record.as_record(), receipt).is_ok();
                    if taken {
                        route.metrics.received.inc();
                        route.metrics.refused(code.as_str());
                        tracing::debug!(topic = record.topic, code = code.as_str(), "refused a message");
                    }
                    taken
                }
                Prepared::Wait { why } => {
                    if self.waits_for.as_ref() != Some(&why) {
                        tracing::info!(why, "messages wait for a schema");
                        self.waits_for = Some(why);
                    }
                    return;
                }
            };
            if !taken {
                return;
            }
            self.waits_for = None;
            self.parked.pop_front();
        }
    }

    /// Whether messages wait for room or a schema: then [`Session::submit_parked`] is to be called again soon.
    pub fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// A record is in Kafka, in its topic or in the refused one.
    pub fn settle(&mut self, (token, _): Settled) {
        self.acks.settled(token);
    }

    /// Acknowledges what is due, as far as there is room for requests. Returns whether some must wait for the next event.
    pub fn acknowledge(&mut self, handle: &impl MqttHandle) -> bool {
        while let Some(packet_id) = self.acks.due() {
            fail_point!("bridge-before-puback");
            if handle.acknowledge(packet_id).is_err() {
                return true;
            }
            self.acks.acknowledged();
        }
        self.parts.unacknowledged.set(i64::try_from(self.acks.len()).unwrap_or(i64::MAX));
        false
    }

    /// An acknowledgement was written to the broker.
    pub fn acknowledgement_sent(&self) {
        self.parts.metrics.acknowledged();
        fail_point!("bridge-after-puback");
    }

    /// From now on nothing is taken; what has no place in the outbox is left to the broker, which sends it again.
    pub fn drain(&mut self) {
        self.draining = true;
        self.parts.metrics.abandoned(self.parked.len());
        self.parked.clear();
    }

    /// Whether all that has a place in the outbox is acknowledged. `abandoned`: messages that were parked when draining began.
    pub fn is_drained(&self, abandoned: usize) -> bool {
        self.draining && self.acks.len() <= abandoned
    }

    /// Messages without a place in the outbox.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.parts.metrics.abandoned(self.parked.len());
        self.parts.unacknowledged.set(0);
    }
}

/// Tells messages apart that have the same packet id.
fn fingerprint(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.topic.hash(&mut hasher);
    message.payload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;

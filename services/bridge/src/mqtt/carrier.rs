//! What a connection does about each event, and how far it is: subscribing, carrying, draining, leaving.
use super::{
    adapter::{EndReason, Event, MqttHandle, SessionEnd},
    connection::Shared,
    session::{Session, Settled},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Filters of one SUBSCRIBE: AWS IoT Core takes eight.
const FILTERS_PER_SUBSCRIBE: usize = 8;
/// The broker has this long to answer CONNECT and SUBSCRIBE, beside the time for connecting.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(30);
/// Writing DISCONNECT may take this long.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that carries has no deadline.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until all filters are granted.
    Subscribing { outstanding: usize },
    /// Carries messages.
    Carrying,
    /// Takes nothing any more, and waits for Kafka to have what it took.
    Draining { abandoned: usize },
    /// All is acknowledged, DISCONNECT is on its way.
    Leaving,
}

/// A connection and its session.
pub(super) struct Carrier<'a, H> {
    shared: &'a Arc<Shared>,
    number: u32,
    is_first: bool,
    pub session: Session,
    handle: H,
    phase: Phase,
    deadline: Instant,
    /// Acknowledgements wait for room for requests.
    is_busy: bool,
}

impl<'a, H: MqttHandle> Carrier<'a, H> {
    pub fn new(shared: &'a Arc<Shared>, number: u32, is_first: bool, (session, handle): (Session, H)) -> Self {
        let deadline = Instant::now() + shared.settings.connect_timeout.0 + SUBSCRIBE_TIMEOUT;
        let phase = Phase::Subscribing { outstanding: 0 };
        Self { shared, number, is_first, session, handle, phase, deadline, is_busy: false }
    }

    /// When the phase must be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether shutdown was asked for.
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Leaving)
    }

    /// The phase took too long. `Err`: the connection ends, by shutdown if `None`.
    pub fn deadline_passed(&mut self) -> Result<(), Option<SessionEnd>> {
        match self.phase {
            Phase::Subscribing { .. } => {
                let detail = "the broker did not answer in time".to_owned();
                Err(Some(SessionEnd { reason: EndReason::Timeout, detail }))
            }
            Phase::Carrying => {
                self.deadline = Instant::now() + FAR;
                Ok(())
            }
            Phase::Draining { .. } => {
                tracing::warn!(connection = self.number, "kafka did not acknowledge all in time; the broker sends the rest again");
                self.leave();
                Ok(())
            }
            Phase::Leaving => Err(None),
        }
    }

    /// Takes this outcome and all others that are there.
    pub fn settle(&mut self, outcome: Option<Settled>, more: &mut mpsc::UnboundedReceiver<Settled>) {
        let mut outcome = outcome;
        while let Some(settled) = outcome {
            self.session.settle(settled);
            outcome = more.try_recv().ok();
        }
        if self.session.has_parked() {
            self.session.submit_parked();
        }
    }

    /// Acknowledges what is due, and goes on to the next phase when this one is over.
    pub fn advance(&mut self) {
        if self.phase != Phase::Leaving {
            self.is_busy = self.session.acknowledge(&self.handle);
        }
        if let Phase::Draining { abandoned } = self.phase
            && self.session.is_drained(abandoned)
            && !self.is_busy
        {
            self.leave();
        }
    }

    /// Takes nothing from now on.
    pub fn begin_drain(&mut self) {
        let abandoned = self.session.parked();
        self.session.drain();
        self.phase = Phase::Draining { abandoned };
        self.deadline = Instant::now() + self.shared.shutdown_timeout;
        tracing::info!(connection = self.number, abandoned, "mqtt connection drains");
    }

    /// DISCONNECT goes out behind all acknowledgements.
    fn leave(&mut self) {
        self.phase = Phase::Leaving;
        let asked = self.handle.disconnect().is_ok();
        self.deadline = Instant::now() + if asked { DISCONNECT_TIMEOUT } else { Duration::ZERO };
    }

    /// What the broker or the client says.
    pub fn on(&mut self, event: Event) -> Result<(), SessionEnd> {
        match event {
            Event::Connected { session_present, unusable } => self.connected(session_present, unusable),
            Event::Subscribed { granted, refused } => self.subscribed(granted, &refused),
            Event::Message(message) => self.session.receive(message),
            Event::AckSent => {
                self.session.acknowledgement_sent();
                Ok(())
            }
            Event::Disconnected | Event::Other => Ok(()),
        }
    }

    fn connected(&mut self, session_present: bool, unusable: Option<String>) -> Result<(), SessionEnd> {
        if let Some(detail) = unusable {
            return Err(SessionEnd { reason: EndReason::Refused, detail });
        }
        if !session_present && !self.is_first {
            self.shared.metrics.session_lost();
            tracing::warn!(
                connection = self.number,
                "the broker lost the session: what it held for this connection is gone or sent to others"
            );
        }
        self.shared.metrics.connect(if session_present { "resumed" } else { "new_session" });
        let filters = self.shared.router.subscriptions(&self.shared.settings.group);
        for some in filters.chunks(FILTERS_PER_SUBSCRIBE) {
            let busy = |_| SessionEnd { reason: EndReason::Subscription, detail: "no room to subscribe".to_owned() };
            self.handle.subscribe(some).map_err(busy)?;
        }
        if !self.is_ending() {
            self.phase = Phase::Subscribing { outstanding: filters.len() };
        }
        Ok(())
    }

    fn subscribed(&mut self, granted: usize, refused: &[String]) -> Result<(), SessionEnd> {
        if !refused.is_empty() {
            let detail = format!("the broker did not grant {} of the filters with QoS 1: {}", refused.len(), refused.join(", "));
            return Err(SessionEnd { reason: EndReason::Subscription, detail });
        }
        let Phase::Subscribing { outstanding } = self.phase else { return Ok(()) };
        let outstanding = outstanding.saturating_sub(granted);
        if outstanding > 0 {
            self.phase = Phase::Subscribing { outstanding };
            return Ok(());
        }
        self.phase = Phase::Carrying;
        self.deadline = Instant::now() + FAR;
        self.shared.connections.set(self.number, true);
        self.shared.metrics.set_connected(self.number, true);
        tracing::info!(connection = self.number, "mqtt connection is subscribed");
        Ok(())
    }
}

//! One connection, again and again: connect, subscribe, carry messages until it ends, wait, connect.
//!
//! Each connect begins a new [`Session`] with nothing of the one before, whatever the broker still has of ours: what was not acknowledged comes
//! again. Filters are subscribed to at every connect, for a session may be there without them: the process may have ended between CONNECT and
//! SUBSCRIBE, or the settings may have other filters now.
use super::{
    adapter::{ConnectOptions, EndReason, Event, MqttClient, MqttSession, SessionEnd},
    backoff::Backoff,
    carrier::Carrier,
    prepare::Preparer,
    router::Router,
    session::{Session, SessionLimits, SessionParts, Settled},
    state::Connections,
    tls,
};
use crate::{error::BridgeError, metrics::MqttMetrics, outbox::Outbox};
use event_schema::SchemaSource;
use futures::FutureExt as _;
use service_runtime::{
    clock::Clock,
    settings::{MqttAddress, MqttSettings},
    shutdown::Shutdown,
};
use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

/// Parked messages are tried again this often.
const RETRY_PERIOD: Duration = Duration::from_millis(50);
/// Pause between two looks whether schemas and room are there.
const READY_PERIOD: Duration = Duration::from_millis(100);

/// What the connections of the process share.
pub struct Shared {
    /// Settings.
    pub settings: MqttSettings,
    /// The parsed address.
    pub address: MqttAddress,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Client ids begin with it.
    pub instance: String,
    /// A stopping connection has this long to acknowledge what it took.
    pub shutdown_timeout: Duration,
    /// Bounds of a session.
    pub limits: SessionLimits,
    /// Routes.
    pub router: Arc<Router>,
    /// The way to Kafka.
    pub outbox: Arc<Outbox>,
    /// Schemas by id.
    pub schemas: Arc<dyn SchemaSource>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: MqttMetrics,
    /// Which connections are well.
    pub connections: Connections,
}

/// Runs connection `number` until shutdown.
pub async fn run<C: MqttClient>(shared: Arc<Shared>, number: u32, shutdown: Shutdown) {
    let mut backoff = Backoff::new(seed(&shared.instance, number));
    let mut is_first = true;
    while ready(&shared, &shutdown).await {
        let began = Instant::now();
        let end = match connect_options(&shared, number) {
            Ok(options) => one_session::<C>(&shared, number, (&options, is_first), &shutdown).await,
            Err(error) => Some(SessionEnd { reason: EndReason::Tls, detail: error.to_string() }),
        };
        shared.connections.set(number, false);
        shared.metrics.set_connected(number, false);
        let Some(end) = end else { return };
        is_first = false;
        shared.metrics.disconnect(end.reason.as_str());
        let pause = backoff.next(began.elapsed());
        let (reason, detail) = (end.reason.as_str(), end.detail.as_str());
        tracing::warn!(connection = number, reason, detail, advice = advice(end.reason), ?pause, "mqtt connection ended, connecting again");
        tokio::select! {
            () = sleep_until(began + pause) => {}
            () = shutdown.triggered() => return,
        }
    }
}

/// What helps, where a person can help.
fn advice(reason: EndReason) -> &'static str {
    match reason {
        EndReason::TakenOver => "another client connects with the same client id: give each process its own `bridge.instance`",
        EndReason::PacketTooLarge => "a packet is larger than `mqtt.max_packet_bytes`: raise it, and set the broker's own limit no higher",
        EndReason::HeldTooMuch => "limit the broker's messages in flight, or raise `bridge.queue_bytes`",
        EndReason::Subscription => "the broker's policy must allow the shared subscription with QoS 1",
        EndReason::Refused => "check user, certificate and client id at the broker",
        EndReason::Tls => "check `mqtt.ca_file`, `cert_file`, `key_file`, and the host name in the broker's certificate",
        _ => "",
    }
}

/// Different for each connection of each process.
fn seed(instance: &str, number: u32) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (instance, number, std::process::id()).hash(&mut hasher);
    hasher.finish()
}

/// Waits until every route has a schema and the outbox has room: before that messages would only wait here. False: shutdown was asked for.
async fn ready(shared: &Shared, shutdown: &Shutdown) -> bool {
    while !shutdown.is_triggered() {
        if shared.outbox.has_room() && shared.router.routes.iter().all(|route| route.destination.current().is_ok()) {
            return true;
        }
        tokio::select! {
            () = sleep(READY_PERIOD) => {}
            () = shutdown.triggered() => {}
        }
    }
    false
}

fn client_id(shared: &Shared, number: u32) -> String {
    format!("{}-{number}", shared.instance)
}

fn connect_options(shared: &Shared, number: u32) -> Result<ConnectOptions, BridgeError> {
    let settings = &shared.settings;
    Ok(ConnectOptions {
        client_id: client_id(shared, number),
        host: shared.address.host.clone(),
        port: shared.address.port,
        tls: tls::client_config(settings, shared.address.tls)?,
        credentials: shared.credentials.clone(),
        keep_alive: settings.keep_alive.0,
        connect_timeout: settings.connect_timeout.0,
        session_expiry: settings.session_expiry.0,
        max_packet_bytes: u32::try_from(settings.max_packet_bytes.0).unwrap_or(u32::MAX),
        receive_maximum: u16::try_from(settings.receive_maximum).unwrap_or(u16::MAX),
    })
}

/// Why the loop below woke up.
enum Woken {
    Event(Result<Event, SessionEnd>),
    Settled(Option<Settled>),
    Retry,
    Shutdown,
    Deadline,
}

/// One connection from CONNECT to its end. `None`: it ended because shutdown was asked for.
async fn one_session<C: MqttClient>(
    shared: &Arc<Shared>,
    number: u32,
    (options, is_first): (&ConnectOptions, bool),
    shutdown: &Shutdown,
) -> Option<SessionEnd> {
    let (mut raw, handle) = C::open(options);
    let (session, mut settled) = new_session(shared, number, options);
    let mut carrier = Carrier::new(shared, number, is_first, (session, handle));
    let mut retry = interval(RETRY_PERIOD);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Made once, not for each message.
    let mut stopping = pin!(shutdown.triggered());
    let mut alarm = pin!(sleep_until(carrier.deadline()));
    loop {
        // The future is kept until it resolves: a client's `poll` must not be cancelled. A client that panics on what a broker sends ends its
        // session, not the process.
        let mut next = pin!(AssertUnwindSafe(raw.next()).catch_unwind());
        let event = loop {
            if alarm.deadline() != carrier.deadline() {
                alarm.as_mut().reset(carrier.deadline());
            }
            let woken = tokio::select! {
                event = &mut next => Woken::Event(event.unwrap_or_else(|_| Err(gave_up()))),
                outcome = settled.recv() => Woken::Settled(outcome),
                _ = retry.tick(), if carrier.session.has_parked() => Woken::Retry,
                () = &mut stopping, if !carrier.is_ending() => Woken::Shutdown,
                () = &mut alarm => Woken::Deadline,
            };
            match woken {
                Woken::Event(event) => break event,
                Woken::Settled(outcome) => carrier.settle(outcome, &mut settled),
                Woken::Retry => carrier.session.submit_parked(),
                Woken::Shutdown => carrier.begin_drain(),
                Woken::Deadline => {
                    if let Err(end) = carrier.deadline_passed() {
                        return end;
                    }
                }
            }
            carrier.advance();
        };
        let is_ending = carrier.is_ending();
        match event {
            Ok(Event::Disconnected) if is_ending => return None,
            Ok(event) => {
                if let Err(end) = carrier.on(event) {
                    return Some(end).filter(|_| !is_ending);
                }
            }
            Err(end) => return Some(end).filter(|_| !is_ending),
        }
        carrier.advance();
    }
}

fn gave_up() -> SessionEnd {
    SessionEnd { reason: EndReason::Protocol, detail: "the client library gave up on what the broker sent".to_owned() }
}

fn new_session(shared: &Shared, number: u32, options: &ConnectOptions) -> (Session, mpsc::UnboundedReceiver<Settled>) {
    let preparer = Preparer::new(Arc::clone(&shared.router), Arc::clone(&shared.schemas), options.client_id.clone());
    let parts = SessionParts {
        outbox: Arc::clone(&shared.outbox),
        clock: Arc::clone(&shared.clock),
        metrics: shared.metrics.clone(),
        unacknowledged: shared.metrics.unacknowledged(number),
        limits: shared.limits,
    };
    Session::new(parts, preparer)
}

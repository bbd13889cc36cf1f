//! What the bridge needs of an MQTT client. One session is one connection to the broker: it is made anew for each connect, so that nothing
//! of an old connection (queued acknowledgements, messages read but not handed out) can reach a new one.
use bytes::Bytes;
use std::{future::Future, sync::Arc, time::Duration};

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Client id: the session's name at the broker.
    pub client_id: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `None`: without TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Time between two signs of life.
    pub keep_alive: Duration,
    /// Longest time for connecting.
    pub connect_timeout: Duration,
    /// How long the broker keeps the session.
    pub session_expiry: Duration,
    /// Largest packet.
    pub max_packet_bytes: u32,
    /// Messages that may be unacknowledged.
    pub receive_maximum: u16,
}

/// What a session tells.
#[derive(Debug)]
pub enum Event {
    /// The broker took the connection. Always the first.
    Connected {
        /// It still has the session of this client id, with its subscriptions and messages.
        session_present: bool,
        /// Why this broker cannot serve the bridge, if it says so.
        unusable: Option<String>,
    },
    /// The answer to one `subscribe`: how many filters were granted, and what the broker says of the others.
    Subscribed {
        /// Filters granted with QoS 1.
        granted: usize,
        /// Others.
        refused: Vec<String>,
    },
    /// A message.
    Message(Message),
    /// An acknowledgement was written to the broker.
    AckSent,
    /// DISCONNECT was written to the broker: the session may be dropped.
    Disconnected,
    /// Nothing that matters.
    Other,
}

/// A message from the broker.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Topic as it came; UTF-8 is not checked.
    pub topic: Bytes,
    /// Payload.
    pub payload: Bytes,
    /// What it is acknowledged by; `None`: QoS 0.
    pub packet_id: Option<u16>,
    /// The broker sent it before.
    pub redelivered: bool,
    /// User properties of MQTT 5.
    pub properties: Vec<(String, String)>,
}

/// Why a session ended.
#[derive(Debug)]
pub struct SessionEnd {
    /// For the metric.
    pub reason: EndReason,
    /// For people, without payload bytes.
    pub detail: String,
}

/// Why a session ended, as a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The broker refused the connection.
    Refused,
    /// Another client connected with this client id.
    TakenOver,
    /// The broker ended it with a reason.
    ByBroker,
    /// A packet was larger than `max_packet_bytes`.
    PacketTooLarge,
    /// The broker sent what is no MQTT.
    Protocol,
    /// No sign of life.
    Timeout,
    /// The handshake failed.
    Tls,
    /// The connection broke.
    Network,
    /// The broker granted a subscription not or not with QoS 1.
    Subscription,
    /// More unacknowledged messages than the bridge holds.
    HeldTooMuch,
    /// The bridge ended it.
    Own,
}

impl EndReason {
    /// For labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TakenOver => "taken_over",
            Self::ByBroker => "by_broker",
            Self::PacketTooLarge => "packet_too_large",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Network => "network",
            Self::Subscription => "subscription",
            Self::HeldTooMuch => "held_too_much",
            Self::Own => "own",
        }
    }
}

/// No room for a request now: try again after the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A version of the protocol, by one client library.
pub trait MqttClient: Send + Sync + 'static {
    /// Reads from the broker, and writes what the handle asks for.
    type Session: MqttSession;
    /// Asks for packets to be written.
    type Handle: MqttHandle;

    /// A session that connects with its first `next`. It keeps the broker's session (no clean start) and acknowledges nothing by itself.
    fn open(options: &ConnectOptions) -> (Self::Session, Self::Handle);
}

/// One connection to the broker.
pub trait MqttSession: Send {
    /// The next event. Reading, writing and signs of life happen in here, so it must be awaited at all times. Not safe to cancel: a future
    /// must be kept until it resolves, or the session dropped with it.
    fn next(&mut self) -> impl Future<Output = Result<Event, SessionEnd>> + Send;
}

/// Asks for packets; never waits.
pub trait MqttHandle: Send + Sync {
    /// Asks to subscribe to filters with QoS 1.
    ///
    /// # Errors
    /// No room now.
    fn subscribe(&self, filters: &[String]) -> Result<(), Busy>;

    /// Asks to acknowledge a message of QoS 1.
    ///
    /// # Errors
    /// No room now.
    fn acknowledge(&self, packet_id: u16) -> Result<(), Busy>;

    /// Asks to disconnect after all that was asked before; the broker keeps the session.
    ///
    /// # Errors
    /// No room now.
    fn disconnect(&self) -> Result<(), Busy>;
}

//! Devices over MQTT: members of a shared subscription, each message in Kafka before it is acknowledged.
//!
//! | module | what |
//! |---|---|
//! | [`connection`] | connects again and again; drives one client and one session at a time |
//! | [`carrier`] | what is done about each event; phases of a connection |
//! | [`session`] | received, parked, submitted, settled: what one session holds |
//! | [`acks`] | pure: which packet id may be acknowledged |
//! | [`prepare`] | from a message to its record, or to its refused record |
//! | [`router`], [`topic`] | routes; checks of topics and of the names in them |
//! | [`adapter`] | what is needed of a client library; [`rumqttc`] for MQTT 5 and 3.1.1 |
//!
//! Architecture Invariant: nothing between the broker and the outbox waits. A message that has no place yet is parked in its session, and the
//! broker stops by itself at `receive_maximum`.
pub mod acks;
pub mod adapter;
mod age;
mod backoff;
mod carrier;
pub mod connection;
pub mod prepare;
pub mod router;
pub mod rumqttc;
pub mod session;
mod state;
mod tls;
pub mod topic;

pub use router::specs;

use crate::{destination::Destination, error::BridgeError, metrics::MqttMetrics, outbox::Outbox};
use connection::Shared;
use event_schema::SchemaSource;
use router::Router;
use rumqttc::{v4::V4, v5::V5};
use service_runtime::{
    clock::Clock,
    health::Health,
    settings::{BridgeSettings, MqttSettings, MqttVersion},
    shutdown::Shutdown,
};
use session::SessionLimits;
use state::Connections;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Each session holds this many of the largest packets at least, whatever the queue's bound.
const MIN_PACKETS_HELD: u64 = 4;

/// What the MQTT side works with.
pub struct MqttComponents {
    /// The bridge's settings.
    pub settings: Arc<BridgeSettings>,
    /// The way to Kafka.
    pub outbox: Arc<Outbox>,
    /// Made of [`specs`], in its order.
    pub destinations: Vec<Arc<Destination>>,
    /// Schemas by id.
    pub schemas: Arc<dyn SchemaSource>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Readiness of the process.
    pub health: Arc<Health>,
    /// Counters.
    pub metrics: MqttMetrics,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Runs all connections until shutdown, and then until each has drained.
///
/// # Errors
/// The settings have no broker, or a file of theirs cannot be used at the start.
pub async fn run(components: MqttComponents) -> Result<(), BridgeError> {
    let MqttComponents { settings, outbox, destinations, schemas, clock, health, metrics, shutdown } = components;
    let mqtt = settings.mqtt.clone().ok_or_else(|| BridgeError::Settings("there is no `bridge.mqtt`".to_owned()))?;
    let address = mqtt.address().map_err(|what| BridgeError::Settings(format!("`bridge.mqtt.url` {what}")))?;
    // Files that are wrong from the start are told now; later ones at each connect.
    tls::client_config(&mqtt, address.tls)?;
    let credentials = credentials(&mqtt)?;
    let router = Arc::new(Router::new(&settings, &mqtt, destinations, &metrics)?);
    let counts_for_readiness = settings.http.is_none();
    let shared = Arc::new(Shared {
        address,
        credentials,
        instance: settings.instance.clone(),
        shutdown_timeout: settings.shutdown_timeout.0,
        limits: limits(&settings, &mqtt),
        router,
        outbox,
        schemas,
        clock,
        metrics,
        connections: Connections::new(mqtt.connections, counts_for_readiness.then_some(health)),
        settings: mqtt,
    });
    let mut connections = JoinSet::new();
    for number in 0..shared.settings.connections {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        match shared.settings.version {
            MqttVersion::V5 => connections.spawn(connection::run::<V5>(shared, number, shutdown)),
            MqttVersion::V311 => connections.spawn(connection::run::<V4>(shared, number, shutdown)),
        };
    }
    while let Some(ended) = connections.join_next().await {
        ended.map_err(|error| BridgeError::Bug { what: "run an mqtt connection", detail: error.to_string() })?;
    }
    Ok(())
}

/// What one session may hold: its share of the queue.
fn limits(settings: &BridgeSettings, mqtt: &MqttSettings) -> SessionLimits {
    let share = settings.queue_bytes.0 / u64::from(mqtt.connections.max(1));
    SessionLimits { bytes: share.max(mqtt.max_packet_bytes.0 * MIN_PACKETS_HELD) }
}

fn credentials(mqtt: &MqttSettings) -> Result<Option<(String, String)>, BridgeError> {
    let Some(username) = &mqtt.username else { return Ok(None) };
    let password = match (&mqtt.password, &mqtt.password_file) {
        (Some(password), _) => password.reveal().to_owned(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file);
            let cannot = |error: std::io::Error| BridgeError::File {
                what: "password file",
                file: file.display().to_string(),
                detail: error.to_string(),
            };
            text.map_err(cannot)?.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, None) => String::new(),
    };
    Ok(Some((username.clone(), password)))
}

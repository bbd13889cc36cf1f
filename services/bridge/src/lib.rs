//! bridge: devices over MQTT and clients over HTTP into Kafka.
//!
//! ```text
//! devices ─▶ MQTT broker ─▶ mqtt ─┐                 ┌─▶ <topic>
//!                                 ├─ record ─▶ outbox ─▶ Kafka
//! clients ────────HTTP────▶ http ─┘                 └─▶ <topic>.refused
//!              ◀── acknowledged only after all replicas in sync have the record
//! ```
//! Both sides make records of what they are given, by the newest schema of the topic's subject ([`destination`]), or refused records
//! ([`refused`]). The [`outbox`] takes them, bounded and without waiting, and says when Kafka has them; only then the broker or the client is
//! told. The bridge remembers nothing: what was not acknowledged is sent again by whoever sent it.
pub mod destination;
pub mod error;
pub mod http;
pub mod metrics;
pub mod mqtt;
pub mod outbox;
pub mod refused;
pub mod settings;

pub use error::BridgeError;
pub use metrics::BridgeMetrics;
pub use settings::Settings;

use destination::{Destination, DestinationSpec};
use event_schema::SchemaSource;
use futures::future::{self, BoxFuture};
use metrics::OutboxMetrics;
use outbox::{Outbox, OutboxSettings};
use service_runtime::{clock::Clock, health::Health, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Period of showing the outbox's state.
const STATE_PERIOD: Duration = Duration::from_millis(500);
/// Records that nobody waits for any more have this long to get to Kafka.
const LAST_DRAIN: Duration = Duration::from_secs(1);
/// Name of Kafka in readiness.
const KAFKA: &str = "bridge/kafka";

/// What the bridge works with; tests bring their own.
pub struct Components {
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Schemas of subjects, and by id.
    pub schemas: Arc<dyn SchemaSource>,
    /// Readiness of the process.
    pub health: Arc<Health>,
    /// Registered metrics.
    pub metrics: BridgeMetrics,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Runs both sides until shutdown, and then until what they took is in Kafka, at most for `shutdown_timeout`.
///
/// # Errors
/// The Kafka client, the listener or a file refuses its settings.
pub async fn run(settings: Settings, components: Components) -> Result<(), BridgeError> {
    let Components { clock, schemas, health, metrics, shutdown } = components;
    let bridge = Arc::new(settings.bridge.clone());
    let outbox = Outbox::start(outbox_settings(&settings), metrics.outbox.clone())?;
    let make = |specs: Vec<DestinationSpec>| -> Vec<Arc<Destination>> {
        specs.into_iter().map(|spec| Arc::new(Destination::new(spec, &bridge.refused_suffix))).collect()
    };
    let mqtt_destinations = make(mqtt::specs(&bridge));
    let http_destinations = bridge.http.as_ref().map_or_else(Vec::new, |http| make(http::specs(http)));
    let all: Vec<Arc<Destination>> = mqtt_destinations.iter().chain(&http_destinations).cloned().collect();

    let ended = Shutdown::manual();
    let background = tokio::spawn({
        let (outbox, schemas, health, ended) = (Arc::clone(&outbox), Arc::clone(&schemas), Arc::clone(&health), ended.clone());
        let (every, unavailable_after) = (bridge.schema_refresh.0, bridge.unavailable_after.0);
        let (outbox_metrics, schema_metrics) = (metrics.outbox.clone(), metrics.schemas.clone());
        async move {
            tokio::join!(
                outbox.resend(&ended),
                destination::refresh_all(&all, schemas.as_ref(), every, (&schema_metrics, &health), &ended),
                show_state(&outbox, unavailable_after, (&outbox_metrics, &health), &ended),
            );
        }
    });

    let mut sides: Vec<BoxFuture<'static, Result<(), BridgeError>>> = Vec::new();
    if bridge.mqtt.is_some() {
        sides.push(Box::pin(mqtt::run(mqtt::MqttComponents {
            settings: Arc::clone(&bridge),
            outbox: Arc::clone(&outbox),
            destinations: mqtt_destinations,
            schemas: Arc::clone(&schemas),
            clock: Arc::clone(&clock),
            health: Arc::clone(&health),
            metrics: metrics.mqtt.clone(),
            shutdown: shutdown.clone(),
        })));
    }
    if bridge.http.is_some() {
        sides.push(Box::pin(http::run(http::HttpComponents {
            settings: Arc::clone(&bridge),
            outbox: Arc::clone(&outbox),
            destinations: http_destinations,
            clock,
            health,
            metrics: metrics.http.clone(),
            shutdown: shutdown.clone(),
        })));
    }
    let outcome = both(sides, &shutdown).await;
    // Both sides have waited for what they must answer for: what is left was given up by who sent it.
    if !outbox.drained(LAST_DRAIN).await {
        tracing::warn!(
            records = outbox.unsettled(),
            "kafka did not acknowledge all records in time; the bridge acknowledged none of these"
        );
    }
    ended.trigger();
    let _ = background.await;
    outcome
}

/// Runs all sides; one that fails stops the others.
async fn both(sides: Vec<BoxFuture<'static, Result<(), BridgeError>>>, shutdown: &Shutdown) -> Result<(), BridgeError> {
    let stopping = sides.into_iter().map(|side| async {
        let outcome = side.await;
        if outcome.is_err() {
            shutdown.trigger();
        }
        outcome
    });
    future::join_all(stopping).await.into_iter().collect()
}

fn outbox_settings(settings: &Settings) -> OutboxSettings {
    let bridge = &settings.bridge;
    OutboxSettings {
        kafka: settings.kafka.clone(),
        queue_bytes: bridge.queue_bytes.0,
        max_record_bytes: bridge.max_record_bytes.0,
        linger: bridge.linger.0,
        refused_suffix: bridge.refused_suffix.clone(),
        properties: settings.producer_properties.clone(),
    }
}

/// Shows in metrics and readiness whether Kafka acknowledges, until shutdown.
async fn show_state(outbox: &Outbox, unavailable_after: Duration, (metrics, health): (&OutboxMetrics, &Health), shutdown: &Shutdown) {
    loop {
        let stalled = outbox.stalled_for();
        metrics.state(stalled, outbox.all_blocked().len());
        let why =
            stalled.filter(|stalled| *stalled > unavailable_after).map(|stalled| format!("no acknowledgement for {} s", stalled.as_secs()));
        health.set_not_ready(KAFKA, why);
        tokio::select! {
            () = sleep(STATE_PERIOD) => {}
            () = shutdown.triggered() => return,
        }
    }
}

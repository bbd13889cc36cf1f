//! The devices' clients: each with its own connection, QoS 1, paced by the simulated time.
use super::model::{Fleet, Message, SPAN_MS};
use anyhow::{Context as _, anyhow};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, interval, timeout},
};

/// How long the broker may take to acknowledge what was published last.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages of a device that wait for their turn.
const QUEUE: usize = 64;

/// Publishes the messages that are due until `replay` has passed, which stands for the whole span, or until `limit`. Returns how many were
/// published, all of them acknowledged by the broker; `report` is told on the way.
pub(super) async fn publish(
    fleet: &Fleet,
    broker: SocketAddr,
    (replay, limit): (Duration, Option<Duration>),
    report: &watch::Sender<usize>,
) -> anyhow::Result<usize> {
    let acknowledged = Arc::new(Semaphore::new(0));
    let mut connections = JoinSet::new();
    let mut clients = Vec::with_capacity(fleet.devices.len());
    for id in &fleet.devices {
        let mut options = MqttOptions::new(id, broker.ip().to_string(), broker.port());
        options.set_keep_alive(Duration::from_secs(30));
        let (client, events) = AsyncClient::new(options, QUEUE);
        connections.spawn(drive(events, Arc::clone(&acknowledged)));
        clients.push(client);
    }
    let sent = tokio::select! {
        sent = send_due(fleet, &clients, (replay, limit), report) => sent?,
        Some(failed) = connections.join_next() => return Err(failed.unwrap_or_else(|error| anyhow!(error))),
    };
    let all = u32::try_from(sent).context("count the messages")?;
    tokio::select! {
        taken = timeout(ACK_TIMEOUT, acknowledged.acquire_many(all)) => {
            let _ = taken.context("wait for the MQTT broker's acknowledgements")?;
        }
        Some(failed) = connections.join_next() => return Err(failed.unwrap_or_else(|error| anyhow!(error))),
    }
    for client in clients {
        // Whoever does not listen any more is gone already.
        let _ = client.disconnect().await;
    }
    Ok(sent)
}

async fn send_due(
    fleet: &Fleet,
    clients: &[AsyncClient],
    (replay, limit): (Duration, Option<Duration>),
    report: &watch::Sender<usize>,
) -> anyhow::Result<usize> {
    let started = Instant::now();
    let mut tick = interval(Duration::from_millis(20));
    let mut sent = 0;
    while sent < fleet.messages.len() {
        tick.tick().await;
        let elapsed = started.elapsed();
        if limit.is_some_and(|limit| elapsed >= limit) {
            break;
        }
        let now_ms = (elapsed.as_secs_f64() / replay.as_secs_f64() * SPAN_MS as f64) as i64;
        while let Some(Message { device, payload, .. }) = fleet.messages.get(sent).filter(|message| message.leaves_ms <= now_ms) {
            let topic = format!("devices/{}/telemetry", fleet.devices[*device]);
            clients[*device].publish(topic, QoS::AtLeastOnce, false, payload.clone()).await.context("publish a device's message")?;
            sent += 1;
        }
        report.send_replace(sent);
    }
    Ok(sent)
}

/// Drives a connection and counts the broker's acknowledgements; ends only with an error. The demo's broker is in this process: a connection
/// that fails is a defect, not weather.
async fn drive(mut events: EventLoop, acknowledged: Arc<Semaphore>) -> anyhow::Error {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::PubAck(_))) => acknowledged.add_permits(1),
            Ok(_) => {}
            Err(error) => return anyhow::Error::new(error).context("a device's connection to the MQTT broker"),
        }
    }
}

//! The MQTT broker inside of the process: rumqttd on two ports of this machine alone.
use anyhow::Context as _;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings, Strategy};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
};

/// Bytes and number of the segments that the broker keeps: far more than the devices send, so that nothing is dropped while nobody reads.
const SEGMENT_BYTES: usize = 32 << 20;
const SEGMENTS: usize = 4;

/// Where the broker listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// Devices, by MQTT 3.1.1.
    pub devices: SocketAddr,
    /// The bridge, by MQTT 5.
    pub bridge: SocketAddr,
}

/// Starts the broker. It ends with the process: rumqttd knows no other way.
///
/// # Errors
/// No free port, or no thread.
pub(super) fn start() -> anyhow::Result<Ports> {
    // Both are held until both are known, so that they differ.
    let held = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
    let ports = Ports { devices: held[0].local_addr()?, bridge: held[1].local_addr()? };
    drop(held);
    let router = RouterConfig {
        max_connections: 10_000,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        // The bridge has one connection: it may take what it can.
        shared_subscriptions_strategy: Strategy::Sticky,
        ..RouterConfig::default()
    };
    let config =
        Config { router, v4: Some(server("devices", ports.devices)), v5: Some(server("bridge", ports.bridge)), ..Config::default() };
    let mut broker = Broker::new(config);
    let serve = move || {
        if let Err(error) = broker.start() {
            tracing::error!(%error, "mqtt broker of the demo failed");
        }
    };
    thread::Builder::new().name("mqtt-broker".to_owned()).spawn(serve).context("start the MQTT broker")?;
    Ok(ports)
}

fn server(name: &str, listen: SocketAddr) -> HashMap<String, ServerSettings> {
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 140 << 10,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let settings = ServerSettings { name: name.to_owned(), listen, tls: None, next_connection_delay_ms: 1, connections };
    HashMap::from([(name.to_owned(), settings)])
}

//! The client library rumqttc, which has types of its own for each version of MQTT.
pub mod v4;
pub mod v5;

use super::adapter::{ConnectOptions, Event};
use ::rumqttc::{NetworkOptions, TlsConfiguration, Transport};
use std::fmt::Debug;

/// Requests beside acknowledgements: subscriptions, DISCONNECT.
const OTHER_REQUESTS: usize = 64;
/// The bridge publishes nothing; rumqttc keeps a slot for each message that might be out, and gives subscriptions packet ids of these.
const OUTGOING_SLOTS: u16 = 64;

/// Requests that may wait for the connection.
fn queue(options: &ConnectOptions) -> usize {
    usize::from(options.receive_maximum) + OTHER_REQUESTS
}

fn network(options: &ConnectOptions) -> NetworkOptions {
    let mut network = NetworkOptions::new();
    // An acknowledgement is four bytes: it must not wait for company.
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(options.connect_timeout.as_secs().max(1));
    network
}

fn transport(options: &ConnectOptions) -> Option<Transport> {
    let tls = options.tls.as_ref()?;
    Some(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())))
}

/// What the broker answers for each filter.
fn subscribed<C: Debug>(codes: &[C], is_granted: impl Fn(&C) -> bool) -> Event {
    let refused: Vec<String> = codes.iter().filter(|code| !is_granted(code)).map(|code| format!("{code:?}")).collect();
    Event::Subscribed { granted: codes.len() - refused.len(), refused }
}

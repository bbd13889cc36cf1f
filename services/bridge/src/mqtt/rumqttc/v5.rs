//! MQTT 5 by rumqttc.
use super::{OUTGOING_SLOTS, network, queue, subscribed, transport};
use crate::mqtt::adapter::{Busy, ConnectOptions, EndReason, Event, Message, MqttClient, MqttHandle, MqttSession, SessionEnd};
use ::rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ConnectionError, Event as RawEvent, EventLoop, MqttOptions, StateError,
        mqttbytes::{
            Error as PacketError, QoS,
            v5::{ConnAck, ConnectProperties, DisconnectReasonCode, Filter, Packet, Publish, RetainForwardRule, SubscribeReasonCode},
        },
    },
};

/// MQTT 5.
pub struct V5;

/// A connection.
pub struct V5Session {
    events: EventLoop,
}

/// Asks for packets.
pub struct V5Handle {
    client: AsyncClient,
}

impl MqttClient for V5 {
    type Session = V5Session;
    type Handle = V5Handle;

    fn open(options: &ConnectOptions) -> (V5Session, V5Handle) {
        let mut raw = MqttOptions::new(&options.client_id, &options.host, options.port);
        raw.set_clean_start(false).set_manual_acks(true).set_keep_alive(options.keep_alive);
        raw.set_connection_timeout(options.connect_timeout.as_secs().max(1));
        raw.set_outgoing_inflight_upper_limit(OUTGOING_SLOTS);
        let mut properties = ConnectProperties::new();
        properties.session_expiry_interval = Some(u32::try_from(options.session_expiry.as_secs()).unwrap_or(u32::MAX));
        properties.receive_maximum = Some(options.receive_maximum);
        properties.max_packet_size = Some(options.max_packet_bytes);
        raw.set_connect_properties(properties);
        if let Some((user, password)) = &options.credentials {
            raw.set_credentials(user, password);
        }
        if let Some(transport) = transport(options) {
            raw.set_transport(transport);
        }
        raw.set_network_options(network(options));
        let (client, events) = AsyncClient::new(raw, queue(options));
        (V5Session { events }, V5Handle { client })
    }
}

impl MqttSession for V5Session {
    async fn next(&mut self) -> Result<Event, SessionEnd> {
        match self.events.poll().await {
            Ok(RawEvent::Incoming(packet)) => Ok(incoming(packet)),
            Ok(RawEvent::Outgoing(Outgoing::PubAck(_))) => Ok(Event::AckSent),
            Ok(RawEvent::Outgoing(Outgoing::Disconnect)) => Ok(Event::Disconnected),
            Ok(RawEvent::Outgoing(_)) => Ok(Event::Other),
            Err(error) => Err(SessionEnd { reason: reason(&error), detail: detail(&error) }),
        }
    }
}

fn incoming(packet: Packet) -> Event {
    match packet {
        Packet::ConnAck(answer) => Event::Connected { session_present: answer.session_present, unusable: unusable(&answer) },
        Packet::Publish(publish) => Event::Message(message(publish)),
        Packet::SubAck(answer) => {
            subscribed(&answer.return_codes, |code| matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce)))
        }
        _ => Event::Other,
    }
}

/// What the broker says that it cannot do.
fn unusable(answer: &ConnAck) -> Option<String> {
    let properties = answer.properties.as_ref()?;
    if properties.shared_subscription_available == Some(0) {
        return Some("the broker has no shared subscriptions".to_owned());
    }
    if properties.max_qos == Some(0) {
        return Some("the broker has no QoS 1, so messages could get lost".to_owned());
    }
    None
}

fn message(publish: Publish) -> Message {
    Message {
        topic: publish.topic,
        payload: publish.payload,
        packet_id: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
        redelivered: publish.dup,
        properties: publish.properties.map(|properties| properties.user_properties).unwrap_or_default(),
    }
}

/// The client's text, but for what would show a packet.
fn detail(error: &ConnectionError) -> String {
    match error {
        ConnectionError::NotConnAck(_) => "the broker did not answer with CONNACK".to_owned(),
        other => other.to_string(),
    }
}

fn reason(error: &ConnectionError) -> EndReason {
    match error {
        ConnectionError::ConnectionRefused(_) => EndReason::Refused,
        ConnectionError::Timeout(_) => EndReason::Timeout,
        ConnectionError::Tls(_) => EndReason::Tls,
        ConnectionError::NotConnAck(_) => EndReason::Protocol,
        ConnectionError::MqttState(state) => match state {
            StateError::ServerDisconnect { reason_code: DisconnectReasonCode::SessionTakenOver, .. } => EndReason::TakenOver,
            StateError::ServerDisconnect { .. } => EndReason::ByBroker,
            StateError::AwaitPingResp => EndReason::Timeout,
            StateError::IncomingPacketTooLarge { .. } => EndReason::PacketTooLarge,
            StateError::Deserialization(PacketError::PayloadSizeLimitExceeded { .. }) => EndReason::PacketTooLarge,
            StateError::Deserialization(PacketError::Io(_)) => EndReason::Network,
            StateError::Io(_) | StateError::ConnectionAborted => EndReason::Network,
            _ => EndReason::Protocol,
        },
        _ => EndReason::Network,
    }
}

impl MqttHandle for V5Handle {
    fn subscribe(&self, filters: &[String]) -> Result<(), Busy> {
        let filters = filters.iter().map(|filter| Filter {
            path: filter.clone(),
            qos: QoS::AtLeastOnce,
            nolocal: false,
            preserve_retain: true,
            // Shared subscriptions have no retained messages; this is for brokers that think otherwise.
            retain_forward_rule: RetainForwardRule::Never,
        });
        self.client.try_subscribe_many(filters).map_err(|_| Busy)
    }

    fn acknowledge(&self, packet_id: u16) -> Result<(), Busy> {
        let publish = Publish { pkid: packet_id, qos: QoS::AtLeastOnce, ..Publish::default() };
        self.client.try_ack(&publish).map_err(|_| Busy)
    }

    fn disconnect(&self) -> Result<(), Busy> {
        self.client.try_disconnect().map_err(|_| Busy)
    }
}

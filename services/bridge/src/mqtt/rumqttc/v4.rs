//! MQTT 3.1.1 by rumqttc.
use super::{OUTGOING_SLOTS, network, queue, subscribed, transport};
use crate::mqtt::adapter::{Busy, ConnectOptions, EndReason, Event, Message, MqttClient, MqttHandle, MqttSession, SessionEnd};
use ::rumqttc::{
    AsyncClient, ConnectionError, Event as RawEvent, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS, StateError, SubscribeFilter,
    SubscribeReasonCode, mqttbytes::Error as PacketError,
};
use bytes::Bytes;

/// MQTT 3.1.1.
pub struct V4;

/// A connection.
pub struct V4Session {
    events: EventLoop,
}

/// Asks for packets.
pub struct V4Handle {
    client: AsyncClient,
}

impl MqttClient for V4 {
    type Session = V4Session;
    type Handle = V4Handle;

    fn open(options: &ConnectOptions) -> (V4Session, V4Handle) {
        let mut raw = MqttOptions::new(&options.client_id, &options.host, options.port);
        raw.set_clean_session(false).set_manual_acks(true).set_keep_alive(options.keep_alive);
        raw.set_inflight(OUTGOING_SLOTS);
        let max_packet_bytes = usize::try_from(options.max_packet_bytes).unwrap_or(usize::MAX);
        raw.set_max_packet_size(max_packet_bytes, max_packet_bytes);
        if let Some((user, password)) = &options.credentials {
            raw.set_credentials(user, password);
        }
        if let Some(transport) = transport(options) {
            raw.set_transport(transport);
        }
        let (client, mut events) = AsyncClient::new(raw, queue(options));
        events.set_network_options(network(options));
        (V4Session { events }, V4Handle { client })
    }
}

impl MqttSession for V4Session {
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
        Packet::ConnAck(answer) => Event::Connected { session_present: answer.session_present, unusable: None },
        Packet::Publish(publish) => Event::Message(Message {
            topic: Bytes::from(publish.topic),
            payload: publish.payload,
            packet_id: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
            redelivered: publish.dup,
            properties: Vec::new(),
        }),
        Packet::SubAck(answer) => {
            subscribed(&answer.return_codes, |code| matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce)))
        }
        _ => Event::Other,
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
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => EndReason::Timeout,
        ConnectionError::Tls(_) => EndReason::Tls,
        ConnectionError::NotConnAck(_) => EndReason::Protocol,
        ConnectionError::MqttState(state) => match state {
            StateError::AwaitPingResp => EndReason::Timeout,
            StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(_)) => EndReason::PacketTooLarge,
            StateError::Deserialization(PacketError::Io(_)) => EndReason::Network,
            StateError::Io(_) | StateError::ConnectionAborted => EndReason::Network,
            _ => EndReason::Protocol,
        },
        _ => EndReason::Network,
    }
}

impl MqttHandle for V4Handle {
    fn subscribe(&self, filters: &[String]) -> Result<(), Busy> {
        let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).map_err(|_| Busy)
    }

    fn acknowledge(&self, packet_id: u16) -> Result<(), Busy> {
        let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
        publish.pkid = packet_id;
        self.client.try_ack(&publish).map_err(|_| Busy)
    }

    fn disconnect(&self) -> Result<(), Busy> {
        self.client.try_disconnect().map_err(|_| Busy)
    }
}

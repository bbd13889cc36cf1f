use super::*;
use crate::{
    metrics::BridgeMetrics,
    mqtt::{adapter::Busy, prepare::tests::routes},
    outbox::OutboxSettings,
};
use kafka_io::{KafkaConfig, MockBroker, Security};
use prometheus::Registry;
use service_runtime::clock::SystemClock;
use std::{sync::Mutex, time::Duration};
use test_kit::wait_until;

const LONG: Duration = Duration::from_secs(30);
const ROUTE: &str = "[{filter: \"devices/{device_id}/telemetry\", topic: telemetry}]";

/// Notes what it is asked for; takes so many acknowledgements.
struct Asked {
    acks: Mutex<Vec<u16>>,
    room: usize,
}

impl Asked {
    fn new(room: usize) -> Self {
        Self { acks: Mutex::default(), room }
    }

    fn acks(&self) -> Vec<u16> {
        self.acks.lock().expect("no test panics with it").clone()
    }
}

impl MqttHandle for Asked {
    fn subscribe(&self, _: &[String]) -> Result<(), Busy> {
        Ok(())
    }

    fn acknowledge(&self, packet_id: u16) -> Result<(), Busy> {
        let mut acks = self.acks.lock().expect("no test panics with it");
        if acks.len() >= self.room {
            return Err(Busy);
        }
        acks.push(packet_id);
        Ok(())
    }

    fn disconnect(&self) -> Result<(), Busy> {
        Ok(())
    }
}

struct Scene {
    session: Session,
    settled: mpsc::UnboundedReceiver<Settled>,
    outbox: Arc<Outbox>,
}

impl Scene {
    fn new(bootstrap_servers: String, queue_bytes: u64, limits: SessionLimits) -> Self {
        let metrics = BridgeMetrics::new(&Registry::new()).expect("a fresh registry");
        let settings = OutboxSettings {
            kafka: KafkaConfig { bootstrap_servers, security: Security::Plaintext },
            queue_bytes,
            max_record_bytes: 900 << 10,
            linger: Duration::from_millis(1),
            refused_suffix: ".refused".to_owned(),
            properties: Vec::new(),
        };
        let outbox = Outbox::start(settings, metrics.outbox).expect("the settings are valid");
        let (router, schemas) = routes(ROUTE);
        let preparer = Preparer::new(router, schemas, "b-0".to_owned());
        let unacknowledged = metrics.mqtt.unacknowledged(0);
        let parts =
            SessionParts { outbox: Arc::clone(&outbox), clock: Arc::new(SystemClock), metrics: metrics.mqtt, unacknowledged, limits };
        let (session, settled) = Session::new(parts, preparer);
        Self { session, settled, outbox }
    }

    /// Takes the outcomes that are there.
    fn settle(&mut self) -> usize {
        let mut count = 0;
        while let Ok(settled) = self.settled.try_recv() {
            self.session.settle(settled);
            count += 1;
        }
        count
    }
}

const LIMITS: SessionLimits = SessionLimits { bytes: 1 << 20 };

fn message(packet_id: u16, payload: &str) -> Message {
    Message {
        topic: "devices/d-1/telemetry".into(),
        payload: payload.to_owned().into(),
        packet_id: Some(packet_id).filter(|id| *id > 0),
        ..Message::default()
    }
}

fn good(packet_id: u16) -> Message {
    message(packet_id, &format!("{{\"measured_at\": {packet_id}}}"))
}

fn broker() -> MockBroker {
    let broker = MockBroker::start().expect("a port is free");
    for topic in ["telemetry", "telemetry.refused"] {
        broker.create_topic(topic, 4).expect("a new topic");
    }
    broker
}

#[test]
fn good_and_refused_messages_are_acknowledged_in_order_once_kafka_has_them() {
    let broker = broker();
    let mut scene = Scene::new(broker.bootstrap_servers(), 64 << 20, LIMITS);
    let asked = Asked::new(1_000);
    for packet_id in 1..=50 {
        let message = if packet_id % 5 == 0 { message(packet_id, "{") } else { good(packet_id) };
        scene.session.receive(message).expect("there is room");
    }
    let mut settled = 0;
    wait_until(LONG, "all outcomes", || {
        settled += scene.settle();
        scene.session.acknowledge(&asked);
        settled == 50
    });
    assert_eq!(asked.acks(), (1..=50).collect::<Vec<u16>>());
}

#[test]
fn nothing_is_acknowledged_without_kafka_and_the_rest_waits_in_order() {
    let mut scene = Scene::new("127.0.0.1:1".to_owned(), 4_000, LIMITS);
    let asked = Asked::new(1_000);
    for packet_id in 1..=20 {
        scene.session.receive(good(packet_id)).expect("there is room");
    }
    assert!(scene.session.has_parked() && scene.outbox.unsettled() < 20);
    assert!(!scene.session.acknowledge(&asked));
    assert_eq!(asked.acks(), [0_u16; 0]);
    let parked = scene.session.parked();
    scene.session.drain();
    assert!(!scene.session.is_drained(parked), "what has a place in the queue must be acknowledged first");
    scene.session.receive(good(21)).expect("it is left to the broker");
    assert!(!scene.session.has_parked());
}

#[test]
fn acknowledgements_that_find_no_room_go_out_later_in_order() {
    let broker = broker();
    let mut scene = Scene::new(broker.bootstrap_servers(), 64 << 20, LIMITS);
    for packet_id in 1..=5 {
        scene.session.receive(good(packet_id)).expect("there is room");
    }
    let mut settled = 0;
    wait_until(LONG, "all outcomes", || {
        settled += scene.settle();
        settled == 5
    });
    let (narrow, wide) = (Asked::new(2), Asked::new(10));
    assert!(scene.session.acknowledge(&narrow), "it says that some must wait");
    assert!(!scene.session.acknowledge(&wide));
    assert_eq!((narrow.acks(), wide.acks()), (vec![1, 2], vec![3, 4, 5]));
}

#[test]
fn a_broker_that_sends_too_much_ends_the_session() {
    let small = SessionLimits { bytes: 700 };
    let mut scene = Scene::new("127.0.0.1:1".to_owned(), 64 << 20, small);
    scene.session.receive(good(1)).expect("the first always fits");
    scene.session.receive(good(2)).expect("within the bound");
    let end = scene.session.receive(good(3)).expect_err("beyond the bound");
    assert_eq!(end.reason, EndReason::HeldTooMuch);
    scene.session.receive(good(0)).expect("a message of QoS 0 is dropped instead");
}

#[test]
fn outcomes_of_an_ended_session_reach_nobody() {
    let broker = broker();
    let mut scene = Scene::new(broker.bootstrap_servers(), 64 << 20, LIMITS);
    scene.session.receive(good(1)).expect("there is room");
    let Scene { session, settled, outbox } = scene;
    drop((session, settled));
    wait_until(LONG, "the record in kafka", || outbox.unsettled() == 0);
}

//! The connection to the broker: lost, lost with the session, taken over, slow; and the bridge's own end.
use crate::scene::{LONG, Options, Scene};
use std::{thread, time::Duration};
use test_kit::{KafkaServer, MqttProxy, wait_until};

fn through(proxy: &MqttProxy, more: &str) -> Options {
    Options { mqtt: format!("url: 'mqtt://127.0.0.1:{}', {more}", proxy.port()), ..Options::default() }
}

#[test]
fn messages_whose_acknowledgement_got_lost_come_again_and_none_is_missing() {
    let kafka = KafkaServer::shared();
    for version in ["version: 5,", "version: 3.1.1,"] {
        let scene = Scene::new(kafka, &[]);
        let proxy = MqttProxy::start(scene.mosquitto.port(), 0).expect("a proxy");
        let bridge = scene.bridge(kafka, &through(&proxy, version));
        proxy.swallow_acks(true);
        let mut expected = scene.publish("d", 0..500);
        // The broker sends a hundred to each connection, and waits.
        wait_until(LONG, "acknowledgements on their way", || proxy.acks() >= 200);
        proxy.swallow_acks(false);
        proxy.cut();
        expected.extend(scene.publish("d", 500..600));
        let records = scene.wait_for_all(kafka, &expected);
        assert!(records.len() >= expected.len() + 200, "{version}: redelivered messages are records too: {}", records.len());
        assert!(bridge.metric("tributary_bridge_mqtt_redelivered_total") >= Some(200.0));
        assert_eq!(bridge.metric("tributary_bridge_mqtt_sessions_lost_total"), Some(0.0), "{version}");
        wait_until(LONG, "no message without acknowledgement", || bridge.metric("tributary_bridge_mqtt_unacknowledged_count") == Some(0.0));
        bridge.stop();
    }
}

#[test]
fn connections_that_are_cut_again_and_again_lose_nothing() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let proxy = MqttProxy::start(scene.mosquitto.port(), 0).expect("a proxy");
    let bridge = scene.bridge(kafka, &through(&proxy, "connections: 3,"));
    let mut expected = Vec::new();
    for round in 0..5 {
        thread::scope(|scope| {
            let before = scene.count(kafka);
            let publishing = scope.spawn(|| scene.publish("d", round * 1_000..(round + 1) * 1_000));
            wait_until(LONG, "some records", || scene.count(kafka) > before);
            proxy.cut();
            expected.extend(publishing.join().expect("it publishes"));
        });
    }
    scene.wait_for_all(kafka, &expected);
    let connects = proxy.connects();
    // Three connections, each at most once in a second.
    for (index, connect) in connects.iter().enumerate() {
        let close = connects.iter().skip(index + 1).filter(|later| later.duration_since(*connect) < Duration::from_millis(950)).count();
        assert!(close <= 3, "more than one connect in a second and client id");
    }
    bridge.stop();
}

#[test]
fn a_lost_session_is_noticed_and_subscribed_to_again() {
    let kafka = KafkaServer::shared();
    let mut scene = Scene::new(kafka, &[]);
    let bridge = scene.bridge(kafka, &Options::default());
    let mut expected = scene.publish("d", 0..100);
    scene.wait_for_all(kafka, &expected);
    scene.mosquitto.kill();
    scene.mosquitto.forget().expect("its data can be removed");
    scene.mosquitto.restart().expect("it starts again");
    wait_until(LONG, "two lost sessions", || bridge.metric("tributary_bridge_mqtt_sessions_lost_total") == Some(2.0));
    bridge.wait_until_ready();
    expected.extend(scene.publish("d", 100..200));
    scene.wait_for_all(kafka, &expected);
    bridge.stop();
}

#[test]
fn a_restarted_broker_keeps_what_it_had_for_the_bridge() {
    let kafka = KafkaServer::shared();
    for version in ["version: 5,", "version: 3.1.1,"] {
        let mut scene = Scene::new(kafka, &[]);
        let bridge = scene.bridge(kafka, &Options { mqtt: version.to_owned(), ..Options::default() });
        let mut expected = Vec::new();
        for round in 0..3 {
            expected.extend(scene.publish("d", round * 500..(round + 1) * 500));
            let ends = bridge.metric("tributary_bridge_mqtt_disconnects_total").unwrap_or_default();
            scene.mosquitto.stop().expect("it stops in order");
            scene.mosquitto.restart().expect("it starts again");
            // Mosquitto 2.0.11 has the sessions then, but forgets their shared subscriptions: what is published before the bridge subscribes
            // again has no subscriber there.
            wait_until(LONG, "the ends of both connections", || {
                bridge.metric("tributary_bridge_mqtt_disconnects_total") >= Some(ends + 2.0)
            });
            bridge.wait_until_ready();
        }
        expected.extend(scene.publish("d", 1_500..1_600));
        scene.wait_for_all(kafka, &expected);
        assert_eq!(bridge.metric("tributary_bridge_mqtt_sessions_lost_total"), Some(0.0), "{version}");
        bridge.stop();
    }
}

#[test]
fn a_bridge_that_is_away_finds_its_messages_in_the_session() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let mut expected = Vec::new();
    let bridge = scene.bridge(kafka, &Options::default());
    expected.extend(scene.publish("d", 0..100));
    bridge.stop();
    expected.extend(scene.publish("d", 100..400));
    let bridge = scene.bridge(kafka, &Options::default());
    let records = scene.wait_for_all(kafka, &expected);
    assert_eq!(records.len(), expected.len(), "a bridge that ended in order left nothing to be sent again");
    bridge.kill();
    expected.extend(scene.publish("d", 400..500));
    let bridge = scene.bridge(kafka, &Options::default());
    scene.wait_for_all(kafka, &expected);
    bridge.stop();
}

#[test]
fn a_bridge_that_ends_under_load_acknowledges_what_it_took_and_no_more() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let mut expected = Vec::new();
    for round in 0..4 {
        let proxy = MqttProxy::start(scene.mosquitto.port(), 0).expect("a proxy");
        let bridge = scene.bridge(kafka, &through(&proxy, ""));
        thread::scope(|scope| {
            let publishing = scope.spawn(|| scene.publish("d", round * 2_000..(round + 1) * 2_000));
            wait_until(LONG, "load", || proxy.messages() > 200);
            if round % 2 == 0 {
                bridge.stop();
            } else {
                bridge.kill();
            }
            expected.extend(publishing.join().expect("it publishes"));
        });
    }
    let bridge = scene.bridge(kafka, &Options::default());
    scene.wait_for_all(kafka, &expected);
    bridge.stop();
}

#[test]
fn a_client_with_the_same_id_takes_over_and_is_told_of() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let bridge = scene.bridge(kafka, &Options { mqtt: "connections: 1,".to_owned(), ..Options::default() });
    let mut expected = scene.publish("d", 0..50);
    scene.wait_for_all(kafka, &expected);
    // Connects as the bridge's connection, keeps its session, and leaves.
    scene.mosquitto.publish(&["-V", "5", "-i", "b-0", "-c", "-x", "3600", "-q", "1", "-t", "other", "-m", "x"]).expect("it connects");
    wait_until(LONG, "the end of the session", || {
        // Mosquitto 2.0 gives the reason in a form that the client library passes over, so any end counts here.
        bridge.metric("tributary_bridge_mqtt_disconnects_total").is_some_and(|count| count >= 1.0)
    });
    expected.extend(scene.publish("d", 50..100));
    scene.wait_for_all(kafka, &expected);
    bridge.stop();
}

#[test]
fn a_limit_of_messages_for_each_connection_is_shared_by_all() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let proxy = MqttProxy::start(scene.mosquitto.port(), 100).expect("a proxy");
    let bridge = scene.bridge(kafka, &through(&proxy, "connections: 5, expected_rate: 300,"));
    let began = std::time::Instant::now();
    let expected = scene.publish("d", 0..1_500);
    scene.wait_for_all(kafka, &expected);
    let seconds = began.elapsed().as_secs_f64();
    assert!((2.0..10.0).contains(&seconds), "1,500 messages at five times 100 in a second took {seconds} s");
    bridge.stop();
}

#[test]
fn two_bridges_share_the_messages() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let first = scene.bridge(kafka, &Options::default());
    let second = scene.bridge(kafka, &Options { bridge: "instance: c,".to_owned(), ..Options::default() });
    let expected = scene.publish("d", 0..1_000);
    let records = scene.wait_for_all(kafka, &expected);
    assert_eq!(records.len(), expected.len(), "each message goes to one of them");
    for bridge in [first, second] {
        assert!(bridge.metric("tributary_bridge_mqtt_accepted_total") > Some(100.0));
        bridge.stop();
    }
}

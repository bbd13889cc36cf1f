//! Kafka away: nothing is acknowledged, the broker keeps what it has, the bridge holds a bounded part of it.
use crate::scene::{LONG, Options, Scene};
use std::time::Duration;
use test_kit::{KafkaServer, MqttProxy, Signal, wait_until};

#[test]
fn without_kafka_messages_wait_in_the_broker() {
    let mut kafka = KafkaServer::start(&[]).expect("a broker of its own");
    for (version, killed) in [("version: 5,", true), ("version: 3.1.1,", false)] {
        let scene = Scene::new(&kafka, &[]);
        let proxy = MqttProxy::start(scene.mosquitto.port(), 0).expect("a proxy");
        let mqtt = format!("url: 'mqtt://127.0.0.1:{}', {version} receive_maximum: 50,", proxy.port());
        let bridge = scene.bridge(&kafka, &Options { mqtt, bridge: "unavailable_after: 1s,".to_owned(), ..Options::default() });
        let mut expected = scene.publish("d", 0..300);
        scene.wait_for_all(&kafka, &expected);
        wait_until(LONG, "all acknowledgements", || proxy.acks() == 300);
        if killed {
            kafka.kill();
        } else {
            kafka.signal(Signal::Stop).expect("it runs");
        }
        expected.extend(scene.publish("d", 300..5_000));
        wait_until(LONG, "a process that is not ready", || bridge.health.not_ready().contains_key("bridge/kafka"));
        let stalled = bridge.metric("tributary_bridge_stalled_seconds").unwrap_or_default();
        // Longer than the keep-alive of 5 s: the connection lives on without Kafka.
        wait_until(LONG, "a long outage", || bridge.metric("tributary_bridge_stalled_seconds").unwrap_or_default() > stalled + 12.0);
        assert_eq!(proxy.acks(), 300, "{version}: nothing is acknowledged without kafka");
        let held = bridge.metric("tributary_bridge_mqtt_unacknowledged_count").unwrap_or_default();
        let limit = if version.contains('5') { 100.0 } else { 200.0 };
        assert!(held > 0.0 && held <= limit, "{version}: the bridge holds {held} messages");
        assert_eq!(bridge.metric("tributary_bridge_mqtt_disconnects_total"), None, "{version}: the connections live on");
        if killed {
            kafka.restart().expect("it starts again");
        } else {
            kafka.signal(Signal::Continue).expect("it runs");
        }
        let records = scene.wait_for_all(&kafka, &expected);
        assert!(records.len() <= expected.len() + 100, "{version}: {} records of {} messages", records.len(), expected.len());
        wait_until(LONG, "a ready process", || bridge.health.not_ready().is_empty());
        bridge.stop();
    }
}

#[test]
fn a_topic_that_is_not_there_yet_keeps_its_messages_waiting() {
    let kafka = KafkaServer::shared();
    let mut scene = Scene::new(kafka, &[]);
    scene.topic = test_kit::unique_name("late");
    let bridge = scene.bridge(kafka, &Options::default());
    let expected = scene.publish("d", 0..100);
    wait_until(Duration::from_secs(120), "a topic in trouble", || bridge.metric("tributary_bridge_blocked_topics_count") == Some(1.0));
    assert_eq!(bridge.metric("tributary_bridge_mqtt_acknowledged_total"), Some(0.0));
    wait_until(LONG, "a process that is ready for other topics", || bridge.health.not_ready().is_empty());
    kafka.admin().create_topic(&scene.topic, crate::scene::PARTITIONS, 1, &[]).expect("create the topic");
    scene.wait_for_all(kafka, &expected);
    wait_until(LONG, "all acknowledgements", || bridge.metric("tributary_bridge_mqtt_acknowledged_total") == Some(100.0));
    bridge.stop();
}

#[test]
fn a_record_that_is_too_large_for_its_topic_is_refused_and_its_neighbours_are_not() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let topic = test_kit::unique_name("small");
    kafka
        .admin()
        .create_topic(&topic, crate::scene::PARTITIONS, 1, &[("max.message.bytes".to_owned(), "2000".to_owned())])
        .expect("create");
    kafka.admin().create_topic(&format!("{topic}.refused"), 1, 1, &[]).expect("create");
    let scene = Scene { topic, ..scene };
    // A long wait makes large batches: each of them is over the topic's bound, its records are not.
    let options = Options { bridge: "linger: 500ms,".to_owned(), route: "fields: {},".to_owned(), ..Options::default() };
    let bridge = scene.bridge(kafka, &options);
    let payload = |id: &str| format!("{{\"device_id\": \"{id}\", \"seq\": 1, \"measured_at\": 0}}\n");
    let mut random = 88_172_645_463_325_252_u64;
    let long: String = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        char::from(b'a' + u8::try_from(random >> 32 & 0x0F).expect("small"))
    })
    .take(100_000)
    .collect();
    scene.mosquitto.publish_lines("devices/long/telemetry", &payload(&long)).expect("the broker takes it");
    let mut expected = Vec::new();
    for n in 0..200 {
        expected.push((format!("d{n}"), 1));
        scene.mosquitto.publish_lines(&format!("devices/d{n}/telemetry"), &payload(&format!("d{n}"))).expect("the broker takes it");
    }
    scene.wait_for_all(kafka, &expected);
    wait_until(LONG, "the refused record", || scene.refused(kafka).len() == 1);
    let refused = scene.refused(kafka).remove(0);
    assert_eq!((refused.header("tributary.reason"), refused.header("tributary.source")), (Some("too_large"), Some("kafka")));
    wait_until(LONG, "all acknowledgements", || bridge.metric("tributary_bridge_mqtt_acknowledged_total") == Some(201.0));
    bridge.stop();
}

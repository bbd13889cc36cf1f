//! Clients nobody here wrote, over TLS and without, in both versions of the protocol.
use crate::scene::{LONG, Options, Scene};
use test_kit::{KafkaServer, PythonReaders, wait_until};

/// Publishes as many devices with QoS 1, waits for every PUBACK, and prints how many there were.
const PAHO: &str = r#"
import json, sys, time
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes
port, version, devices, messages = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
protocol = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="fleet-" + version, protocol=protocol)
client.max_inflight_messages_set(50)
client.max_queued_messages_set(0)
client.connect("127.0.0.1", port)
client.loop_start()
sent = []
for seq in range(messages):
    for device in range(devices):
        properties = None
        if version == "5":
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = ("sent_at", str(int(time.time() * 1000) - 90000))
        payload = json.dumps({"seq": seq, "measured_at": "2026-11-21T05:00:00.%03dZ" % (seq % 1000), "unknown": [1, {"a": None}]})
        sent.append(client.publish("devices/p%s-%d/telemetry" % (version[0], device), payload, qos=1, properties=properties))
for message in sent:
    message.wait_for_publish(60)
print(sum(message.is_published() for message in sent))
client.loop_stop()
client.disconnect()
"#;

fn all_of_paho(version: &str, devices: i64, messages: i64) -> Vec<(String, i64)> {
    (0..devices).flat_map(|device| (0..messages).map(move |seq| (format!("p{version}-{device}"), seq))).collect()
}

fn carry(options: impl Fn(&Scene) -> Options) {
    let (kafka, python) = (KafkaServer::shared(), PythonReaders::prepare().expect("python is there"));
    let scene = Scene::new(kafka, &[]);
    let bridge = scene.bridge(kafka, &options(&scene));
    let mut expected = scene.publish("m-1", 0..200);
    expected.extend(scene.publish("Gerät 7", 0..20));
    for version in ["5", "3.1.1"] {
        let port = scene.mosquitto.port().to_string();
        let accepted = python.run_python(PAHO, &[port.as_str(), version, "5", "40"]).expect("the client runs");
        assert_eq!(accepted.trim(), "200");
        expected.extend(all_of_paho(&version[..1], 5, 40));
    }
    let records = scene.wait_for_all(kafka, &expected);
    assert_eq!(records.len(), expected.len(), "without trouble nothing comes twice");
    assert!(scene.refused(kafka).is_empty());
    let count = expected.len() as f64;
    wait_until(LONG, "all acknowledgements", || bridge.metric("tributary_bridge_mqtt_acknowledged_total") == Some(count));
    assert_eq!(bridge.metric("tributary_bridge_mqtt_unacknowledged_count"), Some(0.0));
    assert_eq!(bridge.metric("tributary_bridge_mqtt_accepted_total"), Some(count));
    assert_eq!(bridge.metric("tributary_bridge_mqtt_age_seconds_count"), Some(count), "the age of each is known");
    bridge.stop();
}

#[test]
fn version_5_with_client_certificates() {
    carry(|scene| Options { mqtt: scene.tls_settings("bridge"), ..Options::default() });
}

#[test]
fn version_3_1_1_without_tls() {
    carry(|_| Options { mqtt: "version: 3.1.1,".to_owned(), ..Options::default() });
}

#[test]
fn version_3_1_1_with_client_certificates() {
    carry(|scene| Options { mqtt: format!("{} version: 3.1.1,", scene.tls_settings("bridge")), ..Options::default() });
}

#[test]
fn the_age_of_what_arrives_is_told_by_a_user_property() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let bridge = scene.bridge(kafka, &Options::default());
    let sent_at = "1000000000";
    let payload = "{\"seq\": 1, \"measured_at\": \"2099-01-01T00:00:00Z\"}";
    let topic = "devices/d/telemetry";
    let arguments = ["-V", "5", "-q", "1", "-t", topic, "-m", payload, "-D", "publish", "user-property", "sent_at", sent_at];
    scene.mosquitto.publish(&arguments).expect("the broker takes it");
    wait_until(LONG, "the age", || bridge.metric("tributary_bridge_mqtt_newest_age_seconds").is_some_and(|age| age > 700_000_000.0));
}

#[test]
fn order_is_kept_from_one_connection_to_kafka() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let bridge = scene.bridge(kafka, &Options { mqtt: "connections: 1,".to_owned(), ..Options::default() });
    let devices = ["a", "b", "c", "d", "e"];
    let mut expected = Vec::new();
    for round in 0..10 {
        for device in devices {
            expected.extend(scene.publish(device, round * 50..(round + 1) * 50));
        }
    }
    let records = scene.wait_for_all(kafka, &expected);
    for device in devices {
        let of_device: Vec<i64> =
            records.iter().map(crate::telemetry::identity).filter(|(id, _)| id == device).map(|(_, seq)| seq).collect();
        assert_eq!(of_device, (0..500).collect::<Vec<i64>>(), "device {device}");
    }
    bridge.stop();
}

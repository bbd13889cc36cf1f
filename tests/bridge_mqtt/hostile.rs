//! Input from devices that are broken or mean harm: it is refused with its bytes, and what is good beside it goes on.
use crate::scene::{LONG, Options, Scene};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use test_kit::{KafkaServer, wait_until};

#[test]
fn what_cannot_be_accepted_is_kept_with_reason_and_source() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let bridge = scene.bridge(kafka, &Options { route: "unknown_fields: refuse,".to_owned(), ..Options::default() });
    let long = "x".repeat(129);
    let hostile = [
        ("devices/d-1/telemetry".to_owned(), "{\"seq\": 1,", "invalid_json"),
        ("devices/d-1/telemetry".to_owned(), "{\"seq\": \"one\", \"measured_at\": 0}", "wrong_type"),
        ("devices/d-1/telemetry".to_owned(), "{\"measured_at\": 0}", "missing_field"),
        ("devices/d-1/telemetry".to_owned(), "{\"seq\": 1, \"measured_at\": 0, \"x\": 1}", "unknown_field"),
        ("devices/d-1/telemetry".to_owned(), "{\"seq\": 1, \"measured_at\": 0, \"device_id\": \"d-2\"}", "conflicting_field"),
        ("devices//telemetry".to_owned(), "{\"seq\": 1, \"measured_at\": 0}", "invalid_topic"),
        ("devices/../telemetry".to_owned(), "{\"seq\": 1, \"measured_at\": 0}", "invalid_topic"),
        (format!("devices/{long}/telemetry"), "{\"seq\": 1, \"measured_at\": 0}", "invalid_topic"),
        ("devices/a\u{202E}b/telemetry".to_owned(), "{\"seq\": 1, \"measured_at\": 0}", "invalid_topic"),
    ];
    for (topic, payload, _) in &hostile {
        scene.mosquitto.publish(&["-q", "1", "-t", topic, "-m", payload]).expect("the broker takes it");
    }
    let expected = scene.publish("good", 0..50);
    scene.wait_for_all(kafka, &expected);
    wait_until(LONG, "all refused records", || scene.refused(kafka).len() == hostile.len());
    let mut found: Vec<_> = scene
        .refused(kafka)
        .into_iter()
        .map(|record| {
            assert_eq!(record.header("tributary.source"), Some("mqtt"));
            let of = |name: &str| record.header(name).unwrap_or_default().to_owned();
            (of("tributary.mqtt_topic"), String::from_utf8(record.value.clone()).expect("text"), of("tributary.reason"))
        })
        .collect();
    let mut wanted: Vec<_> =
        hostile.iter().map(|(topic, payload, reason)| (topic.clone(), (*payload).to_owned(), (*reason).to_owned())).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    let all = (hostile.len() + expected.len()) as f64;
    wait_until(LONG, "all acknowledgements", || bridge.metric("tributary_bridge_mqtt_acknowledged_total") == Some(all));
}

#[test]
fn large_messages_do_not_stop_the_others() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let options = Options { bridge: "max_record_bytes: 64KiB,".to_owned(), ..Options::default() };
    let bridge = scene.bridge(kafka, &options);
    let file = scene.folder.path().join("large");
    // Within the packet's bound and over the record's; over the packet's, which the broker does not send.
    for bytes in [100 << 10, 300 << 10] {
        std::fs::write(&file, vec![b'x'; bytes]).expect("write a file");
        let file = file.display().to_string();
        scene.mosquitto.publish(&["-q", "1", "-t", "devices/d-1/telemetry", "-f", &file]).expect("the broker takes it");
    }
    let expected = scene.publish("good", 0..50);
    scene.wait_for_all(kafka, &expected);
    wait_until(LONG, "the refused record", || scene.refused(kafka).len() == 1);
    let refused = scene.refused(kafka).remove(0);
    assert_eq!((refused.header("tributary.reason"), refused.value.len()), (Some("too_large"), 64 << 10));
    assert_eq!(refused.header("tributary.size_bytes"), Some("102400"));
    assert_eq!(bridge.metric("tributary_bridge_mqtt_disconnects_total"), None, "no connection ended");
}

#[test]
fn a_wrong_authority_and_a_missing_certificate_keep_the_bridge_waiting() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    let other = Scene::new(kafka, &[]);
    let wrong = scene.tls_settings("bridge").replace(&scene.mosquitto.tls_port().to_string(), &other.mosquitto.tls_port().to_string());
    let without = scene.tls_settings("bridge");
    let without = without.split(" cert_file").next().expect("it has one").to_owned();
    for mqtt in [wrong, without] {
        let bridge = scene.start(kafka, &Options { mqtt, ..Options::default() });
        wait_until(LONG, "a failed connect", || bridge.metric("tributary_bridge_mqtt_disconnects_total").is_some_and(|count| count > 0.0));
        assert!(bridge.health.not_ready().contains_key("bridge/mqtt"));
        bridge.stop();
    }
}

#[test]
fn a_subscription_that_is_not_allowed_is_told() {
    let kafka = KafkaServer::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rights.json");
    // Mosquitto's files of access rights never deny a subscription, its plugin does.
    let rights = r#"{"defaultACLAccess":{"publishClientSend":true,"publishClientReceive":true,"subscribe":false,"unsubscribe":true}}"#;
    std::fs::write(&file, rights).expect("write a file");
    let plugin = mosquitto_plugin("mosquitto_dynamic_security.so").expect("the package of mosquitto has it");
    let lines = [format!("plugin {}", plugin.display()), format!("plugin_opt_config_file {}", file.display())];
    let scene = Scene::new(kafka, &lines.each_ref().map(String::as_str));
    for version in ["version: 5,", "version: 3.1.1,"] {
        let bridge = scene.start(kafka, &Options { mqtt: version.to_owned(), ..Options::default() });
        wait_until(LONG, "a told refusal", || {
            bridge.metric("tributary_bridge_mqtt_disconnects_total{reason=\"subscription\"").is_some_and(|count| count > 0.0)
        });
        assert!(bridge.health.not_ready().contains_key("bridge/mqtt"));
        bridge.stop();
    }
}

/// Where Debian puts plugins, by the machine's kind.
fn mosquitto_plugin(name: &str) -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.chain([PathBuf::from("/usr/lib")]).map(|folder| folder.join(name)).find(|file| file.exists())
}

/// Answers of a broker that means harm, after its CONNACK or in its place.
fn hostile_answers(connack: &[u8]) -> Vec<Vec<u8>> {
    let after = |bytes: &[u8]| [connack, bytes].concat();
    let mut answers = vec![
        vec![0xFF; 64],
        vec![0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0x20, 0x00],
        vec![0x30, 0x02, 0x00, 0x00],
        // A PUBLISH of 256 MB is announced; a topic longer than its packet; no topic; QoS 3; packet id 0.
        after(&[0x32, 0xFF, 0xFF, 0xFF, 0x7F]),
        after(&[0x32, 0x06, 0xFF, 0xFF, b'a', b'b', 0x00, 0x01]),
        after(&[0x32, 0x00]),
        after(&[0x36, 0x07, 0x00, 0x01, b'a', 0x00, 0x01, 0x00, b'x']),
        after(&[0x32, 0x06, 0x00, 0x01, b'a', 0x00, 0x00, 0x00]),
        // Properties longer than the packet; an unknown one; a user property that ends early; one that is no UTF-8; an alias nobody knows.
        after(&[0x32, 0x07, 0x00, 0x01, b'a', 0x00, 0x01, 0xFF, 0x7F]),
        after(&[0x32, 0x08, 0x00, 0x01, b'a', 0x00, 0x01, 0x02, 0xEE, 0x00]),
        after(&[0x32, 0x09, 0x00, 0x01, b'a', 0x00, 0x01, 0x03, 0x26, 0x00, 0x09]),
        after(&[0x32, 0x0D, 0x00, 0x01, b'a', 0x00, 0x01, 0x07, 0x26, 0x00, 0x01, 0xFF, 0x00, 0x01, 0xFE]),
        after(&[0x32, 0x08, 0x00, 0x00, 0x00, 0x01, 0x03, 0x23, 0x00, 0x09]),
        // Answers to what was never asked; packets that only clients send.
        after(&[0x40, 0x02, 0xFF, 0xFF]),
        after(&[0x62, 0x02, 0x00, 0x05]),
        after(&[0x90, 0x04, 0x00, 0x01, 0x00, 0x99]),
        after(&[0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00]),
        after(&[0xE0, 0x01, 0x8E]),
        after(&[0xF0, 0x00]),
    ];
    // Whatever comes by chance, the same in each run.
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..20 {
        let mut bytes = Vec::new();
        for _ in 0..40 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes.push(random.to_be_bytes()[3]);
        }
        answers.push(after(&bytes));
    }
    answers
}

#[test]
fn malformed_packets_end_connections_and_nothing_else() {
    let kafka = KafkaServer::shared();
    let scene = Scene::new(kafka, &[]);
    for (version, connack) in [("version: 5,", &[0x20, 0x03, 0x00, 0x00, 0x00][..]), ("version: 3.1.1,", &[0x20, 0x02, 0x00, 0x00][..])] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let (answers, given) = (hostile_answers(connack), Arc::new(AtomicUsize::new(0)));
        let wanted = answers.len();
        let counting = Arc::clone(&given);
        std::thread::spawn(move || {
            for (mut client, answer) in listener.incoming().flatten().zip(answers) {
                let mut connect = [0; 1_024];
                // The client may be gone: what it makes of the answer is all that matters.
                let _ = client.read(&mut connect);
                let _ = client.write_all(&answer);
                counting.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mqtt = format!("url: 'mqtt://127.0.0.1:{port}', {version} connections: 20,");
        let bridge = scene.start(kafka, &Options { mqtt, ..Options::default() });
        wait_until(LONG, "all answers", || given.load(Ordering::SeqCst) == wanted);
        let ends = || bridge.metric("tributary_bridge_mqtt_disconnects_total").unwrap_or_default();
        wait_until(LONG, "all ends", || ends() >= wanted as f64);
        assert!(bridge.metric("tributary_bridge_mqtt_disconnects_total{reason=\"protocol\"").unwrap_or_default() > 0.0, "{version}");
        assert!(
            bridge.metric("tributary_bridge_mqtt_disconnects_total{reason=\"packet_too_large\"").unwrap_or_default() > 0.0,
            "{version}"
        );
        bridge.stop();
    }
    assert_eq!(scene.count(kafka), 0);
}

#[test]
fn the_shipped_policies_bind_a_device_to_its_name_and_the_bridge_to_reading() {
    let read = |name: &str| -> Vec<Value> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/aws").join(name);
        let text = std::fs::read_to_string(&file).expect("the policy is shipped");
        let policy: Value = serde_json::from_str(&text).expect("it is JSON");
        policy["Statement"].as_array().expect("it has statements").clone()
    };
    let list = |value: &Value| -> Vec<String> {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        values.iter().map(|value| value.as_str().expect("texts").to_owned()).collect()
    };
    let device = read("iot-policy.json");
    for statement in device.iter().filter(|statement| statement["Effect"] == "Allow") {
        for resource in list(&statement["Resource"]) {
            assert!(resource.contains("${iot:Connection.Thing.ThingName}") && !resource.contains('*'), "{resource}");
        }
    }
    let denied: Vec<String> =
        device.iter().filter(|statement| statement["Effect"] == "Deny").flat_map(|statement| list(&statement["Resource"])).collect();
    for part in ["client/*+*", "client/*#*", "topic/*+*", "topic/*#*"] {
        assert!(denied.iter().any(|resource| resource.ends_with(part)), "{part}");
    }
    for statement in read("iot-bridge-policy.json") {
        let actions = list(&statement["Action"]);
        assert!(actions.iter().all(|action| ["iot:Connect", "iot:Subscribe", "iot:Receive"].contains(&action.as_str())), "{actions:?}");
    }
}

//! Input from devices that are broken or mean harm: it is refused with its bytes, and what is good beside it goes on.
use crate::scene::{LONG, Options, Scene};
use std::path::PathBuf;
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

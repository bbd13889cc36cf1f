use super::super::{Settings, SettingsFault};
use super::*;

fn parse(mqtt: &str) -> Result<MqttSettings, Vec<SettingsFault>> {
    let bridge = format!("{{mqtt: {mqtt}, routes: [{{filter: \"a/b/c/d/e/f/g/h/i\", topic: t}}]}}");
    let text = format!(
        "lake: ./lake\nkafka: {{bootstrap_servers: \"a:1\"}}\ntables: {{t: {{topics: [t]}}}}\nlake_writer: {{instance: w}}\nbridge: {bridge}\n"
    );
    let lookup = |name: &str| Some(format!("value-of-{name}"));
    let settings = Settings::parse("f", &text, &lookup).map_err(|error| error.faults)?.0;
    Ok(settings.bridge.and_then(|bridge| bridge.mqtt).expect("the file has a broker"))
}

#[test]
fn addresses_have_default_ports() {
    for (url, tls, host, port) in [
        ("mqtt://localhost", false, "localhost", 1_883),
        ("mqtt://127.0.0.1:9/", false, "127.0.0.1", 9),
        ("mqtts://b.example.com", true, "b.example.com", 8_883),
        ("mqtts://b.example.com:443", true, "b.example.com", 443),
    ] {
        let settings = MqttSettings { url: url.to_owned(), ..MqttSettings::default() };
        assert_eq!(settings.address(), Ok(MqttAddress { tls, host: host.to_owned(), port }), "{url}");
    }
    for url in
        ["", "localhost:1883", "http://a", "mqtt://", "mqtt://a:0", "mqtt://a:x", "mqtt://u:hunter2@a", "mqtt://[::1]:1", "mqtt://a/b"]
    {
        let what = MqttSettings { url: url.to_owned(), ..MqttSettings::default() }.address().expect_err(url);
        assert!(!what.contains("hunter2"), "{what}");
    }
}

#[test]
fn both_versions_are_written_as_people_do() {
    assert_eq!(parse("{url: \"mqtt://localhost\", version: 5}").expect("no faults").version, MqttVersion::V5);
    assert_eq!(parse("{url: \"mqtt://localhost\", version: 3.1.1}").expect("no faults").version, MqttVersion::V311);
    assert_eq!(parse("{url: \"mqtt://localhost\"}").expect("no faults").version, MqttVersion::V5);
}

#[test]
fn passwords_are_never_shown() {
    let mqtt = parse("{url: \"mqtt://localhost\", username: u, password: \"${SECRET}\"}").expect("no faults");
    assert_eq!(mqtt.password.as_ref().map(Secret::reveal), Some("value-of-SECRET"));
    assert!(!format!("{mqtt:?}").contains("value-of"));
}

#[test]
fn faults_say_where_and_what_to_write() {
    for (mqtt, path, part) in [
        ("{url: \"mqtt://10.0.0.1\"}", "bridge.mqtt.url", "no TLS"),
        ("{url: \"mqtts://b\"}", "bridge.mqtt.ca_file", "is missing"),
        ("{url: \"mqtts://b\", ca_file: c, cert_file: d}", "bridge.mqtt.key_file", "is missing"),
        ("{url: \"mqtt://localhost\", ca_file: c}", "bridge.mqtt.ca_file", "is for `mqtts://`"),
        ("{url: \"mqtt://localhost\", alpn: mqtt}", "bridge.mqtt.alpn", "is for `mqtts://`"),
        ("{url: \"mqtt://localhost\", group: \"a/b\"}", "bridge.mqtt.group", "shared subscription"),
        ("{url: \"mqtt://localhost\", connections: 4, expected_rate: 300}", "bridge.mqtt.connections", "too few"),
        ("{url: \"mqtt://localhost\", password: x}", "bridge.mqtt.password", "no user"),
        ("{url: \"mqtt://localhost\", keep_alive: 1s}", "bridge.mqtt.keep_alive", "out of range"),
        ("{url: \"mqtt://localhost\", receive_maximum: 0}", "bridge.mqtt.receive_maximum", "out of range"),
        ("{url: \"mqtt://localhost\", version: 4}", "bridge.mqtt.version", "expected text"),
        ("{url: \"mqtts://x-ats.iot.eu-west-1.amazonaws.com\", ca_file: c}", "bridge.routes[0].filter", "more than 7 slashes"),
    ] {
        let faults = parse(mqtt).expect_err(mqtt);
        assert!(faults.iter().any(|fault| fault.path == path && fault.what.contains(part)), "{mqtt}: {faults:?}");
    }
    parse("{url: \"mqtt://10.0.0.1\", plaintext: true}").expect("allowed");
    parse("{url: \"mqtt://localhost\", connections: 5, expected_rate: 300}").expect("enough");
}

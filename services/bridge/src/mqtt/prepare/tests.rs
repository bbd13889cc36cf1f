use super::*;
use crate::{
    destination::Destination,
    metrics::BridgeMetrics,
    mqtt::{router, topic::TopicLimits},
};
use event_schema::{SchemaFolder, SubjectSchema, encode::AvroEncoder, refused};
use prometheus::Registry;
use service_runtime::settings::Settings;

const SCHEMA: &str = r#"{"type":"record","name":"Telemetry","fields":[
    {"name":"device_id","type":"string"},
    {"name":"measured_at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"value","type":["null","double"],"default":null},
    {"name":"claimed","type":["null","string"],"default":null}]}"#;

/// Routes of a settings file, with schemas.
pub(crate) fn routes(text: &str) -> (Arc<Router>, Arc<dyn SchemaSource>) {
    let text = format!(
        "lake: ./lake\nkafka: {{bootstrap_servers: \"a:1\"}}\ntables: {{t: {{topics: [t]}}}}\nlake_writer: {{instance: w}}\n\
         bridge: {{instance: b, mqtt: {{url: \"mqtt://localhost\", max_topic_bytes: 64, max_segment_bytes: 16}}, max_record_bytes: 1KiB, routes: {text}}}\n"
    );
    let settings = Settings::parse("f", &text, &|_| None).expect("the settings are valid").0;
    let bridge = settings.bridge.expect("there is a bridge");
    let schema = |subject: &str, id| SubjectSchema { subject: subject.to_owned(), version: 1, id, avro_json: SCHEMA.to_owned() };
    let folder = SchemaFolder::from_subjects([schema("telemetry-value", 5), schema("raw-value", 6)]);
    let schemas: Arc<dyn SchemaSource> = Arc::new(folder);
    let destinations: Vec<_> = router::specs(&bridge).into_iter().map(|spec| Arc::new(Destination::new(spec, ".refused"))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for destination in &destinations {
        // One without a schema is a test of its own.
        let _ = runtime.block_on(destination.refresh(schemas.as_ref()));
    }
    let mqtt = bridge.mqtt.clone().expect("there is a broker");
    let metrics = BridgeMetrics::new(&Registry::new()).expect("a fresh registry").mqtt;
    (Arc::new(Router::new(&bridge, &mqtt, destinations, &metrics).expect("the settings are checked")), schemas)
}

fn preparer(text: &str) -> Preparer {
    let (router, schemas) = routes(text);
    Preparer::new(router, schemas, "b-0".to_owned())
}

fn message(topic: &[u8], payload: &[u8]) -> Message {
    Message { topic: topic.to_vec().into(), payload: payload.to_vec().into(), packet_id: Some(1), ..Message::default() }
}

const ONE: &str = "[{filter: \"devices/{device_id}/telemetry\", topic: telemetry, sent_at: measured_at}]";
const GOOD: &[u8] = br#"{"measured_at": 1795237200000, "value": 1.5}"#;

/// Topic of the refused record, code and a header.
fn refused_as(preparer: &mut Preparer, message: &Message, header: &str) -> (String, RefusalCode, Option<String>) {
    match preparer.prepare(message, 77) {
        Prepared::Refused { record, code, .. } => {
            let value =
                record.headers.iter().find(|(name, _)| name == header).map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            assert_eq!(record.timestamp_ms, Some(77));
            (record.topic, code, value)
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_topic_says_who_it_is() {
    let mut preparer = preparer(ONE);
    let message = message(b"devices/d-1/telemetry", GOOD);
    let Prepared::Record { record, conflicts, sent_at, .. } = preparer.prepare(&message, 0) else { panic!("accepted") };
    assert_eq!((record.topic, record.key, conflicts), ("telemetry", Some(&b"d-1"[..]), false));
    assert_eq!(sent_at, Some(1_795_237_200_000_000));
    let encoder = AvroEncoder::new(SCHEMA, 5).expect("a record");
    let expected = encoder.encode_json(br#"{"device_id": "d-1", "measured_at": 1795237200000, "value": 1.5}"#).expect("it fits");
    assert_eq!(record.value, Some(&expected[..]));
}

#[test]
fn a_claim_of_another_identity_is_refused_or_kept_beside() {
    let claims = br#"{"device_id": "d-2", "measured_at": 1795237200000}"#;
    let message = message(b"devices/d-1/telemetry", claims);
    let (topic, code, mqtt_topic) = refused_as(&mut preparer(ONE), &message, refused::MQTT_TOPIC);
    assert_eq!(
        (topic.as_str(), code, mqtt_topic.as_deref()),
        ("telemetry.refused", RefusalCode::ConflictingField, Some("devices/d-1/telemetry"))
    );
    let kept = "[{filter: \"devices/{id}/telemetry\", topic: telemetry, fields: {device_id: {segment: id, claimed_in: claimed}}}]";
    let mut kept = preparer(kept);
    let Prepared::Record { record, conflicts, .. } = kept.prepare(&message, 0) else { panic!("accepted") };
    assert!(conflicts);
    let encoder = AvroEncoder::new(SCHEMA, 5).expect("a record");
    let expected = encoder.encode_json(br#"{"device_id": "d-1", "measured_at": 1795237200000, "claimed": "d-2"}"#).expect("it fits");
    assert_eq!(record.value, Some(&expected[..]));
}

#[test]
fn hostile_topics_and_payloads_are_refused_with_their_bytes() {
    let mut preparer = preparer(ONE);
    let long = format!("devices/{}/telemetry", "x".repeat(17));
    let longer = format!("devices/{}/telemetry", "x".repeat(100));
    for (topic, payload, code) in [
        (&b"devices/d-1/telemetry"[..], &b"{"[..], RefusalCode::InvalidJson),
        (b"devices/d-1/telemetry", b"", RefusalCode::InvalidJson),
        (b"devices/d-1/telemetry", b"{\"measured_at\": \"soon\"}", RefusalCode::WrongType),
        (b"devices//telemetry", GOOD, RefusalCode::InvalidTopic),
        (b"devices/../telemetry", GOOD, RefusalCode::InvalidTopic),
        (b"devices/+/telemetry", GOOD, RefusalCode::InvalidTopic),
        (b"devices/a\0b/telemetry", GOOD, RefusalCode::InvalidTopic),
        (b"devices/\xff/telemetry", GOOD, RefusalCode::InvalidTopic),
        (long.as_bytes(), GOOD, RefusalCode::InvalidTopic),
        (longer.as_bytes(), GOOD, RefusalCode::InvalidTopic),
        (b"", GOOD, RefusalCode::InvalidTopic),
        (b"devices/d-1", GOOD, RefusalCode::NoRoute),
        (b"$SYS/broker/uptime", GOOD, RefusalCode::NoRoute),
        (b"devices/d-1/telemetry", &[b'x'; 2_000], RefusalCode::TooLarge),
    ] {
        let message = message(topic, payload);
        let (refused_topic, found, _) = refused_as(&mut preparer, &message, refused::REASON);
        assert_eq!((refused_topic.as_str(), found), ("telemetry.refused", code), "{:?}", String::from_utf8_lossy(topic));
        let Prepared::Refused { record, .. } = preparer.prepare(&message, 77) else { panic!("refused") };
        let kept = record.value.expect("the payload is kept");
        assert!(payload.starts_with(&kept) && (payload.len() > 1_024 || kept.len() == payload.len()));
    }
}

#[test]
fn avro_is_passed_on_as_it_is_if_it_says_what_its_topic_says() {
    let mut preparer = preparer("[{filter: \"raw/{device_id}\", topic: raw, format: avro, sent_at: measured_at}]");
    let encoder = AvroEncoder::new(SCHEMA, 6).expect("a record");
    let payload = encoder.encode_json(br#"{"device_id": "d-1", "measured_at": 1795237200000}"#).expect("it fits");
    let good = message(b"raw/d-1", &payload);
    let Prepared::Record { record, sent_at, .. } = preparer.prepare(&good, 0) else { panic!("accepted") };
    assert_eq!((record.value, record.key), (Some(&payload[..]), Some(&b"d-1"[..])));
    assert_eq!(sent_at, Some(1_795_237_200_000_000));
    let other = refused_as(&mut preparer, &message(b"raw/d-2", &payload), refused::REASON);
    assert_eq!(other.1, RefusalCode::ConflictingField);
    let short = refused_as(&mut preparer, &message(b"raw/d-1", &payload[..payload.len() - 1]), refused::REASON);
    assert_ne!(short.1, RefusalCode::ConflictingField);
    let unknown = refused_as(&mut preparer, &message(b"raw/d-1", b"\0\0\0\0\x63xx"), refused::REASON);
    assert_eq!(unknown.1, RefusalCode::UnknownSchema);
}

#[test]
fn without_a_schema_messages_wait() {
    let mut preparer = preparer("[{filter: \"a/{device_id}\", topic: nowhere}]");
    let message = message(b"a/d-1", GOOD);
    let Prepared::Wait { why } = preparer.prepare(&message, 0) else { panic!("it waits") };
    assert!(why.contains("nowhere-value"), "{why}");
}

#[test]
fn a_user_property_says_when_it_was_sent() {
    let mut preparer = preparer(ONE);
    let mut message = message(b"devices/d-1/telemetry", GOOD);
    message.properties = vec![("other".to_owned(), "1".to_owned()), ("sent_at".to_owned(), "1795237260000".to_owned())];
    let Prepared::Record { sent_at, .. } = preparer.prepare(&message, 0) else { panic!("accepted") };
    assert_eq!(sent_at, Some(1_795_237_260_000_000));
    message.properties = vec![("sent_at".to_owned(), "yesterday".to_owned())];
    let Prepared::Record { sent_at, .. } = preparer.prepare(&message, 0) else { panic!("accepted") };
    assert_eq!(sent_at, Some(1_795_237_200_000_000), "what cannot be read does not count");
}

#[test]
fn limits_are_those_of_the_settings() {
    let (router, _) = routes(ONE);
    let TopicLimits { topic_bytes, segment_bytes } = router.limits;
    assert_eq!((topic_bytes, segment_bytes, router.max_record_bytes), (64, 16, 1_024));
    assert_eq!(router.subscriptions("g"), ["$share/g/devices/+/telemetry"]);
}

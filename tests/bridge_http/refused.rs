//! What is refused: which record, which field, why, and where it is kept.
use crate::{
    reading::document,
    scene::{JSON, LINES, Options, PARTITIONS, Scene},
};
use serde_json::Value;
use test_kit::{KafkaServer, stored_records};

fn of_topic(scene: &Scene) -> usize {
    stored_records(KafkaServer::shared(), &scene.topic, PARTITIONS).len()
}

#[test]
fn bad_records_are_named_and_kept_and_their_neighbours_accepted() {
    let server = KafkaServer::shared();
    let scene = Scene::start(server, &Options::default());
    let wrong_type = r#"{"device_id": "d1", "seq": "eleven", "value": 1.5}"#;
    let missing = r#"{"device_id": "d1", "value": 1.5}"#;
    let unknown = r#"{"device_id": "d1", "seq": 1, "value": 1.5, "colour": "red"}"#;
    let lines =
        [&document(1, 1), wrong_type, &document(1, 2), missing, "{\"device_id\": ", unknown, "\u{1}\u{feff}", &document(1, 3)].join("\n");
    let answer = scene.posting(LINES, lines).header("Idempotency-Key: batch-1").must();
    let json = answer.json();
    assert_eq!((answer.status, answer.error().as_str()), (400, "records_refused"), "{json}");
    assert_eq!((json["records"].as_u64(), json["accepted"].as_u64(), json["refused"].as_u64()), (Some(8), Some(3), Some(5)));
    let results = json["results"].as_array().expect("a list");
    let of = |index: usize| (results[index]["status"].as_str(), results[index]["field"].as_str(), results[index]["reason"].as_str());
    assert_eq!(of(0), (Some("accepted"), None, None));
    assert_eq!(of(1), (Some("refused"), Some("seq"), Some("wrong_type")));
    assert_eq!(of(3), (Some("refused"), Some("seq"), Some("missing_field")));
    assert_eq!(of(4).2, Some("invalid_json"));
    assert_eq!(of(5), (Some("refused"), Some("colour"), Some("unknown_field")));
    assert_eq!((of(6).0, of(7).0), (Some("refused"), Some("accepted")));
    assert!(results[1]["detail"].as_str().is_some_and(|why| why.contains("seq")), "{json}");

    assert_eq!(of_topic(&scene), 3);
    let refused = stored_records(server, &format!("{}.refused", scene.topic), 1);
    assert_eq!(refused.len(), 5);
    let raw = |index: &str| refused.iter().find(|record| record.header("tributary.request_index") == Some(index)).expect("kept");
    assert_eq!(raw("1").value, wrong_type.as_bytes(), "as it came");
    assert_eq!(raw("3").value, missing.as_bytes());
    assert_eq!(raw("1").header("tributary.reason"), Some("wrong_type"));
    assert_eq!(raw("1").header("tributary.source"), Some("http"));
    assert_eq!(raw("1").header("tributary.client"), Some("gateway"));
    assert_eq!(raw("1").header("tributary.request_id"), Some("batch-1"));
    assert_eq!(results[1]["offset"], raw("1").offset, "the place is the refused record's");
}

#[test]
fn a_single_object_and_a_scalar_are_refused_alike() {
    let scene = Scene::start(KafkaServer::shared(), &Options::default());
    for (body, field) in
        [("{\"device_id\": 5, \"seq\": 1, \"value\": 1}", "device_id"), ("7", "row"), ("\"x\"", "row"), ("nonsense", "row")]
    {
        let answer = scene.post(JSON, body);
        let result: Value = answer.json()["results"][0].clone();
        assert_eq!((answer.status, result["field"].as_str()), (400, Some(field)), "{body}: {}", answer.body);
    }
    assert_eq!(of_topic(&scene), 0);
    assert_eq!(stored_records(KafkaServer::shared(), &format!("{}.refused", scene.topic), 1).len(), 4);
}

#[test]
fn a_body_that_is_malformed_as_a_whole_leaves_nothing_in_kafka() {
    let scene = Scene::start(KafkaServer::shared(), &Options::default());
    let good = document(1, 1);
    for body in [
        "".to_owned(),
        "  \n ".to_owned(),
        "[]".to_owned(),
        format!("[{good}"),
        format!("[{good},]"),
        format!("[{good} {good}]"),
        format!("[{good}] x"),
    ] {
        let answer = scene.post(JSON, body.clone());
        assert_eq!((answer.status, answer.error().as_str()), (400, "malformed_request"), "{body}: {}", answer.body);
    }
    let answer = scene.post(LINES, "\n\n");
    assert_eq!((answer.status, answer.error().as_str()), (400, "malformed_request"));
    assert_eq!(of_topic(&scene), 0);
    assert_eq!(stored_records(KafkaServer::shared(), &format!("{}.refused", scene.topic), 1).len(), 0);
}

#[test]
fn a_record_that_is_too_long_is_kept_by_its_head_and_hash() {
    let server = KafkaServer::shared();
    let scene = Scene::start(server, &Options { bridge: "max_record_bytes: 100KiB,", ..Options::default() });
    let long = format!("{{\"device_id\": \"{}\", \"seq\": 1, \"value\": 1}}", "x".repeat(200 << 10));
    let answer = scene.post(LINES, format!("{}\n{long}\n{}\n", document(1, 1), document(1, 2)));
    let json = answer.json();
    assert_eq!((answer.status, json["accepted"].as_u64()), (400, Some(2)), "{}", json["detail"]);
    assert_eq!(json["results"][1]["reason"], "too_large");
    let refused = stored_records(server, &format!("{}.refused", scene.topic), 1);
    assert_eq!(refused[0].value, &long.as_bytes()[..64 << 10]);
    assert_eq!(refused[0].header("tributary.size_bytes"), Some(long.len().to_string().as_str()));
    assert_eq!(refused[0].header("tributary.sha256").map(str::len), Some(64));
}

#[test]
fn a_record_that_kafka_itself_does_not_take_is_refused_by_its_answer() {
    let server = KafkaServer::shared();
    // The topic takes less than the bridge does: only the broker knows.
    let scene = Scene::start(server, &Options { topic_config: &[("max.message.bytes", "2000")], ..Options::default() });
    let long = format!("{{\"device_id\": \"{}\", \"seq\": 1, \"value\": 1}}", noise(20_000));
    let answer = scene.post(LINES, format!("{long}\n"));
    let json = answer.json();
    assert_eq!((answer.status, json["results"][0]["reason"].as_str()), (400, Some("too_large")), "{json}");
    assert_eq!(stored_records(server, &format!("{}.refused", scene.topic), 1).len(), 1);
    assert_eq!(of_topic(&scene), 0);
}

/// Text that does not compress.
fn noise(length: usize) -> String {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).expect("a letter"))
    };
    (0..length).map(|_| next()).collect()
}

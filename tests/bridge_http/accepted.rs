//! What is accepted, where it is then, and what the answer says.
use crate::{
    reading::{Reading, decoded, document},
    scene::{JSON, LINES, Options, PARTITIONS, Scene},
};
use serde_json::Value;
use std::collections::BTreeSet;
use test_kit::{KafkaServer, StoredRecord, stored_records};

fn scene() -> Scene {
    Scene::start(KafkaServer::shared(), &Options::default())
}

fn in_kafka(scene: &Scene) -> Vec<StoredRecord> {
    stored_records(KafkaServer::shared(), &scene.topic, PARTITIONS)
}

/// Each result's place holds the record of its index.
fn places_are_right(scene: &Scene, results: &Value, expected: &[Reading]) {
    let stored = in_kafka(scene);
    let results = results["results"].as_array().expect("a list");
    assert_eq!(results.len(), expected.len());
    for (index, (result, expected)) in results.iter().zip(expected).enumerate() {
        assert_eq!(result["index"], index);
        assert_eq!(result["status"], "accepted");
        let at = |record: &&StoredRecord| result["kafka_partition"] == record.kafka_partition && result["offset"] == record.offset;
        let record = stored.iter().find(at).unwrap_or_else(|| panic!("{result}: nothing is there"));
        assert_eq!(&decoded(record), expected);
        assert_eq!(record.key.as_deref(), Some(expected.device_id.as_str()), "the key field's text is the key");
        assert_eq!(record.value[..5], [0, 0, 0, 0, 7], "the header names the schema");
    }
}

fn reading(device: u32, seq: i64, message_id: Option<&str>) -> Reading {
    Reading { device_id: format!("d{device}"), seq, value: (seq % 50) as f64 + 0.5, message_id: message_id.map(str::to_owned) }
}

#[test]
fn one_object_an_array_and_lines_are_records_in_kafka() {
    let scene = scene();
    let one = scene.post(JSON, document(1, 0));
    assert_eq!(one.status, 200, "{}", one.body);
    let counts = |answer: &Value| ["records", "accepted", "refused"].map(|key| answer[key].as_u64().expect("a number"));
    assert_eq!(counts(&one.json()), [1, 1, 0]);
    places_are_right(&scene, &one.json(), &[reading(1, 0, None)]);

    let array = format!(" [{},\n {} ,{}] ", document(1, 1), document(2, 2), document(3, 3));
    let array = scene.post("Content-Type: application/json; charset=utf-8", array);
    assert_eq!((array.status, counts(&array.json())), (200, [3, 3, 0]));
    places_are_right(&scene, &array.json(), &[reading(1, 1, None), reading(2, 2, None), reading(3, 3, None)]);

    let lines: String = (4..1_004).map(|seq| format!("{}\n", document(seq as u32 % 7, seq))).collect();
    let answer = scene.post(LINES, format!("\n{lines}\n"));
    assert_eq!((answer.status, counts(&answer.json())), (200, [1_000, 1_000, 0]));
    let expected: Vec<Reading> = (4..1_004).map(|seq| reading(seq as u32 % 7, seq, None)).collect();
    places_are_right(&scene, &answer.json(), &expected);
    assert_eq!(in_kafka(&scene).len(), 1_004, "and nothing else");
    assert_eq!(scene.metric("tributary_bridge_http_records_total", &["accepted", &scene.topic]), 1_004.0);
}

#[test]
fn records_of_one_key_keep_their_order() {
    let scene = scene();
    for request in 0..5u64 {
        let lines: String = (0..400).map(|n| format!("{}\n", document((n % 4) as u32, request * 400 + n))).collect();
        assert_eq!(scene.post(LINES, lines).status, 200);
    }
    let stored = in_kafka(&scene);
    for device in ["d0", "d1", "d2", "d3"] {
        let of_device: Vec<i64> = stored.iter().filter(|r| r.key.as_deref() == Some(device)).map(|r| decoded(r).seq).collect();
        assert_eq!(of_device.len(), 500);
        assert!(of_device.is_sorted(), "{device}");
    }
}

#[test]
fn an_idempotency_key_makes_the_same_message_ids_again() {
    let scene = scene();
    let lines = format!("{}\n{}\n", document(1, 1), document(1, 2));
    let send = || scene.posting(LINES, lines.clone()).header("Idempotency-Key: 5f1c-77").must();
    let (first, second) = (send(), send());
    let ids = |answer: &crate::curl::Answer| -> Vec<String> {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let results = answer.json()["results"].as_array().expect("a list").clone();
        results.iter().map(|result| result["message_id"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(ids(&first), ["gateway/5f1c-77/0", "gateway/5f1c-77/1"]);
    assert_eq!(ids(&first), ids(&second));
    places_are_right(&scene, &first.json(), &[reading(1, 1, Some("gateway/5f1c-77/0")), reading(1, 2, Some("gateway/5f1c-77/1"))]);
    let stored = in_kafka(&scene);
    assert_eq!(stored.len(), 4, "the bridge remembers nothing: the lake drops duplicates");
    for record in &stored {
        assert_eq!(record.header("tributary.message_id"), decoded(record).message_id.as_deref());
    }
    let distinct: BTreeSet<_> = stored.iter().map(|record| decoded(record).message_id).collect();
    assert_eq!(distinct.len(), 2);

    let own = r#"{"device_id": "d1", "seq": 9, "value": 9.5, "message_id": "mine"}"#;
    let without = scene.post(JSON, own);
    assert_eq!(without.status, 200);
    places_are_right(&scene, &without.json(), &[reading(1, 9, Some("mine"))]);
    let both = scene.posting(JSON, own).header("Idempotency-Key: x").must();
    assert_eq!((both.status, both.json()["results"][0]["field"].as_str()), (400, Some("message_id")), "{}", both.body);
    for key in ["Idempotency-Key: a b", "Idempotency-Key: \"", &format!("Idempotency-Key: {}", "x".repeat(201))] {
        let answer = scene.posting(JSON, own).header(key).must();
        assert_eq!((answer.status, answer.error().as_str()), (400, "malformed_request"));
    }
}

#[test]
fn accepted_records_can_be_left_out_of_the_results() {
    let scene = scene();
    let lines = format!("{}\nx\n{}\n", document(1, 1), document(1, 2));
    let answer = scene.posting(LINES, lines).header("Prefer: return=minimal").must();
    let json = answer.json();
    assert_eq!((answer.status, json["records"].as_u64(), json["results"].as_array().map(Vec::len)), (400, Some(3), Some(1)));
    assert_eq!(json["results"][0]["index"], 1);
    assert_eq!(answer.headers.get("preference-applied").map(String::as_str), Some("return=minimal"));
    let answer = scene.posting(JSON, document(1, 3)).header("Prefer: return=minimal").must();
    assert_eq!((answer.status, answer.json()["results"].as_array().map(Vec::len)), (200, Some(0)));
}

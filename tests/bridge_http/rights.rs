//! Who may do what: every route, with every kind of token.
use crate::{
    contract,
    reading::document,
    scene::{JSON, LONG, Options, PARTITIONS, POOR_TOKEN, Scene, TOKEN},
};
use serde_json::Value;
use test_kit::{KafkaServer, stored_records, wait_until};

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"];

/// Every path of the served document, and some that do not exist.
fn paths(scene: &Scene) -> Vec<String> {
    let document: Value = scene.request("GET", "/v1/openapi.json").must().json();
    let documented = document["paths"].as_object().expect("an object").keys().map(|path| path.replace("{topic}", &scene.topic));
    let mut paths: Vec<String> = documented.collect();
    assert!(paths.len() >= 2);
    paths.extend(
        ["/", "/v1", "/metrics", "/admin", "/v1/topics", "/v1/topics/other/records", "/v1/topics/a%2f..%2fb/records"].map(str::to_owned),
    );
    paths
}

#[test]
fn no_path_answers_without_a_known_token() {
    let scene = Scene::start(KafkaServer::shared(), &Options::default());
    for path in paths(&scene) {
        for method in METHODS {
            let bare = || {
                let request = scene.bare(method, &path);
                // curl waits for the body of a HEAD unless told so.
                let request = if method == "HEAD" { request.argument("--head") } else { request };
                crate::curl::Request { body: (method == "POST").then(|| document(1, 1).into_bytes()), ..request.header(JSON) }
            };
            let wrong = ["", "Bearer", "Bearer wrong-token-wrong-token", "Basic dXNlcjpwYXNzd29yZA=="]
                .map(|value| format!("Authorization: {value}"));
            assert_eq!(bare().must().status, 401, "{method} {path} without a token");
            for header in wrong {
                let answer = bare().header(header.clone()).must();
                assert_eq!(answer.status, 401, "{method} {path} with `{header}`");
                assert!(answer.headers.contains_key("www-authenticate"));
            }
        }
    }
    let near = [&TOKEN[1..], &TOKEN[..TOKEN.len() - 1], &TOKEN.to_uppercase()];
    for token in near {
        assert_eq!(scene.bare("GET", "/v1/openapi.json").header(format!("Authorization: Bearer {token}")).must().status, 401);
    }
    assert!(stored_records(KafkaServer::shared(), &scene.topic, PARTITIONS).is_empty(), "nothing came through");
}

#[test]
fn tokens_carry_rights_by_topic() {
    let scene = Scene::start(KafkaServer::shared(), &Options::default());
    let poor = |path: &str| {
        let request = scene.bare("POST", path).header(format!("Authorization: Bearer {POOR_TOKEN}")).header(JSON);
        let answer = crate::curl::Request { body: Some(document(1, 1).into_bytes()), ..request }.must();
        (answer.status, answer.error(), answer.json()["detail"].clone())
    };
    let forbidden = poor(&scene.records_path());
    assert_eq!((forbidden.0, forbidden.1.as_str()), (403, "forbidden"));
    assert_eq!(poor("/v1/topics/no-such-topic/records"), forbidden, "nobody learns which topics there are");
    assert_eq!(poor("/v1/topics/elsewhere/records").0, 404, "the right alone makes no topic");
    let rich = |path: &str| crate::curl::Request { body: Some(b"{}".to_vec()), ..scene.request("POST", path).header(JSON) }.must();
    assert_eq!(rich("/v1/topics/no-such-topic/records").status, 404);
    assert_eq!(rich("/v1/elsewhere").status, 404);
    let other = scene.request("GET", &scene.records_path()).must();
    assert_eq!((other.status, other.headers.get("allow").map(String::as_str)), (405, Some("POST")));
    assert_eq!(scene.request("DELETE", "/v1/openapi.json").must().status, 405);
}

#[test]
fn tokens_change_without_a_restart() {
    let scene = Scene::start(KafkaServer::shared(), &Options::default());
    let of = |token: &str| scene.bare("GET", "/v1/openapi.json").header(format!("Authorization: Bearer {token}")).must().status;
    let next = "next-token-of-the-gateway-98765";
    assert_eq!((of(TOKEN), of(next)), (200, 401));
    scene.write_tokens(&[("gateway", TOKEN, "\"*\""), ("gateway", next, "\"*\"")]);
    wait_until(LONG, "the next token", || of(next) == 200);
    assert_eq!(of(TOKEN), 200, "both hold during the change");
    scene.write_tokens(&[("gateway", next, "\"*\"")]);
    wait_until(LONG, "the end of the old token", || of(TOKEN) == 401);
    assert_eq!(of(next), 200);
    scene.write("tokens.yaml", "tokens: [{name: gateway, token: short}]");
    wait_until(LONG, "the fault", || scene.metric("tributary_bridge_http_faulty_files", &["tokens"]) == 1.0);
    assert_eq!((of(next), of(TOKEN)), (200, 401), "what was read before stays in force");
    std::fs::remove_file(scene.folder.path().join("tokens.yaml")).expect("remove it");
    assert_eq!(of(next), 200);
    scene.write_tokens(&[("gateway", TOKEN, "\"*\"")]);
    wait_until(LONG, "the file's return", || of(TOKEN) == 200 && of(next) == 401);
    assert_eq!(scene.metric("tributary_bridge_http_faulty_files", &["tokens"]), 0.0);
}

#[test]
fn the_served_document_is_the_one_that_answers_are_held_against() {
    let scene = Scene::start(KafkaServer::shared(), &Options::default());
    let answer = scene.request("GET", "/v1/openapi.json").must();
    assert_eq!(answer.status, 200);
    contract::is_served(&answer.json());
    // Of a client with any token.
    assert_eq!(scene.bare("GET", "/v1/openapi.json").header(format!("Authorization: Bearer {POOR_TOKEN}")).must().status, 200);
}

//! A registry that fails in all ways: nothing good is refused, what is known goes on being found, and every cost has its bound.
mod server;

use event_schema::{
    LatestError, RefusalCode, SchemaLookup, SchemaSource, TableSchema,
    registry::{Credentials, RegistrySchemas, RegistrySettings},
};
use server::{Reply, Server, error, json, moment, not_there, schema, text};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

const PLAIN: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const LONG: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(600);

fn settings(urls: &[&str]) -> RegistrySettings {
    RegistrySettings {
        urls: urls.iter().map(ToString::to_string).collect(),
        timeout: Duration::from_millis(300),
        unknown_schema_wait: Duration::from_secs(3_600),
        ..RegistrySettings::default()
    }
}

fn registry(url: &str) -> RegistrySchemas {
    started(&settings(&[url]))
}

fn started(settings: &RegistrySettings) -> RegistrySchemas {
    RegistrySchemas::start(settings, &Handle::current()).expect("usable settings")
}

/// Looks an id up until it is no longer pending.
async fn settled(registry: &RegistrySchemas, id: u32) -> SchemaLookup {
    let began = Instant::now();
    loop {
        match registry.lookup(id) {
            SchemaLookup::Pending if began.elapsed() < LONG => moment(5).await,
            SchemaLookup::Pending => panic!("id {id} stays pending: {:?}", registry.pending_reason(id)),
            settled => return settled,
        }
    }
}

async fn found(registry: &RegistrySchemas, id: u32) -> String {
    match settled(registry, id).await {
        SchemaLookup::Found(found) => {
            assert_eq!(found.id, id);
            found.avro_json.clone()
        }
        other => panic!("id {id}: {other:?}"),
    }
}

/// Asserts that an id is pending, and stays so while the registry is asked at least so often.
async fn stays_pending(registry: &RegistrySchemas, id: u32, calls: u64) {
    let (began, before) = (Instant::now(), registry.status().calls);
    while began.elapsed() < SOON || registry.status().calls < before + calls {
        let lookup = registry.lookup(id);
        assert!(matches!(lookup, SchemaLookup::Pending), "{lookup:?}");
        assert!(began.elapsed() < LONG, "the registry is not asked: {:?}", registry.status());
        moment(5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_every_kind_refuses_nothing_and_ends() {
    let troubles: Vec<(&str, Reply)> = vec![
        ("500", error(500, 50_001)),
        ("503", text(503, "<html>")),
        ("429", error(429, 429)),
        ("401", error(401, 40_101)),
        ("403", text(403, "")),
        ("a 404 that is not the registry's", text(404, "<html>not found</html>")),
        ("a 404 of another path", error(404, 404)),
        ("garbage", text(200, "{\"schema\": ")),
        ("another shape", json(200, &serde_json::json!({ "schema": 7 }))),
        ("no schema in it", json(200, &serde_json::json!({}))),
        ("a schema that is not JSON", schema("syntax = \"proto3\";")),
        ("slow", Reply { delay: Duration::from_secs(5), ..schema(PLAIN) }),
        ("a body that never ends", Reply { endless: true, ..text(200, "") }),
        ("a short length", Reply { headers: vec![("Content-Length", "3".to_owned())], ..schema(PLAIN) }),
        ("a long length", Reply { headers: vec![("Content-Length", "99999999999".to_owned())], endless: true, ..schema(PLAIN) }),
        ("an empty answer", text(200, "")),
    ];
    for (name, reply) in troubles {
        let server = Server::start(move |path| if path.contains("/ids/1?") { schema(PLAIN) } else { reply.clone() }).await;
        let registry = registry(&server.url);
        found(&registry, 1).await;
        stays_pending(&registry, 2, 2).await;
        assert!(registry.pending_reason(2).is_some(), "{name}");
        assert!(matches!(registry.lookup(1), SchemaLookup::Found(_)), "{name}: what is known goes on being found");
        server.answer(|_| schema(PLAIN));
        assert_eq!(found(&registry, 2).await, PLAIN, "{name}");
        assert_eq!(registry.status().trouble, None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_not_read() {
    let huge = PLAIN.replace("\"R\",", &format!("\"R\",\"doc\":\"{}\",", "x".repeat(100_000)));
    let served = huge.clone();
    let server = Server::start(move |_| schema(&served)).await;
    let registry = started(&RegistrySettings { max_answer_bytes: 100_000, ..settings(&[&server.url]) });
    stays_pending(&registry, 1, 2).await;
    assert!(registry.pending_reason(1).is_some_and(|why| why.contains("more than `100000` bytes")), "{:?}", registry.pending_reason(1));
    assert_eq!(registry.status().trouble, None, "it says nothing of other ids");
    let larger = started(&RegistrySettings { max_answer_bytes: 110_000, ..settings(&[&server.url]) });
    assert_eq!(found(&larger, 1).await, huge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_waited_for() {
    let server = Server::start(|_| schema(PLAIN)).await;
    let registry = registry(&server.url);
    found(&registry, 1).await;
    let address = server.stop().await;
    stays_pending(&registry, 2, 2).await;
    assert!(registry.status().trouble.is_some());
    assert!(registry.pending_reason(2).is_some_and(|why| why.contains("in trouble")));
    assert!(matches!(registry.lookup(1), SchemaLookup::Found(_)), "what is known goes on being found");
    assert!(matches!(registry.latest("s").await, Err(LatestError::Unavailable(_))));
    let _back = Server::start_at(&address, |_| schema(PLAIN)).await;
    found(&registry, 2).await;
    assert_eq!(registry.status().trouble, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_registry_turns_nothing_away() {
    let there = Arc::new(AtomicBool::new(false));
    let shown = Arc::clone(&there);
    let server = Server::start(move |_| if shown.load(Ordering::SeqCst) { schema(PLAIN) } else { not_there() }).await;
    let registry = registry(&server.url);
    stays_pending(&registry, 7, 2).await;
    there.store(true, Ordering::SeqCst);
    found(&registry, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_nobody_registers_is_refused_after_its_wait() {
    let server = Server::start(|_| not_there()).await;
    let registry = started(&RegistrySettings { unknown_schema_wait: SOON, ..settings(&[&server.url]) });
    let began = Instant::now();
    let lookup = settled(&registry, 7).await;
    assert!(matches!(&lookup, SchemaLookup::Refused { code: RefusalCode::UnknownSchema, .. }), "{lookup:?}");
    assert!(began.elapsed() >= SOON);
    // The next one needs no wait, and many lookups no further call.
    let calls = registry.status().calls;
    settled(&registry, 8).await;
    for _ in 0..1_000 {
        assert!(matches!(registry.lookup(7), SchemaLookup::Refused { .. }));
    }
    assert_eq!(registry.status().calls, calls + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_schema_is_refused() {
    for kind in ["JSON", "PROTOBUF", "XML"] {
        let server = Server::start(move |_| json(200, &serde_json::json!({ "schema": "{}", "schemaType": kind }))).await;
        let lookup = settled(&registry(&server.url), 1).await;
        let right = |code: &RefusalCode, detail: &str| *code == RefusalCode::NotAvro && detail.contains(kind);
        assert!(matches!(&lookup, SchemaLookup::Refused { code, detail } if right(code, detail)), "{lookup:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let other = Server::start(|_| schema(PLAIN)).await;
    for status in [301, 302, 307, 308] {
        let location = format!("{}/schemas/ids/1", other.url);
        let redirect = move |_: &str| Reply { headers: vec![("Location", location.clone())], ..text(status, "") };
        let server = Server::start(redirect).await;
        let credentials = Credentials::Token("secret".to_owned());
        let registry = started(&RegistrySettings { credentials, ..settings(&[&server.url]) });
        stays_pending(&registry, 1, 2).await;
        assert!(registry.pending_reason(1).is_some_and(|why| why.contains(&status.to_string()) && !why.contains("secret")));
    }
    assert_eq!(other.requests().len(), 0, "the other host is never called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_ids_is_bounded_and_holds_nobody_up() {
    const PER_SECOND: u32 = 50;
    let server = Server::start(|path| if path.contains("/ids/1?") || path.contains("/ids/2?") { schema(PLAIN) } else { not_there() }).await;
    let flooded =
        RegistrySettings { calls_per_second: PER_SECOND, unknown_schema_wait: Duration::from_millis(100), ..settings(&[&server.url]) };
    let registry = started(&flooded);
    found(&registry, 1).await;
    let began = Instant::now();
    let (mut next, mut good) = (1_000, None);
    while began.elapsed() < Duration::from_secs(4) {
        for id in next..next + 500 {
            registry.lookup(id);
        }
        next += 500;
        assert!(matches!(registry.lookup(1), SchemaLookup::Found(_)), "what is known goes on being found");
        assert!(registry.status().pending_ids <= 1_000, "{:?}", registry.status());
        moment(10).await;
    }
    while good.is_none() {
        good = Some(settled(&registry, 2).await);
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    assert!(matches!(good, Some(SchemaLookup::Found(_))), "{good:?}");
    let times: Vec<Instant> = server.requests().iter().map(|(at, _)| *at).collect();
    for (index, start) in times.iter().enumerate() {
        let within = times[index..].iter().take_while(|at| **at < *start + Duration::from_secs(1)).count();
        assert!(within <= PER_SECOND as usize * 5 / 4, "{within} calls in a second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_schemas_have_their_bound() {
    let text = format!(r#"{{"type":"record","name":"R","doc":"{}","fields":[{{"name":"a","type":"int"}}]}}"#, "x".repeat(10_000));
    let served = text.clone();
    let server = Server::start(move |_| schema(&served)).await;
    let registry = started(&RegistrySettings { cache_bytes: 100_000, calls_per_second: 1_000, ..settings(&[&server.url]) });
    for id in 0..50 {
        assert_eq!(found(&registry, id).await, text);
    }
    let status = registry.status();
    assert!(status.cached_bytes > 50_000 && status.cached_bytes <= 100_000, "{status:?}");
    assert_eq!(found(&registry, 0).await, text, "what was dropped is asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_urls_are_one_registry() {
    let away = Server::start(|_| not_there()).await.stop().await;
    let lagging = Server::start(|_| not_there()).await;
    let there = Server::start(|path| if path.contains("/ids/1?") { schema(PLAIN) } else { not_there() }).await;
    let urls = [&format!("http://{away}"), lagging.url.as_str(), there.url.as_str()];
    let registry = started(&RegistrySettings { unknown_schema_wait: Duration::ZERO, ..settings(&urls) });
    found(&registry, 1).await;
    assert!(matches!(settled(&registry, 2).await, SchemaLookup::Refused { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn references_are_fetched_once_and_written_in() {
    let point = r#"{"type":"record","name":"geo.Point","fields":[{"name":"x","type":"double"}]}"#;
    let line = r#"{"type":"record","name":"geo.Line","fields":[{"name":"a","type":"geo.Point"},{"name":"b","type":"geo.Point"}]}"#;
    let root =
        r#"{"type":"record","name":"R","namespace":"app","fields":[{"name":"l","type":"geo.Line"},{"name":"p","type":"geo.Point"}]}"#;
    let refer = |names: &[&str]| -> serde_json::Value {
        names
            .iter()
            .map(|name| serde_json::json!({ "name": format!("geo.{name}"), "subject": format!("geo/{name}"), "version": 3 }))
            .collect()
    };
    let (direct, inner) = (refer(&["Line", "Point"]), refer(&["Point"]));
    let server = Server::start(move |path| {
        let (text, references) = match path {
            "/schemas/ids/1?deleted=true" => (root, direct.clone()),
            "/subjects/geo%2FLine/versions/3" => (line, inner.clone()),
            "/subjects/geo%2FPoint/versions/3" => (point, serde_json::Value::Null),
            _ => return not_there(),
        };
        json(200, &serde_json::json!({ "schema": text, "references": references, "id": 9, "version": 3 }))
    })
    .await;
    let whole = found(&registry(&server.url), 1).await;
    let table = TableSchema::parse(&whole).expect("it stands for itself");
    assert_eq!(table.columns().len(), 2);
    assert_eq!(server.requests().len(), 3, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_references_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    // Each refers to two others that nobody has named before.
    let server = Server::start(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst) * 2;
        let refer = |n: usize| serde_json::json!({ "name": format!("T{n}"), "subject": format!("t{n}"), "version": 1 });
        json(200, &serde_json::json!({ "schema": PLAIN, "id": 1, "references": [refer(number), refer(number + 1)] }))
    })
    .await;
    let registry = started(&RegistrySettings { calls_per_second: 1_000, ..settings(&[&server.url]) });
    stays_pending(&registry, 1, 101).await;
    let began = Instant::now();
    while !registry.pending_reason(1).is_some_and(|why| why.contains("refers to")) {
        assert!(began.elapsed() < LONG, "{:?}", registry.pending_reason(1));
        moment(5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_said_as_the_settings_say() {
    let server = Server::start(|_| schema(PLAIN)).await;
    let basic = Credentials::Basic { username: "key".to_owned(), password: "secret".to_owned() };
    for (credentials, header) in [
        (basic, Some("authorization: Basic a2V5OnNlY3JldA==")),
        (Credentials::Token("t0ken".to_owned()), Some("authorization: Bearer t0ken")),
        (Credentials::None, None),
    ] {
        let registry = started(&RegistrySettings { credentials, ..settings(&[&server.url]) });
        found(&registry, 1).await;
        assert!(!format!("{registry:?}").contains("secret") && !format!("{registry:?}").contains("t0ken"), "{registry:?}");
        let (_, head) = server.requests().pop().expect("a request");
        match header {
            Some(header) => assert!(head.to_lowercase().contains(&header.to_lowercase()), "{head}"),
            None => assert!(!head.to_lowercase().contains("authorization"), "{head}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_version_of_a_subject() {
    let server = Server::start(|path| match path {
        "/subjects/readings-value/versions/latest" => {
            json(200, &serde_json::json!({ "subject": "readings-value", "version": 4, "id": 44, "schema": PLAIN }))
        }
        "/subjects/other/versions/latest" => {
            json(200, &serde_json::json!({ "id": 1, "version": 1, "schema": "x", "schemaType": "PROTOBUF" }))
        }
        _ => error(404, 40_401),
    })
    .await;
    let registry = registry(&server.url);
    let latest = registry.latest("readings-value").await.expect("registered");
    assert_eq!((latest.version, latest.id, latest.avro_json.as_str()), (4, 44, PLAIN));
    let calls = server.requests().len();
    assert!(matches!(registry.lookup(44), SchemaLookup::Found(_)), "its id is known by that");
    assert_eq!(server.requests().len(), calls);
    let other = registry.latest("other").await.expect_err("another kind");
    assert!(matches!(&other, LatestError::Unusable(text) if text.contains("other") && text.contains("PROTOBUF")), "{other}");
    let gone = registry.latest("gone").await.expect_err("not there");
    assert!(matches!(&gone, LatestError::Missing(text) if text.contains("`gone`")), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_registered_or_not_taken_or_tried_again() {
    let server = Server::start(|path| match path {
        "/subjects/readings-value/versions" => json(200, &serde_json::json!({ "id": 45 })),
        "/subjects/changed/versions" => error(409, 409),
        "/subjects/faulty/versions" => error(422, 42_201),
        "/subjects/locked/versions" => error(401, 40_101),
        other => panic!("{other}"),
    })
    .await;
    let registry = registry(&server.url);
    assert_eq!(registry.register("readings-value", PLAIN).await, Ok(45));
    let (_, head) = server.requests().remove(0);
    assert!(head.starts_with("POST ") && head.contains(r#"\"name\":\"R\""#), "{head}");
    for subject in ["changed", "faulty"] {
        let refused = registry.register(subject, PLAIN).await.expect_err("not taken");
        assert!(
            matches!(&refused, LatestError::Unusable(what) if what.contains(subject) && what.contains("said by the registry")),
            "{refused}"
        );
    }
    assert!(matches!(registry.register("locked", PLAIN).await, Err(LatestError::Unavailable(_))));
    server.stop().await;
    assert!(matches!(registry.register("readings-value", PLAIN).await, Err(LatestError::Unavailable(_))));
}

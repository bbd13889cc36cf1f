//! Apicurio: what a real registry answers.
use super::*;
use crate::harness::LONG;
use event_schema::{RefusalCode, SchemaLookup, SchemaSource, TableSchema};
use std::sync::LazyLock;
use test_kit::{RegistryServer, Signal, wait_for};

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"));

fn client(settings: &RegistrySettings) -> RegistrySchemas {
    RegistrySchemas::start(settings, RUNTIME.handle()).expect("usable settings")
}

fn settled(client: &RegistrySchemas, id: u32) -> SchemaLookup {
    wait_for(LONG, "an answer", || match client.lookup(id) {
        SchemaLookup::Pending => None,
        settled => Some(settled),
    })
}

#[test]
fn ids_subjects_references_and_types_resolve() {
    let server = RegistryServer::shared();
    let (point, subject) = (test_kit::unique_name("geo-point"), test_kit::unique_name("app-value"));
    server.register(&point, r#"{"type":"record","name":"Point","namespace":"geo","fields":[{"name":"x","type":"double"}]}"#);
    let line = test_kit::unique_name("geo-line");
    let of_line = json!({
        "schema": r#"{"type":"record","name":"geo.Line","fields":[{"name":"a","type":"geo.Point"},{"name":"b","type":"geo.Point"}]}"#,
        "references": [{ "name": "geo.Point", "subject": point, "version": 1 }]
    });
    server.register_with(&line, &of_line);
    let root = json!({
        "schema": r#"{"type":"record","name":"R","namespace":"app","fields":[{"name":"l","type":"geo.Line"}]}"#,
        "references": [{ "name": "geo.Line", "subject": line, "version": 1 }]
    });
    let id = server.register_with(&subject, &root);
    let client = client(&RegistrySettings { unknown_schema_wait: Duration::from_millis(500), ..registry_of(&server.url()) });
    let SchemaLookup::Found(found) = settled(&client, id) else { panic!("{id} is registered") };
    let table = TableSchema::parse(&found.avro_json).expect("it stands for itself");
    assert_eq!(table.columns()[0].glue_type, "struct<a:struct<x:double>,b:struct<x:double>>");
    let latest = RUNTIME.block_on(client.latest(&subject)).expect("registered");
    assert_eq!((latest.id, latest.version, latest.avro_json.as_str()), (id, 1, found.avro_json.as_str()));
    let text = RUNTIME.block_on(client.latest("nobody-has-this")).expect_err("not there").to_string();
    assert!(text.contains("nobody-has-this"), "{text}");
    let unknown = settled(&client, 1_000_000);
    assert!(matches!(&unknown, SchemaLookup::Refused { code: RefusalCode::UnknownSchema, .. }), "{unknown:?}");
    assert_eq!(client.status().trouble, None);
}

#[test]
fn a_schema_of_another_type_is_no_avro() {
    let server = RegistryServer::shared();
    let client = client(&registry_of(&server.url()));
    let json_schema = r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"string"}}}"#;
    for (kind, text) in [("JSON", json_schema), ("PROTOBUF", "syntax = \"proto3\"; message M { string a = 1; }")] {
        let id = server.register_with(&test_kit::unique_name("other"), &json!({ "schema": text, "schemaType": kind }));
        let lookup = settled(&client, id);
        assert!(matches!(&lookup, SchemaLookup::Refused { code: RefusalCode::NotAvro, .. }), "{kind}: {lookup:?}");
    }
}

#[test]
fn a_frozen_registry_is_waited_for() {
    let server = RegistryServer::start().expect("a registry");
    let (subject, topic) = (test_kit::unique_name("frozen-value"), topic("frozen", 2));
    let first = server.register(&subject, FIRST);
    let lake = lake(&registry_of(&server.url()));
    let writer = lake.start(settings(&lake, &topic, &subject));
    let mut sent = lake.produce_raw(records(&topic, 0, (FIRST, first), 0..100));
    lake.wait_for_taken(TABLE, sent);
    let same = server.register_with(
        &test_kit::unique_name("same-value"),
        &json!({ "schema": FIRST.replace("\"Reading\",", "\"Reading\",\"doc\":\"again\",") }),
    );
    assert_ne!(same, first);
    server.signal(Signal::Stop).expect("it runs");
    let waits = lake.produce_raw(records(&topic, 1, (FIRST, same), 1_000..1_100));
    test_kit::wait_until(LONG, "it to wait", || writer.metric("tributary_writer_waiting_kafka_partitions") == 1.0);
    sent += lake.produce_raw(records(&topic, 0, (FIRST, first), 100..200));
    lake.wait_for_taken(TABLE, sent);
    assert_eq!(next_offset(&lake, &topic, 1), Some(0));
    server.signal(Signal::Continue).expect("it is there");
    lake.wait_for_taken(TABLE, sent + waits);
    assert!(writer.stop().stopped.is_empty());
    lake.assert_exactly_once(TABLE);
}

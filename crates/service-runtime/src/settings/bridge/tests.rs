use super::super::{Settings, SettingsFault};
use super::*;

fn parse(bridge: &str) -> Result<BridgeSettings, Vec<SettingsFault>> {
    let text = format!(
        "lake: ./lake\nkafka: {{bootstrap_servers: \"a:1\"}}\ntables: {{t: {{topics: [t]}}}}\nlake_writer: {{instance: w}}\nbridge: {bridge}\n"
    );
    let lookup = |name: &str| (name == "HOSTNAME").then(|| "bridge-0".to_owned());
    let settings = Settings::parse("f", &text, &lookup).map_err(|error| error.faults)?.0;
    Ok(settings.bridge.expect("the file has a bridge"))
}

fn with_route(route: &str) -> String {
    format!("{{mqtt: {{url: \"mqtt://localhost\"}}, routes: [{route}]}}")
}

#[test]
fn a_route_needs_filter_and_topic_only() {
    let bridge = parse(&with_route("{filter: \"devices/{device_id}/telemetry\", topic: telemetry}")).expect("no faults");
    let route = &bridge.routes[0];
    assert_eq!((bridge.instance.as_str(), route.subject.as_str(), route.key.as_str()), ("bridge-0", "telemetry-value", "device_id"));
    assert_eq!(route.segment_fields(), [("device_id".to_owned(), SegmentField { segment: "device_id".to_owned(), claimed_in: None })]);
    assert_eq!(route.encode_options().supplied[0].conflict, Conflict::Refuse);
    assert_eq!(bridge.queue_bytes, ByteSize(64 << 20));
}

#[test]
fn fields_and_unknown_fields_take_their_forms() {
    let route = "{filter: \"d/{id}/#\", topic: t, fields: {device: {segment: id, claimed_in: claimed}}, unknown_fields: {keep_in: extra}, epoch: millis}";
    let options = parse(&with_route(route)).expect("no faults").routes[0].encode_options();
    assert_eq!(options.supplied.len(), 1);
    assert_eq!(
        (options.supplied[0].field.as_str(), &options.supplied[0].conflict),
        ("device", &Conflict::KeepClaimedIn("claimed".to_owned()))
    );
    assert_eq!(options.unknown_fields, UnknownFields::KeepIn("extra".to_owned()));
    let none = parse(&with_route("{filter: \"d/{id}\", topic: t, fields: {}, unknown_fields: refuse}")).expect("no faults");
    assert!(none.routes[0].encode_options().supplied.is_empty());
    assert_eq!(none.routes[0].encode_options().unknown_fields, UnknownFields::Refuse);
}

#[test]
fn faults_say_where_and_what_to_write() {
    for (bridge, path, part) in [
        ("{}".to_owned(), "bridge", "hears nobody"),
        ("{routes: [{filter: a, topic: t}]}".to_owned(), "bridge.routes", "no `mqtt`"),
        ("{mqtt: {url: \"mqtt://localhost\"}}".to_owned(), "bridge.routes", "no route"),
        (with_route("{topic: t}"), "bridge.routes[0].filter", "is missing"),
        (with_route("{filter: \"a/b+\", topic: t}"), "bridge.routes[0].filter", "neither a text"),
        (with_route("{filter: \"$SYS/#\", topic: t}"), "bridge.routes[0].filter", "broker's own"),
        (with_route("{filter: \"a/{x}\", topic: \"a/b\"}"), "bridge.routes[0].topic", "no topic name"),
        (with_route("{filter: \"a/{x}\", topic: t, key: y}"), "bridge.routes[0].key", "no name `y`"),
        (with_route("{filter: \"a/{x}\", topic: t, fields: {f: {segment: y}}}"), "bridge.routes[0].fields.f.segment", "no name `y`"),
        (
            with_route("{filter: \"a/{x}\", topic: t, fields: {f: {segment: x, claimed_in: f}}}"),
            "bridge.routes[0].fields.f.claimed_in",
            "itself",
        ),
        (
            with_route("{filter: \"a/{x}\", topic: t, format: avro, fields: {f: {segment: x, claimed_in: g}}}"),
            "bridge.routes[0].fields.f.claimed_in",
            "passed on as it is",
        ),
        (with_route("{filter: \"a/{x}\", topic: t, unknown_fields: keep}"), "bridge.routes[0].unknown_fields", "no value"),
        (with_route("{filter: \"a/{x}\", topic: t}, {filter: \"+/b\", topic: u}"), "bridge.routes[1].filter", "route 0 too"),
        (
            "{queue_bytes: 1MiB, mqtt: {url: \"mqtt://localhost\"}, routes: [{filter: a, topic: t}]}".to_owned(),
            "bridge.queue_bytes",
            "out of range",
        ),
        (
            "{register_schemas: ./s, mqtt: {url: \"mqtt://localhost\"}, routes: [{filter: a, topic: t}]}".to_owned(),
            "bridge.register_schemas",
            "schema_registry",
        ),
        (
            "{instance: \"a/b\", mqtt: {url: \"mqtt://localhost\"}, routes: [{filter: a, topic: t}]}".to_owned(),
            "bridge.instance",
            "no instance name",
        ),
    ] {
        let faults = parse(&bridge).expect_err(&bridge);
        assert!(faults.iter().any(|fault| fault.path == path && fault.what.contains(part)), "{bridge}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.suggestion.is_some()), "{faults:?}");
    }
}

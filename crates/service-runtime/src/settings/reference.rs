//! docs/settings.md from the JSON Schema.
use serde_json::{Map, Value};
use std::fmt::Write;

const HEAD: &str = "# Settings\n\n\
One YAML file holds the settings of all services. `tributary check` reports all its faults at once, `tributary settings schema` prints its JSON\n\
Schema (schemas/tributary.schema.json) for editors. This page is generated from the same types; run `UPDATE_DOCS=1 cargo test -p service-runtime` after changing them.\n\n\
- A duration has a unit: `500ms`, `60s`, `5m`, `1h`, `30d`. A size may have one: `64KiB`, `512MiB`, `10MB`, `5000000`.\n\
- `${NAME}` in a text value stands for the environment variable `NAME`, which must be set; `$${` is a literal `${`. It is replaced after the file is\n  \
parsed, once, and never in keys, so a variable can bring neither structure nor further references. In a list in brackets put it in quotes.\n\
- Relative paths are relative to the folder of the settings file.\n\n";

/// One section per map of the file, settings in alphabetical order, required ones first.
pub(super) fn markdown(schema: &Value) -> String {
    let mut out = HEAD.to_owned();
    let sections = [
        ("", schema),
        ("kafka", &schema["$defs"]["KafkaSettings"]),
        ("kafka.security", &schema["$defs"]["KafkaSecurity"]["oneOf"][0]),
        ("schema_registry", &schema["$defs"]["SchemaRegistrySettings"]),
        ("tables.<name>", &schema["$defs"]["TableConfig"]),
        ("tables.<name>.topics[]", &schema["$defs"]["TopicOptions"]),
        ("transforms.<name>", &schema["$defs"]["TransformConfig"]),
        ("lake_writer", &schema["$defs"]["LakeWriterSettings"]),
        ("window_sealer", &schema["$defs"]["WindowSealerSettings"]),
        ("bridge", &schema["$defs"]["BridgeSettings"]),
        ("bridge.mqtt", &schema["$defs"]["MqttSettings"]),
        ("bridge.routes[]", &schema["$defs"]["RouteSettings"]),
        ("bridge.routes[].fields.<field>", &schema["$defs"]["SegmentField"]),
        ("bridge.http", &schema["$defs"]["HttpSettings"]),
        ("bridge.http.tls", &schema["$defs"]["HttpTlsFiles"]),
        ("bridge.http.topics.<name>", &schema["$defs"]["HttpTopicSettings"]),
        ("bridge.http.limits", &schema["$defs"]["HttpLimits"]),
    ];
    for (path, section) in sections {
        let title = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
        let _ = writeln!(out, "## {title}\n\n{}\n", describe(section));
        out.push_str("| setting | value | default | meaning |\n|---|---|---|---|\n");
        for (key, property) in ordered(section) {
            let _ = writeln!(
                out,
                "| `{key}` | {} | {} | {} |",
                form(schema, property),
                default(section, key, property),
                meaning(schema, section, property)
            );
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn required(section: &Value, key: &str) -> bool {
    section["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key))
}

fn ordered(section: &Value) -> Vec<(&String, &Value)> {
    let mut properties: Vec<_> = section["properties"].as_object().into_iter().flat_map(Map::iter).collect();
    properties.sort_by_key(|(key, _)| (!required(section, key), *key));
    properties
}

fn describe(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

fn definition<'a>(schema: &'a Value, property: &'a Value) -> (&'a Value, &'a str) {
    match property["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        Some(name) => (&schema["$defs"][name], name),
        None => (property, ""),
    }
}

/// Constants of an enum with their descriptions.
fn constants(inner: &Value) -> Vec<(&str, String)> {
    let variants = inner["oneOf"].as_array().into_iter().flatten();
    variants.filter_map(|variant| Some((variant["const"].as_str()?, describe(variant)))).collect()
}

fn form(schema: &Value, property: &Value) -> String {
    let (inner, name) = definition(schema, property);
    match name {
        "Duration" => return "duration".to_owned(),
        "IdleTimeout" => return "duration or `none`".to_owned(),
        "ByteSize" => return "size".to_owned(),
        _ => {}
    }
    let constants = constants(inner);
    if !constants.is_empty() {
        return constants.iter().map(|(value, _)| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = inner["const"].as_str() {
        return format!("`{value}`");
    }
    let kinds = match &inner["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match (kinds, inner["minimum"].as_f64(), inner["maximum"].as_f64()) {
        (Some("integer"), Some(low), Some(high)) => format!("{low} to {high}"),
        (Some("array"), ..) => "list".to_owned(),
        (Some("boolean"), ..) => "`true` or `false`".to_owned(),
        (Some("string"), ..) => "text".to_owned(),
        (None, ..) if inner.get("anyOf").is_some() => match inner["anyOf"].as_array().and_then(|variants| variants.first()) {
            Some(first) if definition(schema, first).1 == "Duration" => "duration".to_owned(),
            Some(first) if definition(schema, first).0["type"] == "object" => "map".to_owned(),
            _ => "text".to_owned(),
        },
        _ => "map".to_owned(),
    }
}

fn default(section: &Value, key: &str, property: &Value) -> String {
    if required(section, key) {
        return "required".to_owned();
    }
    match &property["default"] {
        Value::String(text) => format!("`{text}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::Bool(value) => format!("`{value}`"),
        _ => String::new(),
    }
}

fn meaning(schema: &Value, section: &Value, property: &Value) -> String {
    // A constant means what its variant does.
    let mut text = describe(if property.get("const").is_some() { section } else { property });
    for (value, description) in constants(definition(schema, property).0) {
        let _ = write!(text, " `{value}`: {description}");
    }
    text
}

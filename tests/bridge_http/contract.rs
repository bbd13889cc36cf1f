//! Holds real answers against the served OpenAPI document: their status must be documented, and their body must fit its schema.
use crate::curl::Answer;
use serde_json::Value;
use std::sync::OnceLock;

/// The document as the server gave it, once a test has fetched it; before that the file itself.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let text = include_str!("../../services/bridge/src/http/openapi.json");
        serde_json::from_str(text).expect("the document is JSON")
    })
}

/// Panics if the answer is not one that the document promises.
pub fn hold(method: &str, path: &str, answer: &Answer) {
    let known = if path == "/v1/openapi.json" { path } else { "/v1/topics/{topic}/records" };
    let operation = &document()["paths"][known][method.to_lowercase()];
    // Other methods are answered too: as the path's own one is with 405.
    let operation = if operation.is_null() { &document()["paths"]["/v1/topics/{topic}/records"]["post"] } else { operation };
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object() || answer.status == 404, "{method} {path}: status {} is not documented", answer.status);
    for (name, _) in response["headers"].as_object().into_iter().flatten() {
        assert!(answer.headers.contains_key(&name.to_lowercase()), "{method} {path}: {} without `{name}`", answer.status);
    }
    let schema = &response["content"]["application/json"]["schema"];
    if schema.is_object() && method != "HEAD" && !answer.body.is_empty() {
        assert_eq!(answer.headers.get("content-type").map(String::as_str), Some("application/json"), "{method} {path}");
        if let Err(what) = fits(&answer.json(), schema, "") {
            panic!("{method} {path}: {} does not fit its schema: {what}\n{}", answer.status, answer.body);
        }
    }
}

/// The served document is the one that answers are held against.
pub fn is_served(served: &Value) {
    let mut served = served.clone();
    served["info"]["version"] = document()["info"]["version"].clone();
    assert_eq!(&served, document());
}

fn fits(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().expect("a name");
        return fits(value, &document()["components"]["schemas"][name], at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let results: Vec<Result<(), String>> = choices.iter().map(|choice| fits(value, choice, at)).collect();
        let fitting = results.iter().filter(|result| result.is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("`{at}` fits {fitting} of its forms: {results:?}")) };
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("`{at}` is {value}"));
    }
    let is_kind = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        other => return Err(format!("`{at}`: type {other:?} is not known to this test")),
    };
    if !is_kind {
        return Err(format!("`{at}` is no {}: {value}", schema["type"]));
    }
    let bound = |key: &str| schema[key].as_i64();
    if let Some(number) = value.as_i64()
        && (bound("minimum").is_some_and(|low| number < low) || bound("maximum").is_some_and(|high| number > high))
    {
        return Err(format!("`{at}` is out of range: {number}"));
    }
    members(value, schema, at)
}

fn members(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(key).is_none() {
            return Err(format!("`{at}.{key}` is missing"));
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(inner) => fits(member, inner, &format!("{at}.{key}"))?,
            None if schema["additionalProperties"] == false => return Err(format!("`{at}.{key}` is not documented")),
            None => {}
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(item, &schema["items"], &format!("{at}[{index}]"))?;
    }
    Ok(())
}

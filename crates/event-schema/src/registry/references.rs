//! Schemas that refer to others, made to stand for themselves. Pure.
//!
//! Each named type is written out where it is first met and named afterwards, so the text grows by no more than the texts it refers to.
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Nesting of a schema's text.
const MAX_DEPTH: usize = 100;

/// Types whose name needs no definition.
const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// Writes the types that `text` refers to into it; `references` are the texts of all schemas that it refers to, directly or not.
///
/// # Errors
/// A text is not JSON, or nested too deeply.
pub(super) fn inline(text: &str, references: &[String]) -> Result<String, String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("the schema's text is not JSON: {error}"));
    let referenced = references.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut definitions = BTreeMap::new();
    for schema in &referenced {
        collect(schema, "", &mut definitions, 0)?;
    }
    let mut inlining = Inlining { definitions, defined: BTreeSet::new() };
    Ok(inlining.emit(&parse(text)?, "", 0)?.to_string())
}

/// Full name of a definition, with its namespace.
fn full_name(definition: &Map<String, Value>, outer: &str) -> Option<(String, String)> {
    let name = definition.get("name")?.as_str()?;
    if let Some((namespace, _)) = name.rsplit_once('.') {
        return Some((name.to_owned(), namespace.to_owned()));
    }
    let namespace = definition.get("namespace").and_then(Value::as_str).unwrap_or(outer);
    Some((qualified(name, namespace), namespace.to_owned()))
}

fn qualified(name: &str, namespace: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn is_definition(object: &Map<String, Value>) -> bool {
    matches!(object.get("type").and_then(Value::as_str), Some("record" | "error" | "enum" | "fixed"))
}

/// The places of an object that hold schemas.
const INNER: [&str; 3] = ["type", "items", "values"];

/// All named types of a schema, each with the namespace around it; the first definition of a name counts.
fn collect<'a>(
    schema: &'a Value,
    namespace: &str,
    definitions: &mut BTreeMap<String, (&'a Value, String)>,
    depth: usize,
) -> Result<(), String> {
    check_depth(depth)?;
    match schema {
        Value::Array(branches) => branches.iter().try_for_each(|branch| collect(branch, namespace, definitions, depth + 1)),
        Value::Object(object) => {
            let mut inner_namespace = namespace.to_owned();
            if is_definition(object)
                && let Some((name, own)) = full_name(object, namespace)
            {
                definitions.entry(name).or_insert_with(|| (schema, namespace.to_owned()));
                inner_namespace = own;
            }
            let fields = object.get("fields").and_then(Value::as_array).into_iter().flatten().filter_map(|field| field.get("type"));
            let inner = INNER.iter().filter_map(|key| object.get(*key)).filter(|value| !value.is_string());
            fields.chain(inner).try_for_each(|schema| collect(schema, &inner_namespace, definitions, depth + 1))
        }
        _ => Ok(()),
    }
}

fn check_depth(depth: usize) -> Result<(), String> {
    if depth < MAX_DEPTH { Ok(()) } else { Err(format!("the schema is nested deeper than `{MAX_DEPTH}`")) }
}

struct Inlining<'a> {
    definitions: BTreeMap<String, (&'a Value, String)>,
    defined: BTreeSet<String>,
}

impl Inlining<'_> {
    /// The schema with each named type written out at its first place and named by its full name after it.
    fn emit(&mut self, schema: &Value, namespace: &str, depth: usize) -> Result<Value, String> {
        check_depth(depth)?;
        match schema {
            Value::String(name) => self.emit_name(name, namespace, depth),
            Value::Array(branches) => {
                branches.iter().map(|branch| self.emit(branch, namespace, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(object) if is_definition(object) => self.emit_definition(object, namespace, depth),
            Value::Object(object) => {
                let mut out = object.clone();
                for key in INNER {
                    if let Some(inner) = object.get(key)
                        && !(key == "type" && matches!(inner.as_str(), Some("array" | "map")))
                    {
                        out.insert(key.to_owned(), self.emit(inner, namespace, depth + 1)?);
                    }
                }
                Ok(Value::Object(out))
            }
            other => Ok(other.clone()),
        }
    }

    /// A name: in the namespace around it, or else without one, as Avro's own parser looks names up.
    fn emit_name(&mut self, name: &str, namespace: &str, depth: usize) -> Result<Value, String> {
        if PRIMITIVES.contains(&name) {
            return Ok(Value::String(name.to_owned()));
        }
        let near = if name.contains('.') { name.to_owned() } else { qualified(name, namespace) };
        for full in [near, name.to_owned()] {
            if self.defined.contains(&full) {
                return Ok(Value::String(full));
            }
            if let Some((definition, outer)) = self.definitions.get(&full).map(|(definition, outer)| (*definition, outer.clone())) {
                return self.emit(definition, &outer, depth + 1);
            }
        }
        Ok(Value::String(name.to_owned()))
    }

    fn emit_definition(&mut self, object: &Map<String, Value>, outer: &str, depth: usize) -> Result<Value, String> {
        let Some((name, namespace)) = full_name(object, outer) else { return Ok(Value::Object(object.clone())) };
        if !self.defined.insert(name.clone()) {
            return Ok(Value::String(name));
        }
        let mut out = object.clone();
        out.insert("name".to_owned(), Value::String(name));
        // The full name says it; without one it must not be taken from around.
        out.remove("namespace");
        if namespace.is_empty() {
            out.insert("namespace".to_owned(), Value::String(String::new()));
        }
        if let Some(fields) = object.get("fields").and_then(Value::as_array) {
            let fields = fields.iter().map(|field| self.emit_field(field, &namespace, depth)).collect::<Result<_, _>>()?;
            out.insert("fields".to_owned(), Value::Array(fields));
        }
        Ok(Value::Object(out))
    }

    fn emit_field(&mut self, field: &Value, namespace: &str, depth: usize) -> Result<Value, String> {
        let mut out = field.clone();
        if let (Some(out), Some(schema)) = (out.as_object_mut(), field.get("type")) {
            out.insert("type".to_owned(), self.emit(schema, namespace, depth + 1)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableSchema;

    /// Canonical text of what comes out.
    fn canonical(text: &str, references: &[&str]) -> String {
        let references: Vec<String> = references.iter().map(ToString::to_string).collect();
        let inlined = inline(text, &references).expect("JSON");
        TableSchema::parse(&inlined).unwrap_or_else(|error| panic!("{error}: {inlined}")).avro_json().to_owned()
    }

    const SITE: &str = r#"{"type":"record","name":"Site","namespace":"geo","fields":[{"name":"at","type":"Point"},{"name":"next","type":["null","geo.Point"]}]}"#;
    const POINT: &str = r#"{"type":"record","name":"geo.Point","fields":[{"name":"x","type":"double"},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}}]}"#;

    #[test]
    fn types_are_written_out_once_and_named_afterwards() {
        let text = r#"{"type":"record","name":"Reading","namespace":"app","fields":[
            {"name":"sites","type":{"type":"array","items":"geo.Site"}},
            {"name":"spare","type":["null","geo.Site"],"default":null},
            {"name":"kinds","type":{"type":"map","values":"geo.Kind"}}]}"#;
        let by_hand = r#"{"type":"record","name":"Reading","namespace":"app","fields":[
            {"name":"sites","type":{"type":"array","items":{"type":"record","name":"geo.Site","fields":[
                {"name":"at","type":{"type":"record","name":"geo.Point","fields":[{"name":"x","type":"double"},
                    {"name":"kind","type":{"type":"enum","name":"geo.Kind","symbols":["A","B"]}}]}},
                {"name":"next","type":["null","geo.Point"]}]}}},
            {"name":"spare","type":["null","geo.Site"],"default":null},
            {"name":"kinds","type":{"type":"map","values":"geo.Kind"}}]}"#;
        let wanted = TableSchema::parse(by_hand).expect("a schema").avro_json().to_owned();
        assert_eq!(canonical(text, &[POINT, SITE]), wanted);
        assert_eq!(canonical(text, &[SITE, POINT]), wanted, "in any order");
    }

    #[test]
    fn a_type_inside_a_referenced_one_may_come_first() {
        let text = r#"{"type":"record","name":"R","fields":[{"name":"k","type":"geo.Kind"},{"name":"p","type":"geo.Point"}]}"#;
        let inlined = inline(text, &[POINT.to_owned()]).expect("JSON");
        assert_eq!(inlined.matches("symbols").count(), 1, "{inlined}");
        TableSchema::parse(&inlined).expect("a schema");
    }

    #[test]
    fn names_are_looked_up_around_and_then_without_namespace() {
        let bare = r#"{"type":"fixed","name":"Hash","size":4}"#;
        let text = r#"{"type":"record","name":"R","fields":[{"name":"h","type":"Hash"},{"name":"i","type":["null","Hash"]}]}"#;
        assert!(canonical(text, &[bare]).contains(r#""size":4"#));
        let unknown = inline(r#"{"type":"record","name":"R","fields":[{"name":"h","type":"Gone"}]}"#, &[]).expect("JSON");
        assert!(TableSchema::parse(&unknown).is_err(), "a missing type stays missing");
    }

    #[test]
    fn attributes_and_defaults_stay_as_they_are() {
        let text = r#"{"type":"record","name":"R","fields":[{"name":"p","type":"geo.Point","default":{"x":1.5,"kind":"B"},"doc":"geo.Kind"},
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#;
        let inlined = inline(text, &[POINT.to_owned()]).expect("JSON");
        for part in [r#""default":{"kind":"B","x":1.5}"#, r#""doc":"geo.Kind""#, r#""precision":9"#] {
            assert!(inlined.contains(part), "{part} in {inlined}");
        }
    }

    #[test]
    fn deep_and_circular_texts_end() {
        let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(120), "}".repeat(120));
        assert!(inline(&deep, &[]).is_err());
        let circle = r#"{"type":"record","name":"A","fields":[{"name":"a","type":["null","B"]}]}"#;
        let back = r#"{"type":"record","name":"B","fields":[{"name":"b","type":["null","A"]}]}"#;
        let inlined = inline(circle, &[back.to_owned()]).expect("JSON");
        assert_eq!(inlined.matches("fields").count(), 2, "{inlined}");
    }
}

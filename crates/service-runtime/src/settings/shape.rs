//! Walks the tree of a settings file against the JSON Schema, so that all faults of shape are found in one pass: unknown and repeated
//! keys, missing and mistyped values, texts that are no duration, unset variables. What is faulty is left out of the result.
use super::document::{Entry, Kind, Node};
use super::environment::{Lookup, substitute};
use super::fault::SettingsFault;
use super::table::StartFrom;
use super::units::{ByteSize, Duration};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What the walk found.
pub(super) struct Shaped {
    /// The faultless part.
    pub value: Value,
    /// All faults.
    pub faults: Vec<SettingsFault>,
    /// Line of each path in the file.
    pub lines: BTreeMap<String, usize>,
}

/// Walks the whole file.
pub(super) fn walk(schema: &Value, root: &Node, lookup: Lookup<'_>) -> Shaped {
    let mut walk = Walk { schema, lookup, faults: Vec::new(), lines: BTreeMap::new() };
    let empty = Node { line: 1, kind: Kind::Map(Vec::new()) };
    let root = if matches!(root.kind, Kind::Null) { &empty } else { root };
    let value = walk.value(schema, root, "").unwrap_or_else(|| Value::Object(Map::new()));
    Shaped { value, faults: walk.faults, lines: walk.lines }
}

struct Walk<'a> {
    schema: &'a Value,
    lookup: Lookup<'a>,
    faults: Vec<SettingsFault>,
    lines: BTreeMap<String, usize>,
}

impl<'a> Walk<'a> {
    fn fault(&mut self, path: &str, line: usize, what: String, suggestion: Option<String>) {
        self.faults.push(SettingsFault { path: path.to_owned(), line: Some(line), what, suggestion });
    }

    /// The node as JSON; `None`: faulty, and reported.
    fn value(&mut self, schema: &'a Value, node: &Node, path: &str) -> Option<Value> {
        let (schema, name) = self.resolve(schema);
        if let Some(variants) = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array) {
            return self.choice(variants, node, path);
        }
        match (&node.kind, kind_of(schema)) {
            (Kind::Map(entries), "object") => self.map(schema, node, entries, path),
            (Kind::List(items), "array") => self.list(schema, items, path),
            (Kind::Text(text), "string" | "integer" | "boolean") => self.text(schema, name, (node, text), path),
            (Kind::Integer(number), "integer") => self.integer(schema, node, *number, path),
            (Kind::Integer(number), "string") if accepts(schema, "integer") => self.integer(schema, node, *number, path),
            (Kind::Bool(value), "boolean") => Some(Value::Bool(*value)),
            (found, expected) => {
                let suggestion = suggest_form(name, found, expected);
                self.fault(path, node.line, format!("expected {}, found {}", form_name(name, expected), found.name()), suggestion);
                None
            }
        }
    }

    /// Follows `$ref`; also the name of the definition.
    fn resolve(&self, schema: &'a Value) -> (&'a Value, &'a str) {
        let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) else {
            return (schema, "");
        };
        let (inner, inner_name) = self.resolve(&self.schema["$defs"][name]);
        (inner, if inner_name.is_empty() { name } else { inner_name })
    }

    fn map(&mut self, schema: &'a Value, node: &Node, entries: &[Entry], path: &str) -> Option<Value> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties").filter(|s| s.is_object());
        let mut out = Map::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in entries {
            let at = join(path, &entry.key);
            if let Some(first) = seen.insert(&entry.key, entry.line) {
                self.fault(&at, entry.line, "is given twice".to_owned(), Some(format!("it is also on line {first}; remove one")));
                continue;
            }
            self.lines.insert(at.clone(), entry.line);
            match properties.and_then(|p| p.get(&entry.key)).or(additional) {
                _ if matches!(entry.value.kind, Kind::Null) => continue,
                Some(inner) => {
                    if let Some(value) = self.value(inner, &entry.value, &at) {
                        out.insert(entry.key.clone(), value);
                    }
                }
                None => {
                    let known = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect::<Vec<_>>();
                    self.fault(&at, entry.line, "is no setting".to_owned(), closest(&entry.key, &known));
                }
            }
        }
        self.missing(schema, node, entries, path);
        Some(Value::Object(out))
    }

    fn missing(&mut self, schema: &'a Value, node: &Node, entries: &[Entry], path: &str) {
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !entries.iter().any(|entry| entry.key == key && !matches!(entry.value.kind, Kind::Null)) {
                let at = join(path, key);
                let line = self.lines.get(&at).or(self.lines.get(path)).copied().unwrap_or(node.line);
                let example = schema["properties"][key].get("description").and_then(Value::as_str).and_then(example_of);
                self.fault(&at, line, "is missing".to_owned(), example.map(|text| format!("for example `{key}: {text}`")));
            }
        }
    }

    fn list(&mut self, schema: &'a Value, items: &[Node], path: &str) -> Option<Value> {
        let mut out = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{path}[{index}]");
            self.lines.insert(at.clone(), item.line);
            out.extend(self.value(&schema["items"], item, &at));
        }
        Some(Value::Array(out))
    }

    /// One of several forms: constants, objects told apart by a constant property, or forms told apart by the node's kind.
    fn choice(&mut self, variants: &'a [Value], node: &Node, path: &str) -> Option<Value> {
        let real = || variants.iter().filter(|v| v.get("type").and_then(Value::as_str) != Some("null"));
        let constants: Vec<&str> = real().flat_map(constants_of).collect();
        if !constants.is_empty() {
            return self.constant(&constants, node, path);
        }
        if let Kind::Map(entries) = &node.kind
            && let Some(chosen) = self.tagged(variants, entries, path)
        {
            return chosen.and_then(|variant| self.value(variant, node, path));
        }
        let wanted = if matches!(node.kind, Kind::Map(_)) { "object" } else { "string" };
        let fits = real().find(|variant| kind_of(self.resolve(variant).0) == wanted).or_else(|| real().next())?;
        self.value(fits, node, path)
    }

    fn constant(&mut self, constants: &[&str], node: &Node, path: &str) -> Option<Value> {
        // Versions look like numbers: `5` means `"5"` where that is a value of the setting.
        if let Kind::Integer(number) = &node.kind
            && let Some(constant) = constants.iter().find(|constant| **constant == number.to_string())
        {
            return Some(Value::from(*constant));
        }
        let Kind::Text(raw) = &node.kind else {
            self.fault(
                path,
                node.line,
                format!("expected text, found {}", node.kind.name()),
                Some(format!("one of {}", quoted(constants))),
            );
            return None;
        };
        let text = self.substituted(raw, node.line, path)?;
        if constants.contains(&text.as_str()) {
            return Some(Value::String(text));
        }
        self.fault(path, node.line, format!("`{raw}` is no value of this setting"), closest(&text, constants));
        None
    }

    /// The variant whose constant property the map names; `Some(None)`: none of them, and reported.
    fn tagged(&mut self, variants: &'a [Value], entries: &[Entry], path: &str) -> Option<Option<&'a Value>> {
        let tag = |variant: &'a Value| {
            let properties = variant.get("properties")?.as_object()?;
            properties.iter().find_map(|(key, schema)| Some((key.as_str(), schema.get("const")?.as_str()?)))
        };
        let key = variants.iter().find_map(tag)?.0;
        let values: Vec<&str> = variants.iter().filter_map(tag).map(|(_, value)| value).collect();
        let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
            let line = self.lines.get(path).copied().unwrap_or(1);
            self.fault(&join(path, key), line, "is missing".to_owned(), Some(format!("one of {}", quoted(&values))));
            return Some(None);
        };
        self.lines.insert(join(path, key), entry.line);
        let Some(Value::String(value)) = self.constant(&values, &entry.value, &join(path, key)) else { return Some(None) };
        Some(variants.iter().find(|variant| tag(variant) == Some((key, &value))))
    }

    fn text(&mut self, schema: &'a Value, name: &str, (node, raw): (&Node, &str), path: &str) -> Option<Value> {
        let text = self.substituted(raw, node.line, path)?;
        let from_environment = text != raw;
        match kind_of(schema) {
            // Text from the environment has no type of its own.
            "integer" if from_environment && text.parse::<i64>().is_ok() => {
                return self.integer(schema, node, text.parse::<i64>().ok()?.into(), path);
            }
            "boolean" if from_environment && text.parse::<bool>().is_ok() => return text.parse().ok().map(Value::Bool),
            kind @ ("integer" | "boolean") => {
                let suggestion = if from_environment { "the variable must hold that" } else { "write it without quotes" };
                self.fault(path, node.line, format!("expected {}, found text", form_name(name, kind)), Some(suggestion.to_owned()));
                return None;
            }
            _ => {}
        }
        if let Some(value) = schema.get("const").and_then(Value::as_str)
            && text != value
        {
            self.fault(path, node.line, format!("`{raw}` is not `{value}`"), None);
            return None;
        }
        let name = if matches!(path, "admin" | "bridge.http.listen") { "SocketAddr" } else { name };
        if let Err((what, suggestion)) = parse_leaf(name, &text) {
            // The text of a variable may be a secret: show the reference in its place.
            let what = if from_environment { what.replace(&text, raw) } else { what };
            self.fault(path, node.line, what, Some(suggestion.to_owned()));
            return None;
        }
        Some(Value::String(text))
    }

    fn substituted(&mut self, raw: &str, line: usize, path: &str) -> Option<String> {
        match substitute(raw, self.lookup) {
            Ok(text) => Some(text.unwrap_or_else(|| raw.to_owned())),
            Err((what, suggestion)) => {
                self.fault(path, line, what, Some(suggestion));
                None
            }
        }
    }

    fn integer(&mut self, schema: &Value, node: &Node, number: i128, path: &str) -> Option<Value> {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let (low, high) = (bound("minimum").unwrap_or(f64::MIN), bound("maximum").unwrap_or(u64::MAX as f64));
        if (number as f64) < low || number as f64 > high {
            self.fault(path, node.line, format!("`{number}` is out of range"), Some(format!("write a number from {low} to {high}")));
            return None;
        }
        u64::try_from(number).map(Value::from).or_else(|_| i64::try_from(number).map(Value::from)).ok()
    }
}

/// Parses text leaves whose type says more than "text".
fn parse_leaf(name: &str, text: &str) -> Result<(), (String, &'static str)> {
    const DURATION: &str = "write a number with `ms`, `s`, `m`, `h` or `d`, such as `60s`";
    match name {
        "Duration" => text.parse::<Duration>().map(drop).map_err(|what| (what, DURATION)),
        "IdleTimeout" if text == "none" => Ok(()),
        "IdleTimeout" => text.parse::<Duration>().map(drop).map_err(|what| (what, "write a duration such as `5m`, or `none`")),
        "ByteSize" => text.parse::<ByteSize>().map(drop).map_err(|what| (what, "write a size such as `512MiB`")),
        "StartFrom" => text.parse::<StartFrom>().map(drop).map_err(|what| (what, "write a time such as `2026-11-21T05:00:00Z`")),
        "SocketAddr" => text
            .parse::<SocketAddr>()
            .map(drop)
            .map_err(|_| (format!("`{text}` is no address"), "write `IP:PORT`, such as `127.0.0.1:9464`")),
        _ => Ok(()),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// First type of a schema that is not `null`.
fn kind_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("string"),
        Value::String(kind) => kind,
        _ => "object",
    }
}

fn accepts(schema: &Value, kind: &str) -> bool {
    schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
}

fn constants_of(variant: &Value) -> Vec<&str> {
    match (variant.get("const"), variant.get("enum")) {
        (Some(value), _) => value.as_str().into_iter().collect(),
        (None, Some(Value::Array(values))) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn form_name(name: &str, kind: &str) -> &'static str {
    match (name, kind) {
        ("Duration" | "IdleTimeout", _) => "a duration with its unit",
        ("ByteSize", _) => "a size in bytes",
        (_, "object") => "a map",
        (_, "array") => "a list",
        (_, "integer") => "a whole number",
        (_, "boolean") => "`true` or `false`",
        _ => "text",
    }
}

fn suggest_form(name: &str, found: &Kind, expected: &str) -> Option<String> {
    match (name, found, expected) {
        ("Secret", ..) => Some("write it in quotes".to_owned()),
        ("Duration" | "IdleTimeout", Kind::Integer(number), _) => Some(format!("for seconds write `{number}s`")),
        (_, Kind::Text(text), "array") => Some(format!("write `[{text}]`")),
        (_, Kind::Integer(number), "string") => Some(format!("write `\"{number}\"`")),
        ("", Kind::Bool(value), "string") => Some(format!("write `\"{value}\"`")),
        (_, Kind::Null, _) => Some("give it a value or remove it".to_owned()),
        _ => None,
    }
}

/// "did you mean …" for the nearest known word, else "known are …"; `None` when nothing is known.
pub fn closest(word: &str, known: &[&str]) -> Option<String> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase().replace('-', "_"), candidate);
    let nearest = known.iter().min_by_key(|candidate| distance(candidate))?;
    let begins = |candidate: &&&str| word.len() >= 4 && (candidate.starts_with(word) || word.starts_with(**candidate));
    let nearest = if distance(nearest) <= 1 + word.len() / 4 { Some(nearest) } else { known.iter().find(begins) };
    if let Some(nearest) = nearest {
        return Some(format!("did you mean `{nearest}`?"));
    }
    Some(format!("known are {}", quoted(known)))
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The text between backticks after `Example:` in a description.
fn example_of(description: &str) -> Option<&str> {
    description.split_once("Example: `")?.1.split('`').next()
}

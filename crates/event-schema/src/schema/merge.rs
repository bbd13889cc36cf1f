//! A table's schema with what a writer's has beyond it, on the canonical JSON of both.
//!
//! Whether types fit is decided elsewhere, before it and on the result: here fields and branches are only found by their names and put in
//! where they are missing.
use super::canonical::namespace_of;
use crate::fault::SchemaError;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The table's canonical schema with the fields and branches of the writer's that it lacks, at any depth.
pub(super) fn merged(table: &str, writer: &str) -> Result<String, SchemaError> {
    let parse = |text: &str| serde_json::from_str(text).map_err(|error| SchemaError::whole(format!("not JSON: {error}")));
    let (mut table_types, mut writer_types) = (BTreeMap::new(), BTreeMap::new());
    let table = flatten(parse(table)?, &mut table_types);
    let writer = flatten(parse(writer)?, &mut writer_types);
    let mut merger = Merger { types: table_types, writer: writer_types, done: BTreeSet::new() };
    let root = merger.merge(&table, &writer);
    Ok(unflatten(&root, &merger.types, None, &mut BTreeSet::new()).to_string())
}

/// Definitions of named types by full name; types inside them, and everywhere, stand as their names.
type Types = BTreeMap<String, Value>;

/// Takes the definitions out of a type.
fn flatten(ty: Value, types: &mut Types) -> Value {
    match ty {
        Value::String(name) => Value::String(name.trim_start_matches('.').to_owned()),
        Value::Array(branches) => branches.into_iter().map(|branch| flatten(branch, types)).collect(),
        Value::Object(mut object) => {
            for inner in ["items", "values"] {
                if let Some(ty) = object.get_mut(inner) {
                    *ty = flatten(ty.take(), types);
                }
            }
            if let Some(Value::Array(fields)) = object.get_mut("fields") {
                for field in fields {
                    field["type"] = flatten(field["type"].take(), types);
                }
            }
            match object.get("name").and_then(Value::as_str) {
                Some(name) => {
                    let name = name.trim_start_matches('.').to_owned();
                    types.insert(name.clone(), Value::Object(object));
                    Value::String(name)
                }
                None => Value::Object(object),
            }
        }
        other => other,
    }
}

/// Puts each definition where its name stands first.
fn unflatten(ty: &Value, types: &Types, namespace: Option<&str>, defined: &mut BTreeSet<String>) -> Value {
    match ty {
        Value::String(name) => {
            let Some(definition) = types.get(name) else { return ty.clone() };
            // A name without namespace would inherit the enclosing one.
            let written = if namespace.is_some() && namespace_of(name).is_none() { format!(".{name}") } else { name.clone() };
            if !defined.insert(name.clone()) {
                return Value::String(written);
            }
            let mut definition = definition.clone();
            definition["name"] = Value::String(written);
            if let Some(Value::Array(fields)) = definition.get_mut("fields") {
                for field in fields {
                    field["type"] = unflatten(&field["type"], types, namespace_of(name), defined);
                }
            }
            definition
        }
        Value::Array(branches) => branches.iter().map(|branch| unflatten(branch, types, namespace, defined)).collect(),
        Value::Object(object) => {
            let inner = |(key, value): (&String, &Value)| match key.as_str() {
                "items" | "values" => (key.clone(), unflatten(value, types, namespace, defined)),
                _ => (key.clone(), value.clone()),
            };
            Value::Object(object.iter().map(inner).collect())
        }
        other => other.clone(),
    }
}

struct Merger {
    /// The table's, growing.
    types: Types,
    writer: Types,
    /// Pairs of records that are merged: each is referred to from several places.
    done: BTreeSet<(String, String)>,
}

fn is_null(ty: &Value) -> bool {
    ty == "null"
}

impl Merger {
    /// The table's type with what the writer's has beyond it.
    fn merge(&mut self, table: &Value, writer: &Value) -> Value {
        match writer {
            Value::Array(branches) => {
                branches.iter().filter(|branch| !is_null(branch)).fold(table.clone(), |table, branch| self.merge_value(&table, branch))
            }
            writer if is_null(writer) => table.clone(),
            writer => self.merge_value(table, writer),
        }
    }

    /// The same for a writer's type that is neither null nor a union.
    fn merge_value(&mut self, table: &Value, writer: &Value) -> Value {
        match table {
            table if is_null(table) => json!(["null", self.import(writer)]),
            Value::Array(branches) => self.merge_branch(branches, writer),
            Value::String(name) => {
                if let Some(other) = writer.as_str().filter(|other| self.writer.contains_key(*other)) {
                    self.merge_definition(name, other);
                }
                table.clone()
            }
            Value::Object(object) => {
                let mut object = object.clone();
                for inner in ["items", "values"] {
                    if let (Some(ty), Some(writer)) = (object.get_mut(inner), writer.get(inner)) {
                        *ty = self.merge(ty, writer);
                    }
                }
                Value::Object(object)
            }
            other => other.clone(),
        }
    }

    fn merge_branch(&mut self, branches: &[Value], writer: &Value) -> Value {
        let mut branches = branches.to_vec();
        let mut values = branches.iter().enumerate().filter(|(_, branch)| !is_null(branch)).map(|(index, _)| index);
        let place = match (values.next(), values.next()) {
            (Some(only), None) => Some(only),
            _ => self.branch_of(&branches, writer),
        };
        match place {
            Some(place) => branches[place] = self.merge_value(&branches[place].clone(), writer),
            None => branches.push(self.import(writer)),
        }
        Value::Array(branches)
    }

    /// The branch that the writer's values go to: that of the same type, or one that holds its numbers.
    fn branch_of(&self, branches: &[Value], writer: &Value) -> Option<usize> {
        let key = base(writer);
        let named = |wanted: &str| branches.iter().position(|branch| base(branch) == wanted);
        named(key).or_else(|| match key {
            "int" => named("long"),
            "float" => named("double"),
            _ => None,
        })
    }

    fn merge_definition(&mut self, table: &str, writer: &str) {
        if !self.done.insert((table.to_owned(), writer.to_owned())) {
            return;
        }
        let (Some(definition), Some(other)) = (self.types.get(table), self.writer.get(writer)) else { return };
        let (mut definition, other) = (definition.clone(), other.clone());
        if let (Some(Value::Array(fields)), Some(Value::Array(others))) = (definition.get_mut("fields"), other.get("fields")) {
            for other in others {
                self.merge_field(fields, other);
            }
        }
        self.types.insert(table.to_owned(), definition);
    }

    fn merge_field(&mut self, fields: &mut Vec<Value>, writer: &Value) {
        let column = |field: &Value| field["name"].as_str().unwrap_or_default().to_ascii_lowercase();
        match fields.iter_mut().find(|field| column(field) == column(writer)) {
            Some(field) => field["type"] = self.merge(&field["type"], &writer["type"]),
            None => {
                let mut field = writer.clone();
                field["type"] = self.import(&writer["type"]);
                fields.push(field);
            }
        }
    }

    /// A type of the writer's with all that it refers to. Where the table has a type of its name, that one is extended.
    fn import(&mut self, ty: &Value) -> Value {
        match ty {
            Value::String(name) => {
                match self.writer.get(name).cloned() {
                    Some(_) if self.types.contains_key(name) => self.merge_definition(name, name),
                    Some(mut definition) => {
                        if let Some(Value::Array(fields)) = definition.get_mut("fields") {
                            for field in fields {
                                field["type"] = self.import(&field["type"]);
                            }
                        }
                        self.types.insert(name.clone(), definition);
                    }
                    None => {}
                }
                ty.clone()
            }
            Value::Array(branches) => branches.iter().map(|branch| self.import(branch)).collect(),
            Value::Object(object) => {
                let inner = |(key, value): (&String, &Value)| match key.as_str() {
                    "items" | "values" => (key.clone(), self.import(value)),
                    _ => (key.clone(), value.clone()),
                };
                Value::Object(object.iter().map(inner).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }
}

/// The name of a type as branches of a union are told apart: a named type's own, else the type without its logical type.
fn base(ty: &Value) -> &str {
    ty.as_str().or_else(|| ty["type"].as_str()).unwrap_or_default()
}

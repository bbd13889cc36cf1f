//! One text per meaning of a schema: full names, a fixed order of keys, only what decides how bytes become rows.
//!
//! Like Avro's parsing canonical form, but with logical types and defaults, which also decide rows.
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, RecordSchema, Schema, UuidSchema};
use serde_json::Value;
use std::collections::HashSet;

/// The canonical text of a schema. Parsing it gives the same text again.
pub(super) fn canonical(schema: &Schema) -> String {
    let mut writer = Writer { text: String::new(), defined: HashSet::new() };
    writer.schema(schema, None);
    writer.text
}

/// The namespace of a full name.
pub(super) fn namespace_of(full_name: &str) -> Option<&str> {
    full_name.rsplit_once('.').map(|(namespace, _)| namespace)
}

struct Writer {
    text: String,
    /// Full names written so far: a type is written once and then referred to.
    defined: HashSet<String>,
}

impl Writer {
    fn quoted(&mut self, text: &str) {
        self.text += &Value::from(text).to_string();
    }

    fn logical(&mut self, base: &str, logical: &str) {
        self.text += &format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#);
    }

    fn schema(&mut self, schema: &Schema, namespace: Option<&str>) {
        match schema {
            Schema::Null => self.text += r#""null""#,
            Schema::Boolean => self.text += r#""boolean""#,
            Schema::Int => self.text += r#""int""#,
            Schema::Long => self.text += r#""long""#,
            Schema::Float => self.text += r#""float""#,
            Schema::Double => self.text += r#""double""#,
            Schema::Bytes | Schema::Uuid(UuidSchema::Bytes) => self.text += r#""bytes""#,
            Schema::String => self.text += r#""string""#,
            Schema::Date => self.logical("int", "date"),
            Schema::TimeMillis => self.logical("int", "time-millis"),
            Schema::TimeMicros => self.logical("long", "time-micros"),
            Schema::TimestampMillis => self.logical("long", "timestamp-millis"),
            Schema::TimestampMicros => self.logical("long", "timestamp-micros"),
            Schema::TimestampNanos => self.logical("long", "timestamp-nanos"),
            Schema::LocalTimestampMillis => self.logical("long", "local-timestamp-millis"),
            Schema::LocalTimestampMicros => self.logical("long", "local-timestamp-micros"),
            Schema::LocalTimestampNanos => self.logical("long", "local-timestamp-nanos"),
            Schema::BigDecimal => self.logical("bytes", "big-decimal"),
            Schema::Uuid(UuidSchema::String) => self.logical("string", "uuid"),
            Schema::Decimal(decimal) => self.decimal(decimal, namespace),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => self.fixed(&fixed.name, fixed.size, r#","logicalType":"uuid""#, namespace),
            Schema::Duration(fixed) => self.fixed(&fixed.name, fixed.size, r#","logicalType":"duration""#, namespace),
            Schema::Fixed(fixed) => self.fixed(&fixed.name, fixed.size, "", namespace),
            Schema::Ref { name } => self.reference(name, namespace),
            Schema::Array(array) => self.wrapped(r#"{"type":"array","items":"#, &array.items, namespace),
            Schema::Map(map) => self.wrapped(r#"{"type":"map","values":"#, &map.types, namespace),
            Schema::Union(union) => self.list(union.variants(), |w, branch| w.schema(branch, namespace)),
            Schema::Record(record) => self.record(record, namespace),
            Schema::Enum(symbols) => {
                if self.named("enum", &symbols.name, namespace) {
                    self.text += r#","symbols":"#;
                    self.list(&symbols.symbols, |w, symbol| w.quoted(symbol));
                    if let Some(default) = &symbols.default {
                        self.text += r#","default":"#;
                        self.quoted(default);
                    }
                    self.text.push('}');
                }
            }
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.text.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write(self, item);
        }
        self.text.push(']');
    }

    fn wrapped(&mut self, start: &str, inner: &Schema, namespace: Option<&str>) {
        self.text += start;
        self.schema(inner, namespace);
        self.text.push('}');
    }

    /// A name without namespace would inherit the enclosing one; a leading dot says that it does not.
    fn reference(&mut self, name: &Name, namespace: Option<&str>) {
        let dot = if name.namespace().is_none() && namespace.is_some() { "." } else { "" };
        self.quoted(&format!("{dot}{}", name.fullname(None)));
    }

    /// Starts the definition of a named type, or writes a reference if it is already defined (then false).
    fn named(&mut self, kind: &str, name: &Name, namespace: Option<&str>) -> bool {
        if !self.defined.insert(name.fullname(None)) {
            self.reference(name, namespace);
            return false;
        }
        self.text += &format!(r#"{{"type":"{kind}","name":"#);
        self.reference(name, namespace);
        true
    }

    fn fixed(&mut self, name: &Name, size: usize, attributes: &str, namespace: Option<&str>) {
        if self.named("fixed", name, namespace) {
            self.text += &format!(r#","size":{size}{attributes}}}"#);
        }
    }

    fn decimal(&mut self, decimal: &DecimalSchema, namespace: Option<&str>) {
        let attributes = format!(r#","logicalType":"decimal","precision":{},"scale":{}"#, decimal.precision, decimal.scale);
        match &decimal.inner {
            InnerDecimalSchema::Bytes => self.text += &format!(r#"{{"type":"bytes"{attributes}}}"#),
            InnerDecimalSchema::Fixed(fixed) => self.fixed(&fixed.name, fixed.size, &attributes, namespace),
        }
    }

    fn record(&mut self, record: &RecordSchema, namespace: Option<&str>) {
        if !self.named("record", &record.name, namespace) {
            return;
        }
        self.text += r#","fields":"#;
        self.list(&record.fields, |w, field| {
            w.text += r#"{"name":"#;
            w.quoted(&field.name);
            w.text += r#","type":"#;
            w.schema(&field.schema, record.name.namespace());
            if let Some(default) = &field.default {
                w.text += r#","default":"#;
                w.default(default);
            }
            w.text.push('}');
        });
        self.text.push('}');
    }

    /// JSON with the keys of objects in order.
    fn default(&mut self, value: &Value) {
        match value {
            Value::Array(items) => self.list(items, |w, item| w.default(item)),
            Value::Object(object) => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                self.text.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    self.quoted(key);
                    self.text.push(':');
                    self.default(value);
                }
                self.text.push('}');
            }
            plain => self.text += &plain.to_string(),
        }
    }
}

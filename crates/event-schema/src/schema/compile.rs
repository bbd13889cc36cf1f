//! From a parsed Avro schema to its shape, or to all its faults.
use super::{
    MAX_SCHEMA_DEPTH, MAX_SCHEMA_FIELDS,
    shape::{Decimal, Member, NullBranch, Shape, Timestamp, Type},
};
use crate::{
    columns::IDENTITY_PREFIX,
    fault::{SchemaError, SchemaFault},
};
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordField, Schema, UnionSchema, UuidSchema};
use std::collections::HashMap;

/// Digits that every engine takes.
const MAX_PRECISION: usize = 38;
/// Bytes of a fixed: each null of it takes as much memory as a value.
const MAX_FIXED_BYTES: usize = 1 << 20;
/// Faults listed before the check gives up.
const MAX_FAULTS: usize = 100;

/// Compiles the top-level record.
pub(super) fn compile(schema: &Schema) -> Result<Vec<Member>, SchemaError> {
    let mut compiler = Compiler { definitions: HashMap::new(), open: Vec::new(), faults: Vec::new(), fields: 0, gave_up: false };
    compiler.define(schema);
    let members = match schema {
        Schema::Record(record) => {
            compiler.open.push(record.name.fullname(None));
            compiler.members(&record.fields, "", 1)
        }
        _ => {
            compiler.fault("schema", "the top level is not a record: wrap the value in a record");
            None
        }
    };
    match members {
        Some(members) if compiler.faults.is_empty() => Ok(members),
        _ => Err(SchemaError { faults: compiler.faults }),
    }
}

struct Compiler<'a> {
    /// Named types by full name.
    definitions: HashMap<String, &'a Schema>,
    /// Full names of the records being compiled, outermost first.
    open: Vec<String>,
    faults: Vec<SchemaFault>,
    /// Fields, items and values so far, references expanded.
    fields: usize,
    gave_up: bool,
}

impl<'a> Compiler<'a> {
    fn fault(&mut self, path: &str, what: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(SchemaFault { path: path.to_owned(), what: what.into() });
        } else {
            self.gave_up = true;
        }
    }

    fn unsupported(&mut self, path: &str, what: &str, instead: &str) -> Option<Shape> {
        self.fault(path, format!("{what} is not supported yet: {instead}"));
        None
    }

    /// Collects the named types, so that references resolve; a second definition of a name is a fault.
    fn define(&mut self, schema: &'a Schema) {
        let named = match schema {
            Schema::Record(record) => Some(&record.name),
            Schema::Enum(symbols) => Some(&symbols.name),
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => Some(&fixed.name),
            Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => Some(&fixed.name),
            _ => None,
        };
        if let Some(name) = named.map(|n| n.fullname(None))
            && self.definitions.insert(name.clone(), schema).is_some()
        {
            self.fault(&name, "the type is defined twice: refer to the first definition by name");
        }
        match schema {
            Schema::Record(record) => record.fields.iter().for_each(|f| self.define(&f.schema)),
            Schema::Array(array) => self.define(&array.items),
            Schema::Map(map) => self.define(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|v| self.define(v)),
            _ => {}
        }
    }

    /// Counts a field and checks the limits; false: stop here.
    fn within_limits(&mut self, path: &str, depth: usize) -> bool {
        if self.gave_up {
            return false;
        }
        self.fields += 1;
        if self.fields > MAX_SCHEMA_FIELDS {
            self.fault("schema", format!("the schema has more than `{MAX_SCHEMA_FIELDS}` fields with its references expanded: split it"));
            self.gave_up = true;
        } else if depth > MAX_SCHEMA_DEPTH {
            self.fault(path, format!("the type is nested deeper than `{MAX_SCHEMA_DEPTH}`: make it flatter"));
            return false;
        }
        !self.gave_up
    }

    fn members(&mut self, fields: &'a [RecordField], path: &str, depth: usize) -> Option<Vec<Member>> {
        if fields.is_empty() {
            let path = if path.is_empty() { "schema" } else { path };
            self.fault(path, "the record has no fields, which Parquet cannot hold: add a field or leave the record out");
        }
        let mut names: HashMap<String, &str> = HashMap::new();
        let mut members = Vec::with_capacity(fields.len());
        for field in fields {
            let at = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let column = field.name.to_ascii_lowercase();
            if let Some(other) = names.insert(column.clone(), &field.name) {
                self.fault(&at, format!("the name is that of `{other}` when lower-cased, as the catalog has it: rename one"));
            }
            if path.is_empty() && column.starts_with(IDENTITY_PREFIX) {
                self.fault(&at, format!("names starting with `{IDENTITY_PREFIX}` are those of the identity columns: rename the field"));
            }
            let ty = self.resolve(&field.schema, &at, depth);
            members.extend(ty.map(|ty| Member { avro_name: field.name.clone(), column, ty }));
            if self.gave_up {
                break;
            }
        }
        (members.len() == fields.len()).then_some(members)
    }

    fn resolve(&mut self, schema: &'a Schema, path: &str, depth: usize) -> Option<Type> {
        if !self.within_limits(path, depth) {
            return None;
        }
        let Schema::Union(union) = schema else {
            return self.shape(schema, path, depth).map(Type::required);
        };
        let (inner, null) = self.nullable(union, path)?;
        let ty = self.shape(inner, path, depth).map(Type::required)?;
        Some(Type { null, ..ty })
    }

    /// The only unions: null and one other type.
    fn nullable(&mut self, union: &'a UnionSchema, path: &str) -> Option<(&'a Schema, NullBranch)> {
        match union.variants() {
            [Schema::Null, Schema::Null] => {}
            [Schema::Null, inner] => return Some((inner, NullBranch::First)),
            [inner, Schema::Null] => return Some((inner, NullBranch::Second)),
            _ => {}
        }
        let instead = "write `[\"null\", T]` with one type, or a record with a nullable field per type";
        self.unsupported(path, "a union of other than null and one type", instead);
        None
    }

    fn shape(&mut self, schema: &'a Schema, path: &str, depth: usize) -> Option<Shape> {
        Some(match schema {
            Schema::Boolean => Shape::Boolean,
            Schema::Int => Shape::Int,
            Schema::Date => Shape::Date,
            Schema::TimeMillis => Shape::TimeMillis,
            Schema::Long => Shape::Long,
            Schema::TimeMicros => Shape::TimeMicros,
            Schema::TimestampMillis => Shape::Timestamp(Timestamp { millis: true, utc: true }),
            Schema::TimestampMicros => Shape::Timestamp(Timestamp { millis: false, utc: true }),
            Schema::LocalTimestampMillis => Shape::Timestamp(Timestamp { millis: true, utc: false }),
            Schema::LocalTimestampMicros => Shape::Timestamp(Timestamp { millis: false, utc: false }),
            Schema::Float => Shape::Float,
            Schema::Double => Shape::Double,
            // A uuid on bytes is the wrong base type, so Avro's rule is to ignore it.
            Schema::Bytes | Schema::Uuid(UuidSchema::Bytes) => Shape::Bytes,
            Schema::String => Shape::String,
            Schema::Uuid(UuidSchema::String) => Shape::UuidText,
            Schema::Uuid(UuidSchema::Fixed(_)) => Shape::UuidBytes,
            Schema::Fixed(fixed) => return self.fixed(fixed.size, path),
            Schema::Decimal(decimal) => return self.decimal(decimal, path),
            Schema::Enum(symbols) if symbols.symbols.is_empty() => {
                self.fault(path, "the enum has no symbols, so it has no values: add one");
                return None;
            }
            Schema::Enum(symbols) => Shape::Enum(symbols.symbols.clone().into()),
            Schema::Array(array) => Shape::Array(Box::new(self.resolve(&array.items, &format!("{path}[]"), depth + 1)?)),
            Schema::Map(map) => Shape::Map(Box::new(self.resolve(&map.types, &format!("{path}{{}}"), depth + 1)?)),
            Schema::Record(record) => return self.record(&record.fields, record.name.fullname(None), path, depth),
            Schema::Ref { name } => return self.reference(name.fullname(None), path, depth),
            Schema::Union(_) => return self.unsupported(path, "a union inside a union", "flatten it"),
            Schema::Null => return self.unsupported(path, "the type null alone", "leave the field out or make it `[\"null\", T]`"),
            Schema::BigDecimal => return self.unsupported(path, "big-decimal", "use decimal with precision and scale, or string"),
            Schema::Duration(_) => return self.unsupported(path, "duration", "use a long of a documented unit"),
            Schema::TimestampNanos | Schema::LocalTimestampNanos => {
                return self.unsupported(path, "a timestamp in nanoseconds", "use `timestamp-micros`, or a plain long");
            }
        })
    }

    fn record(&mut self, fields: &'a [RecordField], name: String, path: &str, depth: usize) -> Option<Shape> {
        if self.open.contains(&name) {
            return self.unsupported(path, &format!("the recursive type `{name}`"), "give it a fixed depth, or send it as a string");
        }
        self.open.push(name);
        let members = self.members(fields, path, depth + 1);
        self.open.pop();
        members.map(Shape::Record)
    }

    fn reference(&mut self, name: String, path: &str, depth: usize) -> Option<Shape> {
        match self.definitions.get(&name).copied() {
            Some(definition) => self.shape(definition, path, depth),
            None => {
                self.fault(path, format!("the type `{name}` is not defined in the schema: define it where it is first used"));
                None
            }
        }
    }

    fn fixed(&mut self, size: usize, path: &str) -> Option<Shape> {
        if size == 0 || size > MAX_FIXED_BYTES {
            let what = format!("a fixed of `{size}` bytes");
            return self.unsupported(path, &what, &format!("use 1 to `{MAX_FIXED_BYTES}` bytes, or the type bytes"));
        }
        Some(Shape::Fixed(size))
    }

    fn decimal(&mut self, decimal: &DecimalSchema, path: &str) -> Option<Shape> {
        let &DecimalSchema { precision, scale, .. } = decimal;
        if precision > MAX_PRECISION {
            let what = format!("a decimal of `{precision}` digits");
            return self.unsupported(path, &what, &format!("use at most `{MAX_PRECISION}`, or a string"));
        }
        let fixed = match &decimal.inner {
            InnerDecimalSchema::Bytes => None,
            InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
        };
        if let Some(size) = fixed {
            self.fixed(size, path)?;
            if precision > digits_of(size) {
                self.fault(
                    path,
                    format!("a decimal of `{precision}` digits does not fit a fixed of `{size}` bytes: make the fixed larger"),
                );
                return None;
            }
        }
        let small = |digits: usize| u8::try_from(digits).expect("at most 38");
        Some(Shape::Decimal(Decimal { precision: small(precision), scale: small(scale), fixed }))
    }
}

/// Decimal digits that always fit a two's-complement number of so many bytes, up to 38.
fn digits_of(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        16.. => MAX_PRECISION,
        _ => (i128::MAX >> (8 * (16 - bytes))).ilog10() as usize,
    }
}

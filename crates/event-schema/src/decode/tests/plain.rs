//! Values without a library: what Arrow arrays and apache-avro values are brought to, to be compared.
use apache_avro::{BigDecimal, Schema, schema::UnionSchema, types::Value};
use arrow::{
    array::{Array, AsArray, FixedSizeBinaryArray},
    datatypes::{DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use std::collections::{BTreeMap, HashMap};

/// A value; floats by their bits, so that NaN and -0.0 count.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    Bits(u64),
    Text(String),
    Bytes(Vec<u8>),
    Decimal(i128),
    Date(i32),
    /// Microseconds.
    Instant(i64),
    /// Microseconds without a zone.
    WallClock(i64),
    List(Vec<Plain>),
    Map(BTreeMap<String, Plain>),
    Record(Vec<(String, Plain)>),
}

/// Row `row` of a column.
pub fn of_arrow(array: &dyn Array, row: usize) -> Plain {
    if array.is_null(row) {
        return Plain::Null;
    }
    let list = |values: &dyn Array| Plain::List((0..values.len()).map(|i| of_arrow(values, i)).collect());
    match array.data_type() {
        DataType::Boolean => Plain::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Plain::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Plain::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Plain::Bits(array.as_primitive::<Float32Type>().value(row).to_bits().into()),
        DataType::Float64 => Plain::Bits(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => Plain::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Plain::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        DataType::FixedSizeBinary(_) => {
            Plain::Bytes(array.as_any().downcast_ref::<FixedSizeBinaryArray>().expect("the type says so").value(row).to_vec())
        }
        DataType::Decimal128(..) => Plain::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Date32 => Plain::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(_, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            if zone.is_some() { Plain::Instant(micros) } else { Plain::WallClock(micros) }
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let entry = |i| (entries.column(0).as_string::<i32>().value(i).to_owned(), of_arrow(entries.column(1), i));
            let map: BTreeMap<_, _> = (0..entries.len()).map(entry).collect();
            assert_eq!(map.len(), entries.len(), "a key stands twice in a map");
            Plain::Map(map)
        }
        DataType::Struct(fields) => {
            let members = fields.iter().zip(array.as_struct().columns());
            Plain::Record(members.map(|(f, column)| (f.name().clone(), of_arrow(column, row))).collect())
        }
        other => panic!("{other} is no type of a table"),
    }
}

fn unscaled(bytes: &[u8]) -> i128 {
    bytes.iter().fold(if bytes.first().is_some_and(|b| *b >= 0x80) { -1 } else { 0 }, |value, b| value << 8 | i128::from(*b))
}

/// Named types by their full names.
pub type Names = HashMap<String, Schema>;

/// The type that a reference means.
pub fn resolved<'a>(schema: &'a Schema, names: &'a Names) -> &'a Schema {
    match schema {
        Schema::Ref { name } => &names[&name.fullname(None)],
        schema => schema,
    }
}

/// Whether a table has a column for a type: not where all its values are null.
pub fn has_column(schema: &Schema) -> bool {
    match schema {
        Schema::Null => false,
        Schema::Union(union) => union.variants().iter().any(has_column),
        _ => true,
    }
}

/// An apache-avro value as a table has it: lower-case names, microseconds, unions widened or as structs.
pub fn of_avro(value: &Value, schema: &Schema, names: &Names) -> Plain {
    let schema = resolved(schema, names);
    match (value, schema) {
        (Value::Null, _) => Plain::Null,
        (Value::Union(index, inner), Schema::Union(union)) => of_union(*index as usize, inner, union, names),
        (Value::Boolean(b), _) => Plain::Bool(*b),
        (Value::Int(i) | Value::TimeMillis(i), _) => Plain::Int((*i).into()),
        (Value::Long(i) | Value::TimeMicros(i), _) => Plain::Int(*i),
        (Value::Float(f), _) => Plain::Bits(f.to_bits().into()),
        (Value::Double(f), _) => Plain::Bits(f.to_bits()),
        (Value::String(s) | Value::Enum(_, s), _) => Plain::Text(s.clone()),
        (Value::Bytes(b) | Value::Fixed(_, b), _) => Plain::Bytes(b.clone()),
        // A decimal of no bytes is zero, but apache-avro cannot give its bytes back.
        (Value::Decimal(d), _) => Plain::Decimal(unscaled(&Vec::<u8>::try_from(d).unwrap_or_default())),
        (Value::BigDecimal(d), _) => Plain::Text(plain_digits(d)),
        (Value::Uuid(uuid), _) => Plain::Text(uuid.to_string()),
        (Value::Date(days), _) => Plain::Date(*days),
        (Value::TimestampMillis(t), _) => Plain::Instant(t.wrapping_mul(1000)),
        (Value::TimestampMicros(t), _) => Plain::Instant(*t),
        (Value::TimestampNanos(t), _) => Plain::Instant(t.div_euclid(1000)),
        (Value::LocalTimestampMillis(t), _) => Plain::WallClock(t.wrapping_mul(1000)),
        (Value::LocalTimestampMicros(t), _) => Plain::WallClock(*t),
        (Value::LocalTimestampNanos(t), _) => Plain::WallClock(t.div_euclid(1000)),
        (Value::Duration(d), _) => {
            let [months, days, millis] = [u32::from(d.months()), u32::from(d.days()), u32::from(d.millis())];
            let members = [("months", months), ("days", days), ("millis", millis)];
            Plain::Record(members.map(|(name, value)| (name.to_owned(), Plain::Int(value.into()))).to_vec())
        }
        (Value::Array(items), Schema::Array(array)) => Plain::List(items.iter().map(|i| of_avro(i, &array.items, names)).collect()),
        (Value::Map(entries), Schema::Map(map)) => {
            Plain::Map(entries.iter().map(|(k, v)| (k.clone(), of_avro(v, &map.types, names))).collect())
        }
        (Value::Record(fields), Schema::Record(record)) => {
            let fields = fields.iter().zip(&record.fields).filter(|(_, f)| has_column(&f.schema));
            let members: Vec<_> = fields.map(|((name, v), f)| (name.to_lowercase(), of_avro(v, &f.schema, names))).collect();
            if members.is_empty() { Plain::Text("{}".to_owned()) } else { Plain::Record(members) }
        }
        (value, schema) => panic!("{value:?} for {schema:?}"),
    }
}

fn of_union(index: usize, inner: &Value, union: &UnionSchema, names: &Names) -> Plain {
    let variants = union.variants();
    let plain = of_avro(inner, &variants[index], names);
    let values: Vec<_> = variants.iter().map(|v| resolved(v, names)).filter(|v| !matches!(v, Schema::Null)).collect();
    if values.len() <= 1 || values.iter().all(|v| matches!(v, Schema::Int | Schema::Long)) || matches!(inner, Value::Null) {
        return plain;
    }
    if values.iter().all(|v| matches!(v, Schema::Float | Schema::Double)) {
        return match inner {
            Value::Float(float) => Plain::Bits(f64::from(*float).to_bits()),
            _ => plain,
        };
    }
    let member = |(at, variant): (usize, &Schema)| (member_name(variant), if at == index { plain.clone() } else { Plain::Null });
    Plain::Record(variants.iter().enumerate().filter(|(_, v)| has_column(v)).map(member).collect())
}

/// As a member of a union is named where no two types have the same name.
fn member_name(schema: &Schema) -> String {
    if let Some(name) = schema.name() {
        return name.name().to_lowercase();
    }
    let json = serde_json::to_value(schema).expect("a schema is JSON");
    json.as_str().or_else(|| json["type"].as_str()).expect("a type has a name").to_owned()
}

/// All digits, without an exponent; a scale that tables refuse is only shown.
fn plain_digits(decimal: &BigDecimal) -> String {
    let (unscaled, scale) = decimal.as_bigint_and_exponent();
    let text = unscaled.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let places = scale.unsigned_abs() as usize;
    if places > 1_000 {
        return format!("{text}e{}", -i128::from(scale));
    }
    if scale <= 0 {
        return if digits == "0" { "0".to_owned() } else { format!("{sign}{digits}{}", "0".repeat(places)) };
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{sign}{whole}.{fraction}")
}

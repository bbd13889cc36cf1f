//! Values without a library: what Arrow arrays and apache-avro values are brought to, to be compared.
use apache_avro::{Schema, schema::UnionSchema, types::Value};
use arrow::{
    array::{Array, AsArray, FixedSizeBinaryArray},
    datatypes::{DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use std::collections::BTreeMap;

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
        DataType::FixedSizeBinary(_) => Plain::Bytes(array.as_any().downcast_ref::<FixedSizeBinaryArray>().unwrap().value(row).to_vec()),
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

/// An apache-avro value as a table has it: lower-case names, microseconds.
pub fn of_avro(value: &Value, schema: &Schema) -> Plain {
    match (value, schema) {
        (Value::Null, _) => Plain::Null,
        (Value::Union(index, inner), Schema::Union(union)) => of_avro(inner, branch(union, *index)),
        (Value::Boolean(b), _) => Plain::Bool(*b),
        (Value::Int(i) | Value::TimeMillis(i), _) => Plain::Int((*i).into()),
        (Value::Long(i) | Value::TimeMicros(i), _) => Plain::Int(*i),
        (Value::Float(f), _) => Plain::Bits(f.to_bits().into()),
        (Value::Double(f), _) => Plain::Bits(f.to_bits()),
        (Value::String(s) | Value::Enum(_, s), _) => Plain::Text(s.clone()),
        (Value::Bytes(b) | Value::Fixed(_, b), _) => Plain::Bytes(b.clone()),
        // A decimal of no bytes is zero, but apache-avro cannot give its bytes back.
        (Value::Decimal(d), _) => Plain::Decimal(unscaled(&Vec::<u8>::try_from(d).unwrap_or_default())),
        (Value::Uuid(uuid), _) => Plain::Text(uuid.to_string()),
        (Value::Date(days), _) => Plain::Date(*days),
        (Value::TimestampMillis(t), _) => Plain::Instant(t.wrapping_mul(1000)),
        (Value::TimestampMicros(t), _) => Plain::Instant(*t),
        (Value::LocalTimestampMillis(t), _) => Plain::WallClock(t.wrapping_mul(1000)),
        (Value::LocalTimestampMicros(t), _) => Plain::WallClock(*t),
        (Value::Array(items), Schema::Array(array)) => Plain::List(items.iter().map(|i| of_avro(i, &array.items)).collect()),
        (Value::Map(entries), Schema::Map(map)) => Plain::Map(entries.iter().map(|(k, v)| (k.clone(), of_avro(v, &map.types))).collect()),
        (Value::Record(fields), Schema::Record(record)) => {
            let fields = fields.iter().zip(&record.fields);
            Plain::Record(fields.map(|((name, v), f)| (name.to_lowercase(), of_avro(v, &f.schema))).collect())
        }
        (value, schema) => panic!("{value:?} for {schema:?}"),
    }
}

fn branch(union: &UnionSchema, index: u32) -> &Schema {
    &union.variants()[index as usize]
}

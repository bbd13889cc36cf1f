//! Arrow types of the table and the catalog's types, from the shape.
use super::shape::{Shape, Type};
use crate::columns::{LIST_ITEM, MAP_ENTRIES, instant};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use std::sync::Arc;

/// A column or member. Everything is nullable, so that files of required and optional fields mix.
pub(super) fn field(name: &str, ty: &Type) -> Field {
    Field::new(name, data_type(&ty.shape), true)
}

fn data_type(shape: &Shape) -> DataType {
    match shape {
        Shape::Boolean => DataType::Boolean,
        Shape::Int | Shape::TimeMillis => DataType::Int32,
        Shape::Date => DataType::Date32,
        Shape::Long | Shape::TimeMicros => DataType::Int64,
        Shape::Timestamp(timestamp) if timestamp.utc => instant(),
        Shape::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        Shape::Float => DataType::Float32,
        Shape::Double => DataType::Float64,
        Shape::Bytes => DataType::Binary,
        Shape::String | Shape::UuidText | Shape::UuidBytes | Shape::Enum(_) => DataType::Utf8,
        Shape::Fixed(size) => DataType::FixedSizeBinary(i32::try_from(*size).expect("the size was checked when compiling")),
        Shape::Decimal(decimal) => DataType::Decimal128(decimal.precision, decimal.scale.cast_signed()),
        Shape::Array(items) => DataType::List(Arc::new(field(LIST_ITEM, items))),
        Shape::Map(values) => {
            let entries = Fields::from(vec![Field::new("key", DataType::Utf8, false), field("value", values)]);
            DataType::Map(Arc::new(Field::new(MAP_ENTRIES, DataType::Struct(entries), false)), false)
        }
        Shape::Record(members) => DataType::Struct(members.iter().map(|m| field(&m.column, &m.ty)).collect()),
    }
}

/// The type's name in the Glue catalog, which is Hive's.
pub(super) fn glue_type(ty: &Type) -> String {
    match &ty.shape {
        Shape::Boolean => "boolean".to_owned(),
        Shape::Int | Shape::TimeMillis => "int".to_owned(),
        Shape::Date => "date".to_owned(),
        Shape::Long | Shape::TimeMicros => "bigint".to_owned(),
        Shape::Timestamp(_) => "timestamp".to_owned(),
        Shape::Float => "float".to_owned(),
        Shape::Double => "double".to_owned(),
        Shape::Bytes | Shape::Fixed(_) => "binary".to_owned(),
        Shape::String | Shape::UuidText | Shape::UuidBytes | Shape::Enum(_) => "string".to_owned(),
        Shape::Decimal(decimal) => format!("decimal({},{})", decimal.precision, decimal.scale),
        Shape::Array(items) => format!("array<{}>", glue_type(items)),
        Shape::Map(values) => format!("map<string,{}>", glue_type(values)),
        Shape::Record(members) => {
            let members: Vec<_> = members.iter().map(|m| format!("{}:{}", m.column, glue_type(&m.ty))).collect();
            format!("struct<{}>", members.join(","))
        }
    }
}

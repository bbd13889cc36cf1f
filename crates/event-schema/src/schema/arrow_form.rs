//! Arrow types of the table and the catalog's types, from the shape.
use super::shape::{Column, DURATION_MEMBERS, Scalar, Type};
use crate::columns::{LIST_ITEM, MAP_ENTRIES, instant};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use std::sync::Arc;

/// Name of the only column of a schema whose top level is neither a record nor a union of several types.
pub(crate) const VALUE_COLUMN: &str = "value";

/// A column of a table, or a member of a struct.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableColumn<'a> {
    /// Name in the Avro schema.
    pub avro_name: &'a str,
    /// Name in the table.
    pub name: &'a str,
    /// Its type.
    pub ty: &'a Type,
}

/// The members of a struct that have columns; `None`: it is not a struct.
fn members<'a>(column: Column<'a>) -> Option<Vec<TableColumn<'a>>> {
    let all: Vec<_> = match column {
        Column::Record(members) => members.iter().map(|m| TableColumn { avro_name: &m.avro_name, name: &m.column, ty: &m.ty }).collect(),
        Column::Union(branches) => branches.iter().map(|b| TableColumn { avro_name: &b.column, name: &b.column, ty: &b.ty }).collect(),
        _ => return None,
    };
    Some(all.into_iter().filter(|c| c.ty.has_column()).collect())
}

/// The table's columns: the members of the top level, or the one column of its values.
pub(super) fn table_columns(root: &Type) -> Vec<TableColumn<'_>> {
    members(root.column()).unwrap_or_else(|| vec![TableColumn { avro_name: VALUE_COLUMN, name: VALUE_COLUMN, ty: root }])
}

/// A column or member. Everything is nullable, so that files of required and optional fields mix.
pub(super) fn field(name: &str, ty: &Type) -> Field {
    Field::new(name, data_type(ty), true)
}

fn data_type(ty: &Type) -> DataType {
    let column = ty.column();
    if let Some(members) = members(column) {
        return DataType::Struct(members.into_iter().map(|c| field(c.name, c.ty)).collect());
    }
    match column {
        Column::Scalar(scalar) => scalar_type(scalar),
        Column::List(items) => DataType::List(Arc::new(field(LIST_ITEM, items))),
        Column::Map(values) => {
            let entries = Fields::from(vec![Field::new("key", DataType::Utf8, false), field("value", values)]);
            DataType::Map(Arc::new(Field::new(MAP_ENTRIES, DataType::Struct(entries), false)), false)
        }
        Column::Duration => {
            let types = [DataType::Int32, DataType::Int32, DataType::Int64];
            DataType::Struct(DURATION_MEMBERS.into_iter().zip(types).map(|(name, ty)| Field::new(name, ty, true)).collect())
        }
        // Items that are all null have to be of some type.
        Column::Absent | Column::Empty | Column::Record(_) | Column::Union(_) => DataType::Utf8,
    }
}

fn scalar_type(scalar: Scalar) -> DataType {
    match scalar {
        Scalar::Boolean => DataType::Boolean,
        Scalar::Int => DataType::Int32,
        Scalar::Date => DataType::Date32,
        Scalar::Long => DataType::Int64,
        Scalar::Instant => instant(),
        Scalar::WallClock => DataType::Timestamp(TimeUnit::Microsecond, None),
        Scalar::Float => DataType::Float32,
        Scalar::Double => DataType::Float64,
        Scalar::Text => DataType::Utf8,
        Scalar::Binary => DataType::Binary,
        Scalar::Fixed(size) => DataType::FixedSizeBinary(i32::try_from(size).expect("the size was checked when compiling")),
        Scalar::Decimal(precision, scale) => DataType::Decimal128(precision, scale.cast_signed()),
    }
}

/// The type's name in the Glue catalog, which is Hive's.
pub(crate) fn glue_type(ty: &Type) -> String {
    let column = ty.column();
    if let Some(members) = members(column) {
        let members: Vec<_> = members.into_iter().map(|c| format!("{}:{}", c.name, glue_type(c.ty))).collect();
        return format!("struct<{}>", members.join(","));
    }
    match column {
        Column::Scalar(scalar) => scalar_glue_type(scalar),
        Column::List(items) => format!("array<{}>", glue_type(items)),
        Column::Map(values) => format!("map<string,{}>", glue_type(values)),
        Column::Duration => "struct<months:int,days:int,millis:bigint>".to_owned(),
        Column::Absent | Column::Empty | Column::Record(_) | Column::Union(_) => "string".to_owned(),
    }
}

fn scalar_glue_type(scalar: Scalar) -> String {
    let name = match scalar {
        Scalar::Boolean => "boolean",
        Scalar::Int => "int",
        Scalar::Date => "date",
        Scalar::Long => "bigint",
        Scalar::Instant | Scalar::WallClock => "timestamp",
        Scalar::Float => "float",
        Scalar::Double => "double",
        Scalar::Text => "string",
        Scalar::Binary | Scalar::Fixed(_) => "binary",
        Scalar::Decimal(precision, scale) => return format!("decimal({precision},{scale})"),
    };
    name.to_owned()
}

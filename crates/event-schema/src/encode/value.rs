//! JSON and text values to bytes, by the shape.
use super::{
    EncodeError,
    binary::{put_bytes, put_count, put_long},
    scalar::Scalar,
};
use crate::schema::{Decimal, Member, NullBranch, Shape, Type};
use serde_json::{Map, Value};

type Encoded = Result<(), EncodeError>;

/// Encodes an object as a record.
pub(super) fn encode_record(out: &mut Vec<u8>, members: &[Member], object: &Map<String, Value>) -> Encoded {
    for member in members {
        encode_json(out, &member.ty, object.get(&member.avro_name)).map_err(|error| error.within(&member.avro_name))?;
    }
    let known = |key: &String| members.iter().any(|m| m.avro_name == *key);
    match object.keys().find(|key| !known(key)) {
        None => Ok(()),
        Some(unknown) => Err(EncodeError::new("the schema has no such field").within(unknown)),
    }
}

/// Encodes a cell of text; a left-out or empty one is null where that is possible.
pub(super) fn encode_cell(out: &mut Vec<u8>, ty: &Type, cell: Option<&str>) -> Encoded {
    match cell {
        None | Some("") if ty.is_nullable() => {
            put_null(out, ty.null);
            Ok(())
        }
        None => Err(EncodeError::new("the field is missing and not nullable")),
        Some(cell) => {
            put_branch(out, ty.null);
            match &ty.shape {
                Shape::Array(_) | Shape::Map(_) | Shape::Record(_) => {
                    let json = serde_json::from_str(cell).map_err(|error| EncodeError::new(format!("the cell is not JSON: {error}")))?;
                    encode_nested(out, &ty.shape, &json)
                }
                scalar => encode_scalar(out, scalar, Scalar::Text(cell)),
            }
        }
    }
}

fn encode_json(out: &mut Vec<u8>, ty: &Type, value: Option<&Value>) -> Encoded {
    match value {
        None | Some(Value::Null) if ty.is_nullable() => {
            put_null(out, ty.null);
            Ok(())
        }
        None => Err(EncodeError::new("the field is missing and not nullable")),
        Some(value) => {
            put_branch(out, ty.null);
            encode_nested(out, &ty.shape, value)
        }
    }
}

fn encode_nested(out: &mut Vec<u8>, shape: &Shape, value: &Value) -> Encoded {
    match (shape, value) {
        (Shape::Array(items), Value::Array(values)) => {
            put_block(out, values.len());
            for (index, value) in values.iter().enumerate() {
                encode_json(out, items, Some(value)).map_err(|error| error.within(&format!("[{index}]")))?;
            }
            out.push(0);
            Ok(())
        }
        (Shape::Map(values), Value::Object(entries)) => {
            put_block(out, entries.len());
            for (key, value) in entries {
                put_bytes(out, key.as_bytes());
                encode_json(out, values, Some(value)).map_err(|error| error.within(&format!("{{{key}}}")))?;
            }
            out.push(0);
            Ok(())
        }
        (Shape::Record(members), Value::Object(object)) => encode_record(out, members, object),
        (Shape::Array(_), _) => Err(EncodeError::new("the value is not an array")),
        (Shape::Map(_) | Shape::Record(_), _) => Err(EncodeError::new("the value is not an object")),
        (scalar, value) => encode_scalar(out, scalar, Scalar::Json(value)),
    }
}

/// An empty array or map is only its end.
fn put_block(out: &mut Vec<u8>, count: usize) {
    if count > 0 {
        put_count(out, count);
    }
}

fn encode_scalar(out: &mut Vec<u8>, shape: &Shape, scalar: Scalar<'_>) -> Encoded {
    match shape {
        Shape::Boolean => out.push(u8::from(scalar.boolean()?)),
        Shape::Int | Shape::TimeMillis => put_long(out, i64::from(scalar.int()?)),
        Shape::Date => put_long(out, i64::from(scalar.date()?)),
        Shape::Long | Shape::TimeMicros => put_long(out, scalar.long()?),
        Shape::Timestamp(timestamp) => put_long(out, scalar.timestamp(*timestamp)?),
        Shape::Float => out.extend(scalar.float()?.to_le_bytes()),
        Shape::Double => out.extend(scalar.double()?.to_le_bytes()),
        Shape::Bytes => put_bytes(out, &scalar.bytes()?),
        Shape::String => put_bytes(out, scalar.string()?.as_bytes()),
        Shape::UuidText => {
            scalar.uuid()?;
            put_bytes(out, scalar.string()?.as_bytes());
        }
        Shape::UuidBytes => out.extend(scalar.uuid()?),
        Shape::Fixed(size) => {
            let bytes = scalar.bytes()?;
            if bytes.len() != *size {
                return Err(EncodeError::new(format!("the value has `{}` bytes, the fixed has `{size}`", bytes.len())));
            }
            out.extend(bytes);
        }
        Shape::Decimal(decimal) => put_decimal(out, *decimal, scalar.decimal(*decimal)?),
        Shape::Enum(symbols) => put_count(out, scalar.symbol(symbols)?),
        Shape::Array(_) | Shape::Map(_) | Shape::Record(_) => unreachable!("nested shapes are encoded by `encode_nested`"),
    }
    Ok(())
}

/// As few bytes as hold the sign, or the fixed's with the sign before.
fn put_decimal(out: &mut Vec<u8>, decimal: Decimal, value: i128) {
    let wide = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0x00 };
    let shortest = (1..16).rev().find(|at| {
        let head_is_sign = wide[..*at].iter().all(|byte| *byte == sign);
        head_is_sign && (wide[*at] ^ sign) < 0x80
    });
    let digits = &wide[shortest.unwrap_or(0)..];
    match decimal.fixed {
        None => put_bytes(out, digits),
        Some(size) => {
            out.extend(std::iter::repeat_n(sign, size - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}

fn put_null(out: &mut Vec<u8>, null: NullBranch) {
    put_long(out, i64::from(null == NullBranch::Second));
}

fn put_branch(out: &mut Vec<u8>, null: NullBranch) {
    match null {
        NullBranch::Absent => {}
        NullBranch::First => put_long(out, 1),
        NullBranch::Second => put_long(out, 0),
    }
}

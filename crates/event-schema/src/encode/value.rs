//! JSON and text values to bytes, by the shape.
use super::{
    EncodeError,
    binary::{put_bytes, put_count, put_long},
    scalar::Scalar,
};
use crate::schema::{Branch, DURATION_MEMBERS, Decimal, Member, NullBranch, Shape, Type};
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
                Shape::Array(_) | Shape::Map(_) | Shape::Record(_) | Shape::Union(_) | Shape::Duration | Shape::BigDecimal => {
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
        None | Some(Value::Null) if matches!(ty.shape, Shape::Null) => Ok(()),
        None | Some(Value::Null) if null_branch(ty).is_some() => {
            put_count(out, null_branch(ty).unwrap_or_default());
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
        (Shape::Union(branches), value) => encode_union(out, branches, value),
        (Shape::Duration, Value::Object(object)) => encode_duration(out, object),
        (Shape::Array(_), _) => Err(EncodeError::new("the value is not an array")),
        (Shape::Map(_) | Shape::Record(_) | Shape::Duration, _) => Err(EncodeError::new("the value is not an object")),
        (scalar, value) => encode_scalar(out, scalar, Scalar::Json(value)),
    }
}

/// The place of null in a general union.
fn null_branch(ty: &Type) -> Option<usize> {
    match &ty.shape {
        Shape::Union(branches) => branches.iter().position(|b| matches!(b.ty.shape, Shape::Null)),
        _ => None,
    }
}

/// As the first branch that the value fits.
fn encode_union(out: &mut Vec<u8>, branches: &[Branch], value: &Value) -> Encoded {
    for (index, branch) in branches.iter().enumerate() {
        let mut bytes = Vec::new();
        if encode_json(&mut bytes, &branch.ty, Some(value)).is_ok() {
            put_count(out, index);
            out.extend(bytes);
            return Ok(());
        }
    }
    Err(EncodeError::new("the value fits no branch of the union"))
}

fn encode_duration(out: &mut Vec<u8>, object: &Map<String, Value>) -> Encoded {
    if let Some(unknown) = object.keys().find(|key| !DURATION_MEMBERS.contains(&key.as_str())) {
        return Err(EncodeError::new("a duration has no such member").within(unknown));
    }
    for member in DURATION_MEMBERS {
        let number = object.get(member).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| EncodeError::new("the member is not an integer of 32 bits without sign").within(member))?;
        out.extend(number.to_le_bytes());
    }
    Ok(())
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
        Shape::BigDecimal => {
            let (value, scale) = scalar.big_decimal()?;
            let mut inner = Vec::new();
            put_bytes(&mut inner, shortest(&value.to_be_bytes()));
            put_count(&mut inner, usize::from(scale));
            put_bytes(out, &inner);
        }
        Shape::Null => return Err(EncodeError::new("the value is not null")),
        Shape::Array(_) | Shape::Map(_) | Shape::Record(_) | Shape::Union(_) | Shape::Duration => {
            unreachable!("nested shapes are encoded by `encode_nested`")
        }
    }
    Ok(())
}

/// As few bytes as hold the number and its sign.
fn shortest(wide: &[u8; 16]) -> &[u8] {
    let sign = if wide[0] >= 0x80 { 0xff } else { 0x00 };
    let start = (1..16).rev().find(|at| {
        let head_is_sign = wide[..*at].iter().all(|byte| *byte == sign);
        head_is_sign && (wide[*at] ^ sign) < 0x80
    });
    &wide[start.unwrap_or(0)..]
}

/// As few bytes as hold the sign, or the fixed's with the sign before.
fn put_decimal(out: &mut Vec<u8>, decimal: Decimal, value: i128) {
    let wide = value.to_be_bytes();
    let digits = shortest(&wide);
    match decimal.fixed {
        None => put_bytes(out, digits),
        Some(size) => {
            let sign = if value < 0 { 0xff } else { 0x00 };
            out.extend(std::iter::repeat_n(sign, size - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}

fn put_null(out: &mut Vec<u8>, null: NullBranch) {
    put_long(out, i64::from(null == NullBranch::Second));
}

pub(super) fn put_branch(out: &mut Vec<u8>, null: NullBranch) {
    match null {
        NullBranch::Absent => {}
        NullBranch::First => put_long(out, 1),
        NullBranch::Second => put_long(out, 0),
    }
}

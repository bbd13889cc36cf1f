//! Defaults of fields, written as values of their types, so that they are decoded as if a writer had sent them.
use super::shape::{NullBranch, Shape, Type};
use crate::encode::binary::{put_bytes, put_count, put_long};
use serde_json::Value;

/// The bytes of a default; `None` if it is not a value of the type. A default of a union may be one of any branch; the first that fits counts.
pub(super) fn datum(ty: &Type, json: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    put(&mut out, ty, json)?;
    Some(out)
}

fn put(out: &mut Vec<u8>, ty: &Type, json: &Value) -> Option<()> {
    let null_index = match ty.null {
        NullBranch::Absent => return put_shape(out, &ty.shape, json),
        NullBranch::First => 0,
        NullBranch::Second => 1,
    };
    if json.is_null() {
        put_long(out, null_index);
        return Some(());
    }
    put_long(out, 1 - null_index);
    put_shape(out, &ty.shape, json)
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape, json: &Value) -> Option<()> {
    match shape {
        Shape::Null => return json.is_null().then_some(()),
        Shape::Boolean => out.push(u8::from(json.as_bool()?)),
        Shape::Int | Shape::Date | Shape::TimeMillis => put_long(out, i64::from(i32::try_from(json.as_i64()?).ok()?)),
        Shape::Long | Shape::TimeMicros | Shape::Timestamp(_) => put_long(out, json.as_i64()?),
        Shape::Float => {
            #[expect(clippy::cast_possible_truncation, reason = "the nearest float is what is meant")]
            let float = json.as_f64()? as f32;
            out.extend(float.to_le_bytes());
        }
        Shape::Double => out.extend(json.as_f64()?.to_le_bytes()),
        Shape::String | Shape::UuidText => put_bytes(out, json.as_str()?.as_bytes()),
        Shape::Bytes | Shape::BigDecimal => put_bytes(out, &code_points(json)?),
        Shape::Fixed(size) => put_fixed(out, *size, json)?,
        Shape::UuidBytes => put_fixed(out, 16, json)?,
        Shape::Duration => put_fixed(out, 12, json)?,
        Shape::Decimal(decimal) => match decimal.fixed {
            Some(size) => put_fixed(out, size, json)?,
            None => put_bytes(out, &code_points(json)?),
        },
        Shape::Enum(symbols) => put_count(out, symbols.iter().position(|symbol| Some(symbol.as_str()) == json.as_str())?),
        Shape::Array(items) => {
            put_block(out, json.as_array()?.len());
            json.as_array()?.iter().try_for_each(|item| put(out, items, item))?;
            out.push(0);
        }
        Shape::Map(values) => {
            put_block(out, json.as_object()?.len());
            for (key, value) in json.as_object()? {
                put_bytes(out, key.as_bytes());
                put(out, values, value)?;
            }
            out.push(0);
        }
        Shape::Record(members) => {
            let object = json.as_object()?;
            for member in members {
                match (object.get(&member.avro_name), &member.default) {
                    (Some(value), _) => put(out, &member.ty, value)?,
                    (None, Some(default)) => out.extend_from_slice(default),
                    (None, None) => return None,
                }
            }
        }
        Shape::Union(branches) => {
            let fits = |index: usize| {
                let mut branch = Vec::new();
                put_count(&mut branch, index);
                put(&mut branch, &branches[index].ty, json).map(|()| branch)
            };
            out.extend((0..branches.len()).find_map(fits)?);
        }
    }
    Some(())
}

/// An empty array or map is only its end.
fn put_block(out: &mut Vec<u8>, count: usize) {
    if count > 0 {
        put_count(out, count);
    }
}

fn put_fixed(out: &mut Vec<u8>, size: usize, json: &Value) -> Option<()> {
    let bytes = code_points(json)?;
    out.extend_from_slice(&bytes);
    (bytes.len() == size).then_some(())
}

/// Bytes stand in a default as a string with a code point per byte.
fn code_points(json: &Value) -> Option<Vec<u8>> {
    json.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

//! From what arrow-avro decoded to the table's Arrow types: lower-case names, microseconds, enums and uuids as text, everything nullable.
//!
//! Most columns are passed on or reinterpreted without a copy.
use super::walk::decimal_value;
use crate::schema::{Decimal, MAX_ARROW_DECIMAL_BYTES, Member, Shape, Timestamp, Type};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, MapArray, StringArray,
        StructArray, TimestampMicrosecondArray, make_array,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer},
    compute::take,
    datatypes::{DataType, Date32Type, Field, Fields, Int32Type, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use std::{collections::HashMap, sync::Arc};

/// Result of a conversion. After the walk an error is a bug of ours.
type Finished<T = ArrayRef> = Result<T, ArrowError>;

/// All members of a record, in order. `outer`: where the record itself is null, its members are too.
pub(super) fn finish_members(
    arrays: Vec<ArrayRef>,
    members: &[Member],
    fields: &Fields,
    outer: Option<&NullBuffer>,
) -> Finished<Vec<ArrayRef>> {
    if arrays.len() != members.len() || fields.len() != members.len() {
        return Err(ArrowError::SchemaError(format!("`{}` columns were decoded for `{}` members", arrays.len(), members.len())));
    }
    arrays.into_iter().zip(members).zip(fields).map(|((array, member), field)| finish(array, &member.ty, field, outer)).collect()
}

fn finish(array: ArrayRef, ty: &Type, field: &Field, outer: Option<&NullBuffer>) -> Finished {
    let nulls = NullBuffer::union(outer, array.nulls());
    match &ty.shape {
        Shape::Date => Ok(Arc::new(with_nulls(array, nulls)?.as_primitive::<Int32Type>().reinterpret_cast::<Date32Type>())),
        Shape::Timestamp(timestamp) => Ok(Arc::new(finish_timestamp(with_nulls(array, nulls)?.as_primitive::<Int64Type>(), *timestamp))),
        Shape::Enum(symbols) => finish_symbols(array.as_primitive::<Int32Type>(), symbols, nulls),
        Shape::UuidText => finish_uuid_text(array.as_string(), nulls),
        Shape::UuidBytes => finish_uuid_bytes(array.as_fixed_size_binary(), nulls),
        Shape::Decimal(decimal) if decimal.fixed.is_some_and(|size| size > MAX_ARROW_DECIMAL_BYTES) => {
            finish_wide_decimal(array.as_fixed_size_binary(), *decimal, nulls)
        }
        Shape::Array(items) => finish_list(array.as_list(), items, field, nulls),
        Shape::Map(values) => finish_map(array.as_map(), values, field, nulls),
        Shape::Record(members) => finish_struct(array.as_struct(), members, field, nulls),
        _ => with_nulls(array, nulls),
    }
}

/// The array with other nulls, at no cost if they are its own.
fn with_nulls(array: ArrayRef, nulls: Option<NullBuffer>) -> Finished {
    if array.nulls() == nulls.as_ref() {
        return Ok(array);
    }
    Ok(make_array(array.to_data().into_builder().nulls(nulls).build()?))
}

fn finish_timestamp(wire: &Int64Array, timestamp: Timestamp) -> TimestampMicrosecondArray {
    let micros: TimestampMicrosecondArray = if timestamp.millis {
        wire.unary(|millis| millis.wrapping_mul(1_000))
    } else {
        wire.reinterpret_cast::<TimestampMicrosecondType>()
    };
    if timestamp.utc { micros.with_timezone("UTC") } else { micros }
}

fn out_of_range(what: impl std::fmt::Display) -> ArrowError {
    ArrowError::ComputeError(format!("the walk let pass {what}"))
}

/// Text of fixed pieces: `pieces` gives each row's text, which is empty under a null.
fn text_array<'a>(rows: usize, nulls: Option<NullBuffer>, mut piece: impl FnMut(usize) -> Finished<&'a str>) -> Finished {
    let mut lengths = Vec::with_capacity(rows);
    let mut text = Vec::new();
    for row in 0..rows {
        let piece = if nulls.as_ref().is_some_and(|n| n.is_null(row)) { "" } else { piece(row)? };
        lengths.push(piece.len());
        text.extend_from_slice(piece.as_bytes());
    }
    Ok(Arc::new(StringArray::try_new(offsets(lengths, text.len())?, Buffer::from_vec(text), nulls)?))
}

fn offsets(lengths: impl IntoIterator<Item = usize>, total: usize) -> Finished<OffsetBuffer<i32>> {
    i32::try_from(total).map_err(|_| out_of_range("more text than a batch holds"))?;
    Ok(OffsetBuffer::from_lengths(lengths))
}

fn finish_symbols(indexes: &Int32Array, symbols: &[String], nulls: Option<NullBuffer>) -> Finished {
    text_array(indexes.len(), nulls, |row| {
        let index = usize::try_from(indexes.value(row)).ok().and_then(|index| symbols.get(index));
        index.map(String::as_str).ok_or_else(|| out_of_range("an unknown symbol"))
    })
}

fn finish_uuid_text(text: &StringArray, nulls: Option<NullBuffer>) -> Finished {
    let (offsets, values, _) = text.clone().into_parts();
    if !values.iter().any(u8::is_ascii_uppercase) {
        return Ok(Arc::new(StringArray::try_new(offsets, values, nulls)?));
    }
    let lower = Buffer::from_vec(values.to_ascii_lowercase());
    Ok(Arc::new(StringArray::try_new(offsets, lower, nulls)?))
}

fn finish_uuid_bytes(uuids: &FixedSizeBinaryArray, nulls: Option<NullBuffer>) -> Finished {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Vec::with_capacity(36 * uuids.len());
    let mut lengths = Vec::with_capacity(uuids.len());
    for row in 0..uuids.len() {
        let before = text.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            for (index, byte) in uuids.value(row).iter().enumerate() {
                if matches!(index, 4 | 6 | 8 | 10) {
                    text.push(b'-');
                }
                text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
        lengths.push(text.len() - before);
    }
    Ok(Arc::new(StringArray::try_new(offsets(lengths, text.len())?, Buffer::from_vec(text), nulls)?))
}

fn finish_wide_decimal(wire: &FixedSizeBinaryArray, decimal: Decimal, nulls: Option<NullBuffer>) -> Finished {
    let value = |row: usize| decimal_value(wire.value(row)).ok_or_else(|| out_of_range("a decimal of more than 128 bits"));
    let values = (0..wire.len()).map(value).collect::<Finished<Vec<i128>>>()?;
    let array = Decimal128Array::try_new(values.into(), nulls)?;
    Ok(Arc::new(array.with_precision_and_scale(decimal.precision, decimal.scale.cast_signed())?))
}

fn finish_list(list: &ListArray, items: &Type, field: &Field, nulls: Option<NullBuffer>) -> Finished {
    let DataType::List(item_field) = field.data_type() else { return Err(out_of_range("a list for another type")) };
    let (_, offsets, values, _) = list.clone().into_parts();
    let values = finish(values, items, item_field, None)?;
    Ok(Arc::new(ListArray::try_new(item_field.clone(), offsets, values, nulls)?))
}

fn finish_struct(record: &StructArray, members: &[Member], field: &Field, nulls: Option<NullBuffer>) -> Finished {
    let DataType::Struct(fields) = field.data_type() else { return Err(out_of_range("a record for another type")) };
    let (_, arrays, _) = record.clone().into_parts();
    let arrays = finish_members(arrays, members, fields, nulls.as_ref())?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), arrays, nulls)?))
}

fn finish_map(map: &MapArray, values: &Type, field: &Field, nulls: Option<NullBuffer>) -> Finished {
    let DataType::Map(entries_field, _) = field.data_type() else { return Err(out_of_range("a map for another type")) };
    let DataType::Struct(entry_fields) = entries_field.data_type() else { return Err(out_of_range("a map without entries")) };
    let (_, offsets, entries, _, _) = map.clone().into_parts();
    let (_, mut arrays, _) = entries.into_parts();
    let (Some(wire_values), Some(mut keys)) = (arrays.pop(), arrays.pop()) else { return Err(out_of_range("a map without values")) };
    let mut kept_values = finish(wire_values, values, &entry_fields[1], None)?;
    let mut kept_offsets = offsets;
    if let Some((kept, offsets)) = last_of_duplicates(keys.as_string(), &kept_offsets)? {
        keys = take(&keys, &kept, None)?;
        kept_values = take(&kept_values, &kept, None)?;
        kept_offsets = offsets;
    }
    let entries = StructArray::try_new(entry_fields.clone(), vec![keys, kept_values], None)?;
    Ok(Arc::new(MapArray::try_new(entries_field.clone(), kept_offsets, entries, nulls, false)?))
}

/// Entries that stay where a map has a key more than once: the last one counts, in the place of the first. `None`: all keys differ.
/// Engines refuse or pick at random otherwise.
fn last_of_duplicates(keys: &StringArray, offsets: &OffsetBuffer<i32>) -> Finished<Option<(Int32Array, OffsetBuffer<i32>)>> {
    let range = |pair: &[i32]| pair[0]..pair[1];
    if !offsets.windows(2).any(|pair| has_duplicates(keys, range(pair))) {
        return Ok(None);
    }
    let mut kept: Vec<i32> = Vec::with_capacity(keys.len());
    let mut lengths = Vec::with_capacity(offsets.len() - 1);
    for pair in offsets.windows(2) {
        let start = kept.len();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for entry in range(pair) {
            let place = *places.entry(keys.value(row(entry)?)).or_insert(kept.len());
            if place == kept.len() {
                kept.push(entry);
            } else {
                kept[place] = entry;
            }
        }
        lengths.push(kept.len() - start);
    }
    let offsets = self::offsets(lengths, kept.len())?;
    Ok(Some((Int32Array::from(kept), offsets)))
}

/// Few keys are compared pairwise, which allocates nothing; many are hashed, so that a hostile map costs no square.
fn has_duplicates(keys: &StringArray, entries: std::ops::Range<i32>) -> bool {
    const FEW: usize = 16;
    let texts = entries.filter_map(|entry| usize::try_from(entry).ok()).map(|entry| keys.value(entry));
    if texts.clone().count() <= FEW {
        return texts.clone().enumerate().any(|(index, key)| texts.clone().take(index).any(|other| other == key));
    }
    let mut seen = std::collections::HashSet::new();
    texts.into_iter().any(|key| !seen.insert(key))
}

fn row(entry: i32) -> Finished<usize> {
    usize::try_from(entry).map_err(|_| out_of_range("a negative offset"))
}

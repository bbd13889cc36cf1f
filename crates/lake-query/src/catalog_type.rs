//! The catalog's (Hive's) types and the Arrow types of a lake's files, both ways. Each catalog type has one Arrow type, its canonical one.
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use std::sync::Arc;

/// Name of the item field of lists, as Parquet's standard has it.
const LIST_ITEM: &str = "element";
/// Name of the entries field of maps, as Parquet's standard has it.
const MAP_ENTRIES: &str = "key_value";
/// Deepest nesting of a type that is read.
const MAX_DEPTH: usize = 32;

/// A type that has none in the catalog, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoCatalogType {
    /// The type.
    pub(crate) found: String,
    /// SQL type to cast to; empty: none is near.
    pub(crate) cast_to: &'static str,
}

/// The canonical Arrow type that values of this type are kept as.
///
/// # Errors
/// Unsigned numbers, times of day, intervals, 256-bit decimals and NULL without a type have none.
pub(crate) fn canonical(kind: &DataType) -> Result<DataType, NoCatalogType> {
    let none = |cast_to| Err(NoCatalogType { found: kind.to_string(), cast_to });
    Ok(match kind {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int32,
        DataType::Int64 => DataType::Int64,
        DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Timestamp(..) => instant(),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) | DataType::Decimal128(precision, scale)
            if *scale >= 0 && scale.unsigned_abs() <= *precision =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => canonical(values)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::ListView(item) => {
            list(canonical(item.data_type())?)
        }
        DataType::Struct(members) => DataType::Struct(members.iter().map(canonical_member).collect::<Result<Fields, _>>()?),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => map(canonical(pair[0].data_type())?, canonical(pair[1].data_type())?),
            _ => return none(""),
        },
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => return none("BIGINT"),
        DataType::Float16 => return none("DOUBLE"),
        DataType::Null | DataType::Time32(_) | DataType::Time64(_) | DataType::Interval(_) | DataType::Duration(_) => {
            return none("STRING");
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            return none("DECIMAL(38, 9)");
        }
        _ => return none(""),
    })
}

fn canonical_member(member: &FieldRef) -> Result<FieldRef, NoCatalogType> {
    if !is_column_name(member.name()) {
        let found = format!("struct with a member `{}`, which is no name of a column", member.name().escape_debug());
        return Err(NoCatalogType { found, cast_to: "" });
    }
    Ok(Arc::new(Field::new(member.name(), canonical(member.data_type())?, true)))
}

/// Whether engines take the name: lower-case letters, digits and `_`, not beginning with a digit.
pub(crate) fn is_column_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    first && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn list(items: DataType) -> DataType {
    DataType::List(Arc::new(Field::new(LIST_ITEM, items, true)))
}

fn map(keys: DataType, values: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", keys, false), Field::new("value", values, true)]);
    DataType::Map(Arc::new(Field::new(MAP_ENTRIES, DataType::Struct(entries), false)), false)
}

/// The catalog's name of a canonical type.
pub(crate) fn catalog_name(canonical: &DataType) -> String {
    match canonical {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::List(item) => format!("array<{}>", catalog_name(item.data_type())),
        DataType::Struct(members) => {
            let members: Vec<_> = members.iter().map(|m| format!("{}:{}", m.name(), catalog_name(m.data_type()))).collect();
            format!("struct<{}>", members.join(","))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                format!("map<{},{}>", catalog_name(pair[0].data_type()), catalog_name(pair[1].data_type()))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

/// The Arrow type of a catalog type, as [`catalog_name`] writes it; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<DataType> {
    parse_at(text.trim(), MAX_DEPTH)
}

fn parse_at(text: &str, depth: usize) -> Option<DataType> {
    let depth = depth.checked_sub(1)?;
    let inside = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix('>');
    if let Some(items) = inside("array<") {
        return Some(list(parse_at(items, depth)?));
    }
    if let Some(pair) = inside("map<") {
        let parts = split(pair)?;
        let [key, value] = parts.as_slice() else { return None };
        return Some(map(parse_at(key, depth)?, parse_at(value, depth)?));
    }
    if let Some(members) = inside("struct<") {
        let member = |part: &str| {
            let (name, kind) = part.split_once(':')?;
            Some(Field::new(name, parse_at(kind, depth)?, true))
        };
        return Some(DataType::Struct(split(members)?.into_iter().map(member).collect::<Option<Vec<_>>>()?.into()));
    }
    if let Some(digits) = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
        let (precision, scale) = digits.split_once(',')?;
        return Some(DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?));
    }
    Some(match text {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => instant(),
        _ => return None,
    })
}

/// Parts between commas that are in no brackets.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' | b'(' => depth += 1,
            b'>' | b')' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_catalog_type_has_one_arrow_type() {
        for name in [
            "boolean",
            "int",
            "bigint",
            "float",
            "double",
            "string",
            "binary",
            "date",
            "timestamp",
            "decimal(9,2)",
            "array<double>",
            "map<string,bigint>",
            "struct<a:int,b:array<struct<c:decimal(38,9),d:map<string,timestamp>>>>",
        ] {
            let kind = parse(name).unwrap();
            assert_eq!(catalog_name(&kind), name);
            assert_eq!(canonical(&kind), Ok(kind), "{name}");
        }
        let endless = format!("{}int{}", "array<".repeat(1_000), ">".repeat(1_000));
        for wrong in ["", "tinyint", "array<", "map<string>", "struct<a>", "decimal(9)", "array<int>>", endless.as_str()] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn results_are_kept_as_canonical_types_and_what_has_none_says_what_to_write() {
        let utf8 = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        assert_eq!(canonical(&utf8), Ok(DataType::Utf8));
        assert_eq!(canonical(&DataType::Timestamp(TimeUnit::Nanosecond, None)), Ok(instant()));
        assert_eq!(canonical(&DataType::Int16), Ok(DataType::Int32));
        assert_eq!(canonical(&DataType::UInt64).unwrap_err().cast_to, "BIGINT");
        assert_eq!(canonical(&DataType::Null).unwrap_err().cast_to, "STRING");
        assert_eq!(canonical(&DataType::Decimal128(5, -2)).unwrap_err().cast_to, "DECIMAL(38, 9)");
        let items = DataType::LargeList(Arc::new(Field::new("item", DataType::UInt8, true)));
        assert!(canonical(&items).is_err());
        let odd = DataType::Struct(vec![Field::new("a:b", DataType::Int32, true)].into());
        assert!(canonical(&odd).unwrap_err().found.contains("a:b"));
    }
}

//! Unions with and without tags, as Avro's JSON encoding has them.
use crate::{
    RefusalCode,
    encode::{AvroEncoder, EncodeOptions, UnknownFields},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value};

fn schema(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"n.R","fields":[{{"name":"f","type":{ty}}}]}}"#)
}

fn encode(ty: &str, json: &str, unknown_fields: UnknownFields) -> Result<Value, (RefusalCode, String)> {
    let schema = schema(ty);
    let encoder = AvroEncoder::with_options(&schema, 1, EncodeOptions { unknown_fields, ..EncodeOptions::default() }).unwrap();
    let value = encoder.encode_json(format!(r#"{{"f":{json}}}"#).as_bytes()).map_err(|error| (error.code, error.path))?;
    let schema = Schema::parse_str(&schema).unwrap();
    let mut rest = &value[5..];
    let read = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest).unwrap();
    assert!(rest.is_empty());
    let Value::Record(mut fields) = read else { panic!("{read:?}") };
    Ok(fields.remove(0).1)
}

#[track_caller]
fn check(ty: &str, json: &str, branch: u32, value: Value) {
    assert_eq!(encode(ty, json, UnknownFields::Refuse), Ok(Value::Union(branch, Box::new(value))), "{json} as {ty}");
}

#[track_caller]
fn refused(ty: &str, json: &str, code: RefusalCode, path: &str) {
    assert_eq!(encode(ty, json, UnknownFields::Refuse), Err((code, path.to_owned())), "{json} as {ty}");
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.map(|(name, value)| (name.to_owned(), value)).into())
}

const POINT: &str = r#"{"type":"record","name":"n.Point","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":0}]}"#;
const CIRCLE: &str = r#"{"type":"record","name":"n.Circle","fields":[{"name":"x","type":"int","default":0},{"name":"r","type":"int"}]}"#;

#[test]
fn optional_values_with_and_without_tags() {
    for ty in [r#"["null","string"]"#, r#"["string","null"]"#] {
        let (null, value) = if ty.starts_with(r#"["null"#) { (0, 1) } else { (1, 0) };
        check(ty, "null", null, Value::Null);
        check(ty, r#""x""#, value, text("x"));
        check(ty, r#"{"string":"x"}"#, value, text("x"));
        check(ty, r#" { "string" : "x" } "#, value, text("x"));
        check(ty, r#"{"str\u0069ng":"x"}"#, value, text("x"));
        refused(ty, r#"{"string":1}"#, RefusalCode::WrongType, "f{string}");
        refused(ty, r#"{"string":"x","string":"x"}"#, RefusalCode::WrongType, "f");
        refused(ty, r#"{"int":1}"#, RefusalCode::WrongType, "f");
        refused(ty, "{}", RefusalCode::WrongType, "f");
        refused(ty, "1", RefusalCode::WrongType, "f");
        refused(ty, r#"{"string":}"#, RefusalCode::InvalidJson, "f{string}");
    }
    check(r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#, r#"{"long":5}"#, 1, Value::TimestampMillis(5));
    check(r#"["null",{"type":"array","items":["null","int"]}]"#, r#"{"array":[1,{"int":2},null]}"#, 1, {
        let int = |n| Value::Union(1, Box::new(Value::Int(n)));
        Value::Array(vec![int(1), int(2), Value::Union(0, Box::new(Value::Null))])
    });
}

#[test]
fn optional_records_with_and_without_tags() {
    let ty = format!(r#"["null",{POINT}]"#);
    let point = |x, y| record([("x", Value::Int(x)), ("y", Value::Int(y))]);
    check(&ty, r#"{"x":1}"#, 1, point(1, 0));
    check(&ty, r#"{"y":2,"x":1}"#, 1, point(1, 2));
    check(&ty, r#"{"n.Point":{"x":1,"y":2}}"#, 1, point(1, 2));
    check(&ty, r#"{"Point":{"x":1}}"#, 1, point(1, 0));
    refused(&ty, r#"{"Point":{"y":1}}"#, RefusalCode::MissingField, "f{n.Point}.x");
    refused(&ty, r#"{"m.Point":{"x":1}}"#, RefusalCode::UnknownField, "f.m.Point");
    refused(&ty, "{}", RefusalCode::MissingField, "f.x");
    // A record that has a field named like its type: the tag is told by what fits.
    let own = r#"["null",{"type":"record","name":"n.Own","fields":[{"name":"Own","type":["null","int"]}]}]"#;
    let value = |branch, inner| record([("Own", Value::Union(branch, Box::new(inner)))]);
    check(own, r#"{"Own":3}"#, 1, value(1, Value::Int(3)));
    check(own, r#"{"Own":{"Own":3}}"#, 1, value(1, Value::Int(3)));
    check(own, r#"{"n.Own":{"Own":null}}"#, 1, value(0, Value::Null));
}

#[test]
fn optional_maps_with_and_without_tags() {
    let ints = r#"["null",{"type":"map","values":"int"}]"#;
    check(ints, r#"{"a":1,"map":2}"#, 1, map([("a", Value::Int(1)), ("map", Value::Int(2))]));
    check(ints, r#"{"map":{"a":1}}"#, 1, map([("a", Value::Int(1))]));
    check(ints, r#"{"map":2}"#, 1, map([("map", Value::Int(2))]));
    check(ints, "{}", 1, map([]));
    refused(ints, r#"{"map":"x"}"#, RefusalCode::WrongType, "f{map}");
    // What could be both is refused: an empty map with a tag, or a map of one empty map.
    let maps = r#"["null",{"type":"map","values":{"type":"map","values":"int"}}]"#;
    check(maps, r#"{"map":{"k":{"a":1}}}"#, 1, map([("k", map([("a", Value::Int(1))]))]));
    check(maps, r#"{"map":{"a":1}}"#, 1, map([("map", map([("a", Value::Int(1))]))]));
    refused(maps, r#"{"map":{}}"#, RefusalCode::WrongType, "f");
    check(maps, r#"{"map":{"map":{}}}"#, 1, map([("map", map([]))]));
}

#[test]
fn general_unions_take_the_first_branch_that_fits_or_the_tag() {
    let ty = r#"["null","int","long","double","string",{"type":"enum","name":"n.E","symbols":["A"]},{"type":"array","items":"int"}]"#;
    check(ty, "null", 0, Value::Null);
    check(ty, "3", 1, Value::Int(3));
    check(ty, "3000000000", 2, Value::Long(3_000_000_000));
    check(ty, "3.5", 3, Value::Double(3.5));
    check(ty, "1e3", 3, Value::Double(1000.0));
    check(ty, r#""A""#, 4, text("A"));
    check(ty, r#"{"n.E":"A"}"#, 5, Value::Enum(0, "A".into()));
    check(ty, r#"{"E":"A"}"#, 5, Value::Enum(0, "A".into()));
    check(ty, r#"{"long":3}"#, 2, Value::Long(3));
    check(ty, r#"{"double":3}"#, 3, Value::Double(3.0));
    check(ty, "[1]", 6, Value::Array(vec![Value::Int(1)]));
    refused(ty, "true", RefusalCode::WrongType, "f");
    refused(ty, "{}", RefusalCode::WrongType, "f");
    refused(ty, r#"["x"]"#, RefusalCode::WrongType, "f[0]");
    refused(ty, r#"{"int":3.5}"#, RefusalCode::WrongType, "f{int}");
}

#[test]
fn records_in_a_union_lose_no_field_to_the_wrong_branch() {
    let ty = format!("[{POINT},{CIRCLE}]");
    let point = |x, y| record([("x", Value::Int(x)), ("y", Value::Int(y))]);
    let circle = |x, r| record([("x", Value::Int(x)), ("r", Value::Int(r))]);
    check(&ty, r#"{"x":1}"#, 0, point(1, 0));
    check(&ty, r#"{"x":1,"r":2}"#, 1, circle(1, 2));
    check(&ty, r#"{"n.Circle":{"r":2}}"#, 1, circle(0, 2));
    for unknown_fields in [UnknownFields::Ignore, UnknownFields::Refuse] {
        let found = encode(&ty, r#"{"x":1,"r":2,"z":3}"#, unknown_fields.clone());
        assert_eq!(found, Err((RefusalCode::WrongType, "f".to_owned())), "an unknown field tells nothing of the branch");
        let found = encode(&ty, r#"{"x":1,"r":2}"#, unknown_fields);
        assert_eq!(found, Ok(Value::Union(1, Box::new(circle(1, 2)))));
    }
    let tagged = encode(&ty, r#"{"n.Point":{"x":1,"z":3}}"#, UnknownFields::Ignore);
    assert_eq!(tagged, Ok(Value::Union(0, Box::new(point(1, 0)))));
}

#[test]
fn objects_that_can_be_read_in_two_ways_are_refused() {
    let ty = r#"["null","string",{"type":"map","values":"string"}]"#;
    check(ty, r#"{"a":"b"}"#, 2, map([("a", text("b"))]));
    check(ty, r#"{"string":"b","a":"b"}"#, 2, map([("string", text("b")), ("a", text("b"))]));
    check(ty, r#"{"map":{"string":"b"}}"#, 2, map([("string", text("b"))]));
    refused(ty, r#"{"string":"b"}"#, RefusalCode::WrongType, "f");
}

/// Trying branches inside of branches must not cost more than the limit of values.
#[test]
fn nested_unions_do_not_blow_up() {
    let mut ty = r#""int""#.to_owned();
    for level in 0..9 {
        let record = |name: &str, ty: &str| format!(r#"{{"type":"record","name":"{name}{level}","fields":[{{"name":"a","type":{ty}}}]}}"#);
        let first = record("A", &ty);
        ty = format!("[{first},{}]", record("B", &format!(r#""A{level}""#)));
    }
    let document = format!("{}\"x\"{}", r#"{"a":"#.repeat(14), "}".repeat(14));
    let error = encode(&ty, &document, UnknownFields::Refuse).unwrap_err();
    assert!(matches!(error.0, RefusalCode::TooManyNodes | RefusalCode::WrongType), "{error:?}");
}

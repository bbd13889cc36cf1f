//! Each supported type: bytes from apache-avro's encoder, the Arrow and the catalog type, and the values.
use super::{
    accept, decoder, flush, one_field,
    plain::{Plain, of_arrow},
};
use crate::TableSchema;
use apache_avro::{Decimal, Schema, Uuid, types::Value, writer::datum::GenericDatumWriter};
use arrow::datatypes::DataType;

/// The bytes of a record whose field `f` is `value`.
pub fn encoded(avro_json: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(avro_json).unwrap();
    let record = Value::Record(vec![("f".to_owned(), value)]);
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(record).unwrap()
}

/// Values in, plain values out, in one batch.
#[track_caller]
fn check(ty: &str, arrow: &str, glue: &str, values: Vec<(Value, Plain)>) {
    let json = one_field(ty);
    let schema = TableSchema::parse(&json).unwrap();
    assert_eq!(schema.arrow().field(0).data_type().to_string(), arrow);
    assert!(schema.arrow().field(0).is_nullable());
    assert_eq!(schema.columns()[0].glue_type, glue);
    let mut decoder = decoder(&json);
    for (value, _) in &values {
        accept(&mut decoder, &encoded(&json, value.clone()));
    }
    let batch = flush(&mut decoder);
    assert_eq!(batch.schema_ref(), schema.arrow());
    let found: Vec<_> = (0..batch.num_rows()).map(|row| of_arrow(batch.column(0), row)).collect();
    assert_eq!(found, values.into_iter().map(|(_, plain)| plain).collect::<Vec<_>>());
}

fn text(text: &str) -> Plain {
    Plain::Text(text.to_owned())
}

fn some(index: u32, value: Value) -> Value {
    Value::Union(index, Box::new(value))
}

#[test]
fn primitives() {
    check(
        r#""boolean""#,
        "Boolean",
        "boolean",
        vec![(Value::Boolean(true), Plain::Bool(true)), (Value::Boolean(false), Plain::Bool(false))],
    );
    let ints = [0, i32::MAX, i32::MIN].map(|i| (Value::Int(i), Plain::Int(i.into())));
    check(r#""int""#, "Int32", "int", ints.to_vec());
    let longs = [0, i64::MAX, i64::MIN].map(|i| (Value::Long(i), Plain::Int(i)));
    check(r#""long""#, "Int64", "bigint", longs.to_vec());
    let floats = [f32::NAN, -0.0, f32::INFINITY, f32::MIN_POSITIVE].map(|f| (Value::Float(f), Plain::Bits(f.to_bits().into())));
    check(r#""float""#, "Float32", "float", floats.to_vec());
    let doubles = [f64::NAN, -0.0, f64::NEG_INFINITY, f64::MAX].map(|f| (Value::Double(f), Plain::Bits(f.to_bits())));
    check(r#""double""#, "Float64", "double", doubles.to_vec());
    let strings = ["", "a\0b", "😀", "\u{feff}é"].map(|s| (Value::String(s.to_owned()), text(s)));
    check(r#""string""#, "Utf8", "string", strings.to_vec());
    let bytes = [vec![], vec![0xff, 0, 0xfe]].map(|b| (Value::Bytes(b.clone()), Plain::Bytes(b)));
    check(r#""bytes""#, "Binary", "binary", bytes.to_vec());
    let fixed = vec![(Value::Fixed(2, vec![0xff, 0]), Plain::Bytes(vec![0xff, 0]))];
    check(r#"{"type":"fixed","name":"F","size":2}"#, "FixedSizeBinary(2)", "binary", fixed);
}

#[test]
fn times() {
    let dates = [0, -1, -719_162, 2_932_896].map(|d| (Value::Date(d), Plain::Date(d)));
    check(r#"{"type":"int","logicalType":"date"}"#, "Date32", "date", dates.to_vec());
    let ms = [0, -1, i64::MAX / 1000, i64::MIN / 1000];
    let (utc, local) = (r#"Timestamp(µs, "UTC")"#, "Timestamp(µs)");
    let instants = ms.map(|t| (Value::TimestampMillis(t), Plain::Instant(t * 1000)));
    check(r#"{"type":"long","logicalType":"timestamp-millis"}"#, utc, "timestamp", instants.to_vec());
    let instants = [0, -1, i64::MAX, i64::MIN].map(|t| (Value::TimestampMicros(t), Plain::Instant(t)));
    check(r#"{"type":"long","logicalType":"timestamp-micros"}"#, utc, "timestamp", instants.to_vec());
    let clocks = ms.map(|t| (Value::LocalTimestampMillis(t), Plain::WallClock(t * 1000)));
    check(r#"{"type":"long","logicalType":"local-timestamp-millis"}"#, local, "timestamp", clocks.to_vec());
    let clocks = [0, -1, i64::MAX].map(|t| (Value::LocalTimestampMicros(t), Plain::WallClock(t)));
    check(r#"{"type":"long","logicalType":"local-timestamp-micros"}"#, local, "timestamp", clocks.to_vec());
    check(r#"{"type":"int","logicalType":"time-millis"}"#, "Int32", "int", vec![(Value::TimeMillis(86_399_999), Plain::Int(86_399_999))]);
    check(r#"{"type":"long","logicalType":"time-micros"}"#, "Int64", "bigint", vec![(Value::TimeMicros(7), Plain::Int(7))]);
}

#[test]
fn decimals_of_every_width() {
    for (precision, size) in [(1, 1), (9, 4), (18, 8), (19, 9), (38, 16), (38, 17), (38, 40)] {
        let bound = 10i128.pow(precision) - 1;
        let values = [0, 1, -1, bound, -bound, bound / 7, -bound / 7];
        let wide = |v: i128| {
            let mut bytes = [if v < 0 { 0xff } else { 0 }; 40];
            bytes[24..].copy_from_slice(&v.to_be_bytes());
            bytes[40 - size..].to_vec()
        };
        let encoded = |v: &i128| (Value::Decimal(Decimal::from(wide(*v))), Plain::Decimal(*v));
        let (arrow, glue) = (format!("Decimal128({precision}, 1)"), format!("decimal({precision},1)"));
        let attributes = format!(r#""logicalType":"decimal","precision":{precision},"scale":1"#);
        check(&format!(r#"{{"type":"bytes",{attributes}}}"#), &arrow, &glue, values.iter().map(encoded).collect());
        let fixed = format!(r#"["null",{{"type":"fixed","name":"F","size":{size},{attributes}}}]"#);
        let mut nullable = vec![(some(0, Value::Null), Plain::Null)];
        nullable.extend(values.iter().map(encoded).map(|(value, plain)| (some(1, value), plain)));
        check(&fixed, &arrow, &glue, nullable);
    }
}

#[test]
fn text_like() {
    let uuid = "0190163d-8694-739b-aea5-966c26f8ad91";
    let value = Value::Uuid(Uuid::parse_str(uuid).unwrap());
    check(r#"{"type":"string","logicalType":"uuid"}"#, "Utf8", "string", vec![(value.clone(), text(uuid))]);
    let nullable = vec![(some(1, Value::Null), Plain::Null), (some(0, value), text(uuid)), (some(1, Value::Null), Plain::Null)];
    check(r#"[{"type":"fixed","name":"U","size":16,"logicalType":"uuid"},"null"]"#, "Utf8", "string", nullable);
    let symbols = vec![
        (some(1, Value::Enum(1, "Ok_2".to_owned())), text("Ok_2")),
        (some(0, Value::Null), Plain::Null),
        (some(1, Value::Enum(0, "BAD".to_owned())), text("BAD")),
    ];
    check(r#"["null",{"type":"enum","name":"E","symbols":["BAD","Ok_2"]}]"#, "Utf8", "string", symbols);
}

/// Avro's rule: a logical type that is unknown, invalid or on the wrong base type is ignored.
#[test]
fn ignored_logical_types() {
    let long = || vec![(Value::Long(5), Plain::Int(5))];
    check(r#"{"type":"long","logicalType":"no-such-type"}"#, "Int64", "bigint", long());
    check(r#"{"type":"long","logicalType":"date"}"#, "Int64", "bigint", long());
    let bytes = || vec![(Value::Bytes(vec![1]), Plain::Bytes(vec![1]))];
    check(r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#, "Binary", "binary", bytes());
    check(r#"{"type":"bytes","logicalType":"decimal"}"#, "Binary", "binary", bytes());
    check(r#"{"type":"bytes","logicalType":"timestamp-millis"}"#, "Binary", "binary", bytes());
    let fixed = vec![(Value::Fixed(8, vec![1; 8]), Plain::Bytes(vec![1; 8]))];
    check(r#"{"type":"fixed","name":"F","size":8,"logicalType":"uuid"}"#, "FixedSizeBinary(8)", "binary", fixed);
    check(r#"{"type":"string","logicalType":"decimal","precision":2}"#, "Utf8", "string", vec![(Value::String("x".into()), text("x"))]);
}

#[test]
fn lists_and_maps() {
    let items = |items: Vec<Value>| some(1, Value::Array(items));
    let list = vec![
        (some(0, Value::Null), Plain::Null),
        (items(vec![]), Plain::List(vec![])),
        (items(vec![some(0, Value::Null)]), Plain::List(vec![Plain::Null])),
        (items(vec![some(1, Value::Int(1)), some(0, Value::Null)]), Plain::List(vec![Plain::Int(1), Plain::Null])),
    ];
    check(r#"["null",{"type":"array","items":["null","int"]}]"#, "List(Int32, field: 'element')", "array<int>", list);
    let entries = |value: Value| some(0, Value::Map([("k".to_owned(), value)].into()));
    let plain = |value: Plain| Plain::Map([("k".to_owned(), value)].into());
    let map = vec![
        (some(1, Value::Null), Plain::Null),
        (some(0, Value::Map([].into())), Plain::Map([].into())),
        (entries(some(0, Value::Null)), plain(Plain::Null)),
        (entries(some(1, Value::TimestampMillis(2))), plain(Plain::Instant(2000))),
    ];
    let ty = r#"[{"type":"map","values":["null",{"type":"long","logicalType":"timestamp-millis"}]},"null"]"#;
    let arrow = r#"Map("key_value": non-null Struct("key": non-null Utf8, "value": Timestamp(µs, "UTC")), unsorted)"#;
    check(ty, arrow, "map<string,timestamp>", map);
}

/// A null record differs from a record of nulls, and what is required inside it is null with it.
#[test]
fn records_and_their_nulls() {
    let ty = r#"["null",{"type":"record","name":"Inner","fields":[
        {"name":"A","type":"long"},{"name":"B","type":["null","string"]},
        {"name":"C","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"D","type":{"type":"long","logicalType":"timestamp-millis"}}]}]"#;
    let inner = |a: i64, b: Value| {
        let fields = [("A", Value::Long(a)), ("B", b), ("C", Value::Enum(0, "X".into())), ("D", Value::TimestampMillis(1))];
        some(1, Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec()))
    };
    let plain = |a, b| {
        let fields = [("a", Plain::Int(a)), ("b", b), ("c", text("X")), ("d", Plain::Instant(1000))];
        Plain::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
    };
    let values = vec![
        (some(0, Value::Null), Plain::Null),
        (inner(1, some(0, Value::Null)), plain(1, Plain::Null)),
        (inner(2, some(1, Value::String("b".into()))), plain(2, text("b"))),
    ];
    let json = one_field(ty);
    let schema = TableSchema::parse(&json).unwrap();
    let DataType::Struct(fields) = schema.arrow().field(0).data_type().clone() else { panic!() };
    assert!(fields.iter().all(|f| f.is_nullable()));
    let mut with_null = decoder(&json);
    accept(&mut with_null, &encoded(&json, some(0, Value::Null)));
    let batch = flush(&mut with_null);
    let record: &arrow::array::StructArray = arrow::array::AsArray::as_struct(batch.column(0));
    assert!(record.columns().iter().all(|column| arrow::array::Array::is_null(column, 0)));
    let arrow = schema.arrow().field(0).data_type().to_string();
    check(ty, &arrow, "struct<a:bigint,b:string,c:string,d:timestamp>", values);
}

/// Named types by reference, short and full, at several places.
#[test]
fn references_resolve() {
    let json = r#"{"type":"record","name":"R","namespace":"n.s","fields":[
        {"name":"a","type":{"type":"record","name":"P","fields":[{"name":"x","type":{"type":"fixed","name":"F","size":1}}]}},
        {"name":"b","type":"P"},{"name":"c","type":["null","n.s.P"]},{"name":"d","type":{"type":"array","items":"F"}}]}"#;
    let schema = TableSchema::parse(json).unwrap();
    let types: Vec<_> = schema.columns().into_iter().map(|c| c.glue_type).collect();
    assert_eq!(types, ["struct<x:binary>", "struct<x:binary>", "struct<x:binary>", "array<binary>"]);
    let mut decoder = decoder(json);
    accept(&mut decoder, &[1, 2, 2, 3, 4, 4, 5, 0]);
    let batch = flush(&mut decoder);
    let p = |x| Plain::Record(vec![("x".to_owned(), Plain::Bytes(vec![x]))]);
    let found: Vec<_> = batch.columns().iter().map(|c| of_arrow(c, 0)).collect();
    assert_eq!(found, [p(1), p(2), p(3), Plain::List(vec![Plain::Bytes(vec![4]), Plain::Bytes(vec![5])])]);
}

/// The last entry of a key counts, in small maps and in large ones.
#[test]
fn duplicate_map_keys() {
    let json = one_field(r#"{"type":"map","values":"int"}"#);
    let mut decoder = decoder(&json);
    accept(&mut decoder, &[2, 2, b'z', 2, 0]);
    accept(&mut decoder, &[6, 2, b'a', 2, 2, b'b', 4, 2, b'a', 6, 0]);
    let mut many = vec![80];
    (0..40u8).for_each(|i| many.extend([2, b'a' + i % 20, 2 * i]));
    many.push(0);
    accept(&mut decoder, &many);
    accept(&mut decoder, &[0]);
    let batch = flush(&mut decoder);
    let map = |entries: &[(&str, i64)]| Plain::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), Plain::Int(*v))).collect());
    let large = (0..20u8).map(|i| (char::from(b'a' + i).to_string(), Plain::Int(i64::from(i) + 20))).collect();
    let found: Vec<_> = (0..4).map(|row| of_arrow(batch.column(0), row)).collect();
    assert_eq!(found, [map(&[("z", 1)]), map(&[("a", 3), ("b", 2)]), Plain::Map(large), map(&[])]);
}

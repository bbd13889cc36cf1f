mod documents;
mod outside;
mod unions;

use super::{AvroEncoder, binary::from_base64, calendar};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value};
use serde_json::json;

fn schema(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#)
}

/// What apache-avro reads from the encoded bytes.
fn decoded(avro_json: &str, value: &[u8]) -> Value {
    assert_eq!(value[..5], [0, 0, 0, 1, 2]);
    let schema = Schema::parse_str(avro_json).unwrap();
    let mut rest = &value[5..];
    let Value::Record(mut fields) = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest).unwrap() else { panic!() };
    assert!(rest.is_empty());
    fields.remove(0).1
}

/// The document whose only field has this value.
fn text(value: &serde_json::Value) -> String {
    json!({ "f": value }).to_string()
}

fn encoder(avro_json: &str) -> AvroEncoder {
    AvroEncoder::new(avro_json, 0x102).unwrap()
}

/// JSON and, where given, a text cell encode to the value.
#[track_caller]
fn check(ty: &str, json: serde_json::Value, cell: Option<&str>, expected: Value) {
    let schema = schema(ty);
    let encoder = encoder(&schema);
    assert_eq!(decoded(&schema, &encoder.encode_json(text(&json).as_bytes()).unwrap()), expected);
    if let Some(cell) = cell {
        assert_eq!(decoded(&schema, &encoder.encode_text_row(&["f"], &[cell]).unwrap()), expected);
    }
}

/// Neither JSON nor text encodes; the path is that of the field.
#[track_caller]
fn refused(ty: &str, jsons: &[serde_json::Value], texts: &[&str]) {
    let encoder = encoder(&schema(ty));
    for json in jsons {
        let error = encoder.encode_json(text(json).as_bytes()).expect_err(&format!("{json} is no {ty}"));
        assert_eq!(error.path, "f", "{error}");
    }
    for text in texts {
        let error = encoder.encode_text_row(&["f"], &[text]).expect_err(&format!("{text} is no {ty}"));
        assert_eq!(error.path, "f", "{error}");
    }
}

const DATE: &str = r#"{"type":"int","logicalType":"date"}"#;
const MILLIS: &str = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
const MICROS: &str = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
const LOCAL: &str = r#"{"type":"long","logicalType":"local-timestamp-millis"}"#;
const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#;
const UUID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

#[test]
fn scalars() {
    check(r#""boolean""#, json!(true), Some("true"), Value::Boolean(true));
    refused(r#""boolean""#, &[json!(1), json!("true"), json!(null)], &["1", "TRUE", ""]);
    check(r#""int""#, json!(-2_147_483_648), Some("-2147483648"), Value::Int(i32::MIN));
    refused(r#""int""#, &[json!(2_147_483_648u32), json!(1.0), json!("1")], &["2147483648", "1.0", "", " 1"]);
    check(r#""long""#, json!(i64::MAX), Some("9223372036854775807"), Value::Long(i64::MAX));
    refused(r#""long""#, &[json!(u64::MAX), json!([1])], &["9223372036854775808"]);
    check(r#""float""#, json!(0.1), Some("0.1"), Value::Float(0.1));
    check(r#""float""#, json!("-Infinity"), Some("-Infinity"), Value::Float(f32::NEG_INFINITY));
    refused(r#""float""#, &[json!(1e39), json!("0.1"), json!("x")], &["1e39", "", "x"]);
    check(r#""double""#, json!(1e300), Some("1e300"), Value::Double(1e300));
    check(r#""double""#, json!(3), Some("3"), Value::Double(3.0));
    refused(r#""double""#, &[json!("1.0")], &["1e999", "1,5"]);
    check(r#""string""#, json!("é\0"), Some("é\0"), Value::String("é\0".into()));
    check(r#""string""#, json!(""), Some(""), Value::String(String::new()));
    refused(r#""string""#, &[json!(1), json!(null), json!({})], &[]);
    check(r#""bytes""#, json!("/wA="), Some("/wA="), Value::Bytes(vec![0xff, 0]));
    refused(r#""bytes""#, &[json!("/wA"), json!("?"), json!([255])], &["/wA", "A==="]);
    check(r#"{"type":"fixed","name":"F","size":2}"#, json!("/wA="), Some("/wA="), Value::Fixed(2, vec![0xff, 0]));
    refused(r#"{"type":"fixed","name":"F","size":2}"#, &[json!("/w==")], &[""]);
}

#[test]
fn text_like() {
    let symbols = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    check(symbols, json!("B"), Some("B"), Value::Enum(1, "B".into()));
    refused(symbols, &[json!("C"), json!(0)], &["C", "b"]);
    let uuid = Value::Uuid(apache_avro::Uuid::parse_str(UUID).unwrap());
    check(r#"{"type":"string","logicalType":"uuid"}"#, json!(UUID), Some(UUID), uuid.clone());
    let fixed = r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#;
    check(fixed, json!(UUID.to_uppercase()), Some(UUID), uuid);
    refused(fixed, &[json!("0190163d8694739baea5966c26f8ad91"), json!(1)], &["0190163d-8694-739b-aea5-966c26f8ad9g", ""]);
}

#[test]
fn decimals_are_exact() {
    for (text, unscaled) in
        [("0", 0), ("-12.5", -1250), ("999.99", 99_999), ("-999.99", -99_999), (".5", 50), ("+1.", 100), ("1.500", 150), ("1.28", 128)]
    {
        let size = if (-128..128).contains(&unscaled) {
            1
        } else if (-32_768..32_768).contains(&unscaled) {
            2
        } else {
            3
        };
        let bytes = i32::to_be_bytes(unscaled)[4 - size..].to_vec();
        let value = Value::Decimal(apache_avro::Decimal::from(bytes.clone()));
        check(DECIMAL, json!(text), Some(text), value);
        let encoded = encoder(&schema(DECIMAL)).encode_json(json!({ "f": text }).to_string().as_bytes()).unwrap();
        assert_eq!(encoded[5..], [vec![2 * u8::try_from(size).unwrap()], bytes].concat(), "the fewest bytes for {text}");
    }
    refused(
        DECIMAL,
        &[json!("1000"), json!("1.001"), json!(1.5), json!(1000), json!("")],
        &["1e2", "1..2", "-", ".", "--1", "1000.00", "0x1"],
    );
    let wide = r#"{"type":"fixed","name":"D","size":17,"logicalType":"decimal","precision":38,"scale":0}"#;
    let text = "-99999999999999999999999999999999999999";
    let mut bytes = vec![0xff];
    bytes.extend((-(10i128.pow(38) - 1)).to_be_bytes());
    check(wide, json!(text), Some(text), Value::Decimal(apache_avro::Decimal::from(bytes)));
}

#[test]
fn times() {
    check(DATE, json!("1969-12-31"), Some("1969-12-31"), Value::Date(-1));
    check(DATE, json!(20_000), Some("20000"), Value::Date(20_000));
    refused(
        DATE,
        &[json!("2023-02-29"), json!("2024-13-01"), json!("2024-00-10"), json!("2024-01-00"), json!("2024-1-1")],
        &["2024-01-01T", ""],
    );
    check(MILLIS, json!("2026-11-21T10:00:00.5+01:00"), Some("2026-11-21T09:00:00.500Z"), Value::TimestampMillis(1_795_251_600_500));
    check(MILLIS, json!(-1), Some("-1"), Value::TimestampMillis(-1));
    check(MICROS, json!("1969-12-31T23:59:59.999999Z"), Some("1969-12-31 23:59:59.999999z"), Value::TimestampMicros(-1));
    let lossy = [
        json!("2026-11-21T10:00:00.0001Z"),
        json!("2026-11-21T10:00:00"),
        json!("2026-11-21T24:00:00Z"),
        json!("2026-11-21T10:00:60Z"),
        json!(1.5),
    ];
    refused(MILLIS, &lossy, &["", "2026-11-21T10:00Z", "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00+1:00", "2026-11-21T10:00:00Zx"]);
    refused(MICROS, &[json!("2026-11-21T10:00:00.0000001Z")], &[]);
    check(LOCAL, json!("1970-01-02T00:00:00"), Some("86400000"), Value::LocalTimestampMillis(86_400_000));
    refused(LOCAL, &[json!("1970-01-02T00:00:00Z")], &[]);
}

/// Every day of 400 years follows the one before.
#[test]
fn the_calendar_has_no_holes() {
    let lengths = |year: i32| {
        [31, if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    let mut expected = calendar::parse_date("1799-12-31").unwrap();
    for year in 1800..2200 {
        for (month, days) in lengths(year).into_iter().enumerate() {
            for day in 1..=days {
                expected += 1;
                assert_eq!(calendar::parse_date(&format!("{year}-{:02}-{day:02}", month + 1)), Some(expected));
            }
        }
    }
    let ends = ["0000-01-01", "0001-01-01", "1970-01-01", "9999-12-31"].map(|date| calendar::parse_date(date).unwrap());
    assert_eq!(ends, [-719_528, -719_162, 0, 2_932_896]);
}

#[test]
fn nested_values_and_their_paths() {
    let ty = r#"["null",{"type":"array","items":{"type":"record","name":"I","fields":[
        {"name":"M","type":[{"type":"map","values":"int"},"null"]},{"name":"s","type":"string"}]}}]"#;
    let value = |map: Value| {
        let record = Value::Record(vec![("M".into(), map), ("s".into(), Value::String("x".into()))]);
        Value::Union(1, Box::new(Value::Array(vec![record])))
    };
    let map = Value::Union(0, Box::new(Value::Map([("k".to_owned(), Value::Int(3))].into())));
    check(ty, json!([{"M": {"k": 3}, "s": "x"}]), Some(r#"[{"M":{"k":3},"s":"x"}]"#), value(map));
    check(ty, json!([{"s": "x"}]), None, value(Value::Union(1, Box::new(Value::Null))));
    check(ty, json!(null), Some(""), Value::Union(0, Box::new(Value::Null)));
    check(ty, json!([]), Some("[]"), Value::Union(1, Box::new(Value::Array(vec![]))));
    let encoder = encoder(&schema(ty));
    let error = |json: serde_json::Value| {
        let error = encoder.encode_json(json.to_string().as_bytes()).unwrap_err();
        format!("`{}`: {}", error.path, error.what)
    };
    assert_eq!(error(json!({"f": [{"s": "x"}, {"s": "x", "M": {"k": "3"}}]})), "`f[1].M{k}`: `\"3\"` is not an integer of 32 bits");
    assert_eq!(error(json!({"f": [{"M": null}]})), "`f[0].s`: the field is missing and not nullable");
    assert_eq!(error(json!({"f": [{"s": "x", "S": "x"}]})), "`f[0].S`: the schema has no such field");
    assert_eq!(error(json!({"f": {}})), "`f`: the value is not an array");
    assert_eq!(error(json!({"F": null})), "`F`: the schema has no such field");
    assert_eq!(error(json!([])), "`row`: the document is not an object");
    let text = encoder.encode_text_row(&["f"], &["[{"]).unwrap_err();
    assert!(text.to_string().starts_with("`f[0]`: the cell is not JSON"), "{text}");
}

#[test]
fn text_rows() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"]}]}"#;
    let encoder = encoder(schema);
    assert_eq!(encoder.fields().collect::<Vec<_>>(), ["a", "b"]);
    let header = [0, 0, 0, 1, 2];
    let row = |columns: &[&str], values: &[&str]| encoder.encode_text_row(columns, values);
    assert_eq!(row(&["b", "a"], &["x", "1"]).unwrap(), [&header[..], &[2, 2, 2, b'x']].concat());
    assert_eq!(row(&["a"], &["1"]).unwrap(), [&header[..], &[2, 0]].concat());
    assert_eq!(row(&["a", "b"], &["1", ""]).unwrap(), [&header[..], &[2, 0]].concat());
    let error = |columns: &[&str], values: &[&str]| row(columns, values).unwrap_err().to_string();
    assert_eq!(error(&["b"], &["x"]), "`a`: the field is missing and not nullable");
    assert_eq!(error(&["a", "c", "d"], &["1", "2", "3"]), "`c`: the schema has no such field");
    assert_eq!(error(&["a", "a"], &["1", "2"]), "`a`: the column stands twice in the header");
    assert_eq!(error(&["a", "b"], &["1"]), "`row`: the row has `1` values for `2` columns");
}

#[test]
fn base64_is_strict() {
    assert_eq!(from_base64("").unwrap(), b"");
    assert_eq!(from_base64("TWFu").unwrap(), b"Man");
    assert_eq!(from_base64("TWE=").unwrap(), b"Ma");
    assert_eq!(from_base64("TQ==").unwrap(), b"M");
    assert_eq!(from_base64("+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    for bad in ["T", "TW", "TWF", "T===", "====", "TR==", "TWF=", "T=Fu", "TWF\n", "-_-_"] {
        assert_eq!(from_base64(bad), None, "{bad}");
    }
}

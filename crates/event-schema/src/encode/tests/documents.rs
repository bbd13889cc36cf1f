//! Documents as texts: syntax, places of faults, order of members, names that stand twice, unknown fields, limits.
use crate::{
    Limits, RefusalCode,
    encode::{AvroEncoder, EncodeError, EncodeOptions, EpochUnit, Position, Room, UnknownFields, split_array},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value};
use proptest::prelude::*;

const READING: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"device","type":"string"},
    {"name":"n","type":"long","default":7},
    {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"place","type":{"type":"record","name":"Place","fields":[{"name":"lat","type":"double"},{"name":"lon","type":["double","null"],"default":1.5}]},
     "default":{"lat":0.5}},
    {"name":"tags","type":{"type":"map","values":"string"},"default":{}},
    {"name":"list","type":{"type":"array","items":"int"},"default":[]}]}"#;

fn options(unknown_fields: UnknownFields) -> EncodeOptions {
    EncodeOptions { unknown_fields, ..EncodeOptions::default() }
}

fn encode(options: EncodeOptions, document: &[u8]) -> Result<Vec<u8>, EncodeError> {
    AvroEncoder::with_options(READING, 1, options).unwrap().encode_json(document)
}

fn decoded(avro_json: &str, value: &[u8]) -> Value {
    let mut rest = &value[5..];
    let schema = Schema::parse_str(avro_json).unwrap();
    let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest).unwrap();
    assert!(rest.is_empty());
    value
}

#[track_caller]
fn refused(document: &str, code: RefusalCode, path: &str, byte: usize) {
    let error = encode(EncodeOptions::default(), document.as_bytes()).expect_err(document);
    assert_eq!((error.code, error.path.as_str(), error.at.map(|at| at.byte)), (code, path, Some(byte)), "{document}: {error}");
}

#[test]
fn fields_left_out_have_their_defaults_in_any_order_of_the_others() {
    let expected = decoded(READING, &encode(EncodeOptions::default(), br#"{"device":"d"}"#).unwrap());
    let place = Value::Record(vec![("lat".into(), Value::Double(0.5)), ("lon".into(), Value::Union(0, Box::new(Value::Double(1.5))))]);
    let Value::Record(fields) = &expected else { panic!("{expected:?}") };
    assert_eq!(fields[1].1, Value::Long(7));
    assert_eq!(fields[2].1, Value::Union(0, Box::new(Value::Null)));
    assert_eq!(fields[3].1, place);
    let members = [r#""device":"d""#, r#""n":7"#, r#""at":null"#, r#""place":{"lon":1.5,"lat":0.5}"#, r#""tags":{}"#, r#""list":[]"#];
    // Each rotation, forwards and backwards, with and without the first.
    for from in 0..members.len() {
        let mut order: Vec<&str> = members[from..].iter().chain(&members[..from]).copied().collect();
        for _ in 0..2 {
            let document = format!("{{{}}}", order.join(","));
            assert_eq!(decoded(READING, &encode(EncodeOptions::default(), document.as_bytes()).unwrap()), expected, "{document}");
            order.reverse();
        }
        let fewer: Vec<&str> = order.into_iter().filter(|member| member.contains("device") || member.len() > 7 + from).collect();
        let document = format!("{{{}}}", fewer.join(","));
        assert_eq!(decoded(READING, &encode(EncodeOptions::default(), document.as_bytes()).unwrap()), expected, "{document}");
    }
}

#[test]
fn the_same_bytes_in_any_order() {
    let in_order =
        encode(EncodeOptions::default(), br#"{"device":"d","n":1,"at":5,"place":{"lat":1,"lon":2},"tags":{"a":"b"},"list":[1,2]}"#)
            .unwrap();
    let mixed = encode(EncodeOptions::default(), br#"{"list":[1,2],"place":{"lon":2,"lat":1},"device":"d","tags":{"a":"b"},"at":5,"n":1}"#)
        .unwrap();
    assert_eq!(in_order, mixed);
}

#[test]
fn what_is_not_json_is_refused_where_it_goes_wrong() {
    use RefusalCode::InvalidJson;
    for (document, path, byte) in [
        ("", "row", 0),
        ("  ", "row", 2),
        ("{", "row", 1),
        ("{}}", "device", 1),
        (r#"{"device""#, "row", 9),
        (r#"{"device"}"#, "row", 9),
        (r#"{"device":}"#, "device", 10),
        (r#"{"device":"d"#, "device", 12),
        (r#"{"device":"d"]"#, "row", 13),
        (r#"{"device":"d",}"#, "row", 14),
        (r#"{"device":"d" "n":1}"#, "row", 14),
        (r#"{"device":"d","n":01}"#, "n", 18),
        (r#"{"device":"d","n":+1}"#, "n", 18),
        (r#"{"device":"d","n":1.}"#, "n", 18),
        (r#"{"device":"d","n":-}"#, "n", 18),
        (r#"{"device":"d","n":1x}"#, "row", 19),
        (r#"{"device":"d","n":nul}"#, "n", 18),
        (r#"{"device":"d","n":NaN}"#, "n", 18),
        (r#"{"device":"\x"}"#, "device", 11),
        (r#"{"device":"\u12g4"}"#, "device", 11),
        (r#"{"device":"\ud800"}"#, "device", 11),
        (r#"{"device":"\udc00\ud800"}"#, "device", 11),
        ("{\"device\":\"a\nb\"}", "device", 12),
        (r#"{'device':"d"}"#, "row", 1),
        (r#"{"device":"d"} {}"#, "row", 15),
        (r#"{"device":"d","list":[1,]}"#, "list[1]", 24),
        (r#"{"device":"d","list":[1 2]}"#, "list", 24),
        (r#"{"device":"d","tags":{"a":"b",}}"#, "tags", 30),
        ("[", "row", 1),
    ] {
        let code = if document == "{}}" { RefusalCode::MissingField } else { InvalidJson };
        refused(document, code, path, byte);
    }
    let error = encode(EncodeOptions::default(), b"{\"device\":\"\xff\"}").unwrap_err();
    assert_eq!((error.code, error.at.map(|at| at.byte)), (RefusalCode::InvalidUtf8, Some(11)));
}

#[test]
fn values_that_do_not_fit_are_refused_with_path_and_place() {
    use RefusalCode::{MissingField, WrongType};
    refused(r#"[]"#, WrongType, "row", 0);
    refused(r#" "x""#, WrongType, "row", 1);
    refused(r#"{"device":1}"#, WrongType, "device", 10);
    refused(r#"{"device":null}"#, WrongType, "device", 10);
    refused(r#"{"device":"d","n":1.0}"#, WrongType, "n", 18);
    refused(r#"{"device":"d","n":9223372036854775808}"#, WrongType, "n", 18);
    refused(r#"{"device":"d","n":{"a":[1]}}"#, WrongType, "n", 18);
    // 2^64 + 5, of which the lower 64 bits are a small number.
    refused(r#"{"device":"d","n":18446744073709551621}"#, WrongType, "n", 18);
    let value = encode(EncodeOptions::default(), br#"{"device":"d","place":{"lat":18446744073709551621}}"#).unwrap();
    assert!(value.windows(8).any(|bytes| bytes == 18_446_744_073_709_551_621.0_f64.to_le_bytes()));
    refused(r#"{"device":"d","place":{"lon":1}}"#, MissingField, "place.lat", 30);
    refused(r#"{"device":"d","place":{"lat":1e999}}"#, WrongType, "place.lat", 29);
    refused(r#"{"device":"d","list":[1,2,"3"]}"#, WrongType, "list[2]", 26);
    refused(r#"{"device":"d","list":{}}"#, WrongType, "list", 21);
    refused(r#"{"device":"d","tags":{"a b":1}}"#, WrongType, "tags{a b}", 28);
    refused(r#"{"n":1}"#, MissingField, "device", 6);
    let error = encode(EncodeOptions::default(), b"{\n \"device\": 5\n}").unwrap_err();
    assert_eq!(error.at, Some(Position { byte: 13, line: 2, column: 12 }));
    assert_eq!(error.to_string(), "`device`: `5` is not a string, at byte 13 (line 2, column 12)");
    let long = format!(r#"{{"device":"d","n":"{}"}}"#, "x".repeat(100_000));
    assert!(encode(EncodeOptions::default(), long.as_bytes()).unwrap_err().to_string().len() < 200, "little of the value is quoted");
    assert_eq!(error.refusal().code, WrongType);
}

#[test]
fn escapes_mean_what_they_mean() {
    let value = |document: &str| {
        let Value::Record(fields) = decoded(READING, &encode(EncodeOptions::default(), document.as_bytes()).unwrap()) else { panic!() };
        fields
    };
    let fields = value(r#"{"d\u0065vice":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀","tags":{"\u0061":"\u0000"}}"#);
    assert_eq!(fields[0].1, Value::String("\"\\/\u{8}\u{c}\n\r\té😀é😀".into()));
    assert_eq!(fields[4].1, Value::Map([("a".to_owned(), Value::String("\0".into()))].into()));
}

#[test]
fn names_that_stand_twice_are_refused() {
    use RefusalCode::DuplicateField;
    refused(r#"{"device":"d","device":"d"}"#, DuplicateField, "device", 14);
    refused(r#"{"device":"d","d\u0065vice":"e"}"#, DuplicateField, "device", 14);
    refused(r#"{"n":1,"device":"d","n":1}"#, DuplicateField, "n", 20);
    refused(r#"{"device":"d","tags":{"a":"1","b":"2","a":"3"}}"#, DuplicateField, "tags{a}", 38);
    refused(r#"{"device":"d","place":{"lat":1,"lat":2}}"#, DuplicateField, "place.lat", 31);
    let ignored = encode(options(UnknownFields::Ignore), br#"{"x":1,"device":"d","x":1}"#).unwrap_err();
    assert_eq!((ignored.code, ignored.path.as_str()), (DuplicateField, "x"));
    // More than are compared one by one.
    let many = |last: &str| {
        let entries: Vec<String> = (0..200).map(|i| format!(r#""key {i}":"""#)).collect();
        format!(r#"{{"device":"d","tags":{{{},"{last}":""}}}}"#, entries.join(","))
    };
    encode(EncodeOptions::default(), many("key 200").as_bytes()).unwrap();
    for twice in ["key 0", "key 15", "key 16", "key 199"] {
        assert_eq!(encode(EncodeOptions::default(), many(twice).as_bytes()).unwrap_err().code, DuplicateField, "{twice}");
    }
}

#[test]
fn long_names_are_told_apart_by_their_middle() {
    let names = ["temperature_inner_of_wall", "temperature_outer_of_wall", "temperature_other_of_wall"];
    let fields: Vec<String> = names[..2].iter().map(|name| format!(r#"{{"name":"{name}","type":"int"}}"#)).collect();
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
    let encoder = AvroEncoder::new(&schema, 1).unwrap();
    let document = |first: &str, second: &str| format!(r#"{{"{first}":1,"{second}":2}}"#);
    assert_eq!(encoder.encode_json(document(names[0], names[1]).as_bytes()).unwrap()[5..], [2, 4]);
    assert_eq!(encoder.encode_json(document(names[1], names[0]).as_bytes()).unwrap()[5..], [4, 2]);
    let error = encoder.encode_json(document(names[2], names[1]).as_bytes()).unwrap_err();
    assert_eq!((error.code, error.path.as_str()), (RefusalCode::UnknownField, names[2]));
}

#[test]
fn unknown_fields_are_refused_ignored_or_kept() {
    let document = br#"{"x":{"y":[1,"a"]},"device":"d","place":{"lat":1,"alt":"\u0061"},"z":null}"#;
    let error = encode(EncodeOptions::default(), document).unwrap_err();
    assert_eq!((error.code, error.path.as_str(), error.at.map(|at| at.byte)), (RefusalCode::UnknownField, "x", Some(5)));
    let nested = encode(EncodeOptions::default(), br#"{"device":"d","place":{"lat":1,"alt":2}}"#).unwrap_err();
    assert_eq!((nested.code, nested.path.as_str()), (RefusalCode::UnknownField, "place.alt"));
    let plain = encode(EncodeOptions::default(), br#"{"device":"d","place":{"lat":1}}"#).unwrap();
    assert_eq!(encode(options(UnknownFields::Ignore), document).unwrap(), plain);
    let broken = encode(options(UnknownFields::Ignore), br#"{"device":"d","x":[1,}"#).unwrap_err();
    assert_eq!(broken.code, RefusalCode::InvalidJson, "what is ignored must be JSON too");

    let kept = encode(options(UnknownFields::KeepIn("tags".to_owned())), document).unwrap();
    let Value::Record(fields) = decoded(READING, &kept) else { panic!() };
    let text = |text: &str| Value::String(text.to_owned());
    let tags = [("x", r#"{"y":[1,"a"]}"#), ("place.alt", "a"), ("z", "null")];
    assert_eq!(fields[4].1, Value::Map(tags.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect()));
    let own = encode(options(UnknownFields::KeepIn("tags".to_owned())), br#"{"device":"d","tags":{"a":"b"}}"#).unwrap();
    let Value::Record(fields) = decoded(READING, &own) else { panic!() };
    assert_eq!(fields[4].1, Value::Map([("tags".to_owned(), text(r#"{"a":"b"}"#))].into()), "no document sets that field");
    let alike = encode(options(UnknownFields::KeepIn("tags".to_owned())), br#"{"device":"d","place":{"lat":1,"alt":2},"place.alt":3}"#);
    assert_eq!(alike.unwrap_err().code, RefusalCode::DuplicateField, "a name that looks like the path of another");
    let passed_over = EncodeOptions { passed_over: vec!["x".to_owned(), "z".to_owned()], ..EncodeOptions::default() };
    encode(passed_over, br#"{"x":[],"device":"d","z":1}"#).unwrap();
}

#[test]
fn depth_values_and_bytes_are_limited() {
    let limits =
        |depth, nodes, record_bytes| EncodeOptions { limits: Limits { depth, nodes, record_bytes }, ..options(UnknownFields::Ignore) };
    let code = |options: EncodeOptions, document: &str| encode(options, document.as_bytes()).map_err(|error| error.code).err();
    let deep = |depth: usize| format!(r#"{{"device":"d","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(code(limits(10, 100, 1_000), &deep(9)), None);
    assert_eq!(code(limits(10, 100, 1_000), &deep(10)), Some(RefusalCode::TooDeep));
    assert_eq!(
        code(EncodeOptions { unknown_fields: UnknownFields::Ignore, ..EncodeOptions::default() }, &deep(100_000)),
        Some(RefusalCode::TooDeep)
    );
    assert_eq!(code(limits(10, 100, 10), r#"{"device":"d"}"#), Some(RefusalCode::TooLarge));
    let wide = |items: usize| format!(r#"{{"device":"d","list":[{}]}}"#, vec!["1"; items].join(","));
    assert_eq!(code(limits(10, 100, 10_000), &wide(98)), None);
    assert_eq!(code(limits(10, 100, 10_000), &wide(99)), Some(RefusalCode::TooManyNodes));
    let ignored = format!(r#"{{"device":"d","x":[{}]}}"#, vec!["1"; 99].join(","));
    assert_eq!(code(limits(10, 100, 10_000), &ignored), Some(RefusalCode::TooManyNodes));
}

#[test]
fn counts_of_more_than_a_byte() {
    for items in [0, 1, 62, 63, 64, 65, 8_191, 8_192, 8_193] {
        let document = format!(r#"{{"device":"d","list":[{}]}}"#, vec!["-3"; items].join(","));
        let Value::Record(fields) = decoded(READING, &encode(EncodeOptions::default(), document.as_bytes()).unwrap()) else { panic!() };
        assert_eq!(fields[5].1, Value::Array(vec![Value::Int(-3); items]), "{items} items");
    }
}

#[test]
fn moments_as_numbers_of_any_unit() {
    let micros = |epoch: EpochUnit, number: &str| {
        let document = format!(r#"{{"device":"d","at":{number}}}"#);
        let value = encode(EncodeOptions { epoch, ..EncodeOptions::default() }, document.as_bytes()).ok()?;
        match decoded(READING, &value) {
            Value::Record(mut fields) => match fields.remove(2).1 {
                Value::Union(1, moment) => match *moment {
                    Value::TimestampMicros(micros) => Some(micros),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(micros(EpochUnit::OfType, "5"), Some(5));
    assert_eq!(micros(EpochUnit::OfType, "5.0"), None);
    assert_eq!(micros(EpochUnit::Seconds, "1795251600"), Some(1_795_251_600_000_000));
    assert_eq!(micros(EpochUnit::Seconds, "-1.25"), Some(-1_250_000));
    assert_eq!(micros(EpochUnit::Seconds, "1795251600.1234560"), Some(1_795_251_600_123_456));
    assert_eq!(micros(EpochUnit::Seconds, "1795251600.1234567"), None, "never rounded");
    assert_eq!(micros(EpochUnit::Seconds, "9223372036855"), None, "out of range");
    assert_eq!(micros(EpochUnit::Seconds, "1e3"), None);
    assert_eq!(micros(EpochUnit::Millis, "1.5"), Some(1_500));
    assert_eq!(micros(EpochUnit::Micros, "-1"), Some(-1));
    assert_eq!(micros(EpochUnit::Nanos, "3000"), Some(3));
    assert_eq!(micros(EpochUnit::Nanos, "3001"), None);
    assert_eq!(micros(EpochUnit::Seconds, r#""1970-01-01T00:00:01Z""#), Some(1_000_000), "text stays text");
    assert_eq!(micros(EpochUnit::Seconds, r#""5""#), None);
}

#[test]
fn an_array_is_split_where_its_elements_stand() {
    let split =
        |body: &str| split_array(body.as_bytes(), 3).map(|found| found.into_iter().map(|range| body[range].to_owned()).collect::<Vec<_>>());
    assert_eq!(split(" [ ] ").unwrap(), Vec::<String>::new());
    assert_eq!(split(r#"[{"a":"],["} , 1,"x"]"#).unwrap(), [r#"{"a":"],["}"#, "1", "\"x\""]);
    let error = |body: &str| {
        let error = split(body).expect_err(body);
        (error.code, error.path, error.at.map(|at| at.byte))
    };
    assert_eq!(error("[1,2,3,4]"), (RefusalCode::TooManyNodes, "row".to_owned(), Some(7)));
    assert_eq!(error("[1,{]"), (RefusalCode::InvalidJson, "[1]".to_owned(), Some(4)));
    assert_eq!(error("[1"), (RefusalCode::InvalidJson, "row".to_owned(), Some(2)));
    assert_eq!(error("[1] 2"), (RefusalCode::InvalidJson, "row".to_owned(), Some(4)));
    assert_eq!(error("{}"), (RefusalCode::InvalidJson, "row".to_owned(), Some(0)));
    assert_eq!(error(&"[".repeat(100_000)).0, RefusalCode::TooDeep);
}

#[test]
fn what_fails_leaves_the_output_as_it_was_and_room_can_be_used_again() {
    let encoder = AvroEncoder::with_options(READING, 1, options(UnknownFields::KeepIn("tags".to_owned()))).unwrap();
    let good = br#"{"n":2,"device":"d","x":"y"}"#;
    let alone = encoder.encode_json(good).unwrap();
    let (mut room, mut out) = (Room::default(), vec![9]);
    for bad in [&br#"{"x":1,"y":2,"n":{"#[..], br#"{"device":"d","place":{"z":1,"z":2}}"#, br#"{"list":[1,2,3,"#, b"\xff"] {
        encoder.encode(bad, &[], &mut room, &mut out).unwrap_err();
        assert_eq!(out, [9]);
        let encoded = encoder.encode(good, &[], &mut room, &mut out).unwrap();
        assert_eq!((out[encoded.value.clone()].to_vec(), encoded.value.start), (alone.clone(), 1));
        out.truncate(1);
    }
}

proptest! {
    /// The nearest double, as the standard library reads it; and integers exactly.
    #[test]
    fn numbers_are_read_exactly(text in "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?") {
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"d","type":"double"}]}"#;
        let encoder = AvroEncoder::new(schema, 1).unwrap();
        let expected: f64 = text.parse().unwrap();
        match encoder.encode_json(format!(r#"{{"d":{text}}}"#).as_bytes()) {
            Ok(value) => prop_assert_eq!(f64::from_le_bytes(value[5..].try_into().unwrap()).to_bits(), expected.to_bits()),
            Err(_) => prop_assert!(expected.is_infinite()),
        }
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"d","type":"long"}]}"#;
        let found = AvroEncoder::new(schema, 1).unwrap().encode_json(format!(r#"{{"d":{text}}}"#).as_bytes()).is_ok();
        prop_assert_eq!(found, text.parse::<i64>().is_ok() );
    }

    /// Any text comes through, escaped in any way.
    #[test]
    fn strings_come_through(text in any::<String>(), escape in any::<u64>()) {
        let mut quoted = String::from("\"");
        for (index, unit) in text.chars().enumerate() {
            if escape >> (index % 64) & 1 == 1 || unit < ' ' || unit == '"' || unit == '\\' {
                let mut units = [0; 2];
                unit.encode_utf16(&mut units).iter().for_each(|unit| quoted += &format!("\\u{unit:04X}"));
            } else {
                quoted.push(unit);
            }
        }
        quoted.push('"');
        let document = format!(r#"{{"device":{quoted}}}"#);
        let Value::Record(fields) = decoded(READING, &encode(EncodeOptions::default(), document.as_bytes()).unwrap()) else { panic!() };
        prop_assert_eq!(&fields[0].1, &Value::String(text));
    }

    /// No bytes make it panic, and what is accepted is JSON to serde_json too.
    #[test]
    fn any_bytes_are_answered(start in 0usize..80, damage in proptest::collection::vec(any::<u8>(), 0..6), remove in 0usize..6) {
        let mut document = br#"{"device":"d\u00e9","n":-12,"at":null,"place":{"lat":1.5e3,"lon":null},"list":[1,2]}"#.to_vec();
        let end = (start + remove).min(document.len());
        document.splice(start..end, damage);
        if encode(options(UnknownFields::Ignore), &document).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&document).is_ok(), "{}", String::from_utf8_lossy(&document));
        }
    }
}

//! Fields whose values come from outside of the document, and the record's key.
use crate::{
    RefusalCode, SchemaError,
    encode::{AvroEncoder, Conflict, EncodeError, EncodeOptions, Room, Supplied, UnknownFields},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value};

const READING: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"n","type":"long"},
    {"name":"device","type":"string"},
    {"name":"line","type":["null","int"],"default":null},
    {"name":"claimed","type":["null","string"],"default":null},
    {"name":"extra","type":["null",{"type":"map","values":["null","string"]}],"default":null}]}"#;

fn supplied(field: &str, conflict: Conflict) -> Supplied {
    Supplied { field: field.to_owned(), conflict }
}

fn options(conflict: Conflict) -> EncodeOptions {
    EncodeOptions {
        supplied: vec![supplied("device", conflict), supplied("line", Conflict::Refuse)],
        key: Some("device".to_owned()),
        ..EncodeOptions::default()
    }
}

struct Made {
    fields: Vec<Value>,
    key: Option<String>,
    conflicts: u64,
}

fn encode(options: EncodeOptions, given: &[Option<&str>], document: &str) -> Result<Made, EncodeError> {
    let mut out = b"before".to_vec();
    let encoder = AvroEncoder::with_options(READING, 1, options).unwrap();
    let encoded = encoder.encode(document.as_bytes(), given, &mut Room::default(), &mut out)?;
    let schema = Schema::parse_str(READING).unwrap();
    let mut rest = &out[encoded.value.clone()][5..];
    let Value::Record(fields) = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest).unwrap() else { panic!() };
    assert!(rest.is_empty());
    Ok(Made {
        fields: fields.into_iter().map(|(_, value)| value).collect(),
        key: encoded.key.map(|key| String::from_utf8(out[key].to_vec()).unwrap()),
        conflicts: encoded.conflicts,
    })
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn optional(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

#[test]
fn values_from_outside_stand_whatever_the_order() {
    for document in
        [r#"{"n":1}"#, r#"{"device":"d-1","n":1}"#, r#"{"n":1,"device":"d-1","line":7}"#, r#"{"device":null,"line":{"int":7},"n":1}"#]
    {
        let made = encode(options(Conflict::Refuse), &[Some("d-1"), Some("7")], document).unwrap();
        assert_eq!(made.fields[..3], [Value::Long(1), text("d-1"), optional(Value::Int(7))], "{document}");
        assert_eq!((made.key.as_deref(), made.conflicts), (Some("d-1"), 0), "{document}");
    }
    let own = encode(options(Conflict::Refuse), &[None, None], r#"{"n":1,"device":"d-2","line":3}"#).unwrap();
    assert_eq!(own.fields[1..3], [text("d-2"), optional(Value::Int(3))]);
    assert_eq!(own.key.as_deref(), Some("d-2"));
    let fewer = encode(options(Conflict::Refuse), &[], r#"{"n":1,"device":"d-2"}"#).unwrap();
    assert_eq!(fewer.fields[1], text("d-2"));
    let error = encode(options(Conflict::Refuse), &[None, None], r#"{"n":1}"#).err().unwrap();
    assert_eq!((error.code, error.path.as_str()), (RefusalCode::MissingField, "device"));
}

#[test]
fn another_claim_is_refused_overridden_or_kept() {
    let given = [Some("d-1"), None];
    for claim in [r#""d-2""#, "5", r#"{"a":1}"#, r#""D-1""#, r#""""#] {
        for document in [format!(r#"{{"device":{claim},"n":1}}"#), format!(r#"{{"n":1,"device":{claim}}}"#)] {
            let error = encode(options(Conflict::Refuse), &given, &document).err().expect(claim);
            assert_eq!((error.code, error.path.as_str()), (RefusalCode::ConflictingField, "device"), "{document}");
            let made = encode(options(Conflict::Override), &given, &document).unwrap();
            assert_eq!((&made.fields[1], &made.fields[3], made.conflicts), (&text("d-1"), &Value::Union(0, Box::new(Value::Null)), 1));
            let made = encode(options(Conflict::KeepClaimedIn("claimed".to_owned())), &given, &document).unwrap();
            let kept = claim.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(claim);
            assert_eq!((&made.fields[1], &made.fields[3]), (&text("d-1"), &optional(text(kept))), "{document}");
            assert_eq!((made.key.as_deref(), made.conflicts), (Some("d-1"), 1));
        }
    }
    let second = encode(options(Conflict::Refuse), &[Some("d-1"), Some("7")], r#"{"n":1,"line":8}"#).err().unwrap();
    assert_eq!((second.code, second.path.as_str()), (RefusalCode::ConflictingField, "line"));
}

#[test]
fn a_claim_cannot_be_forged_or_hidden() {
    let keep = || options(Conflict::KeepClaimedIn("claimed".to_owned()));
    let error = encode(keep(), &[Some("d-1")], r#"{"n":1,"claimed":"d-9"}"#).err().unwrap();
    assert_eq!((error.code, error.path.as_str()), (RefusalCode::UnknownField, "claimed"), "no document sets the field of claims");
    let ignoring = EncodeOptions { unknown_fields: UnknownFields::Ignore, ..keep() };
    let made = encode(ignoring, &[Some("d-1")], r#"{"n":1,"claimed":"d-9"}"#).unwrap();
    assert_eq!(made.fields[3], Value::Union(0, Box::new(Value::Null)));
    for conflict in [Conflict::Refuse, Conflict::Override] {
        for document in [r#"{"device":"d-1","n":1,"device":"d-2"}"#, r#"{"device":null,"n":1,"device":null}"#] {
            let error = encode(options(conflict.clone()), &[Some("d-1")], document).err().expect(document);
            assert_eq!((error.code, error.path.as_str()), (RefusalCode::DuplicateField, "device"));
        }
    }
    let broken = encode(options(Conflict::Override), &[Some("d-1")], r#"{"device":[1,"n":1}"#).err().unwrap();
    assert_eq!(broken.code, RefusalCode::InvalidJson);
}

#[test]
fn unknown_fields_and_claims_are_kept_side_by_side() {
    let options = EncodeOptions {
        unknown_fields: UnknownFields::KeepIn("extra".to_owned()),
        ..options(Conflict::KeepClaimedIn("claimed".to_owned()))
    };
    let made = encode(options, &[Some("d-1")], r#"{"extra":1,"device":"d-2","n":1,"claimed":"x"}"#).unwrap();
    let entries = [("extra", "1"), ("claimed", "x")].map(|(name, value)| (name.to_owned(), optional(text(value))));
    assert_eq!(made.fields[3..], [optional(text("d-2")), optional(Value::Map(entries.into()))]);
}

#[test]
fn a_value_from_outside_must_fit_its_field() {
    let error = encode(options(Conflict::Refuse), &[Some("d-1"), Some("seven")], r#"{"n":1}"#).err().unwrap();
    assert_eq!((error.code, error.path.as_str()), (RefusalCode::WrongType, "line"));
    assert!(error.what.contains("from outside"), "{error}");
}

#[test]
fn keys_are_text() {
    let key = |field: &str, document: &str| {
        let options = EncodeOptions { key: Some(field.to_owned()), ..EncodeOptions::default() };
        encode(options, &[], document).unwrap().key
    };
    assert_eq!(key("device", r#"{"line":5,"device":"é","n":-3}"#).as_deref(), Some("é"));
    assert_eq!(key("n", r#"{"line":5,"device":"d","n":-3}"#).as_deref(), Some("-3"));
    assert_eq!(key("line", r#"{"line":5,"device":"d","n":-3}"#).as_deref(), Some("5"));
    assert_eq!(key("line", r#"{"device":"d","n":-3}"#), None);
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"enum","name":"E","symbols":["A","B"]}},
        {"name":"g","type":["string","null"]}]}"#;
    let encoder = AvroEncoder::with_options(schema, 1, EncodeOptions { key: Some("f".to_owned()), ..EncodeOptions::default() }).unwrap();
    let mut out = Vec::new();
    let encoded = encoder.encode(br#"{"g":"x","f":"B"}"#, &[], &mut Room::default(), &mut out).unwrap();
    assert_eq!(out[encoded.key.clone().unwrap()], *b"B");
    assert_eq!(out[encoded.value], encoder.encode_json(br#"{"f":"B","g":"x"}"#).unwrap());
}

#[test]
fn options_that_the_schema_does_not_fit_are_refused_all_at_once() {
    let faults = |options: EncodeOptions| {
        let error: SchemaError = AvroEncoder::with_options(READING, 1, options).unwrap_err();
        error.faults.into_iter().map(|fault| fault.path).collect::<Vec<_>>()
    };
    let all = EncodeOptions {
        supplied: vec![
            supplied("nobody", Conflict::Refuse),
            supplied("extra", Conflict::Refuse),
            supplied("n", Conflict::KeepClaimedIn("line".to_owned())),
        ],
        unknown_fields: UnknownFields::KeepIn("claimed".to_owned()),
        key: Some("nowhere".to_owned()),
        ..EncodeOptions::default()
    };
    assert_eq!(faults(all), ["nobody", "extra", "line", "claimed", "nowhere"]);
    let twice =
        EncodeOptions { supplied: vec![supplied("n", Conflict::Refuse), supplied("n", Conflict::Override)], ..EncodeOptions::default() };
    assert_eq!(faults(twice), ["n"]);
    let required =
        EncodeOptions { supplied: vec![supplied("n", Conflict::KeepClaimedIn("device".to_owned()))], ..EncodeOptions::default() };
    assert_eq!(faults(required), ["device"], "a field that always needs a value cannot keep claims");
    let nested = EncodeOptions { key: Some("extra".to_owned()), ..EncodeOptions::default() };
    assert_eq!(faults(nested), ["extra"]);
}

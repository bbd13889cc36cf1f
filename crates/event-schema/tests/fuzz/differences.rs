//! Where this decode and apache-avro differ on purpose, and what each does.
use crate::{Reference, plain::Plain};
use event_schema::{BatchDecoder, Limits, Push, RefusalCode, SchemaFolder, TableSchema};
use std::sync::Arc;

/// What apache-avro lets pass and a table does not: values that cannot be kept, forms that only look right, and costs above a limit.
pub const STRICTER: &[RefusalCode] = &[
    RefusalCode::InvalidBlock,
    RefusalCode::InvalidNumber,
    RefusalCode::InvalidUuid,
    RefusalCode::DecimalOverflow,
    RefusalCode::ValueOutOfRange,
    RefusalCode::TooManyNodes,
    // Only behind the scale inside of a big-decimal's bytes; behind a record both refuse.
    RefusalCode::TrailingBytes,
];

fn field(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#)
}

fn push(json: &str, datum: &[u8]) -> Push {
    let table = Arc::new(TableSchema::parse(json).expect("the schema is usable"));
    let schemas = Arc::new(SchemaFolder::from_schemas("s", [(0, json.to_owned())]));
    let mut decoder = BatchDecoder::new(table, schemas, Limits { nodes: 1_000, ..Limits::default() });
    decoder.push(&[&[0; 5][..], datum].concat())
}

/// Refused here with a code; apache-avro reads a value.
#[track_caller]
fn stricter(ty: &str, datum: &[u8], code: RefusalCode, read: Plain) {
    let json = field(ty);
    match push(&json, datum) {
        Push::Refused(refusal) => assert_eq!(refusal.code, code),
        other => panic!("{other:?}"),
    }
    assert_eq!(Reference::new(&json).read(datum), Some(Plain::Record(vec![("f".to_owned(), read)])));
    assert!(STRICTER.contains(&code));
}

#[test]
fn what_apache_avro_lets_pass() {
    let ints = r#"{"type":"array","items":"int"}"#;
    // The size of a block in bytes is not that of its items: whoever skips by it reads other values.
    stricter(ints, &[1, 20, 2, 0], RefusalCode::InvalidBlock, Plain::List(vec![Plain::Int(1)]));
    // Text that names a uuid in another form: a column of uuids has one form.
    let uuid = r#"{"type":"string","logicalType":"uuid"}"#;
    let text = "0190163d8694739baea5966c26f8ad91";
    let hyphenated = "0190163d-8694-739b-aea5-966c26f8ad91";
    stricter(uuid, &[&[64], text.as_bytes()].concat(), RefusalCode::InvalidUuid, Plain::Text(hyphenated.to_owned()));
    // More digits than the decimal has: the column could not hold them.
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":0}"#;
    stricter(decimal, &[2, 100], RefusalCode::DecimalOverflow, Plain::Decimal(100));
    // Milliseconds beyond 64 bits of microseconds (the reference wraps when it multiplies).
    let millis = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let most = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    stricter(millis, &most, RefusalCode::ValueOutOfRange, Plain::Instant(i64::MAX.wrapping_mul(1000)));
    // More months than an int holds.
    let duration = r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#;
    let members = [("months", 1 << 31), ("days", 0), ("millis", 0)].map(|(name, value)| (name.to_owned(), Plain::Int(value)));
    stricter(duration, &[0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0], RefusalCode::ValueOutOfRange, Plain::Record(members.to_vec()));
    // Items of no bytes, more than a record may have nodes.
    let nulls = r#"{"type":"array","items":"null"}"#;
    stricter(nulls, &[0xa0, 0x1f, 0], RefusalCode::TooManyNodes, Plain::List(vec![Plain::Null; 2_000]));
    // Bytes behind the scale.
    let big = r#"{"type":"bytes","logicalType":"big-decimal"}"#;
    stricter(big, &[8, 2, 5, 0, 9], RefusalCode::TrailingBytes, Plain::Text("5".to_owned()));
}

/// The other way round: a uuid on bytes is the wrong base type, which Avro says to ignore; apache-avro wants 16 bytes.
#[test]
fn what_apache_avro_refuses() {
    let json = field(r#"{"type":"bytes","logicalType":"uuid"}"#);
    assert!(matches!(push(&json, &[2, 7]), Push::Row));
    assert_eq!(Reference::new(&json).read(&[2, 7]), None);
}

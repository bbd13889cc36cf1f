//! Each way to be malformed, its code, and neighbours that do not notice.
use super::{accept, decoder, flush, framed, generate::put_long, limited, one_field, plain::of_arrow, refuse};
use crate::{Limits, Push, RefusalCode};

fn long(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    put_long(&mut out, value);
    out
}

/// A good value before and after a bad one: the code is right, and two equal rows come out.
#[track_caller]
fn check(ty: &str, good: &[u8], bad: &[u8], code: RefusalCode, detail: &str) {
    let mut decoder = decoder(&one_field(ty));
    accept(&mut decoder, good);
    let refusal = refuse(&mut decoder, bad);
    assert_eq!((refusal.code, refusal.detail.as_str()), (code, detail));
    accept(&mut decoder, good);
    let batch = flush(&mut decoder);
    assert_eq!(batch.num_rows(), 2);
    let column = batch.column(0);
    assert_eq!(of_arrow(column, 0), of_arrow(column, 1));
    assert!(decoder.flush().unwrap().is_none());
}

const ENUM: &str = r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#;
const INTS: &str = r#"{"type":"array","items":"int"}"#;
const MAP: &str = r#"{"type":"map","values":"int"}"#;
const UUID: &str = r#"{"type":"string","logicalType":"uuid"}"#;
const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}"#;
const MILLIS: &str = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
const BAD_BYTES: &[u8] = &[4, b'a', 0xff];

#[test]
fn short_and_long_records() {
    check(r#""int""#, &[2], &[], RefusalCode::ShortRecord, "`f`: the record ends inside a number");
    check(r#""int""#, &[2], &[0x80], RefusalCode::ShortRecord, "`f`: the record ends inside a number");
    check(r#""string""#, &[2, b'a'], &[6, b'a'], RefusalCode::ShortRecord, "`f`: `3` bytes are announced, `1` are left");
    check(r#""double""#, &[0; 8], &[0; 7], RefusalCode::ShortRecord, "`f`: `8` bytes are announced, `7` are left");
    check(r#""boolean""#, &[1], &[], RefusalCode::ShortRecord, "`f`: `1` bytes are announced, `0` are left");
    check(r#""int""#, &[2], &[2, 2], RefusalCode::TrailingBytes, "`1` of `2` bytes follow the record");
    // A second record, and one that looks like the inner framing, are trailing bytes like any others.
    check(r#""int""#, &[2], &framed(&[2]), RefusalCode::TrailingBytes, "`5` of `6` bytes follow the record");
    let mut single_object = vec![2, 0xc3, 0x01];
    single_object.extend(0x7472_6962_7574_6172u64.to_le_bytes());
    single_object.push(2);
    check(r#""int""#, &[2], &single_object, RefusalCode::TrailingBytes, "`11` of `12` bytes follow the record");
}

#[test]
fn numbers_and_lengths() {
    check(r#""long""#, &[2], &[0xff; 10], RefusalCode::InvalidNumber, "`f`: a number has more than 64 bits");
    check(r#""long""#, &[2], &[0x80; 11], RefusalCode::InvalidNumber, "`f`: a number has more than 64 bits");
    let mut bit_65 = vec![0x80; 9];
    bit_65.push(0x02);
    check(r#""long""#, &[2], &bit_65, RefusalCode::InvalidNumber, "`f`: a number has more than 64 bits");
    check(r#""int""#, &[2], &long(1 << 31), RefusalCode::InvalidNumber, "`f`: an int has more than 32 bits");
    check(r#""bytes""#, &[0], &long(-1), RefusalCode::InvalidLength, "`f`: the length is `-1`");
    check(r#""bytes""#, &[0], &long(i64::MIN), RefusalCode::InvalidLength, "`f`: the length is `-9223372036854775808`");
    let huge = "`f`: `9223372036854775807` bytes are announced, `0` are left";
    check(r#""string""#, &[0], &long(i64::MAX), RefusalCode::ShortRecord, huge);
    let mut longer_form = decoder(&one_field(r#""int""#));
    accept(&mut longer_form, &[0x82, 0x80, 0x00]);
    accept(&mut longer_form, &[0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
    let batch = flush(&mut longer_form);
    assert_eq!(of_arrow(batch.column(0), 1), super::plain::Plain::Int(1));
}

#[test]
fn values_outside_of_their_types() {
    check(r#""string""#, &[0], BAD_BYTES, RefusalCode::InvalidUtf8, "`f`: the string is not UTF-8 from byte `1`");
    check(MAP, &[0], &[2, 4, b'a', 0xff, 2, 0], RefusalCode::InvalidUtf8, "`f{}`: the string is not UTF-8 from byte `1`");
    check(r#""boolean""#, &[0], &[2], RefusalCode::InvalidBoolean, "`f`: the boolean is neither 0 nor 1");
    check(ENUM, &[4], &[6], RefusalCode::InvalidEnum, "`f`: the symbol index is `3` of `3`");
    check(ENUM, &[4], &[1], RefusalCode::InvalidEnum, "`f`: the symbol index is `-1` of `3`");
    check(r#"["null","int"]"#, &[0], &[4, 2], RefusalCode::InvalidUnion, "`f`: the branch index is `2` of `2`");
    check(r#"["int","null"]"#, &[2], &[1, 2], RefusalCode::InvalidUnion, "`f`: the branch index is `-1` of `2`");
    check(DECIMAL, &[2, 5], &[4, 0x03, 0xe8], RefusalCode::DecimalOverflow, "`f`: the decimal has more than `3` digits");
    check(DECIMAL, &[4, 0x03, 0xe7], &[4, 0xfc, 0x18], RefusalCode::DecimalOverflow, "`f`: the decimal has more than `3` digits");
    let mut wide = vec![34, 1];
    wide.extend([0; 16]);
    check(DECIMAL, &[0], &wide, RefusalCode::DecimalOverflow, "`f`: the decimal has more than `3` digits");
    // As 16 bytes these would be -1.
    wide = vec![34, 0];
    wide.extend([0xff; 16]);
    check(DECIMAL, &[0], &wide, RefusalCode::DecimalOverflow, "`f`: the decimal has more than `3` digits");
    let overflow = "`f`: the milliseconds overflow 64 bits of microseconds";
    check(MILLIS, &long(i64::MAX / 1000), &long(i64::MAX / 1000 + 1), RefusalCode::ValueOutOfRange, overflow);
    check(MILLIS, &long(i64::MIN / 1000), &long(i64::MIN / 1000 - 1), RefusalCode::ValueOutOfRange, overflow);
}

#[test]
fn uuid_text_forms() {
    let text = |text: &str| [&long(text.len() as i64), text.as_bytes()].concat();
    let good = text("0190163D-8694-739b-aea5-966c26f8ad91");
    for bad in ["0190163d8694739baea5966c26f8ad91", "{190163d-8694-739b-aea5-966c26f8ad91", "0190163d-8694-739b-aea5-966c26f8ad9é", ""] {
        let detail = format!("`f`: `{}` bytes are not a uuid in text form", bad.len());
        check(UUID, &good, &text(bad), RefusalCode::InvalidUuid, &detail);
    }
}

#[test]
fn blocks() {
    let good = [2, 2, 3, 2, 6, 0];
    check(
        INTS,
        &[&good[..2], &[0]].concat(),
        &[3, 6, 2, 4, 0],
        RefusalCode::InvalidBlock,
        "`f`: the block's byte size is not the `2` bytes of its items",
    );
    check(INTS, &[0], &[1, 1, 2, 0], RefusalCode::InvalidBlock, "`f`: the block's byte size is `-1`");
    check(INTS, &[0], &[1, 20, 2, 0], RefusalCode::InvalidBlock, "`f`: the block's byte size is not the `1` bytes of its items");
    check(
        INTS,
        &[0],
        &[&long(i64::MIN)[..], &[2, 2, 0]].concat(),
        RefusalCode::InvalidBlock,
        "`f`: the block's count has no positive form",
    );
    check(INTS, &[0], &[3, 20, 2], RefusalCode::ShortRecord, "`f`: `2` items are announced, `1` bytes are left");
    check(INTS, &[0], &[6, 2, 0], RefusalCode::ShortRecord, "`f`: `3` items are announced, `2` bytes are left");
    let bomb = "`f`: `9223372036854775807` items are announced, `0` bytes are left";
    check(INTS, &[0], &long(i64::MAX), RefusalCode::ShortRecord, bomb);
    check(MAP, &[0], &long(i64::MAX), RefusalCode::ShortRecord, bomb);
    check(INTS, &[0], &[2, 2], RefusalCode::ShortRecord, "`f`: the record ends inside a number");
    check(INTS, &[0], &[4, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0], RefusalCode::InvalidNumber, "`f[]`: an int has more than 32 bits");
}

#[test]
fn paths_lead_into_nested_values() {
    let ty = r#"{"type":"array","items":{"type":"record","name":"Inner","fields":[{"name":"Tags","type":{"type":"map","values":["null","boolean"]}}]}}"#;
    check(ty, &[0], &[2, 2, 2, b'k', 2, 9, 0, 0], RefusalCode::InvalidBoolean, "`f[].Tags{}`: the boolean is neither 0 nor 1");
}

#[test]
fn frames() {
    let mut decoder = decoder(&one_field(r#""int""#));
    let mut code = |value: &[u8]| match decoder.push(value) {
        Push::Refused(refusal) => (refusal.code, refusal.schema_id),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(&[]), (RefusalCode::ShortHeader, None));
    assert_eq!(code(&[0, 0, 0, 7]), (RefusalCode::ShortHeader, None));
    assert_eq!(code(&[1, 0, 0, 0, 7, 2]), (RefusalCode::BadMagic, None));
    assert_eq!(code(&[3]), (RefusalCode::BadMagic, None));
    assert_eq!(code(b"{}"), (RefusalCode::BadMagic, None));
    assert_eq!(code(&[0, 0, 0, 0, 8, 2]), (RefusalCode::UnknownSchema, Some(8)));
    assert_eq!(code(&[0, 0, 0, 0, 7]), (RefusalCode::ShortRecord, Some(7)));
    assert_eq!(decoder.rows(), 0);
    assert!(decoder.flush().unwrap().is_none());
}

#[test]
fn records_over_a_limit() {
    let bytes = Limits { record_bytes: 20, ..Limits::default() };
    let mut decoder = limited(&one_field(r#""bytes""#), bytes);
    accept(&mut decoder, &[28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refuse(&mut decoder, &[30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).code, RefusalCode::TooLarge);
    let nodes = Limits { nodes: 4, ..Limits::default() };
    let mut decoder = limited(&one_field(INTS), nodes.clone());
    accept(&mut decoder, &[6, 2, 2, 2, 0]);
    assert_eq!(refuse(&mut decoder, &[8, 2, 2, 2, 2, 0]).code, RefusalCode::TooManyNodes);
    let mut decoder = limited(&one_field(MAP), nodes);
    accept(&mut decoder, &[2, 0, 2, 0]);
    assert_eq!(refuse(&mut decoder, &[4, 0, 2, 0, 2, 0]).code, RefusalCode::TooManyNodes);
    let depth = Limits { depth: 3, ..Limits::default() };
    let mut decoder = limited(&one_field(r#"{"type":"array","items":{"type":"array","items":{"type":"array","items":"int"}}}"#), depth);
    accept(&mut decoder, &[2, 0, 0]);
    let refusal = refuse(&mut decoder, &[2, 2, 0, 0, 0]);
    assert_eq!((refusal.code, refusal.detail.as_str()), (RefusalCode::TooDeep, "`f[][]`: the value is nested deeper than the limit"));
    accept(&mut decoder, &[8, 0, 0, 0, 0, 0]);
    assert_eq!(flush(&mut decoder).num_rows(), 2, "siblings are not deeper");
}

/// A null of a record is one byte, but takes a slot in each of its columns: a million such nulls would take gigabytes.
#[test]
fn nulls_are_not_free() {
    let fields: Vec<_> = (0..1000).map(|i| format!(r#"{{"name":"m{i}","type":"long"}}"#)).collect();
    let ty = format!(r#"{{"type":"array","items":["null",{{"type":"record","name":"Wide","fields":[{}]}}]}}"#, fields.join(","));
    let mut decoder = decoder(&one_field(&ty));
    let nulls = |count: i64| [long(count), vec![0; count as usize], vec![0]].concat();
    accept(&mut decoder, &nulls(900));
    assert_eq!(refuse(&mut decoder, &nulls(1000)).code, RefusalCode::TooManyNodes);
    assert!(decoder.memory_bytes() > 900 * 1000 * 8, "memory is counted: {}", decoder.memory_bytes());
    assert_eq!(flush(&mut decoder).num_rows(), 1);
    assert_eq!(decoder.memory_bytes(), 0);
    let mut fixed = super::decoder(&one_field(r#"{"type":"array","items":["null",{"type":"fixed","name":"F","size":100000}]}"#));
    assert_eq!(refuse(&mut fixed, &nulls(1000)).code, RefusalCode::TooManyNodes);
}

/// An enum's index and a uuid's bytes are much shorter than their text.
#[test]
fn text_made_of_few_bytes_is_not_free() {
    let symbol = "S".repeat(1600);
    let ty = format!(r#"{{"type":"array","items":{{"type":"enum","name":"E","symbols":["A","{symbol}"]}}}}"#);
    let mut decoder = decoder(&one_field(&ty));
    let items = |index: u8| [long(10_000), vec![index; 10_000], vec![0]].concat();
    accept(&mut decoder, &items(0));
    assert_eq!(refuse(&mut decoder, &items(2)).code, RefusalCode::TooManyNodes);
    let nodes = Limits { nodes: 8, ..Limits::default() };
    let uuids = r#"{"type":"array","items":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}"#;
    let mut decoder = limited(&one_field(uuids), nodes);
    accept(&mut decoder, &[&[2][..], &[7; 16], &[0]].concat());
    assert_eq!(refuse(&mut decoder, &[&[4][..], &[7; 32], &[0]].concat()).code, RefusalCode::TooManyNodes);
}

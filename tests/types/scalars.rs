//! Types without members: primitives, decimals, times and text-like types.
use crate::{
    Case, case, refused, row,
    wire::{all, branch, bytes, double, float, int, number, text},
};
use event_schema::RefusalCode::{DecimalOverflow, InvalidBoolean, InvalidEnum, InvalidNumber, InvalidUtf8, InvalidUuid, ValueOutOfRange};

pub fn cases() -> Vec<Case> {
    [primitives(), decimals(), times(), text_like()].into_iter().flatten().collect()
}

fn primitives() -> Vec<Case> {
    vec![
        case(
            "boolean",
            r#""boolean""#,
            "boolean",
            &["f BOOLEAN none"],
            vec![row(vec![1], "true"), row(vec![0], "false"), refused(vec![2], InvalidBoolean)],
        ),
        case(
            "int",
            r#""int""#,
            "int",
            &["f INT32 none"],
            vec![
                row(int(-1), "-1"),
                row(int(i32::MAX.into()), "2147483647"),
                row(int(i32::MIN.into()), "-2147483648"),
                refused(int(1 << 31), InvalidNumber),
            ],
        ),
        case(
            "long",
            r#""long""#,
            "bigint",
            &["f INT64 none"],
            vec![row(int(i64::MAX), "9223372036854775807"), row(int(i64::MIN), "-9223372036854775808"), row(vec![0x82, 0x80, 0x00], "1")],
        ),
        case(
            "float",
            r#""float""#,
            "float",
            &["f FLOAT none"],
            vec![row(float(1.5), "1.5"), row(float(f32::NAN), "nan"), row(float(-0.0), "-0.0"), row(float(f32::INFINITY), "inf")],
        ),
        case(
            "double",
            r#""double""#,
            "double",
            &["f DOUBLE none"],
            vec![row(double(0.1), "0.1"), row(double(f64::NAN), "nan"), row(double(-0.0), "-0.0"), row(double(f64::NEG_INFINITY), "-inf")],
        ),
        case(
            "string",
            r#""string""#,
            "string",
            &["f BYTE_ARRAY string"],
            vec![
                row(text(""), r#""""#),
                row(text("a\0b"), r#""a\u0000b""#),
                row(text("😀 and a tail of some length"), r#""😀 and a tail of some length""#),
                refused(bytes(&[b'a', 0xff]), InvalidUtf8),
                refused(bytes(&[0xed, 0xa0, 0x80]), InvalidUtf8),
            ],
        ),
        case(
            "bytes",
            r#""bytes""#,
            "binary",
            &["f BYTE_ARRAY none"],
            vec![row(bytes(&[]), "0x"), row(bytes(&[0xff, 0, 0xfe]), "0xff00fe")],
        ),
        case(
            "fixed",
            r#"{"type":"fixed","name":"F","size":3}"#,
            "binary",
            &["f FIXED_LEN_BYTE_ARRAY none"],
            vec![row(vec![0xff, 0, 1], "0xff0001")],
        ),
    ]
}

fn decimals() -> Vec<Case> {
    let decimal = |precision: u32| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":2}}"#);
    let wide = format!("{}.99", "9".repeat(36));
    let fixed = r#"["null",{"type":"fixed","name":"D","size":20,"logicalType":"decimal","precision":38,"scale":2}]"#;
    let largest = 10i128.pow(38) - 1;
    vec![
        case(
            "decimal of 9",
            &decimal(9),
            "decimal(9,2)",
            &["f INT32 decimal"],
            vec![
                row(bytes(&number(-1250, 2)), "-12.50"),
                row(bytes(&number(-1, 8)), "-0.01"),
                row(bytes(&[]), "0.00"),
                row(bytes(&number(999_999_999, 4)), "9999999.99"),
                refused(bytes(&number(1_000_000_000, 4)), DecimalOverflow),
                refused(bytes(&number(-1_000_000_000, 4)), DecimalOverflow),
            ],
        ),
        case(
            "decimal of 18",
            &decimal(18),
            "decimal(18,2)",
            &["f INT64 decimal"],
            vec![row(bytes(&number(-(10i128.pow(18) - 1), 8)), "-9999999999999999.99")],
        ),
        case(
            "decimal of 38",
            &decimal(38),
            "decimal(38,2)",
            &["f FIXED_LEN_BYTE_ARRAY decimal"],
            vec![
                row(bytes(&number(largest, 16)), &wide),
                row(bytes(&number(-largest, 17)), &format!("-{wide}")),
                refused(bytes(&number(largest + 1, 17)), DecimalOverflow),
            ],
        ),
        case(
            "decimal in a fixed",
            fixed,
            "decimal(38,2)",
            &["f FIXED_LEN_BYTE_ARRAY decimal"],
            vec![
                row(branch(1, number(-7, 20)), "-0.07"),
                row(int(0), "null"),
                refused(branch(1, [vec![1], number(0, 19)].concat()), DecimalOverflow),
            ],
        ),
        case(
            "decimal with more scale than digits",
            r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#,
            "binary",
            &["f BYTE_ARRAY none"],
            vec![row(bytes(&[1, 2]), "0x0102")],
        ),
        case(
            "big-decimal",
            r#"{"type":"bytes","logicalType":"big-decimal"}"#,
            "string",
            &["f BYTE_ARRAY string"],
            vec![
                row(bytes(&all(&[bytes(&number(-1250, 2)), int(2)])), r#""-12.50""#),
                row(bytes(&all(&[bytes(&number(5, 1)), int(4)])), r#""0.0005""#),
                row(bytes(&all(&[bytes(&number(5, 1)), int(-3)])), r#""5000""#),
                row(bytes(&all(&[bytes(&[&[1][..], &[0; 16]].concat()), int(1)])), r#""34028236692093846346337460743176821145.6""#),
                refused(bytes(&all(&[bytes(&number(5, 1)), int(1 << 40)])), DecimalOverflow),
            ],
        ),
    ]
}

fn times() -> Vec<Case> {
    let logical = |base: &str, name: &str| format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#);
    let (utc, local) = (["f INT64 timestamp utc"], ["f INT64 timestamp local"]);
    vec![
        case(
            "date",
            &logical("int", "date"),
            "date",
            &["f INT32 date"],
            vec![row(int(-1), "1969-12-31"), row(int(2_932_896), "9999-12-31"), row(int(-719_162), "0001-01-01")],
        ),
        case("time-millis", &logical("int", "time-millis"), "int", &["f INT32 none"], vec![row(int(86_399_999), "86399999")]),
        case("time-micros", &logical("long", "time-micros"), "bigint", &["f INT64 none"], vec![row(int(86_399_999_999), "86399999999")]),
        case(
            "timestamp-millis",
            &logical("long", "timestamp-millis"),
            "timestamp",
            &utc,
            vec![
                row(int(-1), "1969-12-31T23:59:59.999000Z"),
                row(int(1_795_255_200_001), "2026-11-21T10:00:00.001000Z"),
                refused(int(i64::MAX / 1000 + 1), ValueOutOfRange),
            ],
        ),
        case(
            "timestamp-micros",
            &logical("long", "timestamp-micros"),
            "timestamp",
            &utc,
            vec![row(int(-1), "1969-12-31T23:59:59.999999Z"), row(int(0), "1970-01-01T00:00:00Z")],
        ),
        case(
            "timestamp-nanos",
            &logical("long", "timestamp-nanos"),
            "timestamp",
            &utc,
            vec![
                row(int(-1), "1969-12-31T23:59:59.999999Z"),
                row(int(1_999), "1970-01-01T00:00:00.000001Z"),
                row(int(i64::MAX), "2262-04-11T23:47:16.854775Z"),
            ],
        ),
        case(
            "local-timestamp-millis",
            &logical("long", "local-timestamp-millis"),
            "timestamp",
            &local,
            vec![row(int(1_795_255_200_000), "2026-11-21T10:00:00")],
        ),
        case(
            "local-timestamp-micros",
            &logical("long", "local-timestamp-micros"),
            "timestamp",
            &local,
            vec![row(int(-1), "1969-12-31T23:59:59.999999")],
        ),
        case(
            "local-timestamp-nanos",
            &logical("long", "local-timestamp-nanos"),
            "timestamp",
            &local,
            vec![row(int(-1_000), "1969-12-31T23:59:59.999999")],
        ),
        case(
            "duration",
            r#"["null",{"type":"fixed","name":"D","size":12,"logicalType":"duration"}]"#,
            "struct<months:int,days:int,millis:bigint>",
            &["f.months INT32 none", "f.days INT32 none", "f.millis INT64 none"],
            vec![
                row(branch(1, vec![1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), "{months: 1, days: 2, millis: 4294967295}"),
                row(int(0), "null"),
                refused(branch(1, vec![0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]), ValueOutOfRange),
            ],
        ),
    ]
}

fn text_like() -> Vec<Case> {
    let uuid = "0190163d-8694-739b-aea5-966c26f8ad91";
    let raw: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&uuid.replace('-', "")[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect();
    let shown = format!(r#""{uuid}""#);
    let string = ["f BYTE_ARRAY string"];
    vec![
        case(
            "uuid as text",
            r#"{"type":"string","logicalType":"uuid"}"#,
            "string",
            &string,
            vec![row(text(uuid), &shown), row(text(&uuid.to_uppercase()), &shown), refused(text("no uuid"), InvalidUuid)],
        ),
        case("uuid as bytes", r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#, "string", &string, vec![row(raw, &shown)]),
        case(
            "enum",
            r#"{"type":"enum","name":"E","symbols":["A","a_symbol_of_more_than_sixteen_bytes"],"default":"A"}"#,
            "string",
            &string,
            vec![
                row(int(1), r#""a_symbol_of_more_than_sixteen_bytes""#),
                row(int(0), r#""A""#),
                refused(int(2), InvalidEnum),
                refused(int(-1), InvalidEnum),
            ],
        ),
        case(
            "unknown logical type",
            r#"{"type":"long","logicalType":"no-such-type"}"#,
            "bigint",
            &["f INT64 none"],
            vec![row(int(5), "5")],
        ),
        case(
            "logical type on another base",
            r#"{"type":"long","logicalType":"date"}"#,
            "bigint",
            &["f INT64 none"],
            vec![row(int(5), "5")],
        ),
    ]
}

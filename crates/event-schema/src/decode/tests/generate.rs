//! Random schemas, and values written as bytes by hand in all the forms that Avro allows.
use super::plain::Plain;
use proptest::prelude::*;
use rand::{Rng, rngs::StdRng};
use std::collections::BTreeMap;

/// A type; names are made up when it is written as JSON.
#[derive(Clone, Debug)]
pub enum Ty {
    /// Type as JSON.
    Simple(&'static str),
    Fixed(usize),
    /// Precision, scale, bytes of the fixed.
    Decimal(u8, u8, Option<usize>),
    UuidBytes,
    Enum(usize),
    Array(Box<Ty>),
    Map(Box<Ty>),
    Record(Vec<Ty>),
    /// With null, which is the first branch or the second.
    Nullable(bool, Box<Ty>),
}

const SIMPLE: &[&str] = &[
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""bytes""#,
    r#""string""#,
    r#"{"type":"string","logicalType":"uuid"}"#,
    r#"{"type":"int","logicalType":"date"}"#,
    r#"{"type":"int","logicalType":"time-millis"}"#,
    r#"{"type":"long","logicalType":"time-micros"}"#,
    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"no-such-type"}"#,
];

/// Bytes that hold so many digits.
fn bytes_for(precision: u8) -> usize {
    (1..=16).find(|bytes| (i128::MAX >> (8 * (16 - bytes))).ilog10() >= u32::from(precision)).unwrap()
}

fn leaf() -> impl Strategy<Value = Ty> {
    let decimal = (1u8..=38, 0u8..=38, proptest::option::of(0usize..20));
    prop_oneof![
        8 => proptest::sample::select(SIMPLE).prop_map(Ty::Simple),
        1 => (1usize..40).prop_map(Ty::Fixed),
        2 => decimal.prop_map(|(p, s, extra)| Ty::Decimal(p, s.min(p), extra.map(|extra| bytes_for(p) + extra))),
        1 => Just(Ty::UuidBytes),
        1 => (1usize..5).prop_map(Ty::Enum),
    ]
}

fn ty() -> impl Strategy<Value = Ty> {
    let maybe = |ty: BoxedStrategy<Ty>| {
        (ty, proptest::option::of(any::<bool>()))
            .prop_map(|(ty, null)| match null {
                Some(first) if !matches!(ty, Ty::Nullable(..)) => Ty::Nullable(first, Box::new(ty)),
                _ => ty,
            })
            .boxed()
    };
    maybe(leaf().boxed()).prop_recursive(4, 24, 4, move |inner| {
        let nested = prop_oneof![
            inner.clone().prop_map(|items| Ty::Array(Box::new(items))),
            inner.clone().prop_map(|values| Ty::Map(Box::new(values))),
            proptest::collection::vec(inner, 1..4).prop_map(Ty::Record),
        ];
        maybe(nested.boxed())
    })
}

/// Types of a record's fields.
pub fn record() -> impl Strategy<Value = Ty> {
    proptest::collection::vec(ty(), 1..6).prop_map(Ty::Record)
}

impl Ty {
    /// The schema as JSON; `names` counts the named types.
    pub fn json(&self, names: &mut usize) -> String {
        let mut name = || {
            *names += 1;
            format!("N{names}")
        };
        match self {
            Ty::Simple(json) => (*json).to_owned(),
            Ty::Fixed(size) => format!(r#"{{"type":"fixed","name":"{}","size":{size}}}"#, name()),
            Ty::UuidBytes => format!(r#"{{"type":"fixed","name":"{}","size":16,"logicalType":"uuid"}}"#, name()),
            Ty::Decimal(p, s, None) => format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{p},"scale":{s}}}"#),
            Ty::Decimal(p, s, Some(size)) => {
                format!(r#"{{"type":"fixed","name":"{}","size":{size},"logicalType":"decimal","precision":{p},"scale":{s}}}"#, name())
            }
            Ty::Enum(symbols) => {
                let symbols: Vec<_> = (0..*symbols).map(|i| format!(r#""SYM_{i}""#)).collect();
                format!(r#"{{"type":"enum","name":"{}","symbols":[{}]}}"#, name(), symbols.join(","))
            }
            Ty::Array(items) => format!(r#"{{"type":"array","items":{}}}"#, items.json(names)),
            Ty::Map(values) => format!(r#"{{"type":"map","values":{}}}"#, values.json(names)),
            Ty::Nullable(true, ty) => format!(r#"["null",{}]"#, ty.json(names)),
            Ty::Nullable(false, ty) => format!(r#"[{},"null"]"#, ty.json(names)),
            Ty::Record(fields) => {
                let name = name();
                let fields: Vec<_> =
                    fields.iter().enumerate().map(|(i, f)| format!(r#"{{"name":"Field{i}","type":{}}}"#, f.json(names))).collect();
                format!(r#"{{"type":"record","name":"{name}","fields":[{}]}}"#, fields.join(","))
            }
        }
    }
}

pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend(bytes);
}

fn any_long(rng: &mut StdRng) -> i64 {
    let extremes = [0, 1, -1, i64::MAX, i64::MIN, 63, 64, -64, -65];
    if rng.random_bool(0.3) { extremes[rng.random_range(0..extremes.len())] } else { rng.random::<i64>() >> rng.random_range(0..64) }
}

fn any_text(rng: &mut StdRng) -> String {
    let letters = ['a', 'Z', '\0', 'é', '😀', '"', '\n', '\u{202e}'];
    (0..rng.random_range(0..6)).map(|_| letters[rng.random_range(0..letters.len())]).collect()
}

fn any_bytes(rng: &mut StdRng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.random()).collect()
}

fn hyphenated(uuid: &[u8]) -> String {
    let hex: String = uuid.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Writes a random value; returns it as the table should have it.
pub fn write(ty: &Ty, rng: &mut StdRng, out: &mut Vec<u8>) -> Plain {
    match ty {
        Ty::Simple(json) => write_simple(json, rng, out),
        Ty::Fixed(size) => {
            let bytes = any_bytes(rng, *size);
            out.extend(&bytes);
            Plain::Bytes(bytes)
        }
        Ty::UuidBytes => {
            let bytes = any_bytes(rng, 16);
            out.extend(&bytes);
            Plain::Text(hyphenated(&bytes))
        }
        Ty::Decimal(precision, _, fixed) => write_decimal(*precision, *fixed, rng, out),
        Ty::Enum(symbols) => {
            let index = rng.random_range(0..*symbols);
            put_long(out, index as i64);
            Plain::Text(format!("SYM_{index}"))
        }
        Ty::Nullable(first, ty) => {
            let null = rng.random_bool(0.4);
            put_long(out, i64::from(null != *first));
            if null { Plain::Null } else { write(ty, rng, out) }
        }
        Ty::Array(items) => {
            let mut list = Vec::new();
            write_blocks(rng, out, |rng, out| list.push(write(items, rng, out)));
            Plain::List(list)
        }
        Ty::Map(values) => {
            let mut map = BTreeMap::new();
            write_blocks(rng, out, |rng, out| {
                let key = any_text(rng);
                put_bytes(out, key.as_bytes());
                map.insert(key, write(values, rng, out));
            });
            Plain::Map(map)
        }
        Ty::Record(fields) => Plain::Record(fields.iter().enumerate().map(|(i, f)| (format!("field{i}"), write(f, rng, out))).collect()),
    }
}

/// None to two blocks, each with or without its size in bytes.
fn write_blocks(rng: &mut StdRng, out: &mut Vec<u8>, mut item: impl FnMut(&mut StdRng, &mut Vec<u8>)) {
    for _ in 0..rng.random_range(0..3) {
        let count = rng.random_range(1..4);
        let mut body = Vec::new();
        (0..count).for_each(|_| item(rng, &mut body));
        if rng.random() {
            put_long(out, -count);
            put_long(out, body.len() as i64);
        } else {
            put_long(out, count);
        }
        out.extend(body);
    }
    put_long(out, 0);
}

fn write_decimal(precision: u8, fixed: Option<usize>, rng: &mut StdRng, out: &mut Vec<u8>) -> Plain {
    let bound = 10i128.pow(precision.into()) - 1;
    let value = match rng.random_range(0..4) {
        0 => bound,
        1 => -bound,
        _ => rng.random_range(-bound..=bound) >> rng.random_range(0..120),
    };
    let size = fixed.unwrap_or_else(|| bytes_for(precision) + rng.random_range(0..6));
    let mut bytes = vec![if value < 0 { 0xff } else { 0 }; size.max(16)];
    let at = bytes.len() - 16;
    bytes[at..].copy_from_slice(&value.to_be_bytes());
    let bytes = &bytes[bytes.len() - size..];
    if fixed.is_some() {
        out.extend(bytes);
    } else {
        put_bytes(out, bytes);
    }
    Plain::Decimal(value)
}

fn write_simple(json: &str, rng: &mut StdRng, out: &mut Vec<u8>) -> Plain {
    let kind = json.rsplit('"').nth(1).unwrap();
    match kind {
        "boolean" => {
            let value = rng.random();
            out.push(u8::from(value));
            Plain::Bool(value)
        }
        "int" | "time-millis" | "date" => {
            let value = (any_long(rng) >> rng.random_range(0..64)) as i32;
            put_long(out, value.into());
            if kind == "date" { Plain::Date(value) } else { Plain::Int(value.into()) }
        }
        "timestamp-millis" | "local-timestamp-millis" => {
            let value = any_long(rng) / 1000;
            put_long(out, value);
            if kind == "timestamp-millis" { Plain::Instant(value * 1000) } else { Plain::WallClock(value * 1000) }
        }
        "long" | "time-micros" | "no-such-type" | "timestamp-micros" | "local-timestamp-micros" => {
            let value = any_long(rng);
            put_long(out, value);
            match kind {
                "timestamp-micros" => Plain::Instant(value),
                "local-timestamp-micros" => Plain::WallClock(value),
                _ => Plain::Int(value),
            }
        }
        "float" => {
            let bits = if rng.random_bool(0.3) { (-0.0f32).to_bits() } else { rng.random() };
            out.extend(bits.to_le_bytes());
            Plain::Bits(bits.into())
        }
        "double" => {
            let bits = if rng.random_bool(0.3) { f64::INFINITY.to_bits() } else { rng.random() };
            out.extend(bits.to_le_bytes());
            Plain::Bits(bits)
        }
        "bytes" => {
            let length = rng.random_range(0..9);
            let bytes = any_bytes(rng, length);
            put_bytes(out, &bytes);
            Plain::Bytes(bytes)
        }
        "string" => {
            let text = any_text(rng);
            put_bytes(out, text.as_bytes());
            Plain::Text(text)
        }
        "uuid" => {
            let text = hyphenated(&any_bytes(rng, 16));
            let written = if rng.random() { text.to_uppercase() } else { text.clone() };
            put_bytes(out, written.as_bytes());
            Plain::Text(text)
        }
        other => panic!("{other}"),
    }
}

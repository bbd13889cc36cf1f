//! Random values of a schema as bytes, in all the forms that Avro allows, and damage to them.
use crate::plain::{Names, resolved};
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Schema, UuidSchema};
use rand::{Rng, rngs::StdRng};

fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend(bytes);
}

fn any_long(rng: &mut StdRng) -> i64 {
    let extremes = [0, 1, -1, i64::MAX, i64::MIN, 63, 64, -64, -65];
    if rng.random_bool(0.2) { extremes[rng.random_range(0..extremes.len())] } else { rng.random::<i64>() >> rng.random_range(0..64) }
}

fn any_text(rng: &mut StdRng) -> String {
    let letters = ['a', 'Z', '\0', 'é', '😀', '"', '\n', 'x', 'y', '0'];
    let longest = if rng.random_bool(0.1) { 60 } else { 12 };
    (0..rng.random_range(0..longest)).map(|_| letters[rng.random_range(0..letters.len())]).collect()
}

fn any_bytes(rng: &mut StdRng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.random()).collect()
}

/// Writes a random value of a schema.
pub fn put(schema: &Schema, names: &Names, rng: &mut StdRng, out: &mut Vec<u8>) {
    match resolved(schema, names) {
        Schema::Null => {}
        Schema::Boolean => out.push(rng.random_range(0..2)),
        Schema::Int | Schema::Date | Schema::TimeMillis => put_long(out, any_long(rng) as i32 as i64),
        Schema::TimestampMillis | Schema::LocalTimestampMillis => put_long(out, any_long(rng) / 1000),
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => put_long(out, any_long(rng)),
        Schema::Float => out.extend(if rng.random_bool(0.3) { (-0.0f32).to_bits() } else { rng.random() }.to_le_bytes()),
        Schema::Double => out.extend(if rng.random_bool(0.3) { f64::NAN.to_bits() } else { rng.random() }.to_le_bytes()),
        Schema::Bytes => {
            let length = rng.random_range(0..20);
            put_bytes(out, &any_bytes(rng, length));
        }
        Schema::String => put_bytes(out, any_text(rng).as_bytes()),
        Schema::Uuid(UuidSchema::String) => put_uuid(rng, out),
        Schema::Uuid(_) => out.extend(any_bytes(rng, 16)),
        Schema::Duration(_) => (0..3).for_each(|_| out.extend((rng.random::<u32>() >> 1).to_le_bytes())),
        Schema::Fixed(fixed) => out.extend(any_bytes(rng, fixed.size)),
        Schema::Decimal(decimal) => put_decimal(decimal, rng, out),
        Schema::BigDecimal => {
            let mut inner = Vec::new();
            let length = rng.random_range(0..24);
            put_bytes(&mut inner, &any_bytes(rng, length));
            put_long(&mut inner, rng.random_range(-40..40));
            put_bytes(out, &inner);
        }
        Schema::Enum(symbols) => put_long(out, rng.random_range(0..symbols.symbols.len()) as i64),
        Schema::Array(array) => put_blocks(rng, out, |rng, out| put(&array.items, names, rng, out)),
        Schema::Map(map) => put_blocks(rng, out, |rng, out| {
            put_bytes(out, any_text(rng).as_bytes());
            put(&map.types, names, rng, out);
        }),
        Schema::Union(union) => {
            let index = rng.random_range(0..union.variants().len());
            put_long(out, index as i64);
            put(&union.variants()[index], names, rng, out);
        }
        Schema::Record(record) => record.fields.iter().for_each(|field| put(&field.schema, names, rng, out)),
        Schema::Ref { name } => panic!("`{name}` is resolved"),
    }
}

/// None to two blocks, each with or without its size in bytes.
fn put_blocks(rng: &mut StdRng, out: &mut Vec<u8>, mut item: impl FnMut(&mut StdRng, &mut Vec<u8>)) {
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

fn put_uuid(rng: &mut StdRng, out: &mut Vec<u8>) {
    let hex: String = any_bytes(rng, 16).iter().map(|b| format!("{b:02x}")).collect();
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    put_bytes(out, if rng.random() { text.to_uppercase() } else { text }.as_bytes());
}

fn put_decimal(decimal: &DecimalSchema, rng: &mut StdRng, out: &mut Vec<u8>) {
    let bound = 10i128.pow(decimal.precision as u32) - 1;
    let value = if rng.random_bool(0.3) { bound } else { rng.random_range(-bound..=bound) >> rng.random_range(0..120) };
    let mut wide = vec![if value < 0 { 0xff } else { 0 }; 24];
    wide.extend(value.to_be_bytes());
    match &decimal.inner {
        InnerDecimalSchema::Fixed(fixed) => out.extend(&wide[40 - fixed.size..]),
        InnerDecimalSchema::Bytes => put_bytes(out, &wide[40 - rng.random_range(16..20)..]),
    }
}

/// Bits, bytes and lengths that are not as they were.
pub fn damage(datum: &mut Vec<u8>, rng: &mut StdRng) {
    const HOSTILE: &[&[u8]] = &[
        &[0xff; 10],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],
        &[0xfe, 0xff, 0x07],
        &[0x80, 0x00],
        &[0x01],
        &[0x03, 0x02],
        &[0xed, 0xa0, 0x80],
        &[0x00, 0x00],
    ];
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=datum.len());
        match rng.random_range(0..6) {
            0 => datum.truncate(at),
            1 => datum.insert(at, rng.random()),
            2 if at < datum.len() => datum[at] ^= 1 << rng.random_range(0..8),
            3 if at < datum.len() => drop(datum.remove(at)),
            4 if at < datum.len() => datum[at] = rng.random(),
            _ => drop(datum.splice(at..at, HOSTILE[rng.random_range(0..HOSTILE.len())].iter().copied())),
        }
    }
}

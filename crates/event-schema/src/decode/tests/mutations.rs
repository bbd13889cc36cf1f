//! Random schemas × random values, and random damage to them, compared with apache-avro byte for byte.
use super::{
    ID, accept, decoder, flush, framed,
    generate::{Ty, record, write},
    plain::{Names, Plain, of_arrow, of_avro},
};
use crate::{Push, RefusalCode};
use apache_avro::{Schema, reader::datum::GenericDatumReader};
use arrow::{array::StructArray, record_batch::RecordBatch};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::io::Read;

/// apache-avro takes some records that end too early for shorter values; this reader tells.
struct Bytes<'a> {
    rest: &'a [u8],
    ran_out: bool,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.rest.read(buffer)?;
        self.ran_out |= read < buffer.len();
        Ok(read)
    }
}

/// What apache-avro makes of exactly these bytes.
fn reference(schema: &Schema, datum: &[u8]) -> Option<Plain> {
    apache_avro::util::max_allocation_bytes(1 << 22);
    let mut bytes = Bytes { rest: datum, ran_out: false };
    let value = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut bytes).ok()?;
    (bytes.rest.is_empty() && !bytes.ran_out).then(|| of_avro(&value, schema, &Names::new()))
}

fn rows(batch: RecordBatch) -> Vec<Plain> {
    let record = StructArray::from(batch);
    (0..arrow::array::Array::len(&record)).map(|row| of_arrow(&record, row)).collect()
}

fn value(ty: &Ty, rng: &mut StdRng) -> (Vec<u8>, Plain) {
    let mut datum = Vec::new();
    let plain = write(ty, rng, &mut datum);
    (datum, plain)
}

/// What apache-avro lets pass and a table does not: values that cannot be kept, and forms that only look right.
const STRICTER: &[RefusalCode] = &[
    RefusalCode::InvalidBlock,
    RefusalCode::InvalidNumber,
    RefusalCode::InvalidUuid,
    RefusalCode::DecimalOverflow,
    RefusalCode::ValueOutOfRange,
];

fn damage(datum: &mut Vec<u8>, rng: &mut StdRng) {
    const HOSTILE: &[&[u8]] = &[
        &[0xff; 10],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x00],
        &[0x01],
        &[0x03, 0x02],
        &[0xed, 0xa0, 0x80],
    ];
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=datum.len());
        match rng.random_range(0..5) {
            0 => datum.truncate(at),
            1 => datum.insert(at, rng.random()),
            2 if at < datum.len() => datum[at] ^= 1 << rng.random_range(0..8),
            3 if at < datum.len() => drop(datum.remove(at)),
            _ => drop(datum.splice(at..at, HOSTILE[rng.random_range(0..HOSTILE.len())].iter().copied())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_survive_and_equal_apache_avro(ty in record(), seed: u64) {
        let json = ty.json(&mut 0);
        let schema = Schema::parse_str(&json).unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut decoder = decoder(&json);
        for _ in 0..2 {
            let values: Vec<_> = (0..20).map(|_| value(&ty, &mut rng)).collect();
            for (datum, plain) in &values {
                prop_assert_eq!(reference(&schema, datum), Some(plain.clone()));
                accept(&mut decoder, datum);
            }
            let expected: Vec<_> = values.into_iter().map(|(_, plain)| plain).collect();
            prop_assert_eq!(rows(flush(&mut decoder)), expected);
        }
    }

    #[test]
    fn damaged_records_are_refused_as_apache_avro_does_and_harm_no_neighbour(ty in record(), seed: u64) {
        let json = ty.json(&mut 0);
        let schema = Schema::parse_str(&json).unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut decoder = decoder(&json);
        let mut expected = Vec::new();
        for _ in 0..60 {
            let (datum, plain) = value(&ty, &mut rng);
            accept(&mut decoder, &datum);
            expected.push(plain);
            let mut damaged = datum;
            damage(&mut damaged, &mut rng);
            let reference = reference(&schema, &damaged);
            match decoder.push(&framed(&damaged)) {
                Push::Row => {
                    prop_assert!(reference.is_some(), "accepted, but not by apache-avro: {:02x?}\n{}", damaged, json);
                    expected.extend(reference);
                }
                Push::Refused(refusal) => {
                    prop_assert_eq!(refusal.schema_id, Some(ID));
                    let agreed = reference.is_none() || STRICTER.contains(&refusal.code);
                    prop_assert!(agreed, "{:?}, but apache-avro reads {:?}: {:02x?}\n{}", refusal, reference, damaged, json);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(decoder.rows(), expected.len());
        prop_assert_eq!(rows(flush(&mut decoder)), expected);
    }
}

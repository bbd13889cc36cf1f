//! The decode against apache-avro, which shares no code with it: random schemas, random values, and damage to them.
//!
//! `make fuzz` runs it for `FUZZ_SECONDS` from a random seed; `FUZZ_SEED=n` replays one seed. Without either a fixed set of seeds runs.
//! Where both accept, the values are equal; what one refuses the other refuses, but for the differences listed in `differences`. No record
//! takes more memory than its bytes and the limit of nodes allow.
mod differences;
mod documents;
#[path = "../../src/decode/tests/plain.rs"]
mod plain;
mod schemas;
mod values;

use apache_avro::{Schema, reader::datum::GenericDatumReader};
use arrow::{
    array::{Array, StructArray},
    record_batch::RecordBatch,
};
use event_schema::{BatchDecoder, Evolution, Limits, Push, RefusalCode, SchemaFolder, TableSchema};
use plain::{Names, Plain, of_arrow, of_avro, resolved};
use rand::{Rng, SeedableRng, rngs::StdRng};
use schemas::Maker;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

/// Seeds of a run without settings.
const FIXED_SEEDS: u64 = 1_000;
const RECORDS: usize = 40;
const LIMITS: Limits = Limits { depth: 64, nodes: 20_000, record_bytes: 1 << 20 };
/// Memory of a batch: so much for each byte of its records, for each node that the limit allows a record, and for each column.
const BYTES_PER_BYTE: usize = 64;
const BYTES_PER_NODE: usize = 16;
const BYTES_PER_COLUMN: usize = 4_096;

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

/// A writer's schema as apache-avro knows it.
struct Reference {
    schema: Schema,
    names: Names,
}

impl Reference {
    fn new(json: &str) -> Self {
        let schema = Schema::parse_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let mut names = Names::new();
        collect(&schema, &mut names);
        Self { schema, names }
    }

    /// What apache-avro makes of exactly these bytes.
    fn read(&self, datum: &[u8]) -> Option<Plain> {
        apache_avro::util::max_allocation_bytes(1 << 22);
        let mut bytes = Bytes { rest: datum, ran_out: false };
        let reader = GenericDatumReader::builder(&self.schema).build().unwrap_or_else(|error| panic!("{error}: {:?}", self.schema));
        let value = reader.read_value(&mut bytes).ok()?;
        (bytes.rest.is_empty() && !bytes.ran_out).then(|| of_avro(&value, &self.schema, &self.names))
    }
}

fn collect(schema: &Schema, names: &mut Names) {
    if !matches!(schema, Schema::Ref { .. })
        && let Some(name) = schema.name()
    {
        names.insert(name.fullname(None), schema.clone());
    }
    match schema {
        Schema::Record(record) => record.fields.iter().for_each(|f| collect(&f.schema, names)),
        Schema::Array(array) => collect(&array.items, names),
        Schema::Map(map) => collect(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|v| collect(v, names)),
        _ => {}
    }
}

/// Columns of a row under their names; a top-level null is a row of nulls.
fn row(batch: &StructArray, row: usize) -> Vec<(String, Plain)> {
    batch.fields().iter().zip(batch.columns()).map(|(f, column)| (f.name().clone(), of_arrow(column, row))).collect()
}

/// A value as the columns of a table, of which others are null.
fn expected(value: &Plain, reference: &Reference, columns: &[String]) -> Vec<(String, Plain)> {
    let is_struct = columns.iter().any(|c| c != "value") || matches!(resolved(&reference.schema, &reference.names), Schema::Record(_));
    let members = match value {
        Plain::Record(members) if is_struct => members.clone(),
        Plain::Null if is_struct => Vec::new(),
        value => vec![("value".to_owned(), value.clone())],
    };
    let find = |column: &String| members.iter().find(|(name, _)| name == column).map_or(Plain::Null, |(_, value)| value.clone());
    columns.iter().map(|column| (column.clone(), find(column))).collect()
}

/// A decoder, what was pushed into it, and what should come out.
struct Trial {
    decoder: BatchDecoder,
    columns: Vec<String>,
    leaves: usize,
    expected: Vec<Vec<(String, Plain)>>,
    bytes: usize,
    pushed: usize,
}

impl Trial {
    fn new(table: TableSchema, writers: &[&str]) -> Self {
        let columns: Vec<_> = table.columns().into_iter().map(|c| c.name).collect();
        let leaves = table.columns().iter().map(|c| c.glue_type.split([',', '<']).count()).sum();
        let schemas = SchemaFolder::from_schemas("s", (0..).zip(writers.iter().map(|w| (*w).to_owned())));
        let decoder = BatchDecoder::new(Arc::new(table), Arc::new(schemas), LIMITS);
        Self { decoder, columns, leaves, expected: Vec::new(), bytes: 0, pushed: 0 }
    }

    /// Pushes a record and compares what becomes of it.
    fn push(&mut self, id: u32, reference: &Reference, datum: &[u8], is_sound: bool) {
        let value = [&[0][..], &id.to_be_bytes(), datum].concat();
        let read = reference.read(datum);
        assert!(!is_sound || read.is_some(), "apache-avro does not read what was written: {datum:02x?}");
        self.bytes += datum.len();
        self.pushed += 1;
        match (self.decoder.push(&value), read) {
            (Push::Row, Some(read)) => self.expected.push(expected(&read, reference, &self.columns)),
            (Push::Row, None) => panic!("accepted, but not by apache-avro: {datum:02x?}"),
            (Push::Refused(refusal), Some(read)) => {
                let listed = differences::STRICTER.contains(&refusal.code) && !(is_sound && refusal.code != RefusalCode::TooManyNodes);
                assert!(listed, "{refusal:?}, but apache-avro reads {read:?}: {datum:02x?}");
            }
            (Push::Refused(_), None) => {}
            (other, _) => panic!("{other:?}: {datum:02x?}"),
        }
    }

    /// All rows come out as they should, in bounded memory.
    fn check(mut self) {
        assert_eq!(self.decoder.rows(), self.expected.len());
        let Some(batch) = self.decoder.flush().expect("rows are assembled") else { return assert!(self.expected.is_empty()) };
        self.check_memory(&batch);
        let rows = StructArray::from(batch);
        let found: Vec<_> = (0..rows.len()).map(|at| row(&rows, at)).collect();
        assert_eq!(found, self.expected);
        assert!(self.decoder.flush().expect("nothing is left").is_none());
    }

    fn check_memory(&self, batch: &RecordBatch) {
        let nodes = self.pushed * LIMITS.nodes;
        let bound = self.bytes * BYTES_PER_BYTE + nodes * BYTES_PER_NODE + self.leaves * BYTES_PER_COLUMN;
        let taken = batch.get_array_memory_size();
        assert!(taken <= bound, "`{taken}` bytes for `{}` records of `{}` bytes", self.pushed, self.bytes);
    }
}

/// One schema: sound and damaged records, side by side.
fn compare(rng: &mut StdRng) -> bool {
    let json = Maker { rng, names: 0, finished: Vec::new(), field: "F" }.top();
    let reference = Reference::new(&json);
    let Ok(table) = TableSchema::parse(&json) else { return false };
    let mut trial = Trial::new(table, &[&json]);
    for _ in 0..RECORDS {
        let mut datum = Vec::new();
        values::put(&reference.schema, &reference.names, rng, &mut datum);
        trial.push(0, &reference, &datum, true);
        values::damage(&mut datum, rng);
        trial.push(0, &reference, &datum, false);
    }
    trial.check();
    true
}

/// Two schemas in one table, interleaved: each row has its values, and null in the columns of the other.
fn compare_two(rng: &mut StdRng) -> bool {
    let first = Maker { rng, names: 0, finished: Vec::new(), field: "A" }.top();
    let second = Maker { rng, names: 1_000, finished: Vec::new(), field: "B" }.top();
    // Records of the same name, so that they are versions of one.
    let (Some(first), Some(second)) = (named_alike(&first), named_alike(&second)) else { return false };
    let Ok(table) = TableSchema::parse(&first) else { return false };
    let table = match table.evolve(&second) {
        Ok(Evolution::Adds { schema, .. }) => *schema,
        Ok(Evolution::Covers) => table,
        Err(_) => return false,
    };
    let references = [Reference::new(&first), Reference::new(&second)];
    let mut trial = Trial::new(table, &[&first, &second]);
    for _ in 0..RECORDS {
        let id = rng.random_range(0..2usize);
        let mut datum = Vec::new();
        values::put(&references[id].schema, &references[id].names, rng, &mut datum);
        trial.push(id as u32, &references[id], &datum, true);
        values::damage(&mut datum, rng);
        trial.push(id as u32, &references[id], &datum, false);
    }
    trial.check();
    true
}

/// The same record with another name; `None`: the top level is no record.
fn named_alike(json: &str) -> Option<String> {
    let mut schema: serde_json::Value = serde_json::from_str(json).expect("the maker makes JSON");
    (schema["type"] == "record").then(|| {
        schema["name"] = "Top".into();
        schema.to_string()
    })
}

/// Runs a seed; returns whether it came to a comparison of one schema and of two.
fn run(seed: u64) -> (bool, bool) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut rng = StdRng::seed_from_u64(seed);
        (compare(&mut rng), compare_two(&mut rng))
    }));
    outcome.unwrap_or_else(|_| panic!("seed {seed} fails (above): replay it with FUZZ_SEED={seed}"))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn decodes_as_apache_avro_does() {
    if let Some(seed) = setting("FUZZ_SEED") {
        run(seed);
        return;
    }
    let (start, seconds) = match setting("FUZZ_SECONDS") {
        Some(seconds) => (RandomState::new().build_hasher().finish(), Some(Duration::from_secs(seconds))),
        None => (0, None),
    };
    println!("seeds from {start}");
    let began = Instant::now();
    let (mut seeds, mut compared, mut compared_two) = (0u64, 0u64, 0u64);
    while seconds.map_or(seeds < FIXED_SEEDS, |seconds| began.elapsed() < seconds) {
        let (one, two) = run(start.wrapping_add(seeds));
        seeds += 1;
        compared += u64::from(one);
        compared_two += u64::from(two);
    }
    println!("{seeds} seeds: {compared} schemas and {compared_two} pairs compared");
    assert!(compared * 2 > seeds && compared_two * 4 > seeds, "{compared} and {compared_two} of {seeds} seeds came to a comparison");
}

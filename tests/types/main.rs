//! Each type from its Avro bytes to a Parquet file of the lake-writer and back through readers that share nothing with it: pyarrow and DuckDB.
//! docs/types.md has the same list in words.
mod evolution;
mod nested;
mod scalars;
mod unions;
mod wire;

use event_schema::{BatchDecoder, Limits, Push, RefusalCode, SchemaFolder, TableSchema};
use lake_writer::encode::{EncodeOptions, FileEncoder, Footer};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use test_kit::PythonReaders;

/// What becomes of a record.
pub enum Outcome {
    /// A row that both readers show so.
    Row(String),
    /// A refusal.
    Refused(RefusalCode),
}

/// A table, what is written to it, and what is read back.
pub struct Case {
    /// Unique; also the file's name.
    pub name: &'static str,
    /// Schema of the table.
    pub table: String,
    /// Schemas that records are written with: their ids are their places.
    pub writers: Vec<String>,
    /// Types of the columns in the catalog.
    pub glue: Vec<String>,
    /// `path PHYSICAL logical` of each leaf column in Parquet.
    pub leaves: Vec<String>,
    /// Id of the writer's schema, datum, outcome; in this order.
    pub records: Vec<(u32, Vec<u8>, Outcome)>,
}

/// A record of one field `f`.
pub fn record(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#)
}

/// A case of one field `f` of a type, whose rows and refusals are those of the field's values.
pub fn case(name: &'static str, ty: &str, glue: &str, leaves: &[&str], values: Vec<(Vec<u8>, Outcome)>) -> Case {
    let schema = record(ty);
    let of_field = |outcome| match outcome {
        Outcome::Row(text) => Outcome::Row(format!("{{f: {text}}}")),
        refused => refused,
    };
    Case {
        name,
        table: schema.clone(),
        writers: vec![schema],
        glue: vec![glue.to_owned()],
        leaves: leaves.iter().map(|leaf| (*leaf).to_owned()).collect(),
        records: values.into_iter().map(|(datum, outcome)| (0, datum, of_field(outcome))).collect(),
    }
}

/// Bytes and the value that is read back.
pub fn row(datum: Vec<u8>, value: &str) -> (Vec<u8>, Outcome) {
    (datum, Outcome::Row(value.to_owned()))
}

/// Bytes that are refused.
pub fn refused(datum: Vec<u8>, code: RefusalCode) -> (Vec<u8>, Outcome) {
    (datum, Outcome::Refused(code))
}

/// Decodes a case into a file; returns the rows that are expected in it.
fn write(case: &Case, folder: &Path) -> Vec<String> {
    let name = case.name;
    let table = Arc::new(TableSchema::parse(&case.table).unwrap_or_else(|error| panic!("{name}: {error}")));
    let glue: Vec<_> = table.columns().into_iter().map(|c| c.glue_type).collect();
    assert_eq!(glue, case.glue, "{name}: types in the catalog");
    let schemas = SchemaFolder::from_schemas("s", (0..).zip(case.writers.iter().cloned()));
    let mut decoder = BatchDecoder::new(Arc::clone(&table), Arc::new(schemas), Limits::default());
    let mut rows = Vec::new();
    for (id, datum, outcome) in &case.records {
        let value = [&[0][..], &id.to_be_bytes(), datum].concat();
        match (decoder.push(&value), outcome) {
            (Push::Row, Outcome::Row(text)) => rows.push(text.clone()),
            (Push::Refused(refusal), Outcome::Refused(code)) => assert_eq!(refusal.code, *code, "{name}: {datum:02x?}"),
            (other, _) => panic!("{name}: {other:?} for {datum:02x?}"),
        }
    }
    let batch = decoder.flush().expect("decoded rows are assembled").expect("each case has rows");
    assert_eq!(batch.num_rows(), rows.len(), "{name}");
    let options = EncodeOptions { row_group_rows: 1_000, ..EncodeOptions::default() };
    let mut encoder = FileEncoder::new(batch.schema(), &options).expect("Parquet holds the columns");
    encoder.write(&batch).expect("Parquet holds the values");
    let footer = Footer { table: "t".to_owned(), schema_version: 1, ranges_json: "[]".to_owned() };
    let file = encoder.finish(&footer).expect("the file ends");
    fs::write(folder.join(format!("{name}.parquet")), file.parts.concat()).expect("the folder takes files");
    rows
}

#[test]
fn values_are_read_back_by_pyarrow_and_duckdb() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: Vec<Case> = [scalars::cases(), unions::cases(), nested::cases(), evolution::cases()].into_iter().flatten().collect();
    let expected: BTreeMap<&str, (&Case, Vec<String>)> = cases.iter().map(|case| (case.name, (case, write(case, folder.path())))).collect();
    assert_eq!(expected.len(), cases.len(), "names are unique");
    let readers = PythonReaders::prepare().expect("readers in Python");
    let output = readers.run_python(include_str!("read.py"), &[folder.path()]).expect("all files are readable");
    let found: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(found.len(), cases.len(), "each file is read");
    let mut wrong = Vec::new();
    for file in &found {
        let name = file["file"].as_str().expect("a name");
        let (case, rows) = &expected[name];
        for (what, wanted) in [("pyarrow", rows), ("duckdb", rows), ("leaves", &case.leaves)] {
            let found = texts(&file[what]);
            if found != *wanted {
                wrong.push(format!("{name}, {what}:\n  found    {found:?}\n  expected {wanted:?}"));
            }
        }
        assert!(texts(&file["required"]).is_empty(), "{name}: all columns are optional");
        assert_eq!(texts(&file["codecs"]), ["ZSTD"], "{name}");
        let odd: Vec<_> =
            texts(&file["encodings"]).into_iter().filter(|e| !["PLAIN", "RLE", "RLE_DICTIONARY"].contains(&e.as_str())).collect();
        assert!(odd.is_empty(), "{name}: {odd:?} are not read everywhere");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// What a table refuses when it is made, in words that say what to do.
#[test]
fn types_that_tables_do_not_have() {
    let cases = [
        (record(r#"{"type":"bytes","logicalType":"decimal","precision":39,"scale":0}"#), "a decimal of `39` digits is not supported"),
        (record(r#"["null","R"]"#), "the recursive type `R` is not supported"),
        (r#"{"type":"record","name":"R","fields":[]}"#.to_owned(), "no fields"),
        (r#""null""#.to_owned(), "no fields"),
    ];
    for (schema, what) in cases {
        let error = TableSchema::parse(&schema).expect_err("the schema is refused").to_string();
        assert!(error.contains(what), "{error}");
    }
}

//! Compares the rows of a result with those that a test expects, in any order.
use arrow::array::RecordBatch;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Numbers with a fraction are equal when they differ by no more than this part of the greater.
const TOLERANCE: f64 = 1e-9;

/// What differs in the given columns: rows that are missing, and rows that nobody expected.
pub fn differences(found: &[RecordBatch], expected: &RecordBatch, columns: &BTreeSet<&str>) -> anyhow::Result<Vec<String>> {
    let mut unexpected = Vec::new();
    for batch in found {
        unexpected.extend(objects(batch, columns)?);
    }
    let mut differences = Vec::new();
    for row in objects(expected, columns)? {
        match unexpected.iter().position(|found| same_row(found, &row)) {
            Some(at) => {
                unexpected.remove(at);
            }
            None => differences.push(format!("missing:    {}", Value::Object(row))),
        }
    }
    differences.extend(unexpected.into_iter().map(|row| format!("unexpected: {}", Value::Object(row))));
    Ok(differences)
}

/// The columns of each row as a JSON object. Without any columns to compare (nothing is expected) all are shown.
fn objects(batch: &RecordBatch, columns: &BTreeSet<&str>) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut writer = arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    let rows = serde_json::Deserializer::from_slice(&text).into_iter::<Map<String, Value>>();
    let keep = |mut row: Map<String, Value>| {
        row.retain(|name, _| columns.is_empty() || columns.contains(name.as_str()));
        row
    };
    Ok(rows.map(|row| row.map(keep)).collect::<Result<_, _>>()?)
}

fn same_row(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
            _ => false,
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => same_row(a, b),
        _ => a == b,
    }
}

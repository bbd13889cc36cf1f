//! Reference tables: small CSV or Parquet files that the SQL joins by name.
use crate::LakeQueryError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::sync::Arc;

/// Largest file of a reference table: it is held in memory as a whole.
pub const MAX_REFERENCE_BYTES: u64 = 64 << 20;

/// A reference table, read.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its name in the SQL.
    pub name: String,
    /// SHA-256 of the file, lower-case hex.
    pub version: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub rows: Vec<RecordBatch>,
}

impl Reference {
    /// Reads a file whose name ends in `.csv` or `.parquet`.
    ///
    /// The first line of a CSV file names its columns; empty values are NULL. A column is `bigint`, `double`, `boolean`, `date` or `timestamp`
    /// (UTC) when all its values are written so, else `string`; numbers with leading zeros are strings, as ids have them.
    ///
    /// # Errors
    /// The file is none of the two, or broken: the text says where.
    pub fn parse(name: &str, place: &str, bytes: Bytes) -> Result<Self, LakeQueryError> {
        let failed = |detail: String| LakeQueryError::Reference { name: name.to_owned(), place: place.to_owned(), detail };
        let version = hex(&Sha256::digest(&bytes));
        let (schema, rows) = if place.to_lowercase().ends_with(".parquet") {
            parquet(bytes).map_err(|e| failed(e.to_string()))?
        } else {
            csv(&bytes).map_err(|e| failed(e.to_string()))?
        };
        for (index, field) in schema.fields().iter().enumerate() {
            if field.name().trim().is_empty() {
                return Err(failed(format!("column {} has no name", index + 1)));
            }
            if schema.fields()[..index].iter().any(|before| before.name() == field.name()) {
                return Err(failed(format!("column `{}` is there twice", field.name())));
            }
        }
        Ok(Self { name: name.to_owned(), version, schema, rows })
    }

    /// A reference table made of rows.
    pub fn of_rows(name: &str, rows: RecordBatch) -> Self {
        Self { name: name.to_owned(), version: String::new(), schema: rows.schema(), rows: vec![rows] }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parquet(bytes: Bytes) -> Result<(SchemaRef, Vec<RecordBatch>), parquet::errors::ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let rows = reader.collect::<Result<Vec<_>, _>>()?;
    Ok((schema, rows))
}

fn csv(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), arrow::error::ArrowError> {
    // A mark that editors put at the beginning is no part of the first column's name.
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    let (inferred, _) = Format::default().with_header(true).infer_schema(Cursor::new(bytes), Some(1))?;
    let names = inferred.fields().iter().map(|f| f.name().trim().to_owned());
    let texts = Schema::new(names.map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>());
    let reader = ReaderBuilder::new(Arc::new(texts.clone())).with_header(true).build(Cursor::new(bytes))?;
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let rows = arrow::compute::concat_batches(&Arc::new(texts), &batches)?;
    let columns: Vec<ArrayRef> = rows.columns().iter().map(typed).collect();
    let fields =
        rows.schema().fields().iter().zip(&columns).map(|(f, c)| Field::new(f.name(), c.data_type().clone(), true)).collect::<Vec<_>>();
    let schema = Arc::new(Schema::new(fields));
    Ok((Arc::clone(&schema), vec![RecordBatch::try_new(schema, columns)?]))
}

/// Whether a value is written as those of a type are.
type Written = fn(&str) -> bool;

/// The column as the first type that all its values are written in.
fn typed(texts: &ArrayRef) -> ArrayRef {
    let values = texts.as_string::<i32>();
    if values.null_count() == values.len() {
        return Arc::clone(texts);
    }
    let all = |looks: Written| values.iter().flatten().all(looks);
    let kinds: [(DataType, Written); 5] = [
        (DataType::Int64, |v| is_number(v) && !v.contains(['.', 'e', 'E'])),
        (DataType::Float64, is_number),
        (DataType::Boolean, |v| matches!(v, "true" | "false")),
        (DataType::Date32, |v| v.len() == 10),
        (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), |v| v.len() > 10 && v.as_bytes()[4] == b'-'),
    ];
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let found = kinds.into_iter().filter(|(_, looks)| all(*looks)).find_map(|(kind, _)| cast_with_options(texts, &kind, &options).ok());
    found.unwrap_or_else(|| Arc::new(StringArray::from_iter(values.iter())))
}

/// Whether the text is a decimal number without leading zeros.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    !whole.is_empty() && !leading_zero && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reference {
        Reference::parse("devices", "devices.csv", Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn columns_of_csv_get_the_type_in_which_all_values_are_written() {
        let found = read(
            "\u{feff}id,serial,count,ratio,on,day,at,mixed,empty\n1,007,1,0.5,true,2026-11-21,2026-11-21T05:00:00Z,1,\n2,12,-3,2,false,2026-11-22,2026-11-21T05:00:00.25Z,x,\n",
        );
        let kinds: Vec<String> = found.schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
        assert_eq!(
            kinds,
            [
                "id Int64",
                "serial Utf8",
                "count Int64",
                "ratio Float64",
                "on Boolean",
                "day Date32",
                "at Timestamp(µs, \"UTC\")",
                "mixed Utf8",
                "empty Utf8"
            ]
        );
        assert_eq!(found.rows[0].column(1).as_string::<i32>().value(0), "007");
        assert!(found.rows[0].column(8).is_null(0));
    }

    #[test]
    fn a_version_is_that_of_the_bytes() {
        assert_eq!(read("a\n1\n").version, read("a\n1\n").version);
        assert_ne!(read("a\n1\n").version, read("a\n2\n").version);
        assert_eq!(read("a\n1\n").version.len(), 64);
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        for (text, what) in [("a,b\n1\n", "line 2"), ("a,a\n1,2\n", "`a` is there twice"), ("a,\n1,2\n", "column 2 has no name")] {
            let error = Reference::parse("devices", "devices.csv", Bytes::copy_from_slice(text.as_bytes())).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("devices.csv"), "{error}");
        }
        assert!(Reference::parse("devices", "devices.parquet", Bytes::from_static(b"PAR1")).is_err());
    }
}

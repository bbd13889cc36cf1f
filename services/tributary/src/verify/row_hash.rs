//! An order-free hash of rows: the sum of a 128-bit hash of each row, so that two sets of rows can be compared without sorting them.
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Fields;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use sha2::{Digest, Sha256};

/// Hashes rows of fixed columns. Arrow's row form is the same for equal values, however they were decoded.
#[derive(Debug)]
pub struct RowHasher {
    converter: RowConverter,
}

impl RowHasher {
    /// For rows of these columns.
    pub fn new(fields: &Fields) -> Result<Self, ArrowError> {
        let fields = fields.iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(Self { converter: RowConverter::new(fields)? })
    }

    /// The hash of each row.
    pub fn hashes(&self, columns: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
        let rows = self.converter.convert_columns(columns)?;
        Ok(rows.iter().map(|row| first_half(Sha256::digest(row.as_ref()).as_slice())).collect())
    }
}

/// Hash of a refused record: its identity and raw bytes, each with its length and NULL apart from empty.
pub fn refused_hash(identity: (&str, i32, i64), key: Option<&[u8]>, value: Option<&[u8]>) -> u128 {
    let (topic, kafka_partition, offset) = identity;
    let mut hash = Sha256::new();
    hash.update(b"refused");
    for part in [Some(topic.as_bytes()), key, value] {
        hash.update(part.map_or(-1i64, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX)).to_le_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.update(kafka_partition.to_le_bytes());
    hash.update(offset.to_le_bytes());
    first_half(hash.finalize().as_slice())
}

/// A binary cell; `None` is NULL.
pub fn bytes_at(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    let column = column.as_binary::<i32>();
    (!column.is_null(row)).then(|| column.value(row))
}

fn first_half(digest: &[u8]) -> u128 {
    u128::from_le_bytes(digest[..16].try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};
    use std::sync::Arc;

    #[test]
    fn a_value_a_null_and_the_column_of_a_value_all_matter() {
        let fields = Fields::from(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int64, true)]);
        let hasher = RowHasher::new(&fields).unwrap();
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some("x"), None, Some("")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(1), Some(1)]));
        let mut hashes = hasher.hashes(&[texts, numbers]).unwrap();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }

    #[test]
    fn refused_bytes_do_not_run_into_each_other() {
        let id = ("t", 0, 1);
        let hashes = [
            refused_hash(id, Some(b"ab"), Some(b"c")),
            refused_hash(id, Some(b"a"), Some(b"bc")),
            refused_hash(id, None, Some(b"abc")),
            refused_hash(id, Some(b""), Some(b"abc")),
            refused_hash(id, Some(b"abc"), None),
            refused_hash(("t", 0, 2), Some(b"ab"), Some(b"c")),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}

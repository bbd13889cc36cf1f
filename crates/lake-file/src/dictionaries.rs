//! Which columns are not worth a dictionary, learnt from the table's files.
//!
//! Parquet's writer tries a dictionary for each column chunk and gives it up when it grows too large: for a column whose values hardly
//! repeat that is hashing for nothing in every file. What was given up once is not tried again for a while.
use parquet::{
    basic::{Encoding, PageType},
    file::metadata::{ColumnChunkMetaData, ParquetMetaData},
    schema::types::ColumnPath,
};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// One file of so many tries dictionaries for all columns again: data change.
const TRY_AGAIN_EVERY: u32 = 32;
/// Values of this column never repeat within a file of one kafka_partition, and hardly otherwise.
const NEVER: &str = "_kafka_offset";

/// Shared by all encoders of a table.
#[derive(Debug, Default)]
pub struct Dictionaries {
    learnt: Mutex<Learnt>,
}

#[derive(Debug, Default)]
struct Learnt {
    given_up: HashSet<ColumnPath>,
    files: u32,
}

impl Dictionaries {
    /// Columns that the next file writes without a dictionary.
    pub fn plain_columns(&self) -> Vec<ColumnPath> {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.files = learnt.files.wrapping_add(1);
        let mut plain = vec![ColumnPath::from(NEVER)];
        if !learnt.files.is_multiple_of(TRY_AGAIN_EVERY) {
            plain.extend(learnt.given_up.iter().cloned());
        }
        plain
    }

    /// Takes in how the columns of a finished file were encoded.
    pub fn learn(&self, file: &ParquetMetaData) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        for column in file.row_groups().iter().flat_map(|group| group.columns()) {
            match is_given_up(column) {
                Some(true) => {
                    learnt.given_up.insert(column.column_path().clone());
                }
                Some(false) => {
                    learnt.given_up.remove(column.column_path());
                }
                None => {}
            }
        }
    }
}

/// Whether the dictionary was given up in the middle; `None`: there was none.
fn is_given_up(column: &ColumnChunkMetaData) -> Option<bool> {
    column.dictionary_page_offset()?;
    let pages = column.page_encoding_stats()?;
    Some(pages.iter().any(|page| page.page_type == PageType::DATA_PAGE && page.encoding == Encoding::PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Compression, EncodeOptions, FileEncoder, Footer};
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::record_batch::RecordBatch;
    use std::sync::Arc;

    fn write(dictionaries: &Arc<Dictionaries>, distinct: i64) {
        let column = |values: i64| Arc::new(Int64Array::from_iter_values((0..300_000).map(move |n| n % values))) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("a", column(distinct)), ("b", column(7)), (NEVER, column(7))]).expect("three columns");
        let options =
            EncodeOptions { compression: Compression::Snappy, dictionaries: Arc::clone(dictionaries), ..EncodeOptions::default() };
        let mut encoder = FileEncoder::new(batch.schema(), &options).expect("a plain schema");
        encoder.write(&batch).expect("plain rows");
        encoder.finish(&Footer { table: "t".into(), schema_version: 1, ranges_json: "[]".into() }).expect("a file");
    }

    #[test]
    fn what_was_given_up_is_left_out_until_it_pays_again() {
        let dictionaries = Arc::new(Dictionaries::default());
        let plain = || dictionaries.learnt.lock().expect("no panic").given_up.iter().map(ColumnPath::string).collect::<Vec<_>>();
        write(&dictionaries, 300_000);
        assert_eq!(plain(), ["a"]);
        assert_eq!(dictionaries.plain_columns().len(), 2, "the offset never has one");
        write(&dictionaries, 10);
        assert_eq!(plain(), ["a"], "not tried, so nothing is learnt");
        for _ in 0..TRY_AGAIN_EVERY {
            write(&dictionaries, 10);
        }
        assert_eq!(plain(), Vec::<String>::new(), "it was tried again and paid");
    }
}

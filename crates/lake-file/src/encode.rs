//! Parquet files: properties that Athena, Redshift Spectrum, Trino, Spark and DuckDB all read, and encoding.
//!
//! Data page v1, PLAIN and dictionary encodings only, zstd 1 or snappy, list and map children named as Parquet's standard has it.
use crate::{LakeFileError, dictionaries::Dictionaries};
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use bytes::Bytes;
use parquet::{
    arrow::ArrowWriter,
    basic::{self, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};
use std::{io::Write, sync::Arc};

/// Codec of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// zstd, level 1.
    #[default]
    Zstd,
    /// Snappy, for old readers.
    Snappy,
}

/// How files are encoded.
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// Codec.
    pub compression: Compression,
    /// Rows of a row group at most.
    pub row_group_rows: usize,
    /// Encoded bytes of a row group at about most.
    pub row_group_bytes: Option<usize>,
    /// Columns, by their names in the schema, that get a bloom filter per row group: for lookups of single values that are spread over the
    /// file.
    pub bloom_filters: Vec<String>,
    /// What the table's files so far taught about dictionaries.
    pub dictionaries: Arc<Dictionaries>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            row_group_rows: 1_000_000,
            row_group_bytes: None,
            bloom_filters: Vec::new(),
            dictionaries: Arc::default(),
        }
    }
}

/// Footer key-values by which a file explains itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Table.
    pub table: String,
    /// Schema version.
    pub schema_version: u32,
    /// Ranges of the record that commits it, as JSON.
    pub ranges_json: String,
}

/// A whole file in memory, in parts.
#[derive(Clone, Debug, Default)]
pub struct EncodedFile {
    /// The bytes in order.
    pub parts: Vec<Bytes>,
    /// Rows.
    pub rows: u64,
}

impl EncodedFile {
    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    /// All in one piece, for readers of tests.
    #[cfg(test)]
    pub(crate) fn concat(&self) -> Bytes {
        Bytes::from(self.parts.concat())
    }
}

/// Share of row groups that a bloom filter names in vain: 1 % costs about 10 bits per distinct value.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// The first part of a file has room for so much, each further one for twice as much, up to the last figure.
const PART_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=1 << 20;

/// Takes the bytes of a file part by part: one growing vector would be copied to fresh memory each time it doubles.
#[derive(Debug, Default)]
struct Parts {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.open.len() == self.open.capacity() {
            let room = self.open.capacity().saturating_mul(2).clamp(*PART_BYTES.start(), *PART_BYTES.end());
            let full = std::mem::replace(&mut self.open, Vec::with_capacity(room));
            self.full.extend((!full.is_empty()).then(|| Bytes::from(full)));
        }
        let taken = bytes.len().min(self.open.capacity() - self.open.len());
        self.open.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file being encoded, in memory.
pub struct FileEncoder {
    writer: ArrowWriter<Parts>,
    rows: u64,
    dictionaries: Arc<Dictionaries>,
}

impl std::fmt::Debug for FileEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileEncoder").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl FileEncoder {
    /// Begins a file.
    ///
    /// # Errors
    /// The schema has a type that Parquet cannot hold: a defect, since schemas are checked before.
    pub fn new(schema: SchemaRef, options: &EncodeOptions) -> Result<Self, LakeFileError> {
        let writer =
            ArrowWriter::try_new(Parts::default(), schema, Some(properties(options))).map_err(|e| bug("begin parquet file", &e))?;
        Ok(Self { writer, rows: 0, dictionaries: Arc::clone(&options.dictionaries) })
    }

    /// Encodes rows.
    ///
    /// # Errors
    /// As for [`FileEncoder::new`].
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeFileError> {
        self.writer.write(batch).map_err(|e| bug("encode rows", &e))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Rows encoded.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.memory_size()) as u64
    }

    /// Takes out what is complete of the file's bytes, so that a large file need not be held: [`FileEncoder::finish`] then returns the rest.
    pub fn take_parts(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.writer.inner_mut().full)
    }

    /// Size of the file if it ended now, roughly: what is encoded, and what waits to be.
    pub fn encoded_bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As for [`FileEncoder::new`].
    pub fn finish(mut self, footer: &Footer) -> Result<EncodedFile, LakeFileError> {
        let values = [
            ("tributary.table", footer.table.clone()),
            ("tributary.schema_version", footer.schema_version.to_string()),
            ("tributary.ranges", footer.ranges_json.clone()),
            ("tributary.version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        for (key, value) in values {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let metadata = self.writer.finish().map_err(|e| bug("end parquet file", &e))?;
        self.dictionaries.learn(&metadata);
        let Parts { full: mut parts, open } = std::mem::take(self.writer.inner_mut());
        if !open.is_empty() {
            parts.push(Bytes::from(open));
        }
        Ok(EncodedFile { parts, rows: metadata.file_metadata().num_rows().max(0) as u64 })
    }
}

fn properties(options: &EncodeOptions) -> WriterProperties {
    let compression = match options.compression {
        Compression::Zstd => basic::Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a zstd level")),
        Compression::Snappy => basic::Compression::SNAPPY,
    };
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(compression)
        .set_coerce_types(true)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
        .set_max_row_group_bytes(options.row_group_bytes.map(|bytes| bytes.max(1)))
        .set_created_by(concat!("tributary version ", env!("CARGO_PKG_VERSION")).to_owned());
    let plain = options.dictionaries.plain_columns();
    let builder = plain.into_iter().fold(builder, |builder, path| builder.set_column_dictionary_enabled(path, false));
    let blooms = options.bloom_filters.iter().map(|column| ColumnPath::from(column.as_str()));
    blooms.fold(builder, |builder, path| builder.set_column_bloom_filter_fpp(path, BLOOM_FALSE_POSITIVES)).build()
}

fn bug(what: &'static str, error: &parquet::errors::ParquetError) -> LakeFileError {
    LakeFileError::Encode { what, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::basic::{self, Encoding, PageType};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use std::sync::Arc;

    fn batch(rows: i64) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8, true)]);
        let names: Vec<String> = (0..rows).map(|n| format!("s{}", n % 7)).collect();
        RecordBatch::try_new(
            Arc::new(schema),
            vec![Arc::new(Int64Array::from_iter_values(0..rows)), Arc::new(StringArray::from_iter_values(names))],
        )
        .expect("columns of one length")
    }

    #[test]
    fn files_explain_themselves_and_every_engine_reads_them() {
        let rows = batch(250);
        let options = EncodeOptions { row_group_rows: 100, ..EncodeOptions::default() };
        let mut encoder = FileEncoder::new(rows.schema(), &options).expect("a plain schema");
        encoder.write(&rows).expect("plain rows");
        let footer = Footer { table: "t".into(), schema_version: 3, ranges_json: "[]".into() };
        let file = encoder.finish(&footer).expect("a file");
        assert_eq!(file.rows, 250);
        let reader = SerializedFileReader::new(file.concat()).expect("a parquet file");
        let file = reader.metadata().file_metadata();
        assert_eq!(file.version(), 1);
        let value = |key: &str| file.key_value_metadata().and_then(|all| all.iter().find(|kv| kv.key == key)?.value.clone());
        assert_eq!(value("tributary.table").as_deref(), Some("t"));
        assert_eq!(value("tributary.schema_version").as_deref(), Some("3"));
        assert_eq!(value("tributary.ranges").as_deref(), Some("[]"));
        assert_eq!(value("tributary.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(reader.num_row_groups(), 3);
        for column in reader.metadata().row_group(0).columns() {
            assert!(matches!(column.compression(), basic::Compression::ZSTD(_)));
            assert!(column.statistics().is_some());
            assert!(column.encodings().all(|e| matches!(e, Encoding::PLAIN | Encoding::RLE | Encoding::RLE_DICTIONARY)));
        }
        let mut pages = reader.get_row_group(0).expect("a row group").get_column_page_reader(0).expect("a column");
        while let Some(page) = pages.get_next_page().expect("a page") {
            assert!(matches!(page.page_type(), PageType::DATA_PAGE | PageType::DICTIONARY_PAGE));
        }
    }
}

//! One Parquet file of the lake, read in bounded memory through the store.
use crate::LakeFileError;
use arrow::array::{ArrayRef, RecordBatchReader, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::{Buf, Bytes};
use lake_store::{LakeStore, StoreError};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;

/// Rows of a batch, unless the caller says otherwise.
const BATCH_ROWS: usize = 4096;
/// Files up to this size are fetched whole: one question in place of several.
const WHOLE_BYTES: u64 = 4 << 20;
/// Tries of a read of the store, with pauses of 100 ms and more between them.
const TRIES: u32 = 5;
/// Smallest read from the store.
const BLOCK_BYTES: u64 = 256 * 1024;
/// Blocks kept: one per column that is read side by side, within reason.
const BLOCKS: usize = 16;

/// An opened file: its footer is read.
///
/// All methods block on the store: call them on a thread that may block (`tokio::task::spawn_blocking`), within a runtime.
#[derive(Debug)]
pub struct LakeFile {
    reader: StoreReader,
    metadata: ArrowReaderMetadata,
}

/// What of a file is read, and in which portions.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Rows of a batch at most.
    pub batch_rows: Option<usize>,
    /// Rows to read; all by default.
    pub selection: Option<RowSelection>,
}

/// Batches of chosen columns, in file order.
pub struct RowBatches {
    key: String,
    rows: ParquetRecordBatchReader,
    schema: SchemaRef,
}

impl std::fmt::Debug for RowBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowBatches").field("key", &self.key).finish_non_exhaustive()
    }
}

impl LakeFile {
    /// Opens an object of `bytes` bytes and reads its footer.
    ///
    /// # Errors
    /// The object is not a whole Parquet file, or the store fails.
    pub fn open(store: Arc<dyn LakeStore>, key: &str, bytes: u64) -> Result<Self, LakeFileError> {
        let source = Source { store, key: key.to_owned(), bytes, handle: Handle::current(), blocks: Mutex::default() };
        if (1..=WHOLE_BYTES).contains(&bytes) {
            source.fetch(0, bytes).map_err(|e| file_error(key, &e))?;
        }
        let reader = StoreReader(Arc::new(source));
        let metadata = ArrowReaderMetadata::load(&reader, ArrowReaderOptions::new()).map_err(|e| file_error(key, &e))?;
        Ok(Self { reader, metadata })
    }

    /// The footer.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    /// Columns as they are in the file.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Rows, by the footer.
    pub fn rows(&self) -> u64 {
        self.metadata().file_metadata().num_rows().try_into().unwrap_or(0)
    }

    /// The value of a key in the footer's key-value metadata.
    pub fn key_value(&self, name: &str) -> Option<&str> {
        let pairs = self.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|kv| kv.key == name)?.value.as_deref()
    }

    /// Reads the columns of `schema`, by name, cast to its types; columns that the file lacks are NULL.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, schema: SchemaRef) -> Result<RowBatches, LakeFileError> {
        self.read_with(schema, ReadOptions::default())
    }

    /// [`LakeFile::read`], of chosen rows and in portions of a chosen size.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_with(&self, schema: SchemaRef, options: ReadOptions) -> Result<RowBatches, LakeFileError> {
        let key = self.reader.0.key.clone();
        let parquet = self.metadata().file_metadata().schema_descr();
        let names = schema.fields().iter().map(|f| f.name().as_str());
        let wanted: Vec<usize> = names.filter_map(|n| self.schema().index_of(n).ok()).collect();
        let mask = ProjectionMask::roots(parquet, wanted);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.reader.clone(), self.metadata.clone())
            .with_projection(mask)
            .with_batch_size(options.batch_rows.unwrap_or(BATCH_ROWS).max(1));
        let builder = match options.selection {
            Some(selection) => builder.with_row_selection(selection),
            None => builder,
        };
        let rows = builder.build().map_err(|e| file_error(&key, &e))?;
        Ok(RowBatches { key, rows, schema })
    }
}

impl Iterator for RowBatches {
    type Item = Result<RecordBatch, LakeFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next()?;
        Some(batch.and_then(|b| adapt(&b, &self.schema)).map_err(|e| file_error(&self.key, &e)))
    }
}

impl RowBatches {
    /// Columns of the batches before they are cast.
    pub fn stored_schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// The batch in the shape of `schema`: by name, cast, NULL for what is not there.
fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
    let column = |field: &arrow::datatypes::FieldRef| -> Result<ArrayRef, arrow::error::ArrowError> {
        match batch.column_by_name(field.name()) {
            Some(found) if found.data_type() == field.data_type() => Ok(Arc::clone(found)),
            Some(found) => cast(found, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let nullable: Vec<_> = schema.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(nullable)), columns, &options)
}

fn file_error(key: &str, error: &dyn std::fmt::Display) -> LakeFileError {
    LakeFileError::File { key: key.to_owned(), detail: error.to_string() }
}

#[derive(Debug)]
struct Source {
    store: Arc<dyn LakeStore>,
    key: String,
    bytes: u64,
    handle: Handle,
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Source {
    /// At least one and at most `length` bytes from `start`; fewer only at the end of the file.
    fn fetch(&self, start: u64, length: u64) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length).min(self.bytes);
        if start >= end {
            return Err(ParquetError::EOF(format!("offset {start} is beyond the end at {}", self.bytes)));
        }
        if let Some(hit) = self.cached(start, end) {
            return Ok(hit);
        }
        let block_end = end.max(start.saturating_add(BLOCK_BYTES)).min(self.bytes);
        let got = self.handle.block_on(self.get(start..block_end)).map_err(|e| ParquetError::External(Box::new(e)))?;
        let block = got.ok_or_else(|| ParquetError::General("the object is gone".to_owned()))?;
        let wanted = usize::try_from(end - start).expect("a read is smaller than the address space");
        if block.len() < wanted {
            return Err(ParquetError::EOF(format!("asked for {wanted} bytes at {start}, got {}", block.len())));
        }
        let answer = block.slice(..wanted);
        let mut blocks = self.blocks.lock().expect("no thread panics while it holds the blocks");
        if blocks.len() == BLOCKS {
            blocks.pop_front();
        }
        blocks.push_back((start, block));
        Ok(answer)
    }

    /// Trouble that may pass is waited out for a few seconds.
    async fn get(&self, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        let mut tries = 1;
        loop {
            match self.store.get(&self.key, Some(range.clone())).await {
                Err(error) if error.is_transient() && tries < TRIES => {
                    tracing::warn!(key = self.key, %error, tries, "read of a file is tried again");
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    fn cached(&self, start: u64, end: u64) -> Option<Bytes> {
        let blocks = self.blocks.lock().expect("no thread panics while it holds the blocks");
        let (from, block) = blocks.iter().find(|(from, block)| *from <= start && end <= from + block.len() as u64)?;
        let first = usize::try_from(start - from).ok()?;
        let last = usize::try_from(end - from).ok()?;
        Some(block.slice(first..last))
    }
}

/// Parquet's view of the object.
#[derive(Clone, Debug)]
struct StoreReader(Arc<Source>);

/// Sequential reads in blocks.
struct StoreRead {
    source: Arc<Source>,
    position: u64,
    block: Bytes,
}

impl Length for StoreReader {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for StoreReader {
    type T = StoreRead;

    fn get_read(&self, start: u64) -> Result<StoreRead, ParquetError> {
        Ok(StoreRead { source: Arc::clone(&self.0), position: start, block: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let got = self.0.fetch(start, length as u64)?;
        if got.len() < length {
            return Err(ParquetError::EOF(format!("asked for {length} bytes at {start}, the file has {}", self.0.bytes)));
        }
        Ok(got)
    }
}

impl std::io::Read for StoreRead {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.block.is_empty() {
            if self.position >= self.source.bytes {
                return Ok(0);
            }
            self.block = self.source.fetch(self.position, BLOCK_BYTES).map_err(std::io::Error::other)?;
            self.position += self.block.len() as u64;
        }
        let taken = into.len().min(self.block.len());
        into[..taken].copy_from_slice(&self.block[..taken]);
        self.block.advance(taken);
        Ok(taken)
    }
}

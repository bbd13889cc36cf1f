//! What was taken and not yet proposed: rows per lake partition as Arrow, refused records per day, and how much memory that is.
use crate::{
    encode::{EncodeOptions, FileEncoder},
    error::WriterError,
    quarantine::{DayBuffer, QuarantineBuffer},
};
use arrow::{compute::concat_batches, record_batch::RecordBatch};
use std::collections::BTreeMap;
use table_log::LakePartition;
use windowing::Time;

/// An open lake partition: its folder is `open/` or `late/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Window and partition values.
    pub lake_partition: LakePartition,
    /// To `late/`.
    pub late: bool,
}

/// Rows for one target.
#[derive(Clone, Debug)]
pub struct TargetRows {
    /// Columns of a data file.
    pub batch: RecordBatch,
    /// Lowest event time.
    pub event_time_min: Time,
    /// Highest event time.
    pub event_time_max: Time,
}

/// Chunks below this are joined with their neighbours, so that many small batches do not cost more in overhead than in rows.
const SMALL_CHUNK_ROWS: usize = 1_024;
/// Rows of a file that are encoded together, while they are still in the processor's cache.
const ENCODE_ROWS: u64 = 16_384;
/// An open encoder has buffers for each column, so with more open files each must have the more rows before it begins one.
const FILES_PER_ENCODE_ROWS: u64 = 16;
/// What a chunk costs beside its arrays' buffers.
const CHUNK_OVERHEAD_BYTES: u64 = 512;

/// Rows of one future file.
#[derive(Debug)]
pub struct FileBuffer {
    chunks: Vec<Chunk>,
    encoder: Option<FileEncoder>,
    rows: u64,
    buffered_rows: u64,
    buffered_bytes: u64,
    /// Lowest event time.
    pub event_time_min: Time,
    /// Highest event time.
    pub event_time_max: Time,
}

#[derive(Debug)]
struct Chunk {
    batch: RecordBatch,
    bytes: u64,
}

impl Chunk {
    fn new(batch: RecordBatch) -> Self {
        let bytes = batch.columns().iter().map(|c| c.get_array_memory_size() as u64).sum::<u64>() + CHUNK_OVERHEAD_BYTES;
        Self { batch, bytes }
    }
}

impl FileBuffer {
    fn new(rows: &TargetRows) -> Self {
        Self {
            chunks: Vec::new(),
            encoder: None,
            rows: 0,
            buffered_rows: 0,
            buffered_bytes: 0,
            event_time_min: rows.event_time_min,
            event_time_max: rows.event_time_max,
        }
    }

    /// Rows in the future file.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes held, Arrow and encoded.
    fn bytes(&self) -> u64 {
        self.buffered_bytes + self.encoder.as_ref().map_or(0, FileEncoder::bytes)
    }

    fn push(&mut self, rows: TargetRows) -> Result<(), WriterError> {
        self.rows += rows.batch.num_rows() as u64;
        self.buffered_rows += rows.batch.num_rows() as u64;
        self.event_time_min = self.event_time_min.min(rows.event_time_min);
        self.event_time_max = self.event_time_max.max(rows.event_time_max);
        let mut chunk = Chunk::new(rows.batch);
        self.buffered_bytes += chunk.bytes;
        while let Some(previous) = self.chunks.pop_if(|previous| is_joined(previous, &chunk)) {
            self.buffered_bytes -= previous.bytes + chunk.bytes;
            let joined = concat_batches(&previous.batch.schema(), [&previous.batch, &chunk.batch])
                .map_err(|e| WriterError::Bug { what: "join rows of a lake partition", detail: e.to_string() })?;
            chunk = Chunk::new(joined);
            self.buffered_bytes += chunk.bytes;
        }
        self.chunks.push(chunk);
        Ok(())
    }

    /// Encodes what is buffered.
    fn encode(&mut self, options: &EncodeOptions) -> Result<(), WriterError> {
        let Some(first) = self.chunks.first() else { return Ok(()) };
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => FileEncoder::new(first.batch.schema(), options)?,
        };
        for chunk in self.chunks.drain(..) {
            encoder.write(&chunk.batch)?;
        }
        self.encoder = Some(encoder);
        self.buffered_rows = 0;
        self.buffered_bytes = 0;
        Ok(())
    }

    /// Encodes the rest; the encoder holds the whole file then.
    ///
    /// # Errors
    /// The rows do not fit the encoder, or there are none: a defect.
    pub fn into_encoder(mut self, options: &EncodeOptions) -> Result<FileEncoder, WriterError> {
        self.encode(options)?;
        self.encoder.ok_or_else(|| WriterError::Bug { what: "encode file", detail: "it has no rows".to_owned() })
    }
}

/// Joining neighbours of similar size copies each row a logarithmic number of times.
fn is_joined(previous: &Chunk, chunk: &Chunk) -> bool {
    chunk.batch.num_rows() < SMALL_CHUNK_ROWS && previous.batch.num_rows() <= 2 * chunk.batch.num_rows()
}

/// All that was taken and not yet proposed.
#[derive(Debug)]
pub struct Buffers {
    options: EncodeOptions,
    files: BTreeMap<Target, FileBuffer>,
    /// Refused records.
    pub quarantine: QuarantineBuffer,
    file_bytes: u64,
    lowest_kafka_timestamp: Option<Time>,
}

/// Buffers handed to a commit.
#[derive(Debug)]
pub struct TakenBuffers {
    /// Per target.
    pub files: BTreeMap<Target, FileBuffer>,
    /// Per day of ingest.
    pub quarantine: BTreeMap<Time, DayBuffer>,
    /// Lowest Kafka timestamp among the records: how long ago the oldest came.
    pub lowest_kafka_timestamp: Option<Time>,
}

impl Buffers {
    /// Empty.
    pub fn new(options: EncodeOptions) -> Self {
        Self { options, files: BTreeMap::new(), quarantine: QuarantineBuffer::default(), file_bytes: 0, lowest_kafka_timestamp: None }
    }

    /// Adds rows; when they are many enough they are encoded at once, so what is held is mostly compressed.
    ///
    /// # Errors
    /// The rows do not fit the file: a defect.
    pub fn push(&mut self, target: Target, rows: TargetRows) -> Result<(), WriterError> {
        let open_files = self.files.len() as u64;
        let encode_rows = (ENCODE_ROWS * (open_files / FILES_PER_ENCODE_ROWS).max(1)).min(self.options.row_group_rows as u64);
        let file = self.files.entry(target).or_insert_with(|| FileBuffer::new(&rows));
        let before = file.bytes();
        file.push(rows)?;
        if file.buffered_rows >= encode_rows {
            file.encode(&self.options)?;
        }
        self.file_bytes = self.file_bytes + file.bytes() - before;
        Ok(())
    }

    /// Notes when a record came to Kafka.
    pub fn observe_kafka_timestamp(&mut self, time: Time) {
        self.lowest_kafka_timestamp = Some(self.lowest_kafka_timestamp.map_or(time, |lowest| lowest.min(time)));
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.file_bytes + self.quarantine.bytes()
    }

    /// Files of the next commit.
    pub fn files(&self) -> usize {
        self.files.len() + self.quarantine.days()
    }

    /// Open lake partitions.
    pub fn lake_partitions(&self) -> usize {
        self.files.len()
    }

    /// Hands out everything and starts empty.
    pub fn take(&mut self) -> TakenBuffers {
        self.file_bytes = 0;
        TakenBuffers {
            files: std::mem::take(&mut self.files),
            quarantine: self.quarantine.take(),
            lowest_kafka_timestamp: self.lowest_kafka_timestamp.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn rows(range: std::ops::Range<i64>) -> TargetRows {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let (min, max) = (Time(range.start), Time(range.end - 1));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(range))]).expect("one column");
        TargetRows { batch, event_time_min: min, event_time_max: max }
    }

    fn target(window: i64) -> Target {
        Target { lake_partition: LakePartition { window_start: Time(window), values: Vec::new() }, late: false }
    }

    fn options(row_group_rows: usize) -> EncodeOptions {
        EncodeOptions { compression: service_runtime::settings::Compression::Zstd, row_group_rows, dictionaries: Arc::default() }
    }

    #[test]
    fn small_chunks_are_joined_and_memory_is_counted() {
        let mut buffers = Buffers::new(options(1_000_000));
        for n in 0..1_000 {
            buffers.push(target(0), rows(n..n + 1)).expect("rows fit");
        }
        let file = &buffers.files[&target(0)];
        assert!(file.chunks.len() <= 12, "{} chunks", file.chunks.len());
        assert_eq!((file.rows(), file.event_time_min, file.event_time_max), (1_000, Time(0), Time(999)));
        let counted: u64 = file.chunks.iter().map(|c| c.bytes).sum();
        assert_eq!(buffers.bytes(), counted);
        assert!((8_000..64_000).contains(&counted), "{counted} bytes");
        assert_eq!(buffers.take().files.len(), 1);
        assert_eq!((buffers.bytes(), buffers.files()), (0, 0));
    }

    #[test]
    fn many_rows_are_encoded_at_once() {
        let mut buffers = Buffers::new(options(1_000));
        for n in 0..25 {
            buffers.push(target(0), rows(n * 100..n * 100 + 100)).expect("rows fit");
        }
        let file = &buffers.files[&target(0)];
        assert_eq!((file.encoder.as_ref().map(FileEncoder::rows), file.buffered_rows), (Some(2_000), 500));
        let file = buffers.take().files.remove(&target(0)).expect("one file");
        assert_eq!(file.into_encoder(&options(1_000)).expect("a file").rows(), 2_500);
    }
}

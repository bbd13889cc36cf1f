//! What was taken and not yet proposed: rows per lake partition as Arrow, refused records per day, and how much memory that is.
mod file;
mod loose;

use crate::{
    encode::EncodeOptions,
    error::WriterError,
    quarantine::{DayBuffer, QuarantineBuffer},
};
use arrow::{array::UInt32Array, compute::take_record_batch, record_batch::RecordBatch};
pub use file::FileBuffer;
use loose::{LooseRows, Run};
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

/// The share of one target in a batch.
#[derive(Clone, Debug)]
pub struct SlotRows {
    /// Where they go.
    pub target: Target,
    /// How many.
    pub rows: u32,
    /// Lowest event time.
    pub event_time_min: Time,
    /// Highest event time.
    pub event_time_max: Time,
}

/// Shares and chunks below this are not worth arrays of their own.
const SMALL_CHUNK_ROWS: usize = 1_024;
/// Rows of a file that are encoded together, while they are still in the processor's cache.
const ENCODE_ROWS: u64 = 16_384;
/// An open encoder has buffers and a codec for each column, megabytes in all, so with more open files in the process each must have the more
/// rows before it begins one.
const FILES_PER_ENCODE_ROWS: u64 = 16;
/// What a chunk costs beside its arrays' buffers.
const CHUNK_OVERHEAD_BYTES: u64 = 512;

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

/// Joining neighbours of similar size copies each row a logarithmic number of times.
fn is_joined(previous: &Chunk, chunk: &Chunk) -> bool {
    chunk.batch.num_rows() < SMALL_CHUNK_ROWS && previous.batch.num_rows() <= 2 * chunk.batch.num_rows()
}

/// All that was taken and not yet proposed.
#[derive(Debug)]
pub struct Buffers {
    options: EncodeOptions,
    /// Consumers of the process, which all have open files.
    consumers: u64,
    files: BTreeMap<Target, FileBuffer>,
    loose: LooseRows,
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
    /// Empty; `consumers` have such buffers in this process.
    pub fn new(options: EncodeOptions, consumers: u64) -> Self {
        Self {
            options,
            consumers,
            files: BTreeMap::new(),
            loose: LooseRows::default(),
            quarantine: QuarantineBuffer::default(),
            file_bytes: 0,
            lowest_kafka_timestamp: None,
        }
    }

    /// Adds the rows of a batch: `order` lists its rows slot by slot, as many of each as the slot says. A file with many rows is encoded at
    /// once, so what is held is mostly compressed.
    ///
    /// # Errors
    /// The rows do not fit their files: a defect.
    pub fn push(&mut self, batch: &RecordBatch, order: Vec<u32>, slots: Vec<SlotRows>) -> Result<(), WriterError> {
        let order = UInt32Array::from(order);
        let mut start = 0;
        let mut loose_rows = Vec::new();
        let mut runs = Vec::new();
        for slot in slots {
            let rows = slot.rows as usize;
            if rows == batch.num_rows() {
                self.push_slot(slot, Some(batch.clone()))?;
            } else if rows >= SMALL_CHUNK_ROWS {
                let own = take_rows(batch, &order.slice(start, rows))?;
                self.push_slot(slot, Some(own))?;
            } else {
                let run = Run { file: self.push_slot(slot, None)?, start: loose_rows.len() as u32, rows: rows as u32 };
                loose_rows.extend_from_slice(&order.values()[start..start + rows]);
                runs.push(run);
            }
            start += rows;
        }
        if runs.is_empty() {
            return Ok(());
        }
        let loose = if loose_rows.len() == batch.num_rows() && runs.len() == 1 {
            batch.clone()
        } else {
            take_rows(batch, &UInt32Array::from(loose_rows))?
        };
        self.loose.push(loose, runs)
    }

    /// Counts the rows for their file and gives it those that it keeps itself. Returns the file's number.
    fn push_slot(&mut self, slot: SlotRows, own: Option<RecordBatch>) -> Result<u32, WriterError> {
        let open_files = self.files.len() as u64;
        let in_process = open_files.max(1) * self.consumers;
        let encode_rows = (ENCODE_ROWS * (in_process / FILES_PER_ENCODE_ROWS).max(1)).min(self.options.row_group_rows as u64);
        let file = match self.files.entry(slot.target.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let file = entry.insert(FileBuffer::new(open_files as u32, &slot));
                self.file_bytes += file.bytes();
                file
            }
        };
        file.count(&slot);
        if let Some(batch) = own {
            let before = file.bytes();
            file.push(batch)?;
            if file.buffered_rows() >= encode_rows {
                file.encode(&self.options)?;
            }
            self.file_bytes = self.file_bytes + file.bytes() - before;
        }
        Ok(file.number)
    }

    /// Notes when a record came to Kafka.
    pub fn observe_kafka_timestamp(&mut self, time: Time) {
        self.lowest_kafka_timestamp = Some(self.lowest_kafka_timestamp.map_or(time, |lowest| lowest.min(time)));
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.file_bytes + self.loose.bytes() + self.quarantine.bytes()
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
        let mut files = std::mem::take(&mut self.files);
        let mut shares: Vec<_> = self.loose.part(files.len()).into_iter().map(Some).collect();
        for file in files.values_mut() {
            if let Some(share) = shares.get_mut(file.number as usize).and_then(Option::take) {
                file.take_over(share);
            }
        }
        TakenBuffers { files, quarantine: self.quarantine.take(), lowest_kafka_timestamp: self.lowest_kafka_timestamp.take() }
    }
}

fn take_rows(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch, WriterError> {
    take_record_batch(batch, rows).map_err(|e| WriterError::Bug { what: "take rows of a lake partition", detail: e.to_string() })
}

#[cfg(test)]
mod tests;

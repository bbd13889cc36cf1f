//! Rows that do not fit in memory: divided into slices by ranges of their keys, each slice in a file of its own.
//!
//! The files have no names: when the process ends, however it does, the system takes them back.
use crate::error::SealerError;
use crate::seal::order::encode;
use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::path::{Path, PathBuf};

/// Buffer of a file: pieces of batches are smaller than a good write.
const BUFFER_BYTES: usize = 128 << 10;

/// A slice's rows on disk.
#[derive(Debug)]
pub(crate) struct SpilledSlice {
    file: File,
    folder: PathBuf,
    /// Bytes that its rows take in memory.
    pub(crate) bytes: u64,
}

/// Divides rows into slices.
pub(crate) struct Slicer {
    key: Vec<usize>,
    /// The first key of each slice but the first, ascending.
    boundaries: Vec<Box<[u8]>>,
    slices: Vec<SliceWriter>,
    folder: PathBuf,
}

struct SliceWriter {
    writer: StreamWriter<BufWriter<File>>,
    bytes: u64,
}

impl Slicer {
    /// Begins: one slice more than there are `boundaries`, in a folder.
    pub(crate) fn new(schema: &SchemaRef, key: Vec<usize>, boundaries: Vec<Box<[u8]>>, folder: &Path) -> Result<Self, SealerError> {
        let begin = |_| -> Result<SliceWriter, SealerError> {
            let file = tempfile::tempfile_in(folder).map_err(|e| failed("make file", folder, &e))?;
            let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
            let buffered = BufWriter::with_capacity(BUFFER_BYTES, file);
            let writer = StreamWriter::try_new_with_options(buffered, schema, options).map_err(|e| failed("write rows", folder, &e))?;
            Ok(SliceWriter { writer, bytes: 0 })
        };
        let slices = (0..=boundaries.len()).map(begin).collect::<Result<_, _>>()?;
        Ok(Self { key, boundaries, slices, folder: folder.to_owned() })
    }

    /// Gives each row to its slice.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SealerError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = encode(std::slice::from_ref(batch), &self.key)?;
        let slice_of: Vec<u32> =
            keys.iter().map(|key| self.boundaries.partition_point(|first| first.as_ref() <= key.data()) as u32).collect();
        let (order, ends) = by_slice(&slice_of, self.slices.len());
        let sorted = take_record_batch(batch, &UInt32Array::from(order))?;
        let row_bytes = bytes_of(batch) as f64 / batch.num_rows() as f64;
        let mut start = 0;
        for (slice, end) in self.slices.iter_mut().zip(ends) {
            if end > start {
                let rows = sorted.slice(start, end - start);
                slice.writer.write(&rows).map_err(|e| failed("write rows", &self.folder, &e))?;
                slice.bytes += (row_bytes * rows.num_rows() as f64) as u64;
            }
            start = end;
        }
        Ok(())
    }

    /// The slices, ascending.
    pub(crate) fn finish(self) -> Result<Vec<SpilledSlice>, SealerError> {
        let folder = self.folder;
        let end = |slice: SliceWriter| {
            let written = slice.writer.into_inner().map_err(|e| failed("write rows", &folder, &e))?;
            let file = written.into_inner().map_err(|e| failed("write rows", &folder, &e))?;
            Ok(SpilledSlice { file, folder: folder.clone(), bytes: slice.bytes })
        };
        self.slices.into_iter().map(end).collect()
    }
}

/// The rows in the order of their slices, and where each slice ends.
fn by_slice(slice_of: &[u32], slices: usize) -> (Vec<u32>, Vec<usize>) {
    let mut next = vec![0_usize; slices + 1];
    for slice in slice_of {
        next[*slice as usize + 1] += 1;
    }
    for slice in 0..slices {
        next[slice + 1] += next[slice];
    }
    let ends = next[1..].to_vec();
    let mut order = vec![0; slice_of.len()];
    for (row, slice) in slice_of.iter().enumerate() {
        let at = &mut next[*slice as usize];
        order[*at] = row as u32;
        *at += 1;
    }
    (order, ends)
}

impl SpilledSlice {
    /// Its rows, from the beginning.
    pub(crate) fn read(&mut self) -> Result<impl Iterator<Item = Result<RecordBatch, SealerError>> + use<>, SealerError> {
        let folder = self.folder.clone();
        let cannot = |e: &dyn std::fmt::Display| failed("read rows", &self.folder, e);
        self.file.rewind().map_err(|e| cannot(&e))?;
        let file = self.file.try_clone().map_err(|e| cannot(&e))?;
        let reader = StreamReader::try_new(BufReader::with_capacity(BUFFER_BYTES, file), None).map_err(|e| cannot(&e))?;
        Ok(reader.map(move |batch| batch.map_err(|e| failed("read rows", &folder, &e))))
    }
}

/// Bytes that a batch's rows take in memory.
pub(crate) fn bytes_of(batch: &RecordBatch) -> u64 {
    let bytes =
        batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()));
    bytes.sum::<usize>() as u64
}

fn failed(what: &'static str, folder: &Path, error: &dyn std::fmt::Display) -> SealerError {
    SealerError::Spill { what, folder: folder.display().to_string(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_slices() {
        let (order, ends) = by_slice(&[2, 0, 2, 0, 3], 4);
        assert_eq!((order, ends), (vec![1, 3, 0, 2, 4], vec![2, 2, 4, 5]));
    }
}

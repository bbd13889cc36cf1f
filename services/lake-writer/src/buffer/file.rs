//! Rows of one future file.
use super::{Chunk, SlotRows, is_joined, loose::Share};
use crate::{
    encode::{EncodeOptions, FileEncoder},
    error::WriterError,
};
use arrow::{compute::concat_batches, record_batch::RecordBatch};
use windowing::Time;

/// Rows of one future file: encoded, as Arrow, and loose ones that share their arrays with other files.
#[derive(Debug)]
pub struct FileBuffer {
    /// Number in the buffers.
    pub(super) number: u32,
    chunks: Vec<Chunk>,
    encoder: Option<FileEncoder>,
    loose: Option<Share>,
    rows: u64,
    buffered_rows: u64,
    buffered_bytes: u64,
    /// Lowest event time.
    pub event_time_min: Time,
    /// Highest event time.
    pub event_time_max: Time,
}

/// What a file costs beside its rows: its place in the map, and its entry in the record.
const FILE_BYTES: u64 = 1_024;

impl FileBuffer {
    pub(super) fn new(number: u32, slot: &SlotRows) -> Self {
        Self {
            number,
            chunks: Vec::new(),
            encoder: None,
            loose: None,
            rows: 0,
            buffered_rows: 0,
            buffered_bytes: 0,
            event_time_min: slot.event_time_min,
            event_time_max: slot.event_time_max,
        }
    }

    /// Rows in the future file.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that wait as Arrow, without loose ones.
    pub(super) fn buffered_rows(&self) -> u64 {
        self.buffered_rows
    }

    /// Bytes held, Arrow and encoded, without loose rows.
    pub(super) fn bytes(&self) -> u64 {
        FILE_BYTES + self.buffered_bytes + self.encoder.as_ref().map_or(0, FileEncoder::bytes)
    }

    /// Counts rows, wherever they are kept.
    pub(super) fn count(&mut self, slot: &SlotRows) {
        self.rows += u64::from(slot.rows);
        self.event_time_min = self.event_time_min.min(slot.event_time_min);
        self.event_time_max = self.event_time_max.max(slot.event_time_max);
    }

    /// Adds rows that are counted.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), WriterError> {
        self.buffered_rows += batch.num_rows() as u64;
        let mut chunk = Chunk::new(batch);
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

    /// Takes over its loose rows, at the commit.
    pub(super) fn take_over(&mut self, loose: Share) {
        self.loose = Some(loose);
    }

    /// Encodes what is buffered.
    pub(super) fn encode(&mut self, options: &EncodeOptions) -> Result<(), WriterError> {
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
        if let Some(rows) = self.loose.take().map(Share::gather).transpose()?.flatten() {
            self.chunks.push(Chunk::new(rows));
        }
        self.encode(options)?;
        self.encoder.ok_or_else(|| WriterError::Bug { what: "encode file", detail: "it has no rows".to_owned() })
    }

    #[cfg(test)]
    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    #[cfg(test)]
    pub(super) fn encoded_rows(&self) -> Option<u64> {
        self.encoder.as_ref().map(FileEncoder::rows)
    }
}

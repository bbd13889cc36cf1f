//! Rows of lake partitions that get few of each batch: kept together as they came, and parted at the commit.
//!
//! A batch may touch thousands of lake partitions. Arrays of one or two rows would cost a hundred times the memory of the rows, so the rows of all
//! small shares stay in one batch, ordered by file, and a file knows which runs are its own.
use super::{Chunk, is_joined};
use crate::error::WriterError;
use arrow::{
    compute::{concat_batches, interleave_record_batch},
    record_batch::RecordBatch,
};
use std::sync::Arc;

/// Memory of a run in its list.
const RUN_BYTES: u64 = size_of::<Run>() as u64;

/// Neighbouring rows of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Number of the file in the buffers.
    pub(super) file: u32,
    /// First row in the chunk.
    pub(super) start: u32,
    /// Rows.
    pub(super) rows: u32,
}

/// Loose rows of all files.
#[derive(Debug, Default)]
pub(super) struct LooseRows {
    chunks: Vec<LooseChunk>,
    bytes: u64,
}

#[derive(Debug)]
struct LooseChunk {
    rows: Chunk,
    runs: Vec<Run>,
}

impl LooseChunk {
    fn bytes(&self) -> u64 {
        self.rows.bytes + self.runs.len() as u64 * RUN_BYTES
    }
}

impl LooseRows {
    /// Bytes held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a batch and whose its rows are. Small neighbours are joined, as many batches of a few rows cost more than the rows.
    pub(super) fn push(&mut self, batch: RecordBatch, runs: Vec<Run>) -> Result<(), WriterError> {
        let mut chunk = LooseChunk { rows: Chunk::new(batch), runs };
        while let Some(previous) = self.chunks.pop_if(|previous| is_joined(&previous.rows, &chunk.rows)) {
            self.bytes -= previous.bytes();
            let shift = previous.rows.batch.num_rows() as u32;
            let joined = concat_batches(&previous.rows.batch.schema(), [&previous.rows.batch, &chunk.rows.batch])
                .map_err(|e| WriterError::Bug { what: "join loose rows", detail: e.to_string() })?;
            let mut runs = previous.runs;
            runs.extend(chunk.runs.iter().map(|run| Run { start: run.start + shift, ..*run }));
            chunk = LooseChunk { rows: Chunk::new(joined), runs };
        }
        self.bytes += chunk.bytes();
        self.chunks.push(chunk);
        Ok(())
    }

    /// Hands each of `files` files its rows, and starts empty.
    pub(super) fn part(&mut self, files: usize) -> Vec<Share> {
        let chunks = std::mem::take(&mut self.chunks);
        self.bytes = 0;
        let mut runs: Vec<Vec<(u32, Run)>> = vec![Vec::new(); files];
        for (number, chunk) in chunks.iter().enumerate() {
            for run in &chunk.runs {
                runs[run.file as usize].push((number as u32, *run));
            }
        }
        let batches: Arc<[RecordBatch]> = chunks.into_iter().map(|chunk| chunk.rows.batch).collect();
        runs.into_iter().map(|runs| Share { batches: Arc::clone(&batches), runs }).collect()
    }
}

/// The loose rows of one file.
#[derive(Debug)]
pub(super) struct Share {
    batches: Arc<[RecordBatch]>,
    runs: Vec<(u32, Run)>,
}

impl Share {
    /// The rows in the order in which they came; `None`: there are none.
    pub(super) fn gather(self) -> Result<Option<RecordBatch>, WriterError> {
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut places = Vec::new();
        let mut last = None;
        for (chunk, run) in &self.runs {
            if last != Some(*chunk) {
                last = Some(*chunk);
                batches.push(&self.batches[*chunk as usize]);
            }
            places.extend((run.start..run.start + run.rows).map(|row| (batches.len() - 1, row as usize)));
        }
        if places.is_empty() {
            return Ok(None);
        }
        interleave_record_batch(&batches, &places)
            .map(Some)
            .map_err(|e| WriterError::Bug { what: "part loose rows", detail: e.to_string() })
    }
}

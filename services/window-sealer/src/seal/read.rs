//! Reads the inputs of a lake partition.
use crate::error::SealerError;
use crate::seal::order::encode;
use crate::seal::partition::PartitionJob;
use crate::seal::spill::bytes_of;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use lake_file::{LakeFile, LakeFileError, ReadOptions};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use service_runtime::fail_point;
use std::ops::ControlFlow;
use std::sync::Arc;
use table_log::record::FileEntry;

/// Most bytes of rows in one batch.
const BATCH_BYTES: u64 = 16 << 20;
/// Rows in one batch.
const BATCH_ROWS: std::ops::RangeInclusive<u64> = 64..=65_536;
/// Rows that tell how large rows are.
const MEASURED_ROWS: usize = 1_024;
/// Files that are measured.
const MEASURED_FILES: usize = 3;
/// Keys that are sampled of a lake partition, about.
const SAMPLES: u64 = 32_768;
/// Keys that are sampled at a stretch.
const STRETCH_ROWS: u64 = 64;
/// Files that are sampled at most.
const SAMPLED_FILES: usize = 64;

/// Opens an input. It must have the rows that the log says.
fn open(job: &PartitionJob, entry: &FileEntry) -> Result<LakeFile, SealerError> {
    let file = LakeFile::open(Arc::clone(job.log.store()), &entry.key, entry.bytes)?;
    if file.rows() == entry.rows {
        return Ok(file);
    }
    let detail = format!("it has `{}` rows, and the log says `{}`", file.rows(), entry.rows);
    Err(LakeFileError::File { key: entry.key.clone(), detail }.into())
}

/// Bytes that a row takes in memory, about: the largest average of a few files.
pub(super) fn row_bytes(job: &PartitionJob) -> Result<u64, SealerError> {
    let mut largest = 1;
    for entry in spread(&job.files, MEASURED_FILES) {
        let options = ReadOptions { batch_rows: Some(MEASURED_ROWS), selection: None };
        if let Some(batch) = open(job, entry)?.read_with(Arc::clone(&job.rules.schema), options)?.next() {
            let batch = batch?;
            largest = largest.max(bytes_of(&batch) / batch.num_rows().max(1) as u64);
        }
    }
    Ok(largest)
}

/// So many of the files, evenly.
fn spread(files: &[FileEntry], count: usize) -> impl Iterator<Item = &FileEntry> {
    files.iter().step_by(files.len().div_ceil(count).max(1))
}

/// All rows, batch by batch; looks between files whether the work is still wanted. `each` may end it.
pub(super) fn each_batch(
    job: &PartitionJob,
    row_bytes: u64,
    mut each: impl FnMut(RecordBatch) -> Result<ControlFlow<()>, SealerError>,
) -> Result<(), SealerError> {
    let batch_rows = (BATCH_BYTES.min(job.slice_bytes() / 8) / row_bytes.max(1)).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end());
    for entry in &job.files {
        job.check_wanted()?;
        fail_point!("sealer-before-read");
        let options = ReadOptions { batch_rows: Some(batch_rows as usize), selection: None };
        let mut rows = 0;
        for batch in open(job, entry)?.read_with(Arc::clone(&job.rules.schema), options)? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            if each(batch)?.is_break() {
                return Ok(());
            }
        }
        fail_point!("sealer-after-read");
        if rows != entry.rows {
            let detail = format!("`{rows}` rows could be read, and the log says `{}`", entry.rows);
            return Err(LakeFileError::File { key: entry.key.clone(), detail }.into());
        }
    }
    Ok(())
}

/// Keys that divide the rows into `slices` of about the same size, ascending: the first key of each slice but the first. They come from a
/// sample of the key's columns alone.
pub(super) fn boundaries(job: &PartitionJob, slices: usize) -> Result<Vec<Box<[u8]>>, SealerError> {
    let rows: u64 = job.files.iter().map(|file| file.rows).sum();
    let columns = job.rules.slice_key();
    let fields: Vec<_> = columns.iter().map(|column| Arc::clone(&job.rules.schema.fields()[*column])).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let (mut keys, mut sampled_rows) = (Vec::new(), 0);
    let sampled: Vec<&FileEntry> = spread(&job.files, SAMPLED_FILES).collect();
    sampled_rows += sampled.iter().map(|file| file.rows).sum::<u64>();
    for entry in sampled {
        job.check_wanted()?;
        let wanted = (SAMPLES.min(rows) * entry.rows).div_ceil(sampled_rows.max(1));
        let selection = Some(stretches(entry.rows, wanted));
        let options = ReadOptions { batch_rows: None, selection };
        for batch in open(job, entry)?.read_with(Arc::clone(&schema), options)? {
            let all: Vec<usize> = (0..columns.len()).collect();
            keys.extend(encode(&[batch?], &all)?.iter().map(|key| Box::<[u8]>::from(key.data())));
        }
    }
    Ok(quantiles(keys, slices))
}

/// `wanted` rows in stretches, spread over a file.
fn stretches(rows: u64, wanted: u64) -> RowSelection {
    let count = wanted.div_ceil(STRETCH_ROWS).max(1);
    let period = (rows / count).max(STRETCH_ROWS);
    let mut selectors = Vec::new();
    let mut at = 0;
    while at < rows {
        let taken = STRETCH_ROWS.min(rows - at);
        selectors.push(RowSelector::select(taken as usize));
        let skipped = (period - STRETCH_ROWS).min(rows - at - taken);
        if skipped > 0 {
            selectors.push(RowSelector::skip(skipped as usize));
        }
        at += taken + skipped;
    }
    RowSelection::from(selectors)
}

/// Distinct keys at even distances of a sample.
pub(super) fn quantiles(mut keys: Vec<Box<[u8]>>, slices: usize) -> Vec<Box<[u8]>> {
    keys.sort_unstable();
    let mut boundaries: Vec<Box<[u8]>> = (1..slices).filter_map(|slice| keys.get(slice * keys.len() / slices).cloned()).collect();
    boundaries.dedup();
    // Nothing is below the least key: it would only begin an empty slice.
    if boundaries.first() == keys.first() {
        boundaries.drain(..1.min(boundaries.len()));
    }
    boundaries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_a_file_evenly() {
        for (rows, wanted) in [(10, 1), (64, 64), (65, 1), (1_000_000, 500), (1_000_000, 2_000_000)] {
            let selection = stretches(rows, wanted);
            let total: usize = selection.iter().map(|selector| selector.row_count).sum();
            assert_eq!(total as u64, rows);
            assert!(selection.row_count() as u64 >= wanted.min(rows), "{rows} {wanted}");
            assert!(selection.row_count() as u64 <= (2 * wanted + 2 * STRETCH_ROWS), "{rows} {wanted}");
        }
    }

    #[test]
    fn boundaries_are_distinct_and_leave_no_empty_slice_below() {
        let keys = |bytes: &[u8]| bytes.iter().map(|byte| Box::from([*byte])).collect::<Vec<Box<[u8]>>>();
        assert_eq!(quantiles(keys(&[4, 1, 3, 2]), 2), keys(&[3]));
        assert_eq!(quantiles(keys(&[7; 100]), 5), keys(&[]));
        assert_eq!(quantiles(keys(&[1, 7, 7, 7, 7, 7]), 3), keys(&[7]));
        assert_eq!(quantiles(keys(&[]), 3), keys(&[]));
    }
}

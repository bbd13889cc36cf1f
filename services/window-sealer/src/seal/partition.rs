//! Makes the next revision of one lake partition. Blocks: it runs on a thread of its own.
//!
//! ```text
//!                fits ┌───────────────────────────────┐
//! inputs ─read────────▶ order (sort, find duplicates) ├─▶ files of the revision
//!          └─▶ slices ▶ one after the other           ├─▶ files of dropped rows
//!              on disk└───────────────────────────────┘
//! ```
use crate::error::SealerError;
use crate::seal::inputs;
use crate::seal::order::{self, Ordered, Place};
use crate::seal::read;
use crate::seal::rules::SealRules;
use crate::seal::spill::{Slicer, SpilledSlice, bytes_of};
use crate::write::{EventTimeColumn, FileSink, RevisionTarget, RevisionWriter, SinkFolder, WriteOptions};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{interleave, interleave_record_batch, max, min};
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use lake_store::TableLog;
use service_runtime::shutdown::Shutdown;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use table_log::record::FileEntry;
use table_log::{LakePartition, TableState};
use tokio::runtime::Handle;
use tokio::time::Instant;
use windowing::{Micros, Time};

/// The tail is looked at so often, at most: that nobody else is faster is worth a question now and then.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows that are put together at once.
const OUTPUT_ROWS: usize = 16_384;
/// And their bytes, about.
const OUTPUT_BYTES: u64 = 8 << 20;
/// Slices of one pass: each has a file and its buffers.
const MOST_SLICES: u64 = 128;
/// A slice that came out too large is divided again, so often at most.
const DEEPEST: u32 = 3;

/// A lake partition to seal.
#[derive(Debug)]
pub(crate) struct PartitionJob {
    pub(crate) log: TableLog,
    /// The fold on which the work rests.
    pub(crate) state: Arc<TableState>,
    pub(crate) window_start: Time,
    pub(crate) lake_partition: LakePartition,
    pub(crate) revision: u32,
    pub(crate) rules: SealRules,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) write: WriteOptions,
    pub(crate) footer: String,
    pub(crate) memory_bytes: u64,
    pub(crate) spill_dir: PathBuf,
    pub(crate) shutdown: Shutdown,
    pub(crate) looked: Cell<Instant>,
}

/// A lake partition's new files.
#[derive(Debug)]
pub(crate) struct SealedPartition {
    pub(crate) files: Vec<FileEntry>,
    pub(crate) duplicates: Vec<FileEntry>,
    /// Slices that the rows went through; 0: they fitted in memory.
    pub(crate) slices: u64,
}

impl PartitionJob {
    /// Bytes of the rows of a slice. The rest of the memory is for their keys and places, what is read, and what is encoded.
    pub(crate) fn slice_bytes(&self) -> u64 {
        (self.memory_bytes / 4).max(1)
    }

    /// Whether somebody was faster, or the process is stopping.
    pub(crate) fn check_wanted(&self) -> Result<(), SealerError> {
        if self.shutdown.is_triggered() {
            return Err(SealerError::Stopping);
        }
        if self.looked.get().elapsed() < LOOK_EVERY {
            return Ok(());
        }
        let now = Handle::current().block_on(self.log.refresh())?;
        self.looked.set(Instant::now());
        match inputs::overtaken(&self.state, &now, self.window_start) {
            Some(why) => Err(SealerError::Overtaken(why)),
            None => Ok(()),
        }
    }

    fn target(&self, schema: SchemaRef) -> RevisionTarget {
        RevisionTarget {
            table: self.rules.table.clone(),
            layout: self.rules.layout.clone(),
            lake_partition: self.lake_partition.clone(),
            revision: self.revision,
            schema,
            schema_version: self.rules.schema_version,
            staged_on: self.rules.staged_on,
            event_time: EventTimeColumn { name: self.rules.schema.field(self.rules.event_time).name().clone(), shift: Micros::ZERO },
            footer_ranges: self.footer.clone(),
        }
    }
}

/// Seals. What was staged is dropped when it fails.
pub(crate) fn seal(job: &PartitionJob) -> Result<SealedPartition, SealerError> {
    let runtime = Handle::current();
    let store = Arc::clone(job.log.store());
    let names = job.rules.identity_columns().map(|column| job.rules.schema.field(column).clone());
    let duplicates = job.target(duplicates_schema(&names));
    let plain = WriteOptions {
        encode: lake_file::EncodeOptions { bloom_filters: Vec::new(), dictionaries: Arc::default(), ..job.write.encode.clone() },
        ..job.write.clone()
    };
    let mut output = Output {
        job,
        rows: RevisionWriter::new(Arc::clone(&store), job.target(Arc::clone(&job.rules.schema)), job.write.clone()),
        duplicates_schema: Arc::clone(&duplicates.schema),
        duplicates: FileSink::new(store, duplicates, plain, SinkFolder::Duplicates),
        slices: 0,
    };
    let done = output.run();
    let Output { rows, duplicates, slices, .. } = output;
    if let Err(error) = done {
        runtime.block_on(async { (rows.discard().await, duplicates.discard().await) });
        return Err(error);
    }
    let (read, written) = (job.files.iter().map(|file| file.rows).sum::<u64>(), rows.rows() + duplicates.rows());
    if read != written {
        runtime.block_on(async { (rows.discard().await, duplicates.discard().await) });
        return Err(SealerError::bug("count rows", format!("`{written}` of `{read}` rows were kept or dropped")));
    }
    runtime.block_on(async {
        let files = match rows.finish().await {
            Ok(files) => files,
            Err(error) => {
                duplicates.discard().await;
                return Err(error);
            }
        };
        match duplicates.finish().await {
            Ok(duplicates) => Ok(SealedPartition { files, duplicates, slices }),
            Err(error) => {
                job.log.discard(&files).await;
                Err(error)
            }
        }
    })
}

/// Columns of a list of dropped rows: the identity of the dropped row, then that of the row kept.
fn duplicates_schema(identity: &[Field]) -> SchemaRef {
    let kept = identity.iter().map(|field| field.clone().with_name(format!("kept{}", field.name())));
    Arc::new(Schema::new(identity.iter().cloned().chain(kept).collect::<Vec<_>>()))
}

/// Where rows go.
struct Output<'a> {
    job: &'a PartitionJob,
    rows: RevisionWriter,
    duplicates: FileSink,
    duplicates_schema: SchemaRef,
    slices: u64,
}

impl Output<'_> {
    fn run(&mut self) -> Result<(), SealerError> {
        let job = self.job;
        let mut row_bytes = read::row_bytes(job)?;
        let rows: u64 = job.files.iter().map(|file| file.rows).sum();
        let slice_bytes = job.slice_bytes();
        if rows.saturating_mul(row_bytes) <= slice_bytes + slice_bytes / 4 {
            let (mut batches, mut bytes) = (Vec::new(), 0);
            read::each_batch(job, row_bytes, |batch| {
                bytes += bytes_of(&batch);
                batches.push(batch);
                Ok(if bytes > 2 * slice_bytes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            if bytes <= 2 * slice_bytes {
                return self.put(&batches);
            }
            // The first rows of the files were no measure of all.
            row_bytes = bytes / batches.iter().map(RecordBatch::num_rows).sum::<usize>().max(1) as u64;
        }
        let count = rows.saturating_mul(row_bytes).div_ceil(slice_bytes).clamp(2, MOST_SLICES);
        let boundaries = read::boundaries(job, count as usize)?;
        let mut slicer = Slicer::new(&job.rules.schema, job.rules.slice_key(), boundaries, &job.spill_dir)?;
        read::each_batch(job, row_bytes, |batch| slicer.write(&batch).map(ControlFlow::Continue))?;
        for slice in slicer.finish()? {
            self.put_slice(slice, 0)?;
        }
        Ok(())
    }

    /// Seals a slice, dividing it again if it came out too large.
    fn put_slice(&mut self, mut slice: SpilledSlice, depth: u32) -> Result<(), SealerError> {
        self.job.check_wanted()?;
        let slice_bytes = self.job.slice_bytes();
        if slice.bytes > 2 * slice_bytes && depth < DEEPEST {
            let boundaries = self.boundaries_within(&mut slice)?;
            if !boundaries.is_empty() {
                let rules = &self.job.rules;
                let mut slicer = Slicer::new(&rules.schema, rules.slice_key(), boundaries, &self.job.spill_dir)?;
                for batch in slice.read()? {
                    slicer.write(&batch?)?;
                }
                drop(slice);
                return slicer.finish()?.into_iter().try_for_each(|part| self.put_slice(part, depth + 1));
            }
        }
        let batches = self.gather(&mut slice)?;
        drop(slice);
        self.slices += 1;
        self.put(&batches)
    }

    fn boundaries_within(&self, slice: &mut SpilledSlice) -> Result<Vec<Box<[u8]>>, SealerError> {
        let key = self.job.rules.slice_key();
        let parts = (2 * slice.bytes).div_ceil(self.job.slice_bytes()).min(MOST_SLICES);
        let mut keys = Vec::new();
        for batch in slice.read()? {
            let encoded = order::encode(&[batch?], &key)?;
            let step = encoded.num_rows().div_ceil(64).max(1);
            keys.extend(encoded.iter().step_by(step).map(|key| Box::<[u8]>::from(key.data())));
        }
        Ok(read::quantiles(keys, parts as usize))
    }

    /// A slice's rows. If its keys are all the same, so that it cannot be divided, its rows are mostly duplicates: they are dropped as they come.
    fn gather(&mut self, slice: &mut SpilledSlice) -> Result<Vec<RecordBatch>, SealerError> {
        let (mut batches, mut bytes, mut limit) = (Vec::new(), 0, 3 * self.job.slice_bytes());
        for batch in slice.read()? {
            let batch = batch?;
            bytes += bytes_of(&batch);
            batches.push(batch);
            if bytes > limit {
                let ordered = order::order(&batches, &self.job.rules)?;
                self.drop_rows(&batches, &ordered)?;
                batches = together(&batches, &ordered.kept)?;
                bytes = batches.iter().map(bytes_of).sum();
                limit = limit.max(2 * bytes);
                if bytes > 3 * self.job.slice_bytes() {
                    tracing::warn!(
                        table = self.job.rules.table.0,
                        bytes,
                        "rows of one key do not fit in the memory budget and are sealed all the same"
                    );
                }
            }
        }
        Ok(batches)
    }

    /// Writes rows in order, without duplicates.
    fn put(&mut self, batches: &[RecordBatch]) -> Result<(), SealerError> {
        if batches.is_empty() {
            return Ok(());
        }
        let ordered = order::order(batches, &self.job.rules)?;
        self.drop_rows(batches, &ordered)?;
        let refs: Vec<&RecordBatch> = batches.iter().collect();
        for places in ordered.kept.chunks(output_rows(batches)) {
            let rows = interleave_record_batch(&refs, places)?;
            Handle::current().block_on(self.rows.write(&rows))?;
        }
        Ok(())
    }

    /// Lists dropped rows with those kept in their place.
    fn drop_rows(&mut self, batches: &[RecordBatch], ordered: &Ordered) -> Result<(), SealerError> {
        let rules = &self.job.rules;
        for dropped in ordered.dropped.chunks(OUTPUT_ROWS) {
            let (away, kept): (Vec<Place>, Vec<Place>) = dropped.iter().copied().unzip();
            let column = |column: usize, places: &[Place]| -> Result<ArrayRef, SealerError> {
                let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
                Ok(interleave(&arrays, places)?)
            };
            let identity = rules.identity_columns();
            let columns = identity.iter().map(|c| column(*c, &away)).chain(identity.iter().map(|c| column(*c, &kept)));
            let list = RecordBatch::try_new(Arc::clone(&self.duplicates_schema), columns.collect::<Result<_, _>>()?)?;
            let times = column(rules.event_time, &away)?;
            let times = times.as_primitive::<TimestampMicrosecondType>();
            let (Some(low), Some(high)) = (min(times), max(times)) else {
                return Err(SealerError::bug("list dropped rows", "a row has no event time"));
            };
            Handle::current().block_on(self.duplicates.write(&list, (Time(low), Time(high))))?;
        }
        Ok(())
    }
}

/// Rows of an output batch: fewer where rows are large.
fn output_rows(batches: &[RecordBatch]) -> usize {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let row_bytes = batches.iter().map(bytes_of).sum::<u64>() / rows.max(1) as u64;
    (OUTPUT_BYTES / row_bytes.max(1)).clamp(16, OUTPUT_ROWS as u64) as usize
}

/// The rows of these places, in batches.
fn together(batches: &[RecordBatch], places: &[Place]) -> Result<Vec<RecordBatch>, SealerError> {
    let refs: Vec<&RecordBatch> = batches.iter().collect();
    places.chunks(output_rows(batches)).map(|places| Ok(interleave_record_batch(&refs, places)?)).collect()
}

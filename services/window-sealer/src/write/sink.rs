//! Files of one folder, one after the other.
use super::{RevisionTarget, WriteOptions};
use crate::error::SealerError;
use crate::retry;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use lake_file::{FileEncoder, Footer};
use lake_store::{LakeStore, StagedWrite, StoreError};
use service_runtime::fail_point;
use std::sync::{Arc, Mutex, PoisonError};
use table_log::key::{DataFolder, Key};
use table_log::record::FileEntry;
use windowing::Time;

/// Where the files go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SinkFolder {
    /// A folder of data.
    Data(DataFolder),
    /// The lists of dropped rows.
    Duplicates,
}

/// Ends a file when it has about the wanted size and begins the next.
#[derive(Debug)]
pub(crate) struct FileSink {
    store: Arc<dyn LakeStore>,
    target: RevisionTarget,
    options: WriteOptions,
    folder: SinkFolder,
    /// Only reached through exclusive references; the mutex lets shared ones cross threads.
    open: Mutex<Option<OpenFile>>,
    finished: Vec<FileEntry>,
    rows: u64,
}

/// A file with rows.
struct OpenFile {
    key: String,
    staged: Box<dyn StagedWrite>,
    encoder: FileEncoder,
    written_bytes: u64,
    event_times: (Time, Time),
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("key", &self.key).finish_non_exhaustive()
    }
}

impl FileSink {
    pub(crate) fn new(store: Arc<dyn LakeStore>, target: RevisionTarget, options: WriteOptions, folder: SinkFolder) -> Self {
        Self { store, target, options, folder, open: Mutex::new(None), finished: Vec::new(), rows: 0 }
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Encodes rows whose event times lie in `event_times`.
    pub(crate) async fn write(&mut self, batch: &RecordBatch, event_times: (Time, Time)) -> Result<(), SealerError> {
        let target_file_bytes = self.options.target_file_bytes;
        let mut file = match self.open_file().take() {
            Some(file) => file,
            None => self.begin(event_times).await?,
        };
        file.event_times = (file.event_times.0.min(event_times.0), file.event_times.1.max(event_times.1));
        let encoded = file.encoder.write(batch);
        let file = self.open_file().insert(file);
        encoded?;
        for part in file.encoder.take_parts() {
            file.written_bytes += part.len() as u64;
            send(file.staged.as_mut(), part).await?;
        }
        let is_full = file.encoder.encoded_bytes() >= target_file_bytes;
        self.rows += batch.num_rows() as u64;
        if is_full {
            self.end_file().await?;
        }
        Ok(())
    }

    /// Ends the last file; the entries of all.
    pub(crate) async fn finish(mut self) -> Result<Vec<FileEntry>, SealerError> {
        match self.end_file().await {
            Ok(()) => Ok(self.finished),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Drops all that was staged.
    pub(crate) async fn discard(mut self) {
        if let Some(file) = self.open_file().take() {
            abort(&file.key, file.staged).await;
        }
        for file in &self.finished {
            if let Err(error) = self.store.discard(&file.key, &file.upload).await {
                tracing::debug!(key = file.key, %error, "staged file is left to the sweeper");
            }
        }
    }

    fn open_file(&mut self) -> &mut Option<OpenFile> {
        self.open.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, event_times: (Time, Time)) -> Result<OpenFile, SealerError> {
        let staging = uuid::Uuid::new_v4().to_string();
        let (lake_partition, base) = (self.target.lake_partition.clone(), self.target.staged_on);
        let key = self.target.layout.path(&match self.folder {
            SinkFolder::Data(folder) => Key::Data { lake_partition, folder, base, staging },
            SinkFolder::Duplicates => Key::Duplicates { lake_partition, base, staging },
        });
        let encoder = FileEncoder::new(Arc::clone(&self.target.schema), &self.options.encode)?;
        fail_point!("sealer-before-stage");
        let staged = retry::repeat("stage file", || self.store.stage(&key)).await?;
        Ok(OpenFile { key, staged, encoder, written_bytes: 0, event_times })
    }

    async fn end_file(&mut self) -> Result<(), SealerError> {
        let Some(file) = self.open_file().take() else { return Ok(()) };
        let footer = Footer {
            table: self.target.table.0.clone(),
            schema_version: self.target.schema_version,
            ranges_json: self.target.footer_ranges.clone(),
        };
        let OpenFile { key, mut staged, encoder, mut written_bytes, event_times } = file;
        let encoded = encoder.finish(&footer)?;
        for part in encoded.parts {
            written_bytes += part.len() as u64;
            if let Err(error) = send(staged.as_mut(), part).await {
                abort(&key, staged).await;
                return Err(error.into());
            }
        }
        let (upload, bytes) = staged.finish().await?;
        fail_point!("sealer-after-stage");
        if bytes != written_bytes {
            return Err(SealerError::bug("stage file", format!("store has `{bytes}` bytes of `{written_bytes}` for `{key}`")));
        }
        self.finished.push(FileEntry {
            key,
            lake_partition: self.target.lake_partition.clone(),
            late: false,
            rows: encoded.rows,
            bytes,
            event_time_min: event_times.0,
            event_time_max: event_times.1,
            schema_version: self.target.schema_version,
            staged_on: self.target.staged_on,
            upload,
        });
        Ok(())
    }
}

async fn abort(key: &str, staged: Box<dyn StagedWrite>) {
    if let Err(error) = staged.abort().await {
        tracing::debug!(key, %error, "unfinished staging is left to the sweeper");
    }
}

/// After an error none of the bytes count, so they are sent again.
async fn send(staged: &mut dyn StagedWrite, part: Bytes) -> Result<(), StoreError> {
    let mut pauses = retry::Pauses::new();
    loop {
        match staged.write(part.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => pauses.after("write file", error).await?,
        }
    }
}

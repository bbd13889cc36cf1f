//! A file being written in `_staging/`.
use super::{disk::without_effect, run_blocking};
use crate::object_key::STAGING;
use crate::{StagedObject, StagedWrite, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use table_log::record::Upload;
use uuid::Uuid;

/// Bytes gathered before a write, so that small pieces don't each cost a thread switch.
const WRITE_BYTES: usize = 1 << 20;

/// Positions are explicit: a write that failed half-way is overwritten by its repetition, and cut off by `finish`.
pub(super) struct StagedFile {
    key: String,
    token: String,
    id: String,
    path: PathBuf,
    file: Arc<File>,
    written_bytes: u64,
    pending: Vec<Bytes>,
    pending_bytes: usize,
}

impl StagedFile {
    pub(super) fn begin(root: &Path, key: &str) -> Result<Self, StoreError> {
        let token = Uuid::now_v7().to_string();
        let id = upload_id(key, &token);
        let path = root.join(&id);
        let create = || {
            let folder = path.parent().unwrap_or(root);
            if !folder.is_dir() {
                // Not the folders above it: a lake that is gone, unmounted say, is not made anew beside it.
                if let Err(error) = fs::create_dir(folder)
                    && error.kind() != io::ErrorKind::AlreadyExists
                {
                    return Err(error);
                }
                File::open(root.join(STAGING))?.sync_all()?;
            }
            File::create_new(&path)
        };
        let file = create().map_err(|e| without_effect("stage", key, &e))?;
        Ok(Self { key: key.to_owned(), token, id, path, file: Arc::new(file), written_bytes: 0, pending: Vec::new(), pending_bytes: 0 })
    }

    /// Writes all pending pieces; on an error they stay pending.
    async fn flush(&mut self) -> Result<(), StoreError> {
        let (file, pieces, start, key) = (Arc::clone(&self.file), self.pending.clone(), self.written_bytes, self.key.clone());
        let end =
            run_blocking("stage", &self.key, move || write_pieces(&file, &pieces, start).map_err(|e| without_effect("stage", &key, &e)))
                .await?;
        self.written_bytes = end;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }
}

/// `_staging/<table>/<token>`: the table is the first folder of the key.
pub(super) fn upload_id(key: &str, token: &str) -> String {
    format!("{STAGING}/{}/{token}", key.split('/').next().unwrap_or_default())
}

/// Staged files of a table, whatever else is in the folder.
pub(super) fn list(root: &Path, table: &str, limit: usize) -> Result<Vec<StagedObject>, StoreError> {
    let read = || -> io::Result<Vec<StagedObject>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(root.join(STAGING).join(table)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries.take(limit) {
            let entry = entry?;
            let Ok(token) = entry.file_name().into_string() else { continue };
            if Uuid::try_parse(&token).is_err() {
                continue;
            }
            let modified = match entry.metadata() {
                // Published or discarded meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta?.modified()?,
            };
            let upload = Upload { id: upload_id(table, &token), token, parts: Vec::new() };
            found.push(StagedObject { key: None, upload, modified });
        }
        Ok(found)
    };
    read().map_err(|e| without_effect("list_staged", table, &e))
}

fn write_pieces(file: &File, pieces: &[Bytes], start: u64) -> io::Result<u64> {
    pieces.iter().try_fold(start, |position, piece| {
        file.write_all_at(piece, position)?;
        Ok(position + piece.len() as u64)
    })
}

/// Cuts what a failed write left behind the end, and makes file and entry durable.
fn settle(file: &File, path: &Path, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[async_trait]
impl StagedWrite for StagedFile {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let length = bytes.len();
        self.pending.push(bytes);
        self.pending_bytes += length;
        if self.pending_bytes < WRITE_BYTES {
            return Ok(());
        }
        let flushed = self.flush().await;
        if flushed.is_err() {
            self.pending.pop();
            self.pending_bytes -= length;
        }
        flushed
    }

    async fn finish(mut self: Box<Self>) -> Result<(Upload, u64), StoreError> {
        if let Err(error) = self.flush().await {
            self.abort().await?;
            return Err(error);
        }
        let (file, path, bytes, key) = (Arc::clone(&self.file), self.path.clone(), self.written_bytes, self.key.clone());
        run_blocking("stage", &self.key, move || settle(&file, &path, bytes).map_err(|e| without_effect("stage", &key, &e))).await?;
        let upload = Upload { id: self.id, token: self.token, parts: Vec::new() };
        Ok((upload, self.written_bytes))
    }

    async fn abort(self: Box<Self>) -> Result<(), StoreError> {
        let (path, key) = (self.path.clone(), self.key.clone());
        run_blocking("abort", &self.key, move || match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(without_effect("abort", &key, &e)),
            _ => Ok(()),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/dev/full` answers every write with "no space left".
    #[tokio::test]
    async fn what_a_full_disk_refused_may_be_written_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join(STAGING)).expect("folder");
        let mut staged = StagedFile::begin(folder.path(), "t/data/a").expect("begin");
        let disk = Arc::clone(&staged.file);
        let piece = |byte: u8| Bytes::from(vec![byte; WRITE_BYTES]);
        staged.write(piece(1)).await.expect("write");
        staged.write(Bytes::from_static(b"small")).await.expect("kept until there is more");
        staged.file = Arc::new(File::options().write(true).open("/dev/full").expect("/dev/full"));
        for _ in 0..2 {
            let full = staged.write(piece(2)).await;
            assert!(matches!(full, Err(StoreError::Unavailable { .. })), "{full:?}");
        }
        staged.file = disk;
        staged.write(piece(2)).await.expect("write");
        let path = staged.path.clone();
        let (_, bytes) = Box::new(staged).finish().await.expect("finish");
        let expected = [vec![1; WRITE_BYTES], b"small".to_vec(), vec![2; WRITE_BYTES]].concat();
        assert!(fs::read(path).expect("read") == expected && bytes == expected.len() as u64);
    }
}

//! The blocking file-system steps of [`super::LocalStore`].
use crate::object_key::STAGING;
use crate::{CreateOutcome, ObjectMeta, PublishOutcome, StoreError};
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use table_log::record::Upload;
use uuid::Uuid;

/// A failure before anything became visible.
pub(super) fn without_effect(operation: &'static str, key: &str, error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::Unsupported | ErrorKind::InvalidFilename => {
            StoreError::denied(operation, key, error)
        }
        _ => StoreError::unavailable(operation, key, error),
    }
}

/// A failure of the step that makes an object visible: unless the file system says that it did nothing, it may have.
fn of_visible_step(operation: &'static str, key: &str, error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::Unsupported => {
            StoreError::denied(operation, key, format!("{error} (the file system must support hard links and renames)"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::TooManyLinks | ErrorKind::CrossesDevices => {
            StoreError::unavailable(operation, key, error)
        }
        _ => StoreError::unknown(operation, key, error),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the folders of a file and their entries durable.
fn make_folders(root: &Path, file: &Path) -> io::Result<PathBuf> {
    let folder = file.parent().unwrap_or(root);
    if folder.is_dir() {
        return Ok(folder.to_owned());
    }
    fs::create_dir_all(folder)?;
    for made in folder.ancestors().take_while(|ancestor| ancestor.starts_with(root)) {
        sync_folder(made)?;
    }
    Ok(folder.to_owned())
}

/// A temporary file with these bytes, durable; the caller links or renames it.
fn temporary(root: &Path, body: &[u8]) -> io::Result<PathBuf> {
    let path = root.join(STAGING).join(format!("tmp-{}", Uuid::now_v7()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(body)?;
        file.sync_all()
    });
    written.inspect_err(|_| remove_quietly(&path))?;
    Ok(path)
}

/// Removes a temporary file; one that stays is swept later.
fn remove_quietly(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "temporary file stays");
    }
}

pub(super) fn create(root: &Path, key: &str, body: &[u8]) -> Result<CreateOutcome, StoreError> {
    let path = root.join(key);
    let folder = make_folders(root, &path).map_err(|e| without_effect("create", key, &e))?;
    let temporary = temporary(root, body).map_err(|e| without_effect("create", key, &e))?;
    let linked = fs::hard_link(&temporary, &path);
    remove_quietly(&temporary);
    let outcome = match linked {
        Ok(()) => CreateOutcome::Created,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => CreateOutcome::Exists,
        Err(e) => return Err(of_visible_step("create", key, &e)),
    };
    // Also when it exists: whoever made it may not have come this far, and nothing may be built on an entry that a power cut can undo.
    sync_folder(&folder).map_err(|e| StoreError::unknown("create", key, e))?;
    Ok(outcome)
}

pub(super) fn put_hint(root: &Path, key: &str, body: &[u8]) -> Result<(), StoreError> {
    let path = root.join(key);
    make_folders(root, &path).map_err(|e| without_effect("put_hint", key, &e))?;
    let temporary = temporary(root, body).map_err(|e| without_effect("put_hint", key, &e))?;
    fs::rename(&temporary, &path).map_err(|e| {
        remove_quietly(&temporary);
        of_visible_step("put_hint", key, &e)
    })
}

pub(super) fn get(root: &Path, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, StoreError> {
    let read = || -> io::Result<Option<Bytes>> {
        let mut file = File::open(root.join(key))?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Ok(None);
        }
        let range = range.unwrap_or(0..meta.len());
        let end = range.end.min(meta.len());
        let bytes = end.saturating_sub(range.start);
        let mut body = Vec::with_capacity(usize::try_from(bytes).map_err(|_| ErrorKind::FileTooLarge)?);
        if bytes > 0 {
            file.seek(SeekFrom::Start(range.start))?;
            file.take(bytes).read_to_end(&mut body)?;
        }
        Ok(Some(Bytes::from(body)))
    };
    absent_is_none("get", key, read())
}

pub(super) fn head(root: &Path, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
    let look = || -> io::Result<Option<ObjectMeta>> {
        let meta = fs::metadata(root.join(key))?;
        let modified = meta.modified()?;
        Ok(meta.is_file().then(|| ObjectMeta { key: key.to_owned(), bytes: meta.len(), modified }))
    };
    absent_is_none("head", key, look())
}

fn absent_is_none<T>(operation: &'static str, key: &str, result: io::Result<Option<T>>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(found),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(without_effect(operation, key, &e)),
    }
}

pub(super) fn delete(root: &Path, key: &str) -> Result<(), StoreError> {
    let path = root.join(key);
    match fs::remove_file(&path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder).map_err(|e| StoreError::unknown("delete", key, e)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(e) => Err(of_visible_step("delete", key, &e)),
    }
}

/// The staged file of an upload. Records come from the lake: an id that is not `_staging/<table>/<token>` is refused, not followed.
fn staged_path(root: &Path, operation: &'static str, key: &str, upload: &Upload) -> Result<PathBuf, StoreError> {
    let plain = Uuid::try_parse(&upload.token).is_ok() && upload.id == super::staged::upload_id(key, &upload.token);
    if plain {
        Ok(root.join(&upload.id))
    } else {
        Err(StoreError::denied(operation, key, format!("upload `{}` is not of this store", upload.id)))
    }
}

/// Moves the staged file to its key. One rename, so that the file is at one of the two places at any moment: a second link
/// left in `_staging/` could bring a vacuumed object back when a slow helper publishes again.
pub(super) fn publish(root: &Path, key: &str, upload: &Upload, bytes: u64) -> Result<PublishOutcome, StoreError> {
    let staged = staged_path(root, "publish", key, upload)?;
    let path = root.join(key);
    if let Some(found) = published_before(root, key, &staged, bytes)? {
        return Ok(found);
    }
    let folder = make_folders(root, &path).map_err(|e| without_effect("publish", key, &e))?;
    match fs::rename(&staged, &path) {
        Ok(()) => {
            sync_folder(&folder).map_err(|e| StoreError::unknown("publish", key, e))?;
            Ok(PublishOutcome::Published)
        }
        // Another helper was faster, or the file was discarded.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(published_before(root, key, &staged, bytes)?.unwrap_or(PublishOutcome::Missing)),
        Err(e) => Err(of_visible_step("publish", key, &e)),
    }
}

/// An object at the key is this upload if the staged file is gone and the size is right: a key holds the UUID of its only staging.
fn published_before(root: &Path, key: &str, staged: &Path, bytes: u64) -> Result<Option<PublishOutcome>, StoreError> {
    let Some(found) = head(root, key)? else { return Ok(None) };
    let still_staged = staged.try_exists().map_err(|e| without_effect("publish", key, &e))?;
    if still_staged || found.bytes != bytes {
        return Err(StoreError::denied("publish", key, format!("the key holds another object of {} bytes", found.bytes)));
    }
    let folder = root.join(key).parent().map_or_else(|| root.to_owned(), Path::to_owned);
    sync_folder(&folder).map_err(|e| StoreError::unknown("publish", key, e))?;
    Ok(Some(PublishOutcome::Published))
}

pub(super) fn discard(root: &Path, key: &str, upload: &Upload) -> Result<(), StoreError> {
    let staged = staged_path(root, "discard", key, upload)?;
    match fs::remove_file(staged) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(of_visible_step("discard", key, &e)),
        _ => Ok(()),
    }
}

/// Objects in key order. Folders sort as if their name ended in `/`, which makes the walk's order the order of keys.
pub(super) fn list(root: &Path, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, StoreError> {
    let mut walk = Walk { root, prefix, after: after.unwrap_or(""), limit, found: Vec::new() };
    let folder = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
    walk.visit(folder).map_err(|e| without_effect("list", prefix, &e))?;
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    after: &'a str,
    limit: usize,
    found: Vec<ObjectMeta>,
}

impl Walk<'_> {
    /// `folder` is empty or ends in `/`.
    fn visit(&mut self, folder: &str) -> io::Result<()> {
        for name in self.names(folder)? {
            if self.found.len() >= self.limit {
                break;
            }
            let key = format!("{folder}{name}");
            if name.ends_with('/') {
                self.visit(&key)?;
            } else if let Some(meta) = head(self.root, &key).map_err(io::Error::other)? {
                self.found.push(meta);
            }
        }
        Ok(())
    }

    /// What of a folder can hold wanted keys, sorted; folders end in `/`.
    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            let is_folder = entry.file_type()?.is_dir();
            if is_folder {
                name.push('/');
            }
            if self.wanted(&format!("{folder}{name}"), is_folder) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn wanted(&self, key: &str, is_folder: bool) -> bool {
        if is_folder {
            let reaches = key.starts_with(self.prefix) || self.prefix.starts_with(key);
            let passed = key < self.after && !self.after.starts_with(key);
            reaches && !passed && key != format!("{STAGING}/")
        } else {
            key.starts_with(self.prefix) && key > self.after
        }
    }
}

/// How far the file system's clock is ahead of ours in seconds: the time that it gives a new file.
pub(super) fn clock_offset(root: &Path) -> io::Result<(f64, std::time::Duration)> {
    let before = super::now();
    let path = temporary(root, b"")?;
    let modified = fs::metadata(&path).and_then(|meta| meta.modified());
    remove_quietly(&path);
    let (modified, after) = (modified?, super::now());
    let spent = after.duration_since(before).unwrap_or_default();
    let middle = before + spent / 2;
    let ahead = match modified.duration_since(middle) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    };
    Ok((ahead, spent / 2))
}

//! The lake as verification reads it: objects only, no fold and no caches.
use anyhow::{Context, ensure};
use bytes::Bytes;
use lake_query::LakeFile;
use lake_store::{LakeStore, ObjectMeta};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use table_log::key::{Key, log_path, parse_log};
use table_log::record::{FileListRef, Upload};
use table_log::{Body, Record, Seq, TableName};
use tokio::runtime::Handle;

/// Objects of one answer to a listing.
const LIST_PAGE: usize = 1_000;

/// One table in a store. Its methods block: they run on a thread that may.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Arc<dyn LakeStore>,
    /// The table.
    pub table: TableName,
    handle: Handle,
}

/// What stands at a record's key.
#[derive(Debug)]
pub enum Found {
    /// No object.
    Nothing,
    /// An object that is no record of a format that we read.
    Unreadable(String),
    /// A record, with its out-of-line file lists filled in.
    Record(Box<Record>),
}

impl Lake {
    /// Must be called within a runtime.
    pub fn new(store: Arc<dyn LakeStore>, table: TableName) -> Self {
        Self { store, table, handle: Handle::current() }
    }

    /// Waits for work that is done elsewhere.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }

    /// Metadata of an object.
    pub fn head(&self, key: &str) -> anyhow::Result<Option<ObjectMeta>> {
        self.handle.block_on(self.store.head(key)).with_context(|| format!("look at `{key}`"))
    }

    /// Opens a Parquet file.
    pub fn open(&self, key: &str, bytes: u64) -> Result<LakeFile, lake_query::LakeQueryError> {
        Ok(LakeFile::open(Arc::clone(&self.store), key, bytes)?)
    }

    /// Calls `each` for all objects with the prefix, keys ascending, until it answers `false`.
    pub fn list(&self, prefix: &str, mut each: impl FnMut(&ObjectMeta) -> bool) -> anyhow::Result<()> {
        let mut after: Option<String> = None;
        loop {
            let listed = self.handle.block_on(self.store.list(prefix, after.as_deref(), LIST_PAGE));
            let page = listed.with_context(|| format!("list `{prefix}`"))?;
            if !page.iter().all(&mut each) || page.len() < LIST_PAGE {
                return Ok(());
            }
            after = page.last().map(|o| o.key.clone());
        }
    }

    /// Seqs of all record objects, ascending.
    pub fn record_seqs(&self) -> anyhow::Result<Vec<Seq>> {
        let mut seqs = Vec::new();
        // Records start with a digit and so come before the caches beside them.
        self.list(&format!("{}/_log/", self.table), |object| match parse_log(&self.table, &object.key) {
            Some(Key::Record(seq)) => {
                seqs.push(seq);
                true
            }
            _ => false,
        })?;
        Ok(seqs)
    }

    /// The record at a seq.
    pub fn record(&self, seq: Seq) -> anyhow::Result<Found> {
        let key = log_path(&self.table, &Key::Record(seq));
        let Some(body) = self.get(&key)? else {
            return Ok(Found::Nothing);
        };
        let mut record: Record = match Record::parse(&body) {
            Ok(record) => record,
            Err(error) => return Ok(Found::Unreadable(error.to_string())),
        };
        if let Err(error) = self.fill_file_list(&mut record) {
            return Ok(Found::Unreadable(format!("{error:#}")));
        }
        Ok(Found::Record(Box::new(record)))
    }

    /// Whether a staged file that is not at its key yet can still be published. Only the local store's staging can be seen.
    pub fn is_staged(&self, upload: &Upload) -> bool {
        !upload.id.is_empty() && Path::new(&self.store.root()).join(&upload.id).is_file()
    }

    fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        self.handle.block_on(self.store.get(key, None)).with_context(|| format!("read `{key}`"))
    }

    fn fill_file_list(&self, record: &mut Record) -> anyhow::Result<()> {
        let Body::Append(append) = &mut record.body else {
            return Ok(());
        };
        let Some(list) = &append.file_list else {
            return Ok(());
        };
        let lists = self.file_list(list)?;
        append.files = lists.files;
        append.quarantine = lists.quarantine;
        Ok(())
    }

    fn file_list(&self, list: &FileListRef) -> anyhow::Result<FileLists> {
        let body = self.get(&list.key)?.with_context(|| format!("file list `{}` is missing", list.key))?;
        let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(digest == list.sha256, "file list `{}` has SHA-256 `{digest}`, the record says `{}`", list.key, list.sha256);
        let json = zstd::decode_all(body.as_ref()).with_context(|| format!("unpack file list `{}`", list.key))?;
        serde_json::from_slice(&json).with_context(|| format!("read file list `{}`", list.key))
    }
}

/// Content of a file-list object.
#[derive(Debug, serde::Deserialize)]
struct FileLists {
    #[serde(default)]
    files: Vec<table_log::record::FileEntry>,
    #[serde(default)]
    quarantine: Vec<table_log::record::FileEntry>,
}

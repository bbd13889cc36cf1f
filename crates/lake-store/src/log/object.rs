//! Records and their file lists as objects.
use super::TableLogError;
use crate::StoreError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use table_log::record::{AppendBody, Body, FileEntry, FileListRef};
use table_log::{FORMAT, Record, Seq};

/// Good speed; the lists are repetitive.
const ZSTD_LEVEL: i32 = 3;
/// More than any object of ours inflates to; an object that claims more is broken or hostile.
const INFLATED_BYTES: usize = 1 << 30;

/// The object with the file lists of one append.
#[derive(Debug, Serialize, Deserialize)]
struct FileLists {
    files: Vec<FileEntry>,
    quarantine: Vec<FileEntry>,
}

/// The least that any record has, to say well what is wrong with one.
#[derive(Deserialize)]
struct Envelope {
    format: u32,
    seq: Seq,
}

/// Reads a record object; lists that are elsewhere are still empty. Errors: newer format, unknown kind, another seq, not a record.
pub(super) fn decode_record(key: &str, seq: Seq, body: &[u8]) -> Result<Record, TableLogError> {
    let unreadable = |detail: String| TableLogError::Unreadable { key: key.to_owned(), detail };
    let envelope: Envelope = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
    if envelope.format > FORMAT {
        return Err(unreadable(format!("format {} is newer than {FORMAT}, the newest that this program knows", envelope.format)));
    }
    if envelope.seq != seq {
        return Err(unreadable(format!("it says seq {}", envelope.seq)));
    }
    serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))
}

/// The record's object: lists that have their own object are left out.
pub(super) fn encode_record(record: &Record) -> Bytes {
    let mut record = record.clone();
    if let Body::Append(AppendBody { files, quarantine, file_list: Some(_), .. }) = &mut record.body {
        files.clear();
        quarantine.clear();
    }
    Bytes::from(serde_json::to_vec(&record).expect("a record has only string keys and finite numbers"))
}

/// The object for an append's file lists, if they are longer than a record may hold.
pub(super) fn encode_file_lists(append: &AppendBody, inline_bytes: usize) -> Option<Bytes> {
    let lists = FileLists { files: append.files.clone(), quarantine: append.quarantine.clone() };
    let json = serde_json::to_vec(&lists).expect("file entries have only string keys");
    (json.len() > inline_bytes).then(|| compress(&json))
}

/// Fills the lists of an append from their object, after comparing its hash.
pub(super) fn fill_file_lists(append: &mut AppendBody, list: &FileListRef, body: &[u8]) -> Result<(), TableLogError> {
    let unreadable = |detail: String| TableLogError::Unreadable { key: list.key.clone(), detail };
    let found = sha256_hex(body);
    if found != list.sha256 {
        return Err(unreadable(format!("its SHA-256 is `{found}`, the record says `{}`", list.sha256)));
    }
    let json = decompress(body).map_err(|e| unreadable(e.to_string()))?;
    let lists: FileLists = serde_json::from_slice(&json).map_err(|e| unreadable(e.to_string()))?;
    append.files = lists.files;
    append.quarantine = lists.quarantine;
    Ok(())
}

/// Lower-case hex.
pub(super) fn sha256_hex(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn compress(body: &[u8]) -> Bytes {
    Bytes::from(zstd::bulk::compress(body, ZSTD_LEVEL).expect("compressing in memory cannot fail at a valid level"))
}

/// Inflates an object of ours, up to a bound.
pub(super) fn decompress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut inflated = Vec::new();
    let mut reader = zstd::stream::read::Decoder::new(body)?.take(INFLATED_BYTES as u64 + 1);
    reader.read_to_end(&mut inflated)?;
    if inflated.len() > INFLATED_BYTES {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("it inflates to more than {INFLATED_BYTES} bytes")));
    }
    Ok(inflated)
}

/// A lost list: the record names it, so it must exist.
pub(super) fn missing_list(list: &FileListRef) -> TableLogError {
    TableLogError::Store(StoreError::denied("get", &list.key, "the file list that a record names does not exist"))
}

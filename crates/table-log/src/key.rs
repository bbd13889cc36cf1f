//! STUB. Object keys: built here only, each with a parser. All keys are under the lake root and start with `<table>/`.
use crate::{LakePartition, PutId, Seq, TableName};
use windowing::{Time, WindowSize};

/// How data keys of a table are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Table.
    pub table: TableName,
    /// Window size: decides which of `dt`, `hr`, `mi` there are.
    pub window: WindowSize,
    /// Partition columns.
    pub partition_by: Vec<String>,
}

/// Folder of a data file under its lake partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataFolder {
    /// What writers appended before the window closed.
    Open,
    /// Rows behind the watermark.
    Late,
    /// `r000001`: made by the sealer.
    Revision(u32),
}

/// A key, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `_log/<seq, 20 digits>.json`
    Record(Seq),
    /// `_log/checkpoint/<fold version>/<seq, 20 digits>.json.zst`
    Checkpoint { fold_version: u32, seq: Seq },
    /// `_log/checkpoint/<fold version>/latest`
    LatestCheckpoint { fold_version: u32 },
    /// `_log/segment/<from>-<to>.json.zst`, both 20 digits, half-open
    Segment { from: Seq, to: Seq },
    /// `_log/files/<base seq>-<put_id>.json.zst`
    FileList { base: Seq, put_id: PutId },
    /// `data/dt=2026-11-21/hr=05/[col=value/]open/<base seq>-<staging uuid>.parquet`
    Data { lake_partition: LakePartition, folder: DataFolder, base: Seq, staging: String },
    /// `duplicates/dt=…/[hr=…/…]<base seq>-<staging uuid>.parquet`
    Duplicates { lake_partition: LakePartition, base: Seq, staging: String },
    /// `quarantine/dt=…/<base seq>-<staging uuid>.parquet`, by ingest date
    Quarantine { day: Time, base: Seq, staging: String },
    /// `windows/<seq>/…`
    Windows { seq: Seq, name: String },
}

impl Layout {
    /// The key's text, under the lake root.
    pub fn path(&self, key: &Key) -> String {
        let _ = key;
        todo!()
    }
    /// The inverse of [`Layout::path`]; `None` if the text is no key of this table.
    pub fn parse(&self, path: &str) -> Option<Key> {
        let _ = path;
        todo!()
    }
    /// `(column, raw value)` of a lake partition in key order: `dt`, `hr`, `mi` as needed (zero-padded), then `partition_by`.
    pub fn partition_values(&self, lake_partition: &LakePartition) -> Vec<(String, Option<String>)> {
        let _ = lake_partition;
        todo!()
    }
}

/// Keys that do not depend on the layout (usable before the `table` record is known): record, checkpoints, segments, file lists.
pub fn log_path(table: &TableName, key: &Key) -> String {
    let _ = (table, key);
    todo!()
}

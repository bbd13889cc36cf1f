//! Object keys: built here only, each with a parser. All keys are under the lake root and start with `<table>/`.

mod escape;
#[cfg(test)]
mod tests;

pub use escape::{MAX_ESCAPED_BYTES, NULL_VALUE, partition_value, partition_value_fits};

use crate::{LakePartition, PutId, Seq, TableName};
use escape::{escape, parse_value, unescape, value_text};
use windowing::{Date, Micros, Time, WindowSize};

/// Longest key in bytes (a limit of S3).
pub const MAX_KEY_BYTES: usize = 1_024;

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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `_log/<seq, 20 digits>.json`
    Record(Seq),
    /// `_log/checkpoint/<fold version>/<seq, 20 digits>.json.zst`
    Checkpoint {
        /// [`crate::state::FOLD_VERSION`] of the program that wrote it.
        fold_version: u32,
        /// Seq of the newest record that is folded in.
        seq: Seq,
    },
    /// `_log/checkpoint/<fold version>/latest`
    LatestCheckpoint {
        /// [`crate::state::FOLD_VERSION`] of the program that wrote it.
        fold_version: u32,
    },
    /// `_log/segment/<from>-<to>.json.zst`, both 20 digits, half-open
    Segment {
        /// First seq in it.
        from: Seq,
        /// First seq after it.
        to: Seq,
    },
    /// `_log/files/<base seq>-<put_id>.json.zst`
    FileList {
        /// Newest seq of the proposer's state.
        base: Seq,
        /// Proposal that it belongs to.
        put_id: PutId,
    },
    /// `data/dt=2026-11-21/hr=05/[col=value/]open/<base seq>-<staging uuid>.parquet`
    Data {
        /// Window and partition values.
        lake_partition: LakePartition,
        /// Folder under it.
        folder: DataFolder,
        /// Newest seq of the state on which staging began.
        base: Seq,
        /// Staging UUID.
        staging: String,
    },
    /// `duplicates/dt=…/[hr=…/…]<base seq>-<staging uuid>.parquet`
    Duplicates {
        /// Window and partition values.
        lake_partition: LakePartition,
        /// Newest seq of the state on which staging began.
        base: Seq,
        /// Staging UUID.
        staging: String,
    },
    /// `quarantine/dt=…/<base seq>-<staging uuid>.parquet`, by ingest date
    Quarantine {
        /// Midnight of the ingest day.
        day: Time,
        /// Newest seq of the state on which staging began.
        base: Seq,
        /// Staging UUID.
        staging: String,
    },
    /// `windows/<seq>/…`
    Windows {
        /// The fold that it shows.
        seq: Seq,
        /// File name, one segment.
        name: String,
    },
}

impl Layout {
    /// The key's text, under the lake root. Use it only if [`Layout::fits`].
    pub fn path(&self, key: &Key) -> String {
        let table = &self.table.0;
        match key {
            Key::Data { lake_partition, folder, base, staging } => {
                format!("{table}/data/{}{}/{}", self.folder(lake_partition), folder_name(*folder), file_name(*base, staging))
            }
            Key::Duplicates { lake_partition, base, staging } => {
                format!("{table}/duplicates/{}{}", self.folder(lake_partition), file_name(*base, staging))
            }
            Key::Quarantine { day, base, staging } => format!("{table}/quarantine/dt={}/{}", day.date(), file_name(*base, staging)),
            Key::Windows { seq, name } => format!("{table}/windows/{seq}/{}", escape(name)),
            log_key => log_path(&self.table, log_key),
        }
    }

    /// The inverse of [`Layout::path`]; `None` if the text is no key of this table: wrong folders, another spelling of a value, too long.
    pub fn parse(&self, path: &str) -> Option<Key> {
        let key = self.parse_loosely(path)?;
        (path.len() <= MAX_KEY_BYTES && self.path(&key) == path).then_some(key)
    }

    /// [`Layout::parse`] for whichever table the path names: the fold does not know its table's name.
    pub fn parse_in_any_table(&self, path: &str) -> Option<Key> {
        let table = TableName(path.split_once('/')?.0.to_owned());
        table.is_valid().then_some(())?;
        Layout { table, ..self.clone() }.parse(path)
    }

    /// Whether the key has at most [`MAX_KEY_BYTES`] and none of its values is over [`MAX_ESCAPED_BYTES`].
    pub fn fits(&self, key: &Key) -> bool {
        let values_fit = match key {
            Key::Data { lake_partition, .. } | Key::Duplicates { lake_partition, .. } => {
                lake_partition.values.iter().flatten().all(|value| partition_value_fits(value))
            }
            _ => true,
        };
        values_fit && self.path(key).len() <= MAX_KEY_BYTES
    }

    /// `(column, raw value)` of a lake partition in key order: `dt`, `hr`, `mi` as needed (zero-padded), then `partition_by`.
    pub fn partition_values(&self, lake_partition: &LakePartition) -> Vec<(String, Option<String>)> {
        let minutes = lake_partition.window_start.time_of_day().0 / Micros::MINUTE.0;
        let mut values = vec![("dt".to_owned(), Some(lake_partition.window_start.date().to_string()))];
        if self.window < WindowSize::DAY {
            values.push(("hr".to_owned(), Some(format!("{:02}", minutes / 60))));
        }
        if self.has_minutes() {
            values.push(("mi".to_owned(), Some(format!("{:02}", minutes % 60))));
        }
        values.extend(self.partition_by.iter().cloned().zip(lake_partition.values.iter().cloned()));
        values
    }

    /// The folder of a lake partition's data of one kind, with a slash at its end: the catalog's location.
    pub fn data_folder(&self, lake_partition: &LakePartition, folder: DataFolder) -> String {
        format!("{}/data/{}{}/", self.table.0, self.folder(lake_partition), folder_name(folder))
    }

    /// A window that does not start on the hour only needs `mi`.
    fn has_minutes(&self) -> bool {
        self.window.micros().0 % Micros::HOUR.0 != 0
    }

    /// `dt=…/hr=…/col=value/`
    fn folder(&self, lake_partition: &LakePartition) -> String {
        let mut folder = String::new();
        for (column, value) in self.partition_values(lake_partition) {
            folder.push_str(&escape(&column));
            folder.push('=');
            folder.push_str(&value_text(value.as_deref()));
            folder.push('/');
        }
        folder
    }

    /// Accepts every key, and some that are spelt otherwise.
    fn parse_loosely(&self, path: &str) -> Option<Key> {
        let rest = path.strip_prefix(self.table.0.as_str())?.strip_prefix('/')?;
        let (kind, rest) = rest.split_once('/')?;
        let segments: Vec<&str> = rest.split('/').collect();
        match (kind, segments.as_slice()) {
            ("data", [folders @ .., folder, file]) => {
                let (base, staging) = parse_file_name(file)?;
                Some(Key::Data { lake_partition: self.parse_folder(folders)?, folder: parse_folder_name(folder)?, base, staging })
            }
            ("duplicates", [folders @ .., file]) => {
                let (base, staging) = parse_file_name(file)?;
                Some(Key::Duplicates { lake_partition: self.parse_folder(folders)?, base, staging })
            }
            ("quarantine", [day, file]) => {
                let (base, staging) = parse_file_name(file)?;
                Some(Key::Quarantine { day: parse_date(day)?, base, staging })
            }
            ("windows", [seq, name]) => Some(Key::Windows { seq: Seq(seq.parse().ok()?), name: unescape(name)? }),
            _ => parse_log(&self.table, path),
        }
    }

    fn parse_folder(&self, segments: &[&str]) -> Option<LakePartition> {
        let mut segments = segments.iter();
        let mut window_start = parse_date(segments.next()?)?;
        if self.window < WindowSize::DAY {
            let hours: i64 = segments.next()?.strip_prefix("hr=")?.parse().ok()?;
            window_start = window_start.checked_add(Micros(hours.checked_mul(Micros::HOUR.0)?))?;
        }
        if self.has_minutes() {
            let minutes: i64 = segments.next()?.strip_prefix("mi=")?.parse().ok()?;
            window_start = window_start.checked_add(Micros(minutes.checked_mul(Micros::MINUTE.0)?))?;
        }
        let mut values = Vec::with_capacity(self.partition_by.len());
        for column in &self.partition_by {
            let (name, value) = segments.next()?.split_once('=')?;
            (name == escape(column)).then_some(())?;
            values.push(parse_value(value)?);
        }
        let complete = segments.next().is_none() && self.window.is_start(window_start);
        complete.then_some(LakePartition { window_start, values })
    }
}

/// Keys that do not depend on the layout (usable before the `table` record is known): record, checkpoints, segments, file lists.
///
/// # Panics
/// With any other key, which only [`Layout::path`] can build.
pub fn log_path(table: &TableName, key: &Key) -> String {
    let table = &table.0;
    match key {
        Key::Record(seq) => format!("{table}/_log/{:020}.json", seq.0),
        Key::Checkpoint { fold_version, seq } => format!("{table}/_log/checkpoint/{fold_version}/{:020}.json.zst", seq.0),
        Key::LatestCheckpoint { fold_version } => format!("{table}/_log/checkpoint/{fold_version}/latest"),
        Key::Segment { from, to } => format!("{table}/_log/segment/{:020}-{:020}.json.zst", from.0, to.0),
        Key::FileList { base, put_id } => format!("{table}/_log/files/{base}-{}.json.zst", escape(&put_id.0)),
        Key::Data { .. } | Key::Duplicates { .. } | Key::Quarantine { .. } | Key::Windows { .. } => {
            panic!("`{key:?}` is no key of the log itself")
        }
    }
}

/// The inverse of [`log_path`]; `None` if the text is no such key.
pub fn parse_log(table: &TableName, path: &str) -> Option<Key> {
    let rest = path.strip_prefix(table.0.as_str())?.strip_prefix("/_log/")?;
    let segments: Vec<&str> = rest.split('/').collect();
    let key = match segments.as_slice() {
        [file] => Key::Record(Seq(file.strip_suffix(".json")?.parse().ok()?)),
        ["checkpoint", fold_version, "latest"] => Key::LatestCheckpoint { fold_version: fold_version.parse().ok()? },
        ["checkpoint", fold_version, file] => {
            Key::Checkpoint { fold_version: fold_version.parse().ok()?, seq: Seq(file.strip_suffix(".json.zst")?.parse().ok()?) }
        }
        ["segment", file] => {
            let (from, to) = file.strip_suffix(".json.zst")?.split_once('-')?;
            Key::Segment { from: Seq(from.parse().ok()?), to: Seq(to.parse().ok()?) }
        }
        ["files", file] => {
            let (base, put_id) = file.strip_suffix(".json.zst")?.split_once('-')?;
            Key::FileList { base: Seq(base.parse().ok()?), put_id: PutId(unescape(put_id)?) }
        }
        _ => return None,
    };
    (log_path(table, &key) == path).then_some(key)
}

fn folder_name(folder: DataFolder) -> String {
    match folder {
        DataFolder::Open => "open".to_owned(),
        DataFolder::Late => "late".to_owned(),
        DataFolder::Revision(revision) => format!("r{revision:06}"),
    }
}

fn parse_folder_name(name: &str) -> Option<DataFolder> {
    match name {
        "open" => Some(DataFolder::Open),
        "late" => Some(DataFolder::Late),
        _ => Some(DataFolder::Revision(name.strip_prefix('r')?.parse().ok()?)),
    }
}

/// The whole staging id is in the name: with it no two stagings share a key, whatever their base.
fn file_name(base: Seq, staging: &str) -> String {
    format!("{base}-{}.parquet", escape(staging))
}

fn parse_file_name(name: &str) -> Option<(Seq, String)> {
    let (base, staging) = name.strip_suffix(".parquet")?.split_once('-')?;
    Some((Seq(base.parse().ok()?), unescape(staging)?))
}

fn parse_date(segment: &str) -> Option<Time> {
    segment.strip_prefix("dt=")?.parse::<Date>().ok()?.midnight()
}

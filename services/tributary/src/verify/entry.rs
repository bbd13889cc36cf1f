//! TM-2 and the key rules, by what a record says of its files.
use super::report::{Place, Report};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use table_log::key::{DataFolder, Key, Layout};
use table_log::record::FileEntry;
use table_log::{Body, FileRef, Invariant, Record, Seq};
use windowing::{Micros, Time, WindowSize};

/// What kind of file an entry is, by its place in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Rows, by event time.
    Data,
    /// Refused records, by ingest day.
    Quarantine,
    /// Identities of dropped duplicates.
    Duplicates,
}

/// The files of a record with their references and kinds.
pub fn files_of(record: &Record) -> impl Iterator<Item = (FileRef, FileKind, &FileEntry)> {
    let (data, behind) = match &record.body {
        Body::Append(body) => (body.files.len(), Some(FileKind::Quarantine)),
        Body::Seal(body) => (body.lake_partitions.iter().map(|p| p.files.len()).sum(), Some(FileKind::Duplicates)),
        _ => (usize::MAX, None),
    };
    (0..).zip(record.files()).map(move |(index, entry)| {
        let in_front = usize::try_from(index).is_ok_and(|i| i < data);
        let kind = behind.map_or_else(|| kind_by_key(&entry.key), |behind| if in_front { FileKind::Data } else { behind });
        (FileRef { seq: record.seq, index }, kind, entry)
    })
}

/// Replacements of lost files stand in one list: only their keys tell.
fn kind_by_key(key: &str) -> FileKind {
    match key.split('/').nth(1) {
        Some("quarantine") => FileKind::Quarantine,
        Some("duplicates") => FileKind::Duplicates,
        _ => FileKind::Data,
    }
}

/// All keys that records name: a digest each, so that millions fit.
#[derive(Debug, Default)]
pub struct NamedKeys(HashMap<u128, Seq>);

impl NamedKeys {
    /// Notes a key; answers the record that named it before.
    pub fn insert(&mut self, key: &str, seq: Seq) -> Option<Seq> {
        self.0.insert(digest(key), seq)
    }

    /// Whether a record names the key.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(&digest(key))
    }
}

/// 128 bits: two keys of one lake do not meet by chance.
fn digest(key: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, key).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// Checks all entries of a record and notes their keys.
pub fn check_entries(record: &Record, layout: Option<&Layout>, named: &mut NamedKeys, report: &mut Report) {
    for (_, kind, entry) in files_of(record) {
        let place = || Place::record(record.seq).file(&entry.key);
        if let Some(first) = named.insert(&entry.key, record.seq) {
            report.violation(Invariant::Tl4, place(), format!("record {first} names this key already; keys are never reused"));
        }
        match layout {
            None => report.violation(Invariant::Tm2, place(), "names a file before any `table` record"),
            Some(layout) => check_key(record.seq, kind, entry, layout, report),
        }
        if kind == FileKind::Data {
            check_window(record.seq, entry, layout, report);
        }
    }
}

/// The key lies in the lake partition that the entry names, and its name in the state that staging began on.
fn check_key(seq: Seq, kind: FileKind, entry: &FileEntry, layout: &Layout, report: &mut Report) {
    let mut wrong = |what: String| report.violation(Invariant::Tm2, Place::record(seq).file(&entry.key), what);
    let (window, base) = match (kind, layout.parse(&entry.key)) {
        (FileKind::Data, Some(Key::Data { lake_partition, folder, base, .. })) => {
            if (folder == DataFolder::Late) != entry.late {
                wrong(format!("lies in folder {folder:?}, but the record says late = {}", entry.late));
            }
            (lake_partition, base)
        }
        (FileKind::Quarantine, Some(Key::Quarantine { day, base, .. })) => {
            (table_log::LakePartition { window_start: day, values: Vec::new() }, base)
        }
        (FileKind::Duplicates, Some(Key::Duplicates { lake_partition, base, .. })) => (lake_partition, base),
        (kind, _) => return wrong(format!("is no key of a {kind:?} file of this table")),
    };
    if window != entry.lake_partition {
        wrong(format!("lies in {window:?}, the record says {:?}", entry.lake_partition));
    }
    if base != entry.staged_on || base >= seq {
        wrong(format!("was staged on seq {base} by its name, on {} by record {seq}", entry.staged_on));
    }
}

/// First and first-after time of an entry's window.
pub fn window_of(kind: FileKind, entry: &FileEntry, layout: &Layout) -> (Time, Time) {
    let start = entry.lake_partition.window_start;
    let size = if kind == FileKind::Quarantine { WindowSize::DAY } else { layout.window };
    (start, start.checked_add(size.micros()).unwrap_or(Time(i64::MAX)))
}

fn check_window(seq: Seq, entry: &FileEntry, layout: Option<&Layout>, report: &mut Report) {
    let Some(layout) = layout else {
        return;
    };
    let (start, end) = window_of(FileKind::Data, entry, layout);
    let (min, max) = (entry.event_time_min, entry.event_time_max);
    report.checked("lake partitions of files", 1);
    if min < start || max >= end || min > max {
        let what = format!("event times {min} to {max} are not in the window {start} to {end}");
        report.violation(Invariant::Tm2, Place::record(seq).file(&entry.key), what);
    }
    if start.0.rem_euclid(layout.window.micros().0) != 0 || layout.window.micros() > Micros::DAY {
        report.violation(Invariant::Tm2, Place::record(seq).file(&entry.key), format!("{start} is no start of a window"));
    }
}

use super::{Check, Refusal, invalid, require};
use crate::key::{DataFolder, Key, Layout};
use crate::plan::Fenced;
use crate::record::{FileEntry, TableSettings};
use crate::{LakePartition, TableName, TableState};

/// What every file entry of a record must be on a state.
pub(super) struct FileRules<'a> {
    state: &'a TableState,
    settings: &'a TableSettings,
    schema_version: u32,
    layout: Layout,
}

impl<'a> FileRules<'a> {
    pub(super) fn new(state: &'a TableState) -> Result<Self, Refusal> {
        // The fold does not know its table's name; keys are parsed for any table.
        let layout = state.layout(&TableName(String::new()));
        match (&state.table, layout) {
            (Some(table), Some(layout)) => Ok(Self { state, settings: &table.settings, schema_version: table.schema_version, layout }),
            _ => Err(invalid("files are staged only against a committed schema")),
        }
    }

    /// A data file in this folder of its lake partition.
    pub(super) fn check_data(&self, file: &FileEntry, folder: DataFolder) -> Check {
        self.check_entry(file)?;
        self.check_lake_partition(file)?;
        let in_late = folder == DataFolder::Late;
        require(file.late == in_late, || format!("file `{}` is late or not, unlike its folder", file.key))?;
        let named = |key: &Key| matches!(key, Key::Data { lake_partition, folder: f, .. } if *lake_partition == file.lake_partition && *f == folder);
        self.check_key(file, named)
    }

    /// A file of a revision's `duplicates/`.
    pub(super) fn check_duplicates(&self, file: &FileEntry) -> Check {
        self.check_entry(file)?;
        self.check_lake_partition(file)?;
        require(!file.late, || format!("file `{}` of duplicates is marked late", file.key))?;
        self.check_key(file, |key| matches!(key, Key::Duplicates { lake_partition, .. } if *lake_partition == file.lake_partition))
    }

    /// A quarantine file: its lake partition is the ingest day, its event times are ingest times.
    pub(super) fn check_quarantine(&self, file: &FileEntry) -> Check {
        self.check_entry(file)?;
        let LakePartition { window_start: day, values } = &file.lake_partition;
        require(*day == day.day_start() && values.is_empty() && !file.late, || {
            format!("quarantine file `{}` is not of a whole ingest day", file.key)
        })?;
        self.check_key(file, |key| matches!(key, Key::Quarantine { day: named, .. } if named == day))
    }

    /// The class of a file by its key.
    pub(super) fn parse(&self, file: &FileEntry) -> Option<Key> {
        self.layout.parse_in_any_table(&file.key)
    }

    fn check_entry(&self, file: &FileEntry) -> Check {
        let key = &file.key;
        let schema_version = file.schema_version;
        if schema_version == 0 || schema_version > self.schema_version {
            return Err(Fenced::UnknownSchema { schema_version }.into());
        }
        let staged_on = file.staged_on;
        if let Some(before) = self.state.swept_before.filter(|before| staged_on < *before) {
            return Err(Fenced::Swept { staged_on, before }.into());
        }
        require(staged_on < self.state.next_seq, || format!("file `{key}` was staged on seq `{staged_on}`, which is not in the log yet"))?;
        require(file.rows > 0, || format!("file `{key}` has no rows"))?;
        require(file.event_time_min <= file.event_time_max, || format!("lowest event time of file `{key}` is above its highest"))
    }

    /// The window starts where windows start, the values are as many as the columns, and the rows' times are in the window (TM-2).
    fn check_lake_partition(&self, file: &FileEntry) -> Check {
        let key = &file.key;
        let LakePartition { window_start, values } = &file.lake_partition;
        let window = self.settings.window;
        require(window.is_start(*window_start), || format!("no window starts at `{window_start}`, as file `{key}` says"))?;
        require(values.len() == self.settings.partition_by.len(), || format!("file `{key}` has `{}` partition values", values.len()))?;
        require(values.iter().flatten().all(|value| !value.is_empty()), || {
            format!("file `{key}` has an empty string as a partition value, which is NULL in a lake")
        })?;
        let in_window = file.event_time_min >= *window_start && window.start_of(file.event_time_max) == *window_start;
        require(in_window, || format!("file `{key}` has rows outside its window `{window_start}`"))
    }

    /// The key is the one that the entry's lake partition, folder and base give, so that no record can point out of its folder.
    fn check_key(&self, file: &FileEntry, named: impl Fn(&Key) -> bool) -> Check {
        let parsed = self.parse(file);
        let base = match &parsed {
            Some(Key::Data { base, .. } | Key::Duplicates { base, .. } | Key::Quarantine { base, .. }) => Some(*base),
            _ => None,
        };
        let right = base == Some(file.staged_on) && parsed.as_ref().is_some_and(|key| self.layout.fits(key) && named(key));
        require(right, || format!("key `{}` is not that of its lake partition, folder and base `{}`", file.key, file.staged_on))
    }
}

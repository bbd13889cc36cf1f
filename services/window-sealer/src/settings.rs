//! What the window-sealer takes of the settings file.
use crate::derive::TransformSettings;
use lake_file::Compression;
use service_runtime::settings::{self, Settings};
use std::path::PathBuf;
use std::time::Duration;
use table_log::TableName;
use table_log::record::TableSettings;

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct SealerSettings {
    /// Name of this process in the records that it makes.
    pub instance: String,
    /// Bound of the rows in memory, all tables together.
    pub memory_budget_bytes: u64,
    /// Where rows go that do not fit.
    pub spill_dir: PathBuf,
    /// Late rows wait this long for others; doubles with each revision.
    pub amend_delay: Duration,
    /// Replaced files are kept this long.
    pub retain_superseded: Duration,
    /// What is older belongs to nobody.
    pub orphan_age: Duration,
    /// How often the logs are looked at.
    pub poll_interval: Duration,
    /// A committed file that has neither object nor upload for so long is lost.
    pub lost_after: Duration,
    /// Codec of the files.
    pub compression: Compression,
    /// Rows of a row group at most.
    pub row_group_rows: usize,
    /// Where these settings come from, for the commands in messages.
    pub settings_file: PathBuf,
    /// The tables made of Kafka's records.
    pub tables: Vec<TableSealerSettings>,
    /// The tables made of other tables.
    pub transforms: Vec<TransformSettings>,
}

/// Settings of one table.
#[derive(Clone, Debug)]
pub struct TableSealerSettings {
    /// Name.
    pub table: TableName,
    /// What the settings file says of what stands in the log; the log is followed.
    pub log: TableSettings,
    /// Size of a sealed file, about.
    pub target_file_bytes: u64,
    /// Columns with bloom filters.
    pub bloom_filters: Vec<String>,
}

impl TableSealerSettings {
    /// What upkeep of a derived table needs: its windows are made by its transform.
    pub(crate) fn of_derived(transform: &TransformSettings) -> Self {
        let (table, log, target_file_bytes) = (transform.table.clone(), transform.log.clone(), transform.target_file_bytes);
        Self { table, log, target_file_bytes, bloom_filters: Vec::new() }
    }
}

impl SealerSettings {
    /// Takes the window-sealer's part.
    pub fn from_settings(settings: &Settings) -> Self {
        let sealer = &settings.window_sealer;
        let tables = settings.tables.iter().map(|(name, table)| TableSealerSettings {
            table: TableName(name.clone()),
            log: table.to_log(),
            target_file_bytes: table.target_file_bytes.0,
            bloom_filters: table.bloom_filters.clone(),
        });
        Self {
            instance: sealer.instance.clone(),
            memory_budget_bytes: sealer.memory_budget.0,
            spill_dir: sealer.spill_dir.clone().unwrap_or_else(std::env::temp_dir),
            amend_delay: sealer.amend_delay.0,
            retain_superseded: sealer.retain_superseded.0,
            orphan_age: sealer.orphan_age.0,
            poll_interval: sealer.poll_interval.0,
            lost_after: settings.lake_writer.lost_file_after.0,
            compression: match settings.lake_writer.compression {
                settings::Compression::Zstd => Compression::Zstd,
                settings::Compression::Snappy => Compression::Snappy,
            },
            row_group_rows: settings.lake_writer.row_group_rows.max(1) as usize,
            settings_file: settings.file.clone(),
            tables: tables.collect(),
            transforms: settings.transforms_in_order().into_iter().map(|(name, config)| TransformSettings::new(name, config)).collect(),
        }
    }
}

//! *Derive*: windows of derived tables, made by SQL from named revisions of complete source windows.
//!
//! ```text
//! states of the logs ─▶ due (pure) ─▶ load (SQL, references) ─▶ inputs (files of named revisions) ─▶ window (run, split, stage, commit `derive`)
//! ```
//! Nothing is decided twice: a derived window names what it was made from, so a newer revision of a source window makes it due again, through
//! any number of transforms.
mod due;
mod inputs;
mod load;
pub mod metrics;
mod rerun;
mod table;
mod window;
mod work;

pub use due::{DueWindow, Facts, Shape};
pub use inputs::named_files;
pub use load::load;
pub use rerun::{Rerun, rerun};
pub use window::{DeriveJob, Derived, derive_window};
pub use work::{DeriveContext, Logs, run_table};

use service_runtime::settings::TransformConfig;
use std::collections::BTreeMap;
use std::path::PathBuf;
use table_log::TableName;
use table_log::record::TableSettings;
use windowing::{Grouping, WindowSize};

/// A transform's settings.
#[derive(Clone, Debug)]
pub struct TransformSettings {
    /// The derived table.
    pub table: TableName,
    /// The table that it reads.
    pub source: TableName,
    /// File with the SQL.
    pub sql: PathBuf,
    /// Grouping windows.
    pub grouping: Grouping,
    /// Length of the derived table's windows.
    pub window: WindowSize,
    /// What the settings file says of what stands in the derived table's log; the log is followed.
    pub log: TableSettings,
    /// Reference tables by name: a path, or `lake:` and a key.
    pub references: BTreeMap<String, String>,
    /// Size of a file, about.
    pub target_file_bytes: u64,
}

impl TransformSettings {
    /// Takes a transform of the settings file.
    pub fn new(name: &str, config: &TransformConfig) -> Self {
        Self {
            table: TableName(name.to_owned()),
            source: TableName(config.source.clone()),
            sql: config.sql.clone(),
            grouping: config.grouping(),
            window: config.window(),
            log: config.to_log(),
            references: config.references.clone(),
            target_file_bytes: config.target_file_bytes.0,
        }
    }

    /// What decides when its windows are due.
    pub fn shape(&self) -> Shape {
        Shape { source: self.source.clone(), grouping: self.grouping, window: self.window }
    }
}

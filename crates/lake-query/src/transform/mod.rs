//! Transforms: SQL that makes a window of a derived table from named revisions of the windows of its source.
//!
//! In the SQL the source table has its columns plus `window_start` and `window_end` of a grouping window: a row is there once for each grouping
//! window that holds it. The result follows from the named revisions and the reference tables alone: functions such as `now()` or `random()`
//! are refused, and a run uses one thread, so that the same inputs give the same rows in the same order.
mod faults;
mod plan;
mod reference;
mod result;
mod run;
mod source;

pub use faults::SqlFault;
pub use reference::{MAX_REFERENCE_BYTES, Reference};
pub use result::{ResultSchema, evolve};
pub use run::{DerivedRows, RunOptions, SourceRows, run};
pub use source::{InputFile, SourceTable};

pub use plan::plan;

use reference::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use windowing::{Grouping, Micros, WindowSize};

/// Column of a derived table with the beginning of a row's grouping window.
pub const WINDOW_START: &str = "window_start";
/// Column of a derived table with the end of a row's grouping window.
pub const WINDOW_END: &str = "window_end";

/// Added to `window_end` it is the event time of a derived row: the last moment inside its grouping window, which so lies in the window of the
/// derived table that it belongs to.
pub const EVENT_TIME_SHIFT: Micros = Micros(-1);

/// A transform with everything that its result depends on, but for its source's rows.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Name of the derived table.
    pub name: String,
    /// Name of the source table, which the SQL reads.
    pub source: String,
    /// The SQL.
    pub sql: String,
    /// Grouping windows.
    pub grouping: Grouping,
    /// Length of the derived table's windows.
    pub window: WindowSize,
    /// Columns that divide the derived table's windows.
    pub partition_by: Vec<String>,
    /// Columns that the derived table's files are sorted by.
    pub sort_by: Vec<String>,
    /// Reference tables.
    pub references: Vec<Reference>,
}

impl Transform {
    /// SHA-256 of what decides the result: SQL, grouping windows and the versions of the reference tables; lower-case hex.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let (size, every) = (self.grouping.size().0.to_string(), self.grouping.every().0.to_string());
        let mut parts = vec![self.source.as_str(), self.sql.as_str(), &size, &every];
        parts.extend(self.references.iter().flat_map(|r| [r.name.as_str(), r.version.as_str()]));
        for part in parts {
            // With their lengths, so that no two lists of parts give the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hex(&hash.finalize())
    }

    /// Versions of the reference tables by name, as a `derive` record notes them.
    pub fn reference_versions(&self) -> BTreeMap<String, String> {
        self.references.iter().map(|r| (r.name.clone(), r.version.clone())).collect()
    }
}

#[cfg(test)]
mod tests;

//! The only user of DataFusion: a snapshot of a table (the fold of its log) as a SQL table, and its quarantine as another.
//!
//! A [`LakeSession`] resolves, once at its opening, which files each table consists of; statements then see exactly these. Files are pruned by
//! lake partition and by the event times in the log, row groups and pages by the statistics in the files. Nothing is ever written to the lake:
//! statements other than SELECT, EXPLAIN, SHOW and DESCRIBE are refused, and a file that nobody published yet is left out and counted.
//!
//! [`transform`] runs the SQL of derived tables over named files of their sources.
//!
//! [`LakeFile`] reads single files for commands that check them one by one.

mod catalog_type;
mod error;
mod object;
mod provider;
mod prune;
mod session;
mod snapshot;
pub mod transform;

pub use error::LakeQueryError;
pub use lake_file::{LakeFile, RowBatches};
pub use session::{LakeSession, SessionOptions, SnapshotSummary};
pub use snapshot::{file_schema, quarantine_file_schema};

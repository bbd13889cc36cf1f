//! The table log: record format, fold, plan, keys and invariants. Pure: no I/O, no clock, no async.
//!
//! A table is the fold of its records ([`TableState::apply`]); a change to it is a proposal that [`plan`] allows on the state of the moment
//! and that is then created as the next record. Both hold the same rules.

pub mod id;
pub mod invariant;
pub mod key;
mod pairs;
pub mod plan;
pub mod planted;
pub mod record;
mod rules;
pub mod state;

pub use id::{FileRef, KafkaPartition, LakePartition, Offset, OffsetRange, PutId, Seq, SourcePartition, TableName};
pub use invariant::Invariant;
pub use plan::{Fenced, Plan, Proposal, Stale, plan};
pub use record::{Body, FORMAT, Record, RecordError};
pub use state::{ApplyError, TableState};

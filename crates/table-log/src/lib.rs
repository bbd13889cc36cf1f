//! The table log: record format, fold, plan, keys and invariants. Pure: no I/O, no clock, no async.

pub mod id;
pub mod invariant;
pub mod key;
pub mod plan;
pub mod record;
pub mod state;

pub use id::{FileRef, KafkaPartition, LakePartition, Offset, OffsetRange, PutId, Seq, SourcePartition, TableName};
pub use invariant::Invariant;
pub use plan::{Fenced, Plan, Proposal, Stale, plan};
pub use record::{Body, FORMAT, Record};
pub use state::{ApplyError, TableState};

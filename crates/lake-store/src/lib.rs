//! Object storage for the lake: the port [`LakeStore`], its implementations, and the log client.
pub mod conformance;
mod error;
pub mod local;
pub mod log;
mod lossy;
pub mod memory;
mod object_key;
mod store;

pub use error::StoreError;
pub use local::LocalStore;
pub use log::{CommitOutcome, TableLog, TableLogError, TableLogOptions};
pub use lossy::LossyReplies;
pub use memory::{Fault, FaultPlan, FaultRates, MemoryStore};
pub use store::{CreateOutcome, LakeStore, ObjectMeta, PublishOutcome, StagedObject, StagedWrite};

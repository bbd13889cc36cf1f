//! Object storage for the lake: the port [`LakeStore`], its implementations, and the log client.
mod error;
pub mod local;
pub mod log;
pub mod memory;
mod store;

pub use error::StoreError;
pub use local::LocalStore;
pub use log::{CommitOutcome, TableLog, TableLogError, TableLogOptions};
pub use memory::MemoryStore;
pub use store::{CreateOutcome, LakeStore, ObjectMeta, PublishOutcome, StagedWrite};

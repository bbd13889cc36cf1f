//! Files of the lake: how they are encoded, so that every engine reads them, and read back in bounded memory.
//!
//! Services that write rows share [`FileEncoder`] and the partition values of [`partition_value`]; what reads single files, or all files of a
//! lake partition, shares [`LakeFile`]. None of it knows the log: who writes decides what a file is named and when it is published.
mod dictionaries;
mod encode;
mod error;
mod file;
pub mod partition_value;

pub use dictionaries::Dictionaries;
pub use encode::{Compression, EncodeOptions, EncodedFile, FileEncoder, Footer};
pub use error::LakeFileError;
pub use file::{LakeFile, ReadOptions, RowBatches};

//! The window-sealer on a lake on the local disk, with real Parquet files.
mod amend;
mod derived;
mod lake;
mod process;
mod revision;
mod slices;
mod upkeep;

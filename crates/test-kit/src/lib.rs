//! Real servers for tests, generators, processes under test, and the one place that waits.
//!
//! | part | what |
//! |---|---|
//! | [`KafkaServer`] | Apache Kafka in its own process, from Maven artifacts; needs `java` (17 or newer) and `mvn` |
//! | [`PythonReaders`] | DuckDB and pyarrow in a virtual environment, as independent readers; needs `python3` |
//! | [`Tributary`] | the built binary as a process that can be stopped, continued and killed |
//! | [`RegistryServer`] | Apicurio Registry in its own process, from a Maven artifact; needs `java` and `mvn` |
//! | [`small_lake`] | a lake made by hand, without services: for tests that read lakes, and that break them |
//! | [`telemetry`] | seeded rows, late and malformed ones, with known counts and sums |
//! | [`wait_until`], [`wait_for`] | wait for a condition with a deadline |
mod cache;
mod kafka_files;
mod kafka_server;
mod process;
mod python;
mod registry_server;
pub mod small_lake;
pub mod telemetry;
mod topics;
mod tributary;
mod wait;

pub use cache::cache_folder;
pub use kafka_server::KafkaServer;
pub use process::Signal;
pub use python::PythonReaders;
pub use registry_server::RegistryServer;
pub use topics::unique_name;
pub use tributary::Tributary;
pub use wait::{wait_for, wait_until};

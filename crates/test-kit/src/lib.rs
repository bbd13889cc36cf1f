//! Real servers for tests, generators, processes under test, and the one place that waits.
//!
//! | part | what |
//! |---|---|
//! | [`KafkaServer`] | Apache Kafka in its own process, from Maven artifacts; needs `java` (17 or newer) and `mvn` |
//! | [`PythonReaders`] | DuckDB and pyarrow in a virtual environment, as independent readers; needs `python3` |
//! | [`Tributary`] | the built binary as a process that can be stopped, continued and killed |
//! | [`RegistryServer`] | Apicurio Registry in its own process, from a Maven artifact; needs `java` and `mvn` |
//! | [`MosquittoServer`] | Eclipse Mosquitto in its own process, with TLS and client certificates; needs `mosquitto` and `mosquitto_pub` |
//! | [`MqttProxy`] | between a client and that broker: a limit of messages in a second, cut connections, lost acknowledgements |
//! | [`stored_records`] | what is in a topic, and Avro's binary form read by hand |
//! | [`small_lake`] | a lake made by hand, without services: for tests that read lakes, and that break them |
//! | [`telemetry`] | seeded rows, late and malformed ones, with known counts and sums |
//! | [`wait_until`], [`wait_for`] | wait for a condition with a deadline |
mod cache;
mod certificates;
mod kafka_files;
mod kafka_server;
mod keeper;
mod mosquitto_server;
mod mqtt_proxy;
mod process;
mod python;
mod registry_server;
pub mod small_lake;
mod stored;
pub mod telemetry;
mod topics;
mod tributary;
mod wait;

pub use cache::cache_folder;
pub use certificates::{CertificateFiles, TestAuthority};
pub use kafka_server::KafkaServer;
pub use mosquitto_server::MosquittoServer;
pub use mqtt_proxy::MqttProxy;
pub use process::Signal;
pub use python::PythonReaders;
pub use registry_server::RegistryServer;
pub use stored::{AvroBytes, StoredRecord, stored_records};
pub use topics::unique_name;
pub use tributary::Tributary;
pub use wait::{try_wait_for, wait_for, wait_until};

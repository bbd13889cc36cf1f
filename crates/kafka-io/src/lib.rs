//! Kafka: the only user of rdkafka, and the only crate with `unsafe`.
//!
//! | part | what |
//! |---|---|
//! | [`BatchConsumer`] | a group member that takes records in batches from one own queue; group events go to the owner's loop |
//! | [`RangeReader`] | reads one kafka_partition between two offsets, without a group |
//! | [`Producer`] | idempotent, waits for all replicas |
//! | [`DeliveryProducer`] | the same for services: never waits, and says of each record what became of it |
//! | [`Admin`] | identity of cluster and topics, offsets, topic creation |
//! | [`MockBroker`] | librdkafka's broker inside the process, for the demo |
//!
//! Architecture invariant: the group's offsets are advisory here. Start offsets always come from the caller, and an offset that the
//! broker does not have is an error, never a jump.
mod admin;
mod batch;
mod config;
mod consumer;
mod context;
mod delivery_producer;
mod error;
mod gate;
mod mock;
mod ownership;
mod partition;
mod producer;
mod queue;
mod range_reader;
mod request;
mod topic_id;
#[cfg(feature = "test-producers")]
mod transactional_producer;
mod validation;

pub use admin::{Admin, OffsetQuery, TopicInfo};
pub use batch::{Batch, Headers, PartitionError, PartitionErrorKind, RawRecord, truncated_to};
pub use config::{ConsumerOptions, KafkaConfig, Security};
pub use consumer::BatchConsumer;
pub use context::GroupEvent;
pub use delivery_producer::{Delivered, DeliveryFailure, DeliveryHandler, DeliveryProducer, Fault, NotSent, RecordRef};
pub use error::KafkaIoError;
pub use mock::MockBroker;
pub use partition::{StartAt, TopicPartition};
pub use producer::{NewRecord, Producer};
pub use range_reader::RangeReader;
#[cfg(feature = "test-producers")]
pub use transactional_producer::TransactionalProducer;

//! librdkafka's broker inside the process.
use std::fmt;

use rdkafka::{
    ClientConfig, bindings as rdsys,
    client::Client,
    config::RDKafkaLogLevel,
    types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType},
};

use crate::{
    KafkaIoError,
    batch::code_text,
    config::LogContext,
    partition::{c_topic, owned_text},
};

/// The mock's default of 3 s lets every first member wait; a demo has one group of few members.
const FIRST_REBALANCE_DELAY_MS: i32 = 100;

/// librdkafka's in-process mock cluster for the demo: keeps 5 MiB a kafka_partition; proves nothing about exactly-once. It has no topic
/// ids, no transactions that abort, no topic creation over the wire (use [`MockBroker::create_topic`]).
pub struct MockBroker {
    cluster: *mut rdsys::rd_kafka_mock_cluster_t,
    /// Declared after the cluster's use in `drop`: the cluster runs inside this client.
    client: Client<LogContext>,
}

// SAFETY: the mock's calls lock the cluster or go through its own thread.
unsafe impl Send for MockBroker {}
// SAFETY: as above.
unsafe impl Sync for MockBroker {}

impl fmt::Debug for MockBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBroker").field("bootstrap_servers", &self.bootstrap_servers()).finish()
    }
}

impl MockBroker {
    /// Starts one broker on a free port of the loopback interface; it stops on drop.
    ///
    /// # Errors
    /// [`KafkaIoError::Unavailable`] if no port can be had.
    pub fn start() -> Result<Self, KafkaIoError> {
        let failed = |error| KafkaIoError::from_kafka("start the embedded broker", &error);
        let mut config = ClientConfig::new();
        // Nobody polls this client, so it must not collect log lines.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let native = config.create_native_config().map_err(failed)?;
        let client = Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, LogContext).map_err(failed)?;
        // SAFETY: the client is alive and outlives the cluster (see `drop`).
        let cluster = unsafe { rdsys::rd_kafka_mock_cluster_new(client.native_ptr(), 1) };
        if cluster.is_null() {
            let detail = "the cluster could not be created".to_owned();
            return Err(KafkaIoError::Unavailable { operation: "start the embedded broker", detail });
        }
        // SAFETY: the cluster is alive.
        unsafe { rdsys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, FIRST_REBALANCE_DELAY_MS) };
        Ok(Self { cluster, client })
    }

    /// `host:port` of the broker.
    pub fn bootstrap_servers(&self) -> String {
        // SAFETY: the cluster is alive, and so is its text.
        unsafe { owned_text(rdsys::rd_kafka_mock_cluster_bootstraps(self.cluster)) }
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`KafkaIoError::TopicExists`].
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaIoError> {
        let name = c_topic(topic);
        // SAFETY: the cluster is alive, and the call copies the name.
        let code = unsafe { rdsys::rd_kafka_mock_topic_create(self.cluster, name.as_ptr(), partitions, 1) };
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        let detail = code_text(code).into_owned();
        Err(KafkaIoError::from_code("create a topic", RDKafkaErrorCode::from(code), detail, Some(topic)))
    }
}

impl Drop for MockBroker {
    fn drop(&mut self) {
        // SAFETY: alive until here and destroyed once, before its client.
        unsafe { rdsys::rd_kafka_mock_cluster_destroy(self.cluster) };
        let _ = &self.client;
    }
}

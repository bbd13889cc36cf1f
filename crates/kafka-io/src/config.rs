//! How to reach a cluster, and the librdkafka properties that our guarantees rest on.
use std::time::Duration;

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port` pairs, separated by commas.
    pub bootstrap_servers: String,
    /// How connections are protected.
    pub security: Security,
}

/// Security protocol; TLS, SCRAM and IAM come as further variants with their own fields.
#[derive(Clone, Debug, Default)]
pub enum Security {
    /// No encryption, no authentication.
    #[default]
    Plaintext,
}

/// Options of one group member.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Group name.
    pub group: String,
    /// Static member id, unique in the group; the empty text makes a dynamic member (which leaves the group when it closes).
    pub instance_id: String,
    /// Topics to subscribe to.
    pub topics: Vec<String>,
    /// After this without a heartbeat the group gives the member's kafka_partitions to others.
    pub session_timeout: Duration,
    /// Bound of librdkafka's queue of fetched records, for all kafka_partitions of this consumer together.
    pub queued_bytes: u64,
    /// Further librdkafka properties, for tests; those that the guarantees rest on cannot be overridden.
    pub properties: Vec<(String, String)>,
}

/// A partition over its queue bound is looked at again after this; librdkafka's default of 1 s would stall small queues.
const FETCH_BACKOFF_MS: &str = "20";
/// New kafka_partitions of a subscribed topic are noticed after at most this.
const METADATA_REFRESH_MS: &str = "30000";
/// Largest value that `queued.max.messages.kbytes` takes.
const MAX_QUEUED_KBYTES: u64 = 2_097_151;
/// What a queued record costs at least beside its bytes, which librdkafka's own bound in bytes does not count.
const QUEUED_RECORD_BYTES: u64 = 512;
/// Bounds of one answer of a broker: it overshoots the queue's bound, uncompressed and with what each record costs, so it is a small share of it.
const FETCH_BYTES: std::ops::RangeInclusive<u64> = 1_048_576..=8_388_608;
const FETCHES_PER_QUEUE: u64 = 16;
/// The same for one kafka_partition in it; larger records come alone.
const PARTITION_FETCH_BYTES: std::ops::RangeInclusive<u64> = 65_536..=1_048_576;
const PARTITION_FETCHES_PER_QUEUE: u64 = 32;

impl KafkaConfig {
    /// Properties that every client has.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("socket.keepalive.enable", "true");
        config.set("log.connection.close", "false");
        config.set_log_level(RDKafkaLogLevel::Info);
        match self.security {
            Security::Plaintext => config.set("security.protocol", "plaintext"),
        };
        config
    }

    /// Properties of a reader: what is not committed is not read, and an offset that does not exist is an error.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("isolation.level", "read_committed");
        config.set("auto.offset.reset", "error");
        config.set("check.crcs", "true");
        config.set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS);
        config.set("topic.metadata.refresh.interval.ms", METADATA_REFRESH_MS);
        config
    }

    /// Properties of a group member.
    pub(crate) fn member(&self, options: &ConsumerOptions) -> ClientConfig {
        let mut config = self.reader();
        let queued_kbytes = (options.queued_bytes / 1024).clamp(1, MAX_QUEUED_KBYTES);
        config.set("queued.max.messages.kbytes", queued_kbytes.to_string());
        config.set("queued.min.messages", (options.queued_bytes / QUEUED_RECORD_BYTES).clamp(1_000, 100_000).to_string());
        let share =
            |shares: u64, bounds: std::ops::RangeInclusive<u64>| (options.queued_bytes / shares).clamp(*bounds.start(), *bounds.end());
        config.set("fetch.max.bytes", share(FETCHES_PER_QUEUE, FETCH_BYTES).to_string());
        config.set("fetch.message.max.bytes", share(PARTITION_FETCHES_PER_QUEUE, PARTITION_FETCH_BYTES).to_string());
        config.set("session.timeout.ms", options.session_timeout.as_millis().to_string());
        let heartbeat = (options.session_timeout / 3).min(Duration::from_secs(3));
        config.set("heartbeat.interval.ms", heartbeat.as_millis().to_string());
        for (name, value) in &options.properties {
            config.set(name, value);
        }
        // Set last: with another value of one of these records could be lost.
        config.set("group.id", &options.group);
        if !options.instance_id.is_empty() {
            config.set("group.instance.id", &options.instance_id);
        }
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
        // True loses records together with batch calls: an end-of-partition message moves the position by one.
        config.set("enable.partition.eof", "false");
        config
    }
}

/// Context of clients without group events: librdkafka's log lines go to `tracing`.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client error");
    }
}

impl ConsumerContext for LogContext {}

impl ProducerContext for LogContext {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}

/// One log line of librdkafka. Its errors are ours only as warnings: it retries, and what it gives up comes back as an error value.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(facility, line, "librdkafka")
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, line, "librdkafka"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guarantees_rest_on_cannot_be_overridden() {
        let options = ConsumerOptions {
            group: "g".into(),
            instance_id: String::new(),
            topics: vec![],
            session_timeout: Duration::from_secs(6),
            queued_bytes: 10_000_000,
            properties: vec![
                ("enable.partition.eof".into(), "true".into()),
                ("auto.offset.reset".into(), "latest".into()),
                ("enable.auto.commit".into(), "true".into()),
                ("fetch.wait.max.ms".into(), "7".into()),
            ],
        };
        let config = KafkaConfig { bootstrap_servers: "a:1".into(), security: Security::Plaintext }.member(&options);
        assert_eq!(config.get("enable.partition.eof"), Some("false"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("group.instance.id"), None);
        assert_eq!(config.get("heartbeat.interval.ms"), Some("2000"));
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("9765"));
        config.create_native_config().expect("librdkafka takes every property");
    }
}

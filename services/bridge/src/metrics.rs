//! Metrics of the bridge; those of its HTTP side are declared there. Labels are Kafka topics of the settings file, numbers of connections, and names
//! from closed sets; never data.
//!
//! Live balance of MQTT: `received = accepted + refused` (`tributary_bridge_mqtt_*_total`), each counted when the message has a place in the
//! queue; what was abandoned before with a lost session comes again from the broker.
use crate::http::BridgeHttpMetrics;
use kafka_io::Fault;
use prometheus::{Error, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::Duration;

/// Buckets of waiting for Kafka, in seconds.
const ACK_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Buckets of the age of what is received, in seconds: from live to what a broker keeps.
const AGE_SECONDS: [f64; 12] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 86_400.0];

/// All metrics of the bridge's core and of its MQTT side.
#[derive(Clone, Debug)]
pub struct BridgeMetrics {
    /// The way to Kafka.
    pub outbox: OutboxMetrics,
    /// Devices over MQTT.
    pub mqtt: MqttMetrics,
    /// Schemas of the topics.
    pub schemas: SchemaMetrics,
    /// Clients over HTTP.
    pub http: BridgeHttpMetrics,
}

/// The way to Kafka.
#[derive(Clone, Debug)]
pub struct OutboxMetrics {
    acknowledged: IntCounter,
    acknowledged_refusals: IntCounter,
    ack_seconds: Histogram,
    failed: IntCounterVec,
    full: IntCounter,
    waiting_bytes: IntGauge,
    stalled_seconds: Gauge,
    blocked_topics: IntGauge,
}

/// Devices over MQTT.
#[derive(Clone, Debug)]
pub struct MqttMetrics {
    received: IntCounterVec,
    redelivered: IntCounter,
    accepted: IntCounterVec,
    refused: IntCounterVec,
    conflicts: IntCounterVec,
    dropped: IntCounter,
    abandoned: IntCounter,
    acknowledged: IntCounter,
    unacknowledged: IntGaugeVec,
    connected: IntGaugeVec,
    connects: IntCounterVec,
    disconnects: IntCounterVec,
    sessions_lost: IntCounter,
    age_seconds: Histogram,
    newest_age_seconds: Gauge,
}

/// Schemas of the topics.
#[derive(Clone, Debug)]
pub struct SchemaMetrics {
    ids: IntGaugeVec,
    failures: IntCounterVec,
}

/// Registers a metric that was just made.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn keep<M: prometheus::core::Collector + Clone + 'static>(&self, metric: M) -> Result<M, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.keep(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.keep(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn number(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.keep(Gauge::new(name, help)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }
}

impl BridgeMetrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// The registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let registrar = Registrar(registry);
        Ok(Self {
            outbox: OutboxMetrics::new(&registrar)?,
            mqtt: MqttMetrics::new(&registrar)?,
            schemas: SchemaMetrics::new(&registrar)?,
            http: BridgeHttpMetrics::new(registry)?,
        })
    }
}

impl OutboxMetrics {
    fn new(r: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            acknowledged: r.counter("tributary_bridge_acknowledged_total", "Records that all replicas in sync have")?,
            acknowledged_refusals: r
                .counter("tributary_bridge_refused_by_kafka_total", "Records that Kafka does not accept, now in the refused topic")?,
            ack_seconds: r.histogram(
                "tributary_bridge_ack_seconds",
                "Time from taking a record to Kafka's acknowledgement",
                &ACK_SECONDS,
            )?,
            failed: r.counters(
                "tributary_bridge_delivery_failures_total",
                "Failed deliveries, which are tried again or refused",
                &["fault"],
            )?,
            full: r.counter("tributary_bridge_queue_full_total", "Times that a record found no room in the queue")?,
            waiting_bytes: r.gauge("tributary_bridge_waiting_bytes", "Bytes of records that Kafka has not acknowledged")?,
            stalled_seconds: r.number("tributary_bridge_stalled_seconds", "Time without any acknowledgement while records wait")?,
            blocked_topics: r.gauge("tributary_bridge_blocked_topics_count", "Topics that Kafka takes no records for")?,
        })
    }

    pub(crate) fn acknowledged(&self, waited: Duration, is_refusal: bool) {
        self.ack_seconds.observe(waited.as_secs_f64());
        if is_refusal { self.acknowledged_refusals.inc() } else { self.acknowledged.inc() }
    }

    pub(crate) fn failed(&self, fault: Fault) {
        let fault = match fault {
            Fault::TooLarge => "too_large",
            Fault::Record => "record",
            Fault::Service => "service",
        };
        self.failed.with_label_values(&[fault]).inc();
    }

    pub(crate) fn full(&self) {
        self.full.inc();
    }

    pub(crate) fn waiting(&self, bytes: u64) {
        self.waiting_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn state(&self, stalled: Option<Duration>, blocked: usize) {
        self.stalled_seconds.set(stalled.unwrap_or_default().as_secs_f64());
        self.blocked_topics.set(i64::try_from(blocked).unwrap_or(i64::MAX));
    }
}

impl MqttMetrics {
    fn new(r: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            received: r.counters("tributary_bridge_mqtt_received_total", "Messages received", &["topic"])?,
            redelivered: r.counter("tributary_bridge_mqtt_redelivered_total", "Messages of these that the broker marks as sent before")?,
            accepted: r.counters("tributary_bridge_mqtt_accepted_total", "Messages that became records of their topic", &["topic"])?,
            refused: r.counters("tributary_bridge_mqtt_refused_total", "Messages that became refused records", &["topic", "reason"])?,
            conflicts: r.counters(
                "tributary_bridge_mqtt_conflicts_total",
                "Accepted messages that claimed another value than their topic",
                &["topic"],
            )?,
            dropped: r.counter("tributary_bridge_mqtt_dropped_total", "Messages of QoS 0 that found no room, as QoS 0 allows")?,
            abandoned: r.counter(
                "tributary_bridge_mqtt_abandoned_total",
                "Messages whose session was lost before they had a place in the queue; the broker sends them again",
            )?,
            acknowledged: r.counter("tributary_bridge_mqtt_acknowledged_total", "Acknowledgements sent to the broker")?,
            unacknowledged: r.gauges(
                "tributary_bridge_mqtt_unacknowledged_count",
                "Messages that are not acknowledged yet",
                &["connection"],
            )?,
            connected: r.gauges(
                "tributary_bridge_mqtt_connected_bool",
                "Whether the connection is there and subscribed",
                &["connection"],
            )?,
            connects: r.counters("tributary_bridge_mqtt_connects_total", "Tries to connect", &["outcome"])?,
            disconnects: r.counters("tributary_bridge_mqtt_disconnects_total", "Ends of connections", &["reason"])?,
            sessions_lost: r
                .counter("tributary_bridge_mqtt_sessions_lost_total", "Reconnections for which the broker no longer had the session")?,
            age_seconds: r.histogram(
                "tributary_bridge_mqtt_age_seconds",
                "Age of messages when they arrive, where the time of sending is known",
                &AGE_SECONDS,
            )?,
            newest_age_seconds: r.number(
                "tributary_bridge_mqtt_newest_age_seconds",
                "Age of the message that arrived last, where the time of sending is known",
            )?,
        })
    }

    /// Counters of one Kafka topic, looked up once.
    pub(crate) fn topic(&self, topic: &str) -> MqttTopicMetrics {
        MqttTopicMetrics {
            received: self.received.with_label_values(&[topic]),
            accepted: self.accepted.with_label_values(&[topic]),
            conflicts: self.conflicts.with_label_values(&[topic]),
            refused: self.refused.clone(),
            topic: topic.to_owned(),
        }
    }

    pub(crate) fn redelivered(&self) {
        self.redelivered.inc();
    }

    pub(crate) fn dropped(&self) {
        self.dropped.inc();
    }

    pub(crate) fn abandoned(&self, messages: usize) {
        self.abandoned.inc_by(messages as u64);
    }

    pub(crate) fn acknowledged(&self) {
        self.acknowledged.inc();
    }

    /// The gauge of messages of one connection that are not acknowledged.
    pub(crate) fn unacknowledged(&self, connection: u32) -> IntGauge {
        self.unacknowledged.with_label_values(&[&connection.to_string()])
    }

    pub(crate) fn set_connected(&self, connection: u32, connected: bool) {
        self.connected.with_label_values(&[&connection.to_string()]).set(connected.into());
    }

    pub(crate) fn connect(&self, outcome: &'static str) {
        self.connects.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn disconnect(&self, reason: &'static str) {
        self.disconnects.with_label_values(&[reason]).inc();
    }

    pub(crate) fn session_lost(&self) {
        self.sessions_lost.inc();
    }

    /// An age below zero is a device whose clock is ahead; it counts as nothing.
    pub(crate) fn age(&self, seconds: f64) {
        let seconds = seconds.max(0.0);
        self.age_seconds.observe(seconds);
        self.newest_age_seconds.set(seconds);
    }
}

/// Counters of one Kafka topic.
#[derive(Clone, Debug)]
pub(crate) struct MqttTopicMetrics {
    pub(crate) received: IntCounter,
    pub(crate) accepted: IntCounter,
    pub(crate) conflicts: IntCounter,
    refused: IntCounterVec,
    topic: String,
}

impl MqttTopicMetrics {
    /// A refused message; the reasons are a closed set.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[&self.topic, reason]).inc();
    }
}

impl SchemaMetrics {
    fn new(r: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            ids: r.gauges("tributary_bridge_schema_id", "Schema that records of the topic are checked against", &["topic"])?,
            failures: r.counters(
                "tributary_bridge_schema_failures_total",
                "Times that a topic's newest schema could not be had or used",
                &["topic"],
            )?,
        })
    }

    pub(crate) fn set(&self, topic: &str, schema_id: u32) {
        self.ids.with_label_values(&[topic]).set(schema_id.into());
    }

    pub(crate) fn failed(&self, topic: &str) {
        self.failures.with_label_values(&[topic]).inc();
    }
}

//! Idempotent producer.
use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};

use crate::{
    KafkaIoError,
    config::{KafkaConfig, log},
};

/// Acknowledgements are taken after this many records at the latest.
const RECORDS_PER_POLL: u32 = 1_000;
/// One wait for room in a full queue.
const QUEUE_WAIT: Duration = Duration::from_millis(100);
/// Bounds of the queue of records that wait for their acknowledgement.
const QUEUE_RECORDS: &str = "100000";
const QUEUE_KBYTES: &str = "65536";

/// Producer: idempotent, waits for all replicas, order kept per kafka_partition.
pub struct Producer {
    inner: BaseProducer<Acknowledgements>,
    since_poll: u32,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.inner.in_flight_count()).finish_non_exhaustive()
    }
}

/// A record to send.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    /// Topic name.
    pub topic: String,
    /// `None`: by the key's murmur2 hash, like Java's producer; at random without a key.
    pub kafka_partition: Option<i32>,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970; `None`: now.
    pub timestamp_ms: Option<i64>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Producer {
    /// A client; connects when it has something to send. `properties` are further librdkafka properties, such as `compression.type`;
    /// idempotence and `acks=all` stay.
    ///
    /// # Errors
    /// [`KafkaIoError::Misconfigured`] for properties that librdkafka refuses.
    pub fn new(config: &KafkaConfig, properties: &[(String, String)]) -> Result<Self, KafkaIoError> {
        let client = producer_config(config, properties).create_with_context(Acknowledgements::default());
        Ok(Self { inner: client.map_err(|error| KafkaIoError::from_kafka("create a producer", &error))?, since_poll: 0 })
    }

    /// Queues the record, waiting while the queue is full (at most `message.timeout.ms`, as then records fail); the failure of an earlier
    /// record is returned here or by `flush`, once.
    ///
    /// # Errors
    /// [`KafkaIoError::UnknownTopic`], [`KafkaIoError::Misconfigured`] (too large, not allowed), [`KafkaIoError::Unavailable`].
    pub fn send(&mut self, record: NewRecord) -> Result<(), KafkaIoError> {
        self.since_poll += 1;
        if self.since_poll >= RECORDS_PER_POLL {
            self.since_poll = 0;
            self.inner.poll(Duration::ZERO);
        }
        self.failure()?;
        loop {
            match self.inner.send(as_base(&record)) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.inner.poll(QUEUE_WAIT);
                    self.failure()?;
                }
                Err((error, _)) => return Err(delivery_error(&error, &record.topic)),
            }
        }
    }

    /// Waits until all are acknowledged. Returns how many were since the start.
    ///
    /// # Errors
    /// The first failure since the last call, or [`KafkaIoError::Unavailable`] if some are not acknowledged in time.
    pub fn flush(&mut self, timeout: Duration) -> Result<u64, KafkaIoError> {
        let deadline = Instant::now() + timeout;
        while self.inner.in_flight_count() > 0 && Instant::now() < deadline {
            // Flush serves no delivery reports in event mode, so the poll does; it only ends the lingering.
            let _ = self.inner.flush(Duration::ZERO);
            self.inner.poll(QUEUE_WAIT.min(timeout));
        }
        self.failure()?;
        let in_flight = self.inner.in_flight_count();
        if in_flight > 0 {
            let detail = format!("{in_flight} records are not acknowledged after {} ms", timeout.as_millis());
            return Err(KafkaIoError::Unavailable { operation: "produce", detail });
        }
        Ok(self.inner.context().lock().acknowledged)
    }

    fn failure(&self) -> Result<(), KafkaIoError> {
        self.inner.context().lock().failure.take().map_or(Ok(()), Err)
    }
}

/// Properties of an idempotent producer.
pub(crate) fn producer_config(config: &KafkaConfig, properties: &[(String, String)]) -> ClientConfig {
    let mut client = config.client();
    client.set("compression.type", "lz4");
    client.set("linger.ms", "20");
    client.set("partitioner", "murmur2_random");
    client.set("queue.buffering.max.messages", QUEUE_RECORDS);
    client.set("queue.buffering.max.kbytes", QUEUE_KBYTES);
    for (name, value) in properties {
        client.set(name, value);
    }
    client.set("enable.idempotence", "true");
    client.set("acks", "all");
    client
}

/// The record in rdkafka's form, on loan.
pub(crate) fn as_base(record: &NewRecord) -> BaseRecord<'_, [u8], [u8]> {
    let mut base = BaseRecord::to(&record.topic);
    if let Some(kafka_partition) = record.kafka_partition {
        base = base.partition(kafka_partition);
    }
    if let Some(key) = &record.key {
        base = base.key(key.as_slice());
    }
    if let Some(value) = &record.value {
        base = base.payload(value.as_slice());
    }
    if let Some(timestamp_ms) = record.timestamp_ms {
        base = base.timestamp(timestamp_ms);
    }
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let add = |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| headers.insert(Header { key, value: Some(value) });
        base = base.headers(record.headers.iter().fold(headers, add));
    }
    base
}

/// What became of records.
#[derive(Default)]
pub(crate) struct Acknowledgements {
    state: Mutex<Outcome>,
}

#[derive(Default)]
pub(crate) struct Outcome {
    acknowledged: u64,
    /// The first one since it was last asked for.
    failure: Option<KafkaIoError>,
}

impl Acknowledgements {
    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer error");
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        use rdkafka::Message as _;
        let mut state = self.lock();
        match result {
            Ok(_) => state.acknowledged += 1,
            Err((error, record)) => {
                state.failure.get_or_insert_with(|| delivery_error(error, record.topic()));
            }
        }
    }
}

fn delivery_error(error: &KafkaError, topic: &str) -> KafkaIoError {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
    KafkaIoError::from_code("produce", code, error.to_string(), Some(topic))
}

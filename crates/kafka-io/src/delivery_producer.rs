//! Producer of a service: it never waits, never gives up by time, and says of each record what became of it.
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Header, Headers as _, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};

use crate::{
    KafkaIoError, NewRecord,
    config::{KafkaConfig, log},
    producer::producer_config,
};

/// Longest wait of the delivery thread before it looks at its other duties.
const POLL_SLICE: Duration = Duration::from_millis(25);
/// Outcomes of a client that is replaced are awaited for so long: it is purged, so they are there already.
const RETIRE: Duration = Duration::from_secs(5);

/// A record to send, on loan: its bytes are copied into the client's queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordRef<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Key bytes; `None` is null. Records of one key go to one kafka_partition, by the key's murmur2 hash, like Java's producer.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [(String, Vec<u8>)],
    /// Milliseconds since 1970; `None`: now.
    pub timestamp_ms: Option<i64>,
}

impl RecordRef<'_> {
    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }

    /// A copy that stands for itself.
    pub fn to_new(&self) -> NewRecord {
        NewRecord {
            topic: self.topic.to_owned(),
            kafka_partition: None,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            timestamp_ms: self.timestamp_ms,
            headers: self.headers.to_vec(),
        }
    }
}

impl NewRecord {
    /// The record on loan; its kafka_partition is chosen by the key.
    pub fn as_record(&self) -> RecordRef<'_> {
        RecordRef {
            topic: &self.topic,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
            timestamp_ms: self.timestamp_ms,
        }
    }
}

/// What becomes of records. Called from the delivery thread (and once from `try_send`, never for the same record), which must not wait.
pub trait DeliveryHandler: Send + Sync + 'static {
    /// What the caller knows a record by.
    type Receipt: Send + Sync + 'static;

    /// All replicas in sync have the record.
    fn delivered(&self, receipt: Self::Receipt, at: Delivered);

    /// The record is not known to be in Kafka: it may be or not, unless Kafka refused it.
    fn failed(&self, receipt: Self::Receipt, failure: DeliveryFailure);
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Number of the kafka_partition.
    pub kafka_partition: i32,
    /// Offset.
    pub offset: i64,
}

/// A record that was not acknowledged.
#[derive(Debug)]
pub struct DeliveryFailure {
    /// Why.
    pub error: KafkaIoError,
    /// Whose fault it is.
    pub fault: Fault,
    /// The record as it was given.
    pub record: NewRecord,
}

/// Whose fault a failed delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The record alone is larger than Kafka takes.
    TooLarge,
    /// The record itself cannot be accepted.
    Record,
    /// The topic's, the cluster's or the client's: the record may be sent again.
    Service,
}

/// A record that was not taken into the queue; no outcome follows.
#[derive(Debug)]
pub enum NotSent<R> {
    /// The queue is full.
    Full(R),
    /// It cannot be sent at all, now.
    Failed {
        /// Given back.
        receipt: R,
        /// Why.
        error: KafkaIoError,
        /// Whose fault it is.
        fault: Fault,
    },
}

/// Idempotent producer, acknowledged by all replicas in sync, order kept per kafka_partition, without a limit of time: a record waits for its
/// cluster. Usable from any thread. A client that ended with a fatal error is replaced; its records fail with [`Fault::Service`].
pub struct DeliveryProducer<H: DeliveryHandler> {
    shared: Arc<Shared<H>>,
    thread: Option<JoinHandle<()>>,
}

impl<H: DeliveryHandler> fmt::Debug for DeliveryProducer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryProducer").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

type Client<H> = BaseProducer<Reports<H>>;
/// Records that failed as part of a batch, to be sent alone.
type Alone<H> = Arc<Mutex<VecDeque<(NewRecord, <H as DeliveryHandler>::Receipt)>>>;

struct Shared<H: DeliveryHandler> {
    config: ClientConfig,
    handler: Arc<H>,
    alone: Alone<H>,
    /// Sends batches.
    client: RwLock<Arc<Client<H>>>,
    /// Sends batches of one record; made when one is needed.
    single: OnceLock<Client<H>>,
    closing: AtomicBool,
}

impl<H: DeliveryHandler> DeliveryProducer<H> {
    /// A producer and its delivery thread. `queue_bytes` bounds the client's queue; `properties` are further librdkafka properties, such as
    /// `linger.ms`; what the guarantees rest on stays.
    ///
    /// # Errors
    /// [`KafkaIoError::Misconfigured`] for properties that librdkafka refuses; [`KafkaIoError::Unavailable`] if there is no thread.
    pub fn start(config: &KafkaConfig, queue_bytes: u64, properties: &[(String, String)], handler: Arc<H>) -> Result<Self, KafkaIoError> {
        let config = delivery_config(config, queue_bytes, properties);
        let alone = Alone::<H>::default();
        let client = create(&config, &handler, Some(&alone))?;
        let shared = Arc::new(Shared {
            config,
            handler,
            alone,
            client: RwLock::new(Arc::new(client)),
            single: OnceLock::new(),
            closing: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("kafka-deliveries".to_owned()).spawn(move || serving.serve());
        let thread = thread.map_err(|error| KafkaIoError::Unavailable { operation: "start a thread", detail: error.to_string() })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues a copy of the record and returns; the handler is told what becomes of it, once.
    ///
    /// # Errors
    /// The record is not queued and the handler will not hear of it.
    pub fn try_send(&self, record: &RecordRef<'_>, receipt: H::Receipt) -> Result<(), NotSent<H::Receipt>> {
        self.shared.client().send_record(record, receipt)
    }

    /// Records that wait for their outcome.
    pub fn in_flight(&self) -> usize {
        let single = self.shared.single.get().map_or(0, BaseProducer::in_flight_count);
        let waiting = self.shared.client().in_flight_count() + single;
        usize::try_from(waiting).unwrap_or(0) + lock(&self.shared.alone).len()
    }
}

impl<H: DeliveryHandler> Drop for DeliveryProducer<H> {
    /// Records still in flight fail; whether they are in Kafka is not known.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<H: DeliveryHandler> Shared<H> {
    fn client(&self) -> Arc<Client<H>> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The delivery thread.
    fn serve(&self) {
        while !self.closing.load(Ordering::SeqCst) {
            let client = self.client();
            client.poll(POLL_SLICE);
            if let Some((code, reason)) = client.client().fatal_error() {
                self.replace(client, code, &reason);
            }
            if let Some(single) = self.single.get() {
                single.poll(Duration::ZERO);
            }
            self.send_alone();
        }
    }

    /// A client with a fatal error takes nothing any more. Its records are given back, which is why a copy of some may come into Kafka twice.
    fn replace(&self, old: Arc<Client<H>>, code: RDKafkaErrorCode, reason: &str) {
        tracing::warn!(%code, reason, "kafka producer ended with a fatal error and is replaced");
        match create(&self.config, &self.handler, Some(&self.alone)) {
            Ok(client) => *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client),
            // It had the same properties before, so this passes: the next round tries again.
            Err(error) => return tracing::warn!(%error, "kafka producer cannot be created"),
        }
        old.purge(PurgeConfig::default().queue().inflight());
        let rounds = RETIRE.as_millis() / POLL_SLICE.as_millis();
        for _ in 0..rounds {
            if old.in_flight_count() == 0 {
                break;
            }
            old.poll(POLL_SLICE);
        }
    }

    /// Sends what was too large as part of a batch in batches of one.
    fn send_alone(&self) {
        if lock(&self.alone).is_empty() {
            return;
        }
        let Some(single) = self.single() else { return };
        loop {
            let Some((record, receipt)) = lock(&self.alone).pop_front() else { return };
            match single.send_record(&record.as_record(), receipt) {
                Ok(()) => {}
                Err(NotSent::Full(receipt)) => return lock(&self.alone).push_front((record, receipt)),
                Err(NotSent::Failed { receipt, error, fault }) => {
                    self.handler.failed(receipt, DeliveryFailure { error, fault, record });
                }
            }
        }
    }

    fn single(&self) -> Option<&Client<H>> {
        if self.single.get().is_none() {
            let mut config = self.config.clone();
            config.set("batch.num.messages", "1");
            match create(&config, &self.handler, None) {
                Ok(client) => {
                    let _ = self.single.set(client);
                }
                Err(error) => tracing::warn!(%error, "kafka producer for single records cannot be created"),
            }
        }
        self.single.get()
    }
}

/// Sends a record on loan with its receipt.
trait SendRecord<R> {
    fn send_record(&self, record: &RecordRef<'_>, receipt: R) -> Result<(), NotSent<R>>;
}

impl<H: DeliveryHandler> SendRecord<H::Receipt> for Client<H> {
    fn send_record(&self, record: &RecordRef<'_>, receipt: H::Receipt) -> Result<(), NotSent<H::Receipt>> {
        let Err((error, returned)) = self.send(as_base(record, Box::new(receipt))) else { return Ok(()) };
        let receipt = *returned.delivery_opaque;
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        if code == RDKafkaErrorCode::QueueFull {
            return Err(NotSent::Full(receipt));
        }
        let error = KafkaIoError::from_code("produce", code, error.to_string(), Some(record.topic));
        Err(NotSent::Failed { receipt, error, fault: fault(code) })
    }
}

fn create<H: DeliveryHandler>(config: &ClientConfig, handler: &Arc<H>, alone: Option<&Alone<H>>) -> Result<Client<H>, KafkaIoError> {
    let reports = Reports { handler: Arc::clone(handler), alone: alone.cloned() };
    config.create_with_context(reports).map_err(|error| KafkaIoError::from_kafka("create a producer", &error))
}

/// Properties of a producer that waits for its cluster however long it takes.
fn delivery_config(config: &KafkaConfig, queue_bytes: u64, properties: &[(String, String)]) -> ClientConfig {
    let mut defaults = vec![
        ("queue.buffering.max.messages".to_owned(), "10000000".to_owned()),
        ("queue.buffering.max.kbytes".to_owned(), (queue_bytes / 1024).clamp(1, 2_147_483_647).to_string()),
        ("linger.ms".to_owned(), "5".to_owned()),
        // A topic that does not show up so soon fails its records, and their owner decides; librdkafka's 30 s would look like a cluster that is away.
        ("topic.metadata.propagation.max.ms".to_owned(), "5000".to_owned()),
        // After an outage the cluster is found again within two seconds.
        ("reconnect.backoff.max.ms".to_owned(), "2000".to_owned()),
    ];
    defaults.extend_from_slice(properties);
    let mut client = producer_config(config, &defaults);
    client.set("message.timeout.ms", "0");
    client
}

/// Whose fault an error code is.
fn fault(code: RDKafkaErrorCode) -> Fault {
    use RDKafkaErrorCode as C;
    match code {
        C::MessageSizeTooLarge | C::MessageBatchTooLarge => Fault::TooLarge,
        C::InvalidRecord | C::InvalidTimestamp => Fault::Record,
        _ => Fault::Service,
    }
}

/// The record in rdkafka's form, on loan.
fn as_base<'a, R: Send + Sync>(record: &RecordRef<'a>, receipt: Box<R>) -> BaseRecord<'a, [u8], [u8], Box<R>> {
    let mut base = BaseRecord::with_opaque_to(record.topic, receipt);
    base.key = record.key;
    base.payload = record.value;
    base.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let add = |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| headers.insert(Header { key, value: Some(value) });
        base.headers = Some(record.headers.iter().fold(headers, add));
    }
    base
}

/// The record of a delivery report, as it was sent.
fn sent_record(message: &BorrowedMessage<'_>) -> NewRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    NewRecord {
        topic: message.topic().to_owned(),
        kafka_partition: None,
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis().filter(|time| *time > 0),
        headers,
    }
}

/// Context of a client: hands the delivery reports on.
struct Reports<H: DeliveryHandler> {
    handler: Arc<H>,
    /// `None`: this client sends records alone already.
    alone: Option<Alone<H>>,
}

impl<H: DeliveryHandler> ClientContext for Reports<H> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer error");
    }
}

impl<H: DeliveryHandler> ProducerContext for Reports<H> {
    type DeliveryOpaque = Box<H::Receipt>;

    fn delivery(&self, result: &DeliveryResult<'_>, receipt: Self::DeliveryOpaque) {
        let (error, message) = match result {
            Ok(message) => {
                let at = Delivered { kafka_partition: message.partition(), offset: message.offset() };
                return self.handler.delivered(*receipt, at);
            }
            Err((error, message)) => (error, message),
        };
        let record = sent_record(message);
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        // The batch may have been too large, not this record.
        if let (Fault::TooLarge, Some(alone)) = (fault(code), &self.alone) {
            return lock(alone).push_back((record, *receipt));
        }
        let error = KafkaIoError::from_code("produce", code, error.to_string(), Some(&record.topic));
        self.handler.failed(*receipt, DeliveryFailure { error, fault: fault(code), record });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guarantees_rest_on_stays() {
        let kafka = KafkaConfig { bootstrap_servers: "a:1".to_owned(), security: crate::Security::Plaintext };
        let given = [("acks", "1"), ("enable.idempotence", "false"), ("message.timeout.ms", "1"), ("linger.ms", "7")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = delivery_config(&kafka, 64 << 20, &given);
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("enable.idempotence"), Some("true"));
        assert_eq!(config.get("message.timeout.ms"), Some("0"));
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("queue.buffering.max.kbytes"), Some("65536"));
    }

    #[test]
    fn only_codes_about_the_record_are_the_records_fault() {
        assert_eq!(fault(RDKafkaErrorCode::MessageSizeTooLarge), Fault::TooLarge);
        assert_eq!(fault(RDKafkaErrorCode::InvalidTimestamp), Fault::Record);
        for code in [RDKafkaErrorCode::UnknownTopic, RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::Fatal] {
            assert_eq!(fault(code), Fault::Service, "{code:?}");
        }
    }
}

use super::*;
use crate::metrics::BridgeMetrics;
use event_schema::RefusalCode;
use kafka_io::{MockBroker, RangeReader, Security, TopicPartition};
use prometheus::Registry;
use test_kit::{unique_name, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Told(Mutex<Vec<(u64, Outcome)>>);

impl Receipts for Told {
    fn settled(&self, token: u64, outcome: Outcome) {
        self.0.lock().expect("no test panics with it").push((token, outcome));
    }
}

impl Told {
    fn all(&self) -> Vec<(u64, Outcome)> {
        self.0.lock().expect("no test panics with it").clone()
    }
}

fn settings(bootstrap_servers: String, queue_bytes: u64, properties: &[(&str, &str)]) -> OutboxSettings {
    OutboxSettings {
        kafka: KafkaConfig { bootstrap_servers, security: Security::Plaintext },
        queue_bytes,
        max_record_bytes: 900 << 10,
        linger: Duration::from_millis(1),
        refused_suffix: ".refused".to_owned(),
        properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn outbox(settings: OutboxSettings) -> Arc<Outbox> {
    let metrics = BridgeMetrics::new(&Registry::new()).expect("a fresh registry").outbox;
    Outbox::start(settings, metrics).expect("the settings are valid")
}

fn record<'a>(topic: &'a str, value: &'a [u8]) -> RecordRef<'a> {
    RecordRef { topic, key: Some(b"k"), value: Some(value), ..RecordRef::default() }
}

fn receipt(told: &Arc<Told>, token: u64) -> Receipt {
    Receipt { to: Arc::clone(told) as Arc<dyn Receipts>, token }
}

/// Values of kafka_partition 0 with the names of their headers.
fn read(broker: &MockBroker, topic: &str, end: i64) -> Vec<(Vec<u8>, Vec<String>)> {
    let config = KafkaConfig { bootstrap_servers: broker.bootstrap_servers(), security: Security::Plaintext };
    let mut reader = RangeReader::new(&config).expect("the configuration is valid");
    let mut found = Vec::new();
    let partition = TopicPartition { topic: topic.to_owned(), kafka_partition: 0 };
    let mut take = |record: kafka_io::RawRecord<'_>| {
        let headers = record.headers().into_iter().map(|(name, _)| name).collect();
        found.push((record.value.unwrap_or_default().to_vec(), headers));
    };
    reader.read(&partition, 0, end, &mut take).expect("the topic is there");
    found
}

#[test]
fn each_record_is_settled_once_in_order_with_its_place() {
    let broker = MockBroker::start().expect("a port is free");
    let topic = unique_name("t");
    broker.create_topic(&topic, 1).expect("a new topic");
    let outbox = outbox(settings(broker.bootstrap_servers(), 64 << 20, &[]));
    let told = Arc::new(Told::default());
    for token in 0..1_000_u64 {
        outbox.submit(&record(&topic, &token.to_be_bytes()), receipt(&told, token)).expect("there is room");
    }
    wait_until(LONG, "all outcomes", || told.all().len() == 1_000);
    for (expected, (token, outcome)) in told.all().into_iter().enumerate() {
        let offset = i64::try_from(expected).expect("small");
        assert_eq!((token, outcome), (expected as u64, Outcome::Stored(Delivered { kafka_partition: 0, offset })));
    }
    wait_until(LONG, "an empty queue", || outbox.unsettled() == 0);
    assert_eq!(outbox.stalled_for(), None);
    assert_eq!(read(&broker, &topic, 1_000).len(), 1_000);
}

#[test]
fn without_a_cluster_the_queue_fills_to_its_bound_and_says_so() {
    // Nobody listens on port 1.
    let outbox = outbox(settings("127.0.0.1:1".to_owned(), 1 << 20, &[]));
    let told = Arc::new(Told::default());
    assert_eq!((outbox.stalled_for(), outbox.has_room()), (None, true));
    let mut taken = 0_u64;
    while outbox.submit(&record("t", &[7; 1_000]), receipt(&told, taken)).is_ok() {
        taken += 1;
        assert!(taken < 2_000, "the bound does not hold");
    }
    assert_eq!(taken, (1 << 20) / (1_000 + 1 + RECORD_OVERHEAD_BYTES));
    assert_eq!(outbox.unsettled(), taken, "what was not taken does not count");
    wait_until(LONG, "a stall", || outbox.stalled_for().is_some_and(|stalled| stalled > Duration::from_millis(50)));
    assert!(told.all().is_empty());
    assert!(outbox.submit(&record("t", &[7; 1_000]), receipt(&told, taken)).is_err());
}

#[test]
fn a_record_that_kafka_does_not_take_is_settled_as_refused() {
    let broker = MockBroker::start().expect("a port is free");
    let topic = unique_name("t");
    let refused_topic = format!("{topic}.refused");
    for name in [&topic, &refused_topic] {
        broker.create_topic(name, 1).expect("a new topic");
    }
    // As a broker's `max.message.bytes` would, but told by the client.
    let outbox = outbox(settings(broker.bootstrap_servers(), 64 << 20, &[("message.max.bytes", "10000")]));
    let told = Arc::new(Told::default());
    let (runtime, shutdown) = (tokio::runtime::Runtime::new().expect("a runtime"), Shutdown::manual());
    let resending = runtime.spawn({
        let (outbox, shutdown) = (Arc::clone(&outbox), shutdown.clone());
        async move { outbox.resend(&shutdown).await }
    });
    outbox.submit(&record(&topic, &[7; 20_000]), receipt(&told, 1)).expect("there is room");
    outbox.submit(&record(&topic, b"small"), receipt(&told, 2)).expect("there is room");
    let outcomes = wait_for(LONG, "two outcomes", || Some(told.all()).filter(|told| told.len() == 2));
    let of = |token: u64| outcomes.iter().find(|(known, _)| *known == token).map(|(_, outcome)| outcome.clone()).expect("told");
    assert!(matches!(of(1), Outcome::Refused(Refusal { code: RefusalCode::TooLarge, .. })), "{:?}", of(1));
    assert!(matches!(of(2), Outcome::Stored(_)), "{:?}", of(2));
    let kept = read(&broker, &refused_topic, 1);
    assert_eq!(kept[0].0.len(), 4 << 10);
    for header in [event_schema::refused::REASON, event_schema::refused::SHA256] {
        assert!(kept[0].1.iter().any(|name| name == header), "{:?}", kept[0].1);
    }
    assert_eq!(read(&broker, &topic, 1)[0].0, b"small");
    shutdown.trigger();
    runtime.block_on(resending).expect("it ends");
}

#[test]
fn held_records_keep_their_order_and_their_news() {
    let told = Arc::new(Told::default());
    let sent = |token| Sent { receipt: receipt(&told, token), bytes: 10, since: Instant::now(), refusal: None };
    let new =
        |topic: &str, value: &str| NewRecord { topic: topic.to_owned(), value: Some(value.as_bytes().to_vec()), ..NewRecord::default() };
    let mut held = Held::default();
    assert!(held.begin("a", "unknown"));
    held.push(new("a", "1"), sent(1));
    assert!(!held.begin("a", "unknown"), "the same trouble is no news");
    held.push(new("a", "2"), sent(2));
    held.push(new("b", "3"), sent(3));
    assert_eq!((held.bytes("a"), held.bytes("b"), held.bytes("c")), (Some(20), Some(10), None));
    assert_eq!((held.why("a").as_deref(), held.why("b")), (Some("unknown"), None));
    let order: Vec<u64> = held.take().into_iter().map(|(_, sent)| sent.receipt.token).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(held.bytes("a"), None);
    assert!(!held.begin("a", "unknown"), "it was tried and failed again");
    assert!(held.begin("a", "not allowed"), "another trouble is news");
    held.forget_tries();
    held.take();
    assert!(held.begin("a", "not allowed"));
}

#[test]
fn records_of_a_topic_in_trouble_are_no_stall_of_the_others() {
    let outbox = outbox(settings("127.0.0.1:1".to_owned(), 1 << 20, &[]));
    let told = Arc::new(Told::default());
    let topic = NewRecord { topic: "gone".to_owned(), ..NewRecord::default() };
    assert!(outbox.deliveries.reserve(10));
    let sent = Sent { receipt: receipt(&told, 1), bytes: 10, since: Instant::now(), refusal: None };
    outbox.deliveries.hold(topic, sent, Some("unknown topic".to_owned()));
    assert_eq!((outbox.unsettled(), outbox.stalled_for()), (1, None));
    assert_eq!(outbox.blocked("gone").as_deref(), Some("unknown topic"));
    outbox.submit(&record("other", b"x"), receipt(&told, 2)).expect("there is room");
    assert!(outbox.stalled_for().is_some(), "this one waits for the cluster");
    outbox.submit(&record("gone", b"x"), receipt(&told, 3)).expect("it waits behind the first");
    assert_eq!(outbox.deliveries.lock_held().bytes("gone").map(|bytes| bytes > 10), Some(true));
    wait_until(LONG, "a stall", || outbox.stalled_for().is_some_and(|stalled| stalled > Duration::from_millis(20)));
}

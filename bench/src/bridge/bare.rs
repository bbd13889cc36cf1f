//! The bare produce loop: the same records, encoded beforehand, through the same idempotent producer, and nothing else.
use super::documents::{self, SCHEMA, SCHEMA_ID, TOPIC};
use crate::process::own_cpu_seconds;
use anyhow::{Context, Result, ensure};
use event_schema::encode::AvroEncoder;
use kafka_io::{Delivered, DeliveryFailure, DeliveryHandler, DeliveryProducer, KafkaConfig, NotSent, RecordRef, Security};
use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What the loop's process is told.
#[derive(Clone, Debug, clap::Args)]
pub struct BareOptions {
    /// Brokers.
    #[arg(long)]
    bootstrap: String,
    /// Records to produce.
    #[arg(long)]
    records: u64,
}

/// The bridge's default of `queue_bytes`.
const QUEUE_BYTES: u64 = 64 << 20;

#[derive(Default)]
struct Counter {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl DeliveryHandler for Counter {
    type Receipt = ();

    fn delivered(&self, (): (), _: Delivered) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, (): (), _: DeliveryFailure) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Produces all and prints the CPU-seconds from the first record to the last acknowledgement.
pub fn run(options: &BareOptions) -> Result<()> {
    let encoder = AvroEncoder::new(SCHEMA, SCHEMA_ID)?;
    let mut text = String::new();
    let mut records = Vec::new();
    for number in 0..options.records {
        text.clear();
        documents::add(&mut text, number, true);
        records.push((documents::device(number), encoder.encode_json(text.as_bytes())?));
    }
    let config = KafkaConfig { bootstrap_servers: options.bootstrap.clone(), security: Security::Plaintext };
    let counter = Arc::new(Counter::default());
    let producer = DeliveryProducer::start(&config, QUEUE_BYTES, &[], Arc::clone(&counter))?;
    let before = own_cpu_seconds().context("read /proc")?;
    for (key, value) in &records {
        let record = RecordRef { topic: TOPIC, key: Some(key.as_bytes()), value: Some(value), ..RecordRef::default() };
        while let Err(error) = producer.try_send(&record, ()) {
            ensure!(matches!(error, NotSent::Full(())), "{error:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    while counter.delivered.load(Ordering::Relaxed) < options.records {
        ensure!(counter.failed.load(Ordering::Relaxed) == 0, "records failed");
        std::thread::sleep(Duration::from_millis(1));
    }
    writeln!(std::io::stdout(), "{}", own_cpu_seconds().context("read /proc")? - before)?;
    Ok(())
}

//! The ceiling: consume in batches, decode, encode to Parquet, and nothing else. No offsets, no windows, no files, no commits.
use super::topic::{SCHEMA, SCHEMA_ID, TOPIC};
use anyhow::{Context, Result, bail, ensure};
use event_schema::{BatchDecoder, Limits, Push, SchemaFolder, TableSchema};
use kafka_io::{BatchConsumer, ConsumerOptions, GroupEvent, KafkaConfig, Security, StartAt};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use std::{
    io::Write as _,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

/// What the ceiling's process is told.
#[derive(Clone, Debug, clap::Args)]
pub struct CeilingOptions {
    /// Brokers.
    #[arg(long)]
    bootstrap: String,
    /// Records in the topic.
    #[arg(long)]
    records: u64,
    /// A consumer group of its own.
    #[arg(long)]
    group: String,
    /// Independent workers.
    #[arg(long, default_value_t = 1)]
    workers: u32,
}

const BATCH_RECORDS: usize = 16_384;
const ROW_GROUP_ROWS: usize = 1_000_000;

/// Reads the whole topic once and prints the seconds from the first record to the last.
pub fn run(options: &CeilingOptions) -> Result<()> {
    let total = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let first = Arc::new(std::sync::OnceLock::new());
    let threads: Vec<_> = (0..options.workers)
        .map(|number| {
            let (options, total, first) = (options.clone(), Arc::clone(&total), Arc::clone(&first));
            std::thread::spawn(move || worker(&options, number, &total, &first))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
    }
    let first: &Instant = first.get().context("no record came")?;
    writeln!(std::io::stdout(), "{}", first.elapsed().as_secs_f64())?;
    Ok(())
}

fn worker(options: &CeilingOptions, number: u32, total: &std::sync::atomic::AtomicU64, first: &std::sync::OnceLock<Instant>) -> Result<()> {
    use std::sync::atomic::Ordering::Relaxed;
    let config = KafkaConfig { bootstrap_servers: options.bootstrap.clone(), security: Security::Plaintext };
    let consumer_options = ConsumerOptions {
        group: options.group.clone(),
        instance_id: format!("ceiling-{number}"),
        topics: vec![TOPIC.to_owned()],
        session_timeout: Duration::from_secs(45),
        queued_bytes: 64 << 20,
        properties: Vec::new(),
    };
    let (mut consumer, events) = BatchConsumer::start(&config, consumer_options)?;
    let schema = Arc::new(TableSchema::parse(SCHEMA)?);
    let source = Arc::new(SchemaFolder::from_schemas("measurements-value", [(SCHEMA_ID, SCHEMA.to_owned())]));
    let mut decoder = BatchDecoder::new(Arc::clone(&schema), source, Limits::default());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let mut writer = ArrowWriter::try_new(std::io::sink(), Arc::clone(schema.arrow()), Some(properties))?;
    while total.load(Relaxed) < options.records {
        answer(&events)?;
        let batch = consumer.take(BATCH_RECORDS, Duration::from_millis(50));
        if batch.is_empty() {
            continue;
        }
        first.get_or_init(Instant::now);
        for record in batch.records() {
            match decoder.push(record.value.unwrap_or_default()) {
                Push::Row => {}
                other => bail!("offset {}: {other:?}", record.offset),
            }
        }
        if let Some(rows) = decoder.flush().map_err(|detail| anyhow::anyhow!(detail))? {
            ensure!(rows.num_rows() == batch.len(), "rows are missing");
            writer.write(&rows)?;
        }
        total.fetch_add(batch.len() as u64, Relaxed);
    }
    writer.close()?;
    consumer.close();
    Ok(())
}

/// Everything starts at the beginning.
fn answer(events: &Receiver<GroupEvent>) -> Result<()> {
    while let Ok(event) = events.try_recv() {
        match event {
            GroupEvent::Assigned { partitions, starts } => {
                let begin = |partition| (partition, StartAt { offset: 0, leader_epoch: None });
                starts.send(partitions.into_iter().map(begin).collect())?;
            }
            GroupEvent::Revoked { done, .. } => done.send(())?,
            GroupEvent::Error { detail, fatal } => ensure!(!fatal, "{detail}"),
        }
    }
    Ok(())
}

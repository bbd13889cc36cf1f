//! How far kafka_partitions are behind Kafka.
use kafka_io::{Admin, KafkaConfig, OffsetQuery, RangeReader, TopicPartition};
use service_runtime::clock::{Clock, SystemClock};
use std::collections::BTreeMap;
use table_log::SourcePartition;

/// Offsets looked at for the oldest record that is not taken: behind the next offset there may be transaction markers.
const LOOKED_AT: i64 = 64;

/// One kafka_partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behind {
    /// End of the kafka_partition.
    pub log_end_offset: i64,
    /// Offsets from the next one on.
    pub lag_records: u64,
    /// Age of the first record among them; 0 without lag; `None`: it has no timestamp or is far away.
    pub delay_seconds: Option<f64>,
}

/// Asks Kafka about source kafka_partitions with their next offsets. A topic that is not there is left out.
pub fn ask(config: &KafkaConfig, asked: &[(SourcePartition, i64)]) -> anyhow::Result<Vec<(SourcePartition, Behind)>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let admin = Admin::new(config)?;
    let mut names: Vec<String> = asked.iter().map(|(source, _)| source.topic.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let infos = admin.topics(&names)?;
    let mut ends: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for info in infos.into_iter().flatten() {
        let offsets = admin.offsets(&info.topic, info.partitions, OffsetQuery::Latest)?;
        ends.insert(info.topic, offsets);
    }
    let mut reader = RangeReader::new(config)?;
    let mut answers = Vec::new();
    for (source, next) in asked {
        let index = usize::try_from(source.kafka_partition.0).unwrap_or(usize::MAX);
        let Some(&end) = ends.get(&source.topic).and_then(|offsets| offsets.get(index)) else {
            continue;
        };
        let lag_records = u64::try_from(end - next).unwrap_or(0);
        let delay_seconds = if lag_records == 0 { Some(0.0) } else { oldest_age(&mut reader, source, (*next, end)) };
        answers.push((source.clone(), Behind { log_end_offset: end, lag_records, delay_seconds }));
    }
    Ok(answers)
}

/// Age of the first record from `next` on. A range that cannot be read (retention passed it) leaves the age unknown.
fn oldest_age(reader: &mut RangeReader, source: &SourcePartition, (next, end): (i64, i64)) -> Option<f64> {
    let partition = TopicPartition { topic: source.topic.clone(), kafka_partition: source.kafka_partition.0 };
    let mut first = None;
    let read = reader.read(&partition, next, end.min(next + LOOKED_AT), &mut |record| {
        first.get_or_insert(record.timestamp_ms);
    });
    read.ok()?;
    let millis = first.filter(|millis| *millis >= 0)?;
    let now = SystemClock.now().0;
    Some(((now - millis.saturating_mul(1_000)) as f64 / 1e6).max(0.0))
}

//! `--kafka`: reads the topics again and compares contents with the lake's, range by range, by an order-free hash.
//!
//! Memory: four numbers per range of the log, one bit per quarantined offset, and the offsets of one range while a difference is looked into.
mod compare;
mod kafka_rows;
mod lake_rows;
mod shape;

pub use kafka_rows::KafkaRows;
pub use shape::{RowShape, partition_texts};

use super::entry::FileKind;
use super::files::PresentFile;
use super::ledger::{Ledger, TakenRange};
use super::report::{Report, source_name, topic_name};
use crate::verify::bitmap::Bitmap;
use kafka_io::{Admin, OffsetQuery};
use std::collections::{BTreeMap, BTreeSet};
use table_log::{KafkaPartition, Seq, SourcePartition};

/// Sums of one range from both sides.
#[derive(Clone, Debug)]
struct RangeSums {
    taken: TakenRange,
    lake: u128,
    kafka: u128,
    delivered: u64,
}

/// One kafka_partition that Kafka still has.
#[derive(Debug, Default)]
struct SourceSums {
    /// Ranges that Kafka retains from their first offset on, in order.
    ranges: Vec<RangeSums>,
    quarantined: Bitmap,
}

impl SourceSums {
    fn range_of(&mut self, offset: i64) -> Option<&mut RangeSums> {
        let index = self.ranges.partition_point(|r| r.taken.end <= offset);
        self.ranges.get_mut(index).filter(|r| r.taken.start <= offset)
    }
}

/// The comparison.
#[derive(Debug)]
pub struct Contents {
    shape: RowShape,
    sources: BTreeMap<SourcePartition, SourceSums>,
    /// `_kafka_topic` → (topic, generation).
    names: BTreeMap<String, (String, u32)>,
    /// Records some of whose files are gone for good.
    incomplete: BTreeSet<Seq>,
}

impl Contents {
    /// Finds out which ranges of the log Kafka still retains.
    pub fn new(shape: RowShape, ledger: &Ledger, admin: &Admin, report: &mut Report) -> anyhow::Result<Self> {
        let mut sources = BTreeMap::new();
        let mut names = BTreeMap::new();
        let incomplete: BTreeSet<Seq> = ledger.vacuumed.iter().chain(ledger.lost_rows.keys()).copied().collect();
        for (name, source) in &ledger.sources {
            names.insert(topic_name(&name.topic, name.generation), (name.topic.clone(), name.generation));
            if source.ended {
                report.note(format!("`{}` takes no more appends; its contents were not compared with Kafka's", source_name(name)));
                continue;
            }
            let earliest = earliest(admin, name, ledger)?;
            let retained = |taken: &TakenRange| taken.start >= earliest && !incomplete.contains(&taken.seq);
            let ranges = source.ranges.iter().filter(|taken| retained(taken));
            let ranges: Vec<_> = ranges.map(|&taken| RangeSums { taken, lake: 0, kafka: 0, delivered: 0 }).collect();
            let gone = source.ranges.len() - ranges.len();
            if gone > 0 {
                report
                    .note(format!("{gone} ranges of `{}` were not compared: Kafka retains offsets from {earliest} on", source_name(name)));
            }
            sources.insert(name.clone(), SourceSums { ranges, quarantined: Bitmap::default() });
        }
        Ok(Self { shape, sources, names, incomplete })
    }

    /// Compares only ranges of records from `since` on.
    pub fn leave_out_before(&mut self, since: Seq) {
        self.sources.values_mut().for_each(|source| source.ranges.retain(|r| r.taken.seq >= since));
    }

    /// Does not compare the ranges of a record some of whose files cannot be read.
    pub fn leave_out(&mut self, seq: Seq) {
        self.sources.values_mut().for_each(|source| source.ranges.retain(|r| r.taken.seq != seq));
    }

    /// Adds the rows of a file of an append.
    pub fn add_file(&mut self, file: &PresentFile<'_>, report: &mut Report) -> anyhow::Result<()> {
        if self.incomplete.contains(&file.file.seq) {
            return Ok(());
        }
        let Self { shape, sources, names, .. } = self;
        let mut rows = 0;
        // Rows of one kafka_partition mostly stand together.
        let mut last: Option<(String, i32, SourcePartition)> = None;
        lake_rows::read(shape, file, &mut |topic, kafka_partition, offset, hash| {
            rows += 1;
            if !last.as_ref().is_some_and(|(t, p, _)| t == topic && *p == kafka_partition) {
                last = source_of(names, topic, kafka_partition).map(|source| (topic.to_owned(), kafka_partition, source));
            }
            let Some(source) = last.as_ref().and_then(|(_, _, name)| sources.get_mut(name)) else {
                return;
            };
            if file.kind == FileKind::Quarantine
                && let Ok(index) = u64::try_from(offset)
            {
                source.quarantined.insert(index);
            }
            if let Some(range) = source.range_of(offset) {
                range.lake = range.lake.wrapping_add(hash);
            }
        })?;
        report.checked("rows hashed from the lake", rows);
        Ok(())
    }
}

fn source_of(names: &BTreeMap<String, (String, u32)>, topic: &str, kafka_partition: i32) -> Option<SourcePartition> {
    let (topic, generation) = names.get(topic)?;
    Some(SourcePartition { topic: topic.clone(), generation: *generation, kafka_partition: KafkaPartition(kafka_partition) })
}

/// First offset that Kafka still has.
fn earliest(admin: &Admin, name: &SourcePartition, ledger: &Ledger) -> anyhow::Result<i64> {
    let same_topic = |s: &&SourcePartition| s.topic == name.topic && s.generation == name.generation;
    let partitions = i32::try_from(ledger.sources.keys().filter(same_topic).count()).unwrap_or(i32::MAX);
    let offsets = admin.offsets(&name.topic, partitions, OffsetQuery::Earliest)?;
    let index = usize::try_from(name.kafka_partition.0).unwrap_or(usize::MAX);
    Ok(offsets.get(index).copied().unwrap_or(0))
}

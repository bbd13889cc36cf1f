use super::{Contents, KafkaRows, RangeSums, lake_rows};
use crate::output::Progress;
use crate::verify::files::check_files;
use crate::verify::lake::{Found, Lake};
use crate::verify::ledger::Ledger;
use crate::verify::report::{Place, Report, topic_name};
use std::collections::{BTreeMap, BTreeSet};
use table_log::{Body, Invariant, SourcePartition};

/// Ranges whose differences are looked into offset by offset.
const LOOKED_INTO: usize = 10;
/// Offsets reported of one range.
const PER_RANGE: usize = 20;

impl Contents {
    /// Reads the topics and compares.
    pub fn compare(
        &mut self,
        kafka: &mut KafkaRows,
        books: (&Lake, &Ledger),
        report: &mut Report,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let names: Vec<SourcePartition> = self.sources.keys().cloned().collect();
        let mut looked_into = 0;
        for name in names {
            self.sum_kafka(kafka, &name, report, progress)?;
            let different: Vec<RangeSums> = self.sources[&name].ranges.iter().filter(|r| !r.is_equal()).cloned().collect();
            for range in different {
                looked_into += 1;
                if looked_into <= LOOKED_INTO {
                    self.look_into(kafka, &name, &range, books, report)?;
                } else {
                    let place = Place::record(range.taken.seq).range(&name, range.taken.start, range.taken.end);
                    report.violation(Invariant::Tl3, place, "contents differ from Kafka's");
                }
            }
        }
        Ok(())
    }

    fn sum_kafka(&mut self, kafka: &mut KafkaRows, name: &SourcePartition, report: &mut Report, progress: &Progress) -> anyhow::Result<()> {
        let Self { shape, sources, .. } = self;
        let source = sources.get_mut(name).expect("the name comes from the same map");
        let (ranges, quarantined) = (&mut source.ranges, &source.quarantined);
        let (mut delivered, mut refused) = (0, Vec::new());
        for ranges in ranges.chunk_by_mut(|a, b| a.taken.schema_version == b.taken.schema_version) {
            let (first, last) = (ranges[0].taken, ranges[ranges.len() - 1].taken);
            let read = kafka.read((name, first.start, last.end, first.schema_version), quarantined, shape, &mut |offset, hash| {
                delivered += 1;
                progress.add(1);
                let index = ranges.partition_point(|r| r.taken.end <= offset);
                if let Some(range) = ranges.get_mut(index).filter(|r| r.taken.start <= offset) {
                    range.delivered += 1;
                    range.kafka = range.kafka.wrapping_add(hash.unwrap_or(0));
                }
            });
            refused.extend(read?);
        }
        report.checked("records read from Kafka again", delivered);
        report.checked("ranges compared with Kafka", ranges.len() as u64);
        for (offset, why) in refused {
            let place = Place::default().offset(name, offset);
            report.violation(Invariant::Tl3, place, format!("is not in quarantine, but cannot be a row: {why}"));
        }
        Ok(())
    }

    /// Names the offsets that differ.
    #[expect(clippy::too_many_arguments, reason = "what is compared: two sides, and where they stand")]
    fn look_into(
        &mut self,
        kafka: &mut KafkaRows,
        name: &SourcePartition,
        range: &RangeSums,
        (lake, ledger): (&Lake, &Ledger),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let taken = range.taken;
        let mut in_kafka: BTreeMap<i64, Option<u128>> = BTreeMap::new();
        let quarantined = &self.sources[name].quarantined;
        kafka.read((name, taken.start, taken.end, taken.schema_version), quarantined, &self.shape, &mut |offset, hash| {
            in_kafka.insert(offset, hash);
        })?;
        let in_lake = self.lake_hashes(name, range, (lake, ledger))?;
        let offsets: BTreeSet<i64> = in_kafka.keys().chain(in_lake.keys()).copied().collect();
        let mut named = 0;
        for offset in offsets {
            let what = match (in_kafka.get(&offset), in_lake.get(&offset)) {
                (Some(Some(kafka)), Some(lake)) if kafka == lake => continue,
                (Some(None), None) => continue,
                (Some(None), Some(_)) => "is in the lake, although a setting leaves it out",
                (Some(Some(_)), Some(_)) => "its content in the lake is not what Kafka delivers",
                (Some(Some(_)), None) => "Kafka delivers it, but it is in no file of the record",
                (None, _) => "is in the lake, but Kafka does not deliver it (aborted, or compacted since)",
            };
            named += 1;
            if named <= PER_RANGE {
                report.violation(Invariant::Tl3, Place::record(taken.seq).offset(name, offset), what);
            }
        }
        if named == 0 || named > PER_RANGE {
            let place = Place::record(taken.seq).range(name, taken.start, taken.end);
            let expected = taken.end - taken.start - i64::try_from(taken.absent).unwrap_or(0);
            let what = format!("{named} offsets differ; Kafka delivers {} records, the record says {expected}", range.delivered);
            report.violation(Invariant::Tl3, place, what);
        }
        Ok(())
    }

    fn lake_hashes(
        &self,
        name: &SourcePartition,
        range: &RangeSums,
        (lake, ledger): (&Lake, &Ledger),
    ) -> anyhow::Result<BTreeMap<i64, u128>> {
        let taken = range.taken;
        let mut hashes: BTreeMap<i64, u128> = BTreeMap::new();
        let mut seqs = vec![taken.seq];
        seqs.extend(ledger.refiled.get(&taken.seq).into_iter().flatten().copied());
        seqs.dedup();
        let topic = topic_name(&name.topic, name.generation);
        for seq in seqs {
            let Found::Record(record) = lake.record(seq)? else {
                continue;
            };
            if !matches!(record.body, Body::Append(_) | Body::Repair(_)) {
                continue;
            }
            // Already reported by the first pass over the files.
            let mut ignored = Report::default();
            for file in check_files(lake, &record, ledger, &mut ignored)?.present {
                lake_rows::read(&self.shape, &file, &mut |found, kafka_partition, offset, hash| {
                    if found == topic && kafka_partition == name.kafka_partition.0 && (taken.start..taken.end).contains(&offset) {
                        let sum = hashes.entry(offset).or_default();
                        *sum = sum.wrapping_add(hash);
                    }
                })?;
            }
        }
        Ok(hashes)
    }
}

impl RangeSums {
    fn is_equal(&self) -> bool {
        let expected = u64::try_from(self.taken.end - self.taken.start).unwrap_or(0).saturating_sub(self.taken.absent);
        self.lake == self.kafka && self.delivered == expected
    }
}

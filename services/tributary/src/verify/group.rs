//! TL-6: the advisory offsets of the consumer group are never ahead of the log.
use super::ledger::Ledger;
use super::report::{Place, Report};
use kafka_io::{Admin, TopicPartition};
use table_log::{Invariant, SourcePartition, TableName};

/// The consumer group of a table.
fn group_of(table: &TableName) -> String {
    format!("tributary.{table}")
}

/// Asks the cluster for the group's offsets and compares them with the log's.
pub fn check_group(admin: &Admin, table: &TableName, ledger: &Ledger, report: &mut Report) -> anyhow::Result<()> {
    let current: Vec<&SourcePartition> = ledger.sources.iter().filter(|(_, source)| !source.ended).map(|(name, _)| name).collect();
    let asked: Vec<TopicPartition> =
        current.iter().map(|s| TopicPartition { topic: s.topic.clone(), kafka_partition: s.kafka_partition.0 }).collect();
    let answers = admin.group_offsets(&group_of(table), &asked)?;
    for name in current {
        let mine = answers.iter().find(|(p, _)| p.topic == name.topic && p.kafka_partition == name.kafka_partition.0);
        let Some((_, Some(offset))) = mine else {
            continue;
        };
        report.checked("group offsets", 1);
        let next = ledger.sources[name].next_offset.0;
        if *offset > next {
            let place = Place::default().offset(name, *offset);
            report.violation(Invariant::Tl6, place, format!("the group's offset {offset} is ahead of the log's next offset {next}"));
        }
    }
    Ok(())
}

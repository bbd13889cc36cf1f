//! What a verification looked at and what it found.
use crate::context::Context;
use crate::output::Align;
use serde::Serialize;
use std::collections::BTreeMap;
use table_log::{Invariant, Seq, SourcePartition};

/// Violations kept with their text; beyond it they are only counted.
const KEPT: usize = 1_000;

/// Where a violation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Log record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// Key of a file or object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `topic/kafka_partition/offset`, or a range `topic/kafka_partition/start..end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
}

impl Place {
    /// A log record.
    pub fn record(seq: Seq) -> Self {
        Self { record: Some(seq.0), ..Self::default() }
    }

    /// A file or object.
    pub fn file(mut self, key: &str) -> Self {
        self.file = Some(key.to_owned());
        self
    }

    /// An offset.
    pub fn offset(mut self, source: &SourcePartition, offset: i64) -> Self {
        self.offset = Some(format!("{}/{offset}", source_name(source)));
        self
    }

    /// A range of offsets.
    pub fn range(mut self, source: &SourcePartition, start: i64, end: i64) -> Self {
        self.offset = Some(format!("{}/{start}..{end}", source_name(source)));
        self
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let record = self.record.map(|seq| format!("record {seq}"));
        let parts = [record, self.file.clone(), self.offset.clone()];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// `topic/kafka_partition`, with the generation after the first one.
pub fn source_name(source: &SourcePartition) -> String {
    format!("{}/{}", topic_name(&source.topic, source.generation), source.kafka_partition)
}

/// The topic as `_kafka_topic` has it: `topic#<generation>` after the first generation.
pub fn topic_name(topic: &str, generation: u32) -> String {
    if generation > 1 { format!("{topic}#{generation}") } else { topic.to_owned() }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Its id, such as `TL-3`.
    pub invariant: String,
    /// Where.
    pub place: Place,
    /// What was expected and what was found.
    pub what: String,
}

/// Result of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// Log records read.
    pub records: u64,
    /// Rows in data files, by the log.
    pub rows: u64,
    /// Records in quarantine, by the log.
    pub quarantined: u64,
    /// Offsets left out by a setting.
    pub skipped: u64,
    /// Offsets that Kafka never delivers.
    pub absent: u64,
    /// Offsets declared lost.
    pub lost: u64,
    /// Revisions of windows.
    pub revisions: u64,
    /// Rows dropped in favour of equal ones.
    pub duplicates: u64,
    /// What was checked, with counts.
    pub checked: BTreeMap<&'static str, u64>,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
    /// The violations, at most a thousand.
    pub violations: Vec<Violation>,
    /// How many violations there are.
    pub violations_total: u64,
}

impl Report {
    /// So many things more of this kind were checked.
    pub fn checked(&mut self, what: &'static str, count: u64) {
        *self.checked.entry(what).or_default() += count;
    }

    /// Adds a violation.
    pub fn violation(&mut self, invariant: Invariant, place: Place, what: impl Into<String>) {
        self.violations_total += 1;
        if self.violations.len() < KEPT {
            self.violations.push(Violation { invariant: invariant.id().to_owned(), place, what: what.into() });
        }
    }

    /// Adds a remark on what was not checked.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Prints a report: tables for people, one object for programs.
pub fn print(report: &Report, context: &Context) -> anyhow::Result<()> {
    let output = context.output;
    if output.is_json() {
        return output.json(report);
    }
    let checked = report.checked.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]);
    output.table(&[("checked", Align::Left), ("count", Align::Right)], checked);
    output.line("");
    for note in &report.notes {
        output.line(&format!("note: {note}"));
    }
    if report.violations_total == 0 {
        let Report { table, rows, quarantined, skipped, absent, lost, revisions, duplicates, .. } = report;
        output.line(&format!(
            "table `{table}`: no violation; taken offsets: {rows} rows, {quarantined} quarantined, {skipped} skipped, {absent} absent, {lost} lost; {revisions} revisions, {duplicates} duplicates dropped"
        ));
        return Ok(());
    }
    let header = [("invariant", Align::Left), ("where", Align::Left), ("what", Align::Left)];
    output.table(&header, report.violations.iter().map(|v| vec![v.invariant.clone(), v.place.to_string(), v.what.clone()]));
    let unlisted = report.violations_total - report.violations.len() as u64;
    let more = if unlisted > 0 { format!(" ({unlisted} of them not listed)") } else { String::new() };
    output.line(&format!("\ntable `{}`: {} violations{more}", report.table, report.violations_total));
    Ok(())
}

//! TL-3 for the whole table: each offset that became a row or was refused is now in exactly one file that holds the table's rows, or in one
//! list of duplicates. It needs no file that was vacuumed.
use super::entry::{FileKind, files_of};
use super::identities::{Identities, Identity, read_identities};
use super::lake::{Found, Lake};
use super::ledger::Ledger;
use super::report::{Place, Report, topic_name};
use super::revisions::History;
use crate::output::Progress;
use std::collections::{BTreeSet, HashMap};
use table_log::{FileRef, Invariant, Record, Seq};

/// Violations that are listed.
const MOST: usize = 100;

/// The check.
struct Holding<'a> {
    files: BTreeSet<FileRef>,
    /// First offset and first one not taken, per topic with generation and kafka_partition.
    taken: HashMap<(String, i32), (i64, i64)>,
    ledger: &'a Ledger,
    found: Identities,
    /// All files could be read.
    complete: bool,
    wrong: usize,
}

/// Reads the identity of each row that the table holds or has dropped.
pub fn check_holding(
    lake: &Lake,
    seqs: &[Seq],
    (ledger, history): (&Ledger, &History),
    report: &mut Report,
    progress: &Progress,
) -> anyhow::Result<()> {
    let taken = ledger.sources.iter().map(|(name, source)| {
        let topic = topic_name(&name.topic, name.generation);
        ((topic, name.kafka_partition.0), (source.start.0, source.next_offset.0))
    });
    let (files, found) = (history.holding(), Identities::default());
    let mut holding = Holding { files, taken: taken.collect(), ledger, found, complete: true, wrong: 0 };
    for seq in seqs {
        progress.add(1);
        if let Found::Record(record) = lake.record(*seq)? {
            holding.read_record(lake, &record, report)?;
        }
    }
    holding.finish(report);
    Ok(())
}

impl Holding<'_> {
    fn read_record(&mut self, lake: &Lake, record: &Record, report: &mut Report) -> anyhow::Result<()> {
        for (file, kind, entry) in files_of(record) {
            let wanted = if kind == FileKind::Data { self.files.contains(&file) } else { !self.ledger.removed.contains(&file) };
            if !wanted {
                continue;
            }
            // What cannot be read was said when the files were looked at, or is not published yet.
            let Ok(parquet) = lake.open(&entry.key, entry.bytes) else {
                self.complete = false;
                continue;
            };
            let mut wrong = Vec::new();
            let mut rows = 0;
            let read = read_identities(&parquet, |identity| {
                rows += 1;
                wrong.extend(self.wrong_with(&identity).map(|what| (identity.to_string(), what)));
            });
            self.complete &= read.is_ok();
            report.checked("rows held or dropped, by identity", rows);
            for (offset, what) in wrong {
                self.wrong += 1;
                if self.wrong <= MOST {
                    let place = Place { offset: Some(offset), ..Place::record(record.seq).file(&entry.key) };
                    report.violation(Invariant::Tl3, place, what);
                }
            }
        }
        Ok(())
    }

    fn wrong_with(&mut self, identity: &Identity<'_>) -> Option<&'static str> {
        let range = self.taken.get(&(identity.topic.to_owned(), identity.kafka_partition));
        if range.is_none_or(|(start, end)| identity.offset < *start || identity.offset >= *end) {
            return Some("no record took this offset");
        }
        (!self.found.insert(identity)).then_some("the table holds this offset, or has dropped it, a second time")
    }

    fn finish(self, report: &mut Report) {
        let lost: u64 = self.ledger.lost_rows.values().sum();
        let due = (report.rows + report.quarantined).saturating_sub(lost);
        if self.complete && self.wrong == 0 && self.found.len() != due {
            let what = format!("{} offsets are held or dropped, {due} were taken as rows or refused", self.found.len());
            report.violation(Invariant::Tl3, Place::default(), what);
        }
    }
}

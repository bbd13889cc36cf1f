//! TM-3 and TM-4 over the log's history, and TM-3 by contents: a revision holds each row of its inputs once, but for those that its list of
//! duplicates names in favour of rows that it holds.
use super::entry::FileKind;
use super::files::{PresentFile, RecordFiles};
use super::identities::{Identities, read_duplicates, read_identities};
use super::lake::{Found, Lake};
use super::ledger::Ledger;
use super::report::{Place, Report};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use table_log::invariant::Revisions;
use table_log::record::SealBody;
use table_log::{Body, FileRef, Invariant, Record, Seq};
use windowing::Time;

/// Violations of one revision that are listed.
const PER_REVISION: usize = 20;

/// The revisions of a table, record by record.
#[derive(Debug, Default)]
pub struct History {
    books: Revisions,
    /// What each seal was made from.
    inputs: HashMap<Seq, BTreeSet<FileRef>>,
    /// The record that made the newest revision of each derived window.
    derived: BTreeMap<Time, Seq>,
}

impl History {
    /// Takes the next record down and checks it: TM-3 by counts, TM-4, and that nothing is vacuumed too early.
    pub fn take(&mut self, record: &Record, report: &mut Report) {
        match &record.body {
            Body::Seal(body) => {
                self.inputs.insert(record.seq, self.books.inputs_of(body));
                report.checked("revisions", 1);
                report.revisions += 1;
                report.duplicates += body.duplicate_rows;
            }
            Body::Derive(body) => {
                self.derived.insert(body.window_start, record.seq);
                report.checked("revisions", 1);
                report.revisions += 1;
            }
            Body::Vacuum(body) => report.checked("vacuumed files by their successors", body.files.len() as u64),
            _ => {}
        }
        for violation in self.books.take(record) {
            report.violation(violation.invariant, Place::record(record.seq), violation.detail);
        }
    }

    /// The files that hold the table's rows now.
    pub fn holding(&self) -> BTreeSet<FileRef> {
        self.books.holding().collect()
    }

    /// Derived windows, each with the record of its newest revision.
    pub fn derived(&self) -> impl Iterator<Item = (Time, Seq)> + '_ {
        self.derived.iter().map(|(window_start, seq)| (*window_start, *seq))
    }

    /// TM-3 by identity of one seal. Revisions whose inputs are vacuumed are not read: of the newest ones [`super::holding`] tells.
    pub fn check_seal(
        &self,
        lake: &Lake,
        (record, body, files): (&Record, &SealBody, &RecordFiles<'_>),
        ledger: &Ledger,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let no_inputs = BTreeSet::new();
        let inputs = self.inputs.get(&record.seq).unwrap_or(&no_inputs);
        if !files.complete || inputs.iter().any(|file| ledger.removed.contains(file)) {
            report.checked("revisions whose inputs are vacuumed, not read", 1);
            return Ok(());
        }
        let mut check =
            SealContents { place: Place::record(record.seq), left: Identities::default(), made: Identities::default(), wrong: 0 };
        if !check.read_inputs(lake, inputs, report)? {
            return Ok(());
        }
        for file in files.present.iter().filter(|file| file.kind == FileKind::Data) {
            check.read_made(file, report)?;
        }
        for file in files.present.iter().filter(|file| file.kind == FileKind::Duplicates) {
            check.read_dropped(file, report)?;
        }
        check.finish(body, report);
        Ok(())
    }
}

/// One seal's rows.
struct SealContents {
    place: Place,
    /// Rows of the inputs that were not found in the revision yet.
    left: Identities,
    /// Rows of the revision.
    made: Identities,
    wrong: usize,
}

impl SealContents {
    /// False: an input cannot be read, which is said where it was written.
    fn read_inputs(&mut self, lake: &Lake, inputs: &BTreeSet<FileRef>, report: &mut Report) -> anyhow::Result<bool> {
        let mut by_record: BTreeMap<Seq, Vec<u32>> = BTreeMap::new();
        inputs.iter().for_each(|file| by_record.entry(file.seq).or_default().push(file.index));
        for (seq, indexes) in by_record {
            let Found::Record(record) = lake.record(seq)? else { return Ok(false) };
            for entry in indexes.into_iter().filter_map(|index| record.files().nth(index as usize)) {
                let Ok(parquet) = lake.open(&entry.key, entry.bytes) else { return Ok(false) };
                let mut again = Vec::new();
                let read = read_identities(&parquet, |identity| {
                    if !self.left.insert(&identity) {
                        again.push(identity.to_string());
                    }
                });
                if read.is_err() {
                    return Ok(false);
                }
                again.into_iter().for_each(|row| self.violated(Invariant::Tl3, &row, "is in its inputs twice", report));
            }
        }
        Ok(true)
    }

    fn read_made(&mut self, file: &PresentFile<'_>, report: &mut Report) -> anyhow::Result<()> {
        let mut unknown = Vec::new();
        read_identities(&file.parquet, |identity| {
            report.checked("rows of revisions by identity", 1);
            if !self.left.remove(&identity) && unknown.len() < PER_REVISION {
                unknown.push(identity.to_string());
            }
            self.made.insert(&identity);
        })?;
        unknown
            .into_iter()
            .for_each(|row| self.violated(Invariant::Tm3, &row, "is in the revision twice, or in none of its inputs", report));
        Ok(())
    }

    fn read_dropped(&mut self, file: &PresentFile<'_>, report: &mut Report) -> anyhow::Result<()> {
        let mut wrong = Vec::new();
        read_duplicates(&file.parquet, |dropped, kept| {
            report.checked("duplicates by identity", 1);
            if wrong.len() >= PER_REVISION {
                return;
            }
            if !self.left.remove(&dropped) {
                wrong.push((dropped.to_string(), "is dropped, but is in none of its inputs or in the revision too".to_owned()));
            }
            if !self.made.contains(&kept) {
                wrong.push((dropped.to_string(), format!("is dropped in favour of {kept}, which the revision does not hold")));
            }
        })?;
        wrong.into_iter().for_each(|(row, what)| self.violated(Invariant::Tm3, &row, &what, report));
        Ok(())
    }

    fn finish(&mut self, body: &SealBody, report: &mut Report) {
        report.checked("revisions by identity", 1);
        if let Some(row) = self.left.any() {
            let (window, revision, rows) = (body.window_start, body.revision, self.left.len());
            let what = format!("and {rows} rows in all of its inputs are neither in revision {revision} of window {window} nor dropped");
            self.violated(Invariant::Tm3, &row.to_string(), &what, report);
        }
    }

    fn violated(&mut self, invariant: Invariant, row: &str, what: &str, report: &mut Report) {
        self.wrong += 1;
        if self.wrong <= PER_REVISION {
            report.violation(invariant, Place { offset: Some(row.to_owned()), ..self.place.clone() }, what);
        }
    }
}

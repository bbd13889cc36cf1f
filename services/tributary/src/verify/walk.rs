//! The order of the checks: records, files, orphans, group, contents.
use super::contents::{Contents, KafkaRows, RowShape};
use super::derived::Derivation;
use super::entry::{NamedKeys, check_entries};
use super::files::{RecordFiles, check_files};
use super::group::check_group;
use super::holding::check_holding;
use super::identity::RecordOffsets;
use super::lake::{Found, Lake};
use super::ledger::Ledger;
use super::orphans::check_orphans;
use super::records;
use super::report::Report;
use super::revisions::History;
use crate::output::Output;
use anyhow::Context;
use event_schema::{Limits, SchemaSource};
use kafka_io::{Admin, KafkaConfig};
use std::sync::Arc;
use table_log::{Body, Record, Seq};

/// How to ask Kafka.
#[derive(Debug)]
pub struct KafkaAccess {
    /// The cluster.
    pub config: KafkaConfig,
    /// `--kafka`: not reaching it is an error, and contents are compared.
    pub required: bool,
    /// Schemas to decode with, when contents are compared; else they may be none.
    pub schemas: Arc<dyn SchemaSource>,
    /// Bounds of decoding, as the writer has them.
    pub limits: Limits,
    /// The table leaves out records without value.
    pub skip_tombstones: bool,
}

/// One verification of one table.
#[derive(Debug)]
pub struct Verification {
    /// The table's objects.
    pub lake: Lake,
    /// Read the identity of every row.
    pub deep: bool,
    /// First record whose files are looked at.
    pub since: u64,
    /// The cluster; `None`: it is not asked.
    pub kafka: Option<KafkaAccess>,
    /// What a derived table is made by; `None`: it is fed by Kafka.
    pub derivation: Option<Derivation>,
    /// For progress.
    pub output: Output,
}

impl Verification {
    /// Runs all checks that were asked for.
    pub fn run(&self) -> anyhow::Result<Report> {
        let mut report = Report { table: self.lake.table.0.clone(), ..Report::default() };
        let seqs = self.lake.record_seqs()?;
        let mut ledger = Ledger::new(self.lake.table.clone());
        let mut history = History::default();
        let mut named = NamedKeys::default();
        let progress = self.output.progress("log records", Some(seqs.len() as u64));
        records::walk(&self.lake, &seqs, &mut report, &progress, |record, report| {
            ledger.take(record, report);
            history.take(record, report);
            check_entries(record, ledger.layout().as_ref(), &mut named, report);
        })?;
        drop(progress);
        if seqs.is_empty() {
            report.note("the table has no log yet");
        }
        let admin = self.admin(&mut report)?;
        let mut contents = self.contents(&ledger, admin.as_ref(), &mut report)?;
        self.check_all_files(&seqs, (&ledger, &history), contents.as_mut(), &mut report)?;
        if self.deep && self.since == 0 && report.violations_total == 0 && !ledger.sources.is_empty() {
            let progress = self.output.progress("rows by record", Some(seqs.len() as u64));
            check_holding(&self.lake, &seqs, (&ledger, &history), &mut report, &progress)?;
        }
        if let Some(derivation) = &self.derivation {
            derivation.check(&self.lake, (&ledger, &history), self.deep, &mut report)?;
        }
        let tail = seqs.last().map_or(Seq(0), |last| Seq(last.0 + 1));
        check_orphans(&self.lake, &mut named, tail, &mut report, &self.output.progress("objects", None))?;
        if let Some(admin) = &admin {
            check_offsets_of_group(self, admin, &ledger, &mut report)?;
        }
        if let (Some(contents), Some(access)) = (&mut contents, &self.kafka) {
            let mut rows = KafkaRows::new(access, &ledger.schemas)?;
            let progress = self.output.progress("records from Kafka", None);
            contents.compare(&mut rows, (&self.lake, &ledger), &mut report, &progress)?;
        }
        Ok(report)
    }

    fn is_kafka_required(&self) -> bool {
        self.kafka.as_ref().is_some_and(|access| access.required)
    }

    fn admin(&self, report: &mut Report) -> anyhow::Result<Option<Admin>> {
        let Some(access) = &self.kafka else {
            return Ok(None);
        };
        match Admin::new(&access.config).and_then(|admin| admin.cluster_id().map(|_| admin)) {
            Ok(admin) => Ok(Some(admin)),
            Err(error) if access.required => Err(error).context("reach Kafka"),
            Err(error) => {
                report.note(format!("TL-6 was not checked: {error}"));
                Ok(None)
            }
        }
    }

    fn contents(&self, ledger: &Ledger, admin: Option<&Admin>, report: &mut Report) -> anyhow::Result<Option<Contents>> {
        let (Some(admin), Some(table), true) = (admin, &ledger.table, self.is_kafka_required()) else {
            return Ok(None);
        };
        let shape = RowShape::new(&self.lake.table.0, table)?;
        let mut contents = Contents::new(shape, ledger, admin, report)?;
        if self.since > 0 {
            contents.leave_out_before(Seq(self.since));
        }
        Ok(Some(contents))
    }

    /// Second walk: the files, now that it is known which of them later records removed or published.
    fn check_all_files(
        &self,
        seqs: &[Seq],
        (ledger, history): (&Ledger, &History),
        mut contents: Option<&mut Contents>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let seqs: Vec<Seq> = seqs.iter().copied().filter(|seq| seq.0 >= self.since).collect();
        let progress = self.output.progress("files by record", Some(seqs.len() as u64));
        for seq in seqs {
            progress.add(1);
            if let Found::Record(record) = self.lake.record(seq)? {
                self.check_record_files(&record, (ledger, history), contents.as_deref_mut(), report)?;
            }
        }
        Ok(())
    }

    fn check_record_files(
        &self,
        record: &Record,
        (ledger, history): (&Ledger, &History),
        contents: Option<&mut Contents>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let files = check_files(&self.lake, record, ledger, report)?;
        if self.deep {
            self.check_identity(record, &files, ledger, report)?;
            if let Body::Seal(body) = &record.body {
                history.check_seal(&self.lake, (record, body, &files), ledger, report)?;
            }
        }
        if let Some(contents) = contents
            && matches!(record.body, Body::Append(_) | Body::Repair(_))
        {
            for file in &files.present {
                contents.add_file(file, report)?;
            }
            if !files.complete {
                contents.leave_out(ledger.taken_by(record.seq));
            }
        }
        Ok(())
    }

    fn check_identity(&self, record: &Record, files: &RecordFiles<'_>, ledger: &Ledger, report: &mut Report) -> anyhow::Result<()> {
        let Body::Append(body) = &record.body else {
            return Ok(());
        };
        if ledger.vacuumed.contains(&record.seq) {
            report.checked("records with vacuumed files, not read", 1);
            return Ok(());
        }
        let mut offsets = RecordOffsets::new(record.seq, body);
        for file in &files.present {
            offsets.read(file, ledger, false, report)?;
        }
        let mut complete = files.complete;
        for repair in ledger.refiled.get(&record.seq).into_iter().flatten() {
            complete &= self.read_refiled(*repair, &mut offsets, ledger, report)?;
        }
        if complete {
            offsets.finish(ledger.lost_rows.get(&record.seq).copied().unwrap_or(0), report);
        } else {
            report.checked("records with files missing or not published, not counted", 1);
        }
        Ok(())
    }

    /// The replacements of a record's lost files; they are checked as files of their own record too. Returns whether all are there.
    fn read_refiled(&self, seq: Seq, offsets: &mut RecordOffsets<'_>, ledger: &Ledger, report: &mut Report) -> anyhow::Result<bool> {
        let Found::Record(record) = self.lake.record(seq)? else {
            return Ok(false);
        };
        let files = check_files(&self.lake, &record, ledger, &mut Report::default())?;
        for file in &files.present {
            offsets.read(file, ledger, true, report)?;
        }
        Ok(files.complete)
    }
}

fn check_offsets_of_group(verification: &Verification, admin: &Admin, ledger: &Ledger, report: &mut Report) -> anyhow::Result<()> {
    match check_group(admin, &verification.lake.table, ledger, report) {
        Err(error) if verification.is_kafka_required() => Err(error),
        Err(error) => {
            report.note(format!("TL-6 was not checked: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

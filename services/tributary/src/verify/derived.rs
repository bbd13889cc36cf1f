//! TM-3 of a derived table: its SQL, run again on the revisions that a record names, gives the rows of the record's files. Of a sample of windows:
//! the newest one, and others spread evenly over the rest.
use super::contents::{RowShape, partition_texts};
use super::entry::FileKind;
use super::files::check_files;
use super::lake::{Found, Lake};
use super::ledger::Ledger;
use super::report::{Place, Report};
use super::revisions::History;
use anyhow::Context;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use lake_query::transform::RunOptions;
use lake_store::TableLog;
use std::collections::BTreeMap;
use std::sync::Arc;
use table_log::record::DeriveBody;
use table_log::{Body, Invariant, Record, Seq};
use window_sealer::derive::{Rerun, TransformSettings, rerun};
use windowing::Time;

/// Windows that are made again; `--deep` makes all of them again.
const SAMPLE: usize = 10;

/// What a derived table is made by and from.
#[derive(Debug)]
pub struct Derivation {
    /// The transform of the settings.
    pub transform: TransformSettings,
    /// The source's log, folded to its tail.
    pub source: TableLog,
}

/// Rows by their hash, with how often they are there.
type Rows = BTreeMap<u128, i64>;

impl Derivation {
    /// Makes the newest revisions of a sample of windows again.
    pub fn check(&self, lake: &Lake, (ledger, history): (&Ledger, &History), deep: bool, report: &mut Report) -> anyhow::Result<()> {
        let newest: Vec<(Time, Seq)> = history.derived().collect();
        let step = if deep { 1 } else { newest.len().div_ceil(SAMPLE).max(1) };
        for (_, seq) in newest.iter().rev().step_by(step) {
            if let Found::Record(record) = lake.record(*seq)? {
                self.check_record(lake, &record, ledger, report)?;
            }
        }
        Ok(())
    }

    fn check_record(&self, lake: &Lake, record: &Record, ledger: &Ledger, report: &mut Report) -> anyhow::Result<()> {
        let (Body::Derive(body), Some(table)) = (&record.body, &ledger.table) else { return Ok(()) };
        // What is wrong with the files themselves has been said.
        let files = check_files(lake, record, ledger, &mut Report::default())?;
        if !files.complete {
            report.checked("derived windows with files that are not there, not made again", 1);
            return Ok(());
        }
        let shape = RowShape::new(&lake.table.0, table)?;
        let Some(mut rows) = self.rows_again(lake, &shape, body, report)? else { return Ok(()) };
        for file in files.present.iter().filter(|file| file.kind == FileKind::Data) {
            for batch in file.parquet.read(Arc::clone(&shape.file_schema))? {
                let batch = batch?;
                let mut columns = batch.columns().to_vec();
                for value in &file.entry.lake_partition.values {
                    let texts: StringArray = std::iter::repeat_n(value.as_deref(), batch.num_rows()).collect();
                    columns.push(Arc::new(texts) as ArrayRef);
                }
                count(&mut rows, &shape, &columns, -1)?;
            }
        }
        let sum = |wanted: fn(&&i64) -> bool| rows.values().filter(wanted).map(|times| times.unsigned_abs()).sum::<u64>();
        let (missing, unexpected) = (sum(|times| **times > 0), sum(|times| **times < 0));
        report.checked("derived windows made again", 1);
        if missing + unexpected > 0 {
            let what = format!(
                "revision {} of window {}: its SQL gives {missing} rows that are not in its files, which hold {unexpected} rows that it does not give",
                body.revision, body.window_start
            );
            report.violation(Invariant::Tm3, Place::record(record.seq), what);
        }
        Ok(())
    }

    /// The rows that the SQL gives now. `None`: it cannot be told any more, which is noted.
    fn rows_again(&self, lake: &Lake, shape: &RowShape, body: &DeriveBody, report: &mut Report) -> anyhow::Result<Option<Rows>> {
        let options = RunOptions::default();
        let run = rerun(&self.transform, &self.source, body, &options);
        let batches = match lake.block_on(run).with_context(|| format!("derive window {} again", body.window_start))? {
            Rerun::Rows(rows) => lake.block_on(rows.collect())?,
            Rerun::OtherVersion(why) => {
                report.note(format!("window {} was not made again: {why}", body.window_start));
                return Ok(None);
            }
            Rerun::InputsGone(_) => {
                report.checked("derived windows whose inputs are vacuumed, not made again", 1);
                return Ok(None);
            }
        };
        let mut rows = Rows::new();
        for batch in &batches {
            count(&mut rows, shape, &columns_of(batch, shape)?, 1)?;
        }
        Ok(Some(rows))
    }
}

/// The columns of the table's files, then those of its partition values as text.
fn columns_of(batch: &RecordBatch, shape: &RowShape) -> anyhow::Result<Vec<ArrayRef>> {
    let column = |name: &str| batch.column_by_name(name).with_context(|| format!("the result has no column `{name}`"));
    let mut columns = Vec::new();
    for field in shape.file_schema.fields() {
        columns.push(Arc::clone(column(field.name())?));
    }
    for name in &shape.partition_by {
        columns.push(partition_texts(column(name)?)?);
    }
    Ok(columns)
}

fn count(rows: &mut Rows, shape: &RowShape, columns: &[ArrayRef], times: i64) -> anyhow::Result<()> {
    for hash in shape.hashes(columns)? {
        *rows.entry(hash).or_default() += times;
    }
    Ok(())
}

//! TL-3 by contents: the files of a record hold each of its offsets at most once and as many as it says, and no other. As the ranges of
//! records do not overlap (TL-2), each offset of the table is then found exactly once. Memory: about one bit per offset of one record.
use super::bitmap::Bitmap;
use super::entry::{FileKind, window_of};
use super::files::{PresentFile, event_time_column};
use super::ledger::Ledger;
use super::report::{Place, Report, topic_name};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use std::sync::Arc;
use table_log::record::{AppendBody, AppendRange};
use table_log::{Invariant, Seq};
use windowing::Time;

/// Violations of one kind that one file may cause before it is given up.
const PER_FILE: usize = 20;

/// Offsets of one range, as they are found.
#[derive(Debug)]
struct FoundOffsets<'a> {
    range: &'a AppendRange,
    topic: String,
    seen: Bitmap,
    rows: u64,
    quarantined: u64,
}

/// Where an offset was found.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    First,
    Again,
    Outside,
}

/// The offsets of one record.
#[derive(Debug)]
pub struct RecordOffsets<'a> {
    seq: Seq,
    ranges: Vec<FoundOffsets<'a>>,
}

impl<'a> RecordOffsets<'a> {
    /// None found yet.
    pub fn new(seq: Seq, body: &'a AppendBody) -> Self {
        let ranges = body.ranges.iter().map(FoundOffsets::new).collect();
        Self { seq, ranges }
    }

    /// Reads the identity columns of a file. `others`: rows outside of the record's ranges belong to other records (a refiled file).
    pub fn read(&mut self, file: &PresentFile<'_>, ledger: &Ledger, others: bool, report: &mut Report) -> anyhow::Result<()> {
        let Some(layout) = ledger.layout() else {
            return Ok(());
        };
        let column = event_time_column(file.kind, ledger);
        let window = window_of(file.kind, file.entry, &layout);
        let mut wrong = 0;
        for batch in file.parquet.read(identity_schema(&column, file))? {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    report.violation(Invariant::Tl4, self.place(file), format!("cannot be read to its end: {error}"));
                    return Ok(());
                }
            };
            report.checked("rows by identity", batch.num_rows() as u64);
            wrong += self.mark_batch(&batch, file, others, report);
            wrong += self.check_times(&batch, file, window, report);
            if wrong >= PER_FILE {
                report.note(format!("file `{}` was given up after {wrong} violations", file.entry.key));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Compares what was found with what the record says. `lost_rows`: rows of its files that are declared lost.
    pub fn finish(self, lost_rows: u64, report: &mut Report) {
        let missing = |expected: u64, found: u64| expected.saturating_sub(found);
        let missing_rows: u64 =
            self.ranges.iter().map(|f| missing(f.range.rows, f.rows) + missing(f.range.quarantined, f.quarantined)).sum();
        for found in &self.ranges {
            let range = found.range;
            let (start, end) = (range.range.start.0, range.range.end.0);
            let place = || Place::record(self.seq).range(&range.source, start, end);
            report.checked("ranges by identity", 1);
            for (kind, expected, found) in [("rows", range.rows, found.rows), ("quarantined records", range.quarantined, found.quarantined)]
            {
                let declared_lost = found < expected && missing_rows <= lost_rows;
                if found != expected && !declared_lost {
                    report.violation(Invariant::Tl3, place(), format!("the record says {expected} {kind}, its files hold {found}"));
                }
            }
        }
    }

    fn mark_batch(&mut self, batch: &RecordBatch, file: &PresentFile<'_>, others: bool, report: &mut Report) -> usize {
        let topics = batch.column(0).as_string::<i32>();
        let partitions = batch.column(1).as_primitive::<Int32Type>();
        let offsets = batch.column(2).as_primitive::<Int64Type>();
        let mut last = 0;
        let mut wrong = 0;
        for row in 0..batch.num_rows() {
            if topics.is_null(row) || partitions.is_null(row) || offsets.is_null(row) {
                report.violation(Invariant::Tl3, self.place(file), "has a row without identity");
                wrong += 1;
                continue;
            }
            let (topic, partition, offset) = (topics.value(row), partitions.value(row), offsets.value(row));
            let mark = self.mark(topic, partition, offset, (file.kind, &mut last));
            let name = || format!("{topic}/{partition}/{offset}");
            let place = |offsets: &Self| Place { offset: Some(name()), ..offsets.place(file) };
            match mark {
                Mark::First => continue,
                Mark::Outside if others => continue,
                Mark::Again => report.violation(Invariant::Tl3, place(self), "the offset is in the record's files a second time"),
                Mark::Outside => report.violation(Invariant::Tl3, place(self), "the offset is in none of the record's ranges"),
            }
            wrong += 1;
        }
        wrong
    }

    fn mark(&mut self, topic: &str, partition: i32, offset: i64, (kind, last): (FileKind, &mut usize)) -> Mark {
        let is = |found: &FoundOffsets<'_>| found.range.source.kafka_partition.0 == partition && found.topic == topic;
        if !self.ranges.get(*last).is_some_and(is) {
            match self.ranges.iter().position(is) {
                Some(index) => *last = index,
                None => return Mark::Outside,
            }
        }
        self.ranges[*last].mark(offset, kind)
    }

    fn check_times(&self, batch: &RecordBatch, file: &PresentFile<'_>, (start, end): (Time, Time), report: &mut Report) -> usize {
        let Some(times) = batch.columns().get(3).map(|c| c.as_primitive::<TimestampMicrosecondType>()) else {
            return 0;
        };
        let outside = times.iter().filter(|time| time.is_none_or(|t| t < start.0 || t >= end.0)).count();
        report.checked("event times by row", times.len() as u64);
        if outside > 0 {
            let what = format!("{outside} rows of a batch have an event time outside of {start} to {end}");
            report.violation(Invariant::Tm2, self.place(file), what);
        }
        outside
    }

    fn place(&self, file: &PresentFile<'_>) -> Place {
        Place::record(self.seq).file(&file.entry.key)
    }
}

impl<'a> FoundOffsets<'a> {
    fn new(range: &'a AppendRange) -> Self {
        let topic = topic_name(&range.source.topic, range.source.generation);
        Self { range, topic, seen: Bitmap::default(), rows: 0, quarantined: 0 }
    }

    fn mark(&mut self, offset: i64, kind: FileKind) -> Mark {
        let range = self.range.range;
        if offset < range.start.0 || offset >= range.end.0 {
            return Mark::Outside;
        }
        if !self.seen.insert(offset.abs_diff(range.start.0)) {
            return Mark::Again;
        }
        match kind {
            FileKind::Quarantine => self.quarantined += 1,
            FileKind::Data | FileKind::Duplicates => self.rows += 1,
        }
        Mark::First
    }
}

/// Identity, and the time that decides where a row lies if the file has it as microseconds.
fn identity_schema(column: &str, file: &PresentFile<'_>) -> SchemaRef {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<FieldRef> = vec![
        Arc::new(Field::new("_kafka_topic", DataType::Utf8, true)),
        Arc::new(Field::new("_kafka_partition", DataType::Int32, true)),
        Arc::new(Field::new("_kafka_offset", DataType::Int64, true)),
    ];
    let stored = file.parquet.schema().field_with_name(column).map(|f| f.data_type().clone());
    if matches!(stored, Ok(DataType::Timestamp(TimeUnit::Microsecond, _))) {
        fields.push(Arc::new(Field::new(column, micros, true)));
    }
    Arc::new(Schema::new(fields))
}

//! TL-4: each file that a record names is there, or can still be published; by its size and footer it is the one. TM-2 by the footer's statistics.
use super::entry::{FileKind, files_of, window_of};
use super::lake::{Found, Lake};
use super::ledger::Ledger;
use super::report::{Place, Report};
use lake_query::LakeFile;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use table_log::key::Layout;
use table_log::record::{FileEntry, RepairAction, RepairBody};
use table_log::{Body, FileRef, Invariant, Record, Seq};

/// A file that passed, for the checks that read contents.
#[derive(Debug)]
pub struct PresentFile<'a> {
    /// Its place in the log.
    pub file: FileRef,
    /// Its kind.
    pub kind: FileKind,
    /// What the record says of it.
    pub entry: &'a FileEntry,
    /// The file.
    pub parquet: LakeFile,
}

/// The files of a record that can be read.
#[derive(Debug, Default)]
pub struct RecordFiles<'a> {
    /// The files.
    pub present: Vec<PresentFile<'a>>,
    /// Whether they are all that the record still has: none is missing, broken or not published yet.
    pub complete: bool,
}

/// Checks a record's files and answers those that can be read.
pub fn check_files<'a>(lake: &Lake, record: &'a Record, ledger: &Ledger, report: &mut Report) -> anyhow::Result<RecordFiles<'a>> {
    let mut files = RecordFiles { present: Vec::new(), complete: true };
    let Some(layout) = ledger.layout() else {
        return Ok(files);
    };
    for (file, kind, entry) in files_of(record) {
        if ledger.removed.contains(&file) {
            report.checked("files removed by a later record", 1);
            continue;
        }
        if !is_present(lake, record, (file, entry), ledger, report)? {
            files.complete = false;
            continue;
        }
        let Some(parquet) = open(lake, record, entry, report) else {
            files.complete = false;
            continue;
        };
        check_footer(record, entry, &parquet, &lake.table.0, report);
        check_statistics(record, kind, entry, (&parquet, &layout, ledger), report);
        files.present.push(PresentFile { file, kind, entry, parquet });
    }
    Ok(files)
}

fn is_present(
    lake: &Lake,
    record: &Record,
    (file, entry): (FileRef, &FileEntry),
    ledger: &Ledger,
    report: &mut Report,
) -> anyhow::Result<bool> {
    report.checked("files", 1);
    let place = || Place::record(record.seq).file(&entry.key);
    let mut found = lake.head(&entry.key)?;
    if found.is_none() {
        let published = ledger.published.contains(&record.seq);
        if !published && lake.is_staged(&entry.upload) {
            report.checked("files staged, not yet published", 1);
            return Ok(false);
        }
        // It may have been published between the two looks.
        found = lake.head(&entry.key)?;
        if found.is_none() && was_removed_since(lake, ledger.tail, file)? {
            report.checked("files removed by a newer record", 1);
            return Ok(false);
        }
        if found.is_none() {
            let why = if published { "its record is published" } else { "its upload is gone too" };
            let help = format!("`tributary repair refile {} {}` can make it again", lake.table, record.seq);
            report.violation(Invariant::Tl4, place(), format!("is missing, and {why}; {help}"));
        }
    }
    if let Some(object) = &found
        && object.bytes != entry.bytes
    {
        report.violation(Invariant::Tl4, place(), format!("has {} bytes, the record says {}", object.bytes, entry.bytes));
        return Ok(false);
    }
    Ok(found.is_some())
}

/// Whether a record that came after the books were made removes the file.
fn was_removed_since(lake: &Lake, mut seq: Seq, file: FileRef) -> anyhow::Result<bool> {
    while let Found::Record(record) = lake.record(seq)? {
        let removed = match &record.body {
            Body::Vacuum(body) => body.files.contains(&file),
            Body::Repair(RepairBody { action: RepairAction::Refile { lost, .. } | RepairAction::Lost { lost }, .. }) => {
                lost.contains(&file)
            }
            _ => false,
        };
        if removed {
            return Ok(true);
        }
        seq = Seq(seq.0 + 1);
    }
    Ok(false)
}

fn open(lake: &Lake, record: &Record, entry: &FileEntry, report: &mut Report) -> Option<LakeFile> {
    match lake.open(&entry.key, entry.bytes) {
        Ok(parquet) => Some(parquet),
        Err(error) => {
            report.violation(Invariant::Tl4, Place::record(record.seq).file(&entry.key), format!("is not whole: {error}"));
            None
        }
    }
}

fn check_footer(record: &Record, entry: &FileEntry, parquet: &LakeFile, table: &str, report: &mut Report) {
    let place = || Place::record(record.seq).file(&entry.key);
    report.checked("footers", 1);
    if parquet.rows() != entry.rows {
        report.violation(Invariant::Tl4, place(), format!("has {} rows, the record says {}", parquet.rows(), entry.rows));
    }
    let version = entry.schema_version.to_string();
    for (name, expected) in [("tributary.table", table), ("tributary.schema_version", version.as_str())] {
        if let Some(found) = parquet.key_value(name)
            && found != expected
        {
            report.violation(Invariant::Tl4, place(), format!("its footer says {name} = `{found}`, expected `{expected}`"));
        }
    }
}

/// TM-2: lowest and highest event time by the footer lie in the window, and are those of the record.
fn check_statistics(
    record: &Record,
    kind: FileKind,
    entry: &FileEntry,
    (parquet, layout, ledger): (&LakeFile, &Layout, &Ledger),
    report: &mut Report,
) {
    let place = || Place::record(record.seq).file(&entry.key);
    let column = event_time_column(kind, ledger);
    let Some((min, max)) = bounds(parquet.metadata(), &column) else {
        return;
    };
    // A derived row lies in the window that holds the last moment before its `window_end`.
    let before_end = i64::from(kind == FileKind::Data && ledger.is_derived());
    let (min, max) = (min.saturating_sub(before_end), max.saturating_sub(before_end));
    report.checked("event times by footers", 1);
    let (start, end) = window_of(kind, entry, layout);
    if min < start.0 || max >= end.0 {
        let what =
            format!("`{column}` is from {} to {}, outside of its window {start} to {end}", windowing::Time(min), windowing::Time(max));
        report.violation(Invariant::Tm2, place(), what);
    } else if (min, max) != (entry.event_time_min.0, entry.event_time_max.0) {
        let (record_min, record_max) = (entry.event_time_min, entry.event_time_max);
        let what = format!(
            "`{column}` is from {} to {}, the record says {record_min} to {record_max}",
            windowing::Time(min),
            windowing::Time(max)
        );
        report.violation(Invariant::Tm2, place(), what);
    }
}

/// The column that decides where a row lies.
pub fn event_time_column(kind: FileKind, ledger: &Ledger) -> String {
    let of_table = ledger.table.as_ref().and_then(|t| t.settings.event_time.as_ref()).map(|c| c.to_lowercase());
    match kind {
        FileKind::Quarantine => "ingest_time".to_owned(),
        FileKind::Data | FileKind::Duplicates => of_table.unwrap_or_else(|| "_kafka_timestamp".to_owned()),
    }
}

/// Lowest and highest value of a top-level column of microseconds; `None` if the footer does not tell.
fn bounds(metadata: &ParquetMetaData, column: &str) -> Option<(i64, i64)> {
    use parquet::basic::{LogicalType, TimeUnit};
    let schema = metadata.file_metadata().schema_descr();
    let index = schema.columns().iter().position(|c| c.path().parts() == [column])?;
    let micros = matches!(schema.column(index).logical_type_ref(), Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::MICROS);
    if !micros {
        return None;
    }
    let mut bounds: Option<(i64, i64)> = None;
    for group in metadata.row_groups() {
        let Some(Statistics::Int64(values)) = group.column(index).statistics() else {
            return None;
        };
        let (min, max) = (*values.min_opt()?, *values.max_opt()?);
        bounds = Some(bounds.map_or((min, max), |(lowest, highest)| (lowest.min(min), highest.max(max))));
    }
    bounds
}

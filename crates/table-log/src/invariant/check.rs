//! Predicates over records and folds, for models, simulations and `verify`.
use super::{Invariant, Revisions, Violation};
use crate::record::{AppendRange, Body, FileEntry, RepairAction, SourceDeclaration};
use crate::{FileRef, Offset, OffsetRange, Record, Seq, SourcePartition, TableState};
use std::collections::{BTreeMap, BTreeSet};
use windowing::{Time, WindowSize};

/// Outcome of a predicate.
pub type Holds = Result<(), Violation>;

fn violated(invariant: Invariant, detail: String) -> Holds {
    Err(Violation { invariant, detail })
}

/// TL-1, the part that one reading of a log can see: the records are those of seqs 0, 1, 2 …
pub fn check_dense(records: &[Record]) -> Holds {
    match records.iter().zip(0..).find(|(record, seq)| record.seq != Seq(*seq)) {
        Some((record, expected)) => violated(Invariant::Tl1, format!("record `{}` stands at seq `{expected}`", record.seq)),
        None => Ok(()),
    }
}

/// TL-1, the part that two readings can see: what was read before is still there, unchanged.
pub fn check_unchanged(before: &[Record], after: &[Record]) -> Holds {
    let changed = before.iter().enumerate().find(|(at, record)| after.get(*at) != Some(record));
    changed.map_or(Ok(()), |(_, record)| violated(Invariant::Tl1, format!("record `{}` changed or vanished", record.seq)))
}

/// TL-2: per source kafka_partition, ranges and declared gaps tile from the declared start.
pub fn check_tiling(records: &[Record]) -> Holds {
    let mut ends = BTreeMap::new();
    for record in records {
        match &record.body {
            Body::Source(body) => body.sources.iter().try_for_each(|source| declare(&mut ends, record.seq, source))?,
            Body::Append(body) => body.ranges.iter().try_for_each(|taken| tile(&mut ends, record.seq, &taken.source, taken.range))?,
            Body::Repair(body) => match &body.action {
                RepairAction::Gap { source, range } => tile(&mut ends, record.seq, source, *range)?,
                RepairAction::Restart { source, .. } => declare(&mut ends, record.seq, source)?,
                RepairAction::Refile { .. } | RepairAction::Lost { .. } => {}
            },
            _ => {}
        }
    }
    Ok(())
}

type Ends = BTreeMap<SourcePartition, Offset>;

fn declare(ends: &mut Ends, seq: Seq, declaration: &SourceDeclaration) -> Holds {
    for (&kafka_partition, &start) in &declaration.starts {
        let source = SourcePartition { topic: declaration.topic.clone(), generation: declaration.generation, kafka_partition };
        if ends.insert(source.clone(), start).is_some() {
            return violated(Invariant::Tl2, format!("record `{seq}` declares source `{source}` again"));
        }
    }
    Ok(())
}

fn tile(ends: &mut Ends, seq: Seq, source: &SourcePartition, range: OffsetRange) -> Holds {
    let end = ends.insert(source.clone(), range.end);
    if end != Some(range.start) || range.end < range.start {
        let end = end.map_or_else(|| "nowhere".to_owned(), |end| end.to_string());
        let (start, to) = (range.start, range.end);
        return violated(
            Invariant::Tl2,
            format!("record `{seq}` takes `[{start}, {to})` of source `{source}`, whose ranges ended at `{end}`"),
        );
    }
    Ok(())
}

/// TL-3, the part that records show: every taken offset is counted once, and the files of an append hold as many rows as its ranges say.
pub fn check_counts(records: &[Record]) -> Holds {
    for record in records {
        let Body::Append(body) = &record.body else { continue };
        for taken in &body.ranges {
            let AppendRange { source, range, rows, quarantined, skipped, absent, .. } = taken;
            let counted = [rows, quarantined, skipped, absent].into_iter().map(|n| i128::from(*n)).sum::<i128>();
            if i128::from(range.end.0) - i128::from(range.start.0) != counted {
                return violated(
                    Invariant::Tl3,
                    format!("record `{}` counts `{counted}` offsets of source `{source}` in {range:?}", record.seq),
                );
            }
        }
        let rows = |files: &[FileEntry]| files.iter().map(|file| u128::from(file.rows)).sum::<u128>();
        let taken = |part: fn(&AppendRange) -> u64| body.ranges.iter().map(|range| u128::from(part(range))).sum::<u128>();
        if rows(&body.files) != taken(|range| range.rows) || rows(&body.quarantine) != taken(|range| range.quarantined) {
            return violated(Invariant::Tl3, format!("files of record `{}` do not hold the rows of its ranges", record.seq));
        }
    }
    Ok(())
}

/// TL-3 and TM-3 for a table of Kafka's records: per window, rows appended = rows live + rows late + duplicates dropped + rows declared lost.
/// `records` is the whole log of which `state` is the fold.
pub fn check_row_balance(state: &TableState, records: &[Record]) -> Holds {
    let mut expected: BTreeMap<Time, i128> = BTreeMap::new();
    for record in records {
        match &record.body {
            Body::Append(body) => {
                body.files.iter().for_each(|file| *expected.entry(file.lake_partition.window_start).or_default() += i128::from(file.rows));
            }
            Body::Seal(body) => *expected.entry(body.window_start).or_default() -= i128::from(body.duplicate_rows),
            Body::Repair(body) => {
                let RepairAction::Lost { lost } = &body.action else { continue };
                for entry in lost.iter().filter_map(|file| data_file(records, *file)) {
                    *expected.entry(entry.lake_partition.window_start).or_default() -= i128::from(entry.rows);
                }
            }
            _ => {}
        }
    }
    for (window_start, expected) in expected {
        let found = i128::from(state.visible_rows(window_start)) + i128::from(state.late_rows(window_start));
        if found != expected {
            return violated(Invariant::Tl3, format!("window `{window_start}` has `{found}` rows, and `{expected}` are due"));
        }
    }
    Ok(())
}

/// The entry of a data file, not of quarantine or duplicates.
fn data_file(records: &[Record], file: FileRef) -> Option<&FileEntry> {
    let entry = entry_of(records, file)?;
    entry.key.split('/').nth(1).is_some_and(|folder| folder == "data").then_some(entry)
}

/// The entry that a reference names in a whole log.
pub fn entry_of(records: &[Record], file: FileRef) -> Option<&FileEntry> {
    let record = records.get(usize::try_from(file.seq.0).ok()?)?;
    record.files().nth(usize::try_from(file.index).ok()?)
}

/// TM-1: neither the table's watermark, nor a kafka_partition's, nor the end of the closed windows goes back from one fold to a later one.
pub fn check_watermark(before: &TableState, after: &TableState) -> Holds {
    if after.watermark() < before.watermark() {
        return violated(Invariant::Tm1, format!("the table's watermark is at seq `{}` below what it was", after.next_seq));
    }
    if after.closed_through() < before.closed_through() {
        return violated(Invariant::Tm1, format!("closed windows are open again at seq `{}`", after.next_seq));
    }
    let later: BTreeMap<_, _> = after.sources().map(|(topic, generation, source)| ((topic, generation), source)).collect();
    for (topic, generation, source) in before.sources() {
        for (&kafka_partition, partition) in &source.partitions {
            let now = later.get(&(topic, generation)).and_then(|source| source.partitions.get(&kafka_partition));
            if now.is_none_or(|now| now.watermark < partition.watermark) {
                let source = SourcePartition { topic: topic.to_owned(), generation, kafka_partition };
                return violated(Invariant::Tm1, format!("the watermark of source `{source}` went back"));
            }
        }
    }
    Ok(())
}

/// TM-2, the part that records show: a data file's lowest and highest event times are in its window.
pub fn check_windows(window: WindowSize, records: &[Record]) -> Holds {
    for record in records {
        for file in record.files().filter(|file| file.key.split('/').nth(1) != Some("quarantine")) {
            let start = file.lake_partition.window_start;
            let inside = window.start_of(file.event_time_min) == start && window.start_of(file.event_time_max) == start;
            if !window.is_start(start) || !inside {
                return violated(
                    Invariant::Tm2,
                    format!("file `{}` of record `{}` has rows outside window `{start}`", file.key, record.seq),
                );
            }
        }
    }
    Ok(())
}

/// TM-4, over one or more records: what a reader sees of a window shrinks by dropped duplicates and declared losses only.
pub fn check_visible(before: &TableState, after: &TableState) -> Holds {
    let dropped = after.totals().duplicates.saturating_sub(before.totals().duplicates);
    let allowed = dropped + after.totals().lost.saturating_sub(before.totals().lost);
    let of_kafka = |start: &Time| before.window(*start).is_some_and(|window| window.inputs.is_empty());
    for window_start in before.windows().map(|(start, _, _)| start).filter(of_kafka) {
        let (was, is) = (before.visible_rows(window_start), after.visible_rows(window_start));
        if is.saturating_add(allowed) < was {
            return violated(Invariant::Tm4, format!("a reader saw `{was}` rows of window `{window_start}` and now sees `{is}`"));
        }
    }
    Ok(())
}

/// TM-4: the live files of a lake partition are those of the folder that the catalog names: `open/`, then `r<revision>/`. A file of `open/`
/// that comes after the first revision would never be seen.
pub fn check_live_folders(state: &TableState, records: &[Record]) -> Holds {
    for (lake_partition, revision, files) in state.live_files() {
        let folder = if revision == 0 { "open".to_owned() } else { format!("r{revision:06}") };
        for file in files {
            let key = entry_of(records, *file).map(|entry| entry.key.as_str());
            if key.and_then(|key| key.rsplit('/').nth(1)) != Some(folder.as_str()) {
                return violated(Invariant::Tm4, format!("file `{key:?}` is live in `{lake_partition:?}`, whose folder is `{folder}`"));
            }
        }
    }
    Ok(())
}

/// TM-3 and TM-4 as far as records show them: each revision follows the one before, is made from all that was there, keeps or drops each of its
/// rows, and nothing is vacuumed that a reader may still be shown.
pub fn check_revisions(records: &[Record]) -> Holds {
    let mut books = Revisions::default();
    records.iter().flat_map(|record| books.take(record)).next().map_or(Ok(()), Err)
}

/// The books and the fold name the same files.
fn check_same_files(state: &TableState, records: &[Record]) -> Holds {
    let mut books = Revisions::default();
    for record in records {
        books.take(record);
    }
    let by_books: BTreeSet<FileRef> = books.holding().collect();
    let live = state.live_files().flat_map(|(_, _, files)| files);
    let by_fold: BTreeSet<FileRef> = live.chain(state.late_files().flat_map(|(_, files)| files)).copied().collect();
    match by_books.symmetric_difference(&by_fold).next() {
        Some(file) => violated(Invariant::Tl3, format!("file `{file:?}` holds rows by the records or by the fold, not by both")),
        None => Ok(()),
    }
}

/// TL-6: the advisory group offset is not above the log's next offset.
pub fn check_group_offset(state: &TableState, source: &SourcePartition, group_offset: Offset) -> Holds {
    let next = state.next_offset(source);
    if next.is_some_and(|next| group_offset <= next) {
        return Ok(());
    }
    violated(Invariant::Tl6, format!("the group of source `{source}` is at offset `{group_offset}`, the log at `{next:?}`"))
}

/// All predicates that a whole log and its folds can show.
pub fn check_log(records: &[Record]) -> Holds {
    check_dense(records)?;
    check_tiling(records)?;
    check_counts(records)?;
    let mut state = TableState::default();
    for record in records {
        let before = state.clone();
        if let Err(error) = state.apply(record) {
            return violated(Invariant::Tl1, error.to_string());
        }
        check_watermark(&before, &state)?;
        check_visible(&before, &state)?;
    }
    if let Some(table) = &state.table {
        check_windows(table.settings.window, records)?;
    }
    check_row_balance(&state, records)?;
    check_revisions(records)?;
    check_same_files(&state, records)?;
    check_live_folders(&state, records)
}

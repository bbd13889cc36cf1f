use super::file::FileRules;
use super::{Check, distinct, require};
use crate::TableState;
use crate::key::DataFolder;
use crate::plan::Fenced;
use crate::planted::{Bug, is_planted};
use crate::record::{AppendBody, AppendRange, FileEntry};

/// `append`: every range starts exactly where the log ends for its source, and every taken offset is accounted for.
pub(super) fn check(state: &TableState, body: &AppendBody) -> Check {
    require(!body.ranges.is_empty(), || "an `append` takes no range".to_owned())?;
    require(distinct(body.ranges.iter().map(|range| &range.source)), || "two ranges are of one source kafka_partition".to_owned())?;
    for range in &body.ranges {
        check_balance(range)?;
        check_position(state, range)?;
    }
    check_sums(body)?;
    check_files(state, body)
}

/// The range goes on where the log ends, on a source that still counts, and its watermark does not go back.
fn check_position(state: &TableState, range: &AppendRange) -> Check {
    let (source, found) = (range.source.clone(), range.range.start);
    let Some((declared, partition)) = state.sources.get(&source) else {
        return Err(Fenced::Discontinuous { source, expected: None, found }.into());
    };
    if declared.ended {
        return Err(Fenced::SourceEnded { source }.into());
    }
    if partition.next_offset != found && !is_planted(Bug::SkipContinuity) {
        return Err(Fenced::Discontinuous { source, expected: Some(partition.next_offset), found }.into());
    }
    if range.watermark < partition.watermark && !is_planted(Bug::WatermarkBackOnReassignment) {
        return Err(Fenced::WatermarkBack { source, expected: partition.watermark, found: range.watermark }.into());
    }
    require(!declared.refused || range.rows == 0, || format!("source `{source}` is a `.refused` topic and gives no rows"))
}

/// `end - start = rows + quarantined + skipped + absent`.
pub(crate) fn check_balance(range: &AppendRange) -> Check {
    let parts = [range.rows, range.quarantined, range.skipped, range.absent];
    let sum = parts.into_iter().try_fold(0_u64, u64::checked_add);
    require(sum.is_some() && range.range.len() == sum, || {
        let (start, end) = (range.range.start, range.range.end);
        format!("range `[{start}, {end})` of source `{}` is not its rows + quarantined + skipped + absent", range.source)
    })
}

/// The files hold what the ranges say.
fn check_sums(body: &AppendBody) -> Check {
    let in_files = |files: &[FileEntry]| files.iter().map(|file| file.rows).try_fold(0_u64, u64::checked_add);
    let in_ranges = |part: fn(&AppendRange) -> u64| body.ranges.iter().map(part).try_fold(0_u64, u64::checked_add);
    let rows = (in_files(&body.files), in_ranges(|range| range.rows));
    require(rows.0.is_some() && rows.0 == rows.1, || format!("files hold `{}` rows, ranges `{}`", text(rows.0), text(rows.1)))?;
    let quarantined = (in_files(&body.quarantine), in_ranges(|range| range.quarantined));
    require(quarantined.0.is_some() && quarantined.0 == quarantined.1, || {
        format!("quarantine files hold `{}` rows, ranges `{}`", text(quarantined.0), text(quarantined.1))
    })
}

fn text(sum: Option<u64>) -> String {
    sum.map_or_else(|| "too many".to_owned(), |sum| sum.to_string())
}

fn check_files(state: &TableState, body: &AppendBody) -> Check {
    let rules = FileRules::new(state)?;
    require(distinct(body.files.iter().chain(&body.quarantine).map(|file| &file.key)), || "two files have one key".to_owned())?;
    for file in &body.files {
        let window_start = file.lake_partition.window_start;
        rules.check_data(file, if file.late { DataFolder::Late } else { DataFolder::Open })?;
        if !file.late && state.is_closed(window_start) && !is_planted(Bug::LateRowIntoOpen) {
            return Err(Fenced::WindowClosed { window_start }.into());
        }
    }
    body.quarantine.iter().try_for_each(|file| rules.check_quarantine(file))
}

//! Which windows need a revision. Pure: facts in, work out.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use table_log::{Seq, TableState};
use windowing::Time;

/// The longest wait of an amendment.
const LONGEST_DELAY: Duration = Duration::from_secs(86_400);

/// A window that needs a revision, now or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueWindow {
    /// The window.
    pub window_start: Time,
    /// The revision that it has.
    pub revision: u32,
    /// Wait until the store has had this record for so long; `None`: now.
    pub wait: Option<(Seq, Duration)>,
}

/// Closed windows with something new, oldest first. What was appended before the window closed is sealed at once; late rows wait
/// `amend_delay`, doubled with each revision, for others, counted from the record that brought the first of them. A `flush` after it ends the wait.
/// Windows of derived tables are never due here: their transform makes them.
pub fn due_windows(state: &TableState, amend_delay: Duration) -> Vec<DueWindow> {
    if state.table.as_ref().is_none_or(|table| table.avro_schema.is_empty()) {
        return Vec::new();
    }
    let mut first_late: BTreeMap<Time, Seq> = BTreeMap::new();
    for (lake_partition, files) in state.late_files() {
        if let Some(first) = files.iter().map(|file| file.seq).min() {
            first_late.entry(lake_partition.window_start).and_modify(|seq| *seq = first.min(*seq)).or_insert(first);
        }
    }
    let open = state.live_files().filter(|(_, revision, files)| *revision == 0 && !files.is_empty());
    let open: BTreeSet<Time> = open.map(|(lake_partition, ..)| lake_partition.window_start).collect();
    let windows = state.windows().filter(|(_, _, closed)| *closed);
    let due = windows.filter_map(|(window_start, revision, _)| {
        let late = first_late.get(&window_start).copied();
        if revision == 0 && open.contains(&window_start) {
            return Some(DueWindow { window_start, revision, wait: None });
        }
        let first = late?;
        let flushed = state.flushed().is_some_and(|flush| flush > first);
        let wait = (!flushed).then(|| (first, delay(amend_delay, revision)));
        Some(DueWindow { window_start, revision, wait })
    });
    due.collect()
}

/// `amend_delay`, doubled per revision after the first.
fn delay(amend_delay: Duration, revision: u32) -> Duration {
    let doublings = revision.saturating_sub(1).min(30);
    amend_delay.saturating_mul(1 << doublings).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests;

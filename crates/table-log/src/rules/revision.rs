use super::file::FileRules;
use super::{Check, Refusal, distinct, invalid, moved, require};
use crate::key::DataFolder;
use crate::plan::Stale;
use crate::planted::{Bug, is_planted};
use crate::record::{DeriveBody, RevisedPartition, SealBody};
use crate::state::{LakePartitionState, WindowState};
use crate::{FileRef, TableState};
use windowing::Time;

/// `seal`: the next revision of a closed window, with every file up to `through` in it and every row accounted for (TM-3).
pub(super) fn check_seal(state: &TableState, body: &SealBody) -> Check {
    let window_start = body.window_start;
    let Some(window) = state.windows.get(window_start) else {
        return Err(invalid(format!("window `{window_start}` has no files to seal")));
    };
    require(state.is_closed(window_start), || format!("window `{window_start}` is not closed"))?;
    require(body.through < state.next_seq, || format!("`through` is seq `{}`, which is not in the log yet", body.through))?;
    if window.revision == body.revision && window.through == Some(body.through) {
        return Err(Refusal::AlreadyDone);
    }
    check_revision(window, window_start, body.revision)?;
    check_base(state, window, body)?;
    check_covered(state, body)?;
    check_files(state, window_start, body.revision, &body.lake_partitions)?;
    let rules = FileRules::new(state)?;
    for file in &body.duplicates {
        rules.check_duplicates(file)?;
        require(file.lake_partition.window_start == window_start, || format!("duplicates file `{}` is of another window", file.key))?;
    }
    require(distinct(keys(&body.lake_partitions).chain(body.duplicates.iter().map(|file| &file.key))), || {
        "two files have one key".to_owned()
    })?;
    check_rows(state, body)
}

/// The revision is the next one.
fn check_revision(window: &WindowState, window_start: Time, revision: u32) -> Check {
    require(revision > 0, || "revisions count from 1".to_owned())?;
    let (expected, found) = (revision - 1, window.revision);
    if expected == found || is_planted(Bug::SealOnStaleRevision) {
        Ok(())
    } else {
        Err(Stale::Revision { window_start, expected, found }.into())
    }
}

/// Nothing that the revision rests on came after `through`: neither an open file nor a repair of its inputs.
fn check_base(state: &TableState, window: &WindowState, body: &SealBody) -> Check {
    let (window_start, through) = (body.window_start, body.through);
    if let Some(repair) = window.repaired_by.filter(|repair| *repair > through) {
        return Err(moved(format!("window `{window_start}` was repaired at seq `{repair}`, after `{through}`")));
    }
    let mut open = state.windows.of_window(window_start).filter(|(_, s)| s.revision == 0).flat_map(|(_, s)| s.live.refs());
    match open.find(|file| file.seq > through) {
        Some(file) => Err(moved(format!("window `{window_start}` got an open file at seq `{}`, after `{through}`", file.seq))),
        None => Ok(()),
    }
}

/// Files that go into a revision: live ones, and late ones up to `through`.
fn is_due(body: &SealBody, file: FileRef) -> bool {
    file.seq <= body.through
}

fn has_pending(body: &SealBody, state: &LakePartitionState) -> bool {
    let open = state.revision == 0 && !state.live.is_empty();
    open || state.late.refs().iter().any(|file| is_due(body, *file))
}

/// The lake partitions named are those with something new, at least, and no unknown ones.
fn check_covered(state: &TableState, body: &SealBody) -> Check {
    let window_start = body.window_start;
    let named = || body.lake_partitions.iter().map(|revised| &revised.lake_partition);
    require(distinct(named()), || "a lake partition is named twice".to_owned())?;
    let mut pending = 0_usize;
    for (lake_partition, files) in state.windows.of_window(window_start).filter(|(_, files)| has_pending(body, files)) {
        require(named().any(|name| name == lake_partition), || {
            format!("revision of window `{window_start}` leaves out files of `{lake_partition:?}`")
        })?;
        pending += files.live.refs().len() + files.late.refs().len();
    }
    if pending == 0 && !is_planted(Bug::SealOnStaleRevision) {
        return Err(moved(format!("window `{window_start}` has no new files up to seq `{}`", body.through)));
    }
    for name in named() {
        let known = state.windows.lake_partition(name).is_some_and(|files| files.revision > 0 || has_pending(body, files));
        require(known && name.window_start == window_start, || format!("`{name:?}` has no files of window `{window_start}`"))?;
    }
    Ok(())
}

/// New rows + dropped duplicates = rows of the inputs.
fn check_rows(state: &TableState, body: &SealBody) -> Check {
    let inputs = body.lake_partitions.iter().filter_map(|revised| state.windows.lake_partition(&revised.lake_partition));
    let before =
        inputs.map(|s| u128::from(s.live.rows_where(|_| true)) + u128::from(s.late.rows_where(|file| is_due(body, file)))).sum::<u128>();
    let after = body.lake_partitions.iter().flat_map(|p| &p.files).map(|file| u128::from(file.rows)).sum::<u128>();
    let dropped = body.duplicates.iter().map(|file| u128::from(file.rows)).sum::<u128>();
    require(dropped == u128::from(body.duplicate_rows), || {
        format!("duplicates files hold `{dropped}` rows, not `{}`", body.duplicate_rows)
    })?;
    require(before == after + dropped, || {
        format!("revision `{}` of window `{}` has `{after}` rows and drops `{dropped}` of `{before}`", body.revision, body.window_start)
    })
}

fn keys(lake_partitions: &[RevisedPartition]) -> impl Iterator<Item = &String> {
    lake_partitions.iter().flat_map(|revised| &revised.files).map(|file| &file.key)
}

/// Each file is of the revision's folder of its lake partition.
fn check_files(state: &TableState, window_start: Time, revision: u32, lake_partitions: &[RevisedPartition]) -> Check {
    let rules = FileRules::new(state)?;
    for revised in lake_partitions {
        require(revised.lake_partition.window_start == window_start, || "a lake partition is of another window".to_owned())?;
        for file in &revised.files {
            require(file.lake_partition == revised.lake_partition, || format!("file `{}` is of another lake partition", file.key))?;
            rules.check_data(file, DataFolder::Revision(revision))?;
        }
    }
    Ok(())
}

/// `derive`: the next revision of a derived window, from source revisions newer than those of the current one.
pub(super) fn check_derive(state: &TableState, body: &DeriveBody) -> Check {
    let window_start = body.window_start;
    let no_window = WindowState::default();
    let window = state.windows.get(window_start).unwrap_or(&no_window);
    require(state.sources.is_empty(), || "a table with Kafka sources is not derived".to_owned())?;
    require(!body.inputs.is_empty(), || format!("window `{window_start}` is derived from nothing"))?;
    require(distinct(body.inputs.iter().map(|input| (&input.table, input.window_start))), || "a source window is named twice".to_owned())?;
    let settings = state.table.as_ref().map(|table| &table.settings);
    require(settings.is_some_and(|s| s.window.is_start(window_start)), || format!("no window starts at `{window_start}`"))?;
    if window.revision == body.revision && same_inputs(window, body) && window.transform_sha256.as_ref() == Some(&body.transform_sha256) {
        return Err(Refusal::AlreadyDone);
    }
    check_revision(window, window_start, body.revision)?;
    if window.revision > 0 && !inputs_are_newer(window, body) {
        return Err(Stale::Inputs { window_start }.into());
    }
    require(distinct(body.lake_partitions.iter().map(|revised| &revised.lake_partition)), || "a lake partition is named twice".to_owned())?;
    require(distinct(keys(&body.lake_partitions)), || "two files have one key".to_owned())?;
    check_files(state, window_start, body.revision, &body.lake_partitions)
}

fn same_inputs(window: &WindowState, body: &DeriveBody) -> bool {
    window.inputs.len() == body.inputs.len() && window.inputs.iter().all(|input| body.inputs.contains(input))
}

/// No source window is left out or older, and one at least is newer.
fn inputs_are_newer(window: &WindowState, body: &DeriveBody) -> bool {
    let revision_of =
        |table: &str, start: Time| body.inputs.iter().find(|i| i.table == table && i.window_start == start).map(|i| i.revision);
    let none_older = window.inputs.iter().all(|old| revision_of(&old.table, old.window_start).is_some_and(|new| new >= old.revision));
    none_older && !same_inputs(window, body)
}

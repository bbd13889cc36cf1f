//! A window: its revisions one after the other, and what waits for the next.
use super::no_log;
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure, Output};
use lake_store::TableLog;
use serde::Serialize;
use table_log::record::{DeriveInput, FileEntry};
use table_log::{Body, Record, Seq};
use windowing::Time;

/// A window and its history.
#[derive(Debug, Serialize)]
struct Window {
    table: String,
    window_start: String,
    window_end: String,
    /// For good.
    closed: bool,
    /// 0: none yet.
    revision: u32,
    /// Rows that a reader sees.
    rows: u64,
    /// Rows that wait for the next revision.
    late_rows: u64,
    changes: Vec<Change>,
}

/// One record that changed the window.
#[derive(Debug, Serialize)]
struct Change {
    record: u64,
    at: String,
    writer: String,
    /// `append`, `seal` or `derive`.
    kind: &'static str,
    /// The revision that it made.
    revision: Option<u32>,
    /// Rows that it added to `open/`, or that its revision has.
    rows: u64,
    /// Rows that it added to `late/`.
    late_rows: u64,
    /// Rows that the revision drops in favour of equal ones.
    duplicates: u64,
    files: u64,
    /// The revisions that a derived one was made from.
    inputs: Vec<DeriveInput>,
}

/// Shows what became of a window.
pub async fn show(log: &TableLog, time: Time, context: &Context) -> anyhow::Result<ExitCode> {
    let state = log.state();
    let (Some(newest), Some(table)) = (state.newest_seq(), &state.table) else {
        return Err(no_log(log.table()));
    };
    let size = table.settings.window;
    let (start, end) = (size.start_of(time), size.end_of(size.start_of(time)));
    let progress = context.output.progress("log records", Some(newest.0 + 1));
    let mut changes = Vec::new();
    for seq in 0..=newest.0 {
        progress.add(1);
        let record = log.record(Seq(seq)).await?;
        changes.extend(change(&record, start));
    }
    drop(progress);
    let closed = state.is_closed(start) || state.window(start).is_some_and(|window| window.revision > 0);
    let revision = state.window(start).map_or(0, |window| window.revision);
    if changes.is_empty() {
        let help = if closed { "it is closed and has no rows" } else { "it is open" };
        return Err(Failure::usage(format!("table `{}` has nothing of window {start}", log.table()), help).into());
    }
    let window = Window {
        table: log.table().0.clone(),
        window_start: start.to_string(),
        window_end: end.to_string(),
        closed,
        revision,
        rows: state.visible_rows(start),
        late_rows: state.late_rows(start),
        changes,
    };
    if context.output.is_json() {
        context.output.json(&window)?
    } else {
        print(&window, context.output)
    }
    Ok(ExitCode::Done)
}

fn print(window: &Window, output: Output) {
    let header = [
        ("record", Align::Right),
        ("at", Align::Left),
        ("by", Align::Left),
        ("kind", Align::Left),
        ("revision", Align::Right),
        ("rows", Align::Right),
        ("late", Align::Right),
        ("duplicates", Align::Right),
        ("files", Align::Right),
        ("made from", Align::Left),
    ];
    output.table(&header, window.changes.iter().map(row));
    let standing = match (window.closed, window.revision) {
        (false, _) => "open".to_owned(),
        (true, 0) => "closed, not sealed yet".to_owned(),
        (true, revision) => format!("closed, revision {revision}"),
    };
    let Window { window_start, window_end, rows, late_rows, .. } = window;
    output
        .line(&format!("window {window_start} to {window_end}: {standing}; {rows} rows, {late_rows} late rows wait for the next revision"));
}

/// What a record did to the window; `None`: nothing.
fn change(record: &Record, start: Time) -> Option<Change> {
    let of_window = |file: &&FileEntry| file.lake_partition.window_start == start;
    let rows = |files: &mut dyn Iterator<Item = &FileEntry>| files.map(|file| file.rows).sum::<u64>();
    let (at, writer) = (record.at.to_string(), record.writer.clone());
    let mut change = Change {
        record: record.seq.0,
        at,
        writer,
        kind: record.kind(),
        revision: None,
        rows: 0,
        late_rows: 0,
        duplicates: 0,
        files: 0,
        inputs: Vec::new(),
    };
    let revised = match &record.body {
        Body::Append(body) => {
            let files: Vec<&FileEntry> = body.files.iter().filter(of_window).collect();
            change.rows = rows(&mut files.iter().copied().filter(|file| !file.late));
            change.late_rows = rows(&mut files.iter().copied().filter(|file| file.late));
            change.files = files.len() as u64;
            return (!files.is_empty()).then_some(change);
        }
        Body::Seal(body) if body.window_start == start => {
            (change.revision, change.duplicates) = (Some(body.revision), body.duplicate_rows);
            &body.lake_partitions
        }
        Body::Derive(body) if body.window_start == start => {
            (change.revision, change.inputs) = (Some(body.revision), body.inputs.clone());
            &body.lake_partitions
        }
        _ => return None,
    };
    change.rows = rows(&mut revised.iter().flat_map(|partition| &partition.files));
    change.files = revised.iter().map(|partition| partition.files.len() as u64).sum();
    Some(change)
}

fn row(change: &Change) -> Vec<String> {
    let some = |number: u64| if number == 0 { String::new() } else { number.to_string() };
    let inputs: Vec<String> = change.inputs.iter().map(|input| format!("{} r{}", input.window_start, input.revision)).collect();
    vec![
        change.record.to_string(),
        change.at.clone(),
        change.writer.clone(),
        change.kind.to_owned(),
        change.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        some(change.rows),
        some(change.late_rows),
        some(change.duplicates),
        change.files.to_string(),
        inputs.join(", "),
    ]
}

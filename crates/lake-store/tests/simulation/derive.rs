//! The derived table: per minute what the two minutes before its end hold, so a window of two minutes rests on three source windows.
use crate::actor::{Actor, between, elapse};
use crate::lake::{Place, Row, derived_window_size, table_name};
use crate::sealer::read;
use lake_store::TableLog;
use rand::Rng;
use std::collections::BTreeSet;
use table_log::planted::{Bug, is_planted};
use table_log::record::{Body, DeriveBody, DeriveInput, RevisedPartition};
use table_log::{FileRef, LakePartition, TableState};
use windowing::{Micros, Time};

/// A derived window, and the source revisions that it is to be made from.
pub struct Work {
    window_start: Time,
    inputs: Vec<DeriveInput>,
}

/// Start of the source windows that a derived window overlaps: the hop reaches one back.
pub fn overlapped(window_start: Time) -> [Time; 3] {
    [window_start - Micros::MINUTE, window_start, window_start + Micros::MINUTE]
}

/// What the SQL would be: count and sum of each hop.
pub fn result(window_start: Time, rows: &[Row]) -> Vec<Row> {
    let mut hops = Vec::new();
    for end in [window_start + Micros::MINUTE, window_start + Micros(2 * Micros::MINUTE.0)] {
        let start = end - Micros(2 * Micros::MINUTE.0);
        let inside = || rows.iter().filter(|row| start <= row.event_time && row.event_time < end);
        let sum = inside().map(|row| (row.offset + 1) * 7 + i64::from(row.kafka_partition)).sum();
        let count = i32::try_from(inside().count()).expect("few rows");
        if count > 0 {
            hops.push(Row { kafka_partition: count, offset: sum, event_time: end - Micros(1) });
        }
    }
    hops
}

/// Derived windows whose source windows are all complete, one at least sealed, and whose result rests on other revisions.
pub fn due(source: &TableState, results: &TableState) -> Vec<Work> {
    let sealed = source.windows().filter(|(_, revision, _)| *revision > 0).map(|(start, ..)| start);
    let windows: BTreeSet<Time> =
        sealed.flat_map(|start| [start, start + Micros::MINUTE]).map(|time| derived_window_size().start_of(time)).collect();
    let work = windows.into_iter().filter_map(|window_start| {
        let complete: Option<Vec<DeriveInput>> = overlapped(window_start).into_iter().map(|start| complete(source, start)).collect();
        let inputs = complete?;
        let made = results.window(window_start).is_some_and(|window| window.inputs == inputs);
        (!made).then_some(Work { window_start, inputs })
    });
    work.collect()
}

/// A source window is complete when it is sealed, one without open files when it is closed; late rows do not undo that.
fn complete(source: &TableState, window_start: Time) -> Option<DeriveInput> {
    let revision = source.window(window_start).map_or(0, |window| window.revision);
    let empty = source.visible_rows(window_start) == 0;
    let complete = revision > 0 || (empty && source.is_closed(window_start));
    complete.then(|| DeriveInput { table: table_name().0, window_start, revision })
}

pub async fn derive(
    actor: &mut Actor,
    (source, state): (&TableLog, &TableState),
    (derived, results): (&TableLog, &TableState),
    Work { window_start, inputs }: &Work,
) {
    if actor.random.random_bool(0.3) {
        elapse(between(&mut actor.random, 0, 60)).await;
    }
    let newest = if is_planted(Bug::DeriveReadsOtherRevisions) { actor.refresh(source).await } else { None };
    let state = newest.as_deref().unwrap_or(state);
    let named = |start: Time| inputs.iter().any(|input| input.window_start == start);
    let live = state.live_files().filter(|(lake_partition, revision, _)| *revision > 0 && named(lake_partition.window_start));
    let files: Vec<FileRef> = live.flat_map(|(_, _, files)| files).copied().collect();
    let Some(rows) = read(actor, source, &files).await else { return };
    let revision = results.window(*window_start).map_or(0, |window| window.revision) + 1;
    let hops = result(*window_start, &rows);
    let Some(file) = actor.stage(&Place::Derived(*window_start, revision), results, &hops).await else { return };
    let lake_partition = LakePartition { window_start: *window_start, values: Vec::new() };
    let body = DeriveBody {
        window_start: *window_start,
        revision,
        inputs: inputs.clone(),
        transform_sha256: "0".repeat(64),
        references: Default::default(),
        lake_partitions: vec![RevisedPartition { lake_partition, files: vec![file.clone()] }],
    };
    actor.trace(format!("derives {window_start} r{revision} from {} rows", rows.len()));
    if actor.commit(derived, Body::Derive(body), &[file]).await.is_some() {
        actor.sim.count(|counts| {
            counts.derives += 1;
            counts.derived_again += u64::from(revision > 1);
        });
    }
}

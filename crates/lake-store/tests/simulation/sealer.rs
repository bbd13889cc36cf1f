//! Seals and amends closed windows; vacuums what the catalog no longer shows.
use crate::actor::Actor;
use crate::lake::{Place, Row, decode};
use futures::FutureExt;
use futures::future::BoxFuture;
use lake_store::{LakeStore, TableLog};
use rand::seq::IndexedRandom;
use table_log::key::DataFolder;
use table_log::record::{Body, RevisedPartition, SealBody, VacuumBody};
use table_log::{FileRef, LakePartition, Seq, TableState};
use windowing::Time;

pub fn sealer(actor: Actor) -> BoxFuture<'static, ()> {
    live(actor).boxed()
}

async fn live(mut actor: Actor) {
    let Some(log) = actor.open().await else { return };
    // A vacuum whose deletions a crash cut off is done again.
    for seq in 0..log.state().next_seq.0 {
        let Ok(record) = log.record(Seq(seq)).await else { return };
        if let Body::Vacuum(body) = &record.body {
            delete(&actor, &log, &body.files).await;
        }
    }
    loop {
        actor.nap(5, 20).await;
        actor.help(&log).await;
        let Some(state) = actor.refresh(&log).await else { continue };
        if let Some(window_start) = due(&state).choose(&mut actor.random).copied() {
            seal(&mut actor, &log, &state, window_start).await;
        }
        vacuum(&mut actor, &log).await;
    }
}

/// Closed windows with something new.
pub fn due(state: &TableState) -> Vec<Time> {
    let late = |start: Time| state.late_files().any(|(lake_partition, _)| lake_partition.window_start == start);
    state.windows().filter(|(start, revision, closed)| *closed && (*revision == 0 || late(*start))).map(|(start, ..)| start).collect()
}

async fn seal(actor: &mut Actor, log: &TableLog, state: &TableState, window_start: Time) {
    let of_window = |lake_partition: &LakePartition| lake_partition.window_start == window_start;
    let live = state.live_files().filter(|(lake_partition, ..)| of_window(lake_partition)).flat_map(|(_, _, files)| files);
    let late = state.late_files().filter(|(lake_partition, _)| of_window(lake_partition)).flat_map(|(_, files)| files);
    let inputs: Vec<FileRef> = live.chain(late).copied().collect();
    let Some(rows) = read(actor, log, &inputs).await else { return };
    let revision = state.window(window_start).map_or(0, |window| window.revision) + 1;
    let Some(file) = actor.stage(&Place::Data(window_start, DataFolder::Revision(revision)), state, &rows).await else { return };
    let lake_partition = LakePartition { window_start, values: Vec::new() };
    let seal = SealBody {
        window_start,
        revision,
        through: state.newest_seq().expect("a window needs records"),
        lake_partitions: vec![RevisedPartition { lake_partition, files: vec![file.clone()] }],
        duplicates: Vec::new(),
        duplicate_rows: 0,
    };
    actor.trace(format!("seals {window_start} r{revision} with {} rows", rows.len()));
    actor.commit(log, Body::Seal(seal), &[file]).await;
}

/// The rows of the files; `None`: one is not readable now.
async fn read(actor: &Actor, log: &TableLog, inputs: &[FileRef]) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for file in log.files(inputs).await.inspect_err(|error| actor.complain(error)).ok()? {
        rows.extend(decode(&actor.store.get(&file.key, None).await.ok()??));
    }
    rows.sort_unstable();
    (!rows.is_empty()).then_some(rows)
}

async fn vacuum(actor: &mut Actor, log: &TableLog) {
    let (state, seen) = (log.state(), log.seen_published());
    let published = |file: &FileRef| !state.unpublished().contains(&file.seq) || seen.contains(&file.seq);
    let confirmed = state.superseded_files().filter(|(file, superseded)| superseded.confirmed_by.is_some() && published(file));
    let files: Vec<FileRef> = confirmed.map(|(file, _)| file).take(10).collect();
    if files.is_empty() {
        return;
    }
    if actor.commit(log, Body::Vacuum(VacuumBody { files: files.clone() }), &[]).await.is_some() {
        delete(actor, log, &files).await;
    }
}

async fn delete(actor: &Actor, log: &TableLog, files: &[FileRef]) {
    let Ok(files) = log.files(files).await else { return };
    for file in files {
        let deleted = actor.store.delete(&file.key).await;
        actor.trace(format!("deletes {}: {deleted:?}", file.key));
    }
}

//! Seals and amends closed windows, and vacuums what readers see no more. The same process derives (`derive.rs`).
use crate::actor::{Actor, between, elapse};
use crate::crash;
use crate::derive::{self, derive};
use crate::kafka;
use crate::lake::{Place, Row, decode, derived_table_body};
use futures::FutureExt;
use futures::future::BoxFuture;
use lake_store::{LakeStore, TableLog};
use rand::Rng;
use rand::seq::IndexedRandom;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use table_log::key::{DataFolder, Key, log_path};
use table_log::planted::{Bug, is_planted};
use table_log::record::{Body, RevisedPartition, SealBody, VacuumBody};
use table_log::{FileRef, LakePartition, Seq, TableState};
use windowing::Time;

/// Late rows wait so long for the first amendment, twice as long for the next, up to the longest.
const AMEND_DELAY: Duration = Duration::from_secs(20);
const LONGEST_AMEND_DELAY: Duration = Duration::from_secs(80);
/// What is superseded stays so long after readers see its successor.
const RETAIN_SUPERSEDED: Duration = Duration::from_secs(30);

pub fn sealer(actor: Actor) -> BoxFuture<'static, ()> {
    live(actor).boxed()
}

async fn live(mut actor: Actor) {
    let Some(log) = actor.open().await else { return };
    let Some(derived) = actor.open_derived().await else { return };
    for log in [&log, &derived] {
        if delete_again(&actor, log).await.is_none() {
            return;
        }
    }
    loop {
        actor.nap(5, 20).await;
        for log in [&log, &derived] {
            actor.help(log).await;
        }
        let (Some(state), Some(results)) = (actor.refresh(&log).await, actor.refresh(&derived).await) else { continue };
        if results.table.is_none() {
            actor.commit(&derived, Body::Table(derived_table_body()), &[]).await;
            continue;
        }
        if let Some(window_start) = due(&state).choose(&mut actor.random).copied()
            && is_ripe(&actor, &log, &state, window_start).await
        {
            seal(&mut actor, &log, &state, window_start).await;
        }
        if let Some(work) = derive::due(&state, &results).choose(&mut actor.random) {
            derive(&mut actor, (&log, &state), (&derived, &results), work).await;
        }
        vacuum(&mut actor, &log).await;
        vacuum(&mut actor, &derived).await;
    }
}

/// A vacuum whose deletions a crash cut off is done again.
async fn delete_again(actor: &Actor, log: &TableLog) -> Option<()> {
    for seq in 0..log.state().next_seq.0 {
        let record = log.record(Seq(seq)).await.ok()?;
        if let Body::Vacuum(body) = &record.body {
            delete(actor, log, &body.files).await;
        }
    }
    Some(())
}

/// Closed windows with something new.
pub fn due(state: &TableState) -> Vec<Time> {
    let late = |start: Time| state.late_files().any(|(lake_partition, _)| lake_partition.window_start == start);
    state.windows().filter(|(start, revision, closed)| *closed && (*revision == 0 || late(*start))).map(|(start, ..)| start).collect()
}

/// A first revision at once; an amendment when its oldest late rows have waited long enough, or a person asked for it.
async fn is_ripe(actor: &Actor, log: &TableLog, state: &TableState, window_start: Time) -> bool {
    let revision = state.window(window_start).map_or(0, |window| window.revision);
    let late = state.late_files().filter(|(lake_partition, _)| lake_partition.window_start == window_start);
    let Some(oldest) = late.flat_map(|(_, files)| files).map(|file| file.seq).min() else { return true };
    if revision == 0 || state.flushed() > Some(oldest) {
        return true;
    }
    let delay = AMEND_DELAY.saturating_mul(2_u32.saturating_pow(revision - 1)).min(LONGEST_AMEND_DELAY);
    age(actor, log, oldest).await.is_some_and(|age| age >= delay)
}

/// How long ago a record was committed, by the store's time.
async fn age(actor: &Actor, log: &TableLog, seq: Seq) -> Option<Duration> {
    let record = actor.store.head(&log_path(log.table(), &Key::Record(seq))).await.ok()??;
    actor.sim.store.now().duration_since(record.modified).ok()
}

async fn seal(actor: &mut Actor, log: &TableLog, state: &TableState, window_start: Time) {
    let of_window = |lake_partition: &LakePartition| lake_partition.window_start == window_start;
    let live = state.live_files().filter(|(lake_partition, ..)| of_window(lake_partition)).flat_map(|(_, _, files)| files);
    let late = state.late_files().filter(|(lake_partition, _)| of_window(lake_partition)).flat_map(|(_, files)| files);
    let inputs: Vec<FileRef> = live.chain(late).copied().collect();
    let Some(rows) = read(actor, log, &inputs).await else { return };
    if actor.random.random_bool(0.3) {
        elapse(between(&mut actor.random, 0, 60)).await;
    }
    let (kept, dropped) = dedupe(actor.sim.seed, rows);
    let revision = state.window(window_start).map_or(0, |window| window.revision) + 1;
    let Some(file) = actor.stage(&Place::Data(window_start, DataFolder::Revision(revision)), state, &kept).await else { return };
    let mut duplicates = Vec::new();
    if !dropped.is_empty() {
        let Some(file) = actor.stage(&Place::Duplicates(window_start), state, &dropped).await else { return };
        duplicates.push(file);
    }
    let staged: Vec<_> = std::iter::once(&file).chain(&duplicates).cloned().collect();
    let lake_partition = LakePartition { window_start, values: Vec::new() };
    let seal = SealBody {
        window_start,
        revision,
        through: state.newest_seq().expect("a window needs records"),
        lake_partitions: vec![RevisedPartition { lake_partition, files: vec![file] }],
        duplicate_rows: duplicates.iter().map(|file| file.rows).sum(),
        duplicates,
    };
    actor.trace(format!("seals {window_start} r{revision} with {} rows, {} dropped", kept.len(), dropped.len() / 2));
    if actor.commit(log, Body::Seal(seal), &staged).await.is_some() {
        actor.sim.count(|counts| {
            counts.seals += 1;
            counts.amendments += u64::from(revision > 1);
            counts.duplicates += dropped.len() as u64 / 2;
        });
    }
}

/// Rows to keep, and by twos those that are dropped, each with the one that is kept for it.
fn dedupe(seed: u64, mut rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    rows.sort_unstable_by_key(|row| kafka::order(seed, row));
    let (mut kept, mut dropped, mut first) = (Vec::new(), Vec::new(), BTreeMap::new());
    for row in rows {
        let identity = kafka::identity(seed, &row).or(is_planted(Bug::NullsAreDuplicates).then_some((u64::MAX, row.event_time)));
        let Some(identity) = identity else {
            kept.push(row);
            continue;
        };
        match first.entry(identity) {
            Entry::Vacant(place) => {
                place.insert(row);
                kept.push(row);
            }
            Entry::Occupied(first) => dropped.extend([row, *first.get()]),
        }
    }
    (kept, dropped)
}

/// The rows of the files; `None`: one is not readable now.
pub async fn read(actor: &Actor, log: &TableLog, inputs: &[FileRef]) -> Option<Vec<Row>> {
    crash::pass("before-read");
    let mut rows = Vec::new();
    for file in log.files(inputs).await.inspect_err(|error| actor.complain(error)).ok()? {
        rows.extend(decode(&actor.store.get(&file.key, None).await.ok()??));
    }
    crash::pass("after-read");
    rows.sort_unstable();
    (!rows.is_empty()).then_some(rows)
}

async fn vacuum(actor: &mut Actor, log: &TableLog) {
    let (state, seen) = (log.state(), log.seen_published());
    let published = |seq: Seq| !state.unpublished().contains(&seq) || seen.contains(&seq);
    let mut files = Vec::new();
    for (file, since) in vacuumable(&state, &seen).into_iter().filter(|(file, _)| published(file.seq)).take(10) {
        if age(actor, log, since).await.is_some_and(|age| age >= RETAIN_SUPERSEDED) {
            files.push(file);
        }
    }
    if files.is_empty() {
        return;
    }
    if actor.commit(log, Body::Vacuum(VacuumBody { files: files.clone() }), &[]).await.is_some() {
        actor.sim.count(|counts| counts.vacuumed += files.len() as u64);
        delete(actor, log, &files).await;
    }
}

/// Superseded files that may go, each with the record from which the time to keep it counts.
fn vacuumable(state: &TableState, seen: &BTreeSet<Seq>) -> Vec<(FileRef, Seq)> {
    if is_planted(Bug::VacuumBeforeRegister) {
        return state.superseded_files().map(|(file, superseded)| (file, superseded.by)).collect();
    }
    state.vacuumable(seen).collect()
}

async fn delete(actor: &Actor, log: &TableLog, files: &[FileRef]) {
    let Ok(files) = log.files(files).await else { return };
    for file in files {
        crash::pass("before-delete");
        let deleted = actor.store.delete(&file.key).await;
        crash::pass("after-delete");
        actor.trace(format!("deletes {}: {deleted:?}", file.key));
    }
}

//! Registrar, sweepers and a person who changes settings and asks for flushes.
use crate::actor::Actor;
use crate::crash;
use crate::lake::{derived_layout, layout, table_body};
use futures::FutureExt;
use futures::future::BoxFuture;
use lake_store::memory::StagedUpload;
use lake_store::{LakeStore, TableLog};
use rand::Rng;
use std::collections::BTreeSet;
use std::time::Duration;
use table_log::key::{Key, log_path};
use table_log::planted::{Bug, is_planted};
use table_log::record::{Body, FlushBody, RegisterBody, SweepBody};
use table_log::{Seq, TableState};
use windowing::Micros;

/// Staged files older than this, by the store's clock, are orphans unless the log names them.
const ORPHAN_AGE: Duration = Duration::from_secs(60);

pub fn registrar(actor: Actor) -> BoxFuture<'static, ()> {
    register(actor).boxed()
}

async fn register(mut actor: Actor) {
    let Some(log) = actor.open().await else { return };
    loop {
        actor.nap(10, 30).await;
        actor.help(&log).await;
        let Some(state) = actor.refresh(&log).await else { continue };
        let Some(shows) = shown(&log, &state) else { continue };
        let full = actor.random.random_bool(0.5);
        crash::pass("before-register");
        actor.commit(&log, Body::Register(RegisterBody { shows, full }), &[]).await;
    }
}

/// The newest seq up to which all files are in place.
fn shown(log: &TableLog, state: &TableState) -> Option<Seq> {
    let seen = log.seen_published();
    let first_unpublished = state.unpublished().difference(&seen).next().copied();
    let end = first_unpublished.unwrap_or(state.next_seq);
    end.0.checked_sub(1).map(Seq).filter(|_| state.table.is_some())
}

pub fn settings(actor: Actor) -> BoxFuture<'static, ()> {
    change_settings(actor).boxed()
}

async fn change_settings(mut actor: Actor) {
    let Some(log) = actor.open().await else { return };
    loop {
        actor.nap(40, 120).await;
        let Some(state) = actor.refresh(&log).await else { continue };
        let Some(table) = &state.table else { continue };
        if actor.sim.is_calm() {
            continue;
        }
        if actor.random.random_bool(0.4) {
            crash::pass("before-flush");
            let flushed = actor.commit(&log, Body::Flush(FlushBody { actor: "ada".to_owned() }), &[]).await;
            actor.sim.count(|counts| counts.flushes += u64::from(flushed.is_some()));
        }
        let lateness = Micros::from_secs([0, 10, 90][actor.random.random_range(0..3)]);
        actor.commit(&log, Body::Table(table_body(table.schema_version + 1, lateness)), &[]).await;
    }
}

pub fn sweeper(actor: Actor) -> BoxFuture<'static, ()> {
    sweep(actor).boxed()
}

async fn sweep(mut actor: Actor) {
    let Some(log) = actor.open().await else { return };
    let Some(derived) = actor.open_derived().await else { return };
    loop {
        actor.nap(20, 60).await;
        for log in [&log, &derived] {
            sweep_table(&mut actor, log).await;
        }
    }
}

async fn sweep_table(actor: &mut Actor, log: &TableLog) -> Option<()> {
    // Listed before the fold: what is staged later is not looked at.
    let staged = actor.sim.store.staged_uploads();
    let state = actor.refresh(log).await?;
    let before = old_enough(actor, log, &state).await?;
    if orphans(log, &staged, before).await?.is_empty() {
        return None;
    }
    let mut swept_before = state.swept_before();
    if is_planted(Bug::SweepWithoutRecord) {
        swept_before = Some(before);
    } else if swept_before < Some(before) {
        actor.commit(log, Body::Sweep(SweepBody { before }), &[]).await;
        swept_before = log.state().swept_before();
    }
    // Named ones are looked for again: a record may have come between the first look and the sweep.
    for orphan in orphans(log, &staged, swept_before?).await? {
        crash::pass("before-sweep");
        actor.trace(format!("sweeps {}", orphan.key));
        let swept = actor.store.discard(&orphan.key, &orphan.upload).await;
        crash::pass("after-sweep");
        actor.sim.count(|counts| counts.swept += u64::from(swept.is_ok()));
    }
    Some(())
}

/// The greatest seq whose object is older than the orphan age by the store's clock.
async fn old_enough(actor: &Actor, log: &TableLog, state: &TableState) -> Option<Seq> {
    let now = actor.sim.store.now();
    for seq in (0..state.next_seq.0).rev().map(Seq) {
        let meta = actor.store.head(&log_path(log.table(), &Key::Record(seq))).await.ok()??;
        if now.duration_since(meta.modified).is_ok_and(|age| age > ORPHAN_AGE) {
            return Some(seq);
        }
    }
    None
}

/// Staged files of a base before `before` that no record of the folded log names.
async fn orphans<'a>(log: &TableLog, staged: &'a [StagedUpload], before: Seq) -> Option<Vec<&'a StagedUpload>> {
    let mut named = BTreeSet::new();
    for seq in 0..log.state().next_seq.0 {
        named.extend(log.record(Seq(seq)).await.ok()?.files().map(|file| file.key.clone()));
    }
    let layout = if *log.table() == layout().table { layout() } else { derived_layout() };
    let base_of = |upload: &StagedUpload| match layout.parse(&upload.key) {
        Some(Key::Data { base, .. } | Key::Quarantine { base, .. } | Key::Duplicates { base, .. }) => Some(base),
        _ => None,
    };
    Some(staged.iter().filter(|upload| base_of(upload).is_some_and(|base| base < before) && !named.contains(&upload.key)).collect())
}

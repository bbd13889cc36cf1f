//! Reads what the catalog shows, and the raw records, all along.
use crate::actor::Actor;
use crate::kafka;
use crate::lake::{Row, decode};
use futures::FutureExt;
use futures::future::BoxFuture;
use lake_store::{LakeStore, TableLog, TableLogOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use table_log::key::{Key, log_path};
use table_log::{Invariant, Seq, TableState};
use windowing::Time;

pub fn reader(actor: Actor) -> BoxFuture<'static, ()> {
    live(actor).boxed()
}

async fn live(mut actor: Actor) {
    // Observes through a client without faults: what it sees is the truth of the moment.
    let options = TableLogOptions { seed: Some(1), ..TableLogOptions::read_only() };
    let store: Arc<dyn LakeStore> = Arc::new(actor.sim.store.clone());
    let Ok(log) = TableLog::open(store, crate::lake::table_name(), options).await else { return };
    let mut seen = Seen::default();
    loop {
        actor.nap(2, 8).await;
        if let Err(error) = log.refresh().await {
            actor.complain(&error);
            continue;
        }
        seen.compare_records(&actor, &log).await;
        seen.read_catalog(&actor, &log).await;
    }
}

#[derive(Default)]
struct Seen {
    /// Objects of the log as they were first seen.
    records: Vec<bytes::Bytes>,
    /// The fold that the catalog shows.
    shown: TableState,
    rows: BTreeMap<Time, BTreeSet<Row>>,
}

impl Seen {
    async fn compare_records(&mut self, actor: &Actor, log: &TableLog) {
        for seq in 0..log.state().next_seq.0 {
            let key = log_path(log.table(), &Key::Record(Seq(seq)));
            let Ok(Some(body)) = actor.sim.store.get(&key, None).await else {
                actor.sim.violation(Invariant::Tl1, format!("record {seq} is gone"));
                continue;
            };
            match self.records.get(seq as usize) {
                Some(before) if *before != body => actor.sim.violation(Invariant::Tl1, format!("record {seq} changed")),
                Some(_) => {}
                None => self.records.push(body),
            }
        }
    }

    async fn read_catalog(&mut self, actor: &Actor, log: &TableLog) {
        let Some(registered) = log.state().registered() else { return };
        while self.shown.next_seq <= registered.shows {
            let Ok(record) = log.record(self.shown.next_seq).await else { return };
            if let Err(error) = self.shown.apply(&record) {
                return actor.sim.violation(None, error);
            }
        }
        let mut now: BTreeMap<Time, BTreeSet<Row>> = BTreeMap::new();
        for (lake_partition, revision, files) in self.shown.live_files() {
            let Ok(files) = log.files(files).await else { return };
            let mut rows = Vec::new();
            for file in files {
                match actor.sim.store.get(&file.key, None).await {
                    Ok(Some(body)) => rows.extend(decode(&body)),
                    _ => return self.missing(actor, log, &file.key).await,
                }
            }
            check_once(actor, &rows, revision);
            now.entry(lake_partition.window_start).or_default().extend(rows);
        }
        let Some(dropped) = self.dropped(actor, log).await else { return };
        for (window_start, before) in &self.rows {
            let here = now.get(window_start);
            let vanished = before.iter().find(|row| !here.is_some_and(|rows| rows.contains(row)) && !dropped.contains(row));
            if let Some(row) = vanished {
                let text = format!("window {window_start} lost {row:?} in the catalog at seq {}", registered.shows);
                actor.sim.violation(Invariant::Tm4, text);
            }
        }
        self.rows = now;
    }

    /// Rows that the lists of duplicates name, as of what the catalog shows. `None`: a list is not to be had now.
    async fn dropped(&self, actor: &Actor, log: &TableLog) -> Option<BTreeSet<Row>> {
        let mut dropped = BTreeSet::new();
        for file in log.files(self.shown.duplicates_files()).await.ok()? {
            let body = actor.sim.store.get(&file.key, None).await.ok()??;
            dropped.extend(decode(&body).into_iter().step_by(2));
        }
        Some(dropped)
    }

    /// A file that the catalog shows may be vacuumed only after the catalog shows a newer revision.
    async fn missing(&self, actor: &Actor, log: &TableLog, key: &str) {
        let moved = log.refresh().await.is_ok_and(|state| state.registered().is_some_and(|now| now.shows >= self.shown.next_seq));
        if !moved {
            actor.sim.violation(Invariant::Ct1, format!("the catalog shows `{key}`, which does not exist"));
        }
    }
}

/// No row is there twice, and after the first revision no event.
fn check_once(actor: &Actor, rows: &[Row], revision: u32) {
    let (mut seen, mut events) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let again = revision > 0 && kafka::identity(actor.sim.seed, row).is_some_and(|event| !events.insert(event));
        if !seen.insert(row) || again {
            actor.sim.violation(Invariant::Tm4, format!("a reader sees {row:?} twice in revision {revision}"));
        }
    }
}

//! Runs a scenario to its end and says what was covered.
use crate::offer::{Offer, OfferId, StagedFile, What};
use crate::scenario::{Actor, Role, Scenario};
use crate::world::{Action, Lake, World};
use stateright::{Checker, HasDiscoveries, Model, Path};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// No model may grow beyond this: a run that is cut proves nothing, and is failed.
const MOST_STATES: usize = 6_000_000;

/// Planting a bug is process-wide: held for reading by every test that plants none.
pub static PLANTING: RwLock<()> = RwLock::new(());

/// Explores all states of a scenario, prints its bounds, fails on a broken property, on a cut, and on what never happened.
pub fn holds(scenario: Scenario) {
    let _unplanted = PLANTING.read().expect("no test panics with it");
    let (name, must_happen) = (scenario.name, scenario.must_happen);
    let Explored { broken, happened } = explore(scenario);
    if let Some((property, path)) = broken.into_iter().next() {
        panic!("`{property}` is broken in the model `{}`:\n{}", name, trace(&path));
    }
    for what in must_happen {
        assert!(
            happened.contains_key(what),
            "`{what}` never happened in the model `{}`, so it shows less than it says: {happened:?}",
            name
        );
    }
}

/// What an exploration found.
pub struct Explored {
    /// Broken properties with a short path to each.
    pub broken: HashMap<&'static str, Path<World, Action>>,
    /// How often what happened.
    pub happened: BTreeMap<&'static str, u64>,
}

/// Explores until a property is broken or all states are seen.
pub fn explore(scenario: Scenario) -> Explored {
    let bounds = bounds(&scenario);
    let name = scenario.name;
    let run = Lake::new(scenario)
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(MOST_STATES)
        .timeout(Duration::from_secs(600))
        .spawn_bfs()
        .join();
    let (states, unique) = (run.state_count(), run.unique_state_count());
    let lake = run.model();
    let happened = lake.happened.lock().expect("no panic while locked").clone();
    println!("{name}: {unique} states, {states} steps, depth {}, {} plans; {bounds}\n  {happened:?}", run.max_depth(), lake.book.planned());
    let broken = run.discoveries();
    assert!(
        !broken.is_empty() || (states < MOST_STATES && run.is_done()),
        "the model `{name}` was cut at {states} steps: narrow its bounds"
    );
    Explored { broken, happened }
}

/// The path's steps, one per line, with the proposals that they made, and what is wrong at its end.
pub fn trace(path: &Path<World, Action>) -> String {
    let mut text = String::new();
    let mut last = None;
    for (world, action) in path.clone().into_vec() {
        if let Some(action) = action {
            text += &format!("  {action:?}\n");
        }
        last = Some(world);
    }
    text + &end_of(&last.expect("a path has a state"))
}

/// The log of a state, and what is wrong with it.
pub fn end_of(world: &World) -> String {
    let mut text = String::new();
    for entry in &world.log.entries {
        let Offer { id, published, what, files, .. } = &*entry.offer;
        text += &format!("  log {}: {id:?} {what:?} files {files:?} published {published:?}\n", entry.record.seq);
    }
    text + &format!(
        "  faults {:?}\n  files {:?}\n  catalog {:?} seen {:?}\n",
        world.log.audit.faults, world.files, world.catalog, world.seen
    )
}

fn bounds(scenario: &Scenario) -> String {
    let records: usize = scenario.rows.iter().map(Vec::len).sum();
    let actors: Vec<String> = scenario
        .actors
        .iter()
        .map(|actor| format!("{} ({} offers, {} faults, {} queued)", role(actor), actor.offers, actor.faults, actor.pipeline))
        .collect();
    format!(
        "{} kafka_partitions, {records} records, {} windows, {} preset records; {}",
        scenario.rows.len(),
        scenario.windows,
        scenario.preset.len(),
        actors.join(", ")
    )
}

fn role(actor: &Actor) -> &'static str {
    match actor.role {
        Role::Writer { .. } => "writer",
        Role::Sealer { .. } => "sealer",
        Role::Sweeper => "sweeper",
        Role::Registrar => "registrar",
        Role::Person { .. } => "person",
        Role::Deriver => "deriver",
    }
}

/// A process of a scenario.
pub fn actor(role: Role, offers: u8, faults: u8) -> Actor {
    Actor { role, offers, faults, pipeline: 1 }
}

/// Stands for whoever made the records that a model begins with; no process has this number.
const PRESET: u8 = 200;

/// A preset record: its files were staged on the record before it.
pub fn record(seq: u8, what: What, files: Vec<StagedFile>) -> Arc<Offer> {
    Offer::new(OfferId { process: PRESET, number: seq }, vec![], what, files)
}

/// The first two records of every source table.
pub fn declared(lateness: u8, kafka_partitions: u8) -> Vec<Arc<Offer>> {
    vec![
        record(0, What::Table { version: 1, lateness }, vec![]),
        record(1, What::Declare { partitions: (0..kafka_partitions).collect() }, vec![]),
    ]
}

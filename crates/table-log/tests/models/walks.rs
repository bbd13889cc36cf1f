//! Seeded random deep walks over everything at once; at the end of each, faults stop and all work comes to its end.
//! `SIM_SEED=<seed>` replays one walk, `SIM_SEEDS=<count>` sets how many are walked.
use crate::check::{PLANTING, actor, declared, record};
use crate::offer::What;
use crate::scenario::{Actor, Role, Row, Scenario, Step};
use crate::world::{Action, Lake, Status, World};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stateright::Model;
use std::collections::BTreeMap;

const SEEDS: u64 = 300;
/// Longest walk, in steps with faults.
const MOST_STEPS: usize = 1_200;
const WINDOWS: u8 = 6;

/// What must have happened in some walk, or the walks do not go where they should.
const MUST_HAPPEN: &[&str] = &[
    "already done",
    "catalog set back",
    "crashed with an unknown outcome",
    "duplicates dropped",
    "fenced: discontinuous",
    "fenced: source ended",
    "fenced: swept",
    "fenced: window closed",
    "landed after its process was gone",
    "lost reply found to be ours",
    "lost the slot",
    "revision shown",
    "stale: inputs",
    "stale: revision",
    "swept",
    "vacuumed",
];

#[test]
fn walks_break_nothing() {
    let _unplanted = PLANTING.read().expect("no test panics with it");
    let given = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let replayed = given("SIM_SEED");
    let seeds = replayed.map_or(0..given("SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (mut happened, mut steps, mut longest) = (BTreeMap::new(), 0, 0);
    for seed in seeds.clone() {
        let mut walk = Walk::new(seed);
        walk.all();
        steps += walk.steps;
        longest = longest.max(walk.longest_log);
        for (what, count) in walk.happened {
            *happened.entry(what).or_insert(0) += count;
        }
    }
    println!("walks: seeds {seeds:?}, {steps} steps, longest log {longest} records\n  {happened:?}");
    if replayed.is_none() {
        let missing: Vec<_> = MUST_HAPPEN.iter().filter(|what| !happened.contains_key(*what)).collect();
        assert!(missing.is_empty(), "never happened in {seeds:?}: {missing:?}");
    }
}

struct Walk {
    seed: u64,
    rng: ChaCha8Rng,
    steps: usize,
    longest_log: u8,
    happened: BTreeMap<&'static str, u64>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        Self { seed, rng: ChaCha8Rng::seed_from_u64(seed), steps: 0, longest_log: 0, happened: BTreeMap::new() }
    }

    /// A source table, then a table derived from it.
    fn all(&mut self) {
        let source = source_table(&mut self.rng);
        let log = self.walk(Lake::new(source)).log;
        let derived = Scenario {
            name: "derived walk",
            rows: vec![vec![]],
            windows: WINDOWS - 1,
            values: 1,
            actors: vec![
                actor(Role::Deriver, 12, 4),
                actor(Role::Deriver, 12, 4),
                actor(Role::Sealer { seals: false, vacuums: true }, 4, 2),
                actor(Role::Registrar, 6, 2),
                actor(Role::Sweeper, 4, 2),
            ],
            preset: vec![record(0, What::Table { version: 1, lateness: 0 }, vec![])],
            publish_in_any_order: true,
            names_published: true,
            upstream: Some(log),
            ..Scenario::default()
        };
        self.walk(Lake::new(derived));
    }

    fn walk(&mut self, lake: Lake) -> World {
        let mut world = lake.start();
        let mut path = vec![];
        for _ in 0..MOST_STEPS {
            if !self.step(&lake, &mut world, &mut path, |_| true) {
                break;
            }
        }
        while self.step(&lake, &mut world, &mut path, |action| !is_fault(action)) {}
        self.settled(&world, &path);
        self.longest_log = self.longest_log.max(world.log.len());
        for (what, count) in lake.happened.lock().expect("no panic while locked").iter() {
            *self.happened.entry(what).or_insert(0) += count;
        }
        world
    }

    /// One random step; faults are rarer than other steps. False: there is none.
    fn step(&mut self, lake: &Lake, world: &mut World, path: &mut Vec<Action>, wanted: impl Fn(&Action) -> bool) -> bool {
        let mut actions = vec![];
        lake.actions(world, &mut actions);
        actions.retain(wanted);
        let Some(mut action) = actions.choose(&mut self.rng) else { return false };
        if is_fault(action) && self.rng.random_bool(0.5) {
            action = actions.choose(&mut self.rng).expect("there is one");
        }
        path.push(action.clone());
        *world = lake.next_state(world, action.clone()).expect("every action leads somewhere");
        self.steps += 1;
        for property in lake.properties() {
            assert!((property.condition)(lake, world), "`{}` is broken by SIM_SEED={}:\n{}", property.name, self.seed, story(world, path));
        }
        true
    }

    /// With no fault any more, every proposal has an end, every committed file is in place, and everybody agrees.
    fn settled(&self, world: &World, path: &[Action]) {
        let idle = world.processes.iter().all(|process| process.queue.is_empty() && process.waiting.is_none());
        let in_place = world.log.audit.named.iter().all(|key| world.status(*key) == Status::Published);
        assert!(idle && in_place && world.requests.is_empty(), "work is left over by SIM_SEED={}:\n{}", self.seed, story(world, path));
    }
}

fn is_fault(action: &Action) -> bool {
    matches!(action, Action::SendUnanswered(_) | Action::Crash(_) | Action::WalkAway(_) | Action::Drift(_))
}

fn story(world: &World, path: &[Action]) -> String {
    let steps: String = path.iter().map(|action| format!("  {action:?}\n")).collect();
    steps + &crate::check::end_of(world)
}

/// A table with everything: records of random times, keys and values; kafka_partitions added later; a restart; changing settings.
fn source_table(rng: &mut ChaCha8Rng) -> Scenario {
    let mut kafka_partition = || -> Vec<Row> {
        let count = rng.random_range(6..=20);
        (0..count).map(|_| random_row(rng)).collect()
    };
    let rows = vec![kafka_partition(), kafka_partition(), kafka_partition()];
    let takes = vec![vec![(0, 1)], vec![(0, 3)], vec![(1, 2)], vec![(2, 2)], vec![(0, 1), (1, 1)], vec![(0, 2), (1, 1), (2, 1)]];
    let idle = (0..3).flat_map(|p| (1..=WINDOWS).map(move |to| (p, to))).filter(|(p, to)| (p + to) % 3 == 0).collect::<Vec<_>>();
    let writer = |pipeline| Actor { role: Role::Writer { takes: takes.clone(), idle: idle.clone() }, offers: 30, faults: 8, pipeline };
    let sealer = Actor { role: Role::Sealer { seals: true, vacuums: true }, offers: 16, faults: 5, pipeline: 1 };
    let lateness = rng.random_range(0..=1);
    let settings = vec![Step::Lateness(0), Step::Lateness(2), Step::Lateness(1)];
    let repairs = if rng.random_bool(0.5) {
        vec![Step::Declare(vec![2]), Step::Gap(0), Step::Restart]
    } else {
        vec![Step::Declare(vec![2]), Step::Gap(1)]
    };
    Scenario {
        name: "walk",
        rows,
        windows: WINDOWS,
        values: 2,
        actors: vec![
            writer(1),
            writer(2),
            writer(3),
            sealer.clone(),
            sealer,
            actor(Role::Sweeper, 8, 3),
            actor(Role::Registrar, 12, 3),
            actor(Role::Registrar, 4, 2),
            actor(Role::Person { steps: settings }, 3, 1),
            actor(Role::Person { steps: repairs }, 3, 1),
        ],
        preset: declared(lateness, 2),
        publish_in_any_order: true,
        names_published: true,
        drifts: 2,
        ..Scenario::default()
    }
}

fn random_row(rng: &mut ChaCha8Rng) -> Row {
    Row {
        tick: rng.random_range(0..WINDOWS),
        value: rng.random_range(0..2),
        key: if rng.random_bool(0.5) { u8::MAX } else { rng.random_range(0..2) },
        refused: rng.random_bool(0.1),
    }
}

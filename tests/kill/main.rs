//! Under fire: the real binary on a real broker, ended by SIGKILL at every fail point, then killed and frozen at random, loses no record and
//! writes none twice.
//!
//! `make test-kill` runs it. `KILL_SEED=…` replays the data, the counts at the points and the random times; `KILL_ROWS` and `KILL_RANDOM` set
//! the records and the random events; `KILL_POINTS=before-create,after-create` ends the writers at these points only. What happened goes to
//! target/kill.json.
#![allow(clippy::print_stdout, reason = "a kill test says what it did, so that it can be replayed")]
mod battle;
mod flow;
mod points;
mod random;
#[path = "../scene/mod.rs"]
mod scene;
mod summary;

use battle::Battle;
use flow::Flow;
use scene::{Scene, SceneSettings};
use service_runtime::fail_points::{BRIDGE, POINTS, SEALER};
use std::time::{Duration, Instant};

const TOPICS: usize = 3;
const KAFKA_PARTITIONS: i32 = 12;
const ROWS: u64 = 1_000_000;
/// Random kills and pauses.
const RANDOM_EVENTS: u64 = 30;
/// Short, so that there is always something under way, and the log grows long enough for segments.
const COMMIT_INTERVAL: Duration = Duration::from_millis(150);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(240);
const SHUTDOWN: Duration = Duration::from_secs(20);
const COUNT_WITH_PYARROW: &str = include_str!("count_pyarrow.py");

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The points of this run: all of the lake-writer, or those named.
fn wanted_points() -> Vec<&'static str> {
    let named = std::env::var("KILL_POINTS").ok();
    let is_wanted = |point: &&str| named.as_ref().is_none_or(|named| named.split(',').any(|name| name == *point));
    POINTS.into_iter().filter(|point| !point.starts_with(BRIDGE) && !point.starts_with(SEALER)).filter(is_wanted).collect()
}

#[test]
fn fire_at_every_point_and_at_random_loses_nothing_and_repeats_nothing() {
    let started = Instant::now();
    let (seed, rows, random_events) = (setting("KILL_SEED", 20_261_121), setting("KILL_ROWS", ROWS), setting("KILL_RANDOM", RANDOM_EVENTS));
    let points = wanted_points();
    println!("replay with KILL_SEED={seed} KILL_ROWS={rows} KILL_RANDOM={random_events}; {} fail points", points.len());
    let scene = Scene::with(SceneSettings {
        topics: TOPICS,
        kafka_partitions: KAFKA_PARTITIONS,
        commit_interval: COMMIT_INTERVAL,
        idle_timeout: IDLE_TIMEOUT,
    });
    let flow = Flow::start(&scene, rows, seed, points.len() as u64 + random_events);
    let mut battle = Battle::new(&scene, flow, seed);
    battle.begin_the_log_under_fire();
    for point in &points {
        battle.fire_at(point);
    }
    battle.freeze_in_the_middle();
    battle.fire_at_random(random_events);

    let (produced, fought) = battle.end(SHUTDOWN, DRAIN);
    assert_eq!(produced.rows + produced.malformed_records(), rows);
    let report = summary::verify(&scene);
    summary::write(&fought, &produced, &report, (seed, started.elapsed()));
    assert_eq!(report["violations_total"], 0, "{report:#}");
    scene.compare_with_duckdb(&produced);
    scene.compare(COUNT_WITH_PYARROW, &produced);
    summary::assert_logs_are_calm(&scene);
}

//! The real binary on a real broker: two writer processes that are killed at random lose no record and write none twice.
//!
//! `KILL_SEED=…` replays the times of the kills and the data; `KILL_ROUNDS` and `KILL_RECORDS` make it longer.
#![allow(clippy::print_stdout, reason = "a kill test says what it did, so that it can be replayed")]
#[path = "../scene/mod.rs"]
mod scene;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use scene::{Scene, Writer};
use std::time::Duration;
use test_kit::{Signal, wait_until};

const WRITERS: usize = 2;
const TOPICS: usize = 2;
const KAFKA_PARTITIONS: i32 = 6;
/// Between two kills, at most.
const KILL_EVERY_MS: u64 = 2_500;
/// A killed writer stays away at most this long: sometimes shorter, sometimes longer than its session.
const AWAY_MS: u64 = 4_000;
const DRAIN: Duration = Duration::from_secs(90);
/// What a SIGTERM may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn ten_kills_lose_nothing_and_repeat_nothing() {
    let seed = setting("KILL_SEED", 20_261_121);
    let rounds = setting("KILL_ROUNDS", 10);
    println!("replay with KILL_SEED={seed} KILL_ROUNDS={rounds}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scene = Scene::new(TOPICS, KAFKA_PARTITIONS);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| scene.start_writer(number)).collect();
    let producer = scene.produce(setting("KILL_RECORDS", 200_000), seed, Duration::from_millis(rounds * KILL_EVERY_MS));

    for round in 0..rounds {
        scene.pause(Duration::from_millis(rng.random_range(200..KILL_EVERY_MS)));
        let number = rng.random_range(0..WRITERS);
        writers[number].kill();
        let away = Duration::from_millis(rng.random_range(0..AWAY_MS));
        println!("round {round}: writer {number} killed, back after {} ms", away.as_millis());
        scene.pause(away);
        writers[number] = scene.start_writer(number);
    }
    rebalance(&scene);

    let produced = producer.join().expect("the producer sends everything");
    scene.wait_until_taken(DRAIN);
    for writer in &mut writers {
        writer.terminate(SHUTDOWN);
    }
    scene.verify(&["--deep", "--kafka"]);
    scene.compare_with_duckdb(&produced);
}

/// A third member joins and leaves again in order: its kafka_partitions move twice.
fn rebalance(scene: &Scene) {
    let mut third = scene.start_writer(WRITERS);
    third.wait_until_assigned(Duration::from_secs(30));
    // Its session has to run out before the others get what it had; the drain waits for that.
    third.terminate(SHUTDOWN);
}

#[test]
fn sigterm_drains_commits_and_replays_nothing() {
    let scene = Scene::new(1, 3);
    let mut writer = scene.start_writer(0);
    let producer = scene.produce(20_000, 7, Duration::from_secs(8));
    wait_until(DRAIN, "the first commit", || scene.taken() > 0);
    writer.terminate(SHUTDOWN);
    let taken = scene.taken();
    assert_eq!(scene.group_offsets(), taken, "what was committed to the log is what the group was told: nothing is replayed");

    let mut again = scene.start_writer(0);
    let produced = producer.join().expect("the producer sends everything");
    again.wait_until_assigned(Duration::from_secs(30));
    scene.wait_until_taken(DRAIN);
    again.terminate(SHUTDOWN);
    scene.verify(&["--deep", "--kafka"]);
    scene.compare_with_duckdb(&produced);
}

#[test]
fn a_paused_writer_wakes_up_fenced() {
    let scene = Scene::new(1, 4);
    let mut paused = scene.start_writer(0);
    let producer = scene.produce(40_000, 11, Duration::from_secs(10));
    paused.wait_until_assigned(Duration::from_secs(30));
    wait_until(DRAIN, "the first commit", || scene.taken() > 0);
    let mut other = scene.start_writer(1);
    other.wait_until_assigned(Duration::from_secs(30));
    paused.signal(Signal::Stop);
    // Its session (6 s) runs out, the other takes over, and then it wakes up with full buffers.
    scene.pause(Duration::from_secs(9));
    paused.signal(Signal::Continue);

    let produced = producer.join().expect("the producer sends everything");
    scene.wait_until_taken(DRAIN);
    paused.terminate(SHUTDOWN);
    other.terminate(SHUTDOWN);
    scene.verify(&["--deep", "--kafka"]);
    scene.compare_with_duckdb(&produced);
}

//! Sealing under fire: two writers and two sealers on a real broker, killed, frozen and ended at fail points for three minutes, while rows come
//! late and twice and devices begin to count anew. DuckDB computes from what was sent what the sealed table and the derived one must hold; two
//! readers that poll all the time must see no row vanish but for named duplicates, and none twice once its window was sealed.
//!
//! `make test-kill` runs it. `KILL_SEED=…` replays data and blows; `KILL_SEAL_ROWS` and `KILL_SEAL_SECONDS` set how much and how long;
//! `KEEP_SCENE=1` leaves lake and logs. What happened goes to target/kill-seal.json.
#![allow(clippy::print_stdout, reason = "a kill test says what it did, so that it can be replayed")]
mod feed;
mod fire;
mod judge;
mod reader;
mod scene;

use feed::Feed;
use fire::Fire;
use reader::Readers;
use scene::Scene;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

const ROWS: u64 = 120_000;
const SECONDS: u64 = 180;
const REST: Duration = Duration::from_secs(300);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn sealed_and_derived_rows_are_those_of_what_was_sent_whatever_ends() {
    let started = Instant::now();
    let (seed, rows, seconds) = (setting("KILL_SEED", 20_261_121), setting("KILL_SEAL_ROWS", ROWS), setting("KILL_SEAL_SECONDS", SECONDS));
    println!("replay with KILL_SEED={seed} KILL_SEAL_ROWS={rows} KILL_SEAL_SECONDS={seconds}");
    let scene = Scene::new();
    let time = Duration::from_secs(seconds);
    let feed = Feed::start(&scene, rows, seed, time);
    let mut fire = Fire::begin(&scene, seed);
    let readers = Readers::start(&scene, seed);
    fire.fight(time);
    let sent = feed.end();
    fire.restart_all();
    scene.wait_until_at_rest(REST, || fire.expect_running());
    let seen = readers.end();
    let fought = fire.end();

    let reports: Vec<_> = [scene::TABLE, scene::DERIVED].into_iter().map(|table| scene.verify(table)).collect();
    let judged = judge::judge(&scene, &sent);
    seen.check(&judge::dropped(&scene));
    let summary = json!({
        "seed": seed,
        "sent": sent.rows,
        "late": sent.late,
        "repeated": sent.repeated,
        "restarts_of_seq": sent.restarts,
        "kills": fought.kills,
        "pauses": fought.pauses,
        "fail_points": fought.fail_points,
        "revisions": reports[0]["revisions"],
        "duplicates": reports[0]["duplicates"],
        "derived_revisions": reports[1]["revisions"],
        "judged": judged,
        "polls": seen.polls(),
        "violations": reports.iter().map(|report| report["violations_total"].clone()).collect::<Vec<_>>(),
        "seconds": started.elapsed().as_secs(),
    });
    println!("{summary:#}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::fs::create_dir_all(&folder).expect("make target/");
    std::fs::write(folder.join("kill-seal.json"), format!("{summary:#}\n")).expect("write target/kill-seal.json");
    for report in &reports {
        assert_eq!(report["violations_total"], 0, "{report:#}");
    }
    fought.assert_fierce(seconds);
    scene.assert_logs_are_calm();
}

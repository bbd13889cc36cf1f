//! The bridge under fire: what an MQTT broker acknowledged to devices is in Kafka, however often the bridge, Kafka and the MQTT broker end,
//! and so is what an HTTP client posted until it was answered.
//!
//! `make test-kill` runs it. `KILL_SEED=…` replays the order of the events; `KILL_MESSAGES` sets the messages. What happened goes to
//! target/kill-bridge.json.
#![allow(clippy::print_stdout, reason = "a kill test says what it did, so that it can be replayed")]
mod fire;
mod fleet;
mod http;
mod scene;

use fire::Fire;
use fleet::{Fleet, Publishing};
use scene::{Record, Scene};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

const MESSAGES: u64 = 200_000;
const DEVICES: u32 = 500;
const CONNECTIONS: u32 = 4;
const DEADLINE: Duration = Duration::from_secs(600);
/// A reconnecting bridge waits a few seconds at most, so after this nothing more will come.
const QUIET: Duration = Duration::from_secs(20);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn what_the_mqtt_broker_acknowledged_is_in_kafka_whatever_ends() {
    let started = Instant::now();
    let (seed, messages) = (setting("KILL_SEED", 20_261_121), setting("KILL_MESSAGES", MESSAGES));
    println!("replay with KILL_SEED={seed} KILL_MESSAGES={messages}");
    let mut scene = Scene::new(CONNECTIONS);
    let publishing = Publishing { devices: DEVICES, messages };
    let subscribed = Fire::begin(&mut scene, seed);
    let mut fleet = Fleet::start(subscribed.port(), publishing, scene.folder());
    let fought = subscribed.fight(&mut scene, &mut fleet, messages);
    let accepted = fleet.end(DEADLINE);
    assert_eq!(accepted.len() as u64, messages, "each is acknowledged once");
    scene.wait_until_quiet(QUIET, DEADLINE);
    let records = scene.records();
    let distinct: BTreeSet<&Record> = records.iter().collect();
    let found: BTreeSet<(String, i64)> = distinct.iter().map(|record| (record.device.clone(), record.sequence)).collect();
    assert_eq!(found.len(), distinct.len(), "a message has one event time");
    scene.end_bridge();

    let summary = json!({
        "seed": seed,
        "messages": messages,
        "bridge_kills": fought.bridge_kills,
        "kafka_kills": fought.kafka_kills,
        "mosquitto_restarts": fought.mosquitto_restarts,
        "missing": accepted.difference(&found).count(),
        "unknown": found.difference(&accepted).count(),
        "records": records.len(),
        "repeated": records.len() - distinct.len(),
        "seconds": started.elapsed().as_secs(),
    });
    println!("{summary:#}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::fs::create_dir_all(&folder).expect("make target/");
    std::fs::write(folder.join("kill-bridge.json"), format!("{summary:#}\n")).expect("write target/kill-bridge.json");
    let missing: Vec<_> = accepted.difference(&found).take(20).collect();
    assert!(missing.is_empty(), "acknowledged, but not in Kafka: {missing:?} …");
    let unknown: Vec<_> = found.difference(&accepted).take(20).collect();
    assert!(unknown.is_empty(), "in Kafka, but never published: {unknown:?} …");
}

#[test]
fn one_connection_keeps_the_order_of_each_device() {
    let mut scene = Scene::new(1);
    scene.start_bridge(None);
    fire::wait_for_subscription(&scene);
    let publishing = Publishing { devices: 50, messages: 20_000 };
    let mut fleet = Fleet::start(scene.mosquitto.port(), publishing, scene.folder());
    fleet.allow(publishing.messages);
    let accepted = fleet.end(DEADLINE);
    scene.wait_until_quiet(Duration::from_secs(3), DEADLINE);
    let records = scene.records();
    assert_eq!(records.len(), accepted.len(), "nothing ended, so nothing is repeated");
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for record in &records {
        let before = last.insert(&record.device, record.sequence);
        assert!(before.is_none_or(|before| before < record.sequence), "{record:?} after {before:?}");
    }
    scene.end_bridge();
}

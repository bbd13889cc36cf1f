//! What ends when.
use crate::{fleet::Fleet, scene::Scene};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use service_runtime::fail_points::{BRIDGE, POINTS};
use std::time::Duration;
use test_kit::wait_until;

/// Kills of the bridge at random times, beside those at its fail points.
const RANDOM_KILLS: usize = 20;
const KAFKA_KILLS: usize = 3;
const MOSQUITTO_RESTARTS: usize = 5;
/// How long something stays away.
const AWAY_MS: std::ops::Range<u64> = 0..3_000;
/// Between events some records must have got through, or the next is not worth much; not for ever, as all may have come already.
const PROGRESS: u64 = 500;
const PROGRESS_WAIT: Duration = Duration::from_secs(20);
/// Messages among which each connection gets enough to pass a fail point as often as it may take.
const TO_A_POINT: u64 = 2_000;
const SUBSCRIBED: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Blow {
    Point(&'static str),
    Bridge,
    Kafka,
    Mosquitto,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fought {
    /// SIGKILLs of the bridge.
    pub bridge_kills: u64,
    /// SIGKILLs of Kafka.
    pub kafka_kills: u64,
    /// SIGTERMs of Mosquitto.
    pub mosquitto_restarts: u64,
}

/// The order of the blows.
#[derive(Debug)]
pub struct Fire {
    rng: StdRng,
    blows: Vec<Blow>,
    port: u16,
    /// Messages that the devices may have published by now.
    allowed: u64,
}

/// A message that is published before the first subscription reaches nobody; so the sessions must be there first.
pub fn wait_for_subscription(scene: &Scene) {
    wait_until(SUBSCRIBED, "the bridge is subscribed", || scene.bridge_log().contains("subscribed"));
}

impl Fire {
    /// Brings the sessions about.
    pub fn begin(scene: &mut Scene, seed: u64) -> Self {
        scene.start_bridge(None);
        wait_for_subscription(scene);
        let mut rng = StdRng::seed_from_u64(seed);
        let points = POINTS.into_iter().filter(|point| point.starts_with(BRIDGE) && !point.contains("http"));
        let mut blows: Vec<Blow> = points.map(Blow::Point).collect();
        for (blow, times) in [(Blow::Bridge, RANDOM_KILLS), (Blow::Kafka, KAFKA_KILLS), (Blow::Mosquitto, MOSQUITTO_RESTARTS)] {
            blows.extend(std::iter::repeat_n(blow, times));
        }
        blows.shuffle(&mut rng);
        Self { rng, blows, port: scene.mosquitto.port(), allowed: 0 }
    }

    /// Where devices publish.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All blows, spread over the messages.
    pub fn fight(mut self, scene: &mut Scene, fleet: &mut Fleet, messages: u64) -> Fought {
        let mut fought = Fought::default();
        let count = self.blows.len() as u64 + 1;
        for (number, blow) in (1..).zip(std::mem::take(&mut self.blows)) {
            // A share of the messages is on its way when the blow falls.
            self.allow(fleet, messages * (number + 1) / count);
            wait_until(Duration::from_secs(120), "the devices get on", || fleet.accepted() >= messages * number / count * 9 / 10);
            let before = scene.kafka_records();
            let _ = test_kit::try_wait_for(PROGRESS_WAIT, || (scene.kafka_records() >= before + PROGRESS).then_some(()));
            println!("{number}: {blow:?} at {} accepted, {} in Kafka", fleet.accepted(), scene.kafka_records());
            self.strike(blow, (scene, fleet), &mut fought);
        }
        fleet.allow(messages);
        fought
    }

    fn allow(&mut self, fleet: &mut Fleet, messages: u64) {
        self.allowed = self.allowed.max(messages);
        fleet.allow(self.allowed);
    }

    fn away(&mut self) {
        std::thread::park_timeout(Duration::from_millis(self.rng.random_range(AWAY_MS)));
    }

    fn strike(&mut self, blow: Blow, (scene, fleet): (&mut Scene, &mut Fleet), fought: &mut Fought) {
        match blow {
            Blow::Bridge => {
                scene.kill_bridge();
                self.away();
                scene.start_bridge(None);
                fought.bridge_kills += 1;
            }
            Blow::Point(point) => {
                scene.kill_bridge();
                scene.start_bridge(Some(&format!("{point}:{}", self.rng.random_range(1..200_u32))));
                // All that was allowed before may be in Kafka already.
                self.allow(fleet, self.allowed + TO_A_POINT);
                scene.wait_for_fail_point(point);
                scene.start_bridge(None);
                fought.bridge_kills += 2;
            }
            Blow::Kafka => {
                scene.kafka.kill();
                self.away();
                scene.kafka.restart().expect("restart Kafka");
                fought.kafka_kills += 1;
            }
            Blow::Mosquitto => {
                scene.mosquitto.stop().expect("end Mosquitto in order");
                self.away();
                scene.mosquitto.restart().expect("restart Mosquitto");
                fought.mosquitto_restarts += 1;
            }
        }
    }
}

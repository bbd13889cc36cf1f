//! What happens to the processes.
use crate::scene::Scene;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use service_runtime::fail_points::{POINTS, SEALER};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};
use test_kit::{Signal, Tributary, wait_until};

const SERVICES: [(&str, &str); 4] =
    [("lake-writer", "writer-0"), ("lake-writer", "writer-1"), ("window-sealer", "sealer-0"), ("window-sealer", "sealer-1")];
/// Time between two blows.
const PAUSE_MS: std::ops::Range<u64> = 300..2_500;
/// How long a killed process stays away.
const AWAY_MS: std::ops::Range<u64> = 0..1_500;
/// Longer than the session (6 s): the group gives the kafka_partitions to others.
const FROZEN: Duration = Duration::from_millis(8_500);
const SHUTDOWN: Duration = Duration::from_secs(30);
const SIGKILL: i32 = 9;

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Fought {
    /// SIGKILLs in all, those at fail points included.
    pub kills: u64,
    /// Processes frozen and thawed.
    pub pauses: u64,
    /// Ends at each fail point of the sealer.
    pub fail_points: BTreeMap<String, u64>,
}

impl Fought {
    /// Enough happened for the test to mean something.
    pub fn assert_fierce(&self, seconds: u64) {
        assert!(self.kills >= seconds / 6 && self.pauses >= seconds / 60, "{self:?}");
        let points = POINTS.iter().filter(|point| point.starts_with(SEALER)).count();
        assert!(seconds < 180 || self.fail_points.len() * 2 >= points, "few of {points} fail points were met: {self:?}");
    }
}

/// A process, and when what was done to it ends.
struct Slot {
    service: &'static str,
    instance: &'static str,
    process: Option<Tributary>,
    armed: Option<&'static str>,
    start_at: Option<Instant>,
    thaw_at: Option<Instant>,
}

pub struct Fire<'a> {
    scene: &'a Scene,
    rng: ChaCha8Rng,
    slots: Vec<Slot>,
    /// Fail points of the sealer, each in its turn.
    points: Vec<&'static str>,
    turn: usize,
    fought: Fought,
    started: Instant,
}

impl<'a> Fire<'a> {
    /// Starts all processes.
    pub fn begin(scene: &'a Scene, seed: u64) -> Self {
        let slot =
            |(service, instance)| Slot { service, instance, process: None, armed: None, start_at: Some(Instant::now()), thaw_at: None };
        let points = POINTS.into_iter().filter(|point| point.starts_with(SEALER)).collect();
        let slots = SERVICES.into_iter().map(slot).collect();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut fire = Self { scene, rng, slots, points, turn: 0, fought: Fought::default(), started: Instant::now() };
        fire.tend();
        fire
    }

    /// Blow after blow.
    pub fn fight(&mut self, time: Duration) {
        while self.started.elapsed() < time {
            let pause = Duration::from_millis(self.rng.random_range(PAUSE_MS));
            let due = Instant::now() + pause;
            wait_until(pause * 20 + Duration::from_secs(10), "the next blow is due", || {
                self.tend();
                Instant::now() >= due
            });
            let quiet: Vec<usize> =
                (0..self.slots.len()).filter(|n| self.slots[*n].process.is_some() && self.slots[*n].thaw_at.is_none()).collect();
            let Some(number) = quiet.choose(&mut self.rng).copied() else { continue };
            if self.rng.random_bool(0.15) { self.freeze(number) } else { self.kill(number) }
        }
    }

    /// Starts what is to be started, thaws what is to be thawed, and looks after those that ended at their fail points.
    fn tend(&mut self) {
        let now = Instant::now();
        for number in 0..self.slots.len() {
            if self.slots[number].thaw_at.is_some_and(|at| now >= at) {
                self.slots[number].thaw_at = None;
                let slot = &self.slots[number];
                slot.process.as_ref().expect("a frozen process is there").signal(Signal::Continue).expect("thaw it");
            }
            self.bury(number);
            if self.slots[number].start_at.is_some_and(|at| now >= at) {
                self.start(number);
            }
        }
    }

    /// A process that ended was killed at its fail point.
    fn bury(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        let Some(status) = slot.process.as_mut().and_then(|process| process.ended().expect("ask for its end")) else { return };
        let process = slot.process.take().expect("it was there");
        let at_its_point = status.signal() == Some(SIGKILL) && slot.armed.is_some();
        assert!(at_its_point, "{} ended with {status}; its log:\n{}", slot.instance, process.log());
        let point = slot.armed.take().expect("it was armed");
        slot.start_at = Some(Instant::now());
        self.fought.kills += 1;
        *self.fought.fail_points.entry(point.to_owned()).or_default() += 1;
    }

    fn start(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        slot.start_at = None;
        let mut armed = String::new();
        if slot.service == "window-sealer" && self.rng.random_bool(0.7) && !self.points.is_empty() {
            let point = self.points[self.turn % self.points.len()];
            self.turn += 1;
            armed = format!("{point}:{}", self.rng.random_range(1..6));
            slot.armed = Some(point);
        }
        let variables: Vec<(&str, &str)> = if armed.is_empty() { vec![] } else { vec![("TRIBUTARY_FAIL_POINT", armed.as_str())] };
        slot.process = Some(self.scene.start(slot.service, slot.instance, &variables));
    }

    fn kill(&mut self, number: usize) {
        let away = Duration::from_millis(self.rng.random_range(AWAY_MS));
        let slot = &mut self.slots[number];
        let mut process = slot.process.take().expect("it runs");
        // It may have ended at its fail point just now.
        if process.signal(Signal::Kill).is_ok() {
            println!("{:>4} s  {} is killed", self.started.elapsed().as_secs(), slot.instance);
        }
        process.wait(SHUTDOWN).expect("a killed process ends");
        slot.armed = None;
        slot.start_at = Some(Instant::now() + away);
        self.fought.kills += 1;
    }

    fn freeze(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if slot.process.as_ref().expect("it runs").signal(Signal::Stop).is_ok() {
            println!("{:>4} s  {} is frozen", self.started.elapsed().as_secs(), slot.instance);
            slot.thaw_at = Some(Instant::now() + FROZEN);
            self.fought.pauses += 1;
        }
    }

    /// From here on nothing is done to the processes: those that are armed start anew.
    pub fn restart_all(&mut self) {
        self.points.clear();
        for number in 0..self.slots.len() {
            if self.slots[number].thaw_at.take().is_some() {
                // It may have ended at its fail point before it froze.
                let _ = self.slots[number].process.as_ref().expect("it runs").signal(Signal::Continue);
            }
            if self.slots[number].process.is_some() && self.slots[number].armed.is_some() {
                self.kill(number);
            }
            if let Some(at) = &mut self.slots[number].start_at {
                *at = Instant::now();
            }
        }
        self.tend();
    }

    /// All run.
    pub fn expect_running(&mut self) {
        self.tend();
    }

    /// Ends all in order.
    pub fn end(mut self) -> Fought {
        for slot in &mut self.slots {
            let process = slot.process.as_mut().expect("it runs");
            process.signal(Signal::Terminate).expect("it runs");
            let status = process.wait(SHUTDOWN).expect("it ends in time");
            assert!(status.success(), "{} ended with {status}; its log:\n{}", slot.instance, process.log());
        }
        self.fought
    }
}

//! Two writers, and what is done to them.
use crate::{
    flow::Flow,
    points::{Reach, passes, reach},
    scene::{Scene, Writer},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use service_runtime::fail_points::MARK;
use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};
use test_kit::{Signal, telemetry::Totals, wait_until};

pub const WRITERS: usize = 2;
/// Until an armed writer has passed its point.
const REACHED: Duration = Duration::from_secs(120);
const ASSIGNED: Duration = Duration::from_secs(60);
/// Longer than the session (6 s): the group gives the kafka_partitions to others.
pub const LONGER_THAN_THE_SESSION: Duration = Duration::from_millis(8_500);
/// After waking up or a rebalance, a point is reached in this time or in the next try.
const TRY: Duration = Duration::from_secs(20);
const TRIES: u32 = 6;
const SIGKILL: i32 = 9;
/// Segments hold so many records.
const SEGMENT_RECORDS: u64 = 1_000;
/// The first checkpoint after a segment is full makes it.
const SEGMENT_MARGIN: u64 = 50;
/// Settings of all writers: caches often, and now and then a lost answer.
const ALWAYS: [(&str, &str); 2] = [("TRIBUTARY_CHECKPOINT_EVERY", "20"), ("TRIBUTARY_LOSE_REPLY_EVERY", "97")];

/// What was done.
#[derive(Debug, Default)]
pub struct Fought {
    /// SIGKILLs in all, those at fail points included.
    pub kills: u64,
    /// SIGSTOPs longer than the session.
    pub pauses: u64,
    /// Writers that ended at each fail point.
    pub fail_points: BTreeMap<String, u64>,
}

/// See the module's text.
pub struct Battle<'a> {
    pub scene: &'a Scene,
    pub flow: Flow,
    pub rng: ChaCha8Rng,
    pub writers: Vec<Option<Writer>>,
    pub fought: Fought,
    next_joiner: usize,
    started: Instant,
}

impl<'a> Battle<'a> {
    /// No writer runs yet.
    pub fn new(scene: &'a Scene, flow: Flow, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let writers = (0..WRITERS).map(|_| None).collect();
        Self { scene, flow, rng, writers, fought: Fought::default(), next_joiner: WRITERS, started: Instant::now() }
    }

    pub fn say(&self, text: &str) {
        println!("{:>4} s  {text}", self.started.elapsed().as_secs());
    }

    /// Starts a writer; kills the one that runs under this number.
    pub fn start(&mut self, number: usize, variables: &[(&str, &str)]) -> &mut Writer {
        if let Some(mut running) = self.writers[number].take() {
            running.kill();
            self.fought.kills += 1;
        }
        // The second writer puts most file lists into objects of their own.
        let lists: &[(&str, &str)] = if number == 1 { &[("TRIBUTARY_INLINE_FILES_BYTES", "1500")] } else { &[] };
        let variables = [&ALWAYS, lists, variables].concat();
        self.writers[number].insert(self.scene.start_writer_with(number, &variables))
    }

    /// The first records of the log: one writer alone ends after each of them, again and again.
    pub fn begin_the_log_under_fire(&mut self) {
        self.start(0, &[("TRIBUTARY_FAIL_POINT", "before-create:1")]);
        self.wait_for_end(0, "before-create", 1, REACHED);
        for _ in 0..4 {
            self.start(0, &[("TRIBUTARY_FAIL_POINT", "after-create:1")]);
            self.wait_for_end(0, "after-create", 1, REACHED);
        }
        self.say("the log begins with a kill after each of its first records");
        for number in 0..WRITERS {
            self.start(number, &[]).wait_until_assigned(ASSIGNED);
        }
    }

    /// Ends one writer at a point, several times in a row: the later ones end while they recover.
    pub fn fire_at(&mut self, point: &str) {
        let began = Instant::now();
        let number = self.rng.random_range(0..WRITERS);
        let how = reach(point);
        let passes = passes(how, &mut self.rng);
        for nth in &passes {
            self.arm_and_reach(number, point, *nth, how);
        }
        self.flow.step_done();
        for number in 0..WRITERS {
            if self.writers[number].is_none() {
                self.start(number, &[]);
            }
        }
        let next_seq = self.scene.state().next_seq;
        let time_ms = began.elapsed().as_millis();
        self.say(&format!("writer {number} ended {} times at {point} ({time_ms} ms), log at {next_seq}", passes.len()));
    }

    fn arm_and_reach(&mut self, number: usize, point: &str, nth: u64, how: Reach) {
        let armed = format!("{point}:{nth}");
        let arm = ("TRIBUTARY_FAIL_POINT", armed.as_str());
        match how {
            Reach::Work | Reach::Start | Reach::Upkeep => {
                self.start(number, &[arm]);
                self.wait_for_end(number, point, nth, REACHED);
            }
            Reach::LostReply => {
                self.start(number, &[arm, ("TRIBUTARY_LOSE_REPLY_EVERY", "3")]);
                self.wait_for_end(number, point, nth, REACHED);
            }
            Reach::FileList => {
                self.start(number, &[arm, ("TRIBUTARY_INLINE_FILES_BYTES", "1")]);
                self.wait_for_end(number, point, nth, REACHED);
            }
            Reach::Segment => {
                self.forget_segments();
                self.start(number, &[arm]);
                self.wait_for_end(number, point, nth, REACHED);
            }
            Reach::Joiner => self.reach_by_joiners(number, point, (nth, arm)),
            Reach::Zombie => self.reach_by_freezing(number, point, (nth, arm)),
            Reach::Terminate => {
                self.start(number, &[arm]).wait_until_assigned(ASSIGNED);
                self.scene.pause(Duration::from_millis(500));
                self.writer(number).signal(Signal::Terminate);
                self.wait_for_end(number, point, nth, REACHED);
            }
            Reach::Help => {
                // The other one leaves a committed record unpublished and stays away.
                let other = (number + 1) % WRITERS;
                self.start(number, &[arm]);
                self.start(other, &[("TRIBUTARY_FAIL_POINT", "writer-before-publish:1")]);
                self.wait_for_end(other, "writer-before-publish", 1, REACHED);
                self.wait_for_end(number, point, nth, REACHED);
            }
        }
    }

    /// New members join until the armed one has to give something up.
    fn reach_by_joiners(&mut self, number: usize, point: &str, (nth, arm): (u64, (&str, &str))) {
        self.start(number, &[arm]).wait_until_assigned(ASSIGNED);
        for _ in 0..TRIES {
            let mut joiner = self.scene.start_writer(self.next_joiner);
            self.next_joiner += 1;
            let ended = self.ends_within(number, TRY);
            joiner.terminate(Duration::from_secs(30));
            if ended {
                break;
            }
        }
        self.wait_for_end(number, point, nth, Duration::ZERO);
    }

    /// It freezes before it commits what it staged; when it wakes up, another has committed the same records.
    fn reach_by_freezing(&mut self, number: usize, point: &str, (nth, arm): (u64, (&str, &str))) {
        for _ in 0..TRIES {
            self.freeze_at(number, "writer-before-create:5", &[arm]);
            if self.ends_within(number, TRY) {
                break;
            }
        }
        self.wait_for_end(number, point, nth, Duration::ZERO);
    }

    /// Starts a writer that freezes itself at a point, and wakes it up after its session has ended.
    fn freeze_at(&mut self, number: usize, stop_point: &str, variables: &[(&str, &str)]) {
        self.start(number, &[&[("TRIBUTARY_STOP_POINT", stop_point)], variables].concat());
        let writer = self.writer(number);
        wait_until(REACHED, &format!("writer {number} freezes at {stop_point}"), || writer.is_frozen() || writer.ended().is_some());
        self.say(&format!("writer {number} freezes at {stop_point}"));
        self.scene.pause(LONGER_THAN_THE_SESSION);
        self.fought.pauses += 1;
        if self.writer(number).ended().is_none() {
            self.writer(number).signal(Signal::Continue);
        }
    }

    /// Zombies that wake up between two steps of a commit.
    pub fn freeze_in_the_middle(&mut self) {
        for point in ["writer-after-stage", "before-create", "after-create", "writer-before-publish", "writer-before-group-commit"] {
            let number = self.rng.random_range(0..WRITERS);
            self.freeze_at(number, &format!("{point}:4"), &[]);
            assert!(self.writer(number).ended().is_none(), "a writer that wakes up goes on:\n{}", self.writer(number).log());
            self.say(&format!("writer {number} was frozen at {point} for {} ms", LONGER_THAN_THE_SESSION.as_millis()));
        }
    }

    pub fn writer(&mut self, number: usize) -> &mut Writer {
        self.writers[number].as_mut().expect("it was started")
    }

    fn ends_within(&mut self, number: usize, time: Duration) -> bool {
        let (writer, began) = (self.writer(number), Instant::now());
        wait_until(time * 2, "time goes by", || writer.ended().is_some() || began.elapsed() >= time);
        writer.ended().is_some()
    }

    /// The writer must end by SIGKILL at the point, and say so.
    fn wait_for_end(&mut self, number: usize, point: &str, nth: u64, deadline: Duration) {
        let ended = self.ends_within(number, deadline);
        let mut writer = self.writers[number].take().expect("it was started");
        let log = writer.log();
        assert!(ended, "writer {number} did not reach {point}:{nth} in {} s; its log:\n{log}", deadline.as_secs());
        let status = writer.ended().expect("it ended");
        assert_eq!(status.signal(), Some(SIGKILL), "writer {number} ended with {status} on its way to {point}:{nth}; its log:\n{log}");
        assert!(log.contains(&format!("{MARK} {point}:{nth}")), "writer {number} was killed, but not at {point}:{nth}; its log:\n{log}");
        self.fought.kills += 1;
        *self.fought.fail_points.entry(point.to_owned()).or_default() += 1;
    }

    /// Waits until the log is long enough for a segment, and removes the segments: they are caches, and whoever starts next makes them again.
    fn forget_segments(&mut self) {
        let enough = |scene: &Scene| scene.state().next_seq.0 >= SEGMENT_RECORDS + SEGMENT_MARGIN;
        if !enough(self.scene) {
            self.say("waiting for a log of a thousand records");
            wait_until(REACHED * 3, "a log of a thousand records", || enough(self.scene));
        }
        let folder = self.scene.table_folder().join("_log/segment");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            std::fs::remove_file(entry.path()).expect("remove a segment");
        }
    }

    /// Stops everything in order once all is taken. Returns what was produced and what was done.
    pub fn end(mut self, shutdown: Duration, drain: Duration) -> (Totals, Fought) {
        for number in 0..WRITERS {
            if self.writers[number].is_none() {
                self.start(number, &[]);
            }
        }
        self.say("the rest is produced, and everything taken");
        let produced = self.flow.end();
        self.scene.wait_until_taken(drain);
        for writer in self.writers.iter_mut().flatten() {
            writer.terminate(shutdown);
        }
        println!("{:>4} s  all writers ended in order", self.started.elapsed().as_secs());
        (produced, self.fought)
    }
}

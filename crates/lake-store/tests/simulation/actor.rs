//! One process: its client of the store, its random choices, its clock, its crashes and pauses.
use crate::crash::{self, Doom, Doomed, POINTS};
use crate::lake::{Place, Row, derived_table_name, stage, table_name};
use crate::sim::Sim;
use futures::future::BoxFuture;
use lake_store::{CommitOutcome, FaultPlan, FaultRates, LakeStore, MemoryStore, TableLog, TableLogOptions};
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use table_log::record::{Body, FileEntry};
use table_log::{Record, TableName, TableState};
use tokio::time::{Instant, sleep_until};
use windowing::{Micros, Time};

/// No process's clock is further off, either way.
pub const MOST_SKEW: Micros = Micros::from_secs(40);

pub struct Actor {
    pub sim: Arc<Sim>,
    pub name: String,
    pub store: MemoryStore,
    pub random: ChaCha8Rng,
    /// How far its clock is ahead.
    skew: Micros,
}

/// A process's life.
pub type Life = fn(Actor) -> BoxFuture<'static, ()>;

fn faults() -> FaultPlan {
    let rates = FaultRates { error: 0.03, lost_reply: 0.05, land_late: 0.03, land_never: 0.03, delay: 0.2 };
    FaultPlan { rates, longest_delay: Duration::from_secs(3), latest_landing: Duration::from_secs(60), ..FaultPlan::default() }
}

/// Runs a process again and again: it crashes at random or at a fail point, is paused at random, and its clock is off. Once all is calm it
/// runs undisturbed.
pub async fn supervise(sim: Arc<Sim>, name: String, seed: u64, life: Life) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    while !sim.is_calm() {
        let actor = Actor {
            sim: Arc::clone(&sim),
            name: name.clone(),
            store: sim.store.client(faults(), random.next_u64()),
            random: ChaCha8Rng::seed_from_u64(random.next_u64()),
            skew: Micros(random.random_range(-MOST_SKEW.0..=MOST_SKEW.0)),
        };
        let store = actor.store.clone();
        let lifetime = between(&mut random, 20, 300);
        let pauses = ChaCha8Rng::seed_from_u64(random.next_u64());
        let point = POINTS.choose(&mut random).copied().filter(|_| random.random_bool(0.6));
        let doom = point.map(|point| Doom::new(point, random.random_range(0..4)));
        tokio::select! {
            biased;
            () = sim.until_calm() => {}
            () = elapse(lifetime) => sim.trace(&name, "crashes"),
            end = paused_at_random(Doomed::new(life(actor), doom), pauses) => sim.note_end(&name, end),
        }
        store.crash();
        sim.count(|counts| counts.crashes += 1);
        elapse(between(&mut random, 1, 20)).await;
    }
    loop {
        let store = sim.store.client(FaultPlan::default(), random.next_u64());
        let random = ChaCha8Rng::seed_from_u64(random.next_u64());
        life(Actor { sim: Arc::clone(&sim), name: name.clone(), store, random, skew: Micros::ZERO }).await;
        elapse(Duration::from_secs(1)).await;
    }
}

/// Polls the process for a while, then not at all for a while: what it had sent goes on, and it wakes as a zombie.
async fn paused_at_random(life: Doomed, mut random: ChaCha8Rng) -> Option<&'static str> {
    let mut life = pin!(life);
    loop {
        tokio::select! {
            biased;
            () = elapse(between(&mut random, 5, 90)) => {}
            end = &mut life => return end,
        }
        let pause = if random.random_bool(0.3) { between(&mut random, 60, 180) } else { between(&mut random, 0, 3) };
        elapse(pause).await;
    }
}

/// Simulated time passes. The clock is paused, so it moves only while all actors wait for it, and takes no time of the machine.
pub async fn elapse(simulated: Duration) {
    sleep_until(Instant::now() + simulated).await;
}

/// A random time of so many seconds.
pub fn between(random: &mut ChaCha8Rng, from_secs: u64, to_secs: u64) -> Duration {
    Duration::from_millis(random.random_range(from_secs * 1000..=to_secs * 1000))
}

impl Actor {
    pub fn trace(&self, text: impl std::fmt::Display) {
        self.sim.trace(&self.name, text);
    }

    pub async fn nap(&mut self, from_secs: u64, to_secs: u64) {
        elapse(between(&mut self.random, from_secs, to_secs)).await;
    }

    /// Another thread of the same process.
    pub fn fork(&mut self, suffix: &str) -> Self {
        let random = ChaCha8Rng::seed_from_u64(self.random.next_u64());
        Self { sim: Arc::clone(&self.sim), name: format!("{}{suffix}", self.name), store: self.store.clone(), random, skew: self.skew }
    }

    /// What its machine's clock says.
    pub fn clock(&self) -> Time {
        self.sim.clock() + self.skew
    }

    /// The log of the table that is fed by Kafka.
    pub async fn open(&mut self) -> Option<TableLog> {
        self.open_table(table_name()).await
    }

    /// The log of the derived table.
    pub async fn open_derived(&mut self) -> Option<TableLog> {
        self.open_table(derived_table_name()).await
    }

    async fn open_table(&mut self, table: TableName) -> Option<TableLog> {
        let options = TableLogOptions {
            request_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(20),
            checkpoint_every: 20,
            seed: Some(self.random.next_u64()),
            wall_clock: || Time(0),
            fail_point: crash::pass,
            ..TableLogOptions::new(&self.name)
        };
        let opened = TableLog::open(Arc::new(self.store.clone()), table, options).await;
        if let Err(error) = &opened {
            self.complain(error);
        }
        opened.ok()
    }

    /// Errors are the store's trouble, or something is wrong with the log.
    pub fn complain(&self, error: &lake_store::TableLogError) {
        self.trace(error);
        if !matches!(error, lake_store::TableLogError::Store(_)) {
            self.sim.violation(None, format!("{}: {error}", self.name));
        }
    }

    pub async fn refresh(&self, log: &TableLog) -> Option<Arc<TableState>> {
        log.refresh().await.inspect_err(|error| self.complain(error)).ok()
    }

    pub async fn stage(&mut self, place: &Place, state: &TableState, rows: &[Row]) -> Option<FileEntry> {
        let base = state.newest_seq()?;
        let staging = uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string();
        let store: &dyn LakeStore = &self.store;
        crash::pass("before-stage");
        match stage(store, place, base, &staging, rows).await {
            Ok(entry) => {
                crash::pass("after-stage");
                self.sim.note_staged(&entry.key, rows);
                Some(entry)
            }
            Err(error) => {
                self.trace(format!("cannot stage: {error}"));
                None
            }
        }
    }

    /// Commits, and does with the files what the outcome asks for.
    pub async fn commit(&mut self, log: &TableLog, body: Body, files: &[FileEntry]) -> Option<Arc<Record>> {
        let patience = if self.random.random_bool(0.2) { between(&mut self.random, 0, 10) } else { Duration::from_secs(100_000) };
        let publishes = self.random.random_bool(0.9);
        match log.commit(body, elapse(patience)).await {
            Ok(CommitOutcome::Committed(record)) => {
                self.trace(format!("committed {}", record.seq));
                self.sim.count(|counts| counts.committed += 1);
                if publishes && let Err(error) = log.publish(&record).await {
                    self.complain(&error);
                }
                return Some(record);
            }
            Ok(CommitOutcome::Abandoned) => {
                self.trace("abandoned");
                self.sim.count(|counts| counts.abandoned += 1);
            }
            Ok(not_committed) => {
                self.trace(format!("{not_committed:?}"));
                self.sim.count(|counts| counts.fenced += 1);
                crash::pass("before-discard");
                log.discard(files).await;
                crash::pass("after-discard");
            }
            Err(error) => self.complain(&error),
        }
        None
    }

    /// Helps to publish.
    pub async fn help(&self, log: &TableLog) {
        if let Err(error) = log.help().await {
            self.complain(&error);
        }
    }
}

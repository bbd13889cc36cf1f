//! One run: all actors until everything is at rest, then the audit.
use crate::actor::{Life, supervise};
use crate::lake::{derived_table_name, table_name};
use crate::maintenance::{registrar, settings, sweeper};
use crate::reader::reader;
use crate::sealer::{due, sealer};
use crate::sim::{STUCK_AFTER, Sim, Violation};
use crate::writer::{all_taken, writer};
use crate::{auditor, derive, derived_auditor};
use lake_store::{TableLog, TableLogOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub committed: u64,
    pub fenced: u64,
    pub abandoned: u64,
    pub crashes: u64,
    pub seals: u64,
    pub amendments: u64,
    pub duplicates: u64,
    pub derives: u64,
    pub derived_again: u64,
    pub vacuumed: u64,
    pub swept: u64,
    pub flushes: u64,
}

#[cfg(not(feature = "planted-bugs"))]
impl Counts {
    pub fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.fenced += other.fenced;
        self.abandoned += other.abandoned;
        self.crashes += other.crashes;
        self.seals += other.seals;
        self.amendments += other.amendments;
        self.duplicates += other.duplicates;
        self.derives += other.derives;
        self.derived_again += other.derived_again;
        self.vacuumed += other.vacuumed;
        self.swept += other.swept;
        self.flushes += other.flushes;
    }

    /// Whether each of these things has happened.
    pub fn all_happened(&self) -> bool {
        let Self { committed, fenced, abandoned, crashes, seals, amendments, duplicates, derives, derived_again, vacuumed, swept, flushes } =
            *self;
        let counts =
            [committed, fenced, abandoned, crashes, seals, amendments, duplicates, derives, derived_again, vacuumed, swept, flushes];
        counts.iter().all(|count| *count > 0)
    }
}

#[cfg_attr(feature = "planted-bugs", allow(dead_code, reason = "with a planted bug only the violations are looked at"))]
pub struct Report {
    pub trace: Vec<String>,
    pub violations: Vec<Violation>,
    pub counts: Counts,
    /// How often a process crashed at which fail point.
    pub crashed_at: BTreeMap<&'static str, u64>,
}

const ACTORS: [(&str, Life); 9] = [
    ("writer-a", writer),
    ("writer-b", writer),
    ("writer-c", writer),
    ("sealer-a", sealer),
    ("sealer-b", sealer),
    ("registrar", registrar),
    ("sweeper", sweeper),
    ("settings", settings),
    ("reader", reader),
];

/// Runs a seed in virtual time.
pub fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("runtime");
    runtime.block_on(async {
        let sim = Sim::new(seed);
        let lives = ACTORS.iter().zip(0..).map(|(&(name, life), number)| {
            let seed = seed.wrapping_mul(1000).wrapping_add(number);
            supervise(Arc::clone(&sim), name.to_owned(), seed, life)
        });
        tokio::select! {
            biased;
            () = rest(&sim) => {}
            _ = futures::future::join_all(lives) => {}
        }
        let sealed = auditor::audit(&sim).await;
        derived_auditor::audit(&sim, &sealed).await;
        sim.report()
    })
}

/// Waits until all offsets are taken, all files published, all closed windows sealed, and all that can be derived is.
async fn rest(sim: &Sim) {
    sim.until_calm().await;
    let mut logs = Vec::new();
    for table in [table_name(), derived_table_name()] {
        let options = TableLogOptions { seed: Some(sim.seed), wall_clock: || windowing::Time(0), ..TableLogOptions::new("observer") };
        match TableLog::open(Arc::new(sim.store.clone()), table, options).await {
            Ok(log) => logs.push(log),
            Err(error) => return sim.violation(None, format!("observer: {error}")),
        }
    }
    while sim.began.elapsed() < STUCK_AFTER {
        // Longer than a request can be late.
        crate::actor::elapse(Duration::from_secs(100)).await;
        let mut states = Vec::new();
        for log in &logs {
            if let Err(error) = log.help().await {
                return sim.violation(table_log::Invariant::Tl4, format!("observer: {error}"));
            }
            match log.refresh().await {
                Ok(state) => states.push(state),
                Err(error) => return sim.violation(None, format!("observer: {error}")),
            }
        }
        let published = states.iter().zip(&logs).all(|(state, log)| state.unpublished().is_subset(&log.seen_published()));
        let (source, results) = (&states[0], &states[1]);
        if all_taken(source) && published && due(source).is_empty() && derive::due(source, results).is_empty() {
            return sim.trace("observer", format!("at rest with {} and {} records", source.next_seq, results.next_seq));
        }
    }
    sim.violation(None, "stuck: not at rest long after all faults ended");
}

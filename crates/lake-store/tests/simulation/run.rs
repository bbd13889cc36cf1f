//! One run: all actors until everything is at rest, then the audit.
use crate::actor::{Life, supervise};
use crate::auditor;
use crate::maintenance::{registrar, settings, sweeper};
use crate::reader::reader;
use crate::sealer::{due, sealer};
use crate::sim::{STUCK_AFTER, Sim, Violation};
use crate::writer::{all_taken, writer};
use lake_store::{LakeStore, TableLog, TableLogOptions};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub committed: u64,
    pub fenced: u64,
    pub abandoned: u64,
    pub crashes: u64,
}

impl Counts {
    #[cfg(not(feature = "planted-bugs"))]
    pub fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.fenced += other.fenced;
        self.abandoned += other.abandoned;
        self.crashes += other.crashes;
    }
}

#[cfg_attr(feature = "planted-bugs", allow(dead_code, reason = "with a planted bug only the violations are looked at"))]
pub struct Report {
    pub trace: Vec<String>,
    pub violations: Vec<Violation>,
    pub counts: Counts,
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
        auditor::audit(&sim).await;
        let (trace, violations, counts) = sim.take_notes();
        Report { trace, violations, counts }
    })
}

/// Waits until all offsets are taken, all files published and all closed windows sealed.
async fn rest(sim: &Sim) {
    sim.until_calm().await;
    let options = TableLogOptions { seed: Some(sim.seed), wall_clock: || windowing::Time(0), ..TableLogOptions::new("observer") };
    let store: Arc<dyn LakeStore> = Arc::new(sim.store.clone());
    let log = match TableLog::open(store, crate::lake::table_name(), options).await {
        Ok(log) => log,
        Err(error) => return sim.violation(None, format!("observer: {error}")),
    };
    while sim.began.elapsed() < STUCK_AFTER {
        // Longer than a request can be late.
        crate::actor::elapse(Duration::from_secs(100)).await;
        let helped = log.help().await;
        let state = match log.refresh().await {
            Ok(state) => state,
            Err(error) => return sim.violation(None, format!("observer: {error}")),
        };
        if let Err(error) = helped {
            return sim.violation(table_log::Invariant::Tl4, format!("observer: {error}"));
        }
        let published = state.unpublished().is_subset(&log.seen_published());
        if all_taken(&state) && published && due(&state).is_empty() {
            return sim.trace("observer", format!("at rest with {} records", state.next_seq));
        }
    }
    sim.violation(None, "stuck: not at rest long after all faults ended");
}

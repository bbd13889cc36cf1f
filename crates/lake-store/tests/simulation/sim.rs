//! What all actors of a run share.
use crate::kafka;
use crate::lake::Row;
use crate::run::{Counts, Report};
use lake_store::MemoryStore;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use table_log::Invariant;
use tokio::time::Instant;
use windowing::Time;

/// Faults end here; what follows must come to rest.
pub const CALM_AFTER: Duration = Duration::from_secs(500);
/// A run that is not at rest by now is stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(5000);

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: Option<Invariant>,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.invariant {
            Some(invariant) => write!(f, "{invariant:?}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

pub struct Sim {
    pub seed: u64,
    /// A client without faults: the auditor's and the observer's.
    pub store: MemoryStore,
    pub began: Instant,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    trace: Vec<String>,
    violations: Vec<Violation>,
    counts: Counts,
    /// How often a process crashed at which fail point.
    crashed_at: BTreeMap<&'static str, u64>,
    /// Rows of every file that was ever staged, by key.
    staged: BTreeMap<String, Vec<Row>>,
}

impl Sim {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, store: MemoryStore::new(), began: Instant::now(), notes: Mutex::default() })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wall clock of all machines.
    pub fn clock(&self) -> Time {
        Time(kafka::START.0 + i64::try_from(self.began.elapsed().as_micros()).expect("a run is short"))
    }

    /// What the wall's clock said when the store's said this.
    pub fn clock_at(&self, of_store: SystemTime) -> Time {
        let now = self.store.now();
        let ago = now.duration_since(of_store).map_or(0, |ago| i64::try_from(ago.as_micros()).expect("a run is short"));
        Time(self.clock().0 - ago)
    }

    pub fn is_calm(&self) -> bool {
        self.began.elapsed() >= CALM_AFTER
    }

    pub async fn until_calm(&self) {
        tokio::time::sleep_until(self.began + CALM_AFTER).await;
    }

    pub fn trace(&self, actor: &str, text: impl fmt::Display) {
        let at_ms = self.began.elapsed().as_millis();
        self.notes().trace.push(format!("{at_ms:>8} {actor:<12} {text}"));
    }

    pub fn violation(&self, invariant: impl Into<Option<Invariant>>, text: impl fmt::Display) {
        let violation = Violation { invariant: invariant.into(), text: text.to_string() };
        self.trace("VIOLATION", &violation);
        self.notes().violations.push(violation);
    }

    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.notes().counts);
    }

    /// A process has ended: by itself or at a fail point.
    pub fn note_end(&self, actor: &str, point: Option<&'static str>) {
        match point {
            Some(point) => {
                self.trace(actor, format!("crashes at {point}"));
                *self.notes().crashed_at.entry(point).or_default() += 1;
            }
            None => self.trace(actor, "ends"),
        }
    }

    pub fn note_staged(&self, key: &str, rows: &[Row]) {
        let earlier = self.notes().staged.insert(key.to_owned(), rows.to_vec());
        assert!(earlier.is_none(), "key `{key}` is staged twice");
    }

    pub fn staged_rows(&self, key: &str) -> Option<Vec<Row>> {
        self.notes().staged.get(key).cloned()
    }

    pub fn report(&self) -> Report {
        let notes = std::mem::take(&mut *self.notes());
        let Notes { trace, violations, counts, crashed_at, .. } = notes;
        Report { trace, violations, counts, crashed_at }
    }
}

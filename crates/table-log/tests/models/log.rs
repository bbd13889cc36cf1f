//! The log of a model: production records and states, shared by all model states that have the same log, so that folding and planning
//! happen once per distinct log and proposal.
use crate::audit::{Audit, View};
use crate::offer::{FileKey, Offer, Rows, fixed_hash};
use crate::scenario::Scenario;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use table_log::planted::{Bug, is_planted};
use table_log::{Fenced, Plan, Record, Stale, TableState, plan};

/// A committed record with what follows from it and everything before it.
#[derive(Debug)]
pub struct Entry {
    pub offer: Arc<Offer>,
    pub record: Record,
    pub state: TableState,
    pub view: View,
    pub hash: u64,
}

/// A log. Two logs with the same hash have the same records.
#[derive(Debug)]
pub struct Log {
    pub entries: Vec<Arc<Entry>>,
    pub audit: Audit,
}

impl Log {
    pub fn len(&self) -> u8 {
        self.entries.len() as u8
    }

    pub fn hash_of(&self, fold: u8) -> u64 {
        if fold == 0 { 0 } else { self.entries[usize::from(fold) - 1].hash }
    }

    /// What a process sees whose fold has `fold` records.
    pub fn view(&self, fold: u8) -> &View {
        &self.entries[usize::from(fold) - 1].view
    }

    /// Rows of a file, by its reference.
    pub fn rows(&self, (seq, index): (u8, u8)) -> Rows {
        self.entries[usize::from(seq)].offer.files[usize::from(index)].rows
    }

    pub fn key(&self, (seq, index): (u8, u8)) -> FileKey {
        FileKey { offer: self.entries[usize::from(seq)].offer.id, index }
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.hash_of(self.len()) == other.hash_of(other.len())
    }
}
impl Eq for Log {}
impl Hash for Log {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash_of(self.len()).hash(hasher);
    }
}

/// What the production `plan` says, and the log after it.
#[derive(Clone, Debug)]
pub enum Verdict {
    Commit(Arc<Log>),
    /// Fenced, stale or already done: the work is dropped. The text is for the coverage.
    Dropped(&'static str),
}

/// Remembers verdicts: `plan` and `apply` are pure, so the same log and proposal give the same answer.
#[derive(Debug, Default)]
pub struct LogBook {
    verdicts: Mutex<HashMap<(u64, Arc<Offer>), Verdict>>,
}

impl LogBook {
    /// Plans `offer` on the first `fold` records of `log`.
    pub fn plan(&self, scenario: &Scenario, log: &Log, fold: u8, offer: &Arc<Offer>) -> Verdict {
        let key = (log.hash_of(fold), Arc::clone(offer));
        if let Some(verdict) = self.verdicts.lock().expect("no panic while locked").get(&key) {
            return verdict.clone();
        }
        let verdict = decide(scenario, &log.entries[..usize::from(fold)], offer);
        self.verdicts.lock().expect("no panic while locked").insert(key, verdict.clone());
        verdict
    }

    /// How many distinct (log, proposal) pairs were planned.
    pub fn planned(&self) -> usize {
        self.verdicts.lock().expect("no panic while locked").len()
    }
}

fn decide(scenario: &Scenario, prefix: &[Arc<Entry>], offer: &Arc<Offer>) -> Verdict {
    let empty = TableState::default();
    let state = prefix.last().map_or(&empty, |entry| &entry.state);
    match plan(state, &offer.proposal(scenario.values)) {
        Plan::Commit(record) => Verdict::Commit(Arc::new(extend(scenario, prefix, offer, record))),
        Plan::Fenced(fenced) => Verdict::Dropped(name_fenced(&fenced)),
        Plan::Stale(Stale::Revision { .. }) => Verdict::Dropped("stale: revision"),
        Plan::Stale(Stale::Inputs { .. }) => Verdict::Dropped("stale: inputs"),
        Plan::Stale(Stale::Table(_)) => Verdict::Dropped("stale: table"),
        Plan::Stale(_) => Verdict::Dropped("stale: moved"),
        Plan::AlreadyDone => Verdict::Dropped("already done"),
    }
}

fn name_fenced(fenced: &Fenced) -> &'static str {
    match fenced {
        Fenced::Discontinuous { .. } => "fenced: discontinuous",
        Fenced::SourceEnded { .. } => "fenced: source ended",
        Fenced::WatermarkBack { .. } => "fenced: watermark back",
        Fenced::WindowClosed { .. } => "fenced: window closed",
        Fenced::Swept { .. } => "fenced: swept",
        Fenced::OldRegister { .. } => "fenced: old register",
        // The rows rule is a second defence against it.
        Fenced::Invalid(_) if is_planted(Bug::SealOnStaleRevision) => "fenced: invalid",
        other => panic!("the models make no such proposal: {other:?}"),
    }
}

fn extend(scenario: &Scenario, prefix: &[Arc<Entry>], offer: &Arc<Offer>, record: Record) -> Log {
    let mut state = prefix.last().map(|entry| entry.state.clone()).unwrap_or_default();
    let folded = state.apply(&record).map_err(|error| format!("{error:?}"));
    let before = prefix.last().map_or(0, |entry| entry.hash);
    let view = View::of(scenario, &state);
    let entry = Entry { offer: Arc::clone(offer), record, state, view, hash: fixed_hash(&(before, offer)) };
    let mut entries = prefix.to_vec();
    entries.push(Arc::new(entry));
    let audit = Audit::of(scenario, &entries, folded.err());
    Log { entries, audit }
}

/// The log that a model begins with.
pub fn preset(scenario: &Scenario, offers: &[Arc<Offer>]) -> Arc<Log> {
    let mut log = Log { entries: vec![], audit: Audit::default() };
    for offer in offers {
        match decide(scenario, &log.entries, offer) {
            Verdict::Commit(next) => log = Arc::into_inner(next).expect("not shared yet"),
            Verdict::Dropped(why) => panic!("the preset record {offer:?} is not valid: {why}"),
        }
    }
    Arc::new(log)
}

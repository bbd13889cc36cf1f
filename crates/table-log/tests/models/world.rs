//! One model of everything: an abstract store, a table log, processes. A scenario says who takes part and how often what may happen;
//! each exhaustive model is a small scenario, the deep walks are a large one.
//!
//! Reductions that lose nothing: folding to the tail is one step (a process that folded less is one that folded earlier); before it sends,
//! a process folds to the tail (a create on an occupied slot only leads to that); an unanswered create stays in flight as long as its slot
//! is vacant, so it may land now, later or never, and sending it again changes nothing; publishing, and deleting what a record allows to
//! delete, changes no process, so anybody may do it at any time.
use crate::audit::Ref;
use crate::log::{Log, LogBook, preset};
use crate::offer::{FileKey, Folder, Offer, OfferId, Rows, StagedFile, What};
use crate::scenario::{Actor, Role, Scenario};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Durable, not visible.
    Staged,
    /// Visible at its key.
    Published,
    /// Neither object nor upload.
    Gone,
}

/// A process: its memory, and how much it has done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Number of records folded.
    pub fold: u8,
    /// The same of the source table's log.
    pub upstream: u8,
    /// Proposals, the first of which is being committed.
    pub queue: Vec<Arc<Offer>>,
    /// Slot of the first one's create whose outcome is unknown.
    pub waiting: Option<u8>,
    /// Proposals ever made; survives a crash, as random ids do.
    pub made: u8,
    pub faults: u8,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub log: Arc<Log>,
    /// Creates in flight for the slot at the log's end (others can no longer take effect), by proposal.
    pub requests: Vec<Arc<Offer>>,
    pub files: BTreeMap<FileKey, (StagedFile, Status)>,
    pub processes: Vec<Process>,
    /// Revision that the catalog shows per lake partition (window, value); 0 is `open/`.
    pub catalog: BTreeMap<(u8, u8), u8>,
    /// Rows that a reader of the catalog has ever seen, per window.
    pub seen: Vec<Rows>,
    pub drifts: u8,
    /// Lake partitions that an overlapping registrar set back and none has healed yet.
    pub drifted: BTreeSet<(u8, u8)>,
    /// Records that the source table's log has by now.
    pub upstream: u8,
}

/// A choice of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Take(Vec<(u8, u8)>),
    Idle(u8, u8),
    Seal(u8),
    Vacuum,
    Sweep(u8),
    Register { full: bool },
    Step,
    Derive(u8),
}

/// A step of the model. Processes are numbered as in the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Fold(u8),
    FoldUpstream(u8),
    Propose(u8, Choice),
    /// Plan on the tail and create; the reply arrives.
    Send(u8),
    /// The same, but no reply arrives and the request may land later.
    SendUnanswered(u8),
    /// Sees the slot occupied and reads it.
    Resolve(u8),
    /// Gives up an unknown outcome.
    WalkAway(u8),
    /// Loses its memory and starts again.
    Crash(u8),
    /// A request in flight takes effect.
    Land(OfferId),
    /// Somebody publishes the files of a record.
    Publish(u8),
    /// Somebody deletes what a `vacuum` names.
    Delete(u8),
    /// The sweeper discards what its `sweep` has fenced, knowing only the log up to it.
    Discard(u8),
    /// Planted bug: the sweeper discards without a record.
    DiscardUnrecorded(u8),
    /// The registrar moves a lake partition to a newer revision.
    Show(u8, (u8, u8)),
    /// An update of an overlapping registrar lands late.
    Drift((u8, u8)),
    /// The source table's log goes on.
    Upstream,
}

/// A scenario with what was learnt while exploring it.
#[derive(Debug)]
pub struct Lake {
    pub scenario: Scenario,
    pub book: LogBook,
    /// How often what happened, by name.
    pub happened: Mutex<BTreeMap<&'static str, u64>>,
}

impl Lake {
    pub fn new(scenario: Scenario) -> Self {
        Self { scenario, book: LogBook::default(), happened: Mutex::default() }
    }

    /// The base of a file staged on a fold. Only a sweep asks for it; without one all files have the same, so that fewer states differ.
    pub fn staged_on(&self, fold: u8) -> u8 {
        if self.scenario.has_sweeper() { fold - 1 } else { 0 }
    }

    pub fn note(&self, what: &'static str) {
        *self.happened.lock().expect("no panic while locked").entry(what).or_default() += 1;
    }

    /// The state in which the scenario begins: every file of the preset records is in place.
    pub fn start(&self) -> World {
        let log = preset(&self.scenario, &self.scenario.preset);
        let process = |actor: &Actor| Process { fold: log.len(), upstream: 1, queue: vec![], waiting: None, made: 0, faults: actor.faults };
        let mut world = World {
            requests: vec![],
            files: BTreeMap::new(),
            processes: self.scenario.actors.iter().map(process).collect(),
            catalog: BTreeMap::new(),
            seen: vec![0; usize::from(self.scenario.windows)],
            drifts: self.scenario.drifts,
            drifted: BTreeSet::new(),
            upstream: 1,
            log,
        };
        for entry in world.log.clone().entries.iter() {
            for (key, file) in entry.offer.file_keys().zip(&entry.offer.files) {
                world.files.insert(key, (*file, Status::Published));
            }
        }
        world.look(&self.scenario);
        world
    }
}

impl World {
    pub fn status(&self, key: FileKey) -> Status {
        self.files.get(&key).map_or(Status::Gone, |(_, status)| *status)
    }

    pub fn set_status(&mut self, key: FileKey, status: Status) {
        if let Some(file) = self.files.get_mut(&key) {
            file.1 = status;
        }
    }

    /// Whether all files are in place.
    pub fn in_place(&self, files: &[Ref]) -> bool {
        files.iter().all(|file| self.status(self.log.key(*file)) == Status::Published)
    }

    /// Whether a file lies in the folder that the catalog names.
    pub fn is_shown(&self, file: &StagedFile) -> bool {
        match self.catalog.get(&(file.window, file.value)).copied().unwrap_or(0) {
            0 => file.folder == Folder::Open,
            revision => file.folder == Folder::Revision(revision),
        }
    }

    /// Rows that a reader of the catalog sees in a window now: whatever lies in the folders that it names.
    pub fn visible(&self, window: u8) -> Rows {
        let files =
            self.files.values().filter(|(file, status)| *status == Status::Published && file.window == window && self.is_shown(file));
        files.fold(0, |rows, (file, _)| rows | file.rows)
    }

    /// A reader looks at all windows.
    pub fn look(&mut self, scenario: &Scenario) {
        if scenario.has_registrar() {
            for window in 0..scenario.windows {
                self.seen[usize::from(window)] |= self.visible(window);
            }
        }
    }

    /// Forgets what can have no effect any more, so that states which differ only in that are one.
    pub fn normalise(&mut self, scenario: &Scenario) {
        let sweeping = scenario.has_sweeper();
        let known = |key: &FileKey| {
            let is_it = |offer: &Arc<Offer>| offer.id == key.offer;
            self.log.audit.offers.contains(&key.offer)
                || self.requests.iter().any(is_it)
                || self.processes.iter().any(|p| p.queue.iter().any(is_it))
        };
        self.files.retain(|key, (_, status)| match status {
            Status::Published => true,
            Status::Staged => sweeping || known(key),
            Status::Gone => known(key),
        });
        for (process, actor) in self.processes.iter_mut().zip(&scenario.actors) {
            let exhausted = process.made == actor.offers;
            let full = process.queue.len() == usize::from(actor.pipeline);
            match (&actor.role, process.queue.is_empty()) {
                (Role::Registrar, _) => {}
                (_, true) if exhausted => (process.fold, process.upstream, process.faults) = (1, 1, 0),
                // It proposes nothing before it has sent, and then it folds to the tail.
                (_, false) if (exhausted || full) && process.waiting.is_none() => process.fold = 1,
                _ => {}
            }
        }
    }

    /// The settings' allowed lateness in the first `fold` records.
    pub fn lateness(&self, fold: u8) -> u8 {
        let tables = self.log.entries[..usize::from(fold)].iter().rev();
        let lateness = tables.filter_map(|entry| if let What::Table { lateness, .. } = entry.offer.what { Some(lateness) } else { None });
        lateness.into_iter().next().unwrap_or(0)
    }
}

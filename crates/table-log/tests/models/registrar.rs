//! The registrar: makes the catalog equal to its fold, then says so in the log.
use crate::offer::{Offer, What};
use crate::world::{Choice, Lake, World};
use std::sync::Arc;

impl Lake {
    /// Lake partitions whose revision in the registrar's fold is newer than the catalog's, with all files in place.
    pub fn due_updates(&self, world: &World, process: usize) -> Vec<(u8, u8)> {
        let view = world.log.view(world.processes[process].fold);
        let shown = |place: &(u8, u8)| world.catalog.get(place).copied().unwrap_or(0);
        let due = view.live.iter().filter(|(place, (revision, files))| *revision > shown(place) && world.in_place(files));
        due.map(|(place, _)| *place).collect()
    }

    /// After a comparison that found the catalog equal to the fold. Without a new seal only a full comparison says something new.
    pub fn register_choices(&self, world: &World, process: usize) -> Vec<Choice> {
        let fold = world.processes[process].fold;
        let view = world.log.view(fold);
        let equal = view.live.iter().all(|(place, (revision, _))| world.catalog.get(place).copied().unwrap_or(0) == *revision);
        let registered = world.log.audit.registers.iter().filter(|(seq, ..)| *seq < fold).map(|(_, shows, _)| *shows).max().unwrap_or(0);
        let news = world.log.audit.superseded.iter().any(|(_, by)| *by < fold && *by > registered);
        match (equal, news) {
            (false, _) => vec![],
            (true, true) => vec![Choice::Register { full: false }, Choice::Register { full: true }],
            (true, false) => vec![Choice::Register { full: true }],
        }
    }

    /// An update of an overlapping registrar, older by a revision, lands late.
    pub fn drift(&self, world: &mut World, place: (u8, u8)) {
        self.note("catalog set back");
        world.drifts -= 1;
        world.drifted.insert(place);
        let (window, value) = place;
        let older = world.log.audit.revisions.range((window, value, 0)..(window, value, world.catalog[&place])).next_back();
        let revision = older.map_or(0, |((.., revision), _)| *revision);
        world.catalog.insert(place, revision);
    }
}

impl Lake {
    /// The catalog moves a lake partition to the revision of the registrar's fold, whose files are in place.
    pub fn show(&self, world: &mut World, process: usize, place: (u8, u8)) {
        let (revision, _) = world.log.view(world.processes[process].fold).live[&place];
        self.note("revision shown");
        world.catalog.insert(place, revision);
        if world.drifted.remove(&place) {
            self.note("drift healed");
        }
    }

    /// Whether an overlapping registrar's update of a lake partition may still land: what confirms a vacuum is compared later than that. So
    /// it may not, once a full comparison was made on a fold that has a `register` of the revision.
    pub fn may_drift(&self, world: &World, place: (u8, u8)) -> bool {
        let shown = world.catalog[&place];
        let (window, value) = place;
        let Some(keys) = world.log.audit.revisions.get(&(window, value, shown)) else { return false };
        let by = world.log.audit.offers.iter().position(|offer| keys.iter().any(|key| key.offer == *offer)).map(|by| by as u8);
        let Some(first) = world.log.audit.registers.iter().find(|(_, shows, _)| Some(*shows) >= by).map(|(seq, ..)| *seq) else {
            return world.drifts > 0;
        };
        let confirms = |offer: &Arc<Offer>| matches!(offer.what, What::Register { shows, full: true } if shows >= first);
        let queued = world.processes.iter().any(|process| process.queue.iter().any(confirms)) || world.requests.iter().any(confirms);
        let compared = queued || world.log.audit.registers.iter().any(|(_, shows, full)| *full && *shows >= first);
        world.drifts > 0 && !compared
    }
}

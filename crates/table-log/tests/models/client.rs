//! How every process commits: the protocol of the log client, step by step, and what the store does with it.
use crate::log::Verdict;
use crate::offer::{FileKey, Offer};
use crate::world::{Lake, Status, World};
use std::sync::Arc;
use table_log::planted::{Bug, is_planted};

impl Lake {
    /// Folds to the tail, plans, creates. `answered`: the reply arrives; else the request stays in flight.
    pub fn send(&self, world: &mut World, process: usize, answered: bool) {
        let tail = world.log.len();
        world.processes[process].fold = tail;
        let offer = Arc::clone(&world.processes[process].queue[0]);
        match self.book.plan(&self.scenario, &world.log, tail, &offer) {
            Verdict::Dropped(why) => {
                self.note(why);
                world.drop_queue(process, 0);
            }
            Verdict::Commit(log) if answered => {
                world.grow(log);
                world.processes[process].queue.remove(0);
                world.processes[process].fold = tail + 1;
            }
            Verdict::Commit(_) => {
                self.note("unanswered");
                world.processes[process].faults -= 1;
                world.processes[process].waiting = Some(tail);
                world.requests.push(offer);
                world.requests.sort_unstable();
            }
        }
    }

    /// A create in flight takes effect: its slot is vacant, else it would have been forgotten.
    pub fn land(&self, world: &mut World, offer: &Arc<Offer>) {
        let tail = world.log.len();
        let Verdict::Commit(log) = self.book.plan(&self.scenario, &world.log, tail, offer) else {
            panic!("a record was sent that was not planned");
        };
        let awaited = world.processes.iter().any(|p| p.waiting == Some(tail) && p.queue.first() == Some(offer));
        self.note(if awaited { "landed unnoticed" } else { "landed after its process was gone" });
        world.grow(log);
    }

    /// The slot is occupied: by ours, or fold and plan again.
    pub fn resolve(&self, world: &mut World, process: usize, slot: u8) {
        let found = world.log.entries[usize::from(slot)].offer.id;
        let tail = world.log.len();
        let me = &mut world.processes[process];
        me.waiting = None;
        if found == me.queue[0].id && !is_planted(Bug::LostReplyIsFailure) {
            self.note("lost reply found to be ours");
            me.queue.remove(0);
            me.fold = slot + 1;
        } else {
            self.note("lost the slot");
            me.fold = tail;
        }
    }

    /// Gives up an unknown outcome: the files of the first proposal may still be committed, those behind it were never sent.
    pub fn walk_away(&self, world: &mut World, process: usize) {
        self.note("walked away");
        world.processes[process].waiting = None;
        world.drop_queue(process, if is_planted(Bug::DiscardOnUnknownOutcome) { 0 } else { 1 });
    }

    /// Loses all memory; starts again with a fold of everything.
    pub fn crash(&self, world: &mut World, process: usize) {
        self.note(if world.processes[process].waiting.is_some() { "crashed with an unknown outcome" } else { "crashed" });
        let (tail, upstream) = (world.log.len(), world.upstream);
        let me = &mut world.processes[process];
        me.queue.clear();
        me.waiting = None;
        me.faults -= 1;
        (me.fold, me.upstream) = (tail, upstream);
    }
}

impl World {
    /// The log gets one record more: creates for its slot can no longer take effect.
    fn grow(&mut self, log: Arc<crate::log::Log>) {
        self.log = log;
        self.requests.clear();
    }

    /// Drops all proposals of a process, discarding the files of those from `kept` on: no slot can hold them.
    fn drop_queue(&mut self, process: usize, kept: usize) {
        let dropped: Vec<FileKey> =
            self.processes[process].queue.drain(..).skip(kept).flat_map(|offer| offer.file_keys().collect::<Vec<_>>()).collect();
        for key in dropped {
            self.set_status(key, Status::Gone);
        }
    }
}

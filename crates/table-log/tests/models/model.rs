//! The lake as a model that stateright explores: which steps there are, what they lead to, what must always hold.
use crate::log::Log;
use crate::offer::{FileKey, Offer, OfferId, Rows, StagedFile, What};
use crate::scenario::{Role, Step};
use crate::world::{Action, Choice, Lake, Status, World};
use stateright::{Model, Property};
use table_log::planted::{Bug, is_planted};

impl Model for Lake {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.start()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for process in 0..world.processes.len() {
            self.process_actions(world, process, actions);
        }
        actions.extend(world.requests.iter().map(|offer| Action::Land(offer.id)));
        self.record_actions(world, actions);
        actions.extend(world.catalog.keys().filter(|place| self.may_drift(world, **place)).map(|place| Action::Drift(*place)));
        if self.scenario.upstream.as_ref().is_some_and(|log| world.upstream < log.len()) {
            actions.push(Action::Upstream);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.step(&mut next, action);
        next.normalise(&self.scenario);
        next.look(&self.scenario);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("TL-1 the log is dense, each record folds and is in it once", |_: &Self, world: &World| {
                holds(&world.log, "TL-1")
            }),
            Property::always("TL-2 taken ranges tile", |_: &Self, world: &World| holds(&world.log, "TL-2")),
            Property::always("TL-3 each taken offset is in exactly one place", |_: &Self, world: &World| holds(&world.log, "TL-3")),
            Property::always("TL-4 each named file exists or can be published", |_: &Self, world: &World| world.named_files_exist()),
            Property::always("TL-5 each visible file is named by the log", |_: &Self, world: &World| world.visible_files_are_named()),
            Property::always("TM-1 watermarks do not go back, closed windows stay closed", |_: &Self, world: &World| {
                holds(&world.log, "TM-1")
            }),
            Property::always("TM-3 derived revisions move to newer inputs", |_: &Self, world: &World| holds(&world.log, "TM-3")),
            Property::always("TM-4 what a reader sees of a window never shrinks", |lake: &Self, world: &World| {
                lake.scenario.upstream.is_some() || world.nothing_shrinks()
            }),
            Property::always("CT-1 the catalog names published revisions", |_: &Self, world: &World| world.catalog_is_readable()),
        ]
    }
}

fn holds(log: &Log, id: &str) -> bool {
    log.audit.faults.iter().all(|(fault, _)| *fault != id)
}

impl World {
    fn named_files_exist(&self) -> bool {
        let audit = &self.log.audit;
        holds(&self.log, "TL-4")
            && audit.named.iter().all(|key| self.status(*key) != Status::Gone)
            && audit.confirmed.iter().all(|key| self.status(*key) == Status::Published)
    }

    fn visible_files_are_named(&self) -> bool {
        self.files.iter().all(|(key, (_, status))| *status != Status::Published || self.log.audit.offers.contains(&key.offer))
    }

    /// Of a source table; a derived one shows what its SQL gives.
    fn nothing_shrinks(&self) -> bool {
        let drifted = |window: u8| self.drifted.iter().any(|(w, _)| *w == window);
        let lost = |window: u8, seen: Rows| seen & !self.visible(window) & !self.log.audit.dropped;
        holds(&self.log, "TM-4") && (0u8..).zip(&self.seen).all(|(window, seen)| drifted(window) || lost(window, *seen) == 0)
    }

    /// Also while an overlapping registrar has set it back: what it names then is there too.
    fn catalog_is_readable(&self) -> bool {
        let deletable = |(seq, index): &(u8, u8)| self.log.entries[usize::from(*seq)].offer.files[usize::from(*index)];
        if self.log.audit.vacuumed.iter().any(|file| self.is_shown(&deletable(file))) {
            return false;
        }
        self.catalog.iter().all(|((window, value), revision)| {
            let files = self.log.audit.revisions.get(&(*window, *value, *revision));
            *revision == 0 || files.is_some_and(|files| files.iter().all(|key| self.status(*key) == Status::Published))
        })
    }
}

impl Lake {
    fn process_actions(&self, world: &World, process: usize, actions: &mut Vec<Action>) {
        let (me, actor) = (&world.processes[process], &self.scenario.actors[process]);
        let number = process as u8;
        if let Some(slot) = me.waiting {
            actions.push(Action::WalkAway(number));
            if slot < world.log.len() {
                actions.push(Action::Resolve(number));
            }
        } else if !me.queue.is_empty() {
            actions.push(Action::Send(number));
            if me.faults > 0 {
                actions.push(Action::SendUnanswered(number));
            }
        }
        // With no sweeper, a crash while waiting is the same as walking away and folding.
        if me.faults > 0 && !me.queue.is_empty() && (me.waiting.is_none() || self.scenario.has_sweeper()) {
            actions.push(Action::Crash(number));
        }
        let registrar = matches!(actor.role, Role::Registrar);
        let proposes = me.made < actor.offers && me.queue.len() < usize::from(actor.pipeline);
        if me.waiting.is_none() && me.fold < world.log.len() && (proposes || registrar) {
            actions.push(Action::Fold(number));
        }
        if proposes && me.upstream < world.upstream {
            actions.push(Action::FoldUpstream(number));
        }
        if registrar {
            actions.extend(self.due_updates(world, process).into_iter().map(|place| Action::Show(number, place)));
        }
        if proposes {
            actions.extend(self.choices(world, process).into_iter().map(|choice| Action::Propose(number, choice)));
        }
        if matches!(actor.role, Role::Sweeper) && is_planted(Bug::SweepWithoutRecord) {
            actions.push(Action::DiscardUnrecorded(number));
        }
    }

    fn choices(&self, world: &World, process: usize) -> Vec<Choice> {
        let me = &world.processes[process];
        match &self.scenario.actors[process].role {
            Role::Writer { takes, idle } => self.writer_choices(world, process, takes, idle),
            Role::Sealer { seals, vacuums } => self.sealer_choices(world, process, *seals, *vacuums),
            Role::Sweeper => world.sweepable(me.fold).into_iter().map(Choice::Sweep).collect(),
            Role::Registrar => self.register_choices(world, process),
            Role::Person { steps } => self.step_choices(world, process, steps),
            Role::Deriver => self.deriver_choices(world, process),
        }
    }

    /// The next step of a script; a gap needs a record to lose.
    fn step_choices(&self, world: &World, process: usize, steps: &[Step]) -> Vec<Choice> {
        let me = &world.processes[process];
        let next = |kafka_partition: u8| world.log.view(me.fold).next[usize::from(kafka_partition)];
        match steps.get(usize::from(me.made)) {
            None => vec![],
            Some(Step::Gap(p)) if next(*p).is_none_or(|next| usize::from(next) >= self.scenario.rows[usize::from(*p)].len()) => vec![],
            Some(_) => vec![Choice::Step],
        }
    }

    /// What follows from records, whoever does it.
    fn record_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (seq, entry) in (0u8..).zip(&world.log.entries) {
            if entry.offer.file_keys().any(|key| world.status(key) == Status::Staged) {
                actions.push(Action::Publish(seq));
                if !self.scenario.publish_in_any_order {
                    break;
                }
            }
        }
        for (seq, entry) in (0u8..).zip(&world.log.entries) {
            match &entry.offer.what {
                What::Vacuum { files } if files.iter().any(|file| world.status(world.log.key(*file)) != Status::Gone) => {
                    actions.push(Action::Delete(seq))
                }
                What::Sweep { before } if !world.orphans(seq + 1, *before).is_empty() => actions.push(Action::Discard(seq)),
                _ => {}
            }
        }
    }

    fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::Fold(p) => world.processes[usize::from(p)].fold = world.log.len(),
            Action::FoldUpstream(p) => world.processes[usize::from(p)].upstream = world.upstream,
            Action::Propose(p, choice) => self.propose(world, usize::from(p), &choice),
            Action::Send(p) => self.send(world, usize::from(p), true),
            Action::SendUnanswered(p) => self.send(world, usize::from(p), false),
            Action::Resolve(p) => {
                let slot = world.processes[usize::from(p)].waiting.expect("only a waiting process resolves");
                self.resolve(world, usize::from(p), slot);
            }
            Action::WalkAway(p) => self.walk_away(world, usize::from(p)),
            Action::Crash(p) => self.crash(world, usize::from(p)),
            Action::Land(id) => {
                let offer = world.requests.iter().find(|offer| offer.id == id).expect("only a request in flight lands").clone();
                self.land(world, &offer);
            }
            Action::Publish(seq) => world.change_files(seq, Status::Staged, Status::Published),
            Action::Delete(seq) => {
                let entry = world.log.entries[usize::from(seq)].clone();
                let What::Vacuum { files } = &entry.offer.what else { panic!("only a vacuum's files are deleted") };
                let keys: Vec<_> = files.iter().map(|file| world.log.key(*file)).collect();
                self.remove("vacuumed", world, keys);
            }
            Action::Discard(seq) => {
                let entry = world.log.entries[usize::from(seq)].clone();
                let What::Sweep { before } = entry.offer.what else { panic!("only a sweep discards") };
                let keys = world.orphans(seq + 1, before);
                self.remove("swept", world, keys);
            }
            Action::DiscardUnrecorded(p) => {
                let fold = world.processes[usize::from(p)].fold;
                let keys = world.orphans(fold, fold - 1);
                self.remove("swept", world, keys);
            }
            Action::Show(p, place) => self.show(world, usize::from(p), place),
            Action::Drift(place) => self.drift(world, place),
            Action::Upstream => world.upstream += 1,
        }
    }

    fn propose(&self, world: &mut World, process: usize, choice: &Choice) {
        let (what, files): (What, Vec<StagedFile>) = match choice {
            Choice::Take(take) => self.take(world, process, take),
            Choice::Idle(kafka_partition, to) => self.report_idle(world, process, (*kafka_partition, *to)),
            Choice::Seal(window) => self.seal(world, process, *window),
            Choice::Vacuum => self.vacuum(world, process),
            Choice::Sweep(before) => (What::Sweep { before: *before }, vec![]),
            Choice::Register { full } => (What::Register { shows: world.processes[process].fold - 1, full: *full }, vec![]),
            Choice::Step => (self.next_step(world, process), vec![]),
            Choice::Derive(window) => self.derive(world, process, *window),
        };
        let fold = world.processes[process].fold;
        // "In place" is what a HEAD says now, so the proposer names all such records that nobody has named in its fold.
        let unnamed = world.log.view(fold).unpublished.iter().copied().filter(|_| self.scenario.names_published);
        let published = unnamed
            .filter(|seq| world.log.entries[usize::from(*seq)].offer.file_keys().all(|key| world.status(key) == Status::Published))
            .collect();
        let me = &mut world.processes[process];
        let offer = Offer::new(OfferId { process: process as u8, number: me.made }, published, what, files);
        me.made += 1;
        me.queue.push(offer.clone());
        let status = if is_planted(Bug::PublishBeforeCommit) { Status::Published } else { Status::Staged };
        world.files.extend(offer.file_keys().zip(offer.files.iter().map(|file| (*file, status))));
    }

    fn next_step(&self, world: &World, process: usize) -> What {
        let Role::Person { steps } = &self.scenario.actors[process].role else { panic!("only a person has a script") };
        let me = &world.processes[process];
        let view = world.log.view(me.fold);
        match &steps[usize::from(me.made)] {
            Step::Lateness(lateness) => What::Table { version: view.schema_version + 1, lateness: *lateness },
            Step::Declare(partitions) => What::Declare { partitions: partitions.clone() },
            Step::Restart => What::Restart { generation: view.generation + 1, partitions: self.scenario.partitions() },
            Step::Gap(kafka_partition) => {
                let start = view.next[usize::from(*kafka_partition)].expect("a gap is in a declared kafka_partition");
                What::Gap { generation: view.generation, kafka_partition: *kafka_partition, start, end: start + 1 }
            }
        }
    }

    fn remove(&self, what: &'static str, world: &mut World, keys: Vec<FileKey>) {
        self.note(what);
        for key in keys {
            world.set_status(key, Status::Gone);
        }
    }
}

impl World {
    fn change_files(&mut self, seq: u8, from: Status, to: Status) {
        let entry = self.log.entries[usize::from(seq)].clone();
        for key in entry.offer.file_keys().filter(|key| self.status(*key) == from).collect::<Vec<_>>() {
            self.set_status(key, to);
        }
    }

    /// Staged files on a state older than `before` that the first `fold` records do not name.
    fn orphans(&self, fold: u8, before: u8) -> Vec<FileKey> {
        let named = |key: &FileKey| self.log.entries[..usize::from(fold)].iter().any(|entry| entry.offer.id == key.offer);
        let old = self.files.iter().filter(|(_, (file, status))| *status == Status::Staged && file.staged_on < before);
        old.map(|(key, _)| *key).filter(|key| !named(key)).collect()
    }

    /// Seqs that a sweep may name: the newest, and the lowest that covers each orphan.
    fn sweepable(&self, fold: u8) -> Vec<u8> {
        let orphans = self.orphans(fold, fold - 1);
        let mut before: Vec<u8> = orphans.iter().map(|key| self.files[key].0.staged_on + 1).collect();
        if !before.is_empty() {
            before.push(fold - 1);
        }
        before.sort_unstable();
        before.dedup();
        before
    }
}

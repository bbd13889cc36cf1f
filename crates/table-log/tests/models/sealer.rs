//! A sealer: revisions of closed windows, and the vacuum of what they superseded. A deriver: the same with named revisions of a source.
use crate::audit::Ref;
use crate::log::Log;
use crate::offer::{Folder, Rows, StagedFile, What};
use crate::world::{Choice, Lake, World};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use table_log::planted::{Bug, is_planted};

impl Lake {
    /// What a sealer may do now. It reads its inputs when it begins, so they must be in place.
    pub fn sealer_choices(&self, world: &World, process: usize, seals: bool, vacuums: bool) -> Vec<Choice> {
        let fold = world.processes[process].fold;
        let ready = |window: &u8| {
            let inputs = inputs(&world.log, fold, *window);
            !inputs.is_empty() && inputs.values().all(|files| world.in_place(files))
        };
        let mut choices = vec![];
        if seals {
            choices.extend((0..self.scenario.windows).filter(ready).map(Choice::Seal));
        }
        if vacuums && !deletable(&world.log, fold).is_empty() {
            choices.push(Choice::Vacuum);
        }
        choices
    }

    /// The next revision of a window: of all its lake partitions at first, later of those with late rows.
    pub fn seal(&self, world: &World, process: usize, window: u8) -> (What, Vec<StagedFile>) {
        let fold = world.processes[process].fold;
        let inputs = inputs(&world.log, fold, window);
        let revision = world.log.view(fold).revision[usize::from(window)] + 1;
        let staged_on = self.staged_on(fold);
        let (mut files, mut dropped) = (vec![], 0);
        for (value, refs) in &inputs {
            let rows = refs.iter().fold(0, |rows, file| rows | world.log.rows(*file));
            let kept = self.first_of_each_key(rows);
            dropped |= rows & !kept;
            files.push(StagedFile { window, value: *value, folder: Folder::Revision(revision), rows: kept, staged_on });
        }
        if dropped != 0 {
            self.note("duplicates dropped");
            let value = *inputs.keys().next().expect("a seal has inputs");
            files.push(StagedFile { window, value, folder: Folder::Duplicates, rows: dropped, staged_on });
        }
        let values = inputs.into_keys().collect();
        (What::Seal { window, revision, through: fold - 1, values, dropped }, files)
    }

    /// Bits are in the order in which duplicates are kept.
    fn first_of_each_key(&self, rows: Rows) -> Rows {
        let mut keys = BTreeSet::new();
        let first = |bit: &u32| {
            if rows & (1 << bit) == 0 {
                return false;
            }
            let key = self.scenario.row_of(*bit).key;
            key == u8::MAX || keys.insert(key)
        };
        (0..Rows::BITS).filter(first).fold(0, |kept, bit| kept | 1 << bit)
    }

    pub fn vacuum(&self, world: &World, process: usize) -> (What, Vec<StagedFile>) {
        (What::Vacuum { files: deletable(&world.log, world.processes[process].fold) }, vec![])
    }

    /// A derived window overlaps two source windows; it is due when both are complete and a revision is newer than the result's.
    pub fn deriver_choices(&self, world: &World, process: usize) -> Vec<Choice> {
        (0..self.scenario.windows).filter(|window| self.due_inputs(world, process, *window).is_some()).map(Choice::Derive).collect()
    }

    fn due_inputs(&self, world: &World, process: usize, window: u8) -> Option<Vec<(u8, u8)>> {
        let me = &world.processes[process];
        let source = self.scenario.upstream.as_ref().expect("a deriver has a source").view(me.upstream);
        let complete = |w: u8| {
            let revision = *source.revision.get(usize::from(w))?;
            let empty = source.live.range(values(w)).next().is_none() && source.late.range(values(w)).next().is_none();
            (revision > 0 || (empty && source.closed[usize::from(w)])).then_some((w, revision))
        };
        let inputs = vec![complete(window)?, complete(window + 1)?];
        let result = results(&world.log, me.fold).get(&window).map(|(_, inputs)| inputs.clone());
        (result != Some(inputs.clone())).then_some(inputs)
    }

    pub fn derive(&self, world: &World, process: usize, window: u8) -> (What, Vec<StagedFile>) {
        let me = &world.processes[process];
        let upstream = self.scenario.upstream.as_ref().expect("a deriver has a source");
        let inputs = self.due_inputs(world, process, window).expect("the choice was made on the same state");
        let fold = if is_planted(Bug::DeriveReadsOtherRevisions) { world.upstream } else { me.upstream };
        let source = upstream.view(fold);
        let refs = inputs.iter().flat_map(|(w, _)| source.live.range(values(*w))).flat_map(|(_, (_, files))| files);
        let rows = refs.fold(0, |rows, file| rows | upstream.rows(*file));
        let revision = results(&world.log, me.fold).get(&window).map_or(0, |(revision, _)| *revision) + 1;
        let file = StagedFile { window, value: 0, folder: Folder::Revision(revision), rows, staged_on: self.staged_on(me.fold) };
        let files = if rows == 0 { vec![] } else { vec![file] };
        (What::Derive { window, revision, inputs }, files)
    }
}

/// The lake partitions of a window.
fn values(window: u8) -> Range<(u8, u8)> {
    (window, 0)..(window + 1, 0)
}

/// Files that the next revision of a window is made of, per value; none if it is not due.
fn inputs(log: &Log, fold: u8, window: u8) -> BTreeMap<u8, Vec<Ref>> {
    let view = log.view(fold);
    let mut inputs: BTreeMap<u8, Vec<Ref>> = BTreeMap::new();
    if !view.closed[usize::from(window)] {
        return inputs;
    }
    for ((_, value), files) in view.late.range(values(window)).filter(|(_, files)| !files.is_empty()) {
        inputs.entry(*value).or_default().extend(files);
    }
    for ((_, value), (_, files)) in view.live.range(values(window)) {
        if view.revision[usize::from(window)] == 0 || inputs.contains_key(value) {
            inputs.entry(*value).or_default().extend(files);
        }
    }
    inputs
}

/// Superseded files that a fold says may be deleted.
fn deletable(log: &Log, fold: u8) -> Vec<Ref> {
    log.view(fold).confirmed.clone()
}

/// Newest revision and inputs of each derived window.
fn results(log: &Log, fold: u8) -> BTreeMap<u8, (u8, Vec<(u8, u8)>)> {
    let mut results = BTreeMap::new();
    for entry in &log.entries[..usize::from(fold)] {
        if let What::Derive { window, revision, inputs } = &entry.offer.what {
            results.insert(*window, (*revision, inputs.clone()));
        }
    }
    results
}

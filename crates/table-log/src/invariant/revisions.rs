//! TM-3 and TM-4 over a log's history: books of which files each revision was made from, kept without the fold and without its rules.
use super::{Invariant, Violation};
use crate::record::{Body, Catalog, DeriveBody, DeriveInput, FileEntry, RegisterBody, RepairAction, RevisedPartition, SealBody};
use crate::{FileRef, LakePartition, Record, Seq};
use std::collections::{BTreeMap, BTreeSet};
use windowing::Time;

/// Rows by file.
type Files = BTreeMap<FileRef, u64>;

/// The books. Take all records of a log in order.
#[derive(Clone, Debug, Default)]
pub struct Revisions {
    windows: BTreeMap<Time, Window>,
    superseded: BTreeMap<FileRef, Seq>,
    vacuumed: BTreeSet<FileRef>,
    published: BTreeSet<Seq>,
    registers: Vec<(Seq, RegisterBody)>,
    catalog: Catalog,
    /// Violations of the record that is taken.
    found: Vec<Violation>,
}

#[derive(Clone, Debug, Default)]
struct Window {
    revision: u32,
    inputs: Vec<DeriveInput>,
    lake_partitions: BTreeMap<LakePartition, Place>,
}

/// One lake partition.
#[derive(Clone, Debug, Default)]
struct Place {
    revision: u32,
    live: Files,
    late: Files,
}

impl Revisions {
    /// Takes the next record; what it breaks.
    pub fn take(&mut self, record: &Record) -> Vec<Violation> {
        self.published.extend(&record.published);
        let seq = record.seq;
        match &record.body {
            Body::Table(body) => self.catalog = body.settings.catalog,
            Body::Append(body) => (0..).zip(&body.files).for_each(|(index, entry)| self.append(FileRef { seq, index }, entry)),
            Body::Seal(body) => self.seal(seq, body),
            Body::Derive(body) => self.derive(seq, body),
            Body::Register(body) => self.registers.push((seq, body.clone())),
            Body::Vacuum(body) => body.files.iter().for_each(|file| self.vacuum(seq, *file)),
            Body::Repair(body) => self.repair(seq, &body.action),
            Body::Source(_) | Body::Sweep(_) | Body::Flush(_) => {}
        }
        std::mem::take(&mut self.found)
    }

    /// What a seal is made from, by the records before it: to be asked before it is taken.
    pub fn inputs_of(&self, body: &SealBody) -> BTreeSet<FileRef> {
        let named = body.lake_partitions.iter().map(|revised| &revised.lake_partition);
        let places = named.filter_map(|name| self.windows.get(&body.window_start)?.lake_partitions.get(name));
        places.flat_map(|place| place.live.keys().chain(place.late.keys().filter(|file| file.seq <= body.through))).copied().collect()
    }

    /// Live and late files: each row that was taken and not dropped is in exactly one of them.
    pub fn holding(&self) -> impl Iterator<Item = FileRef> + '_ {
        let places = self.windows.values().flat_map(|window| window.lake_partitions.values());
        places.flat_map(|place| place.live.keys().chain(place.late.keys())).copied()
    }

    /// The newest revision of a window (0: none) and its live files; late ones are not in it.
    pub fn newest(&self, window_start: Time) -> (u32, BTreeSet<FileRef>) {
        let Some(window) = self.windows.get(&window_start) else { return (0, BTreeSet::new()) };
        (window.revision, window.lake_partitions.values().flat_map(|place| place.live.keys()).copied().collect())
    }

    fn violated(&mut self, invariant: Invariant, detail: String) {
        self.found.push(Violation { invariant, detail });
    }

    fn append(&mut self, file: FileRef, entry: &FileEntry) {
        let window = self.windows.entry(entry.lake_partition.window_start).or_default();
        let place = window.lake_partitions.entry(entry.lake_partition.clone()).or_default();
        let files = if entry.late { &mut place.late } else { &mut place.live };
        files.insert(file, entry.rows);
        if !entry.late && window.revision > 0 {
            let revision = window.revision;
            self.violated(
                Invariant::Tm4,
                format!("`{}` is in `open/` of a window that has revision `{revision}`: no reader sees it", entry.key),
            );
        }
    }

    fn seal(&mut self, seq: Seq, body: &SealBody) {
        let (start, revision) = (body.window_start, body.revision);
        let mut window = self.windows.remove(&start).unwrap_or_default();
        if revision != window.revision + 1 {
            self.violated(Invariant::Tm3, format!("revision `{revision}` of window `{start}` follows `{}`", window.revision));
        }
        if body.through >= seq {
            self.violated(
                Invariant::Tm3,
                format!("revision `{revision}` of window `{start}` is through seq `{}`, which is later", body.through),
            );
        }
        self.check_left_out(&window, body);
        let seen_before = window.visible();
        let (mut before, mut after, mut index) = (0, 0, 0);
        for revised in &body.lake_partitions {
            let place = window.lake_partitions.entry(revised.lake_partition.clone()).or_default();
            let (unseen, inputs) = place.take(body.through);
            if let Some(file) = unseen {
                self.violated(
                    Invariant::Tm3,
                    format!("revision `{revision}` replaces file `{file:?}`, which came after `{}`", body.through),
                );
            }
            before += inputs.values().map(|rows| u128::from(*rows)).sum::<u128>();
            after += revised.files.iter().map(|file| u128::from(file.rows)).sum::<u128>();
            self.superseded.extend(inputs.into_keys().map(|file| (file, seq)));
            place.revise(seq, revision, revised, &mut index);
        }
        let dropped = body.duplicates.iter().map(|file| u128::from(file.rows)).sum::<u128>();
        if dropped != u128::from(body.duplicate_rows) {
            self.violated(Invariant::Tm3, format!("duplicates files hold `{dropped}` rows, the record says `{}`", body.duplicate_rows));
        }
        if before != after + dropped {
            let what = format!("revision `{revision}` of window `{start}` has `{after}` rows and drops `{dropped}` of `{before}`");
            self.violated(Invariant::Tm3, what);
        }
        if window.visible() + dropped < seen_before {
            let what = format!("a reader saw `{seen_before}` rows of window `{start}` and now sees `{}`", window.visible());
            self.violated(Invariant::Tm4, what);
        }
        window.revision = revision;
        self.windows.insert(start, window);
    }

    /// Revision 1 covers all lake partitions, later ones those with late files at least.
    fn check_left_out(&mut self, window: &Window, body: &SealBody) {
        let named: BTreeSet<&LakePartition> = body.lake_partitions.iter().map(|revised| &revised.lake_partition).collect();
        let due = |place: &Place| {
            let open = place.revision == 0 && !place.live.is_empty();
            open || place.late.keys().any(|file| file.seq <= body.through)
        };
        if let Some((name, _)) = window.lake_partitions.iter().find(|(name, place)| due(place) && !named.contains(name)) {
            self.violated(Invariant::Tm3, format!("revision `{}` leaves out files of `{name:?}`", body.revision));
        }
    }

    fn derive(&mut self, seq: Seq, body: &DeriveBody) {
        let (start, revision) = (body.window_start, body.revision);
        let window = self.windows.remove(&start).unwrap_or_default();
        if revision != window.revision + 1 {
            self.violated(Invariant::Tm3, format!("revision `{revision}` of window `{start}` follows `{}`", window.revision));
        }
        if window.revision > 0 && !is_newer(&window.inputs, &body.inputs) {
            self.violated(
                Invariant::Tm3,
                format!("revision `{revision}` of window `{start}` rests on no newer inputs than the one before"),
            );
        }
        let replaced = window.lake_partitions.into_values().flat_map(|place| place.live.into_keys().chain(place.late.into_keys()));
        self.superseded.extend(replaced.map(|file| (file, seq)));
        let mut made = Window { revision, inputs: body.inputs.clone(), lake_partitions: BTreeMap::new() };
        let mut index = 0;
        for revised in &body.lake_partitions {
            made.lake_partitions.entry(revised.lake_partition.clone()).or_default().revise(seq, revision, revised, &mut index);
        }
        self.windows.insert(start, made);
    }

    /// TL-4: what is deleted was replaced. TM-4: and those who read by the catalog had seen its successor.
    fn vacuum(&mut self, seq: Seq, file: FileRef) {
        let name = format!("file `{}:{}`", file.seq, file.index);
        let Some(by) = self.superseded.remove(&file) else {
            self.violated(Invariant::Tl4, format!("record `{seq}` vacuums {name}, which nothing has replaced"));
            return;
        };
        self.vacuumed.insert(file);
        let seen = if self.catalog.is_none() { self.published.contains(&by) } else { self.is_confirmed(by) };
        if !seen {
            self.violated(Invariant::Tm4, format!("record `{seq}` vacuums {name} before readers see the revision of seq `{by}` for good"));
        }
    }

    /// A `register` showed the revision, and one after a full comparison of a fold with that one still did.
    fn is_confirmed(&self, by: Seq) -> bool {
        let shown = self.registers.iter().find(|(_, register)| register.shows >= by);
        shown.is_some_and(|(shown, _)| self.registers.iter().any(|(seq, later)| seq > shown && later.full && later.shows >= *shown))
    }

    fn repair(&mut self, seq: Seq, action: &RepairAction) {
        let (lost, files) = match action {
            RepairAction::Refile { lost, files } => (lost, files.as_slice()),
            RepairAction::Lost { lost } => (lost, [].as_slice()),
            RepairAction::Gap { .. } | RepairAction::Restart { .. } => return,
        };
        for file in lost {
            for place in self.windows.values_mut().flat_map(|window| window.lake_partitions.values_mut()) {
                place.live.remove(file);
                place.late.remove(file);
            }
        }
        for (index, entry) in (0..).zip(files).filter(|(_, entry)| entry.key.split('/').nth(1) == Some("data")) {
            let window = self.windows.entry(entry.lake_partition.window_start).or_default();
            let place = window.lake_partitions.entry(entry.lake_partition.clone()).or_default();
            let files = if entry.late { &mut place.late } else { &mut place.live };
            files.insert(FileRef { seq, index }, entry.rows);
        }
    }
}

/// No source window is left out or older, and one at least is newer.
fn is_newer(old: &[DeriveInput], new: &[DeriveInput]) -> bool {
    let revision = |inputs: &[DeriveInput], of: &DeriveInput| {
        inputs.iter().find(|input| (&input.table, input.window_start) == (&of.table, of.window_start)).map(|input| input.revision)
    };
    old.iter().all(|input| revision(new, input) >= Some(input.revision))
        && new.iter().any(|input| revision(old, input) < Some(input.revision))
}

impl Window {
    fn visible(&self) -> u128 {
        self.lake_partitions.values().flat_map(|place| place.live.values()).map(|rows| u128::from(*rows)).sum()
    }
}

impl Place {
    /// Takes out what a revision through `through` is made from. With it an open file that came later, and so is not in it.
    fn take(&mut self, through: Seq) -> (Option<FileRef>, Files) {
        let unseen = self.live.keys().find(|file| self.revision == 0 && file.seq > through).copied();
        let mut inputs = std::mem::take(&mut self.live);
        let later = self.late.split_off(&FileRef { seq: Seq(through.0 + 1), index: 0 });
        inputs.append(&mut self.late);
        self.late = later;
        (unseen, inputs)
    }

    fn revise(&mut self, seq: Seq, revision: u32, revised: &RevisedPartition, index: &mut u32) {
        self.revision = revision;
        for entry in &revised.files {
            self.live.insert(FileRef { seq, index: *index }, entry.rows);
            *index += 1;
        }
    }
}

//! What must hold of a log by itself. The auditor reads the records on its own and compares with what the production state says.
use crate::log::Entry;
use crate::offer::{FileKey, Folder, OfferId, Rows, TICK_MICROS, TOPIC, What, tick};
use crate::scenario::Scenario;
use std::collections::BTreeMap;
use std::sync::Arc;
use table_log::planted::{Bug, is_planted};
use table_log::state::Superseded;
use table_log::{FileRef, KafkaPartition, LakePartition, Seq, TableState};
use windowing::Watermark;

/// A file by the seq of its record and its index there.
pub type Ref = (u8, u8);

/// The production state in small numbers, through its public accessors only.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub next_seq: u64,
    pub generation: u8,
    pub schema_version: u8,
    /// Per kafka_partition of the current generation; `None`: not declared.
    pub next: Vec<Option<u8>>,
    pub partition_watermarks: Vec<Watermark>,
    pub watermark: Watermark,
    pub closed: Vec<bool>,
    pub revision: Vec<u8>,
    /// Per lake partition (window, value): its revision (0: open files) and files.
    pub live: BTreeMap<(u8, u8), (u8, Vec<Ref>)>,
    pub late: BTreeMap<(u8, u8), Vec<Ref>>,
    pub quarantine: Vec<Ref>,
    pub unpublished: Vec<u8>,
    /// Superseded files that the state says may be vacuumed.
    pub confirmed: Vec<Ref>,
}

impl View {
    pub fn of(scenario: &Scenario, state: &TableState) -> Self {
        let current = state.current_source(TOPIC);
        let partition = |p: u8| current.and_then(|(_, source)| source.partitions.get(&KafkaPartition(i32::from(p))));
        let partitions = 0..scenario.partitions();
        let mut revision = vec![0; usize::from(scenario.windows)];
        for (start, number, _) in state.windows() {
            revision[(start.0 / TICK_MICROS) as usize] = number as u8;
        }
        Self {
            next_seq: state.next_seq.0,
            schema_version: state.table.as_ref().map_or(0, |table| table.schema_version as u8),
            generation: current.map_or(0, |(generation, _)| generation as u8),
            next: partitions.clone().map(|p| partition(p).map(|state| state.next_offset.0 as u8)).collect(),
            partition_watermarks: partitions.map(|p| partition(p).and_then(|state| state.watermark)).collect(),
            watermark: state.watermark(),
            closed: (0..scenario.windows).map(|window| state.is_closed(tick(window))).collect(),
            revision,
            live: state.live_files().map(|(place, revision, files)| (place_of(place), (revision as u8, refs(files)))).collect(),
            late: state.late_files().map(|(place, files)| (place_of(place), refs(files))).collect(),
            quarantine: refs(state.quarantine_files()),
            confirmed: refs(&vacuumable(state)),
            unpublished: state.unpublished().iter().map(|seq| seq.0 as u8).collect(),
        }
    }
}

fn vacuumable(state: &TableState) -> Vec<FileRef> {
    let confirmed = |superseded: &Superseded| superseded.confirmed_by.is_some() || is_planted(Bug::VacuumBeforeRegister);
    state.superseded_files().filter(|(_, superseded)| confirmed(superseded)).map(|(file, _)| file).collect()
}

fn place_of(place: &LakePartition) -> (u8, u8) {
    let value = place.values.first().cloned().flatten().map_or(0, |value| value.parse().expect("the models' values are numbers"));
    ((place.window_start.0 / TICK_MICROS) as u8, value)
}

fn refs(files: &[FileRef]) -> Vec<Ref> {
    files.iter().map(|FileRef { seq: Seq(seq), index }| (*seq as u8, *index as u8)).collect()
}

/// What the auditor makes of a log.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Broken invariants of the log itself: id and what is wrong.
    pub faults: Vec<(&'static str, String)>,
    pub offers: Vec<OfferId>,
    /// Files that must exist, or at least be publishable (TL-4).
    pub named: Vec<FileKey>,
    /// Those of them whose record a `published` names: they must be in place.
    pub confirmed: Vec<FileKey>,
    pub vacuumed: Vec<Ref>,
    /// Superseded files and the seq of the record that superseded them.
    pub superseded: Vec<(Ref, u8)>,
    /// Files per (window, value, revision).
    pub revisions: BTreeMap<(u8, u8, u8), Vec<FileKey>>,
    /// Rows dropped in favour of others.
    pub dropped: Rows,
    /// (seq, shows, full)
    pub registers: Vec<(u8, u8, bool)>,
    /// Seq and `before` of sweeps.
    pub sweeps: Vec<(u8, u8)>,
    pub live: Vec<FileKey>,
    /// Newest inputs per derived window.
    pub inputs: BTreeMap<u8, Vec<(u8, u8)>>,
    taken: Rows,
    next: BTreeMap<(u8, u8), u8>,
    /// Live rows per lake partition: revision and files.
    places: BTreeMap<(u8, u8), (u8, Vec<Ref>)>,
    late: BTreeMap<(u8, u8), Vec<Ref>>,
    quarantine: Vec<Ref>,
}

impl Audit {
    /// Audits a log; `fold_error` is what `apply` said to its last record.
    pub fn of(scenario: &Scenario, entries: &[Arc<Entry>], fold_error: Option<String>) -> Self {
        let mut audit = Self::default();
        for (seq, entry) in entries.iter().enumerate() {
            audit.read(scenario, seq as u8, entry);
        }
        if let Some(error) = fold_error {
            audit.fault("TL-1", format!("`plan` commits what `apply` refuses: {error}"));
        }
        audit.name_files(entries);
        audit.compare(entries);
        audit.accounts(entries);
        audit.watermarks(entries);
        audit
    }

    fn fault(&mut self, id: &'static str, text: String) {
        self.faults.push((id, text));
    }

    fn read(&mut self, scenario: &Scenario, seq: u8, entry: &Entry) {
        if entry.record.seq != Seq(u64::from(seq)) || self.offers.contains(&entry.offer.id) {
            self.fault("TL-1", format!("record {seq} is out of place or twice in the log"));
        }
        self.offers.push(entry.offer.id);
        match &entry.offer.what {
            What::Append { taken } => {
                for range in taken {
                    self.take(seq, (range.generation, range.kafka_partition), range.start, range.end);
                    self.taken |= scenario.bits(range.generation, range.kafka_partition, range.start..range.end);
                }
                self.read_append(seq, entry);
            }
            What::Seal { window, revision, through, values, dropped } => {
                self.dropped |= dropped;
                for value in values {
                    self.read_revision(seq, entry, (*window, *value, *revision), *through);
                }
            }
            What::Derive { window, revision, inputs } => {
                let old = self.inputs.insert(*window, inputs.clone());
                let newer = |old: &Vec<(u8, u8)>| old != inputs && old.iter().zip(inputs).all(|(o, n)| o.0 == n.0 && o.1 <= n.1);
                if old.is_some_and(|old| !newer(&old)) {
                    self.fault("TM-3", format!("record {seq} derives from older revisions than the result that it replaces"));
                }
                let rows = entry.offer.files.iter().fold(0, |rows, file| rows | file.rows);
                if rows != named_rows(scenario, inputs) {
                    self.fault("TM-3", format!("record {seq} has other rows than the revisions that it names: {rows:b}"));
                }
                self.read_revision(seq, entry, (*window, 0, *revision), seq);
            }
            What::Gap { generation, kafka_partition, start, end } => self.take(seq, (*generation, *kafka_partition), *start, *end),
            What::Register { shows, full } => self.registers.push((seq, *shows, *full)),
            What::Vacuum { files } => self.vacuumed.extend(files),
            What::Sweep { before } => self.sweeps.push((seq, *before)),
            What::Table { .. } | What::Declare { .. } | What::Restart { .. } => {}
        }
    }

    fn take(&mut self, seq: u8, source: (u8, u8), start: u8, end: u8) {
        let expected = std::mem::replace(self.next.entry(source).or_default(), end);
        if expected != start {
            self.fault("TL-2", format!("record {seq} starts at {start} instead of {expected}"));
        }
    }

    fn read_append(&mut self, seq: u8, entry: &Entry) {
        for (index, file) in entry.offer.files.iter().enumerate() {
            let file_ref = (seq, index as u8);
            match file.folder {
                Folder::Open => self.places.entry((file.window, file.value)).or_default().1.push(file_ref),
                Folder::Late => self.late.entry((file.window, file.value)).or_default().push(file_ref),
                _ => self.quarantine.push(file_ref),
            }
            let sealed = self.places.range((file.window, 0)..(file.window + 1, 0)).any(|(_, (revision, _))| *revision > 0);
            if file.folder == Folder::Open && sealed {
                self.fault("TM-4", format!("record {seq} adds to `open/` of window {}, which has a revision", file.window));
            }
        }
    }

    fn read_revision(&mut self, seq: u8, entry: &Entry, (window, value, revision): (u8, u8, u8), through: u8) {
        let files: Vec<u8> = entry
            .offer
            .files
            .iter()
            .enumerate()
            .filter(|(_, f)| f.value == value && f.folder == Folder::Revision(revision))
            .map(|(i, _)| i as u8)
            .collect();
        let place = self.places.entry((window, value)).or_default();
        let broken = revision <= place.0 || place.1.iter().any(|(old, _)| *old > through);
        self.superseded.extend(place.1.iter().map(|file| (*file, seq)));
        *place = (revision, files.iter().map(|index| (seq, *index)).collect());
        let keys = files.iter().map(|index| FileKey { offer: entry.offer.id, index: *index }).collect();
        self.revisions.insert((window, value, revision), keys);
        let late = self.late.entry((window, value)).or_default();
        self.superseded.extend(late.iter().filter(|(old, _)| *old <= through).map(|file| (*file, seq)));
        late.retain(|(old, _)| *old > through);
        if broken {
            self.fault("TL-3", format!("record {seq} replaces files of window {window} that were not in it"));
        }
    }

    fn name_files(&mut self, entries: &[Arc<Entry>]) {
        let published: Vec<u8> = entries.iter().flat_map(|entry| entry.offer.published.iter().copied()).collect();
        for (seq, entry) in entries.iter().enumerate() {
            for key in entry.offer.file_keys().filter(|key| !self.vacuumed.contains(&(seq as u8, key.index))) {
                self.named.push(key);
                if published.contains(&(seq as u8)) {
                    self.confirmed.push(key);
                }
            }
        }
        let key = |(seq, index): &Ref| FileKey { offer: entries[usize::from(*seq)].offer.id, index: *index };
        self.live = self.places.values().flat_map(|(_, files)| files).chain(&self.quarantine).map(key).collect();
    }

    /// The production state against the auditor's own reading.
    fn compare(&mut self, entries: &[Arc<Entry>]) {
        let Some(view) = entries.last().map(|entry| &entry.view) else { return };
        let sorted = |files: &[Ref]| {
            let mut files = files.to_vec();
            files.sort_unstable();
            files
        };
        let filled = |map: &BTreeMap<(u8, u8), (u8, Vec<Ref>)>| -> Vec<((u8, u8), u8, Vec<Ref>)> {
            map.iter()
                .filter(|(_, (_, files))| !files.is_empty())
                .map(|(place, (revision, files))| (*place, *revision, sorted(files)))
                .collect()
        };
        let waiting = |map: &BTreeMap<(u8, u8), Vec<Ref>>| -> Vec<((u8, u8), Vec<Ref>)> {
            map.iter().filter(|(_, files)| !files.is_empty()).map(|(place, files)| (*place, sorted(files))).collect()
        };
        let unpublished = unpublished(entries);
        let next = (0u8..)
            .zip(&view.next)
            .all(|(p, next)| next.is_none() || *next == Some(self.next.get(&(view.generation, p)).copied().unwrap_or(0)));
        let checks = [
            ("TL-1", "next seq", view.next_seq == entries.len() as u64),
            ("TL-2", "next offsets", next),
            ("TL-3", "live files", filled(&view.live) == filled(&self.places)),
            ("TL-3", "late files", waiting(&view.late) == waiting(&self.late)),
            ("TL-3", "quarantine files", sorted(&view.quarantine) == sorted(&self.quarantine)),
            ("TL-4", "unpublished records", view.unpublished == unpublished),
        ];
        for (id, what, same) in checks {
            if !same {
                self.fault(id, format!("the state's {what} differ from the records': {view:?}"));
            }
        }
    }

    /// TL-3: every offset that the log took is in exactly one place.
    fn accounts(&mut self, entries: &[Arc<Entry>]) {
        let rows = |(seq, index): &Ref| entries[usize::from(*seq)].offer.files[usize::from(*index)].rows;
        let Some(view) = entries.last().map(|entry| &entry.view) else { return };
        if !self.inputs.is_empty() {
            return;
        }
        let (mut once, mut twice) = (self.dropped, 0);
        let live = view.live.values().flat_map(|(_, files)| files);
        for file in live.chain(view.late.values().flatten()).chain(&view.quarantine) {
            twice |= once & rows(file);
            once |= rows(file);
        }
        if twice != 0 || once != self.taken {
            self.fault("TL-3", format!("rows in two places: {twice:b}; found {once:b} of {:b}", self.taken));
        }
    }

    /// TM-1, and that a closed window stays closed.
    fn watermarks(&mut self, entries: &[Arc<Entry>]) {
        let [.., before, after] = entries else { return };
        let (before, after) = (&before.view, &after.view);
        let same_generation = before.generation == after.generation;
        let partition_back = before.partition_watermarks.iter().zip(&after.partition_watermarks).any(|(b, a)| b > a);
        if after.watermark < before.watermark || (same_generation && partition_back) {
            self.fault("TM-1", format!("a watermark goes back: {before:?} to {after:?}"));
        }
        if before.closed.iter().zip(&after.closed).any(|(b, a)| *b && !*a) {
            self.fault("TM-1", "a closed window is open again".to_owned());
        }
        if before.revision.iter().zip(&after.revision).any(|(b, a)| b > a) {
            self.fault("TM-4", "a revision goes back".to_owned());
        }
    }
}

/// Rows of the named revisions of a source table.
fn named_rows(scenario: &Scenario, inputs: &[(u8, u8)]) -> Rows {
    let Some(source) = &scenario.upstream else { return 0 };
    let file = |key: &FileKey| {
        source.entries.iter().find(|entry| entry.offer.id == key.offer).map(|entry| entry.offer.files[usize::from(key.index)])
    };
    // A revision holds the lake partitions that it names, and of the others what they held before.
    let newest =
        |window: u8, value: u8, revision: u8| source.audit.revisions.range((window, value, 0)..=(window, value, revision)).next_back();
    let places = inputs.iter().flat_map(|(window, revision)| (0..=u8::MAX).map(move |value| (*window, value, *revision)));
    let keys = places.filter_map(|(window, value, revision)| newest(window, value, revision)).flat_map(|(_, keys)| keys);
    keys.filter_map(file).fold(0, |rows, file| rows | file.rows)
}

fn unpublished(entries: &[Arc<Entry>]) -> Vec<u8> {
    let named = |seq: u8| entries.iter().any(|entry| entry.offer.published.contains(&seq));
    (0u8..).zip(entries).filter(|(seq, entry)| !entry.offer.files.is_empty() && !named(*seq)).map(|(seq, _)| seq).collect()
}

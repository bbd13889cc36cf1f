//! Walks the raw records and objects of a finished run. Shares only the record format with the program.
use crate::actor::MOST_SKEW;
use crate::kafka::{self, Fate, KAFKA_PARTITIONS};
use crate::lake::{Row, decode, table_name, window_size};
use crate::sim::Sim;
use lake_store::LakeStore;
use std::collections::{BTreeMap, BTreeSet};
use table_log::invariant::check::check_log;
use table_log::key::{Key, log_path};
use table_log::record::{AppendBody, AppendRange, Body, FileEntry, SealBody, TableBody, TableSettings};
use table_log::{FileRef, Invariant, Record, Seq, TableName};
use windowing::{Micros, Time};

/// Rows of each revision that there ever was.
pub type Revisions = BTreeMap<(Time, u32), Vec<Row>>;

/// Audits the table that is fed by Kafka.
pub async fn audit(sim: &Sim) -> Revisions {
    let records = records(sim, &table_name()).await;
    let mut audit = Audit {
        sim,
        settings: None,
        closed_through: None,
        sources: BTreeMap::new(),
        windows: BTreeMap::new(),
        files: BTreeMap::new(),
        taken: BTreeSet::new(),
        dropped: BTreeSet::new(),
        revisions: BTreeMap::new(),
    };
    for (record, committed_at) in &records {
        audit.follow(record, *committed_at);
    }
    audit.check_complete();
    check_objects(sim, &table_name(), &audit.files).await;
    audit.revisions
}

/// TL-1: dense, each readable. With the time at which each was committed, and the predicates that a whole log can show.
pub async fn records(sim: &Sim, table: &TableName) -> Vec<(Record, Time)> {
    let objects = sim.store.list(&format!("{table}/_log/"), None, usize::MAX).await.expect("list");
    let count = objects.iter().filter(|object| object.key.ends_with(".json")).count() as u64;
    let mut records = Vec::new();
    for seq in 0..count {
        let key = log_path(table, &Key::Record(Seq(seq)));
        let body = sim.store.get(&key, None).await.expect("get");
        let committed_at = sim.store.head(&key).await.expect("head").map(|object| sim.clock_at(object.modified));
        match (body.as_deref().map(serde_json::from_slice::<Record>), committed_at) {
            (Some(Ok(record)), Some(at)) if record.seq == Seq(seq) => records.push((record, at)),
            other => sim.violation(Invariant::Tl1, format!("record {seq} of {table} is {other:?}")),
        }
    }
    let put_ids: BTreeSet<&str> = records.iter().map(|(record, _)| record.put_id.0.as_str()).collect();
    if put_ids.len() != records.len() {
        sim.violation(Invariant::Tl1, "a proposal was committed twice");
    }
    let log: Vec<Record> = records.iter().map(|(record, _)| record.clone()).collect();
    if let Err(violation) = check_log(&log) {
        sim.violation(violation.invariant, format!("{table}: {}", violation.detail));
    }
    records
}

/// TL-4 and TL-5: what the log names exists with its rows, and nothing else does. All is published by now.
pub async fn check_objects(sim: &Sim, table: &TableName, files: &BTreeMap<FileRef, File>) {
    let mut named = BTreeSet::new();
    for File { entry, vacuumed } in files.values() {
        named.insert(entry.key.as_str());
        if *vacuumed {
            continue;
        }
        let body = sim.store.get(&entry.key, None).await.expect("get");
        let found = body.map(|body| decode(&body));
        if found.is_none() || found != sim.staged_rows(&entry.key) {
            sim.violation(Invariant::Tl4, format!("`{}` holds {found:?}", entry.key));
        }
    }
    for object in sim.store.list(&format!("{table}/"), None, usize::MAX).await.expect("list") {
        if !object.key.starts_with(&format!("{table}/_log/")) && !named.contains(object.key.as_str()) {
            sim.violation(Invariant::Tl5, format!("no record names `{}`", object.key));
        }
    }
}

#[derive(Default)]
struct Source {
    next_offset: i64,
    watermark: Option<Time>,
}

#[derive(Default)]
struct Window {
    revision: u32,
    live: BTreeSet<FileRef>,
    late: BTreeSet<FileRef>,
}

pub struct File {
    pub entry: FileEntry,
    pub vacuumed: bool,
}

struct Audit<'a> {
    sim: &'a Sim,
    settings: Option<TableSettings>,
    /// Highest of (table watermark - lateness in force) so far.
    closed_through: Option<Time>,
    sources: BTreeMap<i32, Source>,
    windows: BTreeMap<Time, Window>,
    files: BTreeMap<FileRef, File>,
    /// Offsets that a file holds.
    taken: BTreeSet<(i32, i64)>,
    /// Offsets that a list of duplicates names.
    dropped: BTreeSet<(i32, i64)>,
    revisions: Revisions,
}

impl Audit<'_> {
    fn follow(&mut self, record: &Record, committed_at: Time) {
        for (entry, index) in record.files().zip(0..) {
            self.files.insert(FileRef { seq: record.seq, index }, File { entry: entry.clone(), vacuumed: false });
        }
        match &record.body {
            Body::Table(TableBody { settings, .. }) => self.settings = Some(settings.clone()),
            Body::Source(body) => {
                for number in body.sources.iter().flat_map(|source| source.starts.keys()) {
                    self.sources.entry(number.0).or_default();
                }
            }
            Body::Append(body) => self.follow_append(record.seq, body, committed_at),
            Body::Seal(body) => self.follow_seal(record.seq, body),
            Body::Vacuum(body) => {
                for file in &body.files {
                    self.follow_vacuum(record.seq, file);
                }
            }
            _ => {}
        }
        self.close();
    }

    fn close(&mut self) {
        let lowest = self.sources.values().map(|source| source.watermark).min().flatten();
        if let (Some(watermark), Some(settings)) = (lowest, &self.settings) {
            self.closed_through = self.closed_through.max(Some(watermark - settings.allowed_lateness));
        }
    }

    fn rows(&self, entry: &FileEntry) -> Vec<Row> {
        self.sim.staged_rows(&entry.key).unwrap_or_default()
    }

    /// TL-2, TL-3, TM-1, TM-2 and the rule that closed windows take no open files.
    fn follow_append(&mut self, seq: Seq, body: &AppendBody, committed_at: Time) {
        let mut expected: BTreeMap<(i32, i64), Fate> = BTreeMap::new();
        for range in &body.ranges {
            let number = range.source.kafka_partition.0;
            self.check_pace(seq, range, committed_at);
            let source = self.sources.entry(number).or_default();
            if range.range.start.0 != source.next_offset {
                let text = format!("record {seq}: kafka_partition {number} goes on at {}, not {}", range.range.start, source.next_offset);
                self.sim.violation(Invariant::Tl2, text);
            }
            source.next_offset = range.range.end.0;
            if range.watermark < source.watermark {
                self.sim.violation(Invariant::Tm1, format!("record {seq}: watermark of kafka_partition {number} went back"));
            }
            source.watermark = range.watermark;
            for offset in range.range.start.0..range.range.end.0 {
                expected.insert((number, offset), kafka::event(self.sim.seed, number, offset).fate);
            }
        }
        let data = body.files.iter().map(|file| (file, Fate::Row));
        for (entry, fate) in data.chain(body.quarantine.iter().map(|file| (file, Fate::Quarantined))) {
            for row in self.rows(entry) {
                let identity = (row.kafka_partition, row.offset);
                if expected.get(&identity) != Some(&fate) || !self.taken.insert(identity) {
                    self.sim.violation(Invariant::Tl3, format!("record {seq}: {row:?} is in `{}` as {fate:?}", entry.key));
                }
                if fate == Fate::Row && window_size().start_of(row.event_time) != entry.lake_partition.window_start {
                    self.sim.violation(Invariant::Tm2, format!("record {seq}: {row:?} is not of the window of `{}`", entry.key));
                }
            }
        }
        self.place(seq, body);
    }

    /// Section "Time" of the design: no watermark is ahead of what Kafka's timestamps allow, nor an idle report of the reporter's clock, whatever
    /// the devices' clocks say.
    fn check_pace(&self, seq: Seq, range: &AppendRange, committed_at: Time) {
        let Some(settings) = &self.settings else { return };
        let number = range.source.kafka_partition.0;
        let before = self.sources.get(&number).and_then(|source| source.watermark);
        let newest =
            (range.range.start.0..range.range.end.0).map(|offset| kafka::event(self.sim.seed, number, offset).kafka_timestamp).max();
        let idle = settings.idle_timeout.unwrap_or(Micros::ZERO);
        let reached = newest.unwrap_or(committed_at + MOST_SKEW - idle) - settings.out_of_orderness;
        if range.watermark > before.max(Some(reached)) {
            let text = format!("record {seq}: kafka_partition {number} is at {:?}, though no record is beyond {reached}", range.watermark);
            self.sim.violation(None, text);
        }
    }

    fn place(&mut self, seq: Seq, body: &AppendBody) {
        for (entry, index) in body.files.iter().zip(0..) {
            let window_start = entry.lake_partition.window_start;
            let closed = self.closed_through.is_some_and(|closed| window_size().end_of(window_start) <= closed);
            let window = self.windows.entry(window_start).or_default();
            let file = FileRef { seq, index };
            if entry.late {
                window.late.insert(file);
            } else {
                window.live.insert(file);
            }
            if !entry.late && (closed || window.revision > 0) {
                self.sim.violation(Invariant::Tm4, format!("record {seq}: `{}` is open in the closed window {window_start}", entry.key));
            }
        }
    }

    /// TM-3 and TM-4: a revision holds what was live and late before but for named duplicates, and nothing else.
    fn follow_seal(&mut self, seq: Seq, body: &SealBody) {
        let window = self.windows.entry(body.window_start).or_default();
        if body.revision != window.revision + 1 {
            self.sim.violation(Invariant::Tm3, format!("record {seq}: revision {} follows {}", body.revision, window.revision));
        }
        window.revision = body.revision;
        let mut inputs = std::mem::take(&mut window.live);
        let (through, after): (BTreeSet<_>, BTreeSet<_>) = window.late.iter().copied().partition(|file| file.seq <= body.through);
        window.late = after;
        inputs.extend(through);
        let made: BTreeSet<FileRef> =
            body.lake_partitions.iter().flat_map(|p| &p.files).zip(0..).map(|(_, index)| FileRef { seq, index }).collect();
        window.live = made.clone();
        let (mut before, after) = (self.rows_of(&inputs), self.rows_of(&made));
        let pairs: Vec<Row> = body.duplicates.iter().flat_map(|file| self.rows(file)).collect();
        for pair in pairs.chunks(2) {
            self.check_duplicate(seq, pair, &after);
            if let Ok(at) = before.binary_search(&pair[0]) {
                before.remove(at);
            }
            self.dropped.insert((pair[0].kafka_partition, pair[0].offset));
        }
        if before != after {
            let text =
                format!("record {seq}: revision {} of {} has {} rows of {}", body.revision, body.window_start, after.len(), before.len());
            self.sim.violation(Invariant::Tm3, text);
        }
        let mut identities = BTreeSet::new();
        if let Some(row) = after.iter().find(|row| kafka::identity(self.sim.seed, row).is_some_and(|identity| !identities.insert(identity)))
        {
            self.sim.violation(Invariant::Tm3, format!("record {seq}: {row:?} is left though another row is equal to it"));
        }
        self.revisions.insert((body.window_start, body.revision), after);
    }

    /// A row is dropped only for an equal one before it that stays.
    fn check_duplicate(&self, seq: Seq, pair: &[Row], after: &[Row]) {
        let seed = self.sim.seed;
        let [dropped, kept] = pair else {
            return self.sim.violation(Invariant::Tl3, format!("record {seq} drops {pair:?} for nothing"));
        };
        let equal = kafka::identity(seed, dropped).is_some() && kafka::identity(seed, dropped) == kafka::identity(seed, kept);
        if !equal || kafka::order(seed, kept) >= kafka::order(seed, dropped) || after.binary_search(kept).is_err() {
            self.sim.violation(
                Invariant::Tm3,
                format!("record {seq} drops {dropped:?} for {kept:?}, which is not equal, not before it, or gone"),
            );
        }
    }

    fn rows_of(&self, files: &BTreeSet<FileRef>) -> Vec<Row> {
        let mut rows: Vec<Row> = files.iter().filter_map(|file| self.files.get(file)).flat_map(|file| self.rows(&file.entry)).collect();
        rows.sort_unstable();
        rows
    }

    fn follow_vacuum(&mut self, seq: Seq, file: &FileRef) {
        if self.windows.values().any(|window| window.live.contains(file) || window.late.contains(file)) {
            self.sim.violation(Invariant::Tl4, format!("record {seq} vacuums file {file:?}, which is not superseded"));
        }
        if let Some(file) = self.files.get_mut(file) {
            file.vacuumed = true;
        }
    }

    /// TL-3: every offset is where its fate says, and every row in exactly one of the files that hold the table, or dropped.
    fn check_complete(&self) {
        let mut held: BTreeMap<(i32, i64), u32> = self.dropped.iter().map(|identity| (*identity, 1)).collect();
        for window in self.windows.values() {
            for row in self.rows_of(&window.live).into_iter().chain(self.rows_of(&window.late)) {
                *held.entry((row.kafka_partition, row.offset)).or_default() += 1;
            }
        }
        for number in 0..KAFKA_PARTITIONS {
            let end = self.sources.get(&number).map_or(0, |source| source.next_offset);
            for offset in 0..end {
                let fate = kafka::event(self.sim.seed, number, offset).fate;
                let in_file = matches!(fate, Fate::Row | Fate::Quarantined);
                if in_file != self.taken.contains(&(number, offset)) {
                    self.sim.violation(
                        Invariant::Tl3,
                        format!("offset {offset} of kafka_partition {number} ({fate:?}) is in no file, or in one"),
                    );
                }
                let found = held.get(&(number, offset)).copied().unwrap_or(0);
                if found != u32::from(fate == Fate::Row) {
                    let text = format!("offset {offset} of kafka_partition {number} ({fate:?}) is held or dropped {found} times");
                    self.sim.violation(Invariant::Tl3, text);
                }
            }
        }
    }
}

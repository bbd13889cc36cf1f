//! Walks the raw records and objects of a finished run. Shares only the record format with the program.
use crate::kafka::{self, Fate, KAFKA_PARTITIONS};
use crate::lake::{Row, decode, table_name, window_size};
use crate::sim::Sim;
use lake_store::LakeStore;
use std::collections::{BTreeMap, BTreeSet};
use table_log::key::{Key, log_path};
use table_log::record::{AppendBody, Body, FileEntry, SealBody, TableBody};
use table_log::{FileRef, Invariant, Record, Seq};
use windowing::{Micros, Time};

pub async fn audit(sim: &Sim) {
    let records = records(sim).await;
    let mut audit = Audit {
        sim,
        lateness: Micros::ZERO,
        closed_through: None,
        sources: BTreeMap::new(),
        windows: BTreeMap::new(),
        files: BTreeMap::new(),
        taken: BTreeSet::new(),
    };
    for record in &records {
        audit.follow(record);
    }
    audit.check_complete();
    audit.check_objects().await;
}

/// TL-1: dense, each readable.
async fn records(sim: &Sim) -> Vec<Record> {
    let objects = sim.store.list("events/_log/", None, usize::MAX).await.expect("list");
    let count = objects.iter().filter(|object| object.key.ends_with(".json")).count() as u64;
    let mut records = Vec::new();
    for seq in 0..count {
        let key = log_path(&table_name(), &Key::Record(Seq(seq)));
        let body = sim.store.get(&key, None).await.expect("get");
        match body.as_deref().map(serde_json::from_slice::<Record>) {
            Some(Ok(record)) if record.seq == Seq(seq) => records.push(record),
            other => sim.violation(Invariant::Tl1, format!("record {seq} is {other:?}")),
        }
    }
    let put_ids: BTreeSet<&str> = records.iter().map(|record| record.put_id.0.as_str()).collect();
    if put_ids.len() != records.len() {
        sim.violation(Invariant::Tl1, "a proposal was committed twice");
    }
    records
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

struct File {
    entry: FileEntry,
    vacuumed: bool,
}

struct Audit<'a> {
    sim: &'a Sim,
    lateness: Micros,
    /// Highest of (table watermark - lateness in force) so far.
    closed_through: Option<Time>,
    sources: BTreeMap<i32, Source>,
    windows: BTreeMap<Time, Window>,
    files: BTreeMap<FileRef, File>,
    /// Offsets that a file holds.
    taken: BTreeSet<(i32, i64)>,
}

impl Audit<'_> {
    fn follow(&mut self, record: &Record) {
        for (entry, index) in record.files().zip(0..) {
            self.files.insert(FileRef { seq: record.seq, index }, File { entry: entry.clone(), vacuumed: false });
        }
        match &record.body {
            Body::Table(TableBody { settings, .. }) => self.lateness = settings.allowed_lateness,
            Body::Source(body) => {
                for number in body.sources.iter().flat_map(|source| source.starts.keys()) {
                    self.sources.entry(number.0).or_default();
                }
            }
            Body::Append(body) => self.follow_append(record.seq, body),
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
        if let Some(watermark) = lowest {
            self.closed_through = self.closed_through.max(Some(watermark - self.lateness));
        }
    }

    fn rows(&self, entry: &FileEntry) -> Vec<Row> {
        self.sim.staged_rows(&entry.key).unwrap_or_default()
    }

    /// TL-2, TL-3, TM-1, TM-2 and the rule that closed windows take no open files.
    fn follow_append(&mut self, seq: Seq, body: &AppendBody) {
        let mut expected: BTreeMap<(i32, i64), Fate> = BTreeMap::new();
        for range in &body.ranges {
            let number = range.source.kafka_partition.0;
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

    /// TM-3 and TM-4: a revision holds what was live and late before, and nothing else.
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
        let (before, after) = (self.rows_of(&inputs), self.rows_of(&made));
        if before != after {
            let text =
                format!("record {seq}: revision {} of {} has {} rows of {}", body.revision, body.window_start, after.len(), before.len());
            self.sim.violation(Invariant::Tm3, text);
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

    /// TL-3: every offset is where its fate says.
    fn check_complete(&self) {
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
            }
        }
    }

    /// TL-4 and TL-5: what the log names exists with its rows, and nothing else does. All is published by now.
    async fn check_objects(&self) {
        let mut named = BTreeSet::new();
        for File { entry, vacuumed } in self.files.values() {
            named.insert(entry.key.as_str());
            if *vacuumed {
                continue;
            }
            let body = self.sim.store.get(&entry.key, None).await.expect("get");
            let found = body.map(|body| decode(&body));
            if found.is_none() || found != self.sim.staged_rows(&entry.key) {
                self.sim.violation(Invariant::Tl4, format!("`{}` holds {found:?}", entry.key));
            }
        }
        for object in self.sim.store.list("events/", None, usize::MAX).await.expect("list") {
            if !object.key.starts_with("events/_log/") && !named.contains(object.key.as_str()) {
                self.sim.violation(Invariant::Tl5, format!("no record names `{}`", object.key));
            }
        }
    }
}

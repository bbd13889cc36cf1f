//! What the records say, taken down independently of the services' fold: offsets per source, watermarks, and which files are left.
use super::entry::{FileKind, files_of};
use super::report::{Place, Report, source_name};
use std::collections::{BTreeMap, HashMap, HashSet};
use table_log::key::Layout;
use table_log::record::{AppendBody, AppendRange, RepairAction, RepairBody, SourceBody, SourceDeclaration, TableBody};
use table_log::{Body, FileRef, Invariant, KafkaPartition, Offset, Record, Seq, SourcePartition, TableName};
use windowing::Time;

/// One taken range, for the checks that read contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenRange {
    /// Record that took it.
    pub seq: Seq,
    /// First offset.
    pub start: i64,
    /// First offset after it.
    pub end: i64,
    /// Offsets that Kafka never delivers, by the record.
    pub absent: u64,
    /// Version of the schema that its rows were decoded by.
    pub schema_version: u32,
}

/// A source kafka_partition.
#[derive(Clone, Debug)]
pub struct Source {
    /// First offset of its declaration.
    pub start: Offset,
    /// First offset not yet taken.
    pub next_offset: Offset,
    /// Its topic takes no more appends.
    pub ended: bool,
    /// Non-empty ranges in order.
    pub ranges: Vec<TakenRange>,
    watermark: Option<Time>,
}

/// The books.
#[derive(Debug)]
pub struct Ledger {
    table_name: TableName,
    /// The newest `table` record.
    pub table: Option<TableBody>,
    /// Avro JSON of each schema version.
    pub schemas: BTreeMap<u32, String>,
    /// All source kafka_partitions ever declared.
    pub sources: BTreeMap<SourcePartition, Source>,
    /// Files that need not be there any more: vacuumed, declared lost, or replaced.
    pub removed: HashSet<FileRef>,
    /// Repairs whose files replace lost ones, by the record that took the offsets, also where a replacement was lost and replaced.
    pub refiled: HashMap<Seq, Vec<Seq>>,
    /// Rows that are declared lost, by the record that took the offsets.
    pub lost_rows: HashMap<Seq, u64>,
    /// Records whose vacuumed files cannot be read any more.
    pub vacuumed: HashSet<Seq>,
    /// Newest seq that is known to be published, per record: those not in it may still be on their way.
    pub published: HashSet<Seq>,
    /// First seq that is not in the books: newer records may have vacuumed files since.
    pub tail: Seq,
    declarations: BTreeMap<(String, u32), SourceDeclaration>,
    file_rows: HashMap<FileRef, u64>,
    /// Lists of dropped duplicates: their rows are in other files too.
    duplicates: HashSet<FileRef>,
    /// Repairs that replaced files, with the record that took the offsets.
    taken_by: HashMap<Seq, Seq>,
}

impl Ledger {
    /// Empty books.
    pub fn new(table_name: TableName) -> Self {
        Self {
            table_name,
            table: None,
            schemas: BTreeMap::new(),
            sources: BTreeMap::new(),
            removed: HashSet::new(),
            refiled: HashMap::new(),
            lost_rows: HashMap::new(),
            vacuumed: HashSet::new(),
            published: HashSet::new(),
            tail: Seq(0),
            declarations: BTreeMap::new(),
            file_rows: HashMap::new(),
            duplicates: HashSet::new(),
            taken_by: HashMap::new(),
        }
    }

    /// How keys of the table are laid out; `None` before the first `table` record.
    pub fn layout(&self) -> Option<Layout> {
        let settings = &self.table.as_ref()?.settings;
        Some(Layout { table: self.table_name.clone(), window: settings.window, partition_by: settings.partition_by.clone() })
    }

    /// Whether the table is made by SQL from another.
    pub fn is_derived(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.avro_schema.is_empty())
    }

    /// Takes the next record down and checks it against the books: TL-2, TL-3 by counts, TM-1.
    pub fn take(&mut self, record: &Record, report: &mut Report) {
        self.published.extend(&record.published);
        self.tail = Seq(record.seq.0 + 1);
        for (file, kind, entry) in files_of(record) {
            self.file_rows.insert(file, entry.rows);
            if kind == FileKind::Duplicates {
                self.duplicates.insert(file);
            }
        }
        match &record.body {
            Body::Table(body) => self.take_table(record.seq, body, report),
            Body::Source(body) => self.take_source(record.seq, body, report),
            Body::Append(body) => {
                let version = files_of(record).find(|(_, kind, _)| *kind == FileKind::Data).map(|(_, _, entry)| entry.schema_version);
                let version = version.or(self.table.as_ref().map(|body| body.schema_version)).unwrap_or_default();
                self.take_append((record.seq, version), body, report);
            }
            Body::Repair(body) => self.take_repair(record.seq, body, report),
            Body::Vacuum(body) => {
                self.vacuumed.extend(body.files.iter().map(|f| f.seq));
                self.remove(record.seq, &body.files, report);
            }
            Body::Seal(_) | Body::Derive(_) | Body::Register(_) | Body::Sweep(_) | Body::Flush(_) => {}
        }
    }

    fn take_table(&mut self, seq: Seq, body: &TableBody, report: &mut Report) {
        if let Some(before) = &self.table {
            let (old, new) = (&before.settings, &body.settings);
            if (old.window, &old.partition_by, &old.event_time) != (new.window, &new.partition_by, &new.event_time) {
                report.violation(
                    Invariant::Tm2,
                    Place::record(seq),
                    "window, partition columns or event-time column changed, which they never may",
                );
            }
        }
        self.schemas.insert(body.schema_version, body.avro_schema.clone());
        self.table = Some(body.clone());
    }

    fn take_source(&mut self, seq: Seq, body: &SourceBody, report: &mut Report) {
        for declaration in &body.sources {
            self.declare(seq, declaration, report);
        }
        for topic in &body.retired {
            self.end_topic(topic);
        }
    }

    fn declare(&mut self, seq: Seq, declaration: &SourceDeclaration, report: &mut Report) {
        let SourceDeclaration { topic, generation, .. } = declaration;
        let place = || Place::record(seq);
        if let Some(before) = self.declarations.get(&(topic.clone(), *generation)) {
            if (&before.cluster_id, &before.topic_id) != (&declaration.cluster_id, &declaration.topic_id) {
                report.violation(
                    Invariant::Tl2,
                    place(),
                    format!("topic `{topic}` changed its cluster id or topic id without a new generation"),
                );
            }
        } else if *generation > 1 && !self.declarations.contains_key(&(topic.clone(), generation - 1)) {
            report.violation(Invariant::Tl2, place(), format!("generation {generation} of topic `{topic}` follows none"));
        }
        for (&kafka_partition, &start) in &declaration.starts {
            let source = SourcePartition { topic: topic.clone(), generation: *generation, kafka_partition };
            if self.sources.contains_key(&source) {
                report.violation(Invariant::Tl2, place(), format!("`{}` is declared a second time", source_name(&source)));
                continue;
            }
            self.sources.insert(source, Source { start, next_offset: start, ended: false, ranges: Vec::new(), watermark: None });
        }
        self.check_dense_partitions(seq, topic, *generation, report);
        self.declarations.insert((topic.clone(), *generation), declaration.clone());
    }

    fn check_dense_partitions(&self, seq: Seq, topic: &str, generation: u32, report: &mut Report) {
        let of_topic = self.sources.keys().filter(|s| s.topic == topic && s.generation == generation);
        for (expected, source) in (0..).zip(of_topic) {
            if source.kafka_partition != KafkaPartition(expected) {
                let what = format!("kafka_partition {expected} of topic `{topic}` is not declared, but {} is", source.kafka_partition);
                report.violation(Invariant::Tl2, Place::record(seq), what);
                return;
            }
        }
    }

    fn end_topic(&mut self, topic: &str) {
        self.sources.iter_mut().filter(|(s, _)| s.topic == topic).for_each(|(_, source)| source.ended = true);
    }

    fn take_append(&mut self, (seq, schema_version): (Seq, u32), body: &AppendBody, report: &mut Report) {
        let mut seen = HashSet::new();
        for range in &body.ranges {
            if !seen.insert(&range.source) {
                report.violation(Invariant::Tl2, Place::record(seq), format!("names `{}` twice", source_name(&range.source)));
            }
            check_balance(seq, range, report);
            self.take_range((seq, schema_version), range, report);
        }
        check_sums(seq, body, report);
    }

    /// TL-2 and TM-1 of one range.
    fn take_range(&mut self, (seq, schema_version): (Seq, u32), range: &AppendRange, report: &mut Report) {
        let AppendRange { source: name, range: offsets, .. } = range;
        let (start, end) = (offsets.start.0, offsets.end.0);
        let place = || Place::record(seq).range(name, start, end);
        report.checked("ranges", 1);
        let Some(source) = self.sources.get_mut(name) else {
            report.violation(Invariant::Tl2, place(), "takes offsets of a kafka_partition that no `source` record declares");
            return;
        };
        if source.ended {
            report.violation(Invariant::Tl2, place(), "takes offsets after its source has ended");
        }
        let next = source.next_offset.0;
        if start > next {
            report.violation(Invariant::Tl2, place(), format!("hole: offsets {next}..{start} are in no record"));
        } else if start < next {
            report.violation(Invariant::Tl2, place(), format!("overlap: offsets {start}..{next} were taken before"));
        }
        source.next_offset = Offset(end.max(next));
        if end > start {
            source.ranges.push(TakenRange { seq, start, end, absent: range.absent, schema_version });
        }
        report.checked("watermarks", 1);
        if range.watermark < source.watermark {
            let text = |time: Option<Time>| time.map_or_else(|| "none".to_owned(), |t| t.to_string());
            let what = format!("watermark goes back from {} to {}", text(source.watermark), text(range.watermark));
            report.violation(Invariant::Tm1, place(), what);
        } else {
            source.watermark = range.watermark;
        }
    }

    fn take_repair(&mut self, seq: Seq, body: &RepairBody, report: &mut Report) {
        match &body.action {
            RepairAction::Gap { source, range } => self.take_gap(seq, source, (range.start.0, range.end.0), report),
            RepairAction::Restart { source, ends } => {
                self.check_ends(seq, &source.topic, ends, report);
                self.end_topic(&source.topic);
                self.declare(seq, source, report);
            }
            RepairAction::Refile { lost, .. } => {
                self.remove(seq, lost, report);
                if let Some(first) = lost.first() {
                    let taken_by = self.taken_by(first.seq);
                    self.taken_by.insert(seq, taken_by);
                    self.refiled.entry(taken_by).or_default().push(seq);
                }
            }
            RepairAction::Lost { lost } => {
                for file in lost.iter().filter(|file| !self.duplicates.contains(file)) {
                    let rows = self.file_rows.get(file).copied().unwrap_or(0);
                    *self.lost_rows.entry(self.taken_by(file.seq)).or_default() += rows;
                    report.lost += rows;
                }
                self.remove(seq, lost, report);
            }
        }
    }

    /// The record that took the offsets of a record's files.
    pub fn taken_by(&self, seq: Seq) -> Seq {
        self.taken_by.get(&seq).copied().unwrap_or(seq)
    }

    /// A restart that says where the generation before it ends says what the books say.
    fn check_ends(&self, seq: Seq, topic: &str, ends: &BTreeMap<KafkaPartition, Offset>, report: &mut Report) {
        let Some(generation) = self.declarations.keys().filter(|(name, _)| name == topic).map(|(_, generation)| *generation).max() else {
            return;
        };
        for (&kafka_partition, &end) in ends {
            let name = SourcePartition { topic: topic.to_owned(), generation, kafka_partition };
            let next = self.sources.get(&name).map(|source| source.next_offset);
            if next != Some(end) {
                let next = next.map_or_else(|| "none".to_owned(), |next| next.to_string());
                let what = format!("ends `{}` at offset {end}, its next offset is {next}", source_name(&name));
                report.violation(Invariant::Tl2, Place::record(seq), what);
            }
        }
    }

    fn take_gap(&mut self, seq: Seq, name: &SourcePartition, (start, end): (i64, i64), report: &mut Report) {
        let place = Place::record(seq).range(name, start, end);
        let Some(source) = self.sources.get_mut(name) else {
            report.violation(Invariant::Tl2, place, "declares a gap of a kafka_partition that no `source` record declares");
            return;
        };
        if source.next_offset.0 != start || end < start {
            report.violation(
                Invariant::Tl2,
                place,
                format!("declares a gap that does not start at the next offset, {}", source.next_offset),
            );
        }
        report.lost += u64::try_from(end - start).unwrap_or(0);
        source.next_offset = Offset(end.max(source.next_offset.0));
    }

    fn remove(&mut self, seq: Seq, files: &[FileRef], report: &mut Report) {
        for file in files {
            if !self.file_rows.contains_key(file) {
                let what = format!("names file {} of record {}, which there is not", file.index, file.seq);
                report.violation(Invariant::Tl4, Place::record(seq), what);
            }
            self.removed.insert(*file);
        }
    }
}

/// TL-3 of one range: every offset is a row, in quarantine, skipped or absent.
fn check_balance(seq: Seq, range: &AppendRange, report: &mut Report) {
    let (start, end) = (range.range.start.0, range.range.end.0);
    let place = || Place::record(seq).range(&range.source, start, end);
    let Ok(taken) = u64::try_from(end.saturating_sub(start)) else {
        report.violation(Invariant::Tl3, place(), "ends before it starts");
        return;
    };
    let AppendRange { rows, quarantined, skipped, absent, .. } = range;
    let accounted = [rows, quarantined, skipped, absent].into_iter().fold(0u64, |sum, n| sum.saturating_add(*n));
    report.checked("offsets by counts", taken);
    if taken != accounted {
        let what =
            format!("{taken} offsets, but {rows} rows + {quarantined} quarantined + {skipped} skipped + {absent} absent = {accounted}");
        report.violation(Invariant::Tl3, place(), what);
    }
    report.rows += rows;
    report.quarantined += quarantined;
    report.skipped += skipped;
    report.absent += absent;
}

/// TL-3 of a record: its files hold as many rows as its ranges say.
fn check_sums(seq: Seq, body: &AppendBody, report: &mut Report) {
    let in_ranges = |count: fn(&AppendRange) -> u64| body.ranges.iter().map(count).sum::<u64>();
    let pairs = [
        ("rows", in_ranges(|r| r.rows), body.files.iter().map(|f| f.rows).sum::<u64>(), "data"),
        ("quarantined", in_ranges(|r| r.quarantined), body.quarantine.iter().map(|f| f.rows).sum(), "quarantine"),
    ];
    for (name, ranges, files, kind) in pairs {
        if ranges != files {
            let what = format!("its ranges have {ranges} {name}, its {kind} files {files} rows");
            report.violation(Invariant::Tl3, Place::record(seq), what);
        }
    }
}

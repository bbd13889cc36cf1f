use super::*;
use table_log::key::{DataFolder, Key};
use table_log::record::{
    AppendBody, AppendRange, Body, DeriveBody, FileEntry, RevisedPartition, SealBody, SourceBody, SourceDeclaration, TableBody,
    TableSettings, Upload,
};
use table_log::{FORMAT, KafkaPartition, LakePartition, Offset, OffsetRange, PutId, Record, SourcePartition};
use windowing::Micros;

const MINUTE: i64 = Micros::MINUTE.0;

fn name(table: &str) -> TableName {
    TableName(table.to_owned())
}

fn window(minutes: i64) -> WindowSize {
    WindowSize::new(Micros(minutes * MINUTE)).unwrap()
}

/// A log, folded record by record.
struct Log {
    state: TableState,
    next: i64,
}

impl Log {
    fn new(event_time: &str, minutes: i64, avro_schema: &str) -> Self {
        let settings = TableSettings {
            event_time: Some(event_time.into()),
            window: window(minutes),
            partition_by: Vec::new(),
            allowed_lateness: Micros(0),
            out_of_orderness: Micros(0),
            idle_timeout: None,
            max_future: Micros::DAY,
            max_past: Micros::DAY,
            dedupe_by: Vec::new(),
            sort_by: Vec::new(),
            catalog: Default::default(),
        };
        let mut log = Self { state: TableState::default(), next: 0 };
        log.apply(Body::Table(TableBody { schema_version: 1, avro_schema: avro_schema.into(), columns: Vec::new(), settings }));
        log
    }

    fn of_kafka(minutes: i64) -> Self {
        let mut log = Self::new("at", minutes, "{}");
        let starts = [(KafkaPartition(0), Offset(0))].into();
        let source = SourceDeclaration { cluster_id: "c".into(), topic: "t".into(), topic_id: None, generation: 1, refused: false, starts };
        log.apply(Body::Source(SourceBody { sources: vec![source], retired: Vec::new() }));
        log
    }

    fn apply(&mut self, body: Body) {
        let seq = self.state.next_seq;
        let (put_id, published) = (PutId(seq.to_string()), Vec::new());
        let record = Record { format: FORMAT, seq, put_id, writer: "w".into(), at: Time(0), published, body };
        self.state.apply(&record).expect("a record that fits");
    }

    fn entry(&self, minute: i64, folder: DataFolder, rows: u64) -> FileEntry {
        let layout = self.state.layout(&name("t")).expect("a table");
        let lake_partition = LakePartition { window_start: Time(minute * MINUTE), values: Vec::new() };
        let staged_on = self.state.newest_seq().expect("records");
        let staging = format!("{}-{minute}", self.state.next_seq);
        FileEntry {
            key: layout.path(&Key::Data { lake_partition: lake_partition.clone(), folder, base: staged_on, staging: staging.clone() }),
            late: folder == DataFolder::Late,
            rows,
            bytes: 1,
            event_time_min: lake_partition.window_start,
            event_time_max: lake_partition.window_start,
            schema_version: 1,
            staged_on,
            upload: Upload { token: staging, id: String::new(), parts: Vec::new() },
            lake_partition,
        }
    }

    /// A row in each of the windows; the watermark is then at minute `watermark`.
    fn append(&mut self, minutes: &[i64], folder: DataFolder, watermark: i64) {
        let files: Vec<FileEntry> = minutes.iter().map(|minute| self.entry(*minute, folder, 1)).collect();
        let (start, rows) = (self.next, files.len() as u64);
        self.next += files.len() as i64;
        let source = SourcePartition { topic: "t".into(), generation: 1, kafka_partition: KafkaPartition(0) };
        let range = OffsetRange { start: Offset(start), end: Offset(self.next) };
        let watermark = Some(Time(watermark * MINUTE));
        let range = AppendRange { source, range, rows, quarantined: 0, skipped: 0, absent: 0, watermark, leader_epoch: None };
        self.apply(Body::Append(AppendBody { ranges: vec![range], files, quarantine: Vec::new(), file_list: None }));
    }

    fn seal(&mut self, minute: i64, revision: u32, rows: u64) {
        let file = self.entry(minute, DataFolder::Revision(revision), rows);
        let (window_start, through) = (Time(minute * MINUTE), self.state.newest_seq().expect("records"));
        let lake_partitions = vec![RevisedPartition { lake_partition: file.lake_partition.clone(), files: vec![file] }];
        let (duplicates, duplicate_rows) = (Vec::new(), 0);
        self.apply(Body::Seal(SealBody { window_start, revision, through, lake_partitions, duplicates, duplicate_rows }));
    }

    /// Commits what is due: a window without rows.
    fn derive(&mut self, due: &DueWindow) {
        self.apply(Body::Derive(DeriveBody {
            window_start: due.window_start,
            revision: due.revision,
            inputs: due.inputs.clone(),
            transform_sha256: "0".repeat(64),
            references: BTreeMap::new(),
            lake_partitions: Vec::new(),
        }));
    }
}

/// A due window: its minute, revision, and inputs as (minute, revision).
type Due = (i64, u32, Vec<(i64, u32)>);

/// `readings` in windows of a minute; `averages` hop back by five seconds in windows of a minute; `sums` of averages in windows of two.
struct Chain {
    readings: Log,
    averages: Log,
    sums: Log,
    hop: Micros,
}

impl Chain {
    fn new() -> Self {
        Self {
            readings: Log::of_kafka(1),
            averages: Log::new("window_end", 1, ""),
            sums: Log::new("window_end", 2, ""),
            hop: Micros::from_secs(5),
        }
    }

    fn facts(&self) -> Facts {
        let shape = |source: &str, size: Micros, every: Micros, minutes: i64| {
            let window = window(minutes);
            Shape { source: name(source), grouping: Grouping::new(size, every, window).unwrap(), window }
        };
        let shapes = [
            (name("averages"), shape("readings", Micros::from_secs(10), self.hop, 1)),
            (name("sums"), shape("averages", Micros::MINUTE, Micros::MINUTE, 2)),
        ];
        let states = [("readings", &self.readings), ("averages", &self.averages), ("sums", &self.sums)];
        let states = states.map(|(table, log)| (name(table), Arc::new(log.state.clone()))).into();
        Facts { shapes: shapes.into(), states }
    }

    fn due(&self, table: &str) -> Vec<Due> {
        let due = self.facts().due(&name(table)).unwrap();
        let inputs = |due: &DueWindow| due.inputs.iter().map(|i| (i.window_start.0 / MINUTE, i.revision)).collect();
        due.iter().map(|due| (due.window_start.0 / MINUTE, due.revision, inputs(due))).collect()
    }

    fn derive(&mut self, table: &str) {
        for due in self.facts().due(&name(table)).unwrap() {
            match table {
                "averages" => self.averages.derive(&due),
                _ => self.sums.derive(&due),
            }
        }
    }
}

#[test]
fn a_window_waits_for_all_source_windows_that_it_overlaps() {
    let mut chain = Chain::new();
    chain.readings.append(&[5, 6], DataFolder::Open, 6);
    assert_eq!(chain.due("averages"), []);
    chain.readings.append(&[], DataFolder::Open, 7);
    assert_eq!(chain.due("averages"), [], "closed, but not sealed");
    chain.readings.seal(6, 1, 1);
    // Minute 7 is not closed, and minute 5 not sealed, from which minute 6 takes its first five seconds.
    assert_eq!(chain.due("averages"), []);
    chain.readings.seal(5, 1, 1);
    assert_eq!(chain.due("averages"), [(5, 1, vec![(4, 0), (5, 1)]), (6, 1, vec![(5, 1), (6, 1)])]);
    chain.derive("averages");
    assert_eq!(chain.due("averages"), []);
    chain.readings.append(&[], DataFolder::Open, 8);
    assert_eq!(chain.due("averages"), [(7, 1, vec![(6, 1), (7, 0)])], "an empty window has the last seconds of the one before");
}

#[test]
fn a_new_revision_of_a_source_window_makes_new_ones_of_all_that_rest_on_it() {
    let mut chain = Chain::new();
    chain.readings.append(&[5], DataFolder::Open, 8);
    chain.readings.seal(5, 1, 1);
    chain.derive("averages");
    assert_eq!(chain.due("averages"), []);
    chain.readings.append(&[5], DataFolder::Late, 8);
    assert_eq!(chain.due("averages"), [], "late rows wait for their revision");
    chain.readings.seal(5, 2, 2);
    assert_eq!(chain.due("averages"), [(5, 2, vec![(4, 0), (5, 2)]), (6, 2, vec![(5, 2), (6, 0)])]);
}

#[test]
fn late_rows_in_an_empty_window_do_not_take_back_that_it_was_complete() {
    let mut chain = Chain::new();
    chain.readings.append(&[5], DataFolder::Open, 8);
    chain.readings.seal(5, 1, 1);
    chain.readings.append(&[6], DataFolder::Late, 8);
    assert_eq!(chain.facts().complete(&name("readings"), Time(6 * MINUTE)), Some(0));
    chain.derive("averages");
    chain.readings.seal(6, 1, 1);
    assert_eq!(chain.due("averages"), [(6, 2, vec![(5, 1), (6, 1)]), (7, 1, vec![(6, 1), (7, 0)])]);
}

#[test]
fn chains_wait_for_what_is_still_to_be_made_and_not_for_what_is_empty() {
    let mut chain = Chain::new();
    chain.readings.append(&[4], DataFolder::Open, 10);
    chain.readings.seal(4, 1, 1);
    assert_eq!(chain.due("sums"), [], "averages of minutes 4 and 5 are not made yet");
    assert_eq!(chain.facts().complete(&name("averages"), Time(4 * MINUTE)), None);
    assert_eq!(chain.facts().complete(&name("averages"), Time(7 * MINUTE)), Some(0), "nothing will ever be in it");
    chain.derive("averages");
    assert_eq!(chain.due("sums"), [(4, 1, vec![(4, 1), (5, 1)])]);
    chain.derive("sums");
    chain.readings.append(&[5], DataFolder::Late, 10);
    chain.readings.seal(5, 1, 1);
    assert_eq!(chain.due("sums"), []);
    chain.derive("averages");
    assert_eq!(chain.due("sums"), [(4, 2, vec![(4, 1), (5, 2)]), (6, 1, vec![(6, 1), (7, 0)])]);
}

#[test]
fn other_grouping_windows_act_on_windows_made_from_then_on() {
    let mut chain = Chain::new();
    chain.readings.append(&[5], DataFolder::Open, 7);
    chain.readings.seal(5, 1, 1);
    chain.derive("averages");
    chain.hop = Micros::from_secs(10);
    assert_eq!(chain.due("averages"), []);
    chain.readings.append(&[5], DataFolder::Late, 7);
    chain.readings.seal(5, 2, 2);
    // Tumbling windows no longer reach back, but what a revision was made from stays named.
    assert_eq!(chain.due("averages"), [(5, 2, vec![(4, 0), (5, 2)])]);
    chain.derive("averages");
    assert_eq!(chain.due("averages"), []);
}

#[test]
fn another_source_needs_another_name() {
    let mut chain = Chain::new();
    chain.readings.append(&[5], DataFolder::Open, 7);
    chain.readings.seal(5, 1, 1);
    chain.derive("averages");
    let mut facts = chain.facts();
    facts.states.insert(name("others"), Arc::clone(&facts.states[&name("readings")]));
    facts.shapes.get_mut(&name("averages")).unwrap().source = name("others");
    let error = facts.due(&name("averages")).unwrap_err();
    assert!(matches!(&error, SealerError::Settings(what) if what.contains("`readings`") && what.contains("`others`")), "{error}");
}

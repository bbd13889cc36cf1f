use super::*;
use table_log::key::{DataFolder, Key};
use table_log::record::{
    AppendBody, AppendRange, Body, FileEntry, FlushBody, RevisedPartition, SealBody, SourceBody, SourceDeclaration, TableBody,
    TableSettings, Upload,
};
use table_log::{FORMAT, KafkaPartition, LakePartition, Offset, OffsetRange, PutId, Record, SourcePartition, TableName};
use windowing::{Micros, WindowSize};

const DELAY: Duration = Duration::from_secs(300);
const HOUR: i64 = Micros::HOUR.0;

/// Record to wait for, and seconds.
type Wait = Option<(Seq, u64)>;

/// A log of one source, folded record by record.
struct Log {
    state: TableState,
    next: i64,
}

impl Log {
    fn new() -> Self {
        let settings = TableSettings {
            event_time: Some("at".into()),
            window: WindowSize::HOUR,
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
        log.apply(Body::Table(TableBody { schema_version: 1, avro_schema: "{}".into(), columns: Vec::new(), settings }));
        let starts = [(KafkaPartition(0), Offset(0))].into();
        let source = SourceDeclaration { cluster_id: "c".into(), topic: "t".into(), topic_id: None, generation: 1, refused: false, starts };
        log.apply(Body::Source(SourceBody { sources: vec![source], retired: Vec::new() }));
        log
    }

    fn apply(&mut self, body: Body) -> Seq {
        let seq = self.state.next_seq;
        let (put_id, published) = (PutId(seq.to_string()), Vec::new());
        let record = Record { format: FORMAT, seq, put_id, writer: "w".into(), at: Time(0), published, body };
        self.state.apply(&record).expect("a record that fits");
        seq
    }

    fn entry(&self, hour: i64, folder: DataFolder, rows: u64) -> FileEntry {
        let layout = self.state.layout(&TableName("t".into())).expect("a table");
        let lake_partition = LakePartition { window_start: Time(hour * HOUR), values: Vec::new() };
        let staged_on = self.state.newest_seq().expect("records");
        let staging = format!("{}-{hour}", self.state.next_seq);
        let upload = Upload { token: staging.clone(), id: String::new(), parts: Vec::new() };
        FileEntry {
            key: layout.path(&Key::Data { lake_partition: lake_partition.clone(), folder, base: staged_on, staging }),
            late: folder == DataFolder::Late,
            rows,
            bytes: 1,
            event_time_min: lake_partition.window_start,
            event_time_max: lake_partition.window_start,
            schema_version: 1,
            staged_on,
            upload,
            lake_partition,
        }
    }

    /// A row in each of the hours; the watermark is then at the beginning of `watermark`.
    fn append(&mut self, hours: &[(i64, DataFolder)], watermark: i64) -> Seq {
        let files: Vec<FileEntry> = hours.iter().map(|(hour, folder)| self.entry(*hour, *folder, 1)).collect();
        let (start, rows) = (self.next, files.len() as u64);
        self.next += files.len() as i64;
        let source = SourcePartition { topic: "t".into(), generation: 1, kafka_partition: KafkaPartition(0) };
        let range = OffsetRange { start: Offset(start), end: Offset(self.next) };
        let watermark = Some(Time(watermark * HOUR));
        let range = AppendRange { source, range, rows, quarantined: 0, skipped: 0, absent: 0, watermark, leader_epoch: None };
        self.apply(Body::Append(AppendBody { ranges: vec![range], files, quarantine: Vec::new(), file_list: None }))
    }

    fn seal(&mut self, hour: i64, revision: u32, rows: u64) {
        let file = self.entry(hour, DataFolder::Revision(revision), rows);
        let (window_start, through) = (Time(hour * HOUR), self.state.newest_seq().expect("records"));
        let lake_partitions = vec![RevisedPartition { lake_partition: file.lake_partition.clone(), files: vec![file] }];
        let (duplicates, duplicate_rows) = (Vec::new(), 0);
        self.apply(Body::Seal(SealBody { window_start, revision, through, lake_partitions, duplicates, duplicate_rows }));
    }

    /// Hour, revision and wait of each window that is due.
    fn due(&self) -> Vec<(i64, u32, Wait)> {
        let due = due_windows(&self.state, DELAY);
        due.iter().map(|due| (due.window_start.0 / HOUR, due.revision, due.wait.map(|(seq, wait)| (seq, wait.as_secs())))).collect()
    }
}

#[test]
fn open_windows_are_not_due_and_closed_ones_are_at_once() {
    let mut log = Log::new();
    log.append(&[(5, DataFolder::Open), (6, DataFolder::Open)], 5);
    assert_eq!(log.due(), []);
    log.append(&[], 7);
    assert_eq!(log.due(), [(5, 0, None), (6, 0, None)]);
    log.seal(5, 1, 1);
    assert_eq!(log.due(), [(6, 0, None)]);
}

#[test]
fn late_rows_wait_longer_with_each_revision() {
    let mut log = Log::new();
    log.append(&[(5, DataFolder::Open)], 6);
    let mut rows = 1;
    for (revision, seconds) in [(1, 300), (2, 600), (3, 1_200)] {
        log.seal(5, revision, rows);
        assert_eq!(log.due(), []);
        let first = log.append(&[(5, DataFolder::Late)], 6);
        log.append(&[(5, DataFolder::Late)], 6);
        rows += 2;
        assert_eq!(log.due(), [(5, revision, Some((first, seconds)))]);
    }
    assert_eq!(delay(DELAY, 40), LONGEST_DELAY);
    assert_eq!(delay(Duration::ZERO, 4), Duration::ZERO);
}

#[test]
fn a_window_of_late_rows_only_waits_too_and_late_rows_before_the_seal_do_not() {
    let mut log = Log::new();
    log.append(&[(5, DataFolder::Open), (5, DataFolder::Late)], 7);
    let first = log.append(&[(6, DataFolder::Late)], 7);
    assert_eq!(log.due(), [(5, 0, None), (6, 0, Some((first, 300)))]);
}

#[test]
fn a_flush_ends_the_wait_of_what_was_there() {
    let mut log = Log::new();
    log.append(&[(5, DataFolder::Open), (6, DataFolder::Open)], 6);
    log.seal(5, 1, 1);
    log.append(&[(5, DataFolder::Late)], 6);
    log.apply(Body::Flush(FlushBody { actor: "ada".into() }));
    assert_eq!(log.due(), [(5, 1, None)], "the open window stays open");
    log.seal(5, 2, 2);
    let first = log.append(&[(5, DataFolder::Late)], 6);
    assert_eq!(log.due(), [(5, 2, Some((first, 600)))]);
}

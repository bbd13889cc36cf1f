//! Readers that poll: one by `tributary sql`, one by the files under the live folders. Each remembers what it has seen.
use crate::scene::{Log, Scene, TABLE};
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use table_log::key::{DataFolder, Layout};
use table_log::{TableName, TableState};
use test_kit::wait_until;
use windowing::{Micros, Time};

/// Between two polls of one reader.
const BETWEEN: Duration = Duration::from_millis(300);
/// Rows are late by no more.
const RECENT_WINDOWS: usize = 14;

/// kafka_partition and offset.
pub type Identity = (i32, i64);
/// Device, seq, event time in microseconds.
type Event = (String, i64, i64);
type Rows = Vec<(Identity, Event)>;

/// What a reader has seen.
#[derive(Debug, Default)]
struct Seen {
    windows: BTreeMap<Time, BTreeSet<Identity>>,
    vanished: BTreeSet<Identity>,
    polls: u64,
    rows: u64,
    faults: Vec<String>,
}

impl Seen {
    /// `sealed`: the window had a revision before the reader looked.
    fn take(&mut self, window: Time, rows: &Rows, sealed: bool) {
        self.polls += 1;
        self.rows += rows.len() as u64;
        let now: BTreeSet<Identity> = rows.iter().map(|(identity, _)| *identity).collect();
        if now.len() != rows.len() {
            self.faults.push(format!("window {window} has a row of Kafka twice"));
        }
        let events: BTreeSet<&Event> = rows.iter().map(|(_, event)| event).collect();
        if sealed && events.len() != rows.len() {
            self.faults.push(format!("sealed window {window} has an event twice"));
        }
        let before = self.windows.insert(window, now.clone()).unwrap_or_default();
        self.vanished.extend(before.difference(&now));
    }
}

/// Both readers' threads.
pub struct Readers {
    stop: Arc<AtomicBool>,
    threads: Vec<(&'static str, JoinHandle<Seen>)>,
}

/// What both have seen.
#[derive(Debug)]
pub struct AllSeen(Vec<(&'static str, Seen)>);

impl Readers {
    pub fn start(scene: &Scene, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let by_sql = SqlReader { command: Arc::new(commands(scene)) };
        let by_files = FolderReader { lake: scene.lake() };
        let log = |table| test_kit::wait_for(Duration::from_secs(60), "the table is there", || scene.log(table));
        let (first, second) = (log(TABLE), log(TABLE));
        let (stop_one, stop_two) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            ("sql", std::thread::spawn(move || poll(&first, &stop_one, seed, |window, _| by_sql.read(window)))),
            ("files", std::thread::spawn(move || poll(&second, &stop_two, seed + 1, |window, state| by_files.read(window, state)))),
        ];
        Self { stop, threads }
    }

    pub fn end(self) -> AllSeen {
        self.stop.store(true, Ordering::Relaxed);
        AllSeen(self.threads.into_iter().map(|(name, thread)| (name, thread.join().expect("a reader reads on"))).collect())
    }
}

impl AllSeen {
    /// What vanished was dropped in favour of another row.
    pub fn check(&self, dropped: &BTreeSet<Identity>) {
        for (name, seen) in &self.0 {
            assert!(seen.faults.is_empty(), "the reader by {name}: {:?}", seen.faults);
            let lost: Vec<&Identity> = seen.vanished.difference(dropped).take(20).collect();
            assert!(lost.is_empty(), "the reader by {name} saw rows vanish that no list of duplicates names: {lost:?}");
            assert!(seen.polls > 20, "the reader by {name} saw too little: {} polls", seen.polls);
        }
    }

    /// Per reader: polls, rows read, rows that vanished (as duplicates).
    pub fn polls(&self) -> BTreeMap<&'static str, [u64; 3]> {
        self.0.iter().map(|(name, seen)| (*name, [seen.polls, seen.rows, seen.vanished.len() as u64])).collect()
    }
}

/// Polls one of the newest windows after the other, at random. `None`: the reader could not tell this time.
fn poll(log: &Log, stop: &AtomicBool, seed: u64, read: impl Fn(Time, &TableState) -> Option<Rows>) -> Seen {
    let (mut seen, mut random) = (Seen::default(), ChaCha8Rng::seed_from_u64(seed));
    while !stop.load(Ordering::Relaxed) {
        let state = log.state();
        let windows: Vec<(Time, u32)> = state.windows().map(|(start, revision, _)| (start, revision)).collect();
        let recent = if random.random_bool(0.8) { windows.len().saturating_sub(RECENT_WINDOWS) } else { 0 };
        if let Some((window, revision)) = windows[recent..].choose(&mut random)
            && let Some(rows) = read(*window, &state)
        {
            // What is known to be in place is what a reader sees by now.
            let revised_by = state.window(*window).and_then(|window| window.revised_by);
            let sealed = *revision > 0 && revised_by.is_some_and(|seq| !state.unpublished().contains(&seq));
            seen.take(*window, &rows, sealed);
        }
        let started = std::time::Instant::now();
        wait_until(BETWEEN * 100, "the next poll is due", || started.elapsed() >= BETWEEN);
    }
    seen
}

fn commands(scene: &Scene) -> impl Fn(&str) -> Command + Send + Sync + 'static {
    let template = scene.command(&[]);
    let program = template.get_program().to_owned();
    let settings: Vec<_> = template.get_args().map(ToOwned::to_owned).collect();
    let folder = scene.folder().to_owned();
    move |sql: &str| {
        let mut command = Command::new(&program);
        command.args(["sql", "--csv", "--max-rows", "0", sql]).args(&settings).env("TRIBUTARY_INSTANCE", "reader").current_dir(&folder);
        command
    }
}

struct SqlReader {
    command: Arc<dyn Fn(&str) -> Command + Send + Sync>,
}

impl SqlReader {
    fn read(&self, window: Time) -> Option<Rows> {
        let end = window + Micros::MINUTE;
        let sql = format!(
            "SELECT _kafka_partition, _kafka_offset, device_id, seq, CAST(event_time AS BIGINT) AS event_time FROM {TABLE} \
             WHERE event_time >= TIMESTAMP '{window}' AND event_time < TIMESTAMP '{end}'"
        );
        let output = (self.command)(&sql).output().expect("run sql");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "sql ended with {}:\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
        Some(text.lines().skip(1).map(row_of_csv).collect())
    }
}

fn row_of_csv(line: &str) -> (Identity, Event) {
    let values: Vec<&str> = line.split(',').collect();
    let number = |index: usize| values[index].parse::<i64>().unwrap_or_else(|_| panic!("a row of five values, not `{line}`"));
    ((i32::try_from(number(0)).expect("a kafka_partition"), number(1)), (values[2].to_owned(), number(3), number(4)))
}

struct FolderReader {
    lake: PathBuf,
}

impl FolderReader {
    /// All files in the folder that a catalog would name. `None`: its revision is not in place yet, or the folder changed meanwhile.
    fn read(&self, window: Time, state: &TableState) -> Option<Rows> {
        let settings = &state.table.as_ref()?.settings;
        let layout = Layout { table: TableName(TABLE.to_owned()), window: settings.window, partition_by: Vec::new() };
        let mut rows = Rows::new();
        for (place, revision, files) in state.live_files().filter(|(place, ..)| place.window_start == window) {
            if revision > 0 && files.iter().any(|file| state.unpublished().contains(&file.seq)) {
                return None;
            }
            let folder = if revision == 0 { DataFolder::Open } else { DataFolder::Revision(revision) };
            let folder = self.lake.join(layout.data_folder(place, folder));
            let mut names: Vec<PathBuf> = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
            names.sort();
            for name in names {
                rows.extend(rows_of(&name)?);
            }
        }
        Some(rows)
    }
}

/// All rows of a file; `None`: it is gone, vacuumed after its successor was shown.
fn rows_of(name: &Path) -> Option<Rows> {
    let file = File::open(name).ok()?;
    let mut rows = Rows::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).expect("a whole file").build().expect("a whole file") {
        let batch = batch.expect("a whole file");
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("a column {name}"));
        let (partitions, offsets) =
            (column("_kafka_partition").as_primitive::<Int32Type>(), column("_kafka_offset").as_primitive::<Int64Type>());
        let (devices, seqs) = (column("device_id").as_string::<i32>(), column("seq").as_primitive::<Int64Type>());
        let times = column("event_time").as_primitive::<TimestampMicrosecondType>();
        rows.extend((0..batch.num_rows()).map(|row| {
            let event = (devices.value(row).to_owned(), seqs.value(row), times.value(row));
            ((partitions.value(row), offsets.value(row)), event)
        }));
        assert_eq!(times.null_count(), 0, "each row has an event time");
    }
    Some(rows)
}

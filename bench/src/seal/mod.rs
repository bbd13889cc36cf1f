//! Seal: the window-sealer makes one large closed window clean (duplicates out, sorted, few files), and DuckDB does the same work.
mod lake;

use crate::process::{Measured, Usage};
use anyhow::{Context, Result, ensure};
use lake::{Contents, TABLE};
use lake_store::{LocalStore, TableLog, TableLogOptions};
use serde::Serialize;
use service_runtime::settings::Settings;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use table_log::{TableName, record::Body};
use test_kit::PythonReaders;

/// Options of `bench seal`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rows of the window.
    #[arg(long, default_value_t = 20_000_000)]
    rows: u64,
    /// Memory budget of both programs, MiB.
    #[arg(long, default_value_t = 512)]
    memory_mib: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench/seal.json")]
    output: PathBuf,
}

/// The figures, as docs/benchmarks.md shows them.
#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    distinct_rows: u64,
    input_files: u64,
    input_bytes: u64,
    output_files: usize,
    output_bytes: u64,
    rows_per_cpu_second: f64,
    rows_per_second: f64,
    peak_rss_bytes: u64,
    duckdb_rows_per_cpu_second: f64,
    duckdb_rows_per_second: f64,
    duckdb_peak_rss_bytes: u64,
}

const LIMIT: Duration = Duration::from_secs(1_200);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One statement with the same result: the first of equal rows, sorted, in Parquet files of about the same size.
const DUCKDB: &str = "import duckdb, sys\n\
    files, target, spill, memory = sys.argv[1:]\n\
    connection = duckdb.connect()\n\
    for setting in (f\"memory_limit = '{memory}MiB'\", f\"temp_directory = '{spill}'\", 'threads = 2', 'preserve_insertion_order = false', 'enable_progress_bar = false'):\n    \
        connection.sql('SET ' + setting)\n\
    connection.sql(f'''COPY (SELECT * EXCLUDE place FROM (SELECT *, row_number() OVER (PARTITION BY device, sequence, measured_at\n\
        ORDER BY _kafka_timestamp, _kafka_topic, _kafka_partition, _kafka_offset) AS place FROM read_parquet('{files}')) WHERE place = 1\n\
        ORDER BY device, measured_at) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 1000000)''')\n\
    print(connection.sql(f\"SELECT count(*) FROM read_parquet('{target}')\").fetchall()[0][0])\n";

/// Runs both, prints a table, writes the file.
pub fn run(options: &Options) -> Result<()> {
    let python = PythonReaders::prepare()?;
    let folder = tempfile::Builder::new().prefix("tributary-bench").tempdir()?;
    let folder = folder.path();
    let settings_file = write_settings(folder, options)?;
    let settings = Settings::load(&settings_file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let table = settings.tables.get(TABLE).context("the settings have the table")?;
    let began = Instant::now();
    let contents = runtime.block_on(lake::make(&folder.join("lake"), table.to_log(), options.rows))?;
    say(&format!("{contents:?} made in {:.1} s", began.elapsed().as_secs_f64()))?;
    let (theirs, their_seconds) = duckdb(&python, folder, options, contents)?;
    show("duckdb", theirs, contents.rows, their_seconds)?;
    let (ours, our_seconds) = seal(folder, &settings_file)?;
    show("window-sealer", ours, contents.rows, our_seconds)?;
    let (files, bytes) = runtime.block_on(check(folder, contents))?;
    let rows = contents.rows as f64;
    let figures = Figures {
        rows: contents.rows,
        distinct_rows: contents.distinct,
        input_files: contents.files,
        input_bytes: contents.bytes,
        output_files: files,
        output_bytes: bytes,
        rows_per_cpu_second: rows / ours.cpu_seconds,
        rows_per_second: rows / our_seconds,
        peak_rss_bytes: ours.peak_rss_bytes,
        duckdb_rows_per_cpu_second: rows / theirs.cpu_seconds,
        duckdb_rows_per_second: rows / their_seconds,
        duckdb_peak_rss_bytes: theirs.peak_rss_bytes,
    };
    if let Some(parent) = options.output.parent() {
        fs::create_dir_all(parent)?;
    }
    let text = serde_json::to_string_pretty(&figures)?;
    fs::write(&options.output, format!("{text}\n"))?;
    say(&format!("{text}\nwritten to {}", options.output.display()))
}

fn write_settings(folder: &Path, options: &Options) -> Result<PathBuf> {
    let subject = folder.join(format!("schemas/{TABLE}-value"));
    fs::create_dir_all(&subject)?;
    fs::write(subject.join("v1.avsc"), crate::ingest::SCHEMA)?;
    fs::create_dir_all(folder.join("spill"))?;
    let text = format!(
        "lake: lake\nkafka: {{bootstrap_servers: \"127.0.0.1:1\"}}\nschemas: schemas\nadmin: \"127.0.0.1:0\"\ntables:\n  {TABLE}:\n    \
         topics: [{TABLE}]\n    event_time: measured_at\n    dedupe_by: [device, sequence]\n    sort_by: [device, measured_at]\n    \
         out_of_orderness: 0s\nwindow_sealer:\n  memory_budget: {}MiB\n  spill_dir: {}\n",
        options.memory_mib,
        folder.join("spill").display(),
    );
    let file = folder.join("tributary.yaml");
    fs::write(&file, text)?;
    Ok(file)
}

/// Starts the service on the lake and ends it when the window has its revision.
fn seal(folder: &Path, settings: &Path) -> Result<(Usage, f64)> {
    let log = folder.join("sealer.log");
    let arguments = [Path::new("run"), Path::new("window-sealer"), Path::new("--settings"), settings];
    let began = Instant::now();
    let mut sealer = Measured::start(&crate::tributary()?, &arguments, None, &log)?;
    while !is_sealed(folder)? {
        ensure!(sealer.look()?, "the window-sealer ended; its log:\n{}", fs::read_to_string(&log)?);
        ensure!(began.elapsed() < LIMIT, "not sealed after {} s; its log:\n{}", LIMIT.as_secs(), fs::read_to_string(&log)?);
        std::thread::sleep(LOOK_EVERY);
    }
    let seconds = began.elapsed().as_secs_f64();
    sealer.signal("TERM")?;
    Ok((sealer.end(LIMIT, false)?, seconds))
}

fn is_sealed(folder: &Path) -> Result<bool> {
    let mut names = fs::read_dir(folder.join(format!("lake/{TABLE}/_log")))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect::<Vec<_>>();
    names.sort();
    let Some(newest) = names.last() else { return Ok(false) };
    let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(newest)?)?;
    Ok(record["kind"] == "seal")
}

/// The seal kept what it must; how many files it made, of how many bytes.
async fn check(folder: &Path, contents: Contents) -> Result<(usize, u64)> {
    let store = Arc::new(LocalStore::open(folder.join("lake"))?);
    let log = TableLog::open(store, TableName(TABLE.to_owned()), TableLogOptions::read_only()).await?;
    let newest = log.state().newest_seq().context("the log has records")?;
    let record = log.record(newest).await?;
    let Body::Seal(seal) = &record.body else { anyhow::bail!("the newest record is no seal") };
    let files: Vec<_> = seal.lake_partitions.iter().flat_map(|revised| &revised.files).collect();
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    ensure!(rows == contents.distinct, "{rows} rows are sealed, {} are distinct", contents.distinct);
    Ok((files.len(), files.iter().map(|file| file.bytes).sum()))
}

fn duckdb(python: &PythonReaders, folder: &Path, options: &Options, contents: Contents) -> Result<(Usage, f64)> {
    let (log, target, spill) = (folder.join("duckdb.log"), folder.join("duckdb.parquet"), folder.join("spill"));
    let files = folder.join(format!("lake/{TABLE}/data/*/*/*/*.parquet")).display().to_string();
    let memory = options.memory_mib.to_string();
    let arguments = ["-c", DUCKDB, &files, &target.display().to_string(), &spill.display().to_string(), &memory];
    let began = Instant::now();
    let usage = Measured::start(python.interpreter(), &arguments, None, &log)?
        .end(LIMIT, false)
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    let seconds = began.elapsed().as_secs_f64();
    let rows = fs::read_to_string(&log)?;
    ensure!(rows.trim() == contents.distinct.to_string(), "DuckDB kept `{}` rows of {}", rows.trim(), contents.distinct);
    fs::remove_file(&target)?;
    Ok((usage, seconds))
}

fn show(what: &str, usage: Usage, rows: u64, seconds: f64) -> Result<()> {
    say(&format!(
        "{what:<14} {:>7.3} CPU-s per million, {:>6.0} k rows/CPU-s, {:>6.0} k rows/s, {:>5} MiB",
        usage.cpu_seconds / rows as f64 * 1e6,
        rows as f64 / usage.cpu_seconds / 1e3,
        rows as f64 / seconds / 1e3,
        usage.peak_rss_bytes >> 20,
    ))
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

//! Encodes the files of a commit and stages them: durable, not visible.
use crate::{
    buffer::{FileBuffer, Target},
    context::{GiveUp, TableContext},
    encode::{EncodeOptions, EncodedFile, FileEncoder, Footer},
    error::{StoppedTable, WriterError},
    quarantine::DayBuffer,
    rules::TableRules,
};
use event_schema::quarantine_schema;
use service_runtime::fail_point;
use std::sync::Arc;
use table_log::{
    LakePartition, Seq,
    key::{DataFolder, Key},
    record::{FileEntry, Upload},
};
use tokio::task::JoinSet;
use windowing::Time;

/// Files of one commit encoded and staged at a time: hides the store's latency without many encoded files in memory.
const PARALLEL_FILES: usize = 4;

/// Rows of a file to be made.
#[derive(Debug)]
pub enum FileRows {
    /// A data file.
    Data(Target, FileBuffer),
    /// A quarantine file of a day of ingest.
    Quarantine(Time, DayBuffer),
}

/// What all files of a commit share.
#[derive(Clone, Debug)]
pub struct StageBase {
    /// The table's rules.
    pub rules: Arc<TableRules>,
    /// Newest seq of the state on which staging begins.
    pub staged_on: Seq,
    /// Footer key-values.
    pub footer: Footer,
}

/// Staged files of a commit, in a stable order.
#[derive(Debug, Default)]
pub struct StagedFiles {
    /// Data files.
    pub data: Vec<FileEntry>,
    /// Quarantine files.
    pub quarantine: Vec<FileEntry>,
}

impl StagedFiles {
    /// All of them.
    pub fn all(&self) -> Vec<FileEntry> {
        self.data.iter().chain(&self.quarantine).cloned().collect()
    }
}

/// A file in memory, complete.
struct Encoded {
    lake_partition: LakePartition,
    folder: Option<DataFolder>,
    file: EncodedFile,
    event_times: (Time, Time),
}

/// Stages all files. `None`: `give_up` fired; what was staged is left to the sweeper.
///
/// # Errors
/// A defect, or a stop that the store means. Trouble of the store is waited out.
pub async fn stage_all(
    context: &Arc<TableContext>,
    base: &StageBase,
    files: Vec<FileRows>,
    give_up: &GiveUp,
) -> Result<Option<StagedFiles>, StoppedTable> {
    let mut staged = StagedFiles::default();
    let mut running = JoinSet::new();
    let mut waiting = files.into_iter();
    loop {
        while running.len() < PARALLEL_FILES
            && let Some(rows) = waiting.next()
        {
            let (context, base, give_up) = (Arc::clone(context), base.clone(), give_up.clone());
            running.spawn(async move { stage_one(&context, &base, rows, &give_up).await });
        }
        let Some(outcome) = running.join_next().await else { break };
        let outcome = outcome.map_err(|error| bug(context, "stage file", &error))?;
        match outcome? {
            Some((entry, true)) => staged.data.push(entry),
            Some((entry, false)) => staged.quarantine.push(entry),
            None => return Ok(None),
        }
    }
    staged.data.sort_by(|a, b| a.key.cmp(&b.key));
    staged.quarantine.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Some(staged))
}

/// Returns the entry and whether it is a data file.
async fn stage_one(
    context: &TableContext,
    base: &StageBase,
    rows: FileRows,
    give_up: &GiveUp,
) -> Result<Option<(FileEntry, bool)>, StoppedTable> {
    let (options, footer) = (context.encode_options(), base.footer.clone());
    let encoded = tokio::select! {
        biased;
        () = give_up.fired() => return Ok(None),
        encoded = context.encoders.run(move || encode(rows, &options, &footer)) => encoded.flatten(),
    };
    let encoded = encoded.map_err(|error| bug(context, "encode file", &error))?;
    let written = context.persist("stage file", give_up, || write(context, base, &encoded)).await?;
    let Some((key, upload, bytes)) = written else { return Ok(None) };
    let entry = FileEntry {
        key,
        lake_partition: encoded.lake_partition,
        late: encoded.folder == Some(DataFolder::Late),
        rows: encoded.file.rows,
        bytes,
        event_time_min: encoded.event_times.0,
        event_time_max: encoded.event_times.1,
        schema_version: base.rules.body.schema_version,
        staged_on: base.staged_on,
        upload,
    };
    Ok(Some((entry, encoded.folder.is_some())))
}

fn encode(rows: FileRows, options: &EncodeOptions, footer: &Footer) -> Result<Encoded, WriterError> {
    match rows {
        FileRows::Data(target, file) => {
            let event_times = (file.event_time_min, file.event_time_max);
            let file = file.into_encoder(options)?.finish(footer)?;
            let folder = if target.late { DataFolder::Late } else { DataFolder::Open };
            Ok(Encoded { lake_partition: target.lake_partition, folder: Some(folder), file, event_times })
        }
        FileRows::Quarantine(day, buffer) => {
            let event_times = (buffer.ingest_min, buffer.ingest_max);
            let mut encoder = FileEncoder::new(quarantine_schema(), options)?;
            encoder.write(&buffer.finish()?)?;
            let file = encoder.finish(footer)?;
            let lake_partition = LakePartition { window_start: day, values: Vec::new() };
            Ok(Encoded { lake_partition, folder: None, file, event_times })
        }
    }
}

/// One try, under a name of its own: keys are never used twice.
async fn write(context: &TableContext, base: &StageBase, encoded: &Encoded) -> Result<(String, Upload, u64), WriterError> {
    let staging = uuid::Uuid::new_v4().to_string();
    let key = base.rules.layout.path(&match encoded.folder {
        Some(folder) => Key::Data { lake_partition: encoded.lake_partition.clone(), folder, base: base.staged_on, staging },
        None => Key::Quarantine { day: encoded.lake_partition.window_start, base: base.staged_on, staging },
    });
    fail_point!("writer-before-stage");
    let mut writer = context.log.store().stage(&key).await?;
    for part in &encoded.file.parts {
        if let Err(error) = writer.write(part.clone()).await {
            if let Err(abort) = writer.abort().await {
                tracing::debug!(key, error = %abort, "failed staging is left to the sweeper");
            }
            return Err(error.into());
        }
    }
    let (upload, bytes) = writer.finish().await?;
    fail_point!("writer-after-stage");
    if bytes != encoded.file.bytes() {
        let detail = format!("store has `{bytes}` bytes of `{}` for `{key}`", encoded.file.bytes());
        return Err(WriterError::Bug { what: "stage file", detail });
    }
    Ok((key, upload, bytes))
}

fn bug(context: &TableContext, what: &str, error: &dyn std::fmt::Display) -> StoppedTable {
    StoppedTable::Bug { table: context.name().to_owned(), detail: format!("{what}: {error}") }
}

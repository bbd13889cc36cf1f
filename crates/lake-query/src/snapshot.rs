//! Which files a table consists of, as of one state of its log.
use crate::transform::EVENT_TIME_SHIFT;
use crate::{LakeQueryError, catalog_type};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::datasource::table_schema::TableSchema as ScanSchema;
use futures::{StreamExt, TryStreamExt, stream};
use lake_store::{LakeStore, TableLog};
use std::collections::BTreeSet;
use std::sync::Arc;
use table_log::key::Layout;
use table_log::record::{Column, FileEntry, TableBody};
use table_log::{Body, FileRef, LakePartition, Seq, TableState};
use windowing::{Micros, Time, WindowSize};

/// Questions about unpublished files in flight at once.
const HEADS_IN_FLIGHT: usize = 16;

/// A file of a snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) key: String,
    pub(crate) seq: u64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) partition_values: Vec<Option<String>>,
    pub(crate) event_time_min: Time,
    pub(crate) event_time_max: Time,
}

/// A SQL table: its schema and files.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    pub(crate) name: String,
    pub(crate) schema: ScanSchema,
    /// The column that the files' event times bound; `None` for quarantine.
    pub(crate) event_time: Option<String>,
    /// Added to that column it is the event time, which the log bounds.
    pub(crate) event_time_shift: Micros,
    pub(crate) files: Vec<SnapshotFile>,
    /// Files of committed records that nobody published yet.
    pub(crate) left_out: usize,
}

/// Whether a table is made by a transform: its columns stand in the log alone, without an Avro schema.
pub(crate) fn is_derived(table: &TableBody) -> bool {
    table.avro_schema.is_empty()
}

/// The column that tells where a row lies.
pub(crate) fn event_time_column(table: &TableBody) -> String {
    table.settings.event_time.as_ref().map_or_else(|| "_kafka_timestamp".to_owned(), |c| c.to_lowercase())
}

/// Columns of a table's data files: those of its schema without the partition columns, then identity; those of a derived table have none.
///
/// # Errors
/// The schema in the log cannot be parsed by this program.
pub fn file_schema(name: &str, table: &TableBody) -> Result<SchemaRef, LakeQueryError> {
    let unusable = |detail: String| LakeQueryError::Schema { table: name.to_owned(), detail };
    if is_derived(table) {
        let column = |column: &Column| match catalog_type::parse(&column.glue_type) {
            Some(kind) => Ok(Field::new(&column.name, kind, true)),
            None => Err(unusable(format!("column `{}` is of the unknown type `{}`", column.name, column.glue_type))),
        };
        return Ok(Arc::new(Schema::new(table.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?)));
    }
    let parsed = event_schema::TableSchema::parse(&table.avro_schema).map_err(|e| unusable(e.to_string()))?;
    let partition_by: BTreeSet<String> = table.settings.partition_by.iter().map(|c| c.to_lowercase()).collect();
    let data = parsed.arrow().fields().iter().filter(|f| !partition_by.contains(f.name())).map(Arc::clone);
    let identity = event_schema::identity_fields().into_iter().map(Arc::new);
    Ok(Arc::new(Schema::new(data.chain(identity).collect::<Vec<FieldRef>>())))
}

/// Columns of quarantine files, identity included.
pub fn quarantine_file_schema() -> SchemaRef {
    event_schema::quarantine_schema()
}

/// The SQL tables of a log: the table and, unless it is derived, its quarantine. Empty while the log has no `table` record.
pub(crate) async fn resolve(store: &Arc<dyn LakeStore>, log: &TableLog) -> Result<Vec<SnapshotTable>, LakeQueryError> {
    let state = log.state();
    let Some(table) = &state.table else {
        return Ok(Vec::new());
    };
    let name = log.table().0.clone();
    let settings = &table.settings;
    let layout = Layout { table: log.table().clone(), window: settings.window, partition_by: settings.partition_by.clone() };
    let data_refs: Vec<FileRef> = state.live_files().flat_map(|(_, _, refs)| refs.iter().copied()).collect();
    let data_refs = shown_files(store, log, &state, data_refs).await?;
    let (files, left_out) = present_files(store, log, &state, &data_refs, &layout).await?;
    let data = SnapshotTable {
        schema: scan_schema(file_schema(&name, table)?, &layout),
        event_time: Some(event_time_column(table)),
        event_time_shift: if is_derived(table) { EVENT_TIME_SHIFT } else { Micros::ZERO },
        name: name.clone(),
        files,
        left_out,
    };
    if is_derived(table) {
        return Ok(vec![data]);
    }
    let day = WindowSize::DAY;
    let layout = Layout { table: log.table().clone(), window: day, partition_by: Vec::new() };
    let (files, left_out) = present_files(store, log, &state, state.quarantine_files(), &layout).await?;
    let quarantine = SnapshotTable {
        schema: scan_schema(quarantine_file_schema(), &layout),
        event_time: None,
        event_time_shift: Micros::ZERO,
        name: format!("{name}_quarantine"),
        files,
        left_out,
    };
    Ok(vec![data, quarantine])
}

pub(crate) fn scan_schema(file_schema: SchemaRef, layout: &Layout) -> ScanSchema {
    let any = LakePartition { window_start: Time(0), values: vec![None; layout.partition_by.len()] };
    let columns: Vec<FieldRef> =
        layout.partition_values(&any).into_iter().map(|(column, _)| Arc::new(Field::new(column, DataType::Utf8, true))).collect();
    ScanSchema::builder(file_schema).with_table_partition_cols(columns).build()
}

/// The files that readers see: those of a revision that is committed but not in place yet are not to be had, so what it replaces still stands
/// for them. (It is not vacuumed before.) Rows of a window never vanish while a sealer is on its way from commit to publish.
async fn shown_files(
    store: &Arc<dyn LakeStore>,
    log: &TableLog,
    state: &TableState,
    live: Vec<FileRef>,
) -> Result<Vec<FileRef>, LakeQueryError> {
    let mut absent = BTreeSet::new();
    for seq in live.iter().map(|file| file.seq).filter(|seq| state.unpublished().contains(seq)).collect::<BTreeSet<Seq>>() {
        let record = log.record(seq).await?;
        if !matches!(record.body, Body::Seal(_) | Body::Derive(_)) {
            continue;
        }
        for entry in record.files() {
            if store.head(&entry.key).await.map_err(lake_store::TableLogError::from)?.is_none() {
                absent.insert(seq);
                break;
            }
        }
    }
    let replaced: Vec<FileRef> =
        state.superseded_files().filter(|(_, superseded)| absent.contains(&superseded.by)).map(|(file, _)| file).collect();
    let entries = log.files(&replaced).await?;
    let seen = replaced.into_iter().zip(entries).filter(|(_, entry)| !entry.late).map(|(file, _)| file);
    Ok(live.into_iter().filter(|file| !absent.contains(&file.seq)).chain(seen).collect())
}

/// Resolves references; leaves out, and counts, files of unpublished records that are not there yet.
async fn present_files(
    store: &Arc<dyn LakeStore>,
    log: &TableLog,
    state: &TableState,
    refs: &[FileRef],
    layout: &Layout,
) -> Result<(Vec<SnapshotFile>, usize), LakeQueryError> {
    let entries = log.files(refs).await?;
    let unpublished = state.unpublished();
    let checked: Vec<Option<SnapshotFile>> = stream::iter(refs.iter().zip(entries))
        .map(|(file, entry)| async move {
            let there =
                !unpublished.contains(&file.seq) || store.head(&entry.key).await.map_err(lake_store::TableLogError::from)?.is_some();
            Ok::<_, LakeQueryError>(there.then(|| snapshot_file(file.seq.0, entry, layout)))
        })
        .buffered(HEADS_IN_FLIGHT)
        .try_collect()
        .await?;
    let left_out = checked.iter().filter(|f| f.is_none()).count();
    Ok((checked.into_iter().flatten().collect(), left_out))
}

pub(crate) fn snapshot_file(seq: u64, entry: FileEntry, layout: &Layout) -> SnapshotFile {
    SnapshotFile {
        partition_values: layout.partition_values(&entry.lake_partition).into_iter().map(|(_, value)| value).collect(),
        key: entry.key,
        seq,
        bytes: entry.bytes,
        rows: entry.rows,
        event_time_min: entry.event_time_min,
        event_time_max: entry.event_time_max,
    }
}

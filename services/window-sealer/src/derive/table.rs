//! The `table` record of a derived table: made with its first window, extended when the result gets columns.
use super::TransformSettings;
use crate::error::SealerError;
use lake_query::transform::{ResultSchema, evolve};
use lake_store::{CommitOutcome, TableLog};
use service_runtime::shutdown::Shutdown;
use table_log::record::{TableBody, TableSettings};
use table_log::{Body, TableState};

/// Tries against others who change the table at the same time.
const TRIES: usize = 8;

/// The settings that a window is made by: those of the log, once there are any.
///
/// # Errors
/// The settings file says otherwise of what never changes.
pub(super) fn settings_in_force(settings: &TransformSettings, state: &TableState) -> Result<TableSettings, SealerError> {
    let Some(table) = &state.table else { return Ok(settings.log.clone()) };
    let (log, file) = (&table.settings, &settings.log);
    let refused = |what: &str, log: String, file: String| {
        let name = &settings.table;
        Err(SealerError::Settings(format!(
            "`{what}` of derived table `{name}` is `{log}` in its log and `{file}` in the settings; it never changes: put the log's value back, or give the transform another name"
        )))
    };
    if !table.avro_schema.is_empty() {
        let what = format!("table `{}` is made of Kafka's records: give the transform another name", settings.table);
        return Err(SealerError::Settings(what));
    }
    if log.window != file.window {
        return refused("window", log.window.micros().to_string(), file.window.micros().to_string());
    }
    if log.partition_by != file.partition_by {
        return refused("partition_by", log.partition_by.join(", "), file.partition_by.join(", "));
    }
    Ok(log.clone())
}

/// The table with at least the columns of the result, in its log.
///
/// # Errors
/// The result does not fit the table's columns ([`lake_query::LakeQueryError::Incompatible`]), or the log cannot be written.
pub(super) async fn table_with(
    log: &TableLog,
    settings: &TransformSettings,
    result: &ResultSchema,
    shutdown: &Shutdown,
) -> Result<TableBody, SealerError> {
    for _ in 0..TRIES {
        let state = log.refresh().await?;
        settings_in_force(settings, &state)?;
        let proposal = match &state.table {
            None => result.first_table(settings.log.clone()),
            Some(table) => match evolve(&settings.table.0, &table.columns, &result.catalog_columns())? {
                None => return Ok(table.clone()),
                Some(columns) => TableBody { schema_version: table.schema_version + 1, columns, ..table.clone() },
            },
        };
        match log.commit(Body::Table(proposal.clone()), shutdown.triggered()).await? {
            CommitOutcome::Committed(record) => {
                tracing::info!(
                    table = settings.table.0,
                    seq = record.seq.0,
                    schema_version = proposal.schema_version,
                    "derived table has new columns"
                );
                return Ok(proposal);
            }
            CommitOutcome::Abandoned => return Err(SealerError::Stopping),
            // Somebody else made or changed it at the same time: look again.
            CommitOutcome::Fenced(_) | CommitOutcome::Stale(_) | CommitOutcome::AlreadyDone => {}
        }
    }
    Err(SealerError::Overtaken(format!("table `{}` is changed by others all the time", settings.table)))
}

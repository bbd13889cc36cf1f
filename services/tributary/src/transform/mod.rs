//! `tributary transform`: derived tables, what is due in them, and single windows of them.
mod list;
mod planned;
mod run;

pub use planned::{Planned, plan_all, raw_table};

use crate::cli::{TransformArgs, TransformCommand};
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use lake_query::LakeQueryError;
use table_log::TableName;
use window_sealer::SealerError;
use window_sealer::derive::{DeriveContext, Logs, TransformSettings};

/// Runs the command.
pub async fn run(args: &TransformArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.command {
        TransformCommand::List => list::list(context).await,
        TransformCommand::Run(args) => run::run(args, context).await,
    }
}

/// A transform of the settings. An unknown name is a usage error that lists them.
pub fn settings_of(name: &str, context: &Context) -> anyhow::Result<TransformSettings> {
    if let Some(config) = context.settings.transforms.get(name) {
        return Ok(TransformSettings::new(name, config));
    }
    let known = context.settings.transforms.keys().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
    let fix = if known.is_empty() { "the settings have no `transforms`".to_owned() } else { format!("the transforms are {known}") };
    Err(Failure::usage(format!("transform `{name}` is not in the settings"), fix).into())
}

/// What the work on a derived table takes, with the logs of all that it rests on.
pub async fn derive_context(transform: TransformSettings, read_only: bool, context: &Context) -> anyhow::Result<DeriveContext> {
    let settings = window_sealer::SealerSettings::from_settings(&context.settings);
    let mut logs = Logs::new();
    let mut next = Some(transform.table.clone());
    while let Some(table) = next {
        next = context.settings.transforms.get(&table.0).map(|config| TableName(config.source.clone()));
        let log = context.log(&table, read_only).await?;
        logs.insert(table, log);
    }
    let metrics = window_sealer::derive::metrics::DeriveMetrics::new(&prometheus::Registry::new())?;
    Ok(DeriveContext::new(&settings, transform, logs, metrics, service_runtime::shutdown::Shutdown::manual()))
}

/// Wrong SQL and settings are usage errors.
pub fn failure(error: SealerError) -> anyhow::Error {
    match error {
        SealerError::Settings(_) | SealerError::Query(LakeQueryError::Transform { .. } | LakeQueryError::Reference { .. }) => {
            Failure::usage(error.to_string(), "`tributary check` shows all faults").into()
        }
        SealerError::Query(LakeQueryError::Incompatible { .. }) => Failure::usage(error.to_string(), "").into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;

//! `tributary verify`: proves from the lake, and from Kafka if asked, that every record is in the lake exactly once.
//!
//! It shares the record format and the keys with the services, nothing else: it reads the record objects one by one and keeps its own books.
//!
//! | invariant | checked by |
//! |---|---|
//! | TL-1 | [`records`]: dense seqs, well-formed records, no proposal committed twice |
//! | TL-2, TL-3 by counts, TM-1 | [`ledger`] |
//! | TL-4, TM-2 by footers | [`files`] |
//! | TM-2 by the records | [`entry`] |
//! | TL-5 | [`orphans`] |
//! | TL-6 | [`group`] |
//! | TM-3 by counts, TM-4 over the log's history | [`revisions`] |
//! | TL-3 by identity, TM-2 by rows (`--deep`) | [`identity`], [`holding`] |
//! | TM-3 by identity (`--deep`) | [`revisions`] |
//! | TM-3 of derived tables by running their SQL again | [`derived`] |
//! | TL-3 by contents (`--kafka`) | [`contents`] |
mod bitmap;
mod contents;
mod derived;
mod entry;
mod files;
mod group;
mod holding;
mod identities;
mod identity;
mod lake;
mod ledger;
mod orphans;
mod records;
mod report;
mod revisions;
mod row_hash;
mod walk;

pub use identities::read_duplicates;
pub use report::{Report, print, topic_name};

use crate::cli::VerifyArgs;
use crate::context::Context;
use crate::output::ExitCode;
use crate::schemas::Schemas;
use anyhow::Context as _;
use derived::Derivation;
use event_schema::{SchemaFolder, SchemaSource};
use lake::Lake;
use service_runtime::settings::Tombstones;
use std::sync::Arc;
use walk::{KafkaAccess, Verification};
use window_sealer::derive::TransformSettings;

/// Runs the command.
pub async fn run(args: &VerifyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let report = verify(context, args).await?;
    print(&report, context)?;
    Ok(if report.violations_total == 0 { ExitCode::Done } else { ExitCode::Violation })
}

/// Verifies a table without printing anything but progress.
///
/// # Errors
/// The lake cannot be read, or Kafka with `--kafka`. What is wrong with the data is in the report, not an error.
pub async fn verify(context: &Context, args: &VerifyArgs) -> anyhow::Result<Report> {
    let table = context.any_table(&args.table)?;
    let verification = Verification {
        kafka: kafka(context, args)?,
        derivation: derivation(context, &args.table).await?,
        lake: Lake::new(context.store()?, table),
        deep: args.deep,
        since: args.since.unwrap_or(0),
        output: context.output,
    };
    tokio::task::spawn_blocking(move || verification.run()).await.context("verify")?
}

/// How to ask Kafka; `None` for a derived table, which takes nothing from it.
fn kafka(context: &Context, args: &VerifyArgs) -> anyhow::Result<Option<KafkaAccess>> {
    let Some(config) = context.settings.tables.get(&args.table) else { return Ok(None) };
    let schemas: Arc<dyn SchemaSource> =
        if args.kafka { Schemas::open(&context.settings)?.source() } else { Arc::new(SchemaFolder::default()) };
    Ok(Some(KafkaAccess {
        config: context.kafka(),
        required: args.kafka,
        schemas,
        limits: context.settings.lake_writer.limits(),
        skip_tombstones: config.tombstones == Tombstones::Skip,
    }))
}

async fn derivation(context: &Context, name: &str) -> anyhow::Result<Option<Derivation>> {
    let Some(config) = context.settings.transforms.get(name) else { return Ok(None) };
    let transform = TransformSettings::new(name, config);
    let source = context.log(&transform.source, true).await?;
    Ok(Some(Derivation { transform, source }))
}

#[cfg(test)]
mod tests;

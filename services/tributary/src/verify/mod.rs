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
//! | TL-3 by contents (`--kafka`) | [`contents`] |
mod bitmap;
mod contents;
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

pub use report::{Report, print, topic_name};

use crate::cli::VerifyArgs;
use crate::context::Context;
use crate::output::ExitCode;
use crate::schemas::Schemas;
use anyhow::Context as _;
use event_schema::{SchemaFolder, SchemaSource};
use lake::Lake;
use service_runtime::settings::Tombstones;
use std::sync::Arc;
use walk::{KafkaAccess, Verification};

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
    let (table, config) = context.table(&args.table)?;
    let schemas: Arc<dyn SchemaSource> =
        if args.kafka { Schemas::open(&context.settings)?.source() } else { Arc::new(SchemaFolder::default()) };
    let kafka = KafkaAccess {
        config: context.kafka(),
        required: args.kafka,
        schemas,
        limits: context.settings.lake_writer.limits(),
        skip_tombstones: config.tombstones == Tombstones::Skip,
    };
    let verification = Verification {
        lake: Lake::new(context.store()?, table),
        deep: args.deep,
        since: args.since.unwrap_or(0),
        kafka: Some(kafka),
        output: context.output,
    };
    tokio::task::spawn_blocking(move || verification.run()).await.context("verify")?
}

#[cfg(test)]
mod tests;

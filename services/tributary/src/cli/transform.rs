use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `tributary transform`
#[derive(Debug, Args)]
pub struct TransformArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TransformCommand,
}

/// What to do with transforms.
#[derive(Clone, Debug, Subcommand)]
pub enum TransformCommand {
    /// List the transforms with the windows that are made and due
    List,
    /// Make one window of a derived table, or show what it would be
    Run(TransformRunArgs),
}

/// `tributary transform run`
#[derive(Clone, Debug, Args)]
pub struct TransformRunArgs {
    /// The derived table
    pub table: String,
    /// Start of the derived window, such as 2026-11-21T05:00:00Z
    #[arg(long, value_name = "TIME")]
    pub window: jiff::Timestamp,
    /// Show the rows and commit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show at most so many rows; 0: all
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "dry_run")]
    pub max_rows: usize,
}

/// `tributary test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files with tests; without any, the file `<name>.test.yaml` beside each transform's `<name>.sql`
    pub files: Vec<PathBuf>,
}

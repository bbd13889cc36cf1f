use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `tributary quarantine`
#[derive(Debug, Args)]
pub struct QuarantineArgs {
    /// What to do
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// What to do with refused records.
#[derive(Clone, Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Count refused records by reason
    List {
        /// The table
        table: String,
    },
    /// Show refused records
    Show {
        /// The table
        table: String,
        /// Only this reason, such as `bad_magic`
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Write refused records to a file, one JSON object a line, payloads in base64
    Export {
        /// The table
        table: String,
        /// The file; `-` is stdout
        #[arg(long, value_name = "FILE", default_value = "-")]
        to: PathBuf,
        /// Only this reason, such as `bad_magic`
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
    },
}

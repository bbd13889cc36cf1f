use clap::{Args, Subcommand, ValueEnum};
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
    /// Count refused records by reason, with an example of each
    List {
        /// The table
        table: String,
    },
    /// Show refused records whole: value as hex and text, headers
    Show {
        /// The table
        table: String,
        /// Only this record: topic/kafka_partition/offset
        record: Option<String>,
        /// Only this reason, such as `bad_magic`
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Write refused records to a file or folder
    Export {
        /// The table
        table: String,
        /// The file (`-` is stdout), or with `--format raw` the folder
        #[arg(long, value_name = "FILE", default_value = "-")]
        to: PathBuf,
        /// Only this reason, such as `bad_magic`
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        /// Form of the export
        #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
        format: ExportFormat,
    },
}

/// Form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line, key, value and header values in base64
    Ndjson,
    /// The value of each record in a file of its own, named topic-kafka_partition-offset.bin
    Raw,
}

use super::repair::Who;
use clap::{Args, Subcommand};

/// `tributary source`
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SourceCommand,
}

/// What to do with the topics that feed tables. A lake-writer declares new topics of the settings file by itself.
#[derive(Clone, Debug, Subcommand)]
pub enum SourceCommand {
    /// List the topics that tables were declared to read, with all their generations
    List {
        /// Tables; without any, all
        tables: Vec<String>,
        /// Show each kafka_partition
        #[arg(long)]
        partitions: bool,
    },
    /// Stop reading topics for good; `repair restart` brings one back. Without `--apply` it shows what it would record
    Retire {
        /// The table
        table: String,
        /// The topics
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// Who and whether
        #[command(flatten)]
        who: Who,
    },
}

use clap::{Args, Subcommand};

/// `tributary topics`
#[derive(Debug, Args)]
pub struct TopicsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TopicsCommand,
}

/// What to do with the topics of the settings file.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicsCommand {
    /// Show which topics exist, with their kafka_partitions
    Check,
    /// Create the topics that do not exist; leaves those that do as they are
    Create {
        /// Kafka_partitions of a new topic
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=100_000))]
        partitions: i32,
        /// Copies of each kafka_partition; -1: the broker's default
        #[arg(long, default_value_t = -1, value_parser = clap::value_parser!(i32).range(-1..=100), allow_negative_numbers = true)]
        replication: i32,
    },
}

use clap::Args;

/// `tributary status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Tables to show; without any, all
    pub tables: Vec<String>,
    /// Show each kafka_partition
    #[arg(long)]
    pub partitions: bool,
}

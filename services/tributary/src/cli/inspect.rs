use clap::Args;

/// `tributary inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A seq, a file's key or name, or topic/kafka_partition/offset
    pub what: String,
    /// Table to look in; needed for a seq or a file name when there are several
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
}

use clap::Args;

/// `tributary inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A seq, a file's key or name, topic/kafka_partition/offset, or a time: the window that holds it, such as 2026-11-21T05:00:00Z
    pub what: String,
    /// Table to look in; needed for a seq, a file name or a window when there are several
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
}

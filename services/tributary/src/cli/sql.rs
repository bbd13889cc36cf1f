use clap::Args;
use std::path::PathBuf;

/// `tributary sql`
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The query; without it and `--file` it is read from stdin
    pub query: Option<String>,
    /// Read the query from a file
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    pub file: Option<PathBuf>,
}

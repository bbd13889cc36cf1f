use clap::Args;
use std::path::PathBuf;

/// `tributary sql`
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The statement (SELECT, EXPLAIN, SHOW TABLES, DESCRIBE); `-`, or none without `--file`: read it from stdin
    pub query: Option<String>,
    /// Read the statement from a file
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    pub file: Option<PathBuf>,
    /// At most so many rows; 0: all. As a table for people 1000 by default, else all
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,
    /// Comma-separated values with a header line, instead of a table
    #[arg(long)]
    pub csv: bool,
}

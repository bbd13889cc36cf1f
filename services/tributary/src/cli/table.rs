use clap::{Args, Subcommand};

/// `tributary table`
#[derive(Debug, Args)]
pub struct TableArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TableCommand,
}

/// What to do with a table's settings.
#[derive(Clone, Debug, Subcommand)]
pub enum TableCommand {
    /// Show what differs between the settings file and the table log
    Plan {
        /// Tables; without any, all
        tables: Vec<String>,
    },
    /// Write the settings file's values to the table log; they act on windows not yet closed
    Apply {
        /// The table
        table: String,
    },
}

use clap::{Args, Subcommand};

/// `tributary settings`
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// What to show
    #[command(subcommand)]
    pub command: SettingsCommand,
}

/// What to show of the settings.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum SettingsCommand {
    /// Print the JSON Schema of the settings file, for editors
    Schema,
}

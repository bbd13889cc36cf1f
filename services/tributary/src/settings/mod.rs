//! `tributary settings`
use crate::cli::{SettingsArgs, SettingsCommand};
use crate::output::{ExitCode, Output};
use service_runtime::settings::Settings;

/// Runs the command.
pub fn run(args: &SettingsArgs, output: Output) -> anyhow::Result<ExitCode> {
    match args.command {
        SettingsCommand::Schema => output.line(&serde_json::to_string_pretty(&Settings::json_schema())?),
    }
    Ok(ExitCode::Done)
}

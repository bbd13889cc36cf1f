//! `tributary status`
use crate::cli::StatusArgs;
use crate::context::Context;
use crate::output::ExitCode;

/// Runs the command.
pub async fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let _ = (args, context);
    anyhow::bail!("`status` is not part of this build")
}

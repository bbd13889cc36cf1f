//! `tributary quarantine`
use crate::cli::QuarantineArgs;
use crate::context::Context;
use crate::output::ExitCode;

/// Runs the command.
pub async fn run(args: &QuarantineArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let _ = (args, context);
    anyhow::bail!("`quarantine` is not part of this build")
}

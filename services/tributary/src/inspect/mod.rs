//! `tributary inspect`
use crate::cli::InspectArgs;
use crate::context::Context;
use crate::output::ExitCode;

/// Runs the command.
pub async fn run(args: &InspectArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let _ = (args, context);
    anyhow::bail!("`inspect` is not part of this build")
}

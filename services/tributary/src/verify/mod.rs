//! `tributary verify`
use crate::cli::VerifyArgs;
use crate::context::Context;
use crate::output::ExitCode;

/// Runs the command.
pub async fn run(args: &VerifyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let _ = (args, context);
    anyhow::bail!("`verify` is not part of this build")
}

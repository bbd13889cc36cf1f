//! `tributary sql`
use crate::cli::SqlArgs;
use crate::context::Context;
use crate::output::ExitCode;

/// Runs the command.
pub async fn run(args: &SqlArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let _ = (args, context);
    anyhow::bail!("`sql` is not part of this build")
}

use clap::Args;

/// `tributary check`
#[derive(Debug, Args)]
pub struct CheckArgs {}

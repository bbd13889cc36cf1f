use clap::Args;

/// `tributary flush`
#[derive(Debug, Args)]
pub struct FlushArgs {
    /// The table
    pub table: String,
    /// Who asks; stands in the record
    #[arg(long, env = "USER", default_value = "unknown")]
    pub actor: String,
}

use clap::Args;

/// `tributary vacuum`
#[derive(Debug, Args)]
pub struct VacuumArgs {
    /// Tables, derived ones among them; without any, all
    pub tables: Vec<String>,
    /// Only show what would be deleted now, and what is still retained
    #[arg(long)]
    pub dry_run: bool,
}

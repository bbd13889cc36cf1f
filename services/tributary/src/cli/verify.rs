use clap::Args;

/// `tributary verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Table to verify
    pub table: String,
    /// Read the identity columns of every file and find each offset exactly once
    #[arg(long)]
    pub deep: bool,
    /// Read the topics again and compare contents by an order-free hash
    #[arg(long)]
    pub kafka: bool,
    /// Look only at files of records from this seq on
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
}

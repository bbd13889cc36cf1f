use clap::Args;
use std::path::PathBuf;

/// `tributary demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Use this Kafka broker instead of the mock cluster in this process
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Folder of the demo: settings, schema and lake. One made by an earlier demo is replaced; any other is refused
    #[arg(long, value_name = "PATH", default_value = "demo-lake")]
    pub dir: PathBuf,
    /// Stop sending after so many seconds
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
}

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
    /// So many simulated devices send over MQTT, to a broker in this process; 0: none
    #[arg(long, value_name = "N", default_value_t = if cfg!(feature = "demo") { 40 } else { 0 })]
    pub devices: usize,
    /// What the devices do is made up from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Stop sending after so many seconds
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
}

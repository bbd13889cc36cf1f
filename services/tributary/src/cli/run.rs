use clap::{Args, ValueEnum};

/// `tributary run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which service
    #[arg(value_enum)]
    pub service: Service,
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Kafka to lake
    LakeWriter,
    /// Devices over MQTT and clients over HTTP to Kafka
    Bridge,
    /// Closed windows: sealed, amended, derived from
    WindowSealer,
}

//! What the bridge takes of the settings file.
use kafka_io::KafkaConfig;
use service_runtime::settings::{BridgeSettings, Settings as File};

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach the cluster.
    pub kafka: KafkaConfig,
    /// The bridge's part of the file.
    pub bridge: BridgeSettings,
    /// Further properties of the producer, for tests.
    pub producer_properties: Vec<(String, String)>,
}

impl Settings {
    /// Takes the bridge's part; `None`: the file has none.
    pub fn from_settings(settings: &File) -> Option<Self> {
        let bridge = settings.bridge.clone()?;
        Some(Self { kafka: settings.kafka.to_config(), bridge, producer_properties: Vec::new() })
    }
}

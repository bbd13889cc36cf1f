//! What can go wrong for the process as a whole. Trouble with one record is a refusal, trouble with a broker is waited out.
use kafka_io::KafkaIoError;
use service_runtime::ErrorClass;

/// An error that ends the bridge.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The Kafka client refuses its settings.
    #[error(transparent)]
    Kafka(#[from] KafkaIoError),
    /// A file of the settings cannot be used.
    #[error("{what} `{file}` cannot be used: {detail}")]
    File {
        /// Such as `the broker's root certificates`.
        what: &'static str,
        /// Its path.
        file: String,
        /// Why.
        detail: String,
    },
    /// An address cannot be listened on.
    #[error("listen on `{address}`: {detail}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        detail: String,
    },
    /// The schema of a subject cannot be registered.
    #[error("register the schema of subject `{subject}`: {detail}")]
    Register {
        /// Subject.
        subject: String,
        /// Why.
        detail: String,
    },
    /// Settings that do not fit each other or the world.
    #[error("{0}")]
    Settings(String),
    /// A broken invariant of our own.
    #[error("{what}: {detail}")]
    Bug {
        /// What was done.
        what: &'static str,
        /// What came of it.
        detail: String,
    },
}

impl BridgeError {
    /// What the process does about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Kafka(KafkaIoError::Misconfigured { .. }) | Self::File { .. } | Self::Settings(_) => ErrorClass::Misconfigured,
            Self::Kafka(_) | Self::Listen { .. } | Self::Register { .. } => ErrorClass::Retry,
            Self::Bug { .. } => ErrorClass::Bug,
        }
    }
}

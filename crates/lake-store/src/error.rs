/// What can go wrong with a store call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The request may or may not have taken effect (time-out, 5xx, lost connection): it may even land later.
    #[error("outcome of {operation} `{key}` is unknown: {detail}")]
    UnknownOutcome { operation: &'static str, key: String, detail: String },
    /// A failure without effect that may pass (throttling, connection refused).
    #[error("{operation} `{key}` failed: {detail}")]
    Unavailable { operation: &'static str, key: String, detail: String },
    /// Not allowed, or a setting is wrong; retrying does not help.
    #[error("{operation} `{key}` was refused: {detail}")]
    Denied { operation: &'static str, key: String, detail: String },
}

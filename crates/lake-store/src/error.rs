/// What can go wrong with a store call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The request may or may not have taken effect (time-out, 5xx, lost connection): it may even land later.
    #[error("outcome of {operation} `{key}` is unknown: {detail}")]
    UnknownOutcome {
        /// Method of the port.
        operation: &'static str,
        /// Key or prefix.
        key: String,
        /// What the store said.
        detail: String,
    },
    /// A failure without effect that may pass (throttling, connection refused, disk full).
    #[error("{operation} `{key}` failed: {detail}")]
    Unavailable {
        /// Method of the port.
        operation: &'static str,
        /// Key or prefix.
        key: String,
        /// What the store said.
        detail: String,
    },
    /// Not allowed, or a setting is wrong; retrying does not help.
    #[error("{operation} `{key}` was refused: {detail}")]
    Denied {
        /// Method of the port.
        operation: &'static str,
        /// Key or prefix.
        key: String,
        /// What the store said.
        detail: String,
    },
}

impl StoreError {
    /// [`StoreError::UnknownOutcome`].
    pub fn unknown(operation: &'static str, key: &str, detail: impl ToString) -> Self {
        Self::UnknownOutcome { operation, key: key.to_owned(), detail: detail.to_string() }
    }

    /// [`StoreError::Unavailable`].
    pub fn unavailable(operation: &'static str, key: &str, detail: impl ToString) -> Self {
        Self::Unavailable { operation, key: key.to_owned(), detail: detail.to_string() }
    }

    /// [`StoreError::Denied`].
    pub fn denied(operation: &'static str, key: &str, detail: impl ToString) -> Self {
        Self::Denied { operation, key: key.to_owned(), detail: detail.to_string() }
    }

    /// Whether trying again may help (all but `Denied`).
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Denied { .. })
    }
}

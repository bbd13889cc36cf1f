//! Faults of schemas, found before any record is read.

/// One fault of a schema: where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// Path in the schema, such as `reading.values[]` (items of an array) or `tags{}` (values of a map); `schema` for the whole.
    pub path: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// A schema that cannot be used; all faults at once.
#[derive(Clone, Debug, thiserror::Error)]
#[error("schema is not usable: {}", faults.iter().map(|f| format!("`{}`: {}", f.path, f.what)).collect::<Vec<_>>().join("; "))]
pub struct SchemaError {
    /// At least one, in the order of the schema.
    pub faults: Vec<SchemaFault>,
}

impl SchemaError {
    /// An error with one fault of the whole schema.
    pub(crate) fn whole(what: impl Into<String>) -> Self {
        Self { faults: vec![SchemaFault { path: "schema".to_owned(), what: what.into() }] }
    }
}

//! Where writer schemas come from: a folder of files, or a registry.

use crate::{RefusalCode, SubjectSchema};
use async_trait::async_trait;
use std::sync::Arc;

/// Where the decoder asks for a writer schema by the id in a record's header.
///
/// `lookup` never blocks: it is asked on the decoding thread, for every record that does not have the id of the one before. An id that was
/// found keeps its schema for good; the decoder compiles it once and does not ask again while it remembers it.
#[async_trait]
pub trait SchemaSource: Send + Sync + std::fmt::Debug {
    /// What is known of an id now.
    fn lookup(&self, id: u32) -> SchemaLookup;

    /// Why an id is pending, for people; `None`: it is not, or was not looked up.
    fn pending_reason(&self, id: u32) -> Option<String>;

    /// The newest schema of a subject, which a new table starts with.
    ///
    /// # Errors
    /// It cannot be had now, or not at all.
    async fn latest(&self, subject: &str) -> Result<SubjectSchema, LatestError>;
}

/// Why a subject's newest schema cannot be had. The texts name the subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LatestError {
    /// The source is in trouble: try again.
    #[error("the schema registry is in trouble: {0}")]
    Unavailable(String),
    /// There is none (yet).
    #[error("{0}")]
    Missing(String),
    /// It is of another kind.
    #[error("{0}")]
    Unusable(String),
}

/// What a source knows of an id.
#[derive(Clone, Debug)]
pub enum SchemaLookup {
    /// The schema.
    Found(Arc<WriterSchema>),
    /// Not known yet: the record must wait and be pushed again.
    Pending,
    /// Records of this id are refused for as long as the source says so.
    Refused {
        /// [`RefusalCode::UnknownSchema`] or [`RefusalCode::NotAvro`].
        code: RefusalCode,
        /// Why, without payload bytes.
        detail: String,
    },
}

/// A schema that records are written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterSchema {
    /// Id in the records' header.
    pub id: u32,
    /// Avro JSON that stands for itself: schemas that it refers to are part of it.
    pub avro_json: String,
}

//! Avro ↔ Arrow ↔ Glue types, wire framing, schemas from files, and the checked decode and encode of records.
//!
//! A schema is compiled once into a *shape*: a tree with references resolved and logical types told apart. Everything else is derived from
//! the shape, so that it cannot disagree: the Arrow and Glue types of the columns, the columns' stores, the plans by which records of each
//! writer schema are decoded into them, and the encoder.
//!
//! ```text
//! SchemaSource ─▶ writer schema ─┐
//!                                ├─▶ plan ─▶ BatchDecoder: frame ─▶ one checked pass ─▶ columns ─▶ RecordBatch
//! table log ─▶ TableSchema ──────┘
//!                   └──▶ evolve: what the table takes up of a writer's schema
//! AvroEncoder: JSON document or text row ─▶ framed bytes
//! PayloadCheck: framed bytes from outside ─▶ fit or refused
//! ```
//!
//! A record is decoded whole or refused with a [`RefusalCode`]; a refused one leaves no trace in the batch.
//! Architecture Invariant: nothing here knows of Kafka, object storage or wall clocks, and nothing does I/O but [`SchemaFolder::load`] and [`registry`].

mod columns;
mod decode;
pub mod encode;
mod fault;
mod folder;
mod refusal;
pub mod refused;
pub mod registry;
mod schema;
mod source;

pub use columns::{identity_fields, quarantine_schema};
pub use decode::{BatchDecoder, Checked, Limits, PayloadCheck, Push};
pub use fault::{SchemaError, SchemaFault};
pub use folder::{SchemaFolder, SubjectSchema};
pub use refusal::{Refusal, RefusalCode};
pub use schema::{Evolution, TableSchema};
pub use source::{LatestError, SchemaLookup, SchemaSource, WriterSchema};

//! How a table's schema takes up the schemas that records are written with.
use super::{TableSchema, compile_writer};
use crate::{decode::resolve, fault::SchemaError};

/// How a table's schema takes up a writer's.
#[derive(Debug)]
pub enum Evolution {
    /// Every value of the writer has its place already: records decode as they are. Columns that the writer lacks get the default of the
    /// table's schema, or null.
    Covers,
    /// The table needs columns or members that it does not have.
    Adds {
        /// The table's schema with them: what it had keeps its order and type, new columns follow.
        schema: Box<TableSchema>,
        /// Paths of what is new, in the order of the writer's schema, such as `reading.unit`.
        added: Vec<String>,
    },
}

impl TableSchema {
    /// How this table takes up a writer's schema. Pure: neither schema is changed.
    ///
    /// # Errors
    /// The writer's schema cannot be used, or fields of it do not fit the table's columns: every such field with both types.
    pub fn evolve(&self, writer_json: &str) -> Result<Evolution, SchemaError> {
        let writer = compile_writer(writer_json)?;
        let resolved = resolve(&writer, &self.root);
        if !resolved.faults.is_empty() {
            return Err(SchemaError { faults: resolved.faults });
        }
        if resolved.missing.is_empty() {
            return Ok(Evolution::Covers);
        }
        Err(SchemaError::whole("the schema is not the table's"))
    }
}

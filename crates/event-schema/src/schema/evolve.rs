//! How a table's schema takes up the schemas that records are written with.
use super::{TableSchema, compile_writer, merge::merged, normalise};
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
    /// Fields are matched by their names, lower-cased as the columns are; records by their names without namespace, branches of unions by their
    /// types. A value fits where nothing is lost and no file changes: an int in a `bigint`, a float in a `double`, a fixed in any `binary`,
    /// fewer digits in a decimal of the same scale, any text in a `string`. Symbols that the table's enum lacks are text like the others.
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
        let schema = Self::parse(&merged(self.avro_json(), &normalise(writer_json)?)?)?;
        for covered in [&writer, &self.root] {
            let again = resolve(covered, &schema.root);
            if !again.faults.is_empty() {
                return Err(SchemaError { faults: again.faults });
            }
            if !again.missing.is_empty() {
                let what =
                    format!("a type of the same name has other fields elsewhere in the table, without `{}`", again.missing.join("`, `"));
                return Err(SchemaError::whole(what));
            }
        }
        Ok(Evolution::Adds { schema: Box::new(schema), added: resolved.missing })
    }
}

#[cfg(test)]
mod tests;

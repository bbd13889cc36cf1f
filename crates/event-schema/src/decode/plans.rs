//! The plans of the writer schemas that a decoder has met, by id.
use super::{
    Push,
    plan::Plan,
    store::{Node, Store},
};
use crate::{
    Refusal, SchemaLookup, SchemaSource, TableSchema, WriterSchema,
    schema::{compile_writer, normalise},
};
use std::{collections::HashMap, sync::Arc};

/// Ids remembered; beyond it all are forgotten and resolved again, which a flood of ids could make slow but never large.
const REMEMBERED: usize = 1_000;

/// What becomes of a record of an id.
pub(super) enum Resolved<'a> {
    Plan(&'a Plan),
    Other(Push),
}

/// Plans by id. What a source refuses or does not know yet is not remembered: it may say otherwise the next time.
#[derive(Debug)]
pub(super) struct Plans {
    schemas: Arc<dyn SchemaSource>,
    plans: HashMap<u32, Arc<Plan>>,
    /// Ids of schemas that the table does not cover, with the writer's canonical text.
    uncovered: HashMap<u32, String>,
    /// That of the record before, which is nearly always that of the next.
    last: Option<(u32, Arc<Plan>)>,
}

impl Plans {
    pub(super) fn new(schemas: Arc<dyn SchemaSource>) -> Self {
        Self { schemas, plans: HashMap::new(), uncovered: HashMap::new(), last: None }
    }

    /// Forgets all plans, as their places are those of a store that is gone.
    pub(super) fn forget(&mut self) {
        self.plans.clear();
        self.last = None;
    }

    /// How many ids are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.plans.len() + self.uncovered.len()
    }

    /// The plan of an id, made now if need be.
    #[inline]
    pub(super) fn of(&mut self, id: u32, table: &TableSchema, columns: (&Store, Node)) -> Resolved<'_> {
        if !matches!(&self.last, Some((last, _)) if *last == id) {
            match self.find(id, table, columns) {
                Ok(plan) => self.last = Some((id, plan)),
                Err(push) => return Resolved::Other(push),
            }
        }
        let (_, plan) = self.last.as_ref().expect("it was set above where it was not");
        Resolved::Plan(plan)
    }

    fn find(&mut self, id: u32, table: &TableSchema, columns: (&Store, Node)) -> Result<Arc<Plan>, Push> {
        if let Some(plan) = self.plans.get(&id) {
            return Ok(plan.clone());
        }
        let changed = |writer: &str| Push::SchemaChanged { schema_id: id, writer: writer.to_owned(), table: table.avro_json().to_owned() };
        if let Some(writer) = self.uncovered.get(&id) {
            return Err(changed(writer));
        }
        let schema = match self.schemas.lookup(id) {
            SchemaLookup::Found(schema) => schema,
            SchemaLookup::Pending => return Err(Push::SchemaPending { schema_id: id }),
            SchemaLookup::Refused { code, detail } => return Err(Push::Refused(Refusal { code, detail, schema_id: Some(id) })),
        };
        if self.plans.len() + self.uncovered.len() >= REMEMBERED {
            self.plans.clear();
            self.uncovered.clear();
        }
        match covered(&schema, table, columns) {
            Some(plan) => Ok(self.plans.entry(id).or_insert(Arc::new(plan)).clone()),
            None => {
                let writer = normalise(&schema.avro_json).unwrap_or_else(|_| schema.avro_json.clone());
                Err(changed(self.uncovered.entry(id).or_insert(writer)))
            }
        }
    }
}

/// The plan, if the table covers the writer's schema.
fn covered(writer: &WriterSchema, table: &TableSchema, columns: (&Store, Node)) -> Option<Plan> {
    let writer = compile_writer(&writer.avro_json).ok()?;
    Some(Plan::new(&writer, table.root(), columns)).filter(Plan::is_whole)
}

//! Whether a framed payload from outside is a record of a subject, before it goes to Kafka: by the decoder that reads it later, so that what
//! passes here is not refused there for its bytes.
use super::{BatchDecoder, Limits, Push, frame, store::Node};
use crate::{
    Evolution, Refusal, RefusalCode, SchemaSource, TableSchema,
    schema::{Column, Scalar},
};
use std::{collections::HashMap, sync::Arc};

/// Schema ids of other subjects that are remembered; beyond it all are forgotten and looked at again.
const REMEMBERED: usize = 1_000;

/// What a check says of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is a record of the subject; [`PayloadCheck::text`] reads its fields.
    Fits,
    /// It is none.
    Refused(Refusal),
    /// The schema with its id is not known yet: the payload must wait and be checked again.
    SchemaPending {
        /// Id in the payload's header.
        schema_id: u32,
    },
}

/// Checks payloads of one subject: framed, of a schema that the subject's newest covers or could take up, and whole. A schema of another
/// subject is refused, as it would stop the table that reads the topic, or give it columns that nobody wanted.
#[derive(Debug)]
pub struct PayloadCheck {
    decoder: BatchDecoder,
    schema: Arc<TableSchema>,
    schemas: Arc<dyn SchemaSource>,
    limits: Limits,
    /// Ids of schemas that are not the subject's, with what does not fit.
    foreign: HashMap<u32, String>,
}

impl PayloadCheck {
    /// A check against the newest schema of a subject.
    pub fn new(schema: Arc<TableSchema>, schemas: Arc<dyn SchemaSource>, limits: Limits) -> Self {
        let decoder = BatchDecoder::new(schema.clone(), schemas.clone(), limits.clone());
        Self { decoder, schema, schemas, limits, foreign: HashMap::new() }
    }

    /// Checks a payload.
    pub fn check(&mut self, payload: &[u8]) -> Checked {
        if let Some(detail) = frame::split(payload).ok().and_then(|(id, _)| self.foreign.get(&id)) {
            return unexpected(payload, detail.clone());
        }
        match self.push(payload) {
            Push::Row => Checked::Fits,
            Push::Refused(refusal) => Checked::Refused(refusal),
            Push::SchemaPending { schema_id } => Checked::SchemaPending { schema_id },
            Push::SchemaChanged { schema_id, writer, .. } => self.take_up(payload, schema_id, &writer),
        }
    }

    fn push(&mut self, payload: &[u8]) -> Push {
        self.decoder.forget_rows();
        self.decoder.push(payload)
    }

    /// A version of the subject with fields that its newest does not have, or somebody else's schema.
    fn take_up(&mut self, payload: &[u8], schema_id: u32, writer: &str) -> Checked {
        let detail = match self.schema.evolve(writer) {
            Ok(Evolution::Adds { schema, .. }) => {
                self.schema = Arc::from(schema);
                self.decoder = BatchDecoder::new(self.schema.clone(), self.schemas.clone(), self.limits.clone());
                match self.push(payload) {
                    Push::Row => return Checked::Fits,
                    Push::Refused(refusal) => return Checked::Refused(refusal),
                    Push::SchemaPending { schema_id } => return Checked::SchemaPending { schema_id },
                    Push::SchemaChanged { .. } => "the schema does not fit the subject's".to_owned(),
                }
            }
            Ok(Evolution::Covers) => "the schema does not fit the subject's".to_owned(),
            Err(error) => format!("schema `{schema_id}` is not one of the topic's subject: {error}"),
        };
        if self.foreign.len() >= REMEMBERED {
            self.foreign.clear();
        }
        self.foreign.insert(schema_id, detail.clone());
        unexpected(payload, detail)
    }

    /// The text of a top-level field of the payload that was checked last and fits: a string, an enum's symbol or a uuid as it is, an integer or a
    /// boolean as JSON has it. `None`: it is null, of another type, or the payload's schema does not have it.
    pub fn text(&self, field: &str) -> Option<String> {
        let Column::Record(members) = self.schema.root().column() else { return None };
        if self.decoder.rows() == 0 {
            return None;
        }
        let index = members.iter().position(|member| member.avro_name == field)?;
        let is_text = matches!(members[index].ty.column(), Column::Scalar(Scalar::Text));
        let node = self.decoder.member(index)?;
        let store = &self.decoder.store;
        match node {
            Node::Bytes(at) if is_text => {
                let column = &store.strings[at];
                let value = column.valid.starts_valid().then_some(column.bytes.as_slice())?;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            Node::Int(at) => store.ints[at].valid.starts_valid().then(|| store.ints[at].values.first().map(ToString::to_string))?,
            Node::Long(at) => store.longs[at].valid.starts_valid().then(|| store.longs[at].values.first().map(ToString::to_string))?,
            Node::Boolean(at) => store.booleans[at].valid.starts_valid().then(|| store.booleans[at].values.get_bit(0).to_string()),
            _ => None,
        }
    }
}

fn unexpected(payload: &[u8], detail: String) -> Checked {
    let schema_id = frame::split(payload).ok().map(|(id, _)| id);
    Checked::Refused(Refusal { code: RefusalCode::UnexpectedSchema, detail, schema_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SchemaFolder, encode::AvroEncoder};

    const V1: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"device","type":"string"},{"name":"n","type":["null","long"],"default":null}]}"#;
    /// Without `n`, with `unit`.
    const V2: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"device","type":"string"},{"name":"unit","type":["null","string"],"default":null}]}"#;
    const OTHER: &str = r#"{"type":"record","name":"Invoice","fields":[{"name":"device","type":"string"}]}"#;
    const CHANGED: &str = r#"{"type":"record","name":"Reading","fields":[{"name":"device","type":"long"}]}"#;

    fn check() -> PayloadCheck {
        let schemas = [(1, V1), (2, V2), (3, OTHER), (4, CHANGED)].map(|(id, json)| (id, json.to_owned()));
        let schema = Arc::new(TableSchema::parse(V2).unwrap());
        PayloadCheck::new(schema, Arc::new(SchemaFolder::from_schemas("readings", schemas)), Limits::default())
    }

    fn payload(schema: &str, id: u32, document: &str) -> Vec<u8> {
        AvroEncoder::new(schema, id).unwrap().encode_json(document.as_bytes()).unwrap()
    }

    #[track_caller]
    fn refused(checked: Checked, code: RefusalCode) {
        match checked {
            Checked::Refused(refusal) => assert_eq!(refusal.code, code, "{}", refusal.detail),
            other => panic!("{other:?} is not {code}"),
        }
    }

    #[test]
    fn records_of_all_versions_of_the_subject_pass_and_their_fields_are_read() {
        let mut check = check();
        let (new, old) = (payload(V2, 2, r#"{"device": "d-1", "unit": "K"}"#), payload(V1, 1, r#"{"device": "d-2", "n": -7}"#));
        for _ in 0..3 {
            assert_eq!(check.check(&new), Checked::Fits);
            assert_eq!(
                ["device", "unit", "n", "no"].map(|field| check.text(field)),
                [Some("d-1".to_owned()), Some("K".to_owned()), None, None]
            );
            assert_eq!(check.check(&old), Checked::Fits);
            assert_eq!(["device", "unit", "n"].map(|field| check.text(field)), [Some("d-2".to_owned()), None, Some("-7".to_owned())]);
        }
    }

    #[test]
    fn schemas_of_other_subjects_are_refused() {
        let mut check = check();
        let invoice = payload(OTHER, 3, r#"{"device": "d-1"}"#);
        for _ in 0..2 {
            refused(check.check(&invoice), RefusalCode::UnexpectedSchema);
            refused(check.check(&payload(CHANGED, 4, r#"{"device": 1}"#)), RefusalCode::UnexpectedSchema);
        }
        assert_eq!(check.check(&payload(V2, 2, r#"{"device": "d-1"}"#)), Checked::Fits);
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        let mut check = check();
        let good = payload(V2, 2, r#"{"device": "d-1"}"#);
        refused(check.check(b""), RefusalCode::ShortHeader);
        refused(check.check(b"{\"device\": 1}"), RefusalCode::BadMagic);
        refused(check.check(&good[..good.len() - 1]), RefusalCode::ShortRecord);
        refused(check.check(&[good.as_slice(), &[0]].concat()), RefusalCode::TrailingBytes);
        refused(check.check(&[0, 0, 0, 0, 9, 0]), RefusalCode::UnknownSchema);
        assert_eq!(check.check(&good), Checked::Fits);
        assert_eq!(check.text("device").as_deref(), Some("d-1"), "what was refused left no trace");
    }
}

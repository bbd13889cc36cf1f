//! Writer schemas that come and go: what is asked of the source, what is remembered, and rows of several schemas in one batch.
use super::{
    BatchDecoder, Limits, Push, TableSchema, flush, frame, one_field,
    plain::{Plain, of_arrow},
};
use crate::{LatestError, RefusalCode, SchemaLookup, SchemaSource, SubjectSchema, WriterSchema};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// A source that tests teach; unknown ids are pending. Counts how often each id is asked for.
#[derive(Debug, Default)]
struct Taught {
    answers: Mutex<HashMap<u32, SchemaLookup>>,
    asked: Mutex<HashMap<u32, usize>>,
}

impl Taught {
    fn teach(&self, id: u32, avro_json: &str) {
        let schema = WriterSchema { id, avro_json: avro_json.to_owned() };
        self.answers.lock().unwrap().insert(id, SchemaLookup::Found(Arc::new(schema)));
    }

    fn refuse(&self, id: u32, code: RefusalCode) {
        self.answers.lock().unwrap().insert(id, SchemaLookup::Refused { code, detail: "so it is".to_owned() });
    }

    fn asked(&self, id: u32) -> usize {
        self.asked.lock().unwrap().get(&id).copied().unwrap_or_default()
    }
}

#[async_trait::async_trait]
impl SchemaSource for Taught {
    fn lookup(&self, id: u32) -> SchemaLookup {
        *self.asked.lock().unwrap().entry(id).or_default() += 1;
        self.answers.lock().unwrap().get(&id).cloned().unwrap_or(SchemaLookup::Pending)
    }

    fn pending_reason(&self, _: u32) -> Option<String> {
        None
    }

    async fn latest(&self, subject: &str) -> Result<SubjectSchema, LatestError> {
        Err(LatestError::Missing(subject.to_owned()))
    }
}

fn table(avro_json: &str, source: &Arc<Taught>) -> BatchDecoder {
    BatchDecoder::new(Arc::new(TableSchema::parse(avro_json).unwrap()), source.clone(), Limits::default())
}

fn push(decoder: &mut BatchDecoder, id: u32, datum: &[u8]) -> Push {
    let mut value = frame(id);
    value.extend_from_slice(datum);
    decoder.push(&value)
}

#[track_caller]
fn is_row(push: Push) {
    assert!(matches!(push, Push::Row), "{push:?}");
}

#[test]
fn what_is_not_known_yet_is_asked_for_again() {
    let source = Arc::new(Taught::default());
    let mut decoder = table(&one_field(r#""int""#), &source);
    for times in 1..=2 {
        assert!(matches!(push(&mut decoder, 5, &[2]), Push::SchemaPending { schema_id: 5 }));
        assert_eq!((source.asked(5), decoder.rows()), (times, 0));
    }
    source.refuse(5, RefusalCode::NotAvro);
    let Push::Refused(refusal) = push(&mut decoder, 5, &[2]) else { panic!("it is refused") };
    assert_eq!((refusal.code, refusal.detail.as_str(), refusal.schema_id), (RefusalCode::NotAvro, "so it is", Some(5)));
    source.teach(5, &one_field(r#""int""#));
    (0..3).for_each(|_| is_row(push(&mut decoder, 5, &[2])));
    assert_eq!(source.asked(5), 4, "once found it is remembered");
    assert_eq!(flush(&mut decoder).num_rows(), 3);
}

#[test]
fn schemas_that_are_not_covered_are_told_each_time_and_harm_nothing() {
    let source = Arc::new(Taught::default());
    source.teach(1, &one_field(r#""int""#));
    source.teach(2, &one_field(r#""string""#));
    source.teach(3, r#"{"type":"record","name":"R","fields":[{"name":"f","type":"int"},{"name":"g","type":"int"}]}"#);
    source.teach(4, &one_field(r#"["null","R"]"#));
    let mut decoder = table(&one_field(r#""int""#), &source);
    is_row(push(&mut decoder, 1, &[2]));
    for id in [2, 3, 4, 2, 3, 4] {
        let Push::SchemaChanged { schema_id, writer, table } = push(&mut decoder, id, &[2, 2]) else { panic!("`{id}` is not covered") };
        assert_eq!(schema_id, id);
        assert!(writer.contains("\"f\"") && table == decoder.schema.avro_json());
    }
    assert_eq!((source.asked(2), source.asked(3), source.asked(4)), (1, 1, 1));
    is_row(push(&mut decoder, 1, &[4]));
    let batch = flush(&mut decoder);
    assert_eq!([of_arrow(batch.column(0), 0), of_arrow(batch.column(0), 1)], [Plain::Int(1), Plain::Int(2)]);
}

/// A flood of ids is resolved again and again, but never fills the memory.
#[test]
fn plans_are_forgotten_when_there_are_many() {
    let source = Arc::new(Taught::default());
    (0..2_500).for_each(|id| source.teach(id, &one_field(r#""int""#)));
    let mut decoder = table(&one_field(r#""int""#), &source);
    (0..2_500).for_each(|id| is_row(push(&mut decoder, id, &[2])));
    is_row(push(&mut decoder, 2_499, &[2]));
    is_row(push(&mut decoder, 0, &[2]));
    assert_eq!((source.asked(2_499), source.asked(0)), (1, 2));
    assert!(decoder.plans.remembered() <= 1_000, "{}", decoder.plans.remembered());
    assert_eq!(flush(&mut decoder).num_rows(), 2_502);
}

/// A record that is refused leaves no trace, whichever schema it has and however far it was read.
#[test]
fn refusals_of_one_schema_harm_no_row_of_another() {
    let (a, b) = (
        r#"{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"array","items":"string"}},{"name":"y","type":"string","default":"d"},{"name":"z","type":"int"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"z","type":"int"},{"name":"x","type":{"type":"array","items":"string"}}]}"#,
    );
    let source = Arc::new(Taught::default());
    source.teach(1, a);
    source.teach(2, b);
    let mut decoder = table(a, &source);
    let refused = |push: Push| assert!(matches!(push, Push::Refused(_)), "{push:?}");
    for _ in 0..3 {
        is_row(push(&mut decoder, 2, &[2, 2, 2, b'p', 0]));
        refused(push(&mut decoder, 1, &[4, 2, b'q', 2, b'r', 0, 2, 0xff, 2]));
        refused(push(&mut decoder, 2, &[2, 4, 2, b'q', 9]));
        is_row(push(&mut decoder, 1, &[2, 2, b's', 0, 2, b't', 4]));
        refused(push(&mut decoder, 2, &[2, 2, 2, b'q', 0, 0]));
    }
    let batch = flush(&mut decoder);
    let text = |text: &str| Plain::Text(text.to_owned());
    for row in 0..6 {
        let found: Vec<_> = batch.columns().iter().map(|column| of_arrow(column, row)).collect();
        let (x, y, z) = if row % 2 == 0 { ("p", "d", 1) } else { ("s", "t", 2) };
        assert_eq!(found, [Plain::List(vec![text(x)]), text(y), Plain::Int(z)]);
    }
}

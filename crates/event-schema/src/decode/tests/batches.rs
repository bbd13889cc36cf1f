//! Ids, changed schemas, and batches that follow each other.
use super::{
    BatchDecoder, Limits, Push, SchemaFolder, TableSchema, accept, decoder, flush, one_field,
    plain::{Plain, of_arrow},
    refuse,
};
use crate::RefusalCode;
use std::sync::Arc;

const TABLE: &str = r#"{"type":"record","name":"R","namespace":"n","doc":"d","schema_id":1,"fields":[{"name":"F","type":"int"}]}"#;
const SAME: &str = r#"{"schema_id":2,"fields":[{"aliases":["g"],"type":{"type":"int"},"name":"F"}],"name":"n.R","type":"record"}"#;
const CHANGED: &str = r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"F","type":"long"}]}"#;

fn push(decoder: &mut BatchDecoder, id: u32, datum: &[u8]) -> Push {
    let mut value = super::frame(id);
    value.extend_from_slice(datum);
    decoder.push(&value)
}

#[test]
fn ids_of_the_same_schema_share_a_batch_in_order() {
    let schema = Arc::new(TableSchema::parse(TABLE).unwrap());
    let folder = SchemaFolder::from_schemas("s", [(1, TABLE.to_owned()), (2, SAME.to_owned()), (3, CHANGED.to_owned())]);
    let mut decoder = BatchDecoder::new(schema.clone(), Arc::new(folder), Limits::default());
    for i in 0..10u8 {
        assert!(matches!(push(&mut decoder, u32::from(i % 2) + 1, &[2 * i]), Push::Row));
    }
    match push(&mut decoder, 3, &[2]) {
        Push::SchemaChanged { schema_id: 3, writer, table } => {
            assert_eq!(table, schema.avro_json());
            assert_eq!(writer, r#"{"type":"record","name":"n.R","fields":[{"name":"F","type":"long"}]}"#);
        }
        other => panic!("{other:?}"),
    }
    let Push::Refused(refusal) = push(&mut decoder, 4, &[2]) else { panic!() };
    assert_eq!((refusal.code, refusal.schema_id), (RefusalCode::UnknownSchema, Some(4)));
    assert_eq!(decoder.rows(), 10);
    let batch = flush(&mut decoder);
    let found: Vec<_> = (0..10).map(|row| of_arrow(batch.column(0), row)).collect();
    assert_eq!(found, (0..10).map(Plain::Int).collect::<Vec<_>>());
    assert_eq!(decoder.rows(), 0);
}

#[test]
fn batches_follow_each_other_without_a_trace() {
    let mut decoder = decoder(&one_field(r#"["null","string"]"#));
    assert!(decoder.flush().unwrap().is_none());
    for round in 0..3u8 {
        accept(&mut decoder, &[2, 2, b'a' + round]);
        refuse(&mut decoder, &[2, 2, 0xff]);
        accept(&mut decoder, &[0]);
        assert_eq!(decoder.rows(), 2);
        assert!(decoder.memory_bytes() >= 4);
        let batch = flush(&mut decoder);
        let found: Vec<_> = (0..2).map(|row| of_arrow(batch.column(0), row)).collect();
        assert_eq!(found, [Plain::Text(char::from(b'a' + round).to_string()), Plain::Null]);
        assert!(decoder.flush().unwrap().is_none());
    }
    refuse(&mut decoder, &[9]);
    assert!(decoder.flush().unwrap().is_none(), "refused records alone make no batch");
}

#[test]
fn large_batches_are_whole() {
    let mut decoder = decoder(&one_field(r#""int""#));
    (0..5000).for_each(|_| accept(&mut decoder, &[2]));
    assert_eq!(flush(&mut decoder).num_rows(), 5000);
}

/// Rows over a segment's memory come as further batches, in order, and count until they are flushed.
#[test]
fn segments_come_in_order() {
    let mut decoder = decoder(&one_field(r#""int""#));
    decoder.segment_bytes = 3 * 17;
    (0..10u8).for_each(|i| accept(&mut decoder, &[2 * i]));
    let mut found = Vec::new();
    for left in [7, 4, 1, 0] {
        let batch = flush(&mut decoder);
        assert_eq!(decoder.rows(), left);
        found.extend((0..batch.num_rows()).map(|row| of_arrow(batch.column(0), row)));
    }
    assert_eq!(found, (0..10).map(Plain::Int).collect::<Vec<_>>());
    assert!(decoder.flush().unwrap().is_none());
}

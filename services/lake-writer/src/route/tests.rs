use super::*;
use crate::offsets::{PartitionProgress, Start};
use event_schema::TableSchema;
use std::{sync::Arc, time::Duration};
use table_log::{
    KafkaPartition, Offset, SourcePartition, TableName,
    key::Layout,
    record::{TableBody, TableSettings},
};
use windowing::{Micros, PartitionWatermark, WindowSize};

const MINUTE: i64 = 60_000_000;
const CLOCK: Time = Time(1_000 * MINUTE);

fn rules() -> TableRules {
    let avro = r#"{"type":"record","name":"r","fields":[{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;
    let settings = TableSettings {
        event_time: Some("at".into()),
        window: WindowSize::HOUR,
        partition_by: Vec::new(),
        allowed_lateness: Micros(10 * MINUTE),
        out_of_orderness: Micros(MINUTE),
        idle_timeout: Some(Micros(5 * MINUTE)),
        max_future: Micros(60 * MINUTE),
        max_past: Micros(1_000 * MINUTE),
        dedupe_by: Vec::new(),
        sort_by: Vec::new(),
        catalog: Default::default(),
    };
    let schema = Arc::new(TableSchema::parse(avro).expect("a valid schema"));
    let layout = Layout { table: TableName("t".into()), window: WindowSize::HOUR, partition_by: Vec::new() };
    let body = TableBody { schema_version: 1, avro_schema: avro.into(), columns: schema.columns(), settings };
    TableRules::new(body, layout, schema).expect("settings that fit")
}

fn owned(watermark: Option<i64>) -> Owned {
    let mut owned = Owned::default();
    let source = SourcePartition { topic: "t".into(), generation: 1, kafka_partition: KafkaPartition(0) };
    let watermark = PartitionWatermark::new(Micros(MINUTE), Some(Micros(5 * MINUTE)), watermark.map(|m| Time(m * MINUTE)));
    owned.insert(PartitionProgress::new(
        Start { source, refused: false, next_offset: Offset(0), leader_epoch: None, watermark },
        Duration::ZERO,
    ));
    owned
}

/// Routes event times (in minutes), all with the Kafka timestamp `CLOCK`.
fn routed(minutes: &[Option<i64>], owned: &mut Owned, closed: &dyn Fn(Time) -> bool) -> Routed {
    let column = TimestampMicrosecondArray::from(minutes.iter().map(|m| m.map(|m| m * MINUTE)).collect::<Vec<_>>());
    let rules = rules();
    let combinations = Combinations { row: Vec::new(), values: vec![Vec::new()], fits: vec![true] };
    let rows = RowSources {
        partition: &vec![0; minutes.len()],
        timestamp: &vec![KafkaTimestamp::At(CLOCK); minutes.len()],
        event_time: Some(&column),
    };
    route(rows, Routing { rules: &rules, combinations: &combinations, is_closed: closed, clock: CLOCK }, owned)
}

#[test]
fn rows_behind_their_kafka_partitions_watermark_are_late() {
    let mut owned = owned(None);
    // 900..960 is a window; it is passed at watermark 970, that is at event time 971.
    let routed = routed(&[Some(959), Some(970), Some(959), Some(971), Some(959), Some(960)], &mut owned, &|_| false);
    let late: Vec<bool> = routed.slot_of.iter().map(|&slot| routed.slots[slot as usize].late).collect();
    assert_eq!(late, [false, false, false, false, true, false]);
    assert_eq!(owned.at(0).watermark.current(), Some(Time(970 * MINUTE)));
}

#[test]
fn rows_of_a_closed_window_are_late_whatever_the_watermark() {
    let routed = routed(&[Some(959), Some(961)], &mut owned(None), &|start| start == Time(900 * MINUTE));
    assert_eq!(routed.slots.iter().map(|s| s.late).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn the_logs_watermark_counts_from_the_start() {
    let routed = routed(&[Some(959)], &mut owned(Some(970)), &|_| false);
    assert!(routed.slots[0].late);
}

#[test]
fn fast_clocks_do_not_move_the_watermark() {
    let mut owned = owned(None);
    let _ = routed(&[Some(1_050)], &mut owned, &|_| false);
    assert_eq!(owned.at(0).watermark.current(), Some(Time(999 * MINUTE)), "the row's Kafka timestamp bounds it");
}

#[test]
fn refused_rows_leave_no_row_and_count_little() {
    let mut owned = owned(None);
    let routed = routed(&[None, Some(1_061), Some(-1), Some(950)], &mut owned, &|_| false);
    let codes: Vec<_> = routed.refused.iter().map(|r| (r.row, r.code)).collect();
    assert_eq!(codes, [(0, RefusalCode::EventTimeNull), (1, RefusalCode::EventTimeFuture), (2, RefusalCode::EventTimePast)]);
    assert_eq!(routed.slot_of, [Routed::REFUSED, Routed::REFUSED, Routed::REFUSED, 0]);
    assert_eq!(routed.rows_by_slot(), [3]);
    assert_eq!(owned.at(0).watermark.current(), Some(Time(994 * MINUTE)), "clock - idle_timeout - out_of_orderness");
}

#[test]
fn rows_are_grouped_by_slot_in_their_order() {
    let routed = routed(&[Some(950), Some(961), Some(951), Some(962)], &mut owned(None), &|_| false);
    assert_eq!(routed.rows_by_slot(), [0, 2, 1, 3]);
    let slot = routed.slots[0];
    assert_eq!((slot.rows, slot.event_time_min, slot.event_time_max), (2, Time(950 * MINUTE), Time(951 * MINUTE)));
}

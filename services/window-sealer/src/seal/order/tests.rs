use super::*;
use arrow::array::{Float64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use table_log::key::Layout;
use table_log::{Seq, TableName};
use windowing::WindowSize;

/// (device, n, value, event time, Kafka timestamp, topic, kafka_partition, offset)
type Row = (Option<String>, Option<i64>, i64, i64, i64, String, i32, i64);

const DEVICE: usize = 0;
const N: usize = 1;
const VALUE: usize = 2;
const AT: usize = 3;

fn schema() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("device", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
        Field::new("value", DataType::Float64, true),
        Field::new("at", instant, true),
    ];
    fields.extend(event_schema::identity_fields());
    Arc::new(Schema::new(fields))
}

fn rules(dedupe: Option<&[usize]>, sort: &[usize]) -> SealRules {
    SealRules {
        table: TableName("t".into()),
        layout: Layout { table: TableName("t".into()), window: WindowSize::HOUR, partition_by: Vec::new() },
        schema: schema(),
        schema_version: 1,
        staged_on: Seq(0),
        event_time: AT,
        identity: [7, 4, 5, 6],
        dedupe: dedupe.map(<[usize]>::to_vec),
        sort: sort.to_vec(),
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let instants = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.2 as f64)).collect::<Float64Array>()),
        instants(rows.iter().map(|row| row.3).collect()),
        Arc::new(rows.iter().map(|row| Some(row.5.clone())).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.6)).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| Some(row.7)).collect::<Int64Array>()),
        instants(rows.iter().map(|row| row.4).collect()),
    ];
    RecordBatch::try_new(schema(), columns).expect("columns of one length")
}

fn identity(row: &Row) -> (i64, &str, i32, i64) {
    (row.4, &row.5, row.6, row.7)
}

/// The rows that stay, in order, and the dropped ones with those kept in their place, by the definition.
fn by_definition(rows: &[Row], rules: &SealRules) -> (Vec<Row>, BTreeMap<Row, Row>) {
    type Value = (Option<String>, Option<i64>);
    let value = |row: &Row, column: usize| -> Value {
        match column {
            DEVICE => (row.0.clone(), None),
            N => (None, row.1),
            VALUE => (None, Some(row.2)),
            _ => (None, Some(row.3)),
        }
    };
    let is_null = |row: &Row, column: usize| (column == DEVICE && row.0.is_none()) || (column == N && row.1.is_none());
    let mut dropped = BTreeMap::new();
    for row in rows {
        let Some(dedupe) = &rules.dedupe else { break };
        let equal = |other: &Row| {
            row.3 == other.3 && dedupe.iter().all(|c| value(row, *c) == value(other, *c) && !is_null(row, *c) && !is_null(other, *c))
        };
        let first = rows.iter().filter(|other| equal(other)).min_by_key(|other| identity(other));
        if let Some(first) = first.filter(|first| identity(first) != identity(row)) {
            dropped.insert(row.clone(), first.clone());
        }
    }
    let mut kept: Vec<Row> = rows.iter().filter(|row| !dropped.contains_key(*row)).cloned().collect();
    let order = |row: &Row| -> Vec<Value> { rules.order().into_iter().map(|column| value(row, column)).collect() };
    kept.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| identity(a).cmp(&identity(b))));
    (kept, dropped)
}

fn check(parts: &[Vec<Row>], rules: &SealRules, what: &str) {
    let batches: Vec<RecordBatch> = parts.iter().map(|rows| batch(rows)).collect();
    let ordered = order(&batches, rules).expect("plain rows");
    let at = |place: &Place| parts[place.0][place.1].clone();
    let (kept, dropped) = by_definition(&parts.concat(), rules);
    assert_eq!(ordered.kept.iter().map(at).collect::<Vec<_>>(), kept, "{what}");
    let found: BTreeMap<Row, Row> = ordered.dropped.iter().map(|(away, kept)| (at(away), at(kept))).collect();
    assert_eq!(found, dropped, "{what}");
    assert_eq!(ordered.kept.len() + ordered.dropped.len(), parts.concat().len(), "{what}");
}

/// Rows of small domains, so that duplicates, nulls and ties are common.
fn random_rows(random: &mut ChaCha8Rng, count: usize, first_offset: i64) -> Vec<Row> {
    let rows = (0..count as i64).map(|n| {
        let device = random.random_bool(0.85).then(|| format!("device-{:02}", random.random_range(0..4)));
        let number = random.random_bool(0.9).then(|| random.random_range(-2..3));
        let (value, at) = (random.random_range(0..3), random.random_range(-3..3));
        let (timestamp, topic) = (random.random_range(0..3), ["a", "b#2"][random.random_range(0..2)].to_owned());
        (device, number, value, at, timestamp, topic, random.random_range(0..2), first_offset + n)
    });
    rows.collect()
}

#[test]
fn rows_are_ordered_and_duplicates_found_as_defined() {
    let dedupes: [Option<&[usize]>; 4] = [None, Some(&[DEVICE, N]), Some(&[N]), Some(&[])];
    let sorts: [&[usize]; 6] = [&[], &[DEVICE], &[DEVICE, AT], &[VALUE], &[N, VALUE], &[AT, DEVICE]];
    for seed in 0..40 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut offset = 0;
        let parts: Vec<Vec<Row>> = (0..random.random_range(1..5))
            .map(|_| {
                let count = random.random_range(0..40);
                let rows = random_rows(&mut random, count, offset);
                offset += count as i64;
                rows
            })
            .collect();
        for dedupe in dedupes {
            for sort in sorts {
                check(&parts, &rules(dedupe, sort), &format!("seed {seed}, dedupe by {dedupe:?}, sort by {sort:?}"));
            }
        }
    }
}

#[test]
fn nulls_are_equal_to_nothing() {
    let row = |device: Option<&str>, offset: i64| (device.map(str::to_owned), Some(1), 0, 7, 0, "t".to_owned(), 0, offset);
    let batches = [batch(&[row(None, 1), row(Some("a"), 2)]), batch(&[row(None, 3), row(Some("a"), 4)])];
    let ordered = order(&batches, &rules(Some(&[DEVICE, N]), &[])).expect("plain rows");
    assert_eq!(ordered.dropped, [((1, 1), (0, 1))]);
    assert_eq!(ordered.kept.len(), 3);
}

#[test]
fn the_first_by_kafka_timestamp_then_topic_then_partition_then_offset_is_kept() {
    let row = |timestamp: i64, topic: &str, partition: i32, offset: i64| {
        (Some("a".to_owned()), Some(1), 0, 7, timestamp, topic.to_owned(), partition, offset)
    };
    let rows = [row(5, "a", 0, 0), row(4, "b", 0, 0), row(4, "a", 1, 0), row(4, "a", 0, 9), row(4, "a", 0, 8)];
    for length in 2..=rows.len() {
        let ordered = order(&[batch(&rows[..length])], &rules(Some(&[DEVICE]), &[VALUE])).expect("plain rows");
        assert_eq!(ordered.kept, [(0, length - 1)]);
        assert!(ordered.dropped.iter().all(|(_, kept)| *kept == (0, length - 1)));
    }
}

#[test]
fn duplicates_share_the_keys_of_slices() {
    for (dedupe, sort) in [(Some([DEVICE, N].as_slice()), [VALUE].as_slice()), (Some(&[N]), &[N, DEVICE]), (Some(&[DEVICE]), &[AT, DEVICE])]
    {
        let rules = rules(dedupe, sort);
        let told: BTreeSet<usize> = dedupe.into_iter().flatten().copied().chain([AT]).collect();
        assert_eq!(rules.slice_key().into_iter().collect::<BTreeSet<_>>(), told);
    }
    assert_eq!(rules(Some(&[DEVICE, N]), &[DEVICE, VALUE]).slice_key()[0], DEVICE, "files follow the sort order as far as possible");
    assert_eq!(rules(Some(&[N]), &[DEVICE]).slice_key()[0], AT, "else the event time");
    assert_eq!(rules(None, &[VALUE]).slice_key(), [VALUE, AT, 7, 4, 5, 6]);
}

/// Long keys that begin alike: what is compared at once and the rest.
#[test]
fn long_keys_are_ordered_whole() {
    let row = |device: String, offset: i64| (Some(device), None, 0, 7, 0, "t".to_owned(), 0, offset);
    let devices = (0..50).rev().map(|n| format!("{}{:03}{}", "x".repeat(40), n % 25, "y".repeat(n % 7)));
    let rows: Vec<Row> = devices.zip(0..).map(|(device, offset)| row(device, offset)).collect();
    check(&[rows[..20].to_vec(), rows[20..].to_vec()], &rules(Some(&[DEVICE]), &[DEVICE]), "long keys");
}

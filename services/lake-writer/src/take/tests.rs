use super::*;
use crate::{
    encode::EncodeOptions,
    offsets::{PartitionProgress, Start},
};
use event_schema::{LatestError, Limits, SchemaFolder, SchemaLookup, SchemaSource, SubjectSchema, TableSchema};
use kafka_io::Headers;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use table_log::{
    TableName,
    key::Layout,
    record::{TableBody, TableSettings},
};
use windowing::{Micros, WindowSize};

const HOUR: i64 = 3_600_000_000;
const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[{"name":"site","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;
const OTHER: &str = r#"{"type":"record","name":"r","fields":[{"name":"site","type":"boolean"}]}"#;

fn rules() -> Arc<TableRules> {
    let settings = TableSettings {
        event_time: Some("at".into()),
        window: WindowSize::HOUR,
        partition_by: vec!["site".into()],
        allowed_lateness: Micros(0),
        out_of_orderness: Micros(0),
        idle_timeout: None,
        max_future: Micros(HOUR),
        max_past: Micros(100 * HOUR),
        dedupe_by: Vec::new(),
        sort_by: Vec::new(),
        catalog: Default::default(),
    };
    let schema = Arc::new(TableSchema::parse(SCHEMA).expect("a valid schema"));
    let layout = Layout { table: TableName("t".into()), window: WindowSize::HOUR, partition_by: vec!["site".into()] };
    let body = TableBody { schema_version: 1, avro_schema: SCHEMA.into(), columns: schema.columns(), settings };
    Arc::new(TableRules::new(body, layout, schema).expect("settings that fit"))
}

/// Knows ids from [`HESITATES`] on only once it was told to.
#[derive(Clone, Debug)]
struct Hesitant {
    schemas: Arc<SchemaFolder>,
    tells: Arc<AtomicBool>,
}

const HESITATES: u32 = 100;

impl Default for Hesitant {
    fn default() -> Self {
        let schemas = [(1, SCHEMA.to_owned()), (2, OTHER.to_owned()), (HESITATES, SCHEMA.to_owned())];
        Self { schemas: Arc::new(SchemaFolder::from_schemas("t-value", schemas)), tells: Arc::default() }
    }
}

#[async_trait::async_trait]
impl SchemaSource for Hesitant {
    fn lookup(&self, id: u32) -> SchemaLookup {
        if id >= HESITATES && !self.tells.load(Ordering::SeqCst) { SchemaLookup::Pending } else { self.schemas.lookup(id) }
    }

    fn pending_reason(&self, _: u32) -> Option<String> {
        None
    }

    async fn latest(&self, subject: &str) -> Result<SubjectSchema, LatestError> {
        SchemaSource::latest(&*self.schemas, subject).await
    }
}

struct Bench {
    schemas: Hesitant,
    intake: Intake,
    owned: Owned,
    buffers: Buffers,
    earliest: Option<i64>,
    limit_bytes: u64,
}

impl Bench {
    fn new(tombstones: Tombstones, refused: bool) -> Self {
        let rules = rules();
        let schemas = Hesitant::default();
        let decoder = BatchDecoder::new(Arc::clone(&rules.schema), Arc::new(schemas.clone()), Limits::default());
        let source = SourcePartition { topic: "t".into(), generation: 2, kafka_partition: KafkaPartition(0) };
        let mut owned = Owned::default();
        let watermark = rules.watermark(None);
        owned.insert(PartitionProgress::new(
            Start { source, refused, next_offset: Offset(10), leader_epoch: None, watermark },
            Duration::ZERO,
        ));
        let options = EncodeOptions::default();
        Self {
            schemas,
            intake: Intake::new(rules, decoder, tombstones),
            owned,
            buffers: Buffers::new(options, 1),
            earliest: None,
            limit_bytes: u64::MAX,
        }
    }

    fn take(&mut self, records: &[RawRecord<'_>]) -> Result<usize, Halt> {
        let earliest = self.earliest;
        let context = TakeContext { is_closed: &|_| false, earliest: &|_| earliest, clock: Time(50 * HOUR), limit_bytes: self.limit_bytes };
        self.intake.take(records, &mut self.owned, &mut self.buffers, &context)
    }

    fn counts(&mut self) -> (u64, u64, u64, u64) {
        let (range, counts) = self.owned.at(0).cut().expect("something was taken");
        assert_eq!(counts.total() as i64, range.range.end.0 - range.range.start.0, "the counts balance");
        (counts.rows, counts.quarantined, counts.skipped, counts.absent)
    }
}

fn value(schema_id: u32, site: &str, at: i64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(schema_id.to_be_bytes());
    varint(site.len() as i64, &mut bytes);
    bytes.extend(site.as_bytes());
    varint(at, &mut bytes);
    bytes
}

fn varint(number: i64, bytes: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn record(offset: i64, value: Option<&[u8]>) -> RawRecord<'_> {
    RawRecord {
        topic: "t",
        kafka_partition: 0,
        offset,
        timestamp_ms: 50 * HOUR / 1_000,
        leader_epoch: Some(1),
        key: Some(b"k"),
        value,
        headers: Headers::none(),
    }
}

#[test]
fn bad_records_never_harm_their_neighbours() {
    let good = value(1, "a", 49 * HOUR);
    let (trailing, short) = ([good.as_slice(), &[0]].concat(), &good[..good.len() - 1]);
    let (early, unknown, long) = (value(1, "a", 120 * HOUR), value(9, "a", HOUR), value(1, &"x".repeat(200), 49 * HOUR));
    let values: [Option<&[u8]>; 9] =
        [Some(&good), Some(&trailing), Some(&good), Some(short), None, Some(&early), Some(&unknown), Some(&long), Some(&good)];
    let records: Vec<_> = (10..).zip(values).map(|(offset, value)| record(offset, value)).collect();
    let mut bench = Bench::new(Tombstones::Quarantine, false);
    assert_eq!(bench.take(&records).expect("nothing to halt at"), 9);
    assert_eq!(bench.counts(), (3, 6, 0, 0));
    let taken = bench.buffers.take();
    assert_eq!(taken.files.values().map(|file| file.rows()).sum::<u64>(), 3);
    assert_eq!(taken.quarantine.values().map(|day| day.rows()).sum::<u64>(), 6);
}

#[test]
fn tombstones_are_skipped_by_setting() {
    let mut bench = Bench::new(Tombstones::Skip, false);
    bench.take(&[record(10, None), record(11, Some(&value(1, "a", 49 * HOUR)))]).expect("nothing to halt at");
    assert_eq!(bench.counts(), (1, 0, 1, 0));
}

#[test]
fn rows_go_to_their_lake_partition_with_their_identity() {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let values = [value(1, "a", 40 * HOUR), value(1, "b", 41 * HOUR), value(1, "a", 40 * HOUR + 1), value(1, "", 41 * HOUR)];
    let records: Vec<_> = (10..).zip(&values).map(|(offset, value)| record(offset, Some(value))).collect();
    let mut bench = Bench::new(Tombstones::Skip, false);
    bench.take(&records).expect("nothing to halt at");
    let files = bench.buffers.take().files;
    let folders: Vec<_> =
        files.keys().map(|t| (t.lake_partition.window_start.0 / HOUR, t.lake_partition.values[0].as_deref(), t.late)).collect();
    assert_eq!(folders, [(40, Some("a"), false), (40, Some("a"), true), (41, None, false), (41, Some("b"), false)]);
    let late = files.into_iter().find(|(target, _)| target.late).expect("the third row is behind").1;
    let options = EncodeOptions { row_group_rows: 10, ..EncodeOptions::default() };
    let footer = crate::encode::Footer { table: "t".into(), schema_version: 1, ranges_json: "[]".into() };
    let file = late.into_encoder(&options).expect("rows fit").finish(&footer).expect("a file");
    let mut reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(file.parts.concat()), 10)
        .expect("a parquet file");
    let batch = reader.next().expect("one batch").expect("readable");
    let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["at", "_kafka_topic", "_kafka_partition", "_kafka_offset", "_kafka_timestamp"], "partition columns stay out");
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "t#2");
    assert_eq!(batch.column(3).as_primitive::<Int64Type>().value(0), 12);
}

#[test]
fn duplicates_are_dropped_and_gaps_are_absent() {
    let good = value(1, "a", 49 * HOUR);
    let mut bench = Bench::new(Tombstones::Skip, false);
    bench.earliest = Some(10);
    let foreign = RawRecord { topic: "other", ..record(10, Some(&good)) };
    let records = [record(8, Some(&good)), foreign, record(10, Some(&good)), record(10, Some(&good)), record(14, Some(&good))];
    bench.take(&records).expect("nothing to halt at");
    assert_eq!(bench.counts(), (2, 0, 0, 3));
}

#[test]
fn a_gap_below_kafkas_first_offset_is_a_loss() {
    let good = value(1, "a", 49 * HOUR);
    let mut bench = Bench::new(Tombstones::Skip, false);
    bench.earliest = Some(13);
    let halt = bench.take(&[record(10, Some(&good)), record(14, Some(&good))]).expect_err("offsets 11 and 12 are gone");
    assert!(matches!(halt, Halt::Lost { expected: Offset(11), earliest: Offset(13), .. }), "{halt:?}");
    assert_eq!(bench.counts(), (1, 0, 0, 0));
}

#[test]
fn a_changed_schema_halts_at_its_record_with_both_schemas() {
    let (good, changed) = (value(1, "a", 49 * HOUR), value(2, "a", 49 * HOUR));
    let mut bench = Bench::new(Tombstones::Skip, false);
    let halt = bench.take(&[record(10, Some(&good)), record(11, Some(&changed)), record(12, Some(&good))]).expect_err("it must stop");
    assert!(matches!(&halt, Halt::SchemaChanged(SchemaChange { offset: Offset(11), schema_id: 2, .. })), "{halt:?}");
    assert_eq!(bench.counts(), (1, 0, 0, 0), "what came before is taken");
    assert_eq!(bench.owned.at(0).next(), Offset(11));
}

#[test]
fn a_record_without_its_schema_waits_and_others_go_on() {
    let (good, waits, ahead) = (value(1, "a", 49 * HOUR), value(HESITATES, "a", 49 * HOUR), value(HESITATES + 1, "a", 49 * HOUR));
    let mut bench = Bench::new(Tombstones::Skip, false);
    let source = SourcePartition { topic: "t".into(), generation: 2, kafka_partition: KafkaPartition(1) };
    let start = Start { source, refused: false, next_offset: Offset(0), leader_epoch: None, watermark: rules().watermark(None) };
    bench.owned.insert(PartitionProgress::new(start, Duration::ZERO));
    let of_other = |offset| RawRecord { kafka_partition: 1, ..record(offset, Some(&good)) };
    let records = [
        record(10, Some(&good)),
        of_other(0),
        record(11, Some(&waits)),
        record(12, Some(&good)),
        record(13, Some(&ahead)),
        of_other(1),
        of_other(2),
    ];
    bench.take(&records).expect("nothing to halt at");
    let progress = bench.owned.at(0);
    assert_eq!((progress.next(), progress.awaits_schema()), (Offset(11), Some(HESITATES)));
    assert_eq!(progress.tail(Some(14), Duration::from_secs(100)), None, "what Kafka delivered behind it is not absent");
    assert_eq!((bench.owned.at(1).next(), bench.counts()), (Offset(3), (1, 0, 0, 0)), "others go on");
    assert_eq!(bench.intake.take_ahead().into_iter().collect::<Vec<_>>(), [1, HESITATES + 1], "what comes behind it can be asked for");
    // Before it is assigned again, nothing is taken, also if the schema is known meanwhile.
    bench.schemas.tells.store(true, Ordering::SeqCst);
    bench.take(&[record(11, Some(&waits)), record(14, Some(&good))]).expect("nothing to halt at");
    assert_eq!(bench.owned.at(0).next(), Offset(11));
    bench.owned.at(0).restarted(Duration::ZERO);
    bench.take(&[record(11, Some(&waits)), record(12, Some(&good))]).expect("nothing to halt at");
    assert_eq!((bench.owned.at(0).next(), bench.counts()), (Offset(13), (2, 0, 0, 0)));
}

#[test]
fn records_of_a_refused_topic_all_go_to_quarantine() {
    let mut bench = Bench::new(Tombstones::Skip, true);
    bench.take(&[record(10, Some(&value(1, "a", 49 * HOUR))), record(11, None)]).expect("nothing to halt at");
    assert_eq!(bench.counts(), (0, 2, 0, 0));
}

#[test]
fn taking_stops_when_the_buffers_are_full() {
    let good = value(1, "a", 49 * HOUR);
    let records: Vec<_> = (10..30_010).map(|offset| record(offset, Some(&good))).collect();
    let mut bench = Bench::new(Tombstones::Skip, false);
    bench.limit_bytes = 1;
    let first = bench.take(&records).expect("nothing to halt at");
    assert_eq!(first, CHUNK_RECORDS, "one chunk always goes on");
    bench.limit_bytes = u64::MAX;
    assert_eq!(bench.take(&records[first..]).expect("nothing to halt at"), 30_000 - first);
    assert_eq!(bench.counts(), (30_000, 0, 0, 0));
}

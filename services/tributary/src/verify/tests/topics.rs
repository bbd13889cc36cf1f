//! `--kafka` against librdkafka's mock cluster, which holds the same records as the small lake.
use super::breakage::{edit_record, replace, rewrite_file};
use super::{ids, text};
use crate::cli::VerifyArgs;
use crate::context::Context;
use crate::output::{ExitCode, Mode, Output};
use arrow::array::{Array, BinaryArray, Float64Array};
use kafka_io::{KafkaConfig, MockBroker, NewRecord, Producer, Security};
use service_runtime::settings::Settings;
use std::sync::Arc;
use std::time::Duration;
use table_log::Record;
use test_kit::small_lake::{AVRO_SCHEMA, DAY, KAFKA_PARTITIONS, Reading, SmallLake, Step, TABLE, TOPIC, row};

/// A lake, its topic, and settings that name both.
struct Both {
    lake: SmallLake,
    records: Vec<Arc<Record>>,
    context: Context,
    _broker: MockBroker,
}

async fn lake_and_topic() -> Both {
    let broker = MockBroker::start().unwrap();
    broker.create_topic(TOPIC, KAFKA_PARTITIONS).unwrap();
    let mut lake = SmallLake::new(&["site"]).await.unwrap();
    let appends = [
        vec![(0, row(5, "north", 1.0)), (0, row(6, "north", 2.0)), (1, row(10, "south", 4.0))],
        vec![(0, Step::Refused("bad_magic", vec![9, 9])), (0, row(65, "north", 5.0)), (1, row(70, "south", 8.0))],
    ];
    produce(&broker, appends.iter().flatten());
    let mut records = Vec::new();
    for append in appends {
        records.push(lake.append(append).await.unwrap());
    }
    let context = context(&lake, &broker);
    Both { lake, records, context, _broker: broker }
}

fn context(lake: &SmallLake, broker: &MockBroker) -> Context {
    let folder = lake.folder.path();
    let schemas = folder.join("schemas/readings-value");
    std::fs::create_dir_all(&schemas).unwrap();
    std::fs::write(schemas.join("v1.avsc"), AVRO_SCHEMA.replacen('{', r#"{"schema_id":1,"#, 1)).unwrap();
    let text = format!(
        "lake: {0}\nschemas: {0}/schemas\nkafka:\n  bootstrap_servers: {1}\ntables:\n  {TABLE}:\n    topics: [{TOPIC}]\n    event_time: at\n    partition_by: [site]\n",
        folder.display(),
        broker.bootstrap_servers()
    );
    let (settings, _) = Settings::parse("test.yaml", &text, &|_| None).unwrap_or_else(|e| panic!("{}", e.report()));
    Context { settings, output: Output::new(Mode::Json) }
}

fn produce<'a>(broker: &MockBroker, steps: impl Iterator<Item = &'a (i32, Step)>) {
    let config = KafkaConfig { bootstrap_servers: broker.bootstrap_servers(), security: Security::Plaintext };
    let mut producer = Producer::new(&config, &[]).unwrap();
    let mut next = [0i64; KAFKA_PARTITIONS as usize];
    for (kafka_partition, step) in steps {
        let offset = &mut next[*kafka_partition as usize];
        let (value, at) = match step {
            Step::Row(reading) => (avro(&format!("{kafka_partition}-{offset}"), reading), reading.at),
            Step::Refused(_, value) => (value.clone(), DAY),
            other => panic!("the mock cluster has no {other:?}"),
        };
        *offset += 1;
        let record = NewRecord {
            topic: TOPIC.to_owned(),
            kafka_partition: Some(*kafka_partition),
            value: Some(value),
            timestamp_ms: Some(at.0 / 1_000),
            ..NewRecord::default()
        };
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// Confluent-framed Avro, written out by hand.
fn avro(id: &str, reading: &Reading) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 1];
    let string = |bytes: &mut Vec<u8>, text: &str| {
        long(bytes, text.len() as i64);
        bytes.extend(text.as_bytes());
    };
    string(&mut bytes, id);
    long(&mut bytes, reading.at.0);
    match &reading.site {
        None => long(&mut bytes, 0),
        Some(site) => {
            long(&mut bytes, 1);
            string(&mut bytes, site);
        }
    }
    bytes.extend(reading.value.to_le_bytes());
    bytes
}

/// Zigzag, then seven bits a byte.
fn long(bytes: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        bytes.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
}

fn args() -> VerifyArgs {
    VerifyArgs { table: TABLE.to_owned(), deep: true, kafka: true, since: None }
}

#[tokio::test]
async fn equal_contents_have_no_violation() {
    let both = lake_and_topic().await;
    let report = crate::verify::verify(&both.context, &args()).await.unwrap();
    assert_eq!(text(&report), "");
    assert_eq!((report.checked["records read from Kafka again"], report.checked["rows hashed from the lake"]), (6, 6));
    assert_eq!(report.checked["ranges compared with Kafka"], 4);
    assert_eq!(crate::verify::run(&args(), &both.context).await.unwrap(), ExitCode::Done);
}

#[tokio::test]
async fn swapped_values_are_tl3_at_their_offsets_and_the_exit_code_says_so() {
    let both = lake_and_topic().await;
    rewrite_file(&both.lake, &both.records[0], 0, |rows| replace(&rows, "value", |_| Arc::new(Float64Array::from(vec![2.0, 1.0]))));
    let report = crate::verify::verify(&both.context, &args()).await.unwrap();
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
    let mut places: Vec<_> = report.violations.iter().filter_map(|v| v.place.offset.as_deref()).collect();
    places.sort_unstable();
    assert_eq!(places, ["readings/0/0", "readings/0/1"]);
    assert_eq!(crate::verify::run(&args(), &both.context).await.unwrap(), ExitCode::Violation);
}

#[tokio::test]
async fn changed_bytes_in_quarantine_are_tl3() {
    let both = lake_and_topic().await;
    let index = both.records[1].files().count() - 1;
    rewrite_file(&both.lake, &both.records[1], index, |rows| {
        replace(&rows, "value", |column| Arc::new(BinaryArray::from(vec![Some(b"88".as_slice()); column.len()])))
    });
    let report = crate::verify::verify(&both.context, &args()).await.unwrap();
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
    assert_eq!(report.violations[0].place.offset.as_deref(), Some("readings/0/2"));
}

#[tokio::test]
async fn a_record_that_kafka_delivers_but_the_log_calls_absent_is_tl3() {
    let both = lake_and_topic().await;
    let entry_rows = |body: &table_log::record::AppendBody| body.files.iter().map(|f| f.rows).collect::<Vec<_>>();
    edit_record(&both.lake, &both.records[1], |body| {
        assert_eq!(entry_rows(body), [1, 1]);
        let range = body.ranges.iter_mut().find(|r| r.source.kafka_partition.0 == 0).unwrap();
        range.quarantined -= 1;
        range.absent += 1;
        body.quarantine.clear();
    });
    let report = crate::verify::verify(&both.context, &args()).await.unwrap();
    assert!(text(&report).contains("readings/0/2: is not in quarantine, but cannot be a row: bad_magic"), "{}", text(&report));
    assert!(text(&report).contains("readings/0/2: Kafka delivers it, but it is in no file of the record"), "{}", text(&report));
}

#[tokio::test]
async fn a_wrong_partition_value_is_tl3() {
    let both = lake_and_topic().await;
    let entry = both.records[0].files().next().unwrap().clone();
    let moved = entry.key.replace("site=north", "site=west");
    std::fs::create_dir_all(both.lake.path(&moved).parent().unwrap()).unwrap();
    std::fs::rename(both.lake.path(&entry.key), both.lake.path(&moved)).unwrap();
    edit_record(&both.lake, &both.records[0], |body| {
        body.files[0].key = moved;
        body.files[0].lake_partition.values = vec![Some("west".to_owned())];
    });
    let report = crate::verify::verify(&both.context, &args()).await.unwrap();
    assert_eq!(ids(&report), ["TL-3"], "{}", text(&report));
}

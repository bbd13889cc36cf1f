//! The records of these tests: a schema, documents, and a reader of what is in Kafka.
use kafka_io::{OffsetQuery, RangeReader, TopicPartition};
use test_kit::KafkaServer;

pub const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
  {"name":"device_id","type":"string"},
  {"name":"seq","type":"long"},
  {"name":"value","type":"double"},
  {"name":"message_id","type":["null","string"],"default":null}
]}"#;

/// A record as it is in Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub kafka_partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

/// A decoded one.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub device_id: String,
    pub seq: i64,
    pub value: f64,
    pub message_id: Option<String>,
}

pub fn document(device: u32, seq: u64) -> String {
    format!("{{\"device_id\": \"d{device}\", \"seq\": {seq}, \"value\": {}.5}}", seq % 50)
}

/// All records of a topic, by kafka_partition and offset.
pub fn stored(server: &KafkaServer, topic: &str, kafka_partitions: i32) -> Vec<Stored> {
    let ends = server.admin().offsets(topic, kafka_partitions, OffsetQuery::Latest).expect("the topic exists");
    let mut reader = RangeReader::new(&server.config()).expect("a reader");
    let mut found = Vec::new();
    for (kafka_partition, end) in (0..).zip(ends) {
        let mut take = |record: kafka_io::RawRecord<'_>| {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
            found.push(Stored {
                kafka_partition,
                offset: record.offset,
                key: record.key.map(|key| String::from_utf8_lossy(key).into_owned()),
                value: record.value.unwrap_or_default().to_vec(),
                headers: record.headers().into_iter().map(|(name, value)| (name, text(value))).collect(),
            });
        };
        reader.read(&TopicPartition { topic: topic.to_owned(), kafka_partition }, 0, end, &mut take).expect("read the topic");
    }
    found
}

impl Stored {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// By the schema above, written out by hand: nothing of the encoder is used.
    pub fn reading(&self) -> Reading {
        assert_eq!(self.value[0], 0, "the wire format's first byte");
        let mut rest = &self.value[5..];
        let device_id = text(&mut rest);
        let seq = long(&mut rest);
        let (number, after) = rest.split_at(8);
        let value = f64::from_le_bytes(number.try_into().expect("eight bytes"));
        rest = after;
        let message_id = (long(&mut rest) == 1).then(|| text(&mut rest));
        assert!(rest.is_empty(), "nothing follows");
        Reading { device_id, seq, value, message_id }
    }
}

fn long(rest: &mut &[u8]) -> i64 {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let byte = rest[0];
        *rest = &rest[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (number >> 1).cast_signed() ^ -((number & 1).cast_signed());
        }
    }
}

fn text(rest: &mut &[u8]) -> String {
    let length = usize::try_from(long(rest)).expect("a length");
    let (text, after) = rest.split_at(length);
    *rest = after;
    String::from_utf8(text.to_vec()).expect("UTF-8")
}

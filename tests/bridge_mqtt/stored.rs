//! The records of these tests, read and decoded without the project's own decoder.
use kafka_io::{OffsetQuery, RangeReader, TopicPartition};
use test_kit::KafkaServer;

pub const SCHEMA: &str = r#"{"type":"record","name":"Telemetry","fields":[
  {"name":"device_id","type":"string"},
  {"name":"seq","type":"long"},
  {"name":"measured_at","type":{"type":"long","logicalType":"timestamp-millis"}}
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

impl Stored {
    /// Device and sequence number, from the record's bytes: a zero byte, schema id 7, a string, a long.
    pub fn identity(&self) -> (String, i64) {
        let (header, mut rest) = self.value.split_at(5);
        assert_eq!(header, [0, 0, 0, 0, 7], "the framing of schema 7");
        let length = usize::try_from(zigzag(&mut rest)).expect("a length");
        let (device, mut rest) = rest.split_at(length);
        let device = String::from_utf8(device.to_vec()).expect("a text");
        assert_eq!(self.key.as_ref(), Some(&device), "the key is the device");
        (device, zigzag(&mut rest))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn zigzag(bytes: &mut &[u8]) -> i64 {
    let (mut raw, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        raw |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed();
        }
    }
}

/// All records of a topic, by kafka_partition and offset.
pub fn read(kafka: &KafkaServer, topic: &str, kafka_partitions: i32) -> Vec<Stored> {
    let ends = kafka.admin().offsets(topic, kafka_partitions, OffsetQuery::Latest).expect("the topic exists");
    let mut reader = RangeReader::new(&kafka.config()).expect("a reader");
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

//! What is in a topic, read and decoded without the project's own decoder.
use crate::KafkaServer;
use kafka_io::{OffsetQuery, RangeReader, TopicPartition};

/// A record as it is in Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Where it is.
    pub kafka_partition: i32,
    /// Where it is there.
    pub offset: i64,
    /// Key, as text.
    pub key: Option<String>,
    /// Value; empty for a tombstone.
    pub value: Vec<u8>,
    /// Headers in their order, values as text.
    pub headers: Vec<(String, String)>,
}

impl StoredRecord {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value behind the framing of schema `schema_id`: a zero byte and the id.
    ///
    /// # Panics
    /// It is framed otherwise.
    pub fn avro(&self, schema_id: u32) -> AvroBytes<'_> {
        let (framing, rest) = self.value.split_at(5);
        assert_eq!((framing[0], &framing[1..]), (0, &schema_id.to_be_bytes()[..]), "the framing of schema {schema_id}");
        AvroBytes(rest)
    }
}

/// Avro's binary form, read from the front. All methods panic if the bytes are not what is asked for.
#[derive(Debug)]
pub struct AvroBytes<'a>(&'a [u8]);

impl AvroBytes<'_> {
    /// An `int` or `long`, a branch of a union, or a length.
    pub fn long(&mut self) -> i64 {
        let (mut raw, mut shift) = (0_u64, 0);
        loop {
            let byte = self.0[0];
            self.0 = &self.0[1..];
            raw |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed();
            }
        }
    }

    /// A `string`.
    pub fn text(&mut self) -> String {
        let length = usize::try_from(self.long()).expect("a length");
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).expect("UTF-8")
    }

    /// A `double`.
    pub fn double(&mut self) -> f64 {
        let (number, rest) = self.0.split_at(8);
        self.0 = rest;
        f64::from_le_bytes(number.try_into().expect("eight bytes"))
    }

    /// Nothing follows.
    pub fn end(self) {
        assert!(self.0.is_empty(), "{} bytes follow", self.0.len());
    }
}

/// All records of a topic, by kafka_partition and offset.
///
/// # Panics
/// There is no such topic, or it cannot be read.
pub fn stored_records(server: &KafkaServer, topic: &str, kafka_partitions: i32) -> Vec<StoredRecord> {
    let ends = server.admin().offsets(topic, kafka_partitions, OffsetQuery::Latest).expect("the topic exists");
    let mut reader = RangeReader::new(&server.config()).expect("a reader");
    let mut found = Vec::new();
    for (kafka_partition, end) in (0..).zip(ends) {
        let mut take = |record: kafka_io::RawRecord<'_>| {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
            found.push(StoredRecord {
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

//! Records of `<topic>.refused`: the payload as it came, with the reason and the source in headers.
use event_schema::{
    Refusal,
    refused::{CLIENT, DETAIL, MQTT_TOPIC, REASON, REQUEST_ID, REQUEST_INDEX, SCHEMA_ID, SHA256, SIZE_BYTES, SOURCE},
};
use kafka_io::NewRecord;
use sha2::{Digest, Sha256};

/// Bytes that are kept of a payload that does not fit whole.
const HEAD_BYTES: usize = 64 << 10;
/// Bytes of a text in a header.
const MAX_TEXT_BYTES: usize = 1_024;
/// Bytes of a key; a longer one is left out, as Kafka counts it with the value.
const MAX_KEY_BYTES: usize = 1_024;

/// Through which door a payload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An MQTT message.
    Mqtt,
    /// A record of an HTTP request.
    Http,
    /// A record that the bridge had sent and that Kafka did not take.
    Kafka,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Http => "http",
            Self::Kafka => "kafka",
        }
    }
}

/// Where a payload came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Through which door.
    pub source: Source,
    /// MQTT topic that it was published to.
    pub mqtt_topic: Option<&'a str>,
    /// Who sent it: the name of the HTTP client's token, or the client id of the bridge's MQTT connection.
    pub client: Option<&'a str>,
    /// Id of the HTTP request.
    pub request_id: Option<&'a str>,
    /// Which record of the request, from 0.
    pub index: Option<usize>,
    /// When it came, ms since 1970; `None`: Kafka's producer takes the time of sending.
    pub received_ms: Option<i64>,
}

impl<'a> Origin<'a> {
    /// An MQTT message.
    pub fn mqtt(mqtt_topic: &'a str, client: &'a str, received_ms: i64) -> Self {
        Self {
            source: Source::Mqtt,
            mqtt_topic: Some(mqtt_topic),
            client: Some(client),
            request_id: None,
            index: None,
            received_ms: Some(received_ms),
        }
    }

    /// A record of an HTTP request.
    pub fn http(client: &'a str, request_id: Option<&'a str>, index: usize, received_ms: i64) -> Self {
        Self {
            source: Source::Http,
            mqtt_topic: None,
            client: Some(client),
            request_id,
            index: Some(index),
            received_ms: Some(received_ms),
        }
    }

    /// A record that Kafka did not take.
    pub fn kafka() -> Self {
        Self { source: Source::Kafka, mqtt_topic: None, client: None, request_id: None, index: None, received_ms: None }
    }
}

/// The record that stands for a refused payload. One of more than `max_value_bytes` is cut to its head, at most 64 KiB, and its size and
/// SHA-256 are in the headers, so that it can be told from others and found where it came from.
pub fn refused_record(
    topic: String,
    refusal: &Refusal,
    origin: &Origin<'_>,
    key: Option<&[u8]>,
    (payload, max_value_bytes): (&[u8], usize),
) -> NewRecord {
    let mut headers = vec![header(REASON, refusal.code.as_str()), header(DETAIL, &refusal.detail), header(SOURCE, origin.source.as_str())];
    let index = origin.index.map(|index| index.to_string());
    let schema_id = refusal.schema_id.map(|id| id.to_string());
    let more = [
        (MQTT_TOPIC, origin.mqtt_topic),
        (CLIENT, origin.client),
        (REQUEST_ID, origin.request_id),
        (REQUEST_INDEX, index.as_deref()),
        (SCHEMA_ID, schema_id.as_deref()),
    ];
    headers.extend(more.into_iter().filter_map(|(name, value)| Some(header(name, value?))));
    let kept = if payload.len() <= max_value_bytes {
        payload
    } else {
        headers.push(header(SIZE_BYTES, &payload.len().to_string()));
        headers.push(header(SHA256, &format!("{:x}", Sha256::digest(payload))));
        &payload[..HEAD_BYTES.min(max_value_bytes)]
    };
    NewRecord {
        topic,
        kafka_partition: None,
        key: key.filter(|key| key.len() <= MAX_KEY_BYTES).map(<[u8]>::to_vec),
        value: Some(kept.to_vec()),
        timestamp_ms: origin.received_ms,
        headers,
    }
}

/// A header, its text cut where it is too long.
fn header(name: &str, text: &str) -> (String, Vec<u8>) {
    let end = (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    (name.to_owned(), text.as_bytes()[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schema::{RefusalCode, refused::refusal};

    fn refusal_of(code: RefusalCode, detail: &str) -> Refusal {
        Refusal { code, detail: detail.to_owned(), schema_id: Some(9) }
    }

    fn text<'a>(record: &'a NewRecord, name: &str) -> Option<&'a str> {
        let value = record.headers.iter().find(|(key, _)| key == name)?;
        Some(std::str::from_utf8(&value.1).expect("headers are text"))
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let given = refusal_of(RefusalCode::WrongType, "`a`: `1` is not a string");
        let origin = Origin::mqtt("devices/d1/telemetry", "bridge-0", 1_700_000_000_000);
        let record = refused_record("t.refused".to_owned(), &given, &origin, Some(b"d1"), (b"{\"a\": 1}", 100));
        let headers: Vec<_> = record.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        assert_eq!(refusal(&headers), given);
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"d1"[..]), Some(&b"{\"a\": 1}"[..])));
        assert_eq!(record.timestamp_ms, Some(1_700_000_000_000));
        assert_eq!(
            [SOURCE, MQTT_TOPIC, CLIENT].map(|name| text(&record, name)),
            [Some("mqtt"), Some("devices/d1/telemetry"), Some("bridge-0")]
        );
        assert_eq!([REQUEST_ID, REQUEST_INDEX, SIZE_BYTES, SHA256].map(|name| text(&record, name)), [None; 4]);
    }

    #[test]
    fn a_record_of_a_request_names_it() {
        let origin = Origin::http("fleet", Some("key-1"), 3, 5);
        let record = refused_record("t.refused".to_owned(), &refusal_of(RefusalCode::InvalidJson, ""), &origin, None, (b"{", 100));
        assert_eq!(
            [SOURCE, CLIENT, REQUEST_ID, REQUEST_INDEX].map(|name| text(&record, name)),
            [Some("http"), Some("fleet"), Some("key-1"), Some("3")]
        );
    }

    #[test]
    fn large_payloads_are_cut_and_can_be_told_apart() {
        let payload = vec![b'x'; 200_000];
        let refused = |max| {
            refused_record(String::new(), &refusal_of(RefusalCode::TooLarge, ""), &Origin::kafka(), Some(&[0; 2_000]), (&payload, max))
        };
        let whole = refused(200_000);
        assert_eq!((whole.value.as_deref(), text(&whole, SHA256)), (Some(&payload[..]), None));
        let cut = refused(199_999);
        assert_eq!(cut.value.as_deref(), Some(&payload[..64 << 10]));
        assert_eq!(text(&cut, SIZE_BYTES), Some("200000"));
        // As `head -c 200000 /dev/zero | tr '\0' x | sha256sum` has it.
        assert_eq!(text(&cut, SHA256), Some("91e3faafd322bcdf160f3f0ce886acb092b9b9e2a1e8526b40f21a8898a8700b"));
        assert_eq!(refused(100).value.map(|value| value.len()), Some(100));
        assert_eq!(cut.key, None, "a key of 2,000 bytes is left out");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let detail = "é".repeat(1_000);
        let record = refused_record(String::new(), &refusal_of(RefusalCode::InvalidTopic, &detail), &Origin::kafka(), None, (b"", 1));
        assert_eq!(text(&record, DETAIL), Some(&detail[..1_024]));
        let odd = format!("x{detail}");
        let record = refused_record(String::new(), &refusal_of(RefusalCode::InvalidTopic, &odd), &Origin::kafka(), None, (b"", 1));
        assert_eq!(text(&record, DETAIL).map(str::len), Some(1_023));
    }
}

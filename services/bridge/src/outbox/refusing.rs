//! The refused record in place of one that Kafka does not accept.
use super::Sent;
use event_schema::{Refusal, RefusalCode};
use kafka_io::{Fault, KafkaIoError, NewRecord};

use crate::refused::{self, Origin};

/// A record that a refused topic does not take either is cut to this.
const LEAST_BYTES: usize = 4 << 10;

/// What to send in place of a record that Kafka does not accept: its refused record, or a shorter one if it is that already.
pub(super) fn in_place_of(record: NewRecord, sent: Sent, fault: Fault, error: &KafkaIoError, suffix: &str) -> (NewRecord, Sent) {
    let is_refused = sent.refusal.is_some() || record.topic.ends_with(suffix);
    if is_refused {
        return (shorter(record), sent);
    }
    let code = if fault == Fault::TooLarge { RefusalCode::TooLarge } else { RefusalCode::RefusedByKafka };
    let refusal = Refusal { code, detail: format!("kafka refused it: {error}"), schema_id: None };
    let (key, value) = (record.key.as_deref(), record.value.as_deref().unwrap_or_default());
    let refused = refused::refused_record(format!("{}{suffix}", record.topic), &refusal, &Origin::kafka(), key, (value, LEAST_BYTES));
    (refused, Sent { refusal: Some(Box::new(refusal)), ..sent })
}

/// The headers say what it is; of the bytes goes what does not fit.
fn shorter(mut record: NewRecord) -> NewRecord {
    if let Some(value) = &mut record.value {
        let keep = if value.len() > LEAST_BYTES { LEAST_BYTES } else { value.len() / 2 };
        value.truncate(keep);
    }
    // Kafka counts the key too.
    if record.key.as_ref().is_some_and(|key| key.len() > LEAST_BYTES) {
        record.key = None;
    }
    record
}

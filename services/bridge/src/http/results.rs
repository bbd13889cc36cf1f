//! The answer that says of each record what became of it.
use super::{
    batch::{Batch, Entry},
    message_id::MessageIds,
    pending::Pending,
};
use event_schema::Refusal;
use kafka_io::Delivered;
use std::collections::BTreeMap;

/// About so much is written per accepted record.
const RESULT_BYTES: usize = 80;

/// What became of a request whose records all have an outcome.
#[derive(Debug)]
pub struct Results<'a> {
    /// Topic that was posted to.
    pub topic: &'a str,
    /// Where its refused records are.
    pub refused_topic: &'a str,
    /// The records.
    pub batch: &'a Batch<'a>,
    /// Where they are.
    pub pending: &'a Pending,
    /// What Kafka itself would not take, by index.
    pub refused_by_kafka: &'a BTreeMap<usize, Refusal>,
    /// Leave out the accepted ones.
    pub minimal: bool,
}

impl Results<'_> {
    /// How many are refused.
    pub fn refused(&self) -> usize {
        let documents = self.batch.entries().iter().filter(|entry| matches!(entry, Entry::Refused(_))).count();
        documents + self.refused_by_kafka.len()
    }

    /// The body. Written by hand: an answer may hold a hundred thousand results.
    pub fn body(&self) -> Vec<u8> {
        let (records, refused) = (self.batch.entries().len(), self.refused());
        let expected = if self.minimal { refused } else { records };
        let mut out = Vec::with_capacity(256 + expected * RESULT_BYTES);
        out.push(b'{');
        if refused > 0 {
            out.extend_from_slice(b"\"error\":\"records_refused\",\"detail\":");
            text(
                &mut out,
                &format!(
                    "{refused} of {records} records are refused: they are in `{}`, the others in `{}`",
                    self.refused_topic, self.topic
                ),
            );
            out.extend_from_slice(b",\"refused_topic\":");
            text(&mut out, self.refused_topic);
            out.push(b',');
        }
        out.extend_from_slice(b"\"topic\":");
        text(&mut out, self.topic);
        for (name, count) in [("records", records), ("accepted", records - refused), ("refused", refused)] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            number(&mut out, count as u64);
        }
        out.extend_from_slice(b",\"results\":[");
        self.each(&mut out);
        out.extend_from_slice(b"]}");
        out
    }

    fn each(&self, out: &mut Vec<u8>) {
        let mut ids = self.batch.ids().cloned();
        let mut first = true;
        for (index, entry) in self.batch.entries().iter().enumerate() {
            let refusal = match entry {
                Entry::Refused(document) => Some((document.field.as_str(), &document.refusal)),
                Entry::Encoded { .. } => self.refused_by_kafka.get(&index).map(|refusal| ("", refusal)),
            };
            if refusal.is_none() && self.minimal {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"index\":");
            number(out, index as u64);
            match refusal {
                None => out.extend_from_slice(b",\"status\":\"accepted\""),
                Some((field, refusal)) => refused(out, field, refusal),
            }
            place(out, self.pending.place(index));
            message_id(out, ids.as_mut(), index);
            out.push(b'}');
        }
    }
}

fn refused(out: &mut Vec<u8>, field: &str, refusal: &Refusal) {
    out.extend_from_slice(b",\"status\":\"refused\",\"reason\":\"");
    out.extend_from_slice(refusal.code.as_str().as_bytes());
    out.push(b'"');
    if !field.is_empty() {
        out.extend_from_slice(b",\"field\":");
        text(out, field);
    }
    out.extend_from_slice(b",\"detail\":");
    text(out, &refusal.detail);
}

fn place(out: &mut Vec<u8>, place: Option<Delivered>) {
    let Some(Delivered { kafka_partition, offset }) = place else { return };
    out.extend_from_slice(b",\"kafka_partition\":");
    number(out, u64::try_from(kafka_partition).unwrap_or_default());
    out.extend_from_slice(b",\"offset\":");
    number(out, u64::try_from(offset).unwrap_or_default());
}

fn message_id(out: &mut Vec<u8>, ids: Option<&mut MessageIds>, index: usize) {
    let Some(ids) = ids else { return };
    out.extend_from_slice(b",\"message_id\":\"");
    out.extend_from_slice(ids.of(index).as_bytes());
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text is JSON, and a vector takes it");
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 7, 10, 99, 100, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).expect("digits"), value.to_string());
        }
    }
}

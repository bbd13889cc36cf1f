//! `POST /v1/topics/{topic}/records`.
//!
//! ```text
//! rights ─▶ headers ─▶ is there room? ─▶ body, encoded while it arrives ─▶ all records to the outbox ─▶ all outcomes ─▶ answer
//! ```
//! Nothing is sent before the whole request is here and within its limits, so every error up to there means that nothing of it is in Kafka.
use super::{
    Intake, Topic,
    answer::{Answer, ErrorCode, Fault, MINIMAL, json_response},
    batch::{Batch, BatchLimits, Entry},
    body::{self, Form},
    message_id::{MessageIds, RECORD_HEADER},
    pending::Pending,
    results::Results,
    tokens::Client,
};
use crate::{
    destination::CodecKind,
    outbox::{Receipt, Receipts},
    refused::{Origin, refused_record},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::body::Body;
use kafka_io::RecordRef;
use service_runtime::fail_point;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};

/// Others get their turn after so many records.
const RECORDS_PER_TURN: usize = 512;
/// Pause before a full queue is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Requests of small bodies count at least this much, for what they cost beside.
const MIN_RESERVED_BYTES: usize = 4 << 10;
/// Encoded records may be longer than the documents, by defaults of the schema.
const ENCODED_SHARE: usize = 2;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Answers a request that posts records. `Err` is an answer too.
///
/// # Errors
/// The request is not answered with results.
pub async fn post<B>(intake: &Intake, client: &Client, topic: &str, request: Request<B>) -> Result<Answer, Fault>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let began = Instant::now();
    let target = target(intake, client, topic)?;
    let (parts, mut body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let ids =
        MessageIds::of_request(&parts.headers, &client.name).map_err(|what| Fault::new(ErrorCode::MalformedRequest, what).closing())?;
    let announced = announced_bytes(&parts.headers);
    let max_bytes = intake.limits.body_bytes;
    if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(body::too_long(max_bytes));
    }
    ready(intake, target)?;
    let codec =
        target.destination.current().map_err(|why| unavailable(format!("the schema of topic `{topic}` cannot be had: {why}")).closing())?;
    let CodecKind::Json(encoder) = &codec.kind else { return Err(unavailable("the topic takes no JSON".to_owned()).closing()) };
    let expected = announced.map_or(max_bytes, |bytes| usize::try_from(bytes).unwrap_or(max_bytes));
    let _reserved = reserve(intake, expected)?;
    let limits = BatchLimits { records: intake.limits.records, record_bytes: intake.limits.record_bytes, bytes: max_bytes * ENCODED_SHARE };
    let mut batch = Batch::new(encoder, (target.supplies_id, ids), limits, announced.map_or(0, |_| expected));
    let reading = body::read(&mut body, form, max_bytes, &mut batch);
    let late = || {
        Fault::new(ErrorCode::RequestTimeout, format!("the body did not arrive in {} ms", intake.limits.body_timeout.as_millis())).closing()
    };
    let read_bytes = timeout(intake.limits.body_timeout, reading).await.map_err(|_| late())??;
    intake.metrics.body(read_bytes);
    if batch.entries().is_empty() {
        return Err(Fault::new(ErrorCode::MalformedRequest, "the body holds no record"));
    }
    let pending = send(intake, client, target, &batch).await?;
    let answer = answer(target, &batch, &pending, intake, prefers_minimal(&parts.headers));
    intake.metrics.took(began.elapsed().as_secs_f64());
    fail_point!("bridge-http-before-answer");
    Ok(answer)
}

/// Who may not write a topic is not told whether it exists.
fn target<'a>(intake: &'a Intake, client: &Client, topic: &str) -> Result<&'a Topic, Fault> {
    if !client.may_write(topic) {
        let detail = format!("client `{}` may not write this topic", client.name);
        return Err(Fault::new(ErrorCode::Forbidden, detail).closing());
    }
    intake.topics.get(topic).ok_or_else(|| Fault::new(ErrorCode::NotFound, "there is no such topic").closing())
}

/// Whether it makes sense to read the body now.
fn ready(intake: &Intake, target: &Topic) -> Result<(), Fault> {
    let outbox = &intake.outbox;
    if outbox.stalled_for().is_some_and(|stalled| stalled > intake.limits.unavailable_after) {
        return Err(unavailable("kafka acknowledges nothing".to_owned()).closing());
    }
    if let Some(why) = outbox.blocked(&target.destination.spec.topic) {
        return Err(unavailable(format!("kafka takes no records for this topic: {why}")).closing());
    }
    if outbox.has_room() { Ok(()) } else { Err(overloaded("the queue to kafka is full").closing()) }
}

fn unavailable(detail: String) -> Fault {
    Fault::new(ErrorCode::Unavailable, detail)
}

fn overloaded(what: &str) -> Fault {
    Fault::new(ErrorCode::Overloaded, format!("{what}: send the request again later"))
}

/// The body's length as the client announces it.
fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Bytes of bodies are bounded for all requests together; a body whose length is not announced counts as the longest.
fn reserve(intake: &Intake, bytes: usize) -> Result<(OwnedSemaphorePermit, super::metrics::Shown), Fault> {
    let bytes = u32::try_from(bytes.max(MIN_RESERVED_BYTES)).unwrap_or(u32::MAX);
    let permit = Arc::clone(&intake.in_flight).try_acquire_many_owned(bytes);
    let permit = permit.map_err(|_| overloaded("too many bytes of requests are in flight").closing())?;
    Ok((permit, intake.metrics.in_flight(bytes)))
}

fn prefers_minimal(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split([',', ';'])).any(|preference| preference.trim().eq_ignore_ascii_case(MINIMAL))
}

/// Sends all records and waits for their outcomes.
async fn send(intake: &Intake, client: &Client, target: &Topic, batch: &Batch<'_>) -> Result<Arc<Pending>, Fault> {
    let deadline = Instant::now() + intake.limits.request_timeout;
    let pending = Arc::new(Pending::new(batch.entries().len()));
    let receipts: Arc<dyn Receipts> = Arc::clone(&pending) as Arc<dyn Receipts>;
    let mut submitter =
        Submitter { intake, client, target, batch, ids: batch.ids().cloned(), headers: Vec::new(), received_ms: received_ms(intake) };
    fail_point!("bridge-http-before-produce");
    for index in 0..batch.entries().len() {
        let mut receipt = Receipt { to: Arc::clone(&receipts), token: index as u64 };
        while let Err(back) = submitter.submit(index, receipt) {
            if index == 0 {
                return Err(overloaded("the queue to kafka is full"));
            }
            receipt = back;
            let room = async {
                tokio::time::sleep(FULL_PAUSE).await;
                intake.outbox.room().await;
            };
            timeout_at(deadline, room).await.map_err(|_| not_acknowledged(intake))?;
        }
        if index % RECORDS_PER_TURN == RECORDS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
    fail_point!("bridge-http-after-produce");
    timeout_at(deadline, pending.all()).await.map_err(|_| not_acknowledged(intake))?;
    Ok(pending)
}

fn not_acknowledged(intake: &Intake) -> Fault {
    let seconds = intake.limits.request_timeout.as_secs_f32();
    let detail = format!(
        "kafka did not acknowledge all records in {seconds} s; some may get there yet: send the request again with the same `Idempotency-Key`"
    );
    Fault::new(ErrorCode::NotAcknowledged, detail)
}

fn received_ms(intake: &Intake) -> i64 {
    intake.clock.now().0.div_euclid(1_000)
}

/// Hands records of one request to the outbox.
struct Submitter<'a> {
    intake: &'a Intake,
    client: &'a Client,
    target: &'a Topic,
    batch: &'a Batch<'a>,
    ids: Option<MessageIds>,
    /// At most one, for the `message_id`; its room is used again.
    headers: Vec<(String, Vec<u8>)>,
    received_ms: i64,
}

impl Submitter<'_> {
    /// One record. `Err`: there is no room.
    fn submit(&mut self, index: usize, receipt: Receipt) -> Result<(), Receipt> {
        let destination = &self.target.destination;
        match &self.batch.entries()[index] {
            Entry::Encoded { value, key } => {
                self.name(index);
                let record = RecordRef {
                    topic: &destination.spec.topic,
                    key: key.as_ref().map(|key| self.batch.bytes(key)),
                    value: Some(self.batch.bytes(value)),
                    headers: &self.headers,
                    timestamp_ms: None,
                };
                self.intake.outbox.submit(&record, receipt)
            }
            Entry::Refused(document) => {
                let origin = Origin::http(&self.client.name, self.batch.ids().map(MessageIds::key), index, self.received_ms);
                let raw = self.batch.bytes(&document.raw);
                let limit = self.intake.limits.record_bytes;
                let record = refused_record(destination.refused_topic.clone(), &document.refusal, &origin, None, (raw, limit));
                self.intake.outbox.submit(&record.as_record(), receipt)
            }
        }
    }

    /// Puts the record's `message_id` into its header.
    fn name(&mut self, index: usize) {
        let Some(ids) = &mut self.ids else { return };
        let id = ids.of(index).as_bytes();
        match self.headers.first_mut() {
            Some((_, value)) => {
                value.clear();
                value.extend_from_slice(id);
            }
            None => self.headers.push((RECORD_HEADER.to_owned(), id.to_vec())),
        }
    }
}

/// 200 if all records are in the topic, 400 if some are refused.
fn answer(target: &Topic, batch: &Batch<'_>, pending: &Pending, intake: &Intake, minimal: bool) -> Answer {
    let refused_by_kafka = pending.refusals().into_iter().collect();
    let destination = &target.destination;
    let (topic, refused_topic) = (destination.spec.topic.as_str(), destination.refused_topic.as_str());
    let results = Results { topic, refused_topic, batch, pending, refused_by_kafka: &refused_by_kafka, minimal };
    let refused = results.refused();
    intake.metrics.records(topic, batch.entries().len() - refused, refused);
    let status = if refused == 0 { StatusCode::OK } else { ErrorCode::RecordsRefused.status() };
    let mut answer = json_response(status, Bytes::from(results.body()));
    if minimal {
        answer.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(MINIMAL));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_one_of_several() {
        for (values, expected) in [
            (&[][..], false),
            (&["return=minimal"], true),
            (&["Return=Minimal"], true),
            (&["respond-async, return=minimal; foo"], true),
            (&["respond-async", "return=minimal"], true),
            (&["return=representation"], false),
            (&["return=minimalist"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().expect("a header"));
            }
            assert_eq!(prefers_minimal(&headers), expected, "{values:?}");
        }
    }
}

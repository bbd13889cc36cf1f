//! From a message to the record that it becomes: of its route's topic, or refused.
//!
//! No I/O and no clock: the same message, schemas and settings give the same record.
use super::{
    adapter::Message,
    age::sent_at_micros,
    router::{Route, Router},
    topic,
};
use crate::{
    destination::{Codec, CodecKind},
    refused::{Origin, refused_record},
};
use event_schema::{Checked, Limits, PayloadCheck, Refusal, RefusalCode, SchemaSource, encode::Room};
use kafka_io::{NewRecord, RecordRef};
use std::{ops::Range, sync::Arc};

/// What a message becomes.
#[derive(Debug)]
pub enum Prepared<'a> {
    /// A record of its route's topic.
    Record {
        /// The route.
        route: &'a Route,
        /// The record.
        record: RecordRef<'a>,
        /// It claimed another value than its topic, and that is kept beside.
        conflicts: bool,
        /// When it was sent, in microseconds since 1970, if it says so.
        sent_at: Option<i64>,
    },
    /// A record of the route's refused topic.
    Refused {
        /// The route; the first one for a message that belongs to none.
        route: &'a Route,
        /// The record.
        record: NewRecord,
        /// Why.
        code: RefusalCode,
    },
    /// It must wait for a schema.
    Wait {
        /// Why, for people.
        why: String,
    },
}

/// Prepares the messages of one connection; keeps what is worth keeping between them.
#[derive(Debug)]
pub struct Preparer {
    router: Arc<Router>,
    schemas: Arc<dyn SchemaSource>,
    client_id: String,
    room: Room,
    out: Vec<u8>,
    /// Checks of Avro payloads by route, each with the schema that it was made for.
    checks: Vec<Option<(u32, PayloadCheck)>>,
}

/// How far a message came.
enum Fate {
    /// The value is in `out`.
    Encoded {
        value: Range<usize>,
        sent_at: Option<Range<usize>>,
        conflicts: bool,
    },
    /// The payload is the value.
    AsItIs {
        sent_at: Option<String>,
    },
    Refused(Refusal),
    Wait(String),
}

impl Preparer {
    /// A preparer for one connection, named in refused records.
    pub fn new(router: Arc<Router>, schemas: Arc<dyn SchemaSource>, client_id: String) -> Self {
        let checks = router.routes.iter().map(|_| None).collect();
        Self { router, schemas, client_id, room: Room::default(), out: Vec::new(), checks }
    }

    /// What the message becomes. `received_ms`: when it came, for refused records.
    pub fn prepare<'a>(&'a mut self, message: &'a Message, received_ms: i64) -> Prepared<'a> {
        let Self { router, schemas, client_id, room, out, checks } = self;
        let router: &'a Router = router;
        out.clear();
        let first = router.routes.first().expect("the settings have a route");
        let refused = |route: &'a Route, refusal: Refusal, key: Option<&[u8]>| {
            let shown = String::from_utf8_lossy(&message.topic);
            let origin = Origin::mqtt(&shown, client_id, received_ms);
            let topic = route.destination.refused_topic.clone();
            let record = refused_record(topic, &refusal, &origin, key, (&message.payload, router.max_record_bytes));
            Prepared::Refused { route, record, code: refusal.code }
        };
        let topic = match topic::checked(&message.topic, router.limits) {
            Ok(topic) => topic,
            // Its route still counts, so that the refused record stands beside the others of its kind.
            Err(detail) => {
                let shown = String::from_utf8_lossy(&message.topic);
                let route = router.find(&shown, &mut Vec::new()).map_or(first, |index| &router.routes[index]);
                return refused(route, of_topic(detail), None);
            }
        };
        let mut values = Vec::new();
        let Some(index) = router.find(topic, &mut values) else {
            let refusal = Refusal { code: RefusalCode::NoRoute, detail: "no route takes this topic".to_owned(), schema_id: None };
            return refused(first, refusal, None);
        };
        let route = &router.routes[index];
        if let Err(detail) = route.names.iter().zip(&values).try_for_each(|(name, value)| topic::check_segment(name, value, router.limits))
        {
            return refused(route, of_topic(detail), None);
        }
        let key = route.key.map(|index| values[index].as_bytes());
        let fate = match route.destination.current() {
            Err(why) => Fate::Wait(why),
            Ok(_) if message.payload.len() > router.max_record_bytes => {
                Fate::Refused(too_large(message.payload.len(), router.max_record_bytes))
            }
            Ok(codec) => match &codec.kind {
                CodecKind::Json(_) => encode(route, &codec, &values, message, (room, out)),
                CodecKind::Avro(_) => check(&mut checks[index], route, &codec, &values, (message, schemas)),
            },
        };
        let (value, sent_at, conflicts) = match fate {
            Fate::Wait(why) => return Prepared::Wait { why },
            Fate::Refused(refusal) => return refused(route, refusal, key),
            Fate::Encoded { value, .. } if value.len() > router.max_record_bytes => {
                return refused(route, too_large(value.len(), router.max_record_bytes), key);
            }
            Fate::Encoded { value, sent_at, conflicts } => {
                let out: &'a [u8] = out;
                let sent_at = sent_at.and_then(|at| std::str::from_utf8(&out[at]).ok()).and_then(sent_at_micros);
                (&out[value], sent_at, conflicts)
            }
            Fate::AsItIs { sent_at } => (&message.payload[..], sent_at.as_deref().and_then(sent_at_micros), false),
        };
        let property = message.properties.iter().find(|(name, _)| *name == router.sent_at_property);
        let sent_at = property.and_then(|(_, value)| sent_at_micros(value)).or(sent_at);
        let record = RecordRef { topic: &route.destination.spec.topic, key, value: Some(value), headers: &[], timestamp_ms: None };
        Prepared::Record { route, record, conflicts, sent_at }
    }
}

fn of_topic(detail: String) -> Refusal {
    Refusal { code: RefusalCode::InvalidTopic, detail, schema_id: None }
}

fn too_large(bytes: usize, limit: usize) -> Refusal {
    Refusal { code: RefusalCode::TooLarge, detail: format!("the record has {bytes} bytes, the limit is {limit}"), schema_id: None }
}

/// JSON: the names of the topic are put into their fields.
fn encode(route: &Route, codec: &Codec, values: &[&str], message: &Message, (room, out): (&mut Room, &mut Vec<u8>)) -> Fate {
    let CodecKind::Json(encoder) = &codec.kind else { unreachable!("asked for JSON only") };
    let supplied: Vec<Option<&str>> = route.fields.iter().map(|(_, index)| Some(values[*index])).collect();
    match encoder.encode(&message.payload, &supplied, room, out) {
        Ok(encoded) => Fate::Encoded { value: encoded.value, sent_at: encoded.key, conflicts: encoded.conflicts != 0 },
        Err(error) => Fate::Refused(error.refusal()),
    }
}

/// Avro: passed on as it is, so its fields must hold the names of the topic already.
fn check(
    slot: &mut Option<(u32, PayloadCheck)>,
    route: &Route,
    codec: &Codec,
    values: &[&str],
    (message, schemas): (&Message, &Arc<dyn SchemaSource>),
) -> Fate {
    let CodecKind::Avro(schema) = &codec.kind else { unreachable!("asked for Avro only") };
    if slot.as_ref().is_none_or(|(schema_id, _)| *schema_id != codec.schema_id) {
        *slot = Some((codec.schema_id, PayloadCheck::new(schema.clone(), schemas.clone(), Limits::default())));
    }
    let Some((_, payload_check)) = slot else { unreachable!("made above") };
    match payload_check.check(&message.payload) {
        Checked::Fits => {}
        Checked::Refused(refusal) => return Fate::Refused(refusal),
        Checked::SchemaPending { schema_id } => {
            let why = schemas.pending_reason(schema_id).unwrap_or_default();
            return Fate::Wait(format!("schema id `{schema_id}` is looked up: {why}"));
        }
    }
    for (field, index) in &route.fields {
        let claimed = payload_check.text(field);
        if claimed.as_deref() != Some(values[*index]) {
            let detail = format!("`{field}`: the payload does not hold what its topic says");
            return Fate::Refused(Refusal { code: RefusalCode::ConflictingField, detail, schema_id: None });
        }
    }
    Fate::AsItIs { sent_at: route.sent_at.as_ref().and_then(|field| payload_check.text(field)) }
}

#[cfg(test)]
pub(crate) mod tests;

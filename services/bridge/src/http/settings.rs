//! What the HTTP side takes of the settings.
use crate::destination::{DestinationSpec, RecordFormat};
use event_schema::encode::{Conflict, EncodeOptions, Supplied};
use service_runtime::settings::{BridgeSettings, ByteSize, HttpSettings, HttpTopicSettings};
use std::time::Duration;

/// Bounds of requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Body of a request.
    pub body_bytes: usize,
    /// A document.
    pub record_bytes: usize,
    /// Records of a request.
    pub records: usize,
    /// Request line and headers.
    pub header_bytes: usize,
    /// Bodies of all requests.
    pub in_flight_bytes: usize,
    /// Connections.
    pub connections: usize,
    /// Of these from one address; `None`: not counted.
    pub connections_per_address: Option<usize>,
    /// Headers, TLS handshake, silence between requests.
    pub header_timeout: Duration,
    /// Body; also for taking the answer.
    pub body_timeout: Duration,
    /// Kafka's acknowledgement.
    pub request_timeout: Duration,
    /// Without any acknowledgement for so long requests are refused at once.
    pub unavailable_after: Duration,
    /// After shutdown was asked for.
    pub drain: Duration,
}

impl Limits {
    /// By the settings.
    pub fn of(bridge: &BridgeSettings, http: &HttpSettings) -> Self {
        let size = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
        let limits = &http.limits;
        Self {
            body_bytes: size(limits.max_body_bytes),
            record_bytes: size(bridge.max_record_bytes),
            records: limits.max_records as usize,
            header_bytes: size(limits.max_header_bytes),
            in_flight_bytes: size(limits.max_in_flight_bytes).min(tokio::sync::Semaphore::MAX_PERMITS),
            connections: limits.max_connections as usize,
            connections_per_address: (!http.behind_ingress()).then_some(limits.max_connections_per_address as usize),
            header_timeout: limits.header_timeout.0,
            body_timeout: limits.body_timeout.0,
            request_timeout: limits.request_timeout.0,
            unavailable_after: bridge.unavailable_after.0,
            drain: bridge.shutdown_timeout.0,
        }
    }
}

/// The topics with what their encoders do, in the order of the settings.
pub fn specs(http: &HttpSettings) -> Vec<DestinationSpec> {
    let spec = |(topic, settings): (&String, &HttpTopicSettings)| {
        let supplied = settings.message_id.iter().map(|field| Supplied { field: field.clone(), conflict: Conflict::Refuse });
        let options = EncodeOptions {
            unknown_fields: settings.unknown_fields.to_encode(),
            epoch: settings.epoch.to_encode(),
            supplied: supplied.collect(),
            key: settings.key.clone(),
            ..EncodeOptions::default()
        };
        DestinationSpec { topic: topic.clone(), subject: settings.subject.clone(), format: RecordFormat::Json, options }
    };
    http.topics.iter().map(spec).collect()
}

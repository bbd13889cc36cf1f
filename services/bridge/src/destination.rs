//! Where records go: a Kafka topic, and what its records are checked and encoded with. The newest schema of each subject is looked up at
//! the start and again and again; a new one takes effect for records that come after.
use crate::metrics::SchemaMetrics;
use event_schema::{
    LatestError, SchemaSource, SubjectSchema, TableSchema,
    encode::{AvroEncoder, EncodeOptions},
};
use service_runtime::{health::Health, shutdown::Shutdown};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::sleep;

/// Pause between two looks for a schema that a topic still lacks.
const FIRST_SCHEMA_PAUSE: Duration = Duration::from_millis(500);

/// What payloads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// JSON objects, encoded by the subject's newest schema.
    Json,
    /// Framed Avro, checked and passed on as it is.
    Avro,
}

/// What a destination is made from.
#[derive(Clone, Debug)]
pub struct DestinationSpec {
    /// Kafka topic.
    pub topic: String,
    /// Subject whose newest schema counts.
    pub subject: String,
    /// What payloads are.
    pub format: RecordFormat,
    /// What the encoder does.
    pub options: EncodeOptions,
}

/// Where records go.
#[derive(Debug)]
pub struct Destination {
    /// What it is made from.
    pub spec: DestinationSpec,
    /// Topic of its refused records.
    pub refused_topic: String,
    state: RwLock<Result<Arc<Codec>, String>>,
}

/// What records are checked and encoded with.
#[derive(Debug)]
pub struct Codec {
    /// Id of the schema.
    pub schema_id: u32,
    /// By the payloads' format.
    pub kind: CodecKind,
}

/// A codec by the payloads' format.
#[derive(Debug)]
pub enum CodecKind {
    /// Encodes JSON.
    Json(AvroEncoder),
    /// The subject's schema, for the check of Avro payloads.
    Avro(Arc<TableSchema>),
}

impl Destination {
    /// A destination whose schema is not known yet.
    pub fn new(spec: DestinationSpec, refused_suffix: &str) -> Self {
        let refused_topic = format!("{}{refused_suffix}", spec.topic);
        let why = format!("the schema of subject `{}` was not looked up yet", spec.subject);
        Self { spec, refused_topic, state: RwLock::new(Err(why)) }
    }

    /// What records are encoded with now.
    ///
    /// # Errors
    /// Why there is no schema yet: records must wait.
    pub fn current(&self) -> Result<Arc<Codec>, String> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up the subject's newest schema if it is another one.
    ///
    /// # Errors
    /// Why it cannot be had or used; a schema that was there before stays.
    pub async fn refresh(&self, schemas: &dyn SchemaSource) -> Result<u32, String> {
        let found = schemas.latest(&self.spec.subject).await.map_err(|error: LatestError| error.to_string());
        let made = found.and_then(|found| self.codec(&found));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(None) => state.as_ref().map(|codec| codec.schema_id).map_err(String::clone),
            Ok(Some(codec)) => {
                let schema_id = codec.schema_id;
                *state = Ok(Arc::new(codec));
                Ok(schema_id)
            }
            Err(why) => {
                if let Err(before) = &mut *state {
                    before.clone_from(&why);
                }
                Err(why)
            }
        }
    }

    /// `None`: this schema is in use.
    fn codec(&self, found: &SubjectSchema) -> Result<Option<Codec>, String> {
        if self.current().is_ok_and(|codec| codec.schema_id == found.id) {
            return Ok(None);
        }
        let unusable = |error: event_schema::SchemaError| {
            format!("schema `{}` of subject `{}` does not fit topic `{}`: {error}", found.id, self.spec.subject, self.spec.topic)
        };
        let kind = match self.spec.format {
            RecordFormat::Json => {
                let encoder = AvroEncoder::with_options(&found.avro_json, found.id, self.spec.options.clone());
                CodecKind::Json(encoder.map_err(unusable)?)
            }
            RecordFormat::Avro => CodecKind::Avro(Arc::new(TableSchema::parse(&found.avro_json).map_err(unusable)?)),
        };
        Ok(Some(Codec { schema_id: found.id, kind }))
    }
}

/// Keeps the schemas of all destinations up to date until shutdown; says what is missing in health, log and metrics.
pub async fn refresh_all(
    destinations: &[Arc<Destination>],
    schemas: &dyn SchemaSource,
    every: Duration,
    (metrics, health): (&SchemaMetrics, &Health),
    shutdown: &Shutdown,
) {
    let mut said: Vec<Option<String>> = vec![None; destinations.len()];
    loop {
        let mut all_have_one = true;
        for (destination, said) in destinations.iter().zip(&mut said) {
            let outcome = tokio::select! {
                outcome = destination.refresh(schemas) => outcome,
                () = shutdown.triggered() => return,
            };
            let why = match outcome {
                Ok(schema_id) => {
                    metrics.set(&destination.spec.topic, schema_id);
                    None
                }
                Err(why) => {
                    metrics.failed(&destination.spec.topic);
                    Some(why)
                }
            };
            let has_one = destination.current().is_ok();
            all_have_one &= has_one;
            if why != *said {
                tell(destination, why.as_deref(), has_one);
                *said = why.clone();
            }
            let component = format!("bridge/schema/{}", destination.spec.topic);
            health.set_not_ready(&component, why.filter(|_| !has_one));
        }
        let pause = if all_have_one { every } else { every.min(FIRST_SCHEMA_PAUSE) };
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.triggered() => return,
        }
    }
}

fn tell(destination: &Destination, why: Option<&str>, has_one: bool) {
    let (topic, subject) = (&destination.spec.topic, &destination.spec.subject);
    match (why, has_one) {
        (None, _) => tracing::info!(topic, subject, "schema is there"),
        (Some(why), true) => tracing::warn!(topic, subject, why, "newest schema cannot be taken up, the one before stays"),
        (Some(why), false) => tracing::warn!(topic, subject, why, "no schema yet, records wait"),
    }
}

//! Calls of a registry: what is asked, and what each answer means.
use super::{
    address::FilteredResolver,
    capped_body::CappedBody,
    ledger::Trouble,
    pace::Pace,
    references::inline,
    settings::{Credentials, RegistrySettings, check_url},
};
use crate::{LatestError, SubjectSchema, schema::MAX_SCHEMA_BYTES};
use reqwest::{Client, redirect::Policy};
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_schema_by_id, get_schema_by_subject_and_version, post_schema},
    error::SRCError,
    schema_registry_common::{RawError, RegisteredReference, RegisteredSchema, SchemaType, SuppliedSchema},
};
use std::{
    collections::BTreeSet,
    error::Error,
    sync::atomic::{AtomicU64, Ordering},
};

/// Schemas that one schema refers to, directly or not.
const MAX_REFERENCES: usize = 100;
/// Length of a chain of references.
const MAX_REFERENCE_DEPTH: usize = 16;

/// Answers of a registry that are no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The registry says that it does not have it.
    #[error("the schema registry does not have it: {0}")]
    NotThere(String),
    /// A schema of another type.
    #[error("the schema is of type `{0}`, not Avro")]
    NotAvro(String),
    /// No answer that says anything of it.
    #[error("{}", .0.detail)]
    Trouble(Trouble),
}

impl RegistryError {
    fn here(detail: impl Into<String>) -> Self {
        Self::Trouble(Trouble { everywhere: false, detail: detail.into() })
    }
}

/// A registry behind one or several URLs.
#[derive(Debug)]
pub(super) struct RegistryCalls {
    /// One per URL.
    servers: Vec<SrSettings>,
    pace: Pace,
    calls: AtomicU64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Question<'a> {
    Id(u32),
    /// `None`: the latest.
    Version(&'a str, Option<u32>),
}

impl RegistryCalls {
    /// # Errors
    /// A URL or the proxy cannot be used.
    pub(super) fn new(settings: &RegistrySettings) -> Result<Self, String> {
        let servers = settings.urls.iter().map(|url| server(url, settings)).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err("no URL of the schema registry is given".to_owned());
        }
        Ok(Self { servers, pace: Pace::new(settings.calls_per_second), calls: AtomicU64::new(0) })
    }

    /// Calls made so far.
    pub(super) fn count(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The schema with an id, standing for itself.
    pub(super) async fn by_id(&self, id: u32) -> Result<String, RegistryError> {
        let found = self.ask(Question::Id(id)).await?;
        self.whole(found).await
    }

    /// The latest version of a subject, standing for itself.
    pub(super) async fn latest(&self, subject: &str) -> Result<SubjectSchema, RegistryError> {
        let found = self.ask(Question::Version(subject, None)).await?;
        let (id, version) = (found.id, found.version.unwrap_or_default());
        Ok(SubjectSchema { subject: subject.to_owned(), version, id, avro_json: self.whole(found).await? })
    }

    /// Registers a schema as the newest version of a subject; one that the subject has already keeps its id. The first server is asked: where
    /// there are several, they share what they know.
    pub(super) async fn register(&self, subject: &str, avro_json: &str) -> Result<u32, LatestError> {
        self.pace.wait().await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let schema = SuppliedSchema::new(None, SchemaType::Avro, avro_json.to_owned());
        match post_schema(&self.servers[0], subject.to_owned(), schema).await {
            Ok(registered) => Ok(registered.id),
            Err(error) => match error.source().and_then(|source| source.downcast_ref::<RawError>()) {
                // The codes of Confluent's interface: an HTTP status, or one with two more digits.
                Some(RawError { error_code: 409 | 422 | 40_900..=40_999 | 42_200..=42_299, message, .. }) => {
                    Err(LatestError::Unusable(format!("the schema registry does not take the schema of subject `{subject}`: {message}")))
                }
                _ => Err(LatestError::Unavailable(causes(&error))),
            },
        }
    }

    /// Asks the servers in order. The first that has it answers; that it is not there counts when none has it and one says so: the
    /// others may lag behind, or be away.
    async fn ask(&self, question: Question<'_>) -> Result<RegisteredSchema, RegistryError> {
        let (mut not_there, mut trouble) = (None, None);
        for server in &self.servers {
            self.pace.wait().await;
            self.calls.fetch_add(1, Ordering::Relaxed);
            let answer = match question {
                Question::Id(id) => get_schema_by_id(id, server).await,
                Question::Version(subject, version) => get_schema_by_subject_and_version(server, subject, version).await,
            };
            match answer.map_err(|error| meaning(&error)) {
                Ok(found) => return Ok(found),
                Err(error @ RegistryError::NotThere(_)) => not_there = not_there.or(Some(error)),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        Err(not_there.or(trouble).expect("there is at least one server"))
    }

    /// The schema's text with all that it refers to in it.
    async fn whole(&self, schema: RegisteredSchema) -> Result<String, RegistryError> {
        match schema.schema_type {
            SchemaType::Avro => {}
            SchemaType::Json => return Err(RegistryError::NotAvro("JSON".to_owned())),
            SchemaType::Protobuf => return Err(RegistryError::NotAvro("PROTOBUF".to_owned())),
            SchemaType::Other(other) => return Err(RegistryError::NotAvro(other)),
            other => return Err(RegistryError::NotAvro(format!("{other:?}"))),
        }
        if schema.references.is_empty() {
            // Only JSON is Avro; some registries do not say the type of other schemas.
            return match serde_json::from_str::<serde_json::Value>(&schema.schema) {
                Ok(_) => Ok(schema.schema),
                Err(error) => Err(RegistryError::here(format!("the schema's text is not JSON: {error}"))),
            };
        }
        let referenced = self.referenced(schema.references, schema.schema.len()).await?;
        inline(&schema.schema, &referenced).map_err(RegistryError::here)
    }

    /// The texts of all schemas that are referred to, level by level, each fetched once.
    async fn referenced(&self, direct: Vec<RegisteredReference>, own_bytes: usize) -> Result<Vec<String>, RegistryError> {
        let (mut texts, mut bytes, mut known) = (Vec::new(), own_bytes, BTreeSet::new());
        let mut level = direct;
        for _ in 0..MAX_REFERENCE_DEPTH {
            let mut next = Vec::new();
            for reference in std::mem::take(&mut level) {
                if !known.insert((reference.subject.clone(), reference.version)) {
                    continue;
                }
                if known.len() > MAX_REFERENCES {
                    return Err(RegistryError::here(format!("the schema refers to more than `{MAX_REFERENCES}` others")));
                }
                let found = self.ask(Question::Version(&reference.subject, Some(reference.version))).await.map_err(|error| {
                    let of = format!("version {} of subject `{}`, which the schema refers to", reference.version, reference.subject);
                    match error {
                        RegistryError::Trouble(trouble) => RegistryError::Trouble(trouble),
                        other => RegistryError::here(format!("{of}: {other}")),
                    }
                })?;
                bytes += found.schema.len();
                if bytes > MAX_SCHEMA_BYTES {
                    let what = format!("the schema has more than `{MAX_SCHEMA_BYTES}` bytes with those that it refers to");
                    return Err(RegistryError::here(what));
                }
                texts.push(found.schema);
                next.extend(found.references);
            }
            if next.is_empty() {
                return Ok(texts);
            }
            level = next;
        }
        Err(RegistryError::here(format!("the schema refers to others over more than `{MAX_REFERENCE_DEPTH}` steps")))
    }
}

fn server(url: &str, settings: &RegistrySettings) -> Result<SrSettings, String> {
    let url = check_url(url, settings.allow_link_local).map_err(|(what, fix)| format!("a URL of the schema registry {what}; {fix}"))?;
    // A registry answers itself: whoever redirects is not it, or is asked in the wrong way.
    let mut client = Client::builder().redirect(Policy::none()).connect_timeout(settings.timeout).no_proxy();
    if !settings.allow_link_local {
        client = client.dns_resolver(FilteredResolver);
    }
    let mut builder = SrSettings::new_builder(url);
    builder.set_timeout(settings.timeout).with_middleware(CappedBody { limit_bytes: settings.max_answer_bytes });
    if let Some(proxy) = &settings.proxy {
        builder.set_proxy(proxy);
    }
    match &settings.credentials {
        Credentials::None => {}
        Credentials::Basic { username, password } => {
            builder.set_basic_authorization(username, Some(password));
        }
        Credentials::Token(token) => {
            builder.set_token_authorization(token);
        }
    }
    builder.build_with(client).map_err(|error| format!("the client for the schema registry: {}", causes(&error)))
}

/// What an error means. A 404 counts only with one of the registry's own codes: others on the way say 404 too, such as a proxy that has lost
/// its registry.
fn meaning(error: &SRCError) -> RegistryError {
    let answered = error.source().and_then(|source| source.downcast_ref::<RawError>());
    let code = answered.map_or(0, |answer| answer.error_code);
    if (40_400..=40_499).contains(&code) {
        return RegistryError::NotThere(answered.map(|answer| answer.message.clone()).unwrap_or_default());
    }
    let detail = causes(error);
    // An answer came whole, but it is none that can be used: another id may have a better one.
    let everywhere = !(detail.contains("could not parse to RawRegisteredSchema") || detail.contains("the answer has more than"));
    RegistryError::Trouble(Trouble { everywhere, detail })
}

/// The error with its causes.
fn causes(error: &SRCError) -> String {
    let mut text = error.error.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

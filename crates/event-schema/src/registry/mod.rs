//! Writer schemas from a registry with Confluent's interface, as a [`SchemaSource`].
//!
//! ```text
//! lookup ─▶ cache ─▶ ledger ─▶ worker ─▶ calls ─▶ registry
//!   ▲ found or refused: at once     │ decides what is asked when, and what an answer means for the id
//! ```
//! A lookup never waits: what is not known is asked for in the background, and is pending until then. Trouble of the registry (no
//! connection, time-out, 5xx, 429, no permission, an answer that is too large or makes no sense) is never taken for an answer: it is pending, while
//! schemas that are known go on being found. See [`ledger`] for what refuses an id.
//!
//! What a registry may do to this process is bounded: bytes of an answer, time of a call, calls in a second, ids asked for, schemas kept,
//! references followed. It is called at the URLs of the settings only: redirects are not followed.
mod address;
mod calls;
mod capped_body;
mod ledger;
mod pace;
mod references;
mod settings;

pub use calls::RegistryError;
pub use ledger::Trouble;
pub use settings::{Credentials, RegistrySettings, check_url};

use crate::{LatestError, SchemaLookup, SchemaSource, SubjectSchema, WriterSchema};
use async_trait::async_trait;
use calls::RegistryCalls;
use ledger::{Answer, Change, Ledger};
use moka::{policy::EvictionPolicy, sync::Cache};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Calls under way at a time.
const PARALLEL_CALLS: usize = 8;
/// Memory of a cached schema besides its text.
const ENTRY_BYTES: u64 = 200;

/// Schemas of a registry. See the module's text.
#[derive(Debug)]
pub struct RegistrySchemas {
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

/// What a registry's client shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryStatus {
    /// What keeps all calls from succeeding.
    pub trouble: Option<String>,
    /// Calls made so far.
    pub calls: u64,
    /// Ids that are asked for.
    pub pending_ids: usize,
    /// Refused ids that are remembered.
    pub refused_ids: usize,
    /// Bytes of the schemas that are kept.
    pub cached_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    calls: RegistryCalls,
    cache: Cache<u32, Arc<WriterSchema>>,
    ledger: Mutex<Ledger>,
    /// There is more to ask.
    more: Notify,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // No step of the ledger panics half way.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegistrySchemas {
    /// Begins; calls are made on `runtime`, none before the first lookup.
    ///
    /// # Errors
    /// A URL or the proxy cannot be used.
    pub fn start(settings: &RegistrySettings, runtime: &Handle) -> Result<Self, String> {
        let cache = Cache::builder()
            .max_capacity(settings.cache_bytes)
            .weigher(|_, schema: &Arc<WriterSchema>| u32::try_from(schema.avro_json.len() as u64 + ENTRY_BYTES).unwrap_or(u32::MAX))
            // The default policy may keep a new entry out, which would then be asked for again and again.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let shared = Arc::new(Shared {
            calls: RegistryCalls::new(settings)?,
            cache,
            ledger: Mutex::new(Ledger::new(settings.unknown_schema_wait)),
            more: Notify::new(),
        });
        let worker = runtime.spawn(work(Arc::clone(&shared)));
        Ok(Self { shared, worker })
    }

    /// Registers a schema as the newest version of a subject and returns its id; one that the subject has already keeps its own. Whether the
    /// subject takes it up is the registry's to say.
    ///
    /// # Errors
    /// The registry is in trouble, or does not take the schema.
    pub async fn register(&self, subject: &str, avro_json: &str) -> Result<u32, LatestError> {
        self.shared.calls.register(subject, avro_json).await
    }

    /// What it shows of itself.
    pub fn status(&self) -> RegistryStatus {
        let ledger = self.shared.ledger();
        let (pending_ids, refused_ids) = ledger.sizes();
        self.shared.cache.run_pending_tasks();
        RegistryStatus {
            trouble: ledger.trouble().map(str::to_owned),
            calls: self.shared.calls.count(),
            pending_ids,
            refused_ids,
            cached_bytes: self.shared.cache.weighted_size(),
        }
    }
}

impl Drop for RegistrySchemas {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

#[async_trait]
impl SchemaSource for RegistrySchemas {
    fn lookup(&self, id: u32) -> SchemaLookup {
        if let Some(found) = self.shared.cache.get(&id) {
            return SchemaLookup::Found(found);
        }
        let (lookup, more) = self.shared.ledger().seen(id, Instant::now());
        if more {
            self.shared.more.notify_one();
        }
        lookup
    }

    fn pending_reason(&self, id: u32) -> Option<String> {
        self.shared.ledger().reason(id)
    }

    async fn latest(&self, subject: &str) -> Result<SubjectSchema, LatestError> {
        match self.shared.calls.latest(subject).await {
            Ok(found) => {
                let schema = WriterSchema { id: found.id, avro_json: found.avro_json.clone() };
                self.shared.cache.insert(found.id, Arc::new(schema));
                Ok(found)
            }
            Err(RegistryError::Trouble(trouble)) => Err(LatestError::Unavailable(trouble.detail)),
            Err(RegistryError::NotThere(_)) => {
                Err(LatestError::Missing(format!("the schema registry has no schema of subject `{subject}`")))
            }
            Err(error) => Err(LatestError::Unusable(format!("subject `{subject}`: {error}"))),
        }
    }
}

/// Asks for what is due, until it is aborted.
async fn work(shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(PARALLEL_CALLS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        let id = next_due(&shared).await;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            ask(&shared, id).await;
            drop(place);
        });
    }
}

async fn next_due(shared: &Shared) -> u32 {
    loop {
        let more = shared.more.notified();
        let next = shared.ledger().next(Instant::now());
        match next {
            Ok(id) => return id,
            Err(None) => more.await,
            Err(Some(at)) => {
                tokio::select! {
                    () = more => {}
                    () = sleep_until(at) => {}
                }
            }
        }
    }
}

async fn ask(shared: &Shared, id: u32) {
    let answer = match shared.calls.by_id(id).await {
        Ok(avro_json) => {
            // Before the ledger forgets it: at no moment is it in neither.
            shared.cache.insert(id, Arc::new(WriterSchema { id, avro_json }));
            Answer::Found
        }
        Err(RegistryError::NotThere(_)) => Answer::NotThere,
        Err(RegistryError::NotAvro(kind)) => Answer::NotAvro(kind),
        Err(RegistryError::Trouble(trouble)) => Answer::Trouble(trouble),
    };
    let changes = shared.ledger().answered(id, answer, Instant::now());
    shared.more.notify_one();
    changes.into_iter().for_each(tell);
}

fn tell(change: Change) {
    match change {
        Change::Begins(detail) => {
            tracing::warn!(detail, "schema registry is in trouble: records of schemas that are not known yet wait");
        }
        Change::Ends => tracing::info!("schema registry answers again"),
        Change::OfId(schema_id, detail) => {
            tracing::warn!(schema_id, detail, "schema registry gives no usable answer for an id: its records wait");
        }
        Change::WaitFailed(schema_id) => {
            tracing::warn!(
                schema_id,
                "schema registry did not get the id in time: its records are refused, and those of other unknown ids"
            );
        }
    }
}

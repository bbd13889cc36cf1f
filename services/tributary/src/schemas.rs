//! Where the settings say that schemas come from: a folder, or a registry.
use crate::output::Failure;
use anyhow::Context as _;
use event_schema::registry::RegistrySchemas;
use event_schema::{LatestError, SchemaFolder, SchemaLookup, SchemaSource, SubjectSchema, TableSchema};
use service_runtime::settings::{SchemaRegistrySettings, Settings};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A command asks a registry for an id for so long; the lake-writer has no such end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for an answer.
const PAUSE: Duration = Duration::from_millis(20);

/// Schemas of the settings.
#[derive(Clone, Debug)]
pub enum Schemas {
    /// `schemas`.
    Folder(Arc<SchemaFolder>),
    /// `schema_registry`.
    Registry(Arc<RegistrySchemas>),
}

impl Schemas {
    /// Reads the folder, or makes a client of the registry, which calls nobody yet. To be called on the runtime.
    ///
    /// # Errors
    /// Faults of the folder's schemas, or of the registry's settings.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        match &settings.schema_registry {
            Some(registry) => Ok(Self::Registry(Arc::new(client(registry)?))),
            None => {
                let folder = SchemaFolder::load(&settings.schemas);
                let folder = folder.map_err(|faults| Failure::usage(faults.join("\n"), "`tributary check` shows all faults"))?;
                Ok(Self::Folder(Arc::new(folder)))
            }
        }
    }

    /// By id.
    pub fn source(&self) -> Arc<dyn SchemaSource> {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Registry(registry) => registry.clone(),
        }
    }

    /// The newest schema of a subject.
    ///
    /// # Errors
    /// There is none, or the registry does not answer.
    pub async fn latest(&self, subject: &str, settings: &Settings) -> anyhow::Result<SubjectSchema> {
        let error = match self.source().latest(subject).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let fix = match (self, &error) {
            (_, LatestError::Unavailable(_)) => "try again once it is well, or correct `schema_registry` in the settings".to_owned(),
            (Self::Registry(_), _) => "register an Avro schema of the subject".to_owned(),
            (Self::Folder(folder), _) => {
                let known = folder.subjects().into_keys().map(|subject| format!("`{subject}`")).collect::<Vec<_>>().join(", ");
                format!("the subjects in `{}` are {known}", settings.schemas.display())
            }
        };
        Err(match error {
            LatestError::Unavailable(_) => Failure::failed(error.to_string(), fix),
            LatestError::Missing(_) | LatestError::Unusable(_) => Failure::usage(error.to_string(), fix),
        }
        .into())
    }

    /// Checks that a folder has a usable schema for each table; a registry is asked when a table needs it.
    ///
    /// # Errors
    /// The first table without one.
    pub fn check_tables(&self, settings: &Settings) -> anyhow::Result<()> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let fix = "correct the settings; `tributary check` shows all faults";
        for (name, table) in &settings.tables {
            let Some(found) = folder.latest(&table.subject) else {
                let what = format!("subject `{}` of table `{name}` has no schema in `{}`", table.subject, settings.schemas.display());
                return Err(Failure::usage(what, fix).into());
            };
            TableSchema::parse(&found.avro_json).map_err(|error| Failure::usage(error.to_string(), fix))?;
        }
        Ok(())
    }
}

fn client(registry: &SchemaRegistrySettings) -> anyhow::Result<RegistrySchemas> {
    let fix = "correct `schema_registry` in the settings";
    let settings = registry.to_registry().map_err(|what| Failure::usage(what, fix))?;
    RegistrySchemas::start(&settings, &Handle::current()).map_err(|what| Failure::usage(what, fix).into())
}

/// Waits until an id is no longer pending; blocks the thread.
///
/// # Errors
/// It still is after a minute; the text says why.
pub fn wait_for_schema(source: &dyn SchemaSource, schema_id: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    while matches!(source.lookup(schema_id), SchemaLookup::Pending) {
        if began.elapsed() >= PATIENCE {
            let why = source.pending_reason(schema_id).unwrap_or_default();
            return Err(anyhow::anyhow!("{why}")).with_context(|| format!("look up schema id `{schema_id}`"));
        }
        std::thread::park_timeout(PAUSE);
    }
    Ok(())
}

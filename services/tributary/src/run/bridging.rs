//! `tributary run bridge`.
use super::metrics::show_schema_registry;
use crate::output::{ExitCode, Failure};
use crate::schemas::Schemas;
use anyhow::Context as _;
use bridge::{BridgeError, BridgeMetrics, Components, Settings as BridgeSettings};
use event_schema::registry::RegistrySchemas;
use event_schema::{LatestError, SchemaFolder};
use prometheus::Registry;
use service_runtime::ErrorClass;
use service_runtime::admin::Health;
use service_runtime::clock::SystemClock;
use service_runtime::settings::Settings;
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Pause before a registry in trouble is asked again.
const REGISTER_PAUSE: Duration = Duration::from_secs(2);
/// Attribute of schema files that is not part of the schema.
const SCHEMA_ID: &str = "schema_id";

/// Runs the bridge until `shutdown`, and then until what it took is in Kafka.
///
/// # Errors
/// Settings, files or schemas that cannot be used (exit code 2), or an address that cannot be listened on (1).
pub async fn bridge(settings: &Settings, registry: Registry, health: Arc<Health>, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let Some(bridge_settings) = BridgeSettings::from_settings(settings) else {
        return Err(Failure::usage("the settings have no `bridge`", "add `bridge` with `mqtt` and `routes`, or with `http`").into());
    };
    let schemas = Schemas::open(settings)?;
    if let Schemas::Registry(schemas) = &schemas {
        show_schema_registry(&registry, schemas).context("register metrics")?;
        if let Some(folder) = &bridge_settings.bridge.register_schemas {
            register(&bridge_settings, folder, schemas, &shutdown).await?;
        }
    }
    let metrics = BridgeMetrics::new(&registry).context("register metrics")?;
    let components = Components { clock: Arc::new(SystemClock), schemas: schemas.source(), health, metrics, shutdown };
    bridge::run(bridge_settings, components).await.map_err(failure)?;
    Ok(ExitCode::Done)
}

/// Registers the folder's newest schema of each subject that the bridge writes; waits for a registry in trouble.
async fn register(settings: &BridgeSettings, folder: &Path, schemas: &RegistrySchemas, shutdown: &Shutdown) -> anyhow::Result<()> {
    let found =
        SchemaFolder::load(folder).map_err(|faults| Failure::usage(faults.join("\n"), "correct the schemas that are registered"))?;
    let http = settings.bridge.http.iter().flat_map(|http| http.topics.values().map(|topic| &topic.subject));
    let subjects: BTreeSet<&String> = settings.bridge.routes.iter().map(|route| &route.subject).chain(http).collect();
    for subject in subjects {
        let Some(newest) = found.latest(subject) else {
            tracing::info!(subject, folder = %folder.display(), "no schema to register");
            continue;
        };
        let text = without_id(&newest.avro_json)?;
        loop {
            match schemas.register(subject, &text).await {
                Ok(schema_id) => {
                    tracing::info!(subject, schema_id, "schema is registered");
                    break;
                }
                Err(LatestError::Unavailable(why)) => tracing::warn!(subject, why, "schema cannot be registered yet, trying again"),
                Err(error) => {
                    let what = format!("register the schema of subject `{subject}`: {error}");
                    return Err(Failure::usage(what, "correct the schema, or the subject's compatibility").into());
                }
            }
            tokio::select! {
                () = tokio::time::sleep(REGISTER_PAUSE) => {}
                () = shutdown.triggered() => return Ok(()),
            }
        }
    }
    Ok(())
}

/// The schema without the id that its file gives it: the registry gives its own.
fn without_id(avro_json: &str) -> anyhow::Result<String> {
    let mut schema: serde_json::Value = serde_json::from_str(avro_json).context("parse a schema that was parsed before")?;
    if let Some(object) = schema.as_object_mut() {
        object.remove(SCHEMA_ID);
    }
    Ok(schema.to_string())
}

fn failure(error: BridgeError) -> Failure {
    let what = error.to_string();
    match error.class() {
        ErrorClass::Misconfigured => Failure::usage(what, "correct the settings; `tributary check` shows all faults"),
        ErrorClass::Retry | ErrorClass::Fenced => Failure::failed(what, "start the service again once the other side is well"),
        ErrorClass::Refuse | ErrorClass::Bug => Failure::failed(what, "this is a defect of the program: report it with the log lines"),
    }
}

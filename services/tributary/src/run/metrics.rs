//! Metrics of the process.
use event_schema::registry::{RegistrySchemas, RegistryStatus};
use prometheus::{IntGauge, Opts, Registry};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Period of showing what the schema registry's client shows of itself.
const PERIOD: Duration = Duration::from_secs(1);

/// Registers what does not belong to one service: `tributary_build_info` with the version.
///
/// # Errors
/// The name is taken.
pub(super) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let options = Opts::new("tributary_build_info", "1, with the version of the program").const_label("version", env!("CARGO_PKG_VERSION"));
    let info = IntGauge::with_opts(options)?;
    info.set(1);
    registry.register(Box::new(info))
}

struct SchemaRegistryMetrics {
    trouble: IntGauge,
    calls: IntGauge,
    pending_ids: IntGauge,
    refused_ids: IntGauge,
    cached_bytes: IntGauge,
}

/// Shows the schema registry's client for as long as it lives.
///
/// # Errors
/// A name is taken.
pub(super) fn show_schema_registry(registry: &Registry, schemas: &Arc<RegistrySchemas>) -> Result<(), prometheus::Error> {
    let gauge = |name: &str, help: &str| {
        let gauge = IntGauge::new(name, help)?;
        registry.register(Box::new(gauge.clone()))?;
        Ok::<_, prometheus::Error>(gauge)
    };
    let metrics = SchemaRegistryMetrics {
        trouble: gauge("tributary_schema_registry_trouble", "1 while calls of the schema registry fail")?,
        calls: gauge("tributary_schema_registry_calls", "Calls of the schema registry since the start")?,
        pending_ids: gauge("tributary_schema_registry_pending_ids", "Schema ids that are asked for")?,
        refused_ids: gauge("tributary_schema_registry_refused_ids", "Schema ids that are remembered as refused")?,
        cached_bytes: gauge("tributary_schema_registry_cached_bytes", "Bytes of schemas that are kept")?,
    };
    let schemas: Weak<RegistrySchemas> = Arc::downgrade(schemas);
    tokio::spawn(async move {
        while let Some(schemas) = schemas.upgrade() {
            metrics.set(&schemas.status());
            drop(schemas);
            tokio::time::sleep(PERIOD).await;
        }
    });
    Ok(())
}

impl SchemaRegistryMetrics {
    fn set(&self, status: &RegistryStatus) {
        let size = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.trouble.set(i64::from(status.trouble.is_some()));
        self.calls.set(i64::try_from(status.calls).unwrap_or(i64::MAX));
        self.pending_ids.set(size(status.pending_ids));
        self.refused_ids.set(size(status.refused_ids));
        self.cached_bytes.set(i64::try_from(status.cached_bytes).unwrap_or(i64::MAX));
    }
}

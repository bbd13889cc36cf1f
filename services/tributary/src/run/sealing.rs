//! `tributary run window-sealer`.
use super::with_lost_replies;
use crate::output::{ExitCode, Failure};
use anyhow::Context as _;
use lake_store::LocalStore;
use prometheus::Registry;
use service_runtime::ErrorClass;
use service_runtime::admin::Health;
use service_runtime::clock::SystemClock;
use service_runtime::settings::Settings;
use service_runtime::shutdown::Shutdown;
use std::sync::Arc;
use window_sealer::{Components, SealerError, SealerMetrics, SealerSettings};

/// Runs the window-sealer until `shutdown`. Trouble of one table or transform is waited out and never ends it.
///
/// # Errors
/// A lake that cannot be opened (exit code 1), or a defect.
pub async fn window_sealer(settings: &Settings, registry: Registry, health: Arc<Health>, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let store = LocalStore::open(&settings.lake)
        .map_err(|error| Failure::failed(format!("open lake `{}`: {error}", settings.lake), "check the folder and who may write to it"))?;
    let metrics = SealerMetrics::new(&registry).context("register metrics")?;
    let store = with_lost_replies(Arc::new(store));
    let components = Components { store, clock: Arc::new(SystemClock), health, metrics, shutdown };
    window_sealer::run(SealerSettings::from_settings(settings), components).await.map_err(failure)?;
    Ok(ExitCode::Done)
}

fn failure(error: SealerError) -> Failure {
    let what = error.to_string();
    match error.class() {
        ErrorClass::Misconfigured => Failure::usage(what, "correct the settings; `tributary check` shows all faults"),
        ErrorClass::Retry | ErrorClass::Fenced => Failure::failed(what, "start the service again once the other side is well"),
        ErrorClass::Refuse | ErrorClass::Bug => Failure::failed(what, "this is a defect of the program: report it with the log lines"),
    }
}

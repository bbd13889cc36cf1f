//! `tributary run`: builds a service's components, runs it until it is asked to stop, and turns how it ended into an exit code.
mod metrics;

use crate::cli::{GlobalArgs, RunArgs, Service};
use crate::output::{ExitCode, Failure};
use anyhow::Context as _;
use event_schema::SchemaFolder;
use lake_store::{LakeStore, LocalStore, LossyReplies};
use lake_writer::{Components, StoppedTable, WriterError, WriterMetrics, WriterSettings};
use prometheus::Registry;
use service_runtime::ErrorClass;
use service_runtime::admin::{self, Health};
use service_runtime::clock::SystemClock;
use service_runtime::fail_points;
use service_runtime::settings::Settings;
use service_runtime::shutdown::Shutdown;
use service_runtime::telemetry;
use std::sync::Arc;
use table_log::TableName;
use tokio::net::TcpListener;

/// Begins logging for commands: only what a person must know.
pub fn start_quiet_telemetry(global: &GlobalArgs) {
    // A malformed filter must not keep a command from its work; `run` refuses it.
    let _ = telemetry::init(global.log_format.into(), "warn");
}

/// Runs the command.
pub async fn run(args: &RunArgs, global: &GlobalArgs) -> anyhow::Result<ExitCode> {
    telemetry::init(global.log_format.into(), "info")
        .map_err(|what| Failure::usage(what, "write such as `info` or `warn,lake_writer=debug`"))?;
    let settings = Settings::load(&global.settings_file)?;
    let (registry, health) = (Registry::new(), Arc::new(Health::default()));
    metrics::register(&registry)?;
    let listener = TcpListener::bind(settings.admin)
        .await
        .map_err(|error| Failure::failed(format!("listen on admin port `{}`: {error}", settings.admin), "set `admin` to a free address"))?;
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    // The admin port outlives the service, so that the drain can be watched.
    let ended = Shutdown::manual();
    let serving = tokio::spawn(admin::serve_on(listener, registry.clone(), Arc::clone(&health), ended.clone()));
    tracing::info!(service = ?args.service, version = env!("CARGO_PKG_VERSION"), admin = %settings.admin, lake = settings.lake, "starting");
    let exit = match args.service {
        Service::LakeWriter => lake_writer(&settings, registry, health, shutdown).await,
    };
    ended.trigger();
    if let Ok(Err(error)) = serving.await {
        tracing::warn!(%error, "admin port failed");
    }
    if let Ok(exit) = &exit {
        tracing::info!(code = exit.code(), "ended");
    }
    exit
}

/// Runs the lake-writer until `shutdown`. Exit code 4 if tables were stopped when it ended: a person must act.
///
/// # Errors
/// Schemas or settings that cannot be used (exit code 2), or a failure of a service that was not waited out (1).
pub async fn lake_writer(settings: &Settings, registry: Registry, health: Arc<Health>, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let schemas =
        SchemaFolder::load(&settings.schemas).map_err(|faults| Failure::usage(faults.join("\n"), "`tributary check` shows all faults"))?;
    let writer_settings = WriterSettings::from_settings(settings, &schemas).map_err(failure)?;
    let store = LocalStore::open(&settings.lake)
        .map_err(|error| Failure::failed(format!("open lake `{}`: {error}", settings.lake), "check the folder and who may write to it"))?;
    let metrics = WriterMetrics::new(&registry).context("register metrics")?;
    let components = Components {
        store: with_lost_replies(Arc::new(store)),
        clock: Arc::new(SystemClock),
        schemas: Arc::new(schemas),
        health,
        metrics,
        shutdown,
    };
    let report = lake_writer::run(writer_settings, components).await.map_err(failure)?;
    if report.stopped.is_empty() { Ok(ExitCode::Done) } else { Err(stopped_failure(&report.stopped).into()) }
}

/// The store itself, but for tests in builds with fail points.
fn with_lost_replies(store: Arc<dyn LakeStore>) -> Arc<dyn LakeStore> {
    match fail_points::threshold("TRIBUTARY_LOSE_REPLY_EVERY") {
        Some(every) => Arc::new(LossyReplies::new(store, every)),
        None => store,
    }
}

fn stopped_failure(stopped: &[(TableName, StoppedTable)]) -> Failure {
    let what = stopped.iter().map(|(_, stop)| stop.to_string()).collect::<Vec<_>>().join("\n");
    Failure::stopped(what, "act as the text says and start the service again; nothing is lost meanwhile but what Kafka's retention removes")
}

fn failure(error: WriterError) -> Failure {
    let what = error.to_string();
    match error.class() {
        ErrorClass::Misconfigured => Failure::usage(what, "correct the settings; `tributary check` shows all faults"),
        ErrorClass::Retry | ErrorClass::Fenced => Failure::failed(what, "start the service again once the other side is well"),
        ErrorClass::Refuse | ErrorClass::Bug => Failure::failed(what, "this is a defect of the program: report it with the log lines"),
    }
}

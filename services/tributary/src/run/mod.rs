//! `tributary run`: builds a service's components, runs it until it is asked to stop, and turns how it ended into an exit code.
mod bridging;
mod metrics;
mod sealing;

pub use bridging::bridge;
pub use sealing::window_sealer;

use crate::cli::{GlobalArgs, RunArgs, Service};
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use crate::schemas::Schemas;
use anyhow::Context as _;
use lake_store::{LakeStore, LocalStore, LossyReplies, TableLog};
use lake_writer::context::TableContext;
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

/// Begins logging for commands: only what a person must know. The demo's MQTT broker tells of every client that leaves.
pub fn start_quiet_telemetry(global: &GlobalArgs) {
    // A malformed filter must not keep a command from its work; `run` refuses it.
    let _ = telemetry::init(global.log_format.into(), "warn,rumqttd=off");
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
        Service::Bridge => bridge(&settings, registry, health, shutdown).await,
        Service::WindowSealer => window_sealer(&settings, registry, health, shutdown).await,
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
    let (writer_settings, components) = components(settings, &registry, health, shutdown)?;
    let report = lake_writer::run(writer_settings, components).await.map_err(failure)?;
    if report.stopped.is_empty() { Ok(ExitCode::Done) } else { Err(stopped_failure(&report.stopped, settings).into()) }
}

/// What a lake-writer works with.
fn components(
    settings: &Settings,
    registry: &Registry,
    health: Arc<Health>,
    shutdown: Shutdown,
) -> anyhow::Result<(WriterSettings, Components)> {
    let schemas = Schemas::open(settings)?;
    schemas.check_tables(settings)?;
    if let Schemas::Registry(schemas) = &schemas {
        metrics::show_schema_registry(registry, schemas).context("register metrics")?;
    }
    let store = LocalStore::open(&settings.lake)
        .map_err(|error| Failure::failed(format!("open lake `{}`: {error}", settings.lake), "check the folder and who may write to it"))?;
    let metrics = WriterMetrics::new(registry).context("register metrics")?;
    let components = Components {
        store: with_lost_replies(Arc::new(store)),
        clock: Arc::new(SystemClock),
        schemas: schemas.source(),
        health,
        metrics,
        shutdown,
    };
    Ok((WriterSettings::from_settings(settings), components))
}

/// What making lost files again works with: a lake-writer's parts for one table.
///
/// # Errors
/// As [`lake_writer`].
pub fn table_context(table: &str, log: TableLog, context: &Context) -> anyhow::Result<Arc<TableContext>> {
    let (writer_settings, components) = components(&context.settings, &Registry::new(), Arc::default(), Shutdown::manual())?;
    let (table, _) = context.table(table)?;
    let found = lake_writer::table_context(writer_settings, components, &table, log).map_err(failure)?;
    found.with_context(|| format!("table `{table}` is not in the settings"))
}

/// The store itself, but for tests in builds with fail points.
fn with_lost_replies(store: Arc<dyn LakeStore>) -> Arc<dyn LakeStore> {
    match fail_points::threshold("TRIBUTARY_LOSE_REPLY_EVERY") {
        Some(every) => Arc::new(LossyReplies::new(store, every)),
        None => store,
    }
}

fn stopped_failure(stopped: &[(TableName, StoppedTable)], settings: &Settings) -> Failure {
    let what = stopped.iter().map(|(_, stop)| stop.message(&settings.file)).collect::<Vec<_>>().join("\n");
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

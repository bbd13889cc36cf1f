//! Clients over HTTP: `POST /v1/topics/{topic}/records` into Kafka.
//!
//! ```text
//! listener ─▶ connection ─▶ guard (token) ─▶ routes ─▶ records: body ─▶ batch ─▶ outbox ─▶ results
//!                             ▲ tokens file                                 (all acknowledged)
//! ```
//! Architecture Invariant: no request reaches a route without a client; [`guard`] is asked before the path is looked at.
//! Architecture Invariant: the bridge remembers no request: a repeated one makes the same `message_id`s, and the lake drops duplicates.
mod answer;
mod batch;
mod body;
mod connection;
mod guard;
mod lines;
mod listener;
mod message_id;
mod metrics;
mod openapi;
mod pending;
mod records;
mod reload;
mod results;
mod routes;
mod settings;
mod tls;
mod tokens;

pub use metrics::BridgeHttpMetrics;
pub use settings::specs;

use crate::{destination::Destination, error::BridgeError, outbox::Outbox};
use reload::{Look, Reloaded, Source};
use service_runtime::{
    clock::Clock,
    health::Health,
    settings::{BridgeSettings, HttpSettings},
    shutdown::Shutdown,
};
use settings::Limits;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tls::Certificate;
use tokens::Tokens;
use tokio::{net::TcpListener, sync::Semaphore};

/// Name of the component in health.
const COMPONENT: &str = "http";

/// What the HTTP side works with.
#[derive(Debug)]
pub struct HttpComponents {
    /// Settings of the bridge.
    pub settings: Arc<BridgeSettings>,
    /// The way to Kafka.
    pub outbox: Arc<Outbox>,
    /// One per topic, in the order of [`specs`].
    pub destinations: Vec<Arc<Destination>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where it says whether it is ready.
    pub health: Arc<Health>,
    /// Its metrics.
    pub metrics: BridgeHttpMetrics,
    /// When to end.
    pub shutdown: Shutdown,
}

/// What answers requests.
#[derive(Debug)]
struct Intake {
    topics: BTreeMap<String, Topic>,
    limits: Limits,
    tokens: Arc<Reloaded<Tokens>>,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    metrics: BridgeHttpMetrics,
    /// Bytes of bodies.
    in_flight: Arc<Semaphore>,
}

/// A topic that clients may write.
#[derive(Debug)]
struct Topic {
    destination: Arc<Destination>,
    /// Whether its encoder takes a `message_id`.
    supplies_id: bool,
}

/// A server that has its address, its tokens and its certificate.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    tokens: Source<Tokens>,
    certificate: Option<Source<Certificate>>,
    files_refresh: Duration,
    intake: Arc<Intake>,
    health: Arc<Health>,
    shutdown: Shutdown,
}

impl HttpServer {
    /// Reads the files and binds the address.
    ///
    /// # Errors
    /// A file cannot be read or used, or the address is taken.
    pub async fn bind(components: HttpComponents) -> Result<Self, BridgeError> {
        let HttpComponents { settings, outbox, destinations, clock, health, metrics, shutdown } = components;
        let http = settings.http.as_ref().ok_or_else(|| BridgeError::Settings("`bridge.http` is not given".to_owned()))?;
        if http.tls.is_none() && !http.listen.ip().is_loopback() {
            return Err(BridgeError::Settings(format!(
                "`{}` can be reached from outside, and `bridge.http.tls` is not given",
                http.listen
            )));
        }
        let tokens = Source::open(vec![http.tokens_file.clone()], |contents| Tokens::parse(&contents[0])).map_err(BridgeError::Settings)?;
        let files = http.tls_files().map(|files| vec![files.cert_file.clone(), files.key_file.clone()]);
        let certificate = files.map(|files| Source::open(files, Certificate::parse)).transpose().map_err(BridgeError::Settings)?;
        let limits = Limits::of(&settings, http);
        let listener = TcpListener::bind(http.listen).await;
        let listener = listener.map_err(|error| BridgeError::Listen { address: http.listen.to_string(), detail: error.to_string() })?;
        metrics.set_tokens(tokens.target().current().len());
        let intake = Intake {
            topics: topics(http, destinations),
            in_flight: Arc::new(Semaphore::new(limits.in_flight_bytes)),
            limits,
            tokens: tokens.target(),
            outbox,
            clock,
            metrics,
        };
        let files_refresh = http.files_refresh.0;
        Ok(Self { listener, tokens, certificate, files_refresh, intake: Arc::new(intake), health, shutdown })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown; ends after the requests that are being answered then.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub async fn serve(self) -> Result<(), BridgeError> {
        let Self { listener, tokens, certificate, files_refresh, intake, health, shutdown } = self;
        let tls = certificate.as_ref().map(|certificate| tls::acceptor(certificate.target())).transpose().map_err(BridgeError::Settings)?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, tls = tls.is_some(), "taking records over http");
        }
        health.set_not_ready(COMPONENT, None);
        let metrics = intake.metrics.clone();
        let watching = async {
            let tokens = watch("tokens", tokens, files_refresh, &metrics, |tokens| metrics.set_tokens(tokens.len()));
            match certificate {
                Some(certificate) => {
                    let certificate = watch("certificate", certificate, files_refresh, &metrics, |_| {});
                    tokio::join!(tokens, certificate);
                }
                None => tokens.await,
            }
        };
        tokio::select! {
            () = listener::serve(listener, tls, Arc::clone(&intake), shutdown) => {}
            () = watching => {}
        }
        Ok(())
    }
}

/// Serves until shutdown; ends after the requests that are being answered then.
///
/// # Errors
/// A file cannot be read or used, or the address is taken.
pub async fn run(components: HttpComponents) -> Result<(), BridgeError> {
    HttpServer::bind(components).await?.serve().await
}

fn topics(http: &HttpSettings, destinations: Vec<Arc<Destination>>) -> BTreeMap<String, Topic> {
    let topics = http.topics.iter().zip(destinations);
    topics.map(|((name, topic), destination)| (name.clone(), Topic { destination, supplies_id: topic.message_id.is_some() })).collect()
}

/// Looks at the files for ever.
async fn watch<T: Send + Sync + 'static>(
    files: &'static str,
    mut source: Source<T>,
    period: Duration,
    metrics: &BridgeHttpMetrics,
    changed: impl Fn(&T),
) {
    loop {
        tokio::time::sleep(period).await;
        let looked = tokio::task::spawn_blocking(move || {
            let look = source.look();
            (source, look)
        });
        let Ok((returned, look)) = looked.await else { return };
        source = returned;
        match look {
            Look::Same => {}
            Look::Changed => {
                metrics.set_faulty(files, false);
                changed(&source.target().current());
                tracing::info!(files, "changed files are in force");
            }
            Look::Faulty(why) => {
                metrics.set_faulty(files, true);
                tracing::warn!(files, why, "changed files cannot be used: what was read before stays in force");
            }
        }
    }
}

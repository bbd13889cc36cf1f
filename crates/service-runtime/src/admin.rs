//! The admin port: GET /metrics, /live and /ready; everything else is refused. It takes few connections, for a short time, and no bodies,
//! so that nobody can exhaust the process through it.
pub use crate::health::Health;

use crate::shutdown::Shutdown;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TextEncoder};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections at a time: a scraper, a kubelet and some people.
const MAX_CONNECTIONS: usize = 32;
/// A connection is closed after this, so that a slow or silent client cannot hold one of the few.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// Headers of a request, names and values together.
const MAX_HEADER_BYTES: usize = 8 << 10;
/// After shutdown was asked for, running answers get this long.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Admin {
    registry: Registry,
    health: Arc<Health>,
}

/// Serves until shutdown.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(listen: SocketAddr, registry: Registry, health: Arc<Health>, shutdown: Shutdown) -> std::io::Result<()> {
    serve_on(TcpListener::bind(listen).await?, registry, health, shutdown).await
}

/// Serves on a bound listener until shutdown.
///
/// # Errors
/// The listener fails for good.
pub async fn serve_on(listener: TcpListener, registry: Registry, health: Arc<Health>, shutdown: Shutdown) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .layer(middleware::from_fn(limit))
        .with_state(Admin { registry, health });
    let bounded = BoundedListener { listener, free: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
    let asked = shutdown.clone();
    let serving = axum::serve(bounded, router).with_graceful_shutdown(async move { asked.triggered().await });
    let drained = async {
        shutdown.triggered().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended,
        () = drained => Ok(()),
    }
}

/// Refuses what no scraper or probe sends.
async fn limit(request: Request, next: Next) -> Response {
    let header_bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let has_body = request.headers().contains_key(header::TRANSFER_ENCODING)
        || request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if header_bytes > MAX_HEADER_BYTES {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response()
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        StatusCode::METHOD_NOT_ALLOWED.into_response()
    } else if has_body {
        StatusCode::PAYLOAD_TOO_LARGE.into_response()
    } else {
        next.run(request).await
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match TextEncoder::new().encode_to_string(&admin.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "cannot encode metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn live(State(admin): State<Admin>) -> Response {
    state("live", &admin.health.not_live())
}

async fn ready(State(admin): State<Admin>) -> Response {
    state("ready", &admin.health.not_ready())
}

/// 200 and the word, or 503 and one line per reason.
fn state(word: &'static str, reasons: &BTreeMap<String, String>) -> Response {
    if reasons.is_empty() {
        return format!("{word}\n").into_response();
    }
    let lines: String = reasons.iter().map(|(component, why)| format!("{component}: {why}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not {word}\n{lines}")).into_response()
}

/// Accepts no more connections than there are permits; the rest wait in the kernel's queue.
struct BoundedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
        let (inner, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        (BoundedStream { inner, end: Box::pin(tokio::time::sleep(CONNECTION_LIFE)), _permit: permit }, peer)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with an end.
struct BoundedStream {
    inner: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn poll_end(&mut self, context: &mut Context<'_>) -> std::io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(std::io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.poll_end(context)?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.poll_end(context)?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;

//! One connection, from its first byte to its last.
//!
//! A client that is silent in the headers, in the body, or in taking the answer holds a connection no longer than the limits say.
use super::{Intake, routes};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use service_runtime::shutdown::Shutdown;
use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, Sleep, timeout},
};

/// Bytes that are read ahead of a connection.
const READ_BUFFER_BYTES: usize = 256 << 10;
/// After the last answer the client has so long to take it, while what it still sends is dropped: a connection closed on unread bytes is
/// reset, and the answer lost.
const LINGER: Duration = Duration::from_secs(2);
const LATE_HEADERS: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves requests until the client or a limit ends it; at shutdown after the request that is being answered.
pub async fn serve<S>(stream: S, intake: Arc<Intake>, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Guarded::new(stream, intake.limits.body_timeout));
    let answering = service_fn(|request: Request<Incoming>| {
        let intake = Arc::clone(&intake);
        Box::pin(async move { Ok::<_, Infallible>(routes::respond(&intake, request).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(intake.limits.header_timeout)
        .max_header_size(intake.limits.header_bytes)
        .max_buf_size(READ_BUFFER_BYTES.max(intake.limits.header_bytes))
        .serve_connection(io, answering);
    let mut asked = pin!(shutdown.triggered());
    let mut is_asked = false;
    let ended = poll_fn(|context| {
        if !is_asked && asked.as_mut().poll(context).is_ready() {
            is_asked = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(context)
    })
    .await;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if let Err(error) = &ended {
        if error.is_timeout() && !parts.read_buf.is_empty() {
            intake.metrics.answered(408);
            let _ = stream.write_all(LATE_HEADERS).await;
        }
        tracing::debug!(%error, "http connection ended");
    }
    let _ = timeout(LINGER, finish(&mut stream)).await;
}

/// Ends our side and waits for the end of the client's.
async fn finish<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut dropped = [0; 4 << 10];
    while stream.read(&mut dropped).await.is_ok_and(|bytes| bytes > 0) {}
}

/// A stream that fails when the other side takes nothing for too long.
struct Guarded<S> {
    inner: S,
    longest: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    fn new(inner: S, longest: Duration) -> Self {
        Self { inner, longest, stalled: None }
    }

    /// What a write gave, or an error if nothing could be written for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let longest = self.longest;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + longest)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

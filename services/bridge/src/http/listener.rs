//! Takes connections, as many as the limits allow, and ends TLS.
use super::{Intake, connection};
use service_runtime::shutdown::Shutdown;
use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// Pause after the system refused a connection, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until shutdown; then the requests that are being answered get `limits.drain`.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, intake: Arc<Intake>, shutdown: Shutdown) {
    let free = Arc::new(Semaphore::new(intake.limits.connections));
    let addresses = Arc::new(Addresses::new(intake.limits.connections_per_address));
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&free).acquire_owned() => permit.expect("the semaphore is never closed"),
            () = shutdown.triggered() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.triggered() => break,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "no connection could be taken");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = addresses.enter(peer.ip().to_canonical()) else {
            intake.metrics.refused_connection("address");
            continue;
        };
        let (intake, tls, shutdown) = (Arc::clone(&intake), tls.clone(), shutdown.clone());
        connections.spawn(async move {
            let _held = (permit, place, intake.metrics.connection());
            begin(stream, tls, intake, shutdown).await;
        });
    }
    drop(listener);
    drain(connections, intake.limits.drain).await;
}

async fn begin(stream: TcpStream, tls: Option<TlsAcceptor>, intake: Arc<Intake>, shutdown: Shutdown) {
    // Answers are written whole: waiting for more only delays them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return connection::serve(stream, intake, shutdown).await };
    match timeout(intake.limits.header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(stream, intake, shutdown).await,
        Ok(Err(error)) => handshake_failed(&intake, &error),
        Err(_) => handshake_failed(&intake, &io::ErrorKind::TimedOut.into()),
    }
}

fn handshake_failed(intake: &Intake, error: &io::Error) {
    intake.metrics.refused_connection("tls");
    tracing::debug!(%error, "tls handshake failed");
}

async fn drain(mut connections: JoinSet<()>, longest: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(longest, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were cut off at shutdown: their clients got no answer");
        connections.shutdown().await;
    }
}

/// Connections by address.
#[derive(Debug)]
struct Addresses {
    /// `None`: not counted.
    most: Option<usize>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among those of its address.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    all: Arc<Addresses>,
}

impl Addresses {
    fn new(most: Option<usize>) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// `None`: the address has as many as it may.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if self.most.is_some_and(|most| *count >= most) {
            return None;
        }
        *count += 1;
        Some(Place { address, all: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.all.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places() {
        let (first, second) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let addresses = Arc::new(Addresses::new(Some(2)));
        let held = [addresses.enter(first).expect("room"), addresses.enter(first).expect("room")];
        assert!(addresses.enter(first).is_none());
        assert!(addresses.enter(second).is_some());
        drop(held);
        assert!(addresses.enter(first).is_some());
        assert!(addresses.open.lock().expect("whole").is_empty(), "nothing stays of those that left");
        let free = Arc::new(Addresses::new(None));
        let held: Vec<_> = (0..1_000).map(|_| free.enter(first).expect("not counted")).collect();
        assert_eq!(held.len(), 1_000);
    }
}

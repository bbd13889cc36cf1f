use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A running admin port and what it reports on.
struct Running {
    address: SocketAddr,
    health: Arc<Health>,
    shutdown: Shutdown,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start() -> Running {
    let registry = Registry::new();
    let counter = prometheus::IntCounter::new("tributary_test_total", "for the test").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    counter.inc_by(3);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, health, shutdown) = (listener.local_addr().unwrap(), Arc::new(Health::default()), Shutdown::manual());
    let serving = tokio::spawn(serve_on(listener, registry, Arc::clone(&health), shutdown.clone()));
    Running { address, health, shutdown, serving }
}

async fn ask(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("an answer");
    String::from_utf8(answer).unwrap()
}

async fn get(running: &Running, path: &str) -> String {
    ask(running, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn metrics_and_health_with_reasons() {
    let running = start().await;
    assert!(get(&running, "/metrics").await.contains("tributary_test_total 3"));
    assert!(get(&running, "/ready").await.ends_with("ready\n"));
    running.health.set_not_ready("table readings", Some("clock is 80 s off".to_owned()));
    let answer = get(&running, "/ready").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("not ready\ntable readings: clock is 80 s off\n"), "{answer}");
    assert!(get(&running, "/live").await.starts_with("HTTP/1.1 200"));
    running.health.set_not_live("consumer", Some("fatal".to_owned()));
    assert!(get(&running, "/live").await.starts_with("HTTP/1.1 503"));
    running.health.set_not_ready("table readings", None);
    assert!(get(&running, "/ready").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn everything_else_is_refused() {
    let running = start().await;
    assert!(get(&running, "/").await.starts_with("HTTP/1.1 404"));
    assert!(get(&running, "/metrics/..").await.starts_with("HTTP/1.1 404"));
    let head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    assert!(ask(&running, &format!("POST /metrics {head}Content-Length: 2\r\n\r\nxx")).await.starts_with("HTTP/1.1 405"));
    assert!(ask(&running, &format!("GET /metrics {head}Content-Length: 2\r\n\r\nxx")).await.starts_with("HTTP/1.1 413"));
    let long = "a".repeat(MAX_HEADER_BYTES);
    assert!(ask(&running, &format!("GET /metrics {head}X-Long: {long}\r\n\r\n")).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn it_ends_at_shutdown_although_a_client_is_silent() {
    let running = start().await;
    let _silent = TcpStream::connect(running.address).await.unwrap();
    running.shutdown.trigger();
    tokio::time::timeout(Duration::from_secs(10), running.serving).await.expect("ends").unwrap().unwrap();
}

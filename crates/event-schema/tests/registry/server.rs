//! A registry that does what it is told, also what a real one would not do on demand.
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// The body never ends.
    pub endless: bool,
    pub delay: Duration,
}

/// `{"schema": …}` as a registry answers.
pub fn schema(text: &str) -> Reply {
    json(200, &serde_json::json!({ "schema": text }))
}

/// An error as a registry answers.
pub fn error(status: u16, code: u32) -> Reply {
    json(status, &serde_json::json!({ "error_code": code, "message": "said by the registry" }))
}

/// The registry does not have the id.
pub fn not_there() -> Reply {
    error(404, 40_403)
}

/// Any JSON.
pub fn json(status: u16, body: &serde_json::Value) -> Reply {
    text(status, &body.to_string())
}

/// Any text.
pub fn text(status: u16, body: &str) -> Reply {
    Reply { status, headers: Vec::new(), body: body.to_owned(), endless: false, delay: Duration::ZERO }
}

type Answer = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// A running server.
pub struct Server {
    pub url: String,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    answer: Mutex<Option<Answer>>,
    requests: Mutex<Vec<(Instant, String)>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts on a free port; `answer` takes the path with its query.
    pub async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub async fn start_at(address: &str, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let server = Self { url, seen, task };
        server.answer(answer);
        server
    }

    /// Answers differently from now on.
    pub fn answer(&self, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.seen.answer.lock().expect("whole") = Some(Arc::new(answer));
    }

    /// Requests so far: when, and the whole head.
    pub fn requests(&self) -> Vec<(Instant, String)> {
        self.seen.requests.lock().expect("whole").clone()
    }

    /// Ends it; returns its address. Connections are closed.
    pub async fn stop(self) -> String {
        *self.seen.answer.lock().expect("whole") = None;
        self.task.abort();
        let address = self.url.trim_start_matches("http://").to_owned();
        drop(self);
        address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Between two looks at a condition.
#[allow(dead_code, reason = "other tests have their own way to wait")]
pub async fn moment(milliseconds: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(milliseconds), std::future::pending::<()>()).await;
}

/// One request per connection.
async fn serve(mut stream: TcpStream, seen: Arc<Seen>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 1_024];
        match stream.read(&mut chunk).await {
            Ok(bytes) if bytes > 0 => head.extend_from_slice(&chunk[..bytes]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.requests.lock().expect("whole").push((Instant::now(), head));
    let Some(answer) = seen.answer.lock().expect("whole").clone() else { return };
    let reply = answer(&path);
    let _ = tokio::time::timeout(reply.delay, std::future::pending::<()>()).await;
    let own_length = reply.headers.iter().any(|(name, _)| *name == "Content-Length");
    let mut text = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !own_length && !reply.endless {
        text.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    text.push_str("\r\n");
    text.push_str(&reply.body);
    if stream.write_all(text.as_bytes()).await.is_err() {
        return;
    }
    if reply.endless {
        // Until the other side has enough.
        while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
        return;
    }
    let _ = stream.shutdown().await;
}

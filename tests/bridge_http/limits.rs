//! Requests that are too long, too slow, too many, or of another kind.
use crate::{
    curl::Request,
    reading::document,
    scene::{JSON, LINES, LONG, Options, PARTITIONS, Scene, TOKEN},
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};
use test_kit::{KafkaServer, stored_records, wait_until};

const SMALL: Options = Options {
    bridge: "",
    http: "limits: {max_body_bytes: 64KiB, max_records: 100, max_header_bytes: 2KiB, header_timeout: 500ms, body_timeout: 1s, \
           max_connections: 8, max_connections_per_address: 4},",
    tls: None,
    topic_config: &[],
    alone: false,
};

fn scene() -> Scene {
    Scene::start(KafkaServer::shared(), &SMALL)
}

fn nothing_is_in_kafka(scene: &Scene) {
    assert!(stored_records(KafkaServer::shared(), &scene.topic, PARTITIONS).is_empty());
}

/// Sends bytes as they are; returns all that comes back until the end.
fn raw(scene: &Scene, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(&scene.address).expect("connect");
    stream.set_read_timeout(Some(LONG)).expect("set a time-out");
    for piece in pieces {
        // The other side may have closed already.
        let _ = stream.write_all(piece);
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(scene: &Scene, more: &str) -> String {
    format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/x-ndjson\r\n{more}\r\n",
        scene.records_path()
    )
}

#[test]
fn bodies_are_bounded_whether_announced_or_not() {
    let scene = scene();
    let long = "x".repeat(100 << 10);
    let announced = scene.post(LINES, long.clone());
    assert_eq!((announced.status, announced.error().as_str()), (413, "too_large"), "{}", announced.body);
    let chunked = scene.posting(LINES, long).header("Transfer-Encoding: chunked").must();
    assert_eq!((chunked.status, chunked.error().as_str()), (413, "too_large"));
    let lines = "{}\n".repeat(101);
    assert_eq!(scene.post(LINES, lines).status, 413, "too many records");
    let array = format!("[{}]", vec!["{}"; 101].join(","));
    assert_eq!(scene.post(JSON, array).status, 413, "too many elements");
    nothing_is_in_kafka(&scene);
    let announced_only = raw(&scene, &[head(&scene, "content-length: 99999999999\r\n").as_bytes()]);
    assert!(announced_only.starts_with("HTTP/1.1 413"), "{announced_only}");
    let unread = vec![b'x'; 8 << 20];
    let still_sending = raw(&scene, &[head(&scene, &format!("content-length: {}\r\n", unread.len())).as_bytes(), &unread]);
    assert!(
        still_sending.starts_with("HTTP/1.1 413"),
        "the answer reaches a client that does not read before all is sent: {still_sending}"
    );
    assert_eq!(scene.post(JSON, document(1, 1)).status, 200, "and it goes on");
}

#[test]
fn headers_are_bounded() {
    let scene = scene();
    let long = scene.posting(JSON, document(1, 1)).header(format!("X-Long: {}", "x".repeat(4 << 10))).must();
    assert_eq!(long.status, 431);
    let many: String = (0..200).map(|n| format!("x{n}: y\r\n")).collect();
    assert!(raw(&scene, &[head(&scene, &many).as_bytes()]).starts_with("HTTP/1.1 431"));
    let endless = "x".repeat(1 << 20);
    assert!(raw(&scene, &[b"GET / HTTP/1.1\r\nx: ", endless.as_bytes()]).starts_with("HTTP/1.1 431"));
    let uri = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100 << 10));
    let answer = raw(&scene, &[uri.as_bytes()]);
    assert!(answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"), "{answer}");
    nothing_is_in_kafka(&scene);
}

#[test]
fn slow_clients_are_told_and_let_go() {
    let scene = scene();
    let began = Instant::now();
    let headers = raw(&scene, &[b"POST /v1/topics/x/records HTTP/1.1\r\nhost: x\r\nauth"]);
    assert!(headers.starts_with("HTTP/1.1 408"), "{headers}");
    let body = raw(&scene, &[head(&scene, "content-length: 100\r\n").as_bytes(), b"{\"device_id\": "]);
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("request_timeout"), "{body}");
    assert_eq!(raw(&scene, &[]), "", "silence is answered with the end");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    nothing_is_in_kafka(&scene);
    wait_until(LONG, "the connections' end", || scene.metric("tributary_bridge_http_connections", &[]) == 0.0);
}

#[test]
fn a_drip_of_bytes_does_not_keep_a_connection() {
    let scene = scene();
    let mut stream = TcpStream::connect(&scene.address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("set a time-out");
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nx: ");
    wait_until(LONG, "the end", || {
        let _ = stream.write_all(b"y");
        let mut piece = [0; 512];
        match stream.read(&mut piece) {
            Ok(0) => return true,
            Ok(bytes) => answer.extend_from_slice(&piece[..bytes]),
            Err(error) => return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
        false
    });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408"));
}

#[test]
fn one_address_has_so_many_connections() {
    let scene = Scene::start(KafkaServer::shared(), &Options { http: "limits: {max_connections_per_address: 2},", ..Options::default() });
    // The connection that found the server is behind this one.
    assert_eq!(scene.request("GET", "/v1/openapi.json").must().status, 200);
    wait_until(LONG, "an idle server", || scene.metric("tributary_bridge_http_connections", &[]) == 0.0);
    let held: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(&scene.address).expect("connect")).collect();
    wait_until(LONG, "both connections", || scene.metric("tributary_bridge_http_connections", &[]) == 2.0);
    let refused = scene.request("GET", "/v1/openapi.json").send();
    assert!(refused.is_err(), "{refused:?}");
    assert!(scene.metric("tributary_bridge_http_refused_connections_total", &["address"]) >= 1.0);
    drop(held);
    wait_until(LONG, "room", || scene.request("GET", "/v1/openapi.json").send().is_ok_and(|answer| answer.status == 200));
}

#[test]
fn other_types_and_encodings_are_refused() {
    let scene = scene();
    let bare = |headers: &[&str]| {
        let request = Request { body: Some(document(1, 1).into_bytes()), ..scene.request("POST", &scene.records_path()) };
        headers.iter().fold(request, |request, header| request.header(*header)).must()
    };
    assert_eq!(bare(&[]).status, 415, "curl's own type is that of a form");
    assert_eq!(bare(&["Content-Type: text/plain"]).status, 415);
    assert_eq!(bare(&["Content-Type;"]).status, 415);
    assert_eq!(bare(&[JSON, "Content-Encoding: gzip"]).status, 415);
    assert!(bare(&["Content-Type: text/plain"]).json()["detail"].as_str().is_some_and(|detail| detail.contains("application/x-ndjson")));
    nothing_is_in_kafka(&scene);
}

#[test]
fn too_many_bytes_in_flight_are_told_to_come_again() {
    let options = Options { http: "limits: {max_body_bytes: 64KiB, max_in_flight_bytes: 64KiB, body_timeout: 60s},", ..Options::default() };
    let scene = Scene::start(KafkaServer::shared(), &options);
    let mut holder = TcpStream::connect(&scene.address).expect("connect");
    holder.write_all(head(&scene, "content-length: 60000\r\n").as_bytes()).expect("send the headers");
    wait_until(LONG, "the reservation", || scene.metric("tributary_bridge_http_in_flight_bytes", &[]) >= 60_000.0);
    let answer = scene.post(LINES, document(1, 1).repeat(200));
    assert_eq!((answer.status, answer.error().as_str()), (429, "overloaded"), "{}", answer.body);
    assert_eq!(answer.headers.get("retry-after").map(String::as_str), Some("1"));
    nothing_is_in_kafka(&scene);
    drop(holder);
    wait_until(LONG, "room", || scene.post(JSON, document(1, 1)).status == 200);
}

#[test]
fn what_is_no_request_is_refused() {
    let scene = scene();
    let two_lengths = head(&scene, "content-length: 2\r\ncontent-length: 3\r\n");
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"\0\xff\0\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        two_lengths.as_bytes(),
    ] {
        let answer = raw(&scene, &[bytes]);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 40"), "{answer}");
    }
    let cut = raw(&scene, &[head(&scene, "transfer-encoding: chunked\r\n").as_bytes(), b"5\r\n{}\n{}\r\nzz\r\n"]);
    assert!(cut.starts_with("HTTP/1.1 400"), "{cut}");
    nothing_is_in_kafka(&scene);
    assert_eq!(scene.post(JSON, document(1, 1)).status, 200);
}

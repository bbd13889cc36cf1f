//! TLS, with a certificate that changes while the server runs.
use crate::{
    reading::document,
    scene::{JSON, LONG, Options, Scene, TOKEN},
};
use std::process::Command;
use test_kit::{KafkaServer, TestAuthority, wait_until};

/// Texts of a certificate and its key.
fn issue(authority: &TestAuthority, name: &str) -> (String, String) {
    let files = authority.issue(name).expect("a certificate");
    let read = |file: &std::path::Path| std::fs::read_to_string(file).expect("it was written");
    (read(&files.certificate), read(&files.key))
}

/// The name in the certificate that the server shows, with the version of TLS, as Python sees it.
fn shown(scene: &Scene) -> String {
    let script = "import ssl, socket, sys\n\
        context = ssl.create_default_context(cafile=sys.argv[2])\n\
        host, port = sys.argv[1].split(':')\n\
        with context.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host) as stream:\n    \
            print(stream.version(), dict(pair[0] for pair in stream.getpeercert()['subject'])['commonName'])";
    let output = Command::new("python3").args(["-c", script, &scene.address, &scene.path("ca.crt")]).output().expect("run python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_certificate_is_checked_and_changes_without_a_restart() {
    let (folder, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let authority = TestAuthority::make(folder.path()).expect("an authority");
    let options = Options { tls: Some(issue(&authority, "first.example")), ..Options::default() };
    let scene = Scene::start(KafkaServer::shared(), &options);
    scene.write("ca.crt", &std::fs::read_to_string(authority.file()).expect("it was written"));
    assert_eq!(scene.post(JSON, document(1, 1)).status, 200);
    assert_eq!(shown(&scene), "TLSv1.3 first.example");
    let older = scene.posting(JSON, document(1, 2)).argument("--tls-max").argument("1.2").must();
    assert_eq!(older.status, 200);

    let plain = Command::new("curl").args(["-sS", "--max-time", "20", &format!("http://{}/", scene.address)]).output().expect("run curl");
    assert!(!plain.status.success(), "no plain text is answered");
    wait_until(LONG, "the refusal's count", || scene.metric("tributary_bridge_http_refused_connections_total", &["tls"]) >= 1.0);
    let other = TestAuthority::make(elsewhere.path()).expect("an authority");
    let stranger = crate::curl::Request {
        method: "GET",
        url: format!("https://{}/v1/openapi.json", scene.address),
        headers: vec![format!("Authorization: Bearer {TOKEN}")],
        body: None,
        arguments: vec!["--cacert".to_owned(), other.file().display().to_string()],
    };
    assert!(stranger.send().is_err(), "a client with another root does not trust it");

    let (certificate, key) = issue(&authority, "second.example");
    scene.write("tls.crt", &certificate);
    wait_until(LONG, "the fault", || scene.metric("tributary_bridge_http_faulty_files", &["certificate"]) == 1.0);
    assert_eq!(shown(&scene), "TLSv1.3 first.example", "a certificate without its key changes nothing");
    scene.write("tls.key", &key);
    wait_until(LONG, "the second certificate", || shown(&scene) == "TLSv1.3 second.example");
    assert_eq!(scene.metric("tributary_bridge_http_faulty_files", &["certificate"]), 0.0);
    assert_eq!(scene.post(JSON, document(1, 3)).status, 200);
}

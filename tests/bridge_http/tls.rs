//! TLS, with a certificate that changes while the server runs.
use crate::{
    reading::document,
    scene::{JSON, LONG, Options, Scene, TOKEN},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::process::Command;
use test_kit::{KafkaServer, wait_until};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Certificate and key of a server that is also called `name`.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), name.to_owned()]).expect("names");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// The names in the certificate that the server shows, as curl saw it.
fn shown(scene: &Scene) -> String {
    let script = "import ssl, socket, sys\n\
        context = ssl.create_default_context(cafile=sys.argv[2])\n\
        host, port = sys.argv[1].split(':')\n\
        with context.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host) as stream:\n    \
            print(stream.version(), [name for kind, name in stream.getpeercert()['subjectAltName'] if kind == 'DNS'])";
    let output = Command::new("python3").args(["-c", script, &scene.address, &scene.path("ca.crt")]).output().expect("run python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_certificate_is_checked_and_changes_without_a_restart() {
    let authority = Authority::new();
    let options = Options { tls: Some(authority.issue("first.example")), ..Options::default() };
    let scene = Scene::start(KafkaServer::shared(), &options);
    scene.write("ca.crt", &authority.0.pem());
    assert_eq!(scene.post(JSON, document(1, 1)).status, 200);
    assert_eq!(shown(&scene), "TLSv1.3 ['first.example']");
    let older = scene.posting(JSON, document(1, 2)).argument("--tls-max").argument("1.2").must();
    assert_eq!(older.status, 200);

    let plain = Command::new("curl").args(["-sS", "--max-time", "20", &format!("http://{}/", scene.address)]).output().expect("run curl");
    assert!(!plain.status.success(), "no plain text is answered");
    wait_until(LONG, "the refusal's count", || scene.metric("tributary_bridge_http_refused_connections_total", &["tls"]) >= 1.0);
    scene.write("other.crt", &Authority::new().0.pem());
    let stranger = crate::curl::Request {
        method: "GET",
        url: format!("https://{}/v1/openapi.json", scene.address),
        headers: vec![format!("Authorization: Bearer {TOKEN}")],
        body: None,
        arguments: vec!["--cacert".to_owned(), scene.path("other.crt")],
    };
    assert!(stranger.send().is_err(), "a client with another root does not trust it");

    let (certificate, key) = authority.issue("second.example");
    scene.write("tls.crt", &certificate);
    wait_until(LONG, "the fault", || scene.metric("tributary_bridge_http_faulty_files", &["certificate"]) == 1.0);
    assert_eq!(shown(&scene), "TLSv1.3 ['first.example']", "a certificate without its key changes nothing");
    scene.write("tls.key", &key);
    wait_until(LONG, "the second certificate", || shown(&scene) == "TLSv1.3 ['second.example']");
    assert_eq!(scene.metric("tributary_bridge_http_faulty_files", &["certificate"]), 0.0);
    assert_eq!(scene.post(JSON, document(1, 3)).status, 200);
}

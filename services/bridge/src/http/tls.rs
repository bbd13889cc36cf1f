//! TLS of the server: a certificate that may be replaced while it runs.
use super::reload::Reloaded;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// From the contents of two PEM files: the chain, and the key.
    ///
    /// # Errors
    /// They are no PEM files, or do not belong together.
    pub fn parse(contents: &[Vec<u8>]) -> Result<Self, String> {
        let [chain, key] = contents else { return Err("a certificate and a key are needed".to_owned()) };
        // The parser's errors could quote what it found, and the files could be swapped.
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| "the first file is no PEM file".to_owned())?;
        if chain.is_empty() {
            return Err("the first file holds no certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the second file holds no private key in PEM form".to_owned())?;
        let certified = CertifiedKey::from_der(chain, key, &provider());
        certified.map(|key| Self(Arc::new(key))).map_err(|error| format!("certificate and key cannot be used: {error}"))
    }
}

#[derive(Debug)]
struct Current(Arc<Reloaded<Certificate>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().0))
    }
}

/// Accepts TLS 1.2 and 1.3; each handshake takes the certificate in force.
///
/// # Errors
/// The provider lacks a protocol version.
pub fn acceptor(certificate: Arc<Reloaded<Certificate>>) -> Result<TlsAcceptor, String> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("set up TLS: {error}"))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Current(certificate)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(name: &str) -> (Vec<u8>, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
    }

    #[test]
    fn certificate_and_key_must_belong_together() {
        let ((chain, key), (other, _)) = (pem("a.example"), pem("b.example"));
        Certificate::parse(&[chain.clone(), key.clone()]).expect("they do");
        let of = |chain: &[u8], key: &[u8]| Certificate::parse(&[chain.to_vec(), key.to_vec()]).expect_err("faulty");
        assert!(of(&other, &key).contains("cannot be used"));
        assert!(of(b"", &key).contains("no certificate"));
        assert!(of(&key, &key).contains("no certificate"));
        assert!(of(&chain, &chain).contains("no private key"));
        let broken = String::from_utf8_lossy(&key).replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n!hunter2!");
        assert!(!of(&chain, broken.as_bytes()).contains("hunter2"));
    }
}

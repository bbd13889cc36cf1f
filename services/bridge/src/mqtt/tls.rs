//! TLS to the broker: its certificate must come from `ca_file`, ours is in `cert_file`. Files are read at each connect, so new ones take
//! effect without a restart.
use crate::error::BridgeError;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use service_runtime::settings::MqttSettings;
use std::{path::Path, sync::Arc};

/// The configuration of a connection; `None`: without TLS.
///
/// # Errors
/// A file cannot be used.
pub fn client_config(settings: &MqttSettings, uses_tls: bool) -> Result<Option<Arc<ClientConfig>>, BridgeError> {
    let Some(ca_file) = settings.ca_file.as_deref().filter(|_| uses_tls) else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("file of root certificates", ca_file)? {
        roots.add(certificate).map_err(|error| unusable("file of root certificates", ca_file, error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|error| BridgeError::Bug { what: "configure TLS", detail: error.to_string() })?.with_root_certificates(roots);
    let mut config = match (&settings.cert_file, &settings.key_file) {
        (Some(cert_file), Some(key_file)) => {
            let chain = certificates("certificate", cert_file)?;
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| unusable("private key", key_file, error.to_string()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable("certificate", cert_file, error.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = settings.alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
    Ok(Some(Arc::new(config)))
}

fn certificates(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, BridgeError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(certificates) if certificates.is_empty() => Err(unusable(what, file, "it holds no certificate in PEM form".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(what, file, error.to_string())),
    }
}

fn unusable(what: &'static str, file: &Path, detail: String) -> BridgeError {
    BridgeError::File { what, file: file.display().to_string(), detail }
}

//! Certificates of a test.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

/// A certificate authority of a test, with its files in a folder.
pub struct TestAuthority {
    folder: PathBuf,
    file: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Files of a certificate and its key, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl std::fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestAuthority").field("file", &self.file).finish_non_exhaustive()
    }
}

impl TestAuthority {
    /// Makes an authority whose files go to `folder`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn make(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new()).context("describe the authority")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().context("make the authority's key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("sign the authority")?;
        let file = folder.join("ca.pem");
        fs::write(&file, issuer.pem()).context("write the authority's certificate")?;
        Ok(Self { folder: folder.to_owned(), file, issuer })
    }

    /// File of its certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for servers and clients with this common name. It holds for `localhost` and 127.0.0.1 too.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn issue(&self, name: &str) -> Result<CertificateFiles> {
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).context("describe the certificate")?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().context("make a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("sign a certificate")?;
        let files = CertificateFiles { certificate: self.folder.join(format!("{name}.crt")), key: self.folder.join(format!("{name}.key")) };
        fs::write(&files.certificate, certificate.pem()).context("write the certificate")?;
        fs::write(&files.key, key.serialize_pem()).context("write the key")?;
        Ok(files)
    }
}

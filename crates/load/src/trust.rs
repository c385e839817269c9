//! Whom a client believes that a server is who it says: certificate authorities.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file is missing, or no PEM.
    #[error("{path} holds no certificates in PEM form: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: PemError,
    },
    /// There is no authority to believe.
    #[error("{0}; name a file of authorities, with --ca on the command line")]
    Nobody(String),
    /// A certificate that is none, or settings that the TLS library refuses.
    #[error("the certificate authorities cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The authorities that a client believes; cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(..)")
    }
}

impl Trust {
    /// Those that this system believes.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub fn system() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Systems carry old ones that nobody can read any more.
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            let why = why.join(", ");
            return Err(TrustError::Nobody(format!(
                "this system has no certificate authorities ({why})"
            )));
        }
        Self::of(roots)
    }

    /// Only those in a PEM file: a private authority, or a server's own self-signed certificate.
    ///
    /// # Errors
    ///
    /// When the file holds none.
    pub fn file(path: &Path) -> Result<Self, TrustError> {
        let bad = |why| TrustError::File {
            path: path.to_owned(),
            why,
        };
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(bad)?;
        if certificates.is_empty() {
            return Err(bad(PemError::NoItemsFound));
        }
        Self::only(certificates)
    }

    /// Only these.
    ///
    /// # Errors
    ///
    /// When one of them is no certificate.
    pub fn only(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate)?;
        }
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// For the TLS library.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

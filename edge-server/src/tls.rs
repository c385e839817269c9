//! TLS: from files that are read again when they change, or self-signed for trying things out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aecnn::digest::sha256_hex;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::Error::NoItemsFound;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or holds no PEM of the right kind.
    #[error("{path} holds no {what} in PEM form: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        why: rustls::pki_types::pem::Error,
    },
    /// Key and certificate do not go together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No self-signed certificate could be made.
    #[error("no self-signed certificate could be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// Certificate and key, as they are now.
#[derive(Debug)]
pub struct Tls {
    current: RwLock<Arc<ServerConfig>>,
    files: Option<Files>,
}

#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let bad = |path: &Path, what| {
            let path = path.to_owned();
            move |why| TlsError::File { path, what, why }
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(|chain| match chain.is_empty() {
                true => Err(NoItemsFound),
                false => Ok(chain),
            })
            .map_err(bad(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(bad(&self.key, "private key"))?;
        config(chain, key)
    }

    /// What changes when the files do.
    fn stamp(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

impl Tls {
    /// From a chain of certificates and a private key, both PEM.
    ///
    /// # Errors
    ///
    /// When a file is missing or not of its kind, or they do not go together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        Ok(Arc::new(Self {
            current: RwLock::new(files.read()?),
            files: Some(files),
        }))
    }

    /// A certificate for these names and addresses, made now and kept nowhere; with the SHA-256 of it.
    ///
    /// # Errors
    ///
    /// When none can be made.
    pub fn self_signed(names: Vec<String>) -> Result<(Arc<Self>, String), TlsError> {
        let made = rcgen::generate_simple_self_signed(names)?;
        let certificate = made.cert.der().clone();
        let digest = sha256_hex(&certificate);
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = Self {
            current: RwLock::new(config(vec![certificate], key.into())?),
            files: None,
        };
        Ok((Arc::new(tls), digest))
    }

    /// For a connection that comes now.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Reads the files again. What was there before stays when they cannot be used.
    ///
    /// # Errors
    ///
    /// As [`Self::from_files`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(files) = &self.files else {
            return Ok(());
        };
        let fresh = files.read()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Reads the files again whenever they change, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let Some(files) = self.files.clone() else {
            return;
        };
        let mut seen = files.stamp();
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            let now = files.stamp();
            if now == seen {
                continue;
            }
            seen = now;
            match self.reload() {
                Ok(()) => tracing::info!("new certificate in use"),
                // Perhaps only one of the two files is new yet.
                Err(error) => tracing::warn!(%error, "the old certificate stays in use"),
            }
        }
    }
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The address under which other machines reach this one, as far as it is told by the route that
/// packets to elsewhere would take; nothing is sent.
#[must_use]
pub fn outward_address(listen: SocketAddr) -> IpAddr {
    if !listen.ip().is_unspecified() {
        return listen.ip();
    }
    // An address for documentation: no packet goes there.
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| {
            socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
            socket.local_addr()
        })
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// An address as a QR code for a terminal; empty when it is too long for one.
#[must_use]
pub fn qr_code(url: &str) -> String {
    QrCode::new(url).map_or_else(
        |_| String::new(),
        |code| code.render::<Dense1x2>().quiet_zone(true).build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[test]
    fn new_files_are_taken_and_bad_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = write(folder.path(), "one.example");
        let tls = Tls::from_files(&certificate, &key).unwrap();
        let current = |tls: &Tls| Arc::clone(&tls.current.read().unwrap());
        let first = current(&tls);
        write(folder.path(), "two.example");
        tls.reload().unwrap();
        let second = current(&tls);
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(&certificate, "no certificate").unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::File { .. })));
        assert!(Arc::ptr_eq(&second, &current(&tls)));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = write(folder.path(), "one.example");
        let other = rcgen::generate_simple_self_signed(["two.example".to_owned()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(
            Tls::from_files(&certificate, &key),
            Err(TlsError::Unusable(_))
        ));
    }

    #[test]
    fn a_qr_code_is_drawn() {
        let code = qr_code("https://192.0.2.7:8443/");
        assert!(code.lines().count() > 10, "{code}");
    }
}

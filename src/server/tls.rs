//! TLS with a certificate from files, which are read again when they change.

use std::{
    convert::Infallible,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use parking_lot::{Mutex, RwLock};
use rustls::{
    Error, InconsistentKeys, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{net::TcpStream, task::spawn_blocking, time::sleep};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::errors::error_chain;

/// The server's side of TLS, with the last good certificate of its files.
pub(super) struct TlsServer {
    acceptor: TlsAcceptor,
    files: CertificateFiles,
    current: Arc<CurrentCertificate>,
    /// The last content of the files, good or bad, or why they could not be read.
    last_read: Mutex<Result<Pem, String>>,
}

impl TlsServer {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// The files can't be read, hold no certificate or no key, or these don't belong together; names the file.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        let pem = files.read()?;
        let builder = ServerConfig::builder().with_no_client_auth();
        let current =
            Arc::new(CurrentCertificate(RwLock::new(Arc::new(files.certified(&pem, builder.crypto_provider())?))));
        let mut config = builder.with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), files, current, last_read: Mutex::new(Ok(pem)) })
    }

    /// Shakes hands with a client. There is no time limit.
    ///
    /// # Errors
    /// The client went away, or does not speak TLS as it is spoken here.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// Reads the files for ever, and shows new clients the certificate that they hold.
    pub(super) async fn reload(&self, every: Duration) -> Infallible {
        loop {
            sleep(every).await;
            let files = self.files.clone();
            // It fails only when the runtime ends.
            if let Ok(found) = spawn_blocking(move || files.read()).await {
                self.observe(found.map_err(|error| error_chain(error.as_ref())));
            }
        }
    }

    /// Shows the certificate that was found, if it is new and good. A bad one is logged once.
    fn observe(&self, found: Result<Pem, String>) {
        let mut last_read = self.last_read.lock();
        if *last_read == found {
            return;
        }
        let certified = match &found {
            Ok(pem) => self
                .files
                .certified(pem, self.acceptor.config().crypto_provider())
                .map_err(|error| error_chain(error.as_ref())),
            Err(error) => Err(error.clone()),
        };
        match certified {
            Ok(certified) => {
                *self.current.0.write() = Arc::new(certified);
                tracing::info!(file = %self.files.certificate.display(), "the TLS certificate has changed; new clients see the new one");
            }
            Err(error) => tracing::error!(
                error,
                "the files of the TLS certificate can't be used; clients go on seeing the one before"
            ),
        }
        *last_read = found;
    }
}

/// The certificate that new clients are shown.
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentCertificate").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

/// Paths of PEM files.
#[derive(Clone)]
struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// The content of the files.
#[derive(PartialEq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    fn read(&self) -> Result<Pem> {
        let certificate = fs::read(&self.certificate)
            .with_context(|| format!("read TLS certificate {}", self.certificate.display()))?;
        let key = fs::read(&self.key).with_context(|| format!("read TLS key {}", self.key.display()))?;
        Ok(Pem { certificate, key })
    }

    /// Parses the certificate and its chain with the key, and checks that they belong together.
    fn certified(&self, pem: &Pem, provider: &CryptoProvider) -> Result<CertifiedKey> {
        // The parser's errors quote what they don't understand, which may be the key.
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&pem.certificate).collect::<Result<_, _>>().unwrap_or_default();
        anyhow::ensure!(
            !chain.is_empty(),
            "no certificate in TLS certificate {}: give PEM, the server's own certificate first",
            self.certificate.display()
        );
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|_| anyhow!("no private key in TLS key {}: give PEM without a passphrase", self.key.display()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => anyhow!(
                "TLS key {} does not belong to the first certificate in {}",
                self.key.display(),
                self.certificate.display()
            ),
            error => anyhow::Error::from(error).context(format!(
                "use TLS certificate {} with key {}",
                self.certificate.display(),
                self.key.display()
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> Pem {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("make a certificate");
        Pem { certificate: made.cert.pem().into_bytes(), key: made.signing_key.serialize_pem().into_bytes() }
    }

    fn files() -> CertificateFiles {
        CertificateFiles { certificate: "/tls/tls.crt".into(), key: "/tls/tls.key".into() }
    }

    fn provider() -> CryptoProvider {
        rustls::crypto::ring::default_provider()
    }

    /// The first certificate of PEM.
    fn der(pem: &Pem) -> Vec<u8> {
        CertificateDer::from_pem_slice(&pem.certificate).expect("a certificate").to_vec()
    }

    #[test]
    fn errors_name_the_file_that_holds_no_certificate_or_key() {
        let (good, other) = (pem(), pem());
        let one_line: Vec<u8> = good.key.iter().copied().filter(|byte| *byte != b'\n').collect();
        let no_certificate =
            "no certificate in TLS certificate /tls/tls.crt: give PEM, the server's own certificate first";
        let no_key = "no private key in TLS key /tls/tls.key: give PEM without a passphrase";
        let cases: [(&str, &[u8], &[u8], &str); 7] = [
            ("nothing", b"", &good.key, no_certificate),
            ("a key", &good.key, &good.key, no_certificate),
            ("a line that is too long", &one_line, &good.key, no_certificate),
            ("a cut certificate", &good.certificate[..99], &good.key, no_certificate),
            ("a certificate for the key", &good.certificate, &good.certificate, no_key),
            ("a key in one line, which is not printed", &good.certificate, &one_line, no_key),
            (
                "the key of another",
                &good.certificate,
                &other.key,
                "TLS key /tls/tls.key does not belong to the first certificate in /tls/tls.crt",
            ),
        ];
        for (case, certificate, key, expected) in cases {
            let pem = Pem { certificate: certificate.to_vec(), key: key.to_vec() };
            let error = files().certified(&pem, &provider()).expect_err(case);
            assert_eq!(format!("{error:#}"), expected, "{case}");
        }
        let chain =
            Pem { certificate: [good.certificate.as_slice(), &other.certificate].concat(), key: good.key.clone() };
        let certified = files().certified(&chain, &provider()).expect("a chain");
        assert_eq!(certified.cert.iter().map(|der| der.to_vec()).collect::<Vec<_>>(), [der(&good), der(&other)]);
    }

    #[test]
    fn the_shown_certificate_changes_only_to_a_good_one() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (first, second, third) = (pem(), pem(), pem());
        let [a, b, c] = [&first, &second, &third].map(der);
        let certified = files().certified(&first, &provider()).expect("a certificate");
        let current = Arc::new(CurrentCertificate(RwLock::new(Arc::new(certified))));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        let tls = TlsServer {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            files: files(),
            current: Arc::clone(&current),
            last_read: Mutex::new(Ok(first)),
        };
        let copy = |pem: &Pem| Pem { certificate: pem.certificate.clone(), key: pem.key.clone() };
        let mixed = Pem { certificate: third.certificate.clone(), key: second.key.clone() };
        let steps = [
            ("changed", Ok(copy(&second)), &b),
            ("the key is still the old one", Ok(mixed), &b),
            ("gone", Err("read TLS certificate /tls/tls.crt".to_owned()), &b),
            ("broken", Ok(Pem { certificate: b"-----BEGIN".to_vec(), key: Vec::new() }), &b),
            ("both are new", Ok(third), &c),
            ("as before", Ok(second), &b),
        ];
        for (step, found, expected) in steps {
            tls.observe(found);
            assert_eq!(current.0.read().cert[0].to_vec(), *expected, "{step}");
        }
        assert_ne!(a, b);
    }
}

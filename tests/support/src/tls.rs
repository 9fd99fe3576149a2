//! Certificates, and a receiver that asks for one.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, in PEM.
    pub certificate: String,
    /// The certificate as it is shown in a handshake (DER).
    pub der: Vec<u8>,
    /// The private key, in PEM.
    pub key: String,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate for names and addresses.
    ///
    /// # Errors
    /// One of them is neither.
    pub fn issue(&self, names: &[&str]) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &self.0)?;
        Ok(Issued { certificate: certificate.pem(), der: certificate.der().to_vec(), key: key.serialize_pem() })
    }
}

/// A request that arrived over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedOverTls {
    /// The certificate that the client showed, as [`Issued::der`] has it.
    pub client: Option<Vec<u8>>,
    /// The name that the client asked for (SNI).
    pub name: Option<String>,
    /// The first line and the headers.
    pub head: String,
}

/// Answers every request with the same. Listens until it is dropped.
pub struct TlsReceiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<ReceivedOverTls>>>,
    server: JoinHandle<()>,
}

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It may.
    Asked,
    /// It must.
    Required,
}

impl TlsReceiver {
    /// Listens on a free port of loopback as `identity`, and asks clients for a certificate of `authority`. `answer` is the
    /// first line and the headers of the answer, with line breaks between; it has no body.
    ///
    /// # Errors
    /// No port is free, or what is given is not PEM.
    pub async fn start(identity: &Issued, authority: &Authority, client: Client, answer: &str) -> Result<Self> {
        Self::speaking(&[], identity, authority, client, answer).await
    }

    /// The same, but it claims to speak `protocols` (ALPN), the first of them best. It reads and answers in HTTP/1.1 anyway: of
    /// HTTP/2 it keeps the first lines, `PRI * HTTP/2.0`.
    ///
    /// # Errors
    /// As [`TlsReceiver::start`].
    pub async fn speaking(
        protocols: &[&str],
        identity: &Issued,
        authority: &Authority,
        client: Client,
        answer: &str,
    ) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = if client == Client::Asked { verifier.allow_unauthenticated() } else { verifier };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier.build()?)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
            )?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on loopback")?;
        let address = listener.local_addr()?;
        let received: Arc<Mutex<Vec<ReceivedOverTls>>> = Arc::default();
        let kept = Arc::clone(&received);
        let answer = format!("{}\r\nContent-Length: 0\r\n\r\n", answer.replace('\n', "\r\n"));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept, answer) = (acceptor.clone(), Arc::clone(&kept), answer.clone());
                // Tests notice what does not arrive.
                tokio::spawn(async move {
                    let _ = serve(stream, &acceptor, &kept, &answer).await;
                });
            }
        });
        Ok(Self { address, received, server })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://HOST:PORT`.
    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// The requests that have arrived, in order.
    pub fn received(&self) -> Vec<ReceivedOverTls> {
        self.received.lock().clone()
    }

    /// The certificates that clients showed, for each request.
    pub fn clients(&self) -> Vec<Option<Vec<u8>>> {
        self.received().into_iter().map(|received| received.client).collect()
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes TLS off what comes, and passes it on. Listens until it is dropped.
pub struct TlsFront {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl TlsFront {
    /// Listens on a free port of loopback as `identity`, in front of `behind`.
    ///
    /// # Errors
    /// No port is free, or what is given is not PEM.
    pub async fn start(identity: &Issued, behind: SocketAddr) -> Result<Self> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
            )?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on loopback")?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // Tests notice what does not arrive.
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut behind = TcpStream::connect(behind).await?;
                    copy_bidirectional(&mut stream, &mut behind).await
                });
            }
        });
        Ok(Self { address, server })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    kept: &Mutex<Vec<ReceivedOverTls>>,
    answer: &str,
) -> Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let (_, connection) = stream.get_ref();
    let client = connection.peer_certificates().and_then(|chain| chain.first());
    let client = client.map(|der| der.to_vec());
    let name = connection.server_name().map(str::to_owned);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
        kept.lock().push(ReceivedOverTls { client: client.clone(), name: name.clone(), head });
        stream.write_all(answer.as_bytes()).await?;
    }
}

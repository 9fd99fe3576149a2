//! An identity in, the TLS configuration of its connections out.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::SingleCertAndKey,
};
use rustls_platform_verifier::Verifier;

use crate::core::tls::TlsIdentity;

/// Makes TLS configurations.
pub(super) struct TlsConfigs {
    provider: Arc<CryptoProvider>,
    /// Trusts the system's authorities, which are read once and not for each client.
    system: Arc<Verifier>,
    /// For connections without an identity.
    pub(super) default: ClientConfig,
}

impl TlsConfigs {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let system = Arc::new(Verifier::new(Arc::clone(&provider))?);
        let default = config(&provider, Arc::clone(&system) as _, None)?;
        Ok(Self { provider, system, default })
    }

    /// The configuration for an identity: whom to trust, and which certificate to show.
    pub(super) fn of(&self, identity: Option<&TlsIdentity>) -> Result<ClientConfig, rustls::Error> {
        let Some(identity) = identity else { return Ok(self.default.clone()) };
        let verifier: Arc<dyn ServerCertVerifier> = match identity.authorities() {
            _ if identity.insecure() => Arc::new(AcceptAnyCertificate(Arc::clone(&self.provider))),
            Some(roots) => WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?,
            None => Arc::clone(&self.system) as _,
        };
        let client = identity.client().map(|key| SingleCertAndKey::from(Arc::clone(key)));
        config(&self.provider, verifier, client)
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    client: Option<SingleCertAndKey>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client {
        Some(client) => builder.with_client_cert_resolver(Arc::new(client)),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts every certificate, for webhooks that ask for that (`insecureSkipVerify`).
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

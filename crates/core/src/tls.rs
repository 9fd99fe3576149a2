//! Reads the TLS settings of a webhook. The settings and the Secrets that they name come in; what its connections are made with
//! goes out.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use quick_cache::{Weighter, sync::Cache};
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::webhook::{ClientCertificate, SecretKey, SecretLookup, TlsSettings};

/// The authorities that a webhook's connections trust, and the certificate that they show.
pub struct TlsIdentity {
    authorities: Option<Arc<RootCertStore>>,
    client: Option<Arc<CertifiedKey>>,
    insecure: bool,
    fingerprint: TlsFingerprint,
}

/// SHA-256 over all that an identity is made of. Two are the same only if their settings and Secrets are.
pub type TlsFingerprint = [u8; 32];

impl TlsIdentity {
    /// The authorities to trust in place of the system's.
    pub fn authorities(&self) -> Option<&Arc<RootCertStore>> {
        self.authorities.as_ref()
    }

    /// The certificate, with its key, for receivers that ask for one.
    pub fn client(&self) -> Option<&Arc<CertifiedKey>> {
        self.client.as_ref()
    }

    /// Whether any certificate of a receiver is accepted.
    pub fn insecure(&self) -> bool {
        self.insecure
    }

    /// The fingerprint, which tells it from others.
    pub fn fingerprint(&self) -> TlsFingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

impl PartialEq for TlsIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for TlsIdentity {}

/// A field of a webhook whose Secret can't be used, and why. The message does not repeat the Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct TlsIdentityError {
    /// The field's name in a manifest, such as `tls.caSecretRef`.
    pub field: &'static str,
    /// The reason, in one clause.
    pub message: String,
}

/// The field that names the authorities.
const CA: &str = "tls.caSecretRef";
/// The field that names the client's certificate.
const CLIENT: &str = "tls.clientCertSecretRef";

/// Bound on the text of certificates and keys whose reading is remembered, in bytes. What is remembered of them is shorter.
pub const REMEMBERED_BYTES: u64 = 8 << 20;
/// About how many identities of a usual size that is.
const REMEMBERED: usize = 32;

/// What came of reading an identity, by all that went into it: many webhooks name the same Secrets, whose text may be long.
static READ: LazyLock<Cache<[u8; 32], Read, ReadWeight>> =
    LazyLock::new(|| Cache::with_weighter(REMEMBERED, REMEMBERED_BYTES, ReadWeight));

/// An identity, or why there is none; and the length of the text that it was read from, in bytes.
#[derive(Clone)]
struct Read(Result<Arc<TlsIdentity>, TlsIdentityError>, u64);

#[derive(Clone)]
struct ReadWeight;

impl Weighter<[u8; 32], Read> for ReadWeight {
    fn weight(&self, _: &[u8; 32], Read(_, length): &Read) -> u64 {
        *length + 1024
    }
}

/// Reads the Secrets that `tls` names. None if it asks for nothing. What was read before, with the same values, is not read
/// again.
///
/// # Errors
/// A Secret has no value, or its value is no certificate or no key, or the two do not belong together.
pub fn load_identity(tls: &TlsSettings, secrets: SecretLookup) -> Result<Option<Arc<TlsIdentity>>, TlsIdentityError> {
    if *tls == TlsSettings::default() {
        return Ok(None);
    }
    let texts = Texts::of(tls, secrets)?;
    let fingerprint = texts.fingerprint(tls);
    let read = || Ok::<_, std::convert::Infallible>(Read(texts.identity(tls, fingerprint), texts.length()));
    let Ok(Read(identity, _)) = READ.get_or_insert_with(&with_names(tls, fingerprint), read);
    identity.map(Some)
}

/// The values of the Secrets that settings name.
struct Texts {
    authorities: Option<SecretString>,
    client: Option<[SecretString; 2]>,
}

impl Texts {
    fn of(tls: &TlsSettings, secrets: SecretLookup) -> Result<Self, TlsIdentityError> {
        let get = |field, key: &SecretKey| secrets(key).map_err(|message| TlsIdentityError { field, message });
        let authorities = tls.authorities.as_ref().map(|key| get(CA, key)).transpose()?;
        let client = match &tls.client {
            Some(source) => {
                let texts = get(CLIENT, &source.certificate).and_then(|text| Ok([text, get(CLIENT, &source.key)?]));
                if texts.is_err() {
                    // A fault of the authorities is told first.
                    load_identity(&TlsSettings { client: None, ..tls.clone() }, secrets)?;
                }
                Some(texts?)
            }
            None => None,
        };
        Ok(Self { authorities, client })
    }

    /// The values, each with its field.
    fn all(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        let authorities = self.authorities.iter().map(|text| (CA, text));
        authorities.chain(self.client.iter().flatten().map(|text| (CLIENT, text)))
    }

    fn length(&self) -> u64 {
        self.all().map(|(_, text)| text.expose_secret().len() as u64).sum()
    }

    fn fingerprint(&self, tls: &TlsSettings) -> TlsFingerprint {
        let mut hash = Sha256::new();
        hash.update([u8::from(tls.insecure)]);
        for (field, text) in self.all() {
            let bytes = text.expose_secret().as_bytes();
            // With field and length, so that different Secrets can't give the same bytes.
            hash.update(field);
            hash.update(bytes.len().to_be_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }

    fn identity(&self, tls: &TlsSettings, fingerprint: TlsFingerprint) -> Result<Arc<TlsIdentity>, TlsIdentityError> {
        let authorities = match (&tls.authorities, &self.authorities) {
            (Some(key), Some(text)) => Some(roots(key, text)?),
            _ => None,
        };
        let client = match (&tls.client, &self.client) {
            (Some(source), Some([certificate, key])) => Some(Arc::new(certified(source, certificate, key)?)),
            _ => None,
        };
        Ok(Arc::new(TlsIdentity { authorities, client, insecure: tls.insecure, fingerprint }))
    }
}

/// The fingerprint with the names of the Secrets, which stand in errors.
fn with_names(tls: &TlsSettings, fingerprint: TlsFingerprint) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(fingerprint);
    let client = tls.client.iter().flat_map(|client| [&client.certificate, &client.key]);
    for key in tls.authorities.iter().chain(client) {
        for text in [&key.name, &key.key] {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
    }
    hash.finalize().into()
}

fn roots(key: &SecretKey, text: &SecretString) -> Result<Arc<RootCertStore>, TlsIdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA, key, text)? {
        roots.add(certificate).map_err(|_| unreadable_certificate(CA, key))?;
    }
    Ok(Arc::new(roots))
}

fn certified(
    source: &ClientCertificate,
    certificate: &SecretString,
    key: &SecretString,
) -> Result<CertifiedKey, TlsIdentityError> {
    let chain = certificates(CLIENT, &source.certificate, certificate)?;
    let private_key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| unusable(CLIENT, &source.key, "has no private key in PEM, or one that asks for a password"))?;
    CertifiedKey::from_der(chain, private_key, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let what = format!("does not belong to the certificate in key '{}'", source.certificate.key);
            unusable(CLIENT, &source.key, &what)
        }
        rustls::Error::InvalidCertificate(_) => unreadable_certificate(CLIENT, &source.certificate),
        _ => unusable(CLIENT, &source.key, "has a private key that can't be used: give one of RSA, ECDSA or Ed25519"),
    })
}

/// The certificates in a text, at least one.
fn certificates(
    field: &'static str,
    key: &SecretKey,
    text: &SecretString,
) -> Result<Vec<CertificateDer<'static>>, TlsIdentityError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.expose_secret().as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(field, key, "has no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(_) => Err(unreadable_certificate(field, key)),
    }
}

fn unreadable_certificate(field: &'static str, key: &SecretKey) -> TlsIdentityError {
    unusable(field, key, "has a certificate that can't be read")
}

fn unusable(field: &'static str, key: &SecretKey, what: &str) -> TlsIdentityError {
    TlsIdentityError { field, message: format!("Key '{}' of Secret '{}' {what}", key.key, key.name) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Made, KeyPair, generate_simple_self_signed};

    use super::*;

    fn mk(name: &str, key: &str) -> SecretKey {
        SecretKey { name: name.to_owned(), key: key.to_owned() }
    }

    fn mk_made() -> (String, String) {
        let Made { cert, signing_key } = generate_simple_self_signed(["receiver.example".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    /// Reads an identity from an authority's certificate, and a client's certificate and key.
    fn read(ca: Option<&str>, client: Option<(&str, &str)>) -> Result<Option<Arc<TlsIdentity>>, String> {
        let source = ClientCertificate { certificate: mk("client", "tls.crt"), key: mk("client", "tls.key") };
        let tls = TlsSettings {
            authorities: ca.map(|_| mk("ca", "ca.crt")),
            client: client.map(|_| source),
            insecure: false,
        };
        let secrets = |key: &SecretKey| {
            let text = match key.key.as_str() {
                "ca.crt" => ca,
                "tls.crt" => client.map(|(certificate, _)| certificate),
                _ => client.map(|(_, key)| key),
            };
            let text = text.filter(|text| *text != "missing");
            text.map(SecretString::from).ok_or_else(|| format!("Secret '{}' does not exist", key.name))
        };
        load_identity(&tls, &secrets).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unusable_secret_is_named_with_its_field_and_never_quoted() {
        let ((certificate, key), (other, _)) = (mk_made(), mk_made());
        let broken = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
        let cut = "-----BEGIN CERTIFICATE-----\nc2Vjcm";
        let no_key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let both = format!("{certificate}{other}");
        let with_broken = format!("{certificate}{broken}");
        let ca = |what: &str| Some(format!("tls.caSecretRef: Key 'ca.crt' of Secret 'ca' {what}"));
        let client =
            |of: &str, what: &str| Some(format!("tls.clientCertSecretRef: Key '{of}' of Secret 'client' {what}"));
        let cases = [
            (Some(certificate.as_str()), None, None),
            (Some(both.as_str()), None, None),
            (Some("missing"), None, Some("tls.caSecretRef: Secret 'ca' does not exist".to_owned())),
            (Some(""), None, ca("has no certificate in PEM")),
            (Some("c2VjcmV0"), None, ca("has no certificate in PEM")),
            (Some(key.as_str()), None, ca("has no certificate in PEM")),
            (Some(broken), None, ca("has a certificate that can't be read")),
            (Some(cut), None, ca("has a certificate that can't be read")),
            (Some(with_broken.as_str()), None, ca("has a certificate that can't be read")),
            (Some(broken), Some(("missing", key.as_str())), ca("has a certificate that can't be read")),
            (
                Some(certificate.as_str()),
                Some(("missing", key.as_str())),
                Some("tls.clientCertSecretRef: Secret 'client' does not exist".to_owned()),
            ),
            (None, Some((certificate.as_str(), key.as_str())), None),
            (None, Some((both.as_str(), key.as_str())), None),
            (
                None,
                Some(("missing", key.as_str())),
                Some("tls.clientCertSecretRef: Secret 'client' does not exist".to_owned()),
            ),
            (None, Some((key.as_str(), key.as_str())), client("tls.crt", "has no certificate in PEM")),
            (None, Some((broken, key.as_str())), client("tls.crt", "has a certificate that can't be read")),
            (
                None,
                Some((certificate.as_str(), certificate.as_str())),
                client("tls.key", "has no private key in PEM, or one that asks for a password"),
            ),
            (
                None,
                Some((certificate.as_str(), encrypted)),
                client("tls.key", "has no private key in PEM, or one that asks for a password"),
            ),
            (
                None,
                Some((certificate.as_str(), no_key)),
                client("tls.key", "has a private key that can't be used: give one of RSA, ECDSA or Ed25519"),
            ),
            (
                None,
                Some((other.as_str(), key.as_str())),
                client("tls.key", "does not belong to the certificate in key 'tls.crt'"),
            ),
        ];
        for (ca, client, expected) in cases {
            assert_eq!(read(ca, client).err(), expected, "{ca:?} {client:?}");
        }
    }

    #[test]
    fn certificates_are_read_once_for_all_who_name_the_same_secret() {
        let (certificate, _) = mk_made();
        let roots = |ca: &str| Arc::clone(read(Some(ca), None).unwrap().unwrap().authorities().unwrap());
        let first = roots(&certificate);
        assert!(Arc::ptr_eq(&first, &roots(&certificate)));
        let (renewed, _) = mk_made();
        assert!(!Arc::ptr_eq(&first, &roots(&renewed)));
        // Of what is too long to be remembered, or was long ago, nothing is kept.
        for _ in 0..40 {
            roots(&(certificate.clone() + &" ".repeat(1 << 20) + &mk_made().0));
        }
        assert!(READ.weight() <= REMEMBERED_BYTES && !READ.is_empty(), "{}", READ.weight());
    }

    #[test]
    fn identities_are_the_same_only_if_all_their_parts_are() {
        let ((certificate, key), (other, _)) = (mk_made(), mk_made());
        let renewed = KeyPair::from_pem(&key).unwrap();
        let renewed = rcgen::CertificateParams::default().self_signed(&renewed).unwrap().pem();
        let insecure = TlsSettings { insecure: true, ..TlsSettings::default() };
        let nothing = |_: &SecretKey| Err(String::new());
        let all = [
            load_identity(&insecure, &nothing).unwrap(),
            read(Some(&certificate), None).unwrap(),
            read(Some(&other), None).unwrap(),
            read(None, Some((&certificate, &key))).unwrap(),
            read(None, Some((&renewed, &key))).unwrap(),
            read(Some(&certificate), Some((&certificate, &key))).unwrap(),
        ];
        for (index, one) in all.iter().enumerate() {
            for (other_index, other) in all.iter().enumerate() {
                assert_eq!(one == other, index == other_index, "{index} {other_index}");
            }
        }
        assert_eq!(read(None, Some((&certificate, &key))), read(None, Some((&certificate, &key))));
        assert_eq!(load_identity(&TlsSettings::default(), &nothing), Ok(None));
        assert_eq!(format!("{:?}", all[5].as_ref().unwrap()), "TlsIdentity");
    }
}

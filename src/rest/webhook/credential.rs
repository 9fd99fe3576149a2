//! The two fields of a webhook whose values are kept in a Secret, and are never shown.

use secrecy::SecretString;

use crate::resources::{SecretKeyRef, SecretKeySource, WebhookSpec};

/// A field whose value is kept in a Secret when it comes over the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CredentialField {
    Password,
    AuthorizationHeader,
}

impl CredentialField {
    pub(crate) const ALL: [Self; 2] = [Self::Password, Self::AuthorizationHeader];

    /// The field's name in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::AuthorizationHeader => "authorization_header",
        }
    }

    /// The key in the Secret.
    pub(crate) fn secret_key(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::AuthorizationHeader => "authorization-header",
        }
    }

    /// The field of the manifest that refers to the Secret.
    pub(super) fn source(self, spec: &mut WebhookSpec) -> &mut Option<SecretKeySource> {
        match self {
            Self::Password => &mut spec.password,
            Self::AuthorizationHeader => &mut spec.authorization_header,
        }
    }

    /// The key that the manifest refers to.
    pub(crate) fn reference(self, spec: &WebhookSpec) -> Option<&SecretKeyRef> {
        let source = match self {
            Self::Password => &spec.password,
            Self::AuthorizationHeader => &spec.authorization_header,
        };
        source.as_ref().map(|source| &source.secret_key_ref)
    }
}

/// The change of a credential that a request asks for.
#[derive(Clone, Debug)]
pub(crate) enum CredentialChange {
    /// Keeps it: the mask was sent back.
    Keep,
    /// Takes it away. `blank` tells whether `""` was sent, and is to be read back, rather than null.
    Clear { blank: bool },
    /// Replaces it.
    Set(SecretString),
}

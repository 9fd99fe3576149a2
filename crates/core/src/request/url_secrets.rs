//! The parts of a URL that nobody may see in what comes of the request.

use std::iter;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use crate::{
    request_url::{RequestUrl, split_authority},
    response::MASK,
};

/// Shorter parts of a secret URL are words as a rule, such as `services`. In bytes.
const PART_MIN: usize = 12;

/// The parts of `url` to mask, each also decoded, as receivers read it. `is_secret` says that the whole URL comes from a
/// Secret.
pub(super) fn url_secrets(url: &RequestUrl, is_secret: bool) -> Vec<SecretString> {
    let mut secrets = Vec::new();
    if is_secret {
        // Receivers repeat the part that they see, and failures name the host.
        let target = url.target();
        secrets.extend([target.as_str(), url.path(), url.host()].map(SecretString::from));
        let parts = target.split(['/', '?', '&', '=', ';']).filter(|part| part.len() >= PART_MIN);
        secrets.extend(parts.flat_map(with_decoded));
    }
    if let Some(userinfo) = url.userinfo() {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        secrets.extend(with_decoded(password));
        // A user may be a token. A short one is a name, which stands in answers too.
        if is_secret && user.len() >= PART_MIN {
            secrets.extend(with_decoded(user));
        }
    }
    secrets
}

fn with_decoded(part: &str) -> impl Iterator<Item = SecretString> {
    let decoded = percent_decode_str(part).decode_utf8_lossy().into_owned();
    iter::once(SecretString::from(part)).chain([SecretString::from(decoded)])
}

/// `text`, a URL, with `user:password@` masked. This also holds where the password has a slash, which ends the authority for
/// every parser.
pub(super) fn mask_credentials(text: &str) -> String {
    // Line breaks and tabs do not count in a URL.
    let text = if text.contains(['\t', '\n', '\r']) && text.contains('@') {
        &*text.replace(['\t', '\n', '\r'], "")
    } else {
        text
    };
    let start = text.find("//").map_or(0, |at| at + 2);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let (_, _, port) = split_authority(&text[start..end]);
    let is_port = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let end = if is_port { end } else { text.len() };
    match text[start..end].rfind('@') {
        Some(at) if at > 0 => format!("{}{MASK}{}", &text[..start], &text[start + at..]),
        _ => text.to_owned(),
    }
}

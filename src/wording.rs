//! The words for what is wrong with a webhook, or probably not meant so, whoever tells it: `lint` and the admission webhook say the
//! same.

use std::fmt::Display;

use crate::core::{
    hints::Hint,
    judgement::{Fault, FaultKind},
    webhook::HttpMethod,
};

/// How many names a message lists.
const SHOWN: usize = 6;

/// The message of a fault.
pub(crate) fn fault(fault: &Fault) -> String {
    match fault.kind {
        FaultKind::EmptyData => {
            format!("fails only on empty data, with which OnCall's API tries it out and refuses it: {}", fault.message)
        }
        FaultKind::Template | FaultKind::Url | FaultKind::Headers => fault.message.clone(),
    }
}

/// The line of a template that a hint is about, where it is known, and its message.
pub(crate) fn hint(hint: Hint) -> (Option<usize>, String) {
    match hint {
        Hint::NeverTriggers { space } => (None, never_triggers(space)),
        Hint::Unseen { line, of, name, meant, known } => (Some(line), unseen(of.as_deref(), &name, meant, known)),
    }
}

fn never_triggers(space: bool) -> String {
    let why = if space {
        ": line breaks and blanks around it count, take them away ({%- … -%}, {{- … -}})"
    } else {
        ": it has other text"
    };
    format!("never renders to exactly true or 1, and only then the webhook runs{why}")
}

/// The message of a hint about a name that templates never see.
fn unseen(of: Option<&str>, name: &str, meant: Option<&str>, known: &[&str]) -> String {
    let what = match (of, name) {
        (Some(of), name) => format!("{of} has no {name}"),
        (None, "payload") => "payload is always None".to_owned(),
        (None, name) => format!("templates see no {name}"),
    };
    match meant.or_else(|| nearest(name, known.iter().copied())) {
        Some(meant) => format!("{what}: did you mean {meant}?"),
        None if known.len() > SHOWN => {
            let (shown, rest) = known.split_at(SHOWN);
            format!("{what}: there are {} and {} more", joined(shown), rest.len())
        }
        None => format!("{what}: there are {}", joined(known)),
    }
}

/// Why a webhook never sends its body, and what to do about it; None if it may.
pub(crate) fn unsent(method: HttpMethod, forwards: bool) -> Option<(String, &'static str)> {
    if !method.has_body() {
        return Some((format!("is not sent with {}", method.as_str()), "remove it"));
    }
    forwards.then(|| ("is not sent where forwardAll is true".to_owned(), "remove it, or set forwardAll to false"))
}

/// Joins items with commas.
pub(crate) fn joined(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The one of `names` that was probably meant by `key`; None if all are too far from it.
pub(crate) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if key.len() > 100 {
        return None;
    }
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(key);
    let (distance, name) =
        names.map(|name| (strsim::levenshtein(&wanted, &plain(name)), name)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 2 && distance < wanted.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_only_if_it_is_near() {
        let names = ["forwardAll", "triggerType", "url", "headers"];
        for (key, expected) in [
            ("forwardALL", Some("forwardAll")),
            ("trigger_type", Some("triggerType")),
            ("header", Some("headers")),
            ("URL", Some("url")),
            ("ab", None),
            ("schedule", None),
        ] {
            assert_eq!(nearest(key, names.into_iter()), expected, "{key}");
        }
    }
}

//! Pieces of messages: quoted values, lists, and the name that was probably meant.

use std::fmt::Display;

/// Quotes a value for a message, cut to 60 characters.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// Joins items with commas.
pub(super) fn joined(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The one of `names` that was probably meant by `key`; None if all are too far from it.
pub(super) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
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

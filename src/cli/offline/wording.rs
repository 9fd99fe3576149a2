//! Pieces of messages: quoted values, and those that others use too.

pub(super) use crate::wording::{joined, nearest};

/// Quotes a value for a message, cut to 60 characters.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

//! Writes Events of objects (`events.k8s.io`), which `kubectl describe` shows.
//!
//! The same Event again within six minutes only raises its count. One that can't be written is dropped: whatever it tells stands in a
//! status or in the log as well.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};
use tokio::time::timeout;

use crate::errors::error_chain;

/// Bound on the writing of one Event.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For how long the same Event again is not another one: what kube's Recorder has.
pub(crate) const SAME_WITHIN: Duration = Duration::from_secs(6 * 60);
/// The most that the API server takes for a note, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Writes Events, one at a time.
pub(crate) struct EventWriter(Recorder);

impl EventWriter {
    /// `controller` is the name under which they are reported.
    pub(crate) fn new(client: Client, controller: &str) -> Self {
        Self(Recorder::new(client, Reporter::from(controller)))
    }

    /// Writes an Event of an object. What fails is logged.
    pub(crate) async fn write(&self, mut event: Event, of: &ObjectReference) {
        event.note = event.note.map(|note| cut(note, NOTE_LIMIT));
        let failure = match timeout(TIMEOUT, self.0.publish(&event, of)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        };
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let (kind, namespace, name) = (text(&of.kind), text(&of.namespace), text(&of.name));
        tracing::warn!(
            namespace,
            kind,
            name,
            error = failure,
            reason = event.reason,
            "failed to write a Kubernetes Event; what it tells stands in the object's status, or in this log"
        );
    }
}

/// The text, or as much of it as has up to `most` bytes with an ellipsis.
fn cut(mut text: String, most: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > most {
        let room = most - ELLIPSIS.len_utf8();
        // The beginning is one.
        text.truncate((0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default());
        text.push(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_no_more_bytes_than_the_api_server_takes() {
        for (text, expected) in [("", ""), ("12345678", "12345678"), ("123456789", "12345…"), ("1234é6789", "1234…")]
        {
            assert_eq!(cut(text.to_owned(), 8), expected);
        }
    }
}

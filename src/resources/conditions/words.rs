//! The documented list: every type of condition of every kind, and every reason that it may have. `docs/status.md` shows the same.

/// Makes an enum of words that are written as they are named.
macro_rules! words {
    ($($word:ident),+ $(,)?) => {
        /// A reason of a condition, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Word { $($word),+ }

        impl Word {
            /// As it stands in a condition.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word)),+ }
            }

            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$word),+];
        }
    };
}

words! {
    Valid, TemplateError, URLInvalid, HeadersInvalid, SecretNotFound, SecretKeyNotFound, SecretInvalid, SecretTooLarge, TokenShared,
    FailsOnEmptyData, FailedOnPayload, Suspended, Gone, Unreadable, EndpointFailing, ShareUsedUp, NamespaceShareUsedUp,
    VerificationSkipped, Received, NothingReceived, Missed, LimitReached,
    Delivered, NothingMatched, SomeFailed, WebhookNotFound, NotApplicable, Delivering, WebhookUnreadable,
}

/// Of a Webhook and an Integration: whether it can work, as far as that can be told without an event: its templates, its URL, its Secrets.
pub(crate) const READY: &str = "Ready";
/// Of a Webhook and an Integration: it is not ready, and waits for others than its own manifest: a Secret.
pub(crate) const RECONCILING: &str = "Reconciling";
/// Of a Webhook and an Integration: it will not get ready unless its manifest is changed.
pub(crate) const STALLED: &str = "Stalled";
/// Of a Webhook and an Integration: a template may fail, or has, though not with all data.
pub(crate) const TEMPLATE_WARNING: &str = "TemplateWarning";
/// Of a Webhook: its deliveries wait. Of an Integration: it takes no alerts.
pub(crate) const SUSPENDED: &str = "Suspended";
/// Of a Webhook: its endpoint is taken to be down.
pub(crate) const FAILING: &str = "Failing";
/// Of a Webhook: what it is to send waits in the API server.
pub(crate) const BACKLOGGED: &str = "Backlogged";
/// Of a Webhook: the certificate of its receiver is not verified.
pub(crate) const INSECURE_TLS: &str = "InsecureTLS";
/// Of an Integration that is to receive something every so often: whether it does.
pub(crate) const HEARTBEAT: &str = "Heartbeat";
/// Of an Integration: its namespace has as many open alert groups as it may.
pub(crate) const TOO_MANY_OPEN: &str = "TooManyOpenAlertGroups";
/// Of an AlertGroupEvent: whether the runs of all its webhooks have ended.
pub(crate) const COMPLETED: &str = "Completed";
/// Of an AlertGroupEvent: it is completed, and nothing failed.
pub(crate) const SUCCEEDED: &str = "Succeeded";
/// Of an AlertGroupEvent: it is completed, and something failed.
pub(crate) const FAILED: &str = "Failed";

/// Why a manifest that has to be changed is not ready.
const OF_MANIFEST: &[Word] = &[Word::TemplateError, Word::URLInvalid, Word::HeadersInvalid];
/// Why an object waits for a Secret.
#[cfg(test)]
const OF_SECRET: &[Word] = &[Word::SecretNotFound, Word::SecretKeyNotFound, Word::SecretInvalid, Word::SecretTooLarge];

/// Whether a fault of this reason is in the manifest itself.
pub(super) fn is_of_manifest(word: Word) -> bool {
    OF_MANIFEST.contains(&word)
}

/// One line of the documented list: the kind, the type, and its reasons.
#[cfg(test)]
pub(super) type Line = (&'static str, &'static str, &'static [&'static [Word]]);

/// The documented list.
#[cfg(test)]
pub(super) const DOCUMENTED: &[Line] = &[
    ("Webhook", READY, &[&[Word::Valid], OF_MANIFEST, OF_SECRET]),
    ("Webhook", RECONCILING, &[OF_SECRET]),
    ("Webhook", STALLED, &[OF_MANIFEST]),
    ("Webhook", TEMPLATE_WARNING, &[&[Word::FailsOnEmptyData]]),
    ("Webhook", SUSPENDED, &[&[Word::Suspended, Word::Gone, Word::Unreadable]]),
    ("Webhook", FAILING, &[&[Word::EndpointFailing]]),
    ("Webhook", BACKLOGGED, &[&[Word::ShareUsedUp, Word::NamespaceShareUsedUp]]),
    ("Webhook", INSECURE_TLS, &[&[Word::VerificationSkipped]]),
    ("Integration", READY, &[&[Word::Valid, Word::TemplateError], OF_SECRET, &[Word::TokenShared]]),
    ("Integration", RECONCILING, &[OF_SECRET, &[Word::TokenShared]]),
    ("Integration", STALLED, &[&[Word::TemplateError]]),
    ("Integration", TEMPLATE_WARNING, &[&[Word::FailedOnPayload]]),
    ("Integration", SUSPENDED, &[&[Word::Suspended]]),
    ("Integration", HEARTBEAT, &[&[Word::Received, Word::NothingReceived, Word::Missed]]),
    ("Integration", TOO_MANY_OPEN, &[&[Word::LimitReached]]),
    (
        "AlertGroupEvent",
        COMPLETED,
        &[
            &[Word::Delivered, Word::NothingMatched, Word::SomeFailed, Word::WebhookNotFound, Word::NotApplicable],
            &[Word::Delivering, Word::WebhookUnreadable, Word::Unreadable],
        ],
    ),
    ("AlertGroupEvent", SUCCEEDED, &[&[Word::Delivered, Word::NothingMatched]]),
    ("AlertGroupEvent", FAILED, &[&[Word::SomeFailed, Word::WebhookNotFound, Word::NotApplicable]]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The lines of a table in Markdown whose first three columns are kind, type and reasons, each in backquotes.
    fn lines(page: &str) -> Vec<(String, String, Vec<String>)> {
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        page.lines()
            .filter_map(|line| {
                let cells: Vec<Vec<String>> = line.strip_prefix('|')?.split('|').map(words).collect();
                match &cells[..] {
                    [kind, type_, reasons, ..] if kind.len() == 1 && type_.len() == 1 => {
                        Some((kind[0].clone(), type_[0].clone(), reasons.clone()))
                    }
                    _ => None,
                }
            })
            .collect()
    }

    #[test]
    fn the_page_on_status_lists_every_condition_with_its_reasons_and_no_other() {
        let expected: Vec<_> = DOCUMENTED
            .iter()
            .map(|(kind, type_, reasons)| {
                let reasons = reasons.iter().copied().flatten().map(|word| word.as_str().to_owned()).collect();
                ((*kind).to_owned(), (*type_).to_owned(), reasons)
            })
            .collect();
        assert_eq!(lines(include_str!("../../../docs/status.md")), expected);
    }

    #[test]
    fn every_reason_is_listed() {
        let listed: BTreeSet<&str> = DOCUMENTED
            .iter()
            .flat_map(|(_, _, reasons)| reasons.iter().copied().flatten())
            .map(|word| word.as_str())
            .collect();
        let all: BTreeSet<&str> = Word::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(listed, all);
    }
}

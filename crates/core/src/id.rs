//! Ids that are the same in every cluster and after every restart, because they are derived from names.

use sha2::{Digest, Sha256};

/// The alphabet of OnCall's ids: A–Z without O, and 1–9.
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNPQRSTUVWXYZ123456789";
/// Letters and digits that a Kubernetes name may have, without those that look like another.
const NAME_ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// The id of a webhook that does not state one: `WH` and 12 characters of OnCall's alphabet.
pub fn webhook_id(namespace: &str, name: &str) -> String {
    format!("WH{}", derive(&[namespace, name], ID_ALPHABET, 12))
}

/// Whether `id` has the form of a webhook's id: `WH` and 12 or more characters of OnCall's alphabet.
pub fn is_webhook_id(id: &str) -> bool {
    id.strip_prefix("WH").is_some_and(|rest| rest.len() >= 12 && rest.bytes().all(|b| ID_ALPHABET.contains(&b)))
}

/// The id of an Integration that does not state one: `C` and 12 characters of OnCall's alphabet.
pub fn integration_id(namespace: &str, name: &str) -> String {
    format!("C{}", derive(&[namespace, name], ID_ALPHABET, 12))
}

/// The id of the alert group that an event opens: `I` and 15 characters of OnCall's alphabet. Others, for the case that it is taken,
/// have other numbers.
pub fn alert_group_id(event_uid: &str, number: u32) -> String {
    format!("I{}", derive(&[event_uid, &number.to_string()], ID_ALPHABET, 15))
}

/// The id of the alert that an event brought: `A` and 15 characters of OnCall's alphabet.
pub fn alert_id(event_uid: &str) -> String {
    format!("A{}", derive(&[event_uid], ID_ALPHABET, 15))
}

/// What tells a grouping id from others without telling it: `sha256:` and its digest.
pub fn grouping_digest(grouping_id: &str) -> String {
    let digest = Sha256::digest(grouping_id);
    digest.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The name of the WebhookResponse of one event and one webhook: the webhook's name, cut if it is long, and 12 letters that
/// no other pair has. The uid names the event: one that is deleted and created again is another event.
pub fn response_name(event_uid: &str, webhook: &str) -> String {
    // So that with the 12 letters it still is a legal label value, by which people can select.
    let readable = webhook.get(..50).unwrap_or(webhook).trim_end_matches(['-', '.']);
    format!("{readable}-{}", derive(&[event_uid, webhook], NAME_ALPHABET, 12))
}

/// Bound on a name that is made from a webhook's name, in bytes: names made from it in turn must still be legal label values.
const RESOURCE_NAME_MAX: usize = 50;

/// A webhook's name made into a Kubernetes name: lower-case letters, digits and single hyphens. Empty if the name has none
/// of these.
pub fn resource_name(display_name: &str) -> String {
    let plain: String =
        display_name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("-");
    name.truncate(RESOURCE_NAME_MAX);
    name.truncate(name.trim_end_matches('-').len());
    name
}

/// Kubernetes names for a webhook that people call `display_name`, to try one after the other if the first are taken: its
/// own name, the same with a number, and the same with letters that webhooks of other names do not get.
pub fn resource_names(display_name: &str) -> impl Iterator<Item = String> {
    let plain = Some(resource_name(display_name)).filter(|name| !name.is_empty());
    let plain = plain.unwrap_or_else(|| "webhook".to_owned());
    let lettered = format!("{plain}-{}", derive(&[display_name], NAME_ALPHABET, 6));
    [plain, lettered]
        .into_iter()
        .flat_map(|name| std::iter::once(name.clone()).chain((2..=5).map(move |number| format!("{name}-{number}"))))
}

fn derive(parts: &[&str], alphabet: &[u8], length: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(length).map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhooks_id_depends_on_namespace_and_name_only() {
        assert_eq!(webhook_id("team", "jira"), webhook_id("team", "jira"));
        assert_ne!(webhook_id("team", "jira"), webhook_id("tea", "mjira"));
        assert!(is_webhook_id(&webhook_id("team", "jira")));
    }

    #[test]
    fn ids_have_oncalls_form() {
        let cases = [
            ("WHP936BM1GPVHQ", true),
            ("WHP936BM1GPVHQ77", true),
            ("WHP936BM1GPVH", false),
            ("WHO936BM1GPVHQ", false),
            ("WH0936BM1GPVHQ", false),
            ("IZQERPWKWCGH1AA", false),
            ("", false),
        ];
        for (id, expected) in cases {
            assert_eq!(is_webhook_id(id), expected, "{id}");
        }
    }

    #[test]
    fn a_webhooks_name_becomes_a_kubernetes_name() {
        let cases = [
            ("Jira", "jira"),
            ("  New   Webhook! ", "new-webhook"),
            ("ops/Überwachung (2)", "ops-berwachung-2"),
            ("東京", ""),
            ("a.b_c", "a-b-c"),
            ("5", "5"),
        ];
        for (name, expected) in cases {
            assert_eq!(resource_name(name), expected, "{name}");
        }
        assert_eq!(resource_name(&format!("{}- b", "a".repeat(49))), "a".repeat(49));
    }

    #[test]
    fn further_names_have_numbers_and_then_letters_that_other_webhooks_do_not_get() {
        let names: Vec<String> = resource_names("東京").collect();
        assert_eq!(names[..3], ["webhook", "webhook-2", "webhook-3"]);
        assert_eq!(names.len(), 10);
        assert!(names.iter().all(|name| name.len() <= 63 && resource_name(name) == *name), "{names:?}");
        assert_ne!(names[5], resource_names("京都").nth(5).unwrap());
    }

    #[test]
    fn a_responses_name_is_legal_and_differs_for_each_event_and_webhook() {
        let long = response_name("uid", &"w".repeat(253));
        assert_eq!(long.len(), 63);
        assert_ne!(response_name("uid-1", "jira"), response_name("uid-2", "jira"));
        assert!(response_name("uid", "jira").starts_with("jira-"));
    }
}

//! Ids that are the same in every cluster and after every restart, because they are derived from names.

use sha2::{Digest, Sha256};

/// The alphabet of OnCall's ids: A–Z without O, and 1–9.
const ONCALL: &[u8] = b"ABCDEFGHIJKLMNPQRSTUVWXYZ123456789";
/// Letters that a Kubernetes name may have, without those that are read as another.
const NAME: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// The id of a webhook that does not state one: `WH` and 12 of OnCall's alphabet.
pub fn webhook_id(namespace: &str, name: &str) -> String {
    format!("WH{}", derive(&[namespace, name], ONCALL, 12))
}

/// Whether `id` has the form of a webhook's id: `WH` and 12 or more of OnCall's alphabet.
pub fn is_webhook_id(id: &str) -> bool {
    id.strip_prefix("WH").is_some_and(|rest| rest.len() >= 12 && rest.bytes().all(|b| ONCALL.contains(&b)))
}

/// The name of the WebhookResponse of one event and one webhook: the webhook's name, cut where it is long, and
/// 12 letters that no other pair has. The event is named by its uid: one that is deleted and made again is another.
pub fn response_name(event_uid: &str, webhook: &str) -> String {
    // With the 12 letters it stays a legal label value, so that people can select on it too.
    let readable = webhook.get(..50).unwrap_or(webhook).trim_end_matches(['-', '.']);
    format!("{readable}-{}", derive(&[event_uid, webhook], NAME, 12))
}

/// Bound on a name that is made of a webhook's name, in bytes; what is made of it in turn still is a label's value.
const RESOURCE_NAME: usize = 50;

/// A webhook's name as Kubernetes wants names: lower-case letters, digits and single hyphens. Empty if it has none of
/// these.
pub fn resource_name(display_name: &str) -> String {
    let plain: String =
        display_name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("-");
    name.truncate(RESOURCE_NAME);
    name.truncate(name.trim_end_matches('-').len());
    name
}

/// Names in Kubernetes for a webhook that people call `display_name`, for the case that the first ones are taken: its own,
/// the same with a number, and with letters that webhooks of other names do not have.
pub fn resource_names(display_name: &str) -> impl Iterator<Item = String> {
    let plain = Some(resource_name(display_name)).filter(|name| !name.is_empty());
    let plain = plain.unwrap_or_else(|| "webhook".to_owned());
    let lettered = format!("{plain}-{}", derive(&[display_name], NAME, 6));
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
    fn a_webhooks_name_becomes_one_of_kubernetes() {
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
    fn names_that_are_alike_get_numbers_and_then_letters_of_their_own() {
        let names: Vec<String> = resource_names("東京").collect();
        assert_eq!(names[..3], ["webhook", "webhook-2", "webhook-3"]);
        assert_eq!(names.len(), 10);
        assert!(names.iter().all(|name| name.len() <= 63 && resource_name(name) == *name), "{names:?}");
        assert_ne!(names[5], resource_names("京都").nth(5).unwrap());
    }

    #[test]
    fn a_responses_name_is_legal_and_tells_pairs_apart() {
        let long = response_name("uid", &"w".repeat(253));
        assert_eq!(long.len(), 63);
        assert_ne!(response_name("uid-1", "jira"), response_name("uid-2", "jira"));
        assert!(response_name("uid", "jira").starts_with("jira-"));
    }
}

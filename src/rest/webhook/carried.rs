//! Credentials that a change of the URL would carry to another host. Nobody can read them over the API; who may write could have
//! them sent to a host of their own, if a new URL were enough for that.

use super::{CredentialField, WebhookInput, credential::CredentialChange};
use crate::{core::request_url::RequestUrl, resources::Webhook};

/// Where a URL leads, however the rest of it is rendered: scheme, host and port.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: &'static str,
    host: String,
    port: u16,
}

/// The fields that are to be sent once more, or taken away, with the messages that say so, since `input` leads `webhook` to
/// another scheme, host or port and leaves them as they are. None if nothing is carried away.
pub(crate) fn carried_credentials(webhook: &Webhook, input: &WebhookInput) -> Vec<(&'static str, Vec<String>)> {
    let Some(url) = input.url.as_deref() else { return Vec::new() };
    let spec = &webhook.spec;
    if spec.url.as_deref().is_some_and(|old| old == url || origin(old).is_some_and(|old| origin(url) == Some(old))) {
        return Vec::new();
    }
    let stays = |change: &Option<CredentialChange>| matches!(change, None | Some(CredentialChange::Keep));
    let changes = [
        (CredentialField::Password, &input.password),
        (CredentialField::AuthorizationHeader, &input.authorization_header),
    ];
    let carried = changes.into_iter().filter(|(field, change)| field.reference(spec).is_some() && stays(change));
    let message = "The url leads to another scheme, host or port: send this again too, or null to have none.";
    let mut errors: Vec<_> = carried.map(|(field, _)| (field.name(), vec![message.to_owned()])).collect();
    if spec.headers_from.iter().flatten().next().is_some() {
        let message = "The url leads to another scheme, host or port, and the webhook's headersFrom sends Secrets there: \
                       change the url in its manifest.";
        errors.push(("url", vec![message.to_owned()]));
    }
    errors
}

/// The origin of a URL's template; None if it depends on what is rendered, or is none.
fn origin(template: &str) -> Option<Origin> {
    let marks = ["{{", "{%", "{#"];
    let fixed = marks.iter().filter_map(|mark| template.find(mark)).min().unwrap_or(template.len());
    let authority = template.find("//")? + 2;
    let end = template.get(authority..fixed)?.find(['/', '?', '#']).map(|length| authority + length);
    let end = end.or_else(|| (fixed == template.len()).then_some(fixed))?;
    let url = RequestUrl::parse(template.get(..end)?).ok()?;
    let usual = if url.scheme() == "https" { 443 } else { 80 };
    let port = url.authority().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(usual);
    Some(Origin { scheme: url.scheme(), host: url.host().to_owned(), port })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    fn fields(webhook: &Webhook, input: &WebhookInput) -> Vec<&'static str> {
        carried_credentials(webhook, input).into_iter().map(|(field, _)| field).collect()
    }

    fn mk_webhook(spec: &serde_json::Value) -> Webhook {
        let mut all = json!({"triggerType": "resolve"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        Webhook::new("jira", serde_json::from_value(all).unwrap())
    }

    fn to(url: &str) -> WebhookInput {
        WebhookInput { url: Some(url.to_owned()), ..WebhookInput::default() }
    }

    #[test]
    fn credentials_stay_with_the_scheme_host_and_port_that_they_were_given_for() {
        let source = |key: &str| json!({"secretKeyRef": {"name": "jira-credentials", "key": key}});
        let both = json!({"password": source("password"), "authorizationHeader": source("authorization-header")});
        let cases = [
            ("https://a.example/x", "https://a.example/x", false),
            ("https://a.example/x", "https://A.example:443/{{ alert_group_id }}", false),
            ("https://a.example/{{ x }}", "https://a.example?{{ y }}", false),
            ("{{ url }}", "{{ url }}", false),
            ("https://a.example/x", "http://a.example/x", true),
            ("https://a.example/x", "https://a.example:8443/x", true),
            ("https://a.example/x", "https://b.example/x", true),
            ("https://a.example/x", "https://a.example.evil.example/x", true),
            ("https://a.example/x", "https://a.example@evil.example/x", true),
            ("https://a.example/x", r"https://evil.example\@a.example/x", true),
            ("https://a.example/x", "https://a.example{{ x }}/", true),
            ("https://a.example/x", "https://{{ 'evil.example' }}/", true),
            ("https://a.example/x", "{% if 1 %}https://evil.example/{% endif %}https://a.example/", true),
            ("https://a.example/x", "{{ '' }}//a.example/", true),
            ("https://[::1]/x", "https://[::2]/x", true),
            ("{{ url }}", "{{ other }}", true),
        ];
        for (old, new, is_carried) in cases {
            let mut spec = both.clone();
            spec["url"] = old.into();
            let webhook = mk_webhook(&spec);
            let expected: &[_] = if is_carried { &["password", "authorization_header"] } else { &[] };
            assert_eq!(fields(&webhook, &to(new)), expected, "{old} {new}");
            let set = || Some(CredentialChange::Set(SecretString::from("other")));
            let input = WebhookInput {
                password: set(),
                authorization_header: Some(CredentialChange::Clear { blank: false }),
                ..to(new)
            };
            assert!(fields(&webhook, &input).is_empty(), "{old} {new}");
            let input = WebhookInput { password: set(), authorization_header: Some(CredentialChange::Keep), ..to(new) };
            assert_eq!(fields(&webhook, &input), expected.get(1..).unwrap_or_default(), "{old} {new}");
            assert!(fields(&webhook, &WebhookInput::default()).is_empty());
        }
    }

    #[test]
    fn a_url_that_is_a_secret_is_another_and_headers_from_secrets_are_for_the_manifest_to_move() {
        let from = json!({"secretKeyRef": {"name": "chat", "key": "url"}});
        let webhook = mk_webhook(&json!({"urlFrom": from, "password": from}));
        assert_eq!(fields(&webhook, &to("https://a.example/")), ["password"]);
        let header = json!({"name": "X-Key", "secretKeyRef": {"name": "chat", "key": "key"}});
        let webhook = mk_webhook(&json!({"url": "https://a.example/", "headersFrom": [header]}));
        assert_eq!(fields(&webhook, &to("https://b.example/")), ["url"]);
        assert!(fields(&webhook, &to("https://a.example/other")).is_empty());
        let bare = mk_webhook(&json!({"url": "https://a.example/"}));
        assert!(fields(&bare, &to("https://b.example/")).is_empty());
    }
}

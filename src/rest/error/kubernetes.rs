//! Calls of the Kubernetes API that failed, as OnCall would tell of them.

use axum::http::StatusCode;

use super::ApiError;
use crate::{errors::error_chain, kubernetes::objects};

/// Bound on the part of the API server's message that is repeated, in characters.
const MAX_MESSAGE: usize = 2000;

impl From<&objects::Error> for ApiError {
    fn from(error: &objects::Error) -> Self {
        // A conflict is one with other calls, such as those that a quota counts at the same time.
        let Some(status) = error.status().filter(|_| error.is_final() && !error.is_conflict()) else {
            tracing::warn!(
                namespace = error.namespace(),
                kind = error.kind(),
                name = error.name(),
                error = error_chain(error),
                "the API server did not do what a call needs; the call was answered with 503"
            );
            let detail = "The Kubernetes API can't do this at the moment: try again.";
            let after =
                error.status().and_then(|status| status.details.as_ref()).map(|details| details.retry_after_seconds);
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(u64::from(after.unwrap_or(1).max(1)));
        };
        let short = |text: &str| text.chars().take(MAX_MESSAGE).collect::<String>();
        let mut errors: Vec<(String, Vec<String>)> = Vec::new();
        for cause in status.details.iter().flat_map(|details| &details.causes) {
            let Some(field) = api_field(&cause.field) else { continue };
            let message = short(&cause.message);
            match errors.iter_mut().find(|(known, _)| *known == field) {
                Some((_, messages)) => messages.push(message),
                None => errors.push((field, vec![message])),
            }
        }
        match status.code {
            403 => {
                let detail = exceeded_quota(&status.message).unwrap_or_else(|| status.message.clone());
                Self::new(StatusCode::FORBIDDEN, short(&detail))
            }
            _ if !errors.is_empty() => Self::invalid_fields(errors),
            _ => Self::new(StatusCode::BAD_REQUEST, short(&status.message)),
        }
    }
}

/// What a quota's refusal means: which quota, and how much it lets of what. None for other refusals. The API server has this
/// in its message alone:
/// `… is forbidden: exceeded quota: NAME, requested: RESOURCE=N,…, used: RESOURCE=N,…, limited: RESOURCE=N,…`
/// (kubernetes/kubernetes, `apiserver/pkg/admission/plugin/resourcequota/controller.go`).
fn exceeded_quota(message: &str) -> Option<String> {
    let (_, refusal) = message.split_once("exceeded quota: ")?;
    let (name, rest) = refusal.split_once(", requested: ")?;
    let (_, rest) = rest.split_once(", used: ")?;
    let (used, limited) = rest.split_once(", limited: ")?;
    let used: Vec<(&str, &str)> = used.split(',').filter_map(|pair| pair.split_once('=')).collect();
    let full = limited.split(',').filter_map(|pair| {
        let (resource, limit) = pair.split_once('=')?;
        let (_, used) = used.iter().find(|(of, _)| *of == resource)?;
        Some(format!("{resource}, of which there are {used} of {limit}"))
    });
    let full: Vec<String> = full.collect();
    let why = (!full.is_empty()).then(|| full.join("; "))?;
    Some(format!(
        "ResourceQuota {name} of this namespace does not let more be made of {why}: remove some, or raise it."
    ))
}

/// The API's name for a field of the manifest, such as `spec.httpMethod`; `non_field_errors` for the spec as a whole.
fn api_field(path: &str) -> Option<String> {
    let field = path.strip_prefix("spec")?.trim_start_matches('.');
    let name: String = field.chars().take_while(char::is_ascii_alphanumeric).collect();
    Some(match name.as_str() {
        "" => "non_field_errors".to_owned(),
        "enabled" => "is_webhook_enabled".to_owned(),
        name => name.chars().fold(String::new(), |mut snake, c| {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            snake
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_is_used_up_is_named_with_what_it_lets() {
        let refused = |quota: &str| format!(r#"webhooks.oncall.dev "one" is forbidden: {quota}"#);
        let one = "exceeded quota: oncall, requested: count/webhooks.oncall.dev=1, used: count/webhooks.oncall.dev=2, \
                   limited: count/webhooks.oncall.dev=2";
        let two = "exceeded quota: all, requested: count/secrets=1,secrets=1, used: count/secrets=9,secrets=8, \
                   limited: count/secrets=9,secrets=8";
        let text = |of: &str| Some(format!("ResourceQuota {of}: remove some, or raise it."));
        assert_eq!(
            exceeded_quota(&refused(one)),
            text(
                "oncall of this namespace does not let more be made of count/webhooks.oncall.dev, of which there are 2 of 2"
            )
        );
        assert_eq!(
            exceeded_quota(&refused(two)),
            text(
                "all of this namespace does not let more be made of count/secrets, of which there are 9 of 9; secrets, of \
                 which there are 8 of 8"
            )
        );
        for other in [refused("User ann cannot create resource"), refused("exceeded quota: oncall"), String::new()] {
            assert_eq!(exceeded_quota(&other), None, "{other}");
        }
    }

    #[test]
    fn fields_of_the_manifest_have_the_names_of_the_api() {
        let cases = [
            ("spec.url", Some("url")),
            ("spec.httpMethod", Some("http_method")),
            ("spec.enabled", Some("is_webhook_enabled")),
            ("spec.integrationFilter[0]", Some("integration_filter")),
            ("spec", Some("non_field_errors")),
            ("metadata.name", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(api_field(path).as_deref(), expected, "{path}");
        }
    }
}

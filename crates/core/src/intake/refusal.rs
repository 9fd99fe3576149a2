//! The answers to what is not taken: OnCall's codes and bodies, and words of ours where OnCall ends in a 500.

use serde_json::json;

use super::IntegrationType;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer that says why an alert is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The `Content-Type` of the body. OnCall's plain texts say `text/html`, ours what they are.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Refusal {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: TEXT, body: body.into() }
    }

    /// A body of the form `{"detail": "…"}`, as Django REST framework makes it.
    pub fn detail(status: u16, detail: &str) -> Self {
        Self { status, content_type: JSON, body: json!({ "detail": detail }).to_string() }
    }

    /// 403: no Integration, or more than one, has this token.
    pub fn unknown_token() -> Self {
        Self::text(403, "Integration key was not found. Permission denied.")
    }

    /// 400: the token is one of an Integration of another type than the address says. `address` is the address' word.
    pub fn wrong_type(address: &str, integration: IntegrationType) -> Self {
        let name = integration.display_name();
        // OnCall's view for any type leaves out the space.
        let space = if address.parse().is_ok_and(IntegrationType::sends_groups) { " " } else { "" };
        Self::text(400, format!("This url is for integration with {name}.{space}Key is for {name}"))
    }

    /// 400: the body is the JSON `null`.
    pub fn no_payload() -> Self {
        Self::text(400, "Payload is required")
    }

    /// 400: the body is a form with files.
    pub fn file_upload() -> Self {
        Self::text(400, "File uploads are not allowed")
    }

    /// 415: the body is of a type that is not read.
    pub fn unsupported_media_type(content_type: &str) -> Self {
        Self::detail(415, &format!("Unsupported media type \"{content_type}\" in request."))
    }

    /// 400: the body is no JSON that can be read.
    pub(super) fn not_json(message: &str) -> Self {
        Self::detail(400, &format!("JSON parse error - {message}"))
    }
}

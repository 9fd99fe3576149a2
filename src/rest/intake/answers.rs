//! What sources are answered: as OnCall does, and 503 where the same alert is to be sent again.

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    core::intake::{Refusal, TAKEN},
    metrics::IntakeOutcome,
    rest::{error::ApiError, json_response::json_response},
};

/// After how many seconds an alert is to be sent again that could not be taken.
const AGAIN: u64 = 5;

/// Why an alert was not taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Declined {
    /// It will not be taken later either.
    Refused(Refusal),
    /// The Integration is suspended: it takes nothing for now.
    Suspended,
    /// So many alert groups of its namespace are open that no other may be opened.
    TooManyOpen,
    /// The Integration has sent too much in this minute, or somebody too many tokens that nobody has.
    TooOften(ApiError),
    /// The call failed, or has to wait.
    Failed(ApiError),
}

impl Declined {
    /// What became of the call, for metrics.
    pub(super) fn outcome(&self) -> IntakeOutcome {
        let status = match self {
            Self::Suspended => return IntakeOutcome::Suspended,
            Self::TooManyOpen => return IntakeOutcome::TooManyOpen,
            Self::TooOften(_) => return IntakeOutcome::RateLimited,
            Self::Refused(refusal) => refusal.status,
            Self::Failed(error) => error.status.as_u16(),
        };
        match status {
            403 => IntakeOutcome::UnknownToken,
            413 => IntakeOutcome::TooLarge,
            400..=499 => IntakeOutcome::Invalid,
            _ => IntakeOutcome::Unavailable,
        }
    }
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ApiError> for Declined {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// 503: the same alert may be taken in a while.
pub(super) fn later(why: &str) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why).after(AGAIN)
}

/// The same with the time after which sources come again, if it says that they should.
pub(super) fn later_if_unavailable(error: ApiError) -> ApiError {
    if error.status == StatusCode::SERVICE_UNAVAILABLE { error.after(AGAIN) } else { error }
}

/// 200: the API server has it.
pub(super) fn taken() -> Response {
    json_response(StatusCode::OK, TAKEN)
}

impl IntoResponse for Declined {
    fn into_response(self) -> Response {
        match self {
            Self::Suspended => later("This integration is suspended: it takes no alerts for now.").into_response(),
            Self::TooManyOpen => {
                later("Too many alert groups of this namespace are open: resolve some.").into_response()
            }
            Self::TooOften(error) | Self::Failed(error) => error.into_response(),
            Self::Refused(Refusal { status, content_type, body }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
            }
        }
    }
}

/// 200: the API server has the heartbeat, in OnCall's forms.
pub(super) fn alive(method: &Method) -> Response {
    if *method == Method::POST { StatusCode::OK.into_response() } else { json_response(StatusCode::OK, r#"":)""#) }
}

/// Adds the methods that an address has.
pub(super) fn with_allow(mut response: Response, allowed: &'static str) -> Response {
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declined_says_whether_and_when_to_come_again_and_counts_as_what_it_is() {
        let headers = |declined: Declined| {
            let response = declined.into_response();
            let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), text(header::CONTENT_TYPE), text(header::RETRY_AFTER))
        };
        let (json, text) = (Some("application/json".to_owned()), Some("text/plain; charset=utf-8".to_owned()));
        let seconds = |seconds: &str| Some(seconds.to_owned());
        let full = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "full");
        let cases: [(Declined, _, _); 9] = [
            (Refusal::unknown_token().into(), IntakeOutcome::UnknownToken, (403, text, None)),
            (Refusal::detail(400, "no").into(), IntakeOutcome::Invalid, (400, json.clone(), None)),
            (Refusal::unsupported_media_type("x").into(), IntakeOutcome::Invalid, (415, json.clone(), None)),
            (later("wait").into(), IntakeOutcome::Unavailable, (503, json.clone(), seconds("5"))),
            (
                later_if_unavailable(later("wait").after(1)).into(),
                IntakeOutcome::Unavailable,
                (503, json.clone(), seconds("5")),
            ),
            (Declined::Suspended, IntakeOutcome::Suspended, (503, json.clone(), seconds("5"))),
            (Declined::TooManyOpen, IntakeOutcome::TooManyOpen, (503, json.clone(), seconds("5"))),
            (later_if_unavailable(full()).into(), IntakeOutcome::TooLarge, (413, json.clone(), None)),
            (Declined::TooOften(ApiError::throttled(7)), IntakeOutcome::RateLimited, (429, json, seconds("7"))),
        ];
        for (declined, outcome, expected) in cases {
            assert_eq!(declined.outcome(), outcome, "{declined:?}");
            assert_eq!(headers(declined.clone()), expected, "{declined:?}");
        }
    }
}

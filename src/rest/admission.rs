//! The admission webhook: the API server asks it about Webhooks and Integrations that are written, and refuses those whose templates
//! can't work. Nothing depends on it: what it is not asked about, or does not answer in time, is written all the same, and its status
//! says what is wrong.
//!
//! ```text
//! kubectl apply ─► API server ─► server (a port and a certificate of its own) ─► review ─┬─► judging, on the rendering pool
//!                                                                                        └─► allowed: nothing to judge
//! ```
//! - `review`: from what is asked to what is judged, and from what was found to the answer
//! - `judging`: what is refused, and what is warned of
//!
//! Whoever reaches the port may ask. Therefore bodies, the values in them and the time of an answer are bounded, and all that is asked
//! has one turn among the namespaces whose templates are rendered.

mod judging;
mod review;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use kube::core::{DynamicObject, admission::AdmissionReview};
use tokio::time::{Instant, sleep, timeout_at};

use self::{
    judging::Verdict,
    review::{Review, question},
};
use super::{
    body::{self, values_in},
    error::ApiError,
    json_response::json_response,
    permits::Permits,
};
use crate::{
    config::AdmissionListen,
    errors::error_chain,
    rendering::RenderingPool,
    server::{Bounds, Server, Waiting},
};

/// What the port is called, in logs and errors.
const PORT: &str = "admission webhook";
/// Where the API server asks.
const PATH: &str = "/validate";
/// Bound on an answer. The chart has the API server wait a second more.
const ANSWER: Duration = Duration::from_secs(4);
/// How long to wait for a certificate that is not there, or after the port could not be served.
const AGAIN: Duration = Duration::from_secs(5);
/// Bounds on the connections of the port, and on the memory for what is sent before it is read, in bytes. An API server has a
/// connection or two.
const CONNECTIONS: usize = 32;
const MEMORY: usize = 16 * 1024 * 1024;
/// Bound on the memory for the bodies of what is asked, in KiB.
const BODIES: u32 = 8 * 1024;
/// Bound on the values of one: each takes many times what it takes in the text. The largest Webhook with what is noted of who wrote
/// which field has a tenth of that.
const MOST_VALUES: usize = 20_000;
/// Whose turn it is on the rendering pool, and whose bodies are in memory: no namespace's name. Whoever asks chooses the namespace.
const TURN: &str = "/admission";

/// Answers what the API server asks.
pub(super) struct Admission {
    bodies: Permits,
    rendering: RenderingPool,
    answer: Duration,
}

/// Where it is served.
pub(super) struct Place {
    address: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    /// None if there is none.
    ///
    /// # Errors
    /// The certificate or its key is not named.
    pub(super) fn of(listen: AdmissionListen) -> Result<Option<Self>> {
        let AdmissionListen { admission_address, admission_certificate, admission_key } = listen;
        match (admission_address, admission_certificate, admission_key) {
            (None, ..) => Ok(None),
            (Some(address), Some(certificate), Some(key)) => Ok(Some(Self { address, certificate, key })),
            _ => anyhow::bail!(
                "serve the admission webhook: give --admission-certificate and --admission-key with --admission-address"
            ),
        }
    }
}

impl Admission {
    pub(super) fn new(rendering: RenderingPool) -> Self {
        let bodies = Permits::new(BODIES, BODIES, "Too many reviews are being read: try again.");
        Self { bodies, rendering, answer: ANSWER }
    }

    /// Serves the port for ever. While its certificate is not there, nobody listens, so that the API server does not wait for an answer.
    pub(super) async fn serve(self, place: Place) -> Infallible {
        let router = router(Arc::new(self));
        let mut told = None;
        loop {
            let error = match place.serve(router.clone()).await {
                Ok(never) => match never {},
                Err(error) => error_chain(error.as_ref()),
            };
            if told.as_ref() != Some(&error) {
                tracing::warn!(error, "the admission webhook is not served; trying again every {AGAIN:?}");
                told = Some(error);
            }
            sleep(AGAIN).await;
        }
    }
}

impl Place {
    async fn serve(&self, router: Router) -> Result<Infallible> {
        let bounds = Bounds::within(MEMORY, CONNECTIONS, Vec::new());
        let server = Server::secured(self.address, (&self.certificate, &self.key), PORT, bounds).await?;
        tracing::info!(address = %server.local_addr()?, "admission webhook");
        server.serve(router, std::future::pending()).await?;
        anyhow::bail!("it ended by itself")
    }
}

fn router(admission: Arc<Admission>) -> Router {
    Router::new().route(PATH, post(answer)).with_state(admission)
}

async fn answer(State(admission): State<Arc<Admission>>, request: Request) -> Response {
    let answer = review(&admission, request).await.and_then(|review| {
        let text = serde_json::to_vec(&review).map_err(|_| ApiError::internal())?;
        Ok(json_response(StatusCode::OK, text))
    });
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// Answers a review.
///
/// # Errors
/// It is none, is too large, or does not come in time.
async fn review(admission: &Admission, request: Request) -> Result<AdmissionReview<DynamicObject>, ApiError> {
    let deadline = Instant::now() + admission.answer;
    let (mut parts, body) = request.into_parts();
    let turn = Arc::from(TURN);
    let reading = body::read(&admission.bodies, &turn, body);
    let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "The review did not come in time.");
    let (bytes, memory) = timeout_at(deadline, reading).await.map_err(late)??;
    // From here on the bound on bodies holds: one API server asks about many objects at a time.
    parts.extensions.remove::<Waiting>();
    if values_in(&bytes) > MOST_VALUES {
        let detail = format!("The review has more than {MOST_VALUES} values.");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let read = Review::read(&bytes);
    drop(bytes);
    let review = read.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error))?;
    let Some(question) = question(&review) else { return Ok(review.answer(Verdict::default())) };
    let judging = admission.rendering.try_run(TURN, move || {
        // Kept to the end of the work, also when nobody waits for it any more.
        let _memory = memory;
        question.verdict()
    });
    let verdict = match timeout_at(deadline, judging).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => {
            tracing::error!("judging for the admission webhook ended early: the panic is in the log");
            Verdict::unjudged("an error of oncall-webhooks, which is in its log")
        }
        Err(_) => Verdict::unjudged("that takes too long, or too much else is asked"),
    };
    Ok(review.answer(verdict))
}

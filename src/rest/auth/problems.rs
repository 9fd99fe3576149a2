//! Tells people what is wrong with their Secrets of API tokens: as Events of these, in their own namespaces.

use std::time::Duration;

use futures::{StreamExt, channel::mpsc};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::time::{sleep, timeout};

use super::tokens::SecretProblem;
use crate::errors::error_chain;

/// Bound on the problems that wait to be told; more of them stand in the log alone.
pub(crate) const QUEUE: usize = 64;
/// The time between two Events. Whoever changes Secrets all the time makes no more of them.
const PACE: Duration = Duration::from_millis(100);
/// Bound on the writing of one Event.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Writes an Event of each problem that comes. The same one again within some minutes only raises the Event's count.
pub(crate) async fn tell(client: Client, mut problems: mpsc::Receiver<SecretProblem>) {
    let recorder = Recorder::new(client, Reporter::from("oncall-webhooks-api"));
    while let Some(problem) = problems.next().await {
        let (event, secret) = (event(&problem), reference(&problem));
        let failure = match timeout(TIMEOUT, recorder.publish(&event, &secret)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        if let Some(error) = failure {
            let secret = problem.secret.to_string();
            tracing::warn!(
                secret,
                error,
                "failed to write a Kubernetes Event of this Secret; its problem stands in this log"
            );
        }
        sleep(PACE).await;
    }
}

fn event(problem: &SecretProblem) -> Event {
    Event {
        type_: EventType::Warning,
        reason: "TokenNotUsable".to_owned(),
        note: Some(problem.text()),
        action: "ReadToken".to_owned(),
        secondary: None,
    }
}

fn reference(problem: &SecretProblem) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        namespace: Some(problem.secret.namespace.to_string()),
        name: Some(problem.secret.name.to_string()),
        uid: problem.uid.clone(),
        ..ObjectReference::default()
    }
}

//! Tells people what is wrong with their Secrets of API tokens: as Events of these, in their own namespaces.

use std::time::Duration;

use futures::{StreamExt, channel::mpsc};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType},
};
use tokio::time::sleep;

use super::tokens::SecretProblem;
use crate::kubernetes::events::EventWriter;

/// Bound on the problems that wait to be told; more of them stand in the log alone.
pub(crate) const QUEUE: usize = 64;
/// The time between two Events. Whoever changes Secrets all the time makes no more of them.
const PACE: Duration = Duration::from_millis(100);

/// Writes an Event of each problem that comes.
pub(crate) async fn tell(client: Client, mut problems: mpsc::Receiver<SecretProblem>) {
    let writer = EventWriter::new(client, "oncall-webhooks-api");
    while let Some(problem) = problems.next().await {
        writer.write(event(&problem), &reference(&problem)).await;
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

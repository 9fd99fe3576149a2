//! The authorities that a webhook trusts, and the certificate that it shows.

use kube::api::{Patch, PatchParams};
use oncall_webhooks::resources::{Condition, ConditionStatus, ResponsePhase, Webhook, WebhookResponseStatus};
use serde_json::{Value, json};
use support::{Answer, Authority, Client, Issued, TlsReceiver};

use crate::harness::{Temporary, World};

const NO_CONTENT: &str = "HTTP/1.1 204 No Content";

async fn world(name: &str) -> World {
    World::with_receiver(name, |_| Answer::new(500, "not over TLS")).await
}

/// A receiver at 127.0.0.1 and localhost whose certificate `authority` has signed.
async fn receiver(authority: &Authority, client: Client) -> TlsReceiver {
    let issued = authority.issue(&["127.0.0.1", "localhost"]).expect("issue a certificate");
    TlsReceiver::start(&issued, authority, client, NO_CONTENT).await.expect("start a receiver")
}

/// A webhook for `url` that tries once.
async fn webhook(world: &World, name: &str, url: &str, tls: Value) {
    let spec = json!({"url": url, "tls": tls, "retry": {"maxAttempts": 1}});
    world.seen_webhook(name, "resolve", spec).await;
}

/// Applies a Secret that webhooks may name.
async fn secret(world: &World, name: &str, data: &[(&str, &str)]) {
    let data: serde_json::Map<_, _> = data.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"oncall.dev/secret": "true"}},
        "stringData": data,
    });
    world.apply(&secret.to_string()).await;
}

async fn client_secret(world: &World, issued: &Issued) {
    secret(world, "client", &[("tls.crt", &issued.certificate), ("tls.key", &issued.key)]).await;
}

/// Waits until Ready says this of the webhook's last generation, and returns all conditions.
async fn ready(world: &World, name: &str, reason: &str, message: &str) -> Vec<Condition> {
    world
        .object_that(&format!("{name} is {reason}: {message}"), name, |webhook: Option<&Webhook>| {
            let webhook = webhook?;
            let conditions = &webhook.status.as_ref()?.conditions;
            let is_it = |condition: &Condition| {
                condition.type_ == "Ready"
                    && condition.observed_generation == webhook.metadata.generation
                    && (condition.reason.as_str(), condition.message.as_str()) == (reason, message)
            };
            conditions.iter().any(is_it).then(|| conditions.clone())
        })
        .await
}

const VALID: (&str, &str) = ("Valid", "Runs when its trigger fires");

/// Creates an event, and returns the record of the one webhook's run for it.
async fn run(world: &World, event: &str) -> WebhookResponseStatus {
    world.event(event, "resolve", event, json!({})).await;
    world.completed(event, 1).await;
    let found = world.responses().await.into_iter().find(|((_, of), _)| of == event);
    found.and_then(|(_, response)| response.status).expect("a recorded run")
}

/// Phase, status code and content of that.
async fn outcome(world: &World, event: &str) -> (ResponsePhase, Option<u16>, String) {
    let status = run(world, event).await;
    (status.phase, status.status_code, status.content.unwrap_or_default())
}

fn sent() -> (ResponsePhase, Option<u16>, String) {
    (ResponsePhase::Succeeded, Some(204), String::new())
}

fn failed(content: &str) -> (ResponsePhase, Option<u16>, String) {
    (ResponsePhase::Failed, None, content.to_owned())
}

const UNKNOWN: &str = "TLS with 127.0.0.1 failed: invalid peer certificate: UnknownIssuer";

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_trusted_where_a_secret_names_it_and_the_next_run_knows_a_change_of_it() {
    let world = world("tls-authority").await;
    let [ours, theirs] = ["ours", "theirs"].map(|name| Authority::new(name).expect("make an authority"));
    let receiver = receiver(&ours, Client::Asked).await;
    webhook(&world, "hook", &receiver.url("127.0.0.1"), json!({})).await;
    assert_eq!(outcome(&world, "systems").await, failed(UNKNOWN));

    let patch = Patch::Merge(json!({"spec": {"tls": {"caSecretRef": {"name": "ca"}}}}));
    world.api::<Webhook>().patch("hook", &PatchParams::default(), &patch).await.expect("patch Webhook");
    let absent = "spec.tls.caSecretRef: Secret 'ca' does not exist or lacks the label oncall.dev/secret=true";
    ready(&world, "hook", "SecretNotFound", absent).await;

    secret(&world, "ca", &[("ca.crt", &theirs.pem())]).await;
    ready(&world, "hook", VALID.0, VALID.1).await;
    assert_eq!(outcome(&world, "theirs").await, failed(UNKNOWN));

    secret(&world, "ca", &[("ca.crt", "c2VjcmV0")]).await;
    let fault = "tls.caSecretRef: Key 'ca.crt' of Secret 'ca' has no certificate in PEM";
    ready(&world, "hook", "SecretInvalid", &format!("spec.{fault}")).await;
    assert_eq!(outcome(&world, "broken").await, failed(fault));
    assert_eq!(receiver.received(), []);

    secret(&world, "ca", &[("ca.crt", &format!("{}{}", theirs.pem(), ours.pem()))]).await;
    ready(&world, "hook", VALID.0, VALID.1).await;
    assert_eq!(outcome(&world, "ours").await, sent());
    assert_eq!(receiver.clients(), [None]);

    secret(&world, "ca", &[("ca.crt", "c2VjcmV0")]).await;
    ready(&world, "hook", "SecretInvalid", &format!("spec.{fault}")).await;
    secret(&world, "ca", &[("ca.crt", &theirs.pem())]).await;
    ready(&world, "hook", VALID.0, VALID.1).await;
    assert_eq!(outcome(&world, "theirs-again").await, failed(UNKNOWN));
    assert_eq!(receiver.clients(), [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_shown_to_a_receiver_that_asks_and_the_next_run_shows_a_new_one() {
    let world = world("tls-client").await;
    let ours = Authority::new("ours").expect("make an authority");
    let receiver = receiver(&ours, Client::Required).await;
    let [ann, bob] = ["ann", "bob"].map(|name| ours.issue(&[name]).expect("issue a certificate"));
    secret(&world, "ca", &[("own", &ours.pem())]).await;
    client_secret(&world, &ann).await;
    let tls = json!({"caSecretRef": {"name": "ca", "key": "own"}, "clientCertSecretRef": {"name": "client"}});
    webhook(&world, "hook", &receiver.url("127.0.0.1"), tls).await;
    ready(&world, "hook", VALID.0, VALID.1).await;
    assert_eq!(outcome(&world, "ann").await, sent());

    // One half of the new pair.
    secret(&world, "client", &[("tls.crt", &bob.certificate), ("tls.key", &ann.key)]).await;
    let fault = "tls.clientCertSecretRef: Key 'tls.key' of Secret 'client' does not belong to the certificate in key \
                 'tls.crt'";
    ready(&world, "hook", "SecretInvalid", &format!("spec.{fault}")).await;
    assert_eq!(outcome(&world, "half").await, failed(fault));

    client_secret(&world, &bob).await;
    ready(&world, "hook", VALID.0, VALID.1).await;
    assert_eq!(outcome(&world, "bob").await, sent());
    assert_eq!(receiver.clients(), [Some(ann.der), Some(bob.der)]);

    let patch = Patch::Merge(json!({"spec": {"tls": {"clientCertSecretRef": null}}}));
    let patched = world.api::<Webhook>().patch("hook", &PatchParams::default(), &patch).await.expect("patch Webhook");
    world
        .object_that("the change is seen", "hook", |webhook: Option<&Webhook>| {
            (webhook?.status.as_ref()?.observed_generation == patched.metadata.generation).then_some(())
        })
        .await;
    let refused = failed("TLS with 127.0.0.1 failed: received fatal alert: CertificateRequired");
    assert_eq!(outcome(&world, "nobody").await, refused);

    let everything = world.everything().await;
    for key in [&ann.key, &bob.key] {
        let line = key.lines().nth(1).expect("a key of some lines");
        assert!(!everything.contains(line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_does_not_look_at_certificates_sends_and_a_condition_warns_while_it_lasts() {
    let world = world("tls-insecure").await;
    let ours = Authority::new("ours").expect("make an authority");
    let receiver = receiver(&ours, Client::Asked).await;
    webhook(&world, "hook", &receiver.url("127.0.0.1"), json!({"insecureSkipVerify": true})).await;
    let conditions = ready(&world, "hook", VALID.0, VALID.1).await;
    let shown = |conditions: &[Condition]| {
        let fields = |condition: &Condition| {
            (condition.type_.clone(), condition.status, condition.reason.clone(), condition.message.clone())
        };
        conditions.iter().map(fields).collect::<Vec<_>>()
    };
    let is_ready =
        ("Ready".to_owned(), ConditionStatus::True, "Valid".to_owned(), "Runs when its trigger fires".to_owned());
    let warning = (
        "InsecureTLS".to_owned(),
        ConditionStatus::True,
        "VerificationSkipped".to_owned(),
        "spec.tls.insecureSkipVerify: whoever is on the way can read and change what is sent".to_owned(),
    );
    assert_eq!(shown(&conditions), [is_ready.clone(), warning]);
    assert_eq!(outcome(&world, "insecure").await, sent());

    let patch = Patch::Merge(json!({"spec": {"tls": {"insecureSkipVerify": false}}}));
    world.api::<Webhook>().patch("hook", &PatchParams::default(), &patch).await.expect("patch Webhook");
    let conditions = ready(&world, "hook", VALID.0, VALID.1).await;
    assert_eq!(shown(&conditions), [is_ready]);
    assert_eq!(outcome(&world, "secure").await, failed(UNKNOWN));
    assert_eq!(receiver.clients(), [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_that_a_redirect_leads_to_is_shown_no_certificate_and_has_the_systems_authorities() {
    let [ours, systems] = ["ours", "systems"].map(|name| Authority::new(name).expect("make an authority"));
    let other = receiver(&systems, Client::Asked).await;
    // One that the system does not know, though the webhook does.
    let stranger = receiver(&ours, Client::Asked).await;
    let ann = ours.issue(&["ann"]).expect("issue a certificate");
    let redirect = async |location: String| {
        let issued = ours.issue(&["127.0.0.1"]).expect("issue a certificate");
        let answer = format!("HTTP/1.1 307 Temporary Redirect\nLocation: {location}");
        TlsReceiver::start(&issued, &ours, Client::Required, &answer).await.expect("start a receiver")
    };
    let to_other = redirect(other.url("localhost")).await;
    let to_stranger = redirect(stranger.url("localhost")).await;
    let bundle = Temporary::new(&systems.pem());
    let world = World::in_environment(
        "tls-redirect",
        &[("SSL_CERT_FILE", &bundle.path())],
        &["--allow-address=::1".to_owned()],
    )
    .await;
    secret(&world, "ca", &[("ca.crt", &ours.pem())]).await;
    client_secret(&world, &ann).await;
    let tls = json!({"caSecretRef": {"name": "ca"}, "clientCertSecretRef": {"name": "client"}});
    webhook(&world, "to-other", &to_other.url("127.0.0.1"), tls.clone()).await;
    webhook(&world, "to-stranger", &to_stranger.url("127.0.0.1"), tls).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;
    let found = async |name: &str| {
        let status = world.response(name).await;
        (status.phase, status.status_code, status.content.unwrap_or_default())
    };
    assert_eq!(found("to-other").await, sent());
    let unknown = "TLS with localhost failed: invalid peer certificate: UnknownIssuer";
    assert_eq!(found("to-stranger").await, failed(unknown));
    let shown = vec![Some(ann.der)];
    assert_eq!((to_other.clients(), to_stranger.clients()), (shown.clone(), shown));
    assert_eq!((other.clients(), stranger.clients()), (vec![None], Vec::new()));
}

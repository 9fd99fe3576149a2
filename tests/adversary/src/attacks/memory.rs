//! Memory: small objects that make the process hold much.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use serde_json::{Value, json};
use support::Answer;

use super::{Attack, NOTHING, at};
use crate::ground::{Side, event, object, secret, token_secret};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("large-bodies", "100 webhooks that forward all of a 1.4 MB event to a slow receiver", |side| {
            large_bodies(side).boxed_local()
        }),
        Attack::new("cross-responses", "48 webhooks that read each other's responses of 48 KB", |side| {
            cross_responses(side).boxed_local()
        }),
        Attack::new("suspended-backlog", "400 suspended webhooks and 1 500 events", |side| {
            suspended(side).boxed_local()
        }),
        Attack::new("large-headers", "64 headers of 1 MB from a Secret, in 4 webhooks", |side| {
            large_headers(side).boxed_local()
        }),
        Attack::new("patterns", "templates that make many large patterns, in four fields", |side| {
            patterns(side).boxed_local()
        }),
        Attack::new("patterns-over-rest", "the same in a webhook that is sent to the REST API", |side| {
            patterns_over_rest(side).boxed_local()
        })
        .on_api()
        .without_webhooks(),
        Attack::new("labelled-secrets", "300 Secrets of 1 MB with the label, at the start", |side| {
            labelled_secrets(side).boxed_local()
        })
        .before_start(),
        Attack::new("token-secrets", "120 token Secrets of 1 MB, at the start", |side| {
            token_secrets(side).boxed_local()
        })
        .on_api()
        .before_start(),
        Attack::new("large-responses", "300 responses of 600 KB, at the start", |side| {
            large_responses(side).boxed_local()
        })
        .before_start(),
        Attack::new("large-responses-api", "the same, at the start of the REST API", |side| {
            large_responses(side).boxed_local()
        })
        .on_api()
        .before_start(),
        Attack::new("finished-events", "320 finished events of 1 MB, at the start", |side| {
            finished_events(side).boxed_local()
        })
        .before_start(),
    ]
}

fn slow(seconds: u64) -> Answer {
    Answer { delay: Duration::from_secs(seconds), ..Answer::new(200, "ok") }
}

async fn large_bodies(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(50)).await?;
    side.create_all(100, |number| {
        side.webhook(&format!("large-{number}"), json!({"url": at(&url, number), "forwardAll": true, "timeout": "60s"}))
    })
    .await?;
    side.event("large", "I1", json!({"text": "é".repeat(690_000)})).await?;
    Ok(NOTHING)
}

async fn cross_responses(side: &Side) -> Result<Vec<String>> {
    let answer = "é".repeat(24_000);
    let url = side.listen(move |_| Answer::new(200, answer.clone())).await?;
    side.create_all(48, |number| {
        let data = "{% for id in responses %}{{ responses[id] }}{% endfor %}";
        let spec = json!({"url": at(&url, number), "forwardAll": false, "data": data, "timeout": "30s"});
        side.webhook(&format!("cross-{number}"), spec)
    })
    .await?;
    for number in 0..4 {
        side.event(&format!("cross-{number}"), "I1", json!({})).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(NOTHING)
}

async fn suspended(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(0)).await?;
    side.create_all(400, |number| {
        side.webhook(&format!("suspended-{number}"), json!({"url": at(&url, number), "suspend": true}))
    })
    .await?;
    side.create_all(1500, |number| event(&format!("waiting-{number}"), &format!("I{number}"), json!({}))).await?;
    Ok(NOTHING)
}

async fn large_headers(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(20)).await?;
    side.secret("large", &"a".repeat(1_000_000)).await?;
    let headers: Vec<Value> = (0..64)
        .map(|number| json!({"name": format!("X-{number}"), "secretKeyRef": {"name": "large", "key": "v"}}))
        .collect();
    side.create_all(4, |number| {
        side.webhook(&format!("headers-{number}"), json!({"url": at(&url, number), "headersFrom": headers}))
    })
    .await?;
    for number in 0..4 {
        side.event(&format!("headers-{number}"), &format!("I{number}"), json!({})).await?;
    }
    Ok(NOTHING)
}

/// A template of many patterns, each of which is compiled to much.
fn many_patterns(filter: &str) -> String {
    format!(
        "{{% for i in 'x' * 32 %}}{{% if alert_payload.text | {filter}(\"[\\\\w]{{1,80}}\" ~ loop.index) %}}x{{% endif %}}\
         {{% endfor %}}"
    )
}

async fn patterns(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(0)).await?;
    side.create_all(24, |number| {
        let (search, matching) = (many_patterns("regex_search"), many_patterns("regex_match"));
        let spec = json!({
            "url": format!("{url}/{{{{ 1 }}}}{search}"),
            "headers": format!("{{\"X-A\": \"{}\"}}", matching.replace('"', "'")),
            "data": search,
            "forwardAll": false,
            "triggerTemplate": format!("{matching}1"),
        });
        side.webhook(&format!("patterns-{number}"), spec)
    })
    .await?;
    for number in 0..10 {
        let payload = json!({"text": "a".repeat(40_000)});
        side.event(&format!("patterns-{number}"), &format!("I{number}"), payload).await?;
    }
    Ok(NOTHING)
}

async fn patterns_over_rest(side: &Side) -> Result<Vec<String>> {
    let Some(api) = side.doors.and_then(|doors| doors.api) else { return Ok(NOTHING) };
    let text =
        "{% set t = 'a' * 40000 %}".to_owned() + &many_patterns("regex_search").replace("alert_payload.text", "t");
    side.each(8, async |number| {
        let body = json!({
            "name": format!("patterns {number}"), "url": "https://example.com/", "http_method": "POST",
            "trigger_type": "resolve", "trigger_template": text, "headers": text, "data": text, "forward_all": false,
        });
        let request = crate::sockets::request("POST", "/api/v1/webhooks/", &side.token, Some(&body.to_string()));
        // Whatever is answered.
        let _ = crate::sockets::call(crate::sockets::ATTACKER, api, &request).await;
        Ok(())
    })
    .await?;
    Ok(NOTHING)
}

async fn labelled_secrets(side: &Side) -> Result<Vec<String>> {
    let value = "a".repeat(1_000_000);
    side.create_all(300, |number| secret(&format!("large-{number}"), &value)).await?;
    Ok(NOTHING)
}

async fn token_secrets(side: &Side) -> Result<Vec<String>> {
    let value = "a".repeat(1_000_000);
    side.create_all(120, |number| token_secret(&format!("large-{number}"), "token", &value)).await?;
    Ok(NOTHING)
}

async fn large_responses(side: &Side) -> Result<Vec<String>> {
    // No field may have more than 256 KiB.
    let text = "a".repeat(200_000);
    side.each(300, async |number| {
        let name = format!("large-{number}");
        let spec = json!({
            "webhookRef": {"name": "large", "id": "WHLARGELARGE2"}, "eventRef": {"name": name, "uid": name},
            "alertGroupId": format!("I{number}"), "triggerType": "resolve",
        });
        side.create(&object("WebhookResponse", &name, json!({ "spec": spec }))).await?;
        let status = json!({
            "phase": "Succeeded", "statusCode": 200, "timestamp": "2026-01-01T00:00:00Z", "content": text, "requestData": text,
            "eventData": text,
        });
        let patch = object("WebhookResponse", &name, json!({ "status": status }));
        side.hands.patch(&side.namespace, &patch, "/status").await.map(drop)
    })
    .await?;
    Ok(NOTHING)
}

async fn finished_events(side: &Side) -> Result<Vec<String>> {
    let text = "a".repeat(1_000_000);
    side.each(320, async |number| {
        let name = format!("finished-{number}");
        side.event(&name, &format!("I{number}"), json!({ "text": text })).await?;
        let status = json!({"phase": "Completed", "matched": 0, "succeeded": 0, "failed": 0, "skipped": 0});
        let patch = object("AlertGroupEvent", &name, json!({ "status": status }));
        side.hands.patch(&side.namespace, &patch, "/status").await.map(drop)
    })
    .await?;
    Ok(NOTHING)
}

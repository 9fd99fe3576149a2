//! More of the kinds above, that nobody has asked for.

use std::time::Duration;

use anyhow::Result;
use futures::{FutureExt, future::ready};
use serde_json::{Value, json};
use support::Answer;
use tokio::io::AsyncWriteExt;

use super::{Attack, NOTHING, at, doors::api};
use crate::{
    ground::{Side, event, object, secret},
    sockets::{self, ATTACKER},
};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("wide-payloads", "8 events whose payloads have 400 000 numbers each, for 20 webhooks", |side| {
            wide_payloads(side).boxed_local()
        }),
        Attack::new("long-outputs", "30 webhooks whose templates print 3 MB", |side| long_outputs(side).boxed_local()),
        Attack::new("large-answers", "100 endpoints that answer with 900 KB, again and again", |side| {
            large_answers(side).boxed_local()
        }),
        Attack::new("many-cookies", "endpoints that redirect for ever and set large cookies", |side| {
            many_cookies(side).boxed_local()
        }),
        Attack::new("retry-backlog", "1 000 events for 20 webhooks whose endpoint answers 503", |side| {
            retry_backlog(side).boxed_local()
        }),
        Attack::new("one-group", "1 500 events of one alert group, for a webhook that never is answered", |side| {
            one_group(side).boxed_local()
        }),
        Attack::new("redeliver-storm", "50 responses that are asked for again, without end", |side| {
            redeliver_storm(side).boxed_local()
        }),
        Attack::new("label-flips", "a Secret of 1 MB for 100 webhooks, whose label comes and goes", |side| {
            label_flips(side).boxed_local()
        }),
        Attack::new("many-keys", "40 Secrets with 10 000 keys each", |side| many_keys(side).boxed_local()),
        Attack::new("long-names", "400 events with long labels, ids and users", |side| long_names(side).boxed_local()),
        Attack::new("large-webhooks", "400 webhooks of 200 KB, at the start", |side| {
            large_webhooks(side).boxed_local()
        })
        .before_start(),
        Attack::new("large-webhooks-api", "the same, at the start of the REST API", |side| {
            large_webhooks(side).boxed_local()
        })
        .on_api()
        .before_start(),
        Attack::new("slow-readers", "60 callers who ask for lists and don't read them", |side| {
            slow_readers(side).boxed_local()
        })
        .on_api()
        .without_webhooks(),
        Attack::new("slow-bodies", "300 callers with a token, whose bodies of 1 MB come byte by byte", |side| {
            ready(slow_bodies(side)).boxed_local()
        })
        .on_api()
        .without_webhooks(),
    ]
}

fn slow(seconds: u64, body: impl Into<String>) -> Answer {
    Answer { delay: Duration::from_secs(seconds), ..Answer::new(200, body) }
}

async fn wide_payloads(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(20, "ok")).await?;
    side.create_all(20, |number| side.webhook(&format!("wide-{number}"), json!({"url": at(&url, number)}))).await?;
    let wide = vec![0; 400_000];
    side.create_all(8, |number| event(&format!("wide-{number}"), &format!("I{number}"), json!({ "all": wide })))
        .await?;
    Ok(NOTHING)
}

async fn long_outputs(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(20, "ok")).await?;
    let data = "{% for i in 'x' * 3000 %}{{ 'é' * 500 }}{% endfor %}";
    side.create_all(30, |number| {
        let spec = json!({"url": at(&url, number), "forwardAll": false, "data": data, "timeout": "30s"});
        side.webhook(&format!("long-{number}"), spec)
    })
    .await?;
    for number in 0..10 {
        side.event(&format!("long-{number}"), &format!("I{number}"), json!({})).await?;
    }
    Ok(NOTHING)
}

async fn large_answers(side: &Side) -> Result<Vec<String>> {
    let answer = "é".repeat(450_000);
    let url = side.listen(move |_| slow(1, answer.clone())).await?;
    side.create_all(100, |number| side.webhook(&format!("answer-{number}"), json!({"url": at(&url, number)}))).await?;
    side.create_all(20, |number| event(&format!("answer-{number}"), &format!("I{number}"), json!({}))).await?;
    Ok(NOTHING)
}

async fn many_cookies(side: &Side) -> Result<Vec<String>> {
    let url = side
        .listen(|request| {
            let step: usize = request.target.rsplit('/').next().and_then(|step| step.parse().ok()).unwrap_or(0);
            let cookies = (0..40).map(|n| ("set-cookie", format!("c{step}x{n}={}; Path=/", "a".repeat(3900))));
            let next = ("location", format!("/{}", step + 1));
            Answer { headers: cookies.chain([next]).collect(), ..Answer::new(307, "") }
        })
        .await?;
    side.create_all(100, |number| {
        side.webhook(&format!("cookie-{number}"), json!({"url": at(&url, number), "timeout": "20s"}))
    })
    .await?;
    side.create_all(20, |number| event(&format!("cookie-{number}"), &format!("I{number}"), json!({}))).await?;
    Ok(NOTHING)
}

async fn retry_backlog(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(503, "")).await?;
    side.create_all(20, |number| {
        let retry = json!({"maxAttempts": 1000, "initialDelay": "1s", "maxDelay": "1s"});
        side.webhook(&format!("retried-{number}"), json!({"url": at(&url, number), "retry": retry}))
    })
    .await?;
    side.create_all(1000, |number| event(&format!("retried-{number}"), &format!("I{number}"), json!({}))).await?;
    Ok(NOTHING)
}

async fn one_group(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| slow(50, "ok")).await?;
    side.create(&side.webhook("waiting", json!({"url": url, "timeout": "60s"}))).await?;
    let text = "a".repeat(20_000);
    side.create_all(1500, |number| event(&format!("waiting-{number}"), "I1", json!({ "text": text }))).await?;
    Ok(NOTHING)
}

async fn redeliver_storm(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    side.create_all(50, |number| side.webhook(&format!("again-{number}"), json!({"url": at(&url, number)}))).await?;
    let event = side.create(&event("again", "I1", json!({"text": "a".repeat(200_000)}))).await?;
    if !side.matching {
        // Made by hand, so nothing is sent for them: what it costs to ask is no part of the attack.
        side.create_all(50, |number| {
            let spec = json!({
                "webhookRef": {"name": format!("again-{number}"), "id": "WHFRRGEDFRRGED"}, "alertGroupId": "I1",
                "eventRef": {"name": "again", "uid": event["metadata"]["uid"]}, "triggerType": "resolve",
            });
            object("WebhookResponse", &format!("again-{number}"), json!({ "spec": spec }))
        })
        .await?;
    }
    let (hands, namespace) = (side.hands.clone(), side.namespace.clone());
    side.go_on(async move {
        for time in 0_usize.. {
            for response in hands.list(&namespace, "WebhookResponse").await.unwrap_or_default() {
                let name = response["metadata"]["name"].as_str().unwrap_or_default();
                let asks = json!({"metadata": {"annotations": {"oncall.dev/redeliver": time.to_string()}}});
                let _ = hands.patch(&namespace, &object("WebhookResponse", name, asks), "").await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    Ok(NOTHING)
}

async fn label_flips(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    side.create(&secret("flipped", &"a".repeat(1_000_000))).await?;
    side.create_all(100, |number| {
        let headers = json!([{"name": "X-Key", "secretKeyRef": {"name": "flipped", "key": "v"}}]);
        side.webhook(&format!("flipped-{number}"), json!({"url": at(&url, number), "headersFrom": headers}))
    })
    .await?;
    let (hands, namespace) = (side.hands.clone(), side.namespace.clone());
    side.go_on(async move {
        for label in ["false", "true"].into_iter().cycle() {
            let change = json!({"metadata": {"labels": {"oncall.dev/secret": label}}});
            let _ = hands.patch(&namespace, &object("Secret", "flipped", change), "").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    Ok(NOTHING)
}

async fn many_keys(side: &Side) -> Result<Vec<String>> {
    let values: serde_json::Map<String, Value> =
        (0..10_000).map(|number| (format!("key-number-{number}-of-this-secret"), json!("v".repeat(20)))).collect();
    side.create_all(40, |number| {
        let labels = json!({"labels": {"oncall.dev/secret": "true"}});
        object("Secret", &format!("keys-{number}"), json!({"metadata": labels, "stringData": values}))
    })
    .await?;
    Ok(NOTHING)
}

async fn long_names(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    side.create_all(4, |number| side.webhook(&format!("named-{number}"), json!({"url": at(&url, number)}))).await?;
    side.each(400, async |number| {
        let labels: serde_json::Map<String, Value> =
            (0..64).map(|label| (format!("label-{label}"), json!("v".repeat(60)))).collect();
        let group = json!({"id": format!("I{number}"), "title": "t".repeat(1000), "labels": labels});
        let mut named = event(&format!("named-{number}"), "I1", json!({}));
        named["spec"]["alertGroup"] = group;
        side.create(&named).await.map(drop)
    })
    .await?;
    Ok(NOTHING)
}

async fn large_webhooks(side: &Side) -> Result<Vec<String>> {
    let filler = "{{ alert_payload.text | upper }}".repeat(1550);
    side.create_all(400, |number| {
        let spec = json!({
            "url": format!("https://receiver.example/{filler}"), "headers": filler, "data": filler,
            "triggerTemplate": filler, "forwardAll": false,
        });
        side.webhook(&format!("large-{number}"), spec)
    })
    .await?;
    Ok(NOTHING)
}

async fn slow_readers(side: &Side) -> Result<Vec<String>> {
    let door = api(side)?;
    let filler = "a".repeat(49_000);
    side.create_all(200, |number| {
        let spec = json!({"url": "https://receiver.example/", "data": filler, "headers": filler, "forwardAll": false});
        side.webhook(&format!("listed-{number}"), spec)
    })
    .await?;
    for _ in 0..60 {
        let request = sockets::request("GET", "/api/v1/webhooks/?perpage=100", &side.token, None)
            .replace("Connection: close", "Connection: keep-alive");
        side.go_on(async move {
            let Ok(mut stream) = sockets::connect(ATTACKER, door).await else { return };
            let _ = stream.write_all(request.repeat(20).as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
    }
    Ok(NOTHING)
}

fn slow_bodies(side: &Side) -> Result<Vec<String>> {
    let door = api(side)?;
    for _ in 0..300 {
        let head = sockets::request("POST", "/api/v1/webhooks/", &side.token, None)
            .replace("Content-Length: 0", "Content-Length: 1000000");
        side.go_on(async move {
            let Ok(mut stream) = sockets::connect(ATTACKER, door).await else { return };
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&[b' '; 900_000]).await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    Ok(NOTHING)
}

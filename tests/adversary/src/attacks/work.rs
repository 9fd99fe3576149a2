//! Work: objects that keep the threads busy that all need.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use futures::FutureExt;
use serde_json::json;
use support::Answer;

use super::{Attack, NOTHING, at};
use crate::ground::{Side, event, object, secret};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("slow-templates", "40 webhooks whose first rendering takes long", |side| {
            slow_templates(side).boxed_local()
        }),
        Attack::new("edited-templates", "the same, edited before each of 20 events", |side| {
            edited_templates(side).boxed_local()
        }),
        Attack::new(
            "rewritten-authority",
            "300 webhooks that trust a CA of 1 MB, which is written once a second",
            |side| rewritten_authority(side).boxed_local(),
        ),
        Attack::new("slow-triggers", "300 webhooks whose trigger template takes long and says no", |side| {
            slow_triggers(side).boxed_local()
        }),
        Attack::new("webhook-churn", "200 webhooks of 90 KB, changed as fast as the API server takes it", |side| {
            webhook_churn(side).boxed_local()
        }),
    ]
}

fn many(patterns: usize, more: &str) -> String {
    format!("{{% for i in 'x' * {patterns} %}}{{{{ i | regex_match(\"a{more}\" ~ loop.index) }}}}{{% endfor %}}")
}

async fn slow_templates(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    side.create_all(40, |number| {
        let spec = json!({"url": at(&url, number), "forwardAll": false, "data": many(2200, &format!("{number}-"))});
        side.webhook(&format!("slow-{number}"), spec)
    })
    .await?;
    for number in 0..3 {
        side.event(&format!("slow-{number}"), &format!("I{number}"), json!({})).await?;
    }
    Ok(NOTHING)
}

async fn edited_templates(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    let webhook = |number: usize, edit: usize| {
        let data = many(2200, &format!("{number}-{edit}-"));
        side.webhook(&format!("edited-{number}"), json!({"url": at(&url, number), "forwardAll": false, "data": data}))
    };
    side.create_all(40, |number| webhook(number, 0)).await?;
    for edit in 1..=20 {
        side.each(40, async |number| side.patch(&webhook(number, edit)).await.map(drop)).await?;
        side.event(&format!("edited-{edit}"), &format!("I{edit}"), json!({})).await?;
    }
    Ok(NOTHING)
}

/// About 1 MB of lines that look like certificates, and are none.
fn authority(text: char) -> String {
    let line = text.to_string().repeat(64);
    let lines = vec![line; 20].join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n").repeat(720)
}

async fn rewritten_authority(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    side.create(&secret("authority", &authority('A'))).await?;
    side.create_all(300, |number| {
        let tls = json!({"caSecretRef": {"name": "authority", "key": "v"}});
        side.webhook(&format!("trusting-{number}"), json!({"url": at(&url, number), "tls": tls}))
    })
    .await?;
    let (hands, namespace) = (side.hands.clone(), side.namespace.clone());
    side.go_on(async move {
        for text in ['B', 'C'].into_iter().cycle() {
            let value = json!({"stringData": {"v": authority(text)}});
            let _ = hands.patch(&namespace, &object("Secret", "authority", value), "").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    Ok(NOTHING)
}

async fn slow_triggers(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    side.create_all(300, |number| {
        let template = format!(
            "{{% for i in 'x' * 300 %}}{{% set a = i | regex_match(\"a{number}-\" ~ loop.index) %}}{{% endfor %}}"
        );
        side.webhook(&format!("trigger-{number}"), json!({"url": at(&url, number), "triggerTemplate": template}))
    })
    .await?;
    side.create_all(20, |number| event(&format!("trigger-{number}"), &format!("I{number}"), json!({}))).await?;
    Ok(NOTHING)
}

async fn webhook_churn(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    let filler = Arc::new("{{ alert_payload.text }}".repeat(1900));
    side.create_all(200, |number| {
        let spec = json!({"url": at(&url, number), "forwardAll": false, "data": *filler, "headers": *filler});
        side.webhook(&format!("churn-{number}"), spec)
    })
    .await?;
    for writer in 0..8 {
        let (hands, namespace, url) = (side.hands.clone(), side.namespace.clone(), url.clone());
        side.go_on(async move {
            for edit in 0_usize.. {
                let name = format!("churn-{}", (edit * 8 + writer) % 200);
                let spec = json!({"spec": {"url": format!("{url}/{edit}")}});
                let _ = hands.patch(&namespace, &object("Webhook", &name, spec), "").await;
            }
        });
    }
    Ok(NOTHING)
}

//! From what Alertmanager sends to the webhooks, and back by command: in a namespace of its own, as the webhooks of the other
//! examples would run too.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use support::Received;

use crate::{
    Demo, Rest,
    expected::{Objects, pick, run},
    shell::Shell,
    terminal::{quoted, text, title},
};

/// For kubectl and the program.
pub(crate) const PLACE: &str = "-n alerts";

/// The token of examples/alertmanager/secret.yaml.
pub(crate) const TOKEN: &str = "put-a-token-of-your-own-here";

const TITLE: &str = "DiskFull (db-1)";

/// A curl that sends a group of one alert, in a state, as Alertmanager does. Until the API has seen the Integration, it refuses.
fn send(state: &str) -> String {
    let labels = r#"{"alertname": "DiskFull", "instance": "db-1"}"#;
    let key = r#"{}:{alertname=\"DiskFull\", instance=\"db-1\"}"#;
    let alert = format!(r#"{{"status": "{state}", "labels": {labels}}}"#);
    let group =
        format!(r#"{{"status": "{state}", "groupKey": "{key}", "groupLabels": {labels}, "alerts": [{alert}]}}"#);
    let call = "curl --silent --show-error --fail --retry 5 --retry-all-errors --noproxy '*'";
    let address = "$ONCALL_API_URL/integrations/v1/alertmanager/namespaces/alerts/prometheus/";
    format!("{call} --header 'Authorization: Bearer {TOKEN}' --data '{group}' {address}")
}

impl Demo<'_> {
    /// An alert comes in, somebody takes it on, and it is over.
    pub(crate) async fn tell_of_alerts(&mut self) -> Result<()> {
        let Some(Rest { api, program, .. }) = &self.api else { return Ok(()) };
        let address = format!("export ONCALL_API_URL={}\n", api.url());
        let folder = program.parent().context("find the program's folder")?.display().to_string();
        let path = format!("PATH={}:\"$PATH\"\n", quoted(&folder));

        title(
            "What Alertmanager sends opens a ticket; somebody takes it on by command; when it is over, the ticket is closed",
        );
        let shell = self.shell;
        shell.show("kubectl create namespace alerts").await?;
        shell.show(&Self::apply_line("alertmanager", "secret integration webhooks", PLACE)).await?;
        shell.show(&format!("kubectl wait {PLACE} --for=condition=Ready integrations,webhooks --all")).await?;
        shell.show_after(&address, &send("firing")).await?;
        self.show_what_came_of_it().await?;

        let name = shell.run(&format!("kubectl get ag {PLACE} -o jsonpath='{{.items[*].metadata.name}}'")).await?;
        shell.show_after(&path, &format!("oncall-webhooks ack {PLACE} {name}")).await?;
        shell.show(&format!("kubectl get ag {PLACE}")).await?;

        shell.show_after(&address, &send("resolved")).await?;
        self.show_what_came_of_it().await
    }

    /// Waits until the webhooks have run, and shows the requests and the alert group.
    async fn show_what_came_of_it(&mut self) -> Result<()> {
        self.shell.show(&format!("kubectl wait {PLACE} --for=condition=Completed agev --all")).await?;
        self.show_requests();
        self.shell.show(&format!("kubectl get ag {PLACE}")).await
    }
}

/// The requests that there should have been, in all.
pub(crate) const REQUESTS: [&str; 2] = ["POST /tickets", "PUT /tickets/T-2/close"];

/// The alert group and the runs that there should be.
pub(crate) fn expected(receiver: &str) -> Value {
    let run = |method: &str, path: &str, body: &str, code: u16, answer: &str| {
        json!({
            "request": {
                "method": method, "target": path, "headers": {"content-type": "application/json"}, "body": body,
            },
            "record": {
                "phase": "Succeeded", "url": format!("{receiver}{path}"), "requestTrigger": "", "requestHeaders": "{}",
                "requestData": body, "statusCode": code, "content": answer, "attemptCount": 1,
            },
        })
    };
    let opened = format!(r#"{{"title": "{TITLE}", "alerts": 1}}"#);
    json!({
        "alert groups": [{
            "status": {"state": "resolved", "title": TITLE, "alertsCount": 2, "by": "prometheus"},
            "verdicts": ["Opened", "Acknowledged", "Resolved"],
        }],
        "runs": {
            "alert-ticket": run("POST", "/tickets", &opened, 201, r#"{"id": "T-2"}"#),
            "alert-ticket-closed": run("PUT", "/tickets/T-2/close", r#"{"by": "prometheus"}"#, 200, r#"{"ok": true}"#),
        },
    })
}

/// Those that there are, in the form of [`expected`].
pub(crate) async fn outcome(shell: &Shell, requests: &[Received]) -> Result<Value> {
    let objects = Objects::read(shell, PLACE).await?;
    let group = |group: &Value| {
        let transitions = group["status"]["transitions"].as_array().map_or(&[][..], Vec::as_slice);
        let verdicts: Vec<&Value> = transitions.iter().map(|transition| &transition["verdict"]).collect();
        json!({"status": pick(&group["status"], &["state", "title", "alertsCount", "by"]), "verdicts": verdicts})
    };
    let runs = objects
        .all("WebhookResponse")
        .map(|response| (text(&response["spec"]["webhookRef"]["name"]).to_owned(), run(response, requests)));
    Ok(json!({
        "alert groups": objects.all("AlertGroup").map(group).collect::<Vec<_>>(),
        "runs": runs.collect::<serde_json::Map<_, _>>(),
    }))
}

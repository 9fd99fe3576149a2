//! What needs a person, out of all that there is to tell.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use super::{
    overview::{AlertGroupLine, Attention, IntegrationLine, Object, Overview, WebhookLine},
    state::State,
};
use crate::cli::times::age;

/// An operator takes events up sooner, unless none is there or it has too much to do.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// The state of an alert group that nobody has taken on.
const FIRING: &str = "firing";

/// Puts everything in order and finds what needs a person: events that nobody takes up, alert groups that nobody takes on, webhooks and
/// integrations that don't work, and then webhooks whose last delivery failed, or that are held while something waits.
pub(super) fn sort_and_find(overview: &mut Overview) {
    overview.webhooks.sort_by_cached_key(|webhook| {
        (urgency(webhook), Reverse(webhook.waiting), webhook.namespace.clone(), webhook.name.clone())
    });
    overview.alert_groups.sort_by_cached_key(|group| {
        (group.state != FIRING, group.created_at, group.namespace.clone(), group.name.clone())
    });
    overview
        .integrations
        .sort_by_cached_key(|integration| (integration.state, integration.namespace.clone(), integration.name.clone()));
    let now = overview.time;
    let events = events(overview, now);
    let groups = overview.alert_groups.iter().filter(|group| group.state == FIRING).map(unattended);
    let webhooks = overview.webhooks.iter().filter_map(|webhook| in_trouble(webhook, now));
    let integrations = overview.integrations.iter().filter_map(not_working);
    overview.attention = events.into_iter().chain(groups).chain(integrations).chain(webhooks).collect();
}

/// The place of a webhook among others: those whose state is trouble, those whose last run failed or that are held, and all else.
fn urgency(webhook: &WebhookLine) -> (u8, State) {
    let place = match webhook.state {
        state if state.is_trouble() => 0,
        _ if is_doubtful(webhook) => 1,
        State::Disabled => 3,
        _ => 2,
    };
    (place, webhook.state)
}

fn is_doubtful(webhook: &WebhookLine) -> bool {
    match webhook.state {
        State::Suspended => webhook.waiting > 0,
        State::Ready => webhook.last_run.as_ref().is_some_and(|run| run.outcome == "Failed"),
        _ => false,
    }
}

fn events(overview: &Overview, now: Timestamp) -> Option<Attention> {
    let oldest = overview.events.oldest?;
    // Where this machine's clock is slow, they seem to come from the future.
    if now.duration_since(oldest) < PATIENCE {
        return None;
    }
    let waiting = overview.events.waiting;
    let events = if waiting == 1 { "1 event has".to_owned() } else { format!("{waiting} events have") };
    Some(Attention {
        object: None,
        state: "Waiting".to_owned(),
        message: format!("{events} no status yet: no operator works here, or more waits than it can send"),
        since: Some(oldest),
    })
}

fn unattended(group: &AlertGroupLine) -> Attention {
    Attention {
        object: Some(object("AlertGroup", &group.namespace, &group.name)),
        state: group.state.clone(),
        message: group.title.clone(),
        since: group.created_at,
    }
}

fn in_trouble(webhook: &WebhookLine, now: Timestamp) -> Option<Attention> {
    let mut message = match (webhook.state, &webhook.last_run) {
        (state, _) if state.is_trouble() => webhook.message.clone(),
        (State::Suspended, _) if is_doubtful(webhook) => webhook.message.clone(),
        (State::Ready, Some(run)) if is_doubtful(webhook) => {
            let code = run.status_code.map(|code| format!(" with {code}")).unwrap_or_default();
            format!("The last delivery failed{code}, {} ago: WebhookResponse {}", age(run.time, now), run.response)
        }
        _ => return None,
    };
    if webhook.waiting > 0 {
        message = format!("{} waiting. {message}", webhook.waiting);
    }
    Some(Attention {
        object: Some(object("Webhook", &webhook.namespace, &webhook.name)),
        state: if webhook.state == State::Ready { "Failed".to_owned() } else { webhook.state.word().to_owned() },
        message,
        since: webhook.since.or_else(|| webhook.last_run.as_ref().map(|run| run.time)),
    })
}

fn not_working(integration: &IntegrationLine) -> Option<Attention> {
    integration.state.is_trouble().then(|| Attention {
        object: Some(object("Integration", &integration.namespace, &integration.name)),
        state: integration.state.word().to_owned(),
        message: integration.message.clone(),
        since: integration.since,
    })
}

fn object(kind: &'static str, namespace: &str, name: &str) -> Object {
    Object { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::status::overview::{LastRunLine, WaitingEvents};

    pub(crate) fn time(minute: u8) -> Timestamp {
        format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
    }

    fn webhook(name: &str, state: State, waiting: u64, outcome: &str) -> WebhookLine {
        WebhookLine {
            namespace: "team".to_owned(),
            name: name.to_owned(),
            id: Some(format!("WH{}", name.to_uppercase())),
            trigger_type: "resolve".to_owned(),
            state,
            message: if state.is_trouble() { format!("it is {}", state.word()) } else { String::new() },
            since: state.is_trouble().then(|| time(1)),
            succeeded: 3,
            failed: 1,
            waiting,
            oldest_waiting: (waiting > 0).then(|| time(2)),
            last_run: Some(LastRunLine {
                time: time(5),
                outcome: outcome.to_owned(),
                status_code: Some(if outcome == "Failed" { 400 } else { 200 }),
                response: format!("{name}-1"),
            }),
        }
    }

    fn group(name: &str, state: &str, created: u8) -> AlertGroupLine {
        AlertGroupLine {
            namespace: "team".to_owned(),
            name: name.to_owned(),
            state: state.to_owned(),
            title: "Disk is full".to_owned(),
            integration: "prod".to_owned(),
            alerts: 2,
            by: if state == FIRING { String::new() } else { "ann".to_owned() },
            created_at: Some(time(created)),
        }
    }

    fn integration(name: &str, state: State) -> IntegrationLine {
        IntegrationLine {
            namespace: "team".to_owned(),
            name: name.to_owned(),
            type_: "alertmanager".to_owned(),
            state,
            message: if state.is_trouble() { "no such Secret".to_owned() } else { String::new() },
            since: None,
            open_alert_groups: 2,
            last_alert_time: Some(time(6)),
        }
    }

    /// Some of everything, in no order.
    pub(crate) fn overview() -> Overview {
        let mut overview = Overview {
            time: time(10),
            attention: Vec::new(),
            webhooks: vec![
                webhook("well", State::Ready, 0, "Succeeded"),
                webhook("off", State::Disabled, 0, "Succeeded"),
                webhook("refused", State::Ready, 0, "Failed"),
                webhook("down", State::Failing, 40, "Failed"),
                webhook("held", State::Suspended, 2, "Succeeded"),
                webhook("calm", State::Suspended, 0, "Succeeded"),
                webhook("broken", State::NotReady, 0, "Succeeded"),
            ],
            alert_groups: vec![group("b", FIRING, 9), group("a", "acknowledged", 1), group("c", FIRING, 8)],
            integrations: vec![integration("prod", State::Ready), integration("test", State::NotReady)],
            events: WaitingEvents { waiting: 3, oldest: Some(time(9)) },
        };
        sort_and_find(&mut overview);
        overview
    }

    #[test]
    fn what_needs_a_person_comes_first() {
        let overview = overview();
        let names: Vec<&str> = overview.webhooks.iter().map(|webhook| &*webhook.name).collect();
        assert_eq!(names, ["broken", "down", "held", "refused", "calm", "well", "off"]);
        let names: Vec<&str> = overview.alert_groups.iter().map(|group| &*group.name).collect();
        assert_eq!(names, ["c", "b", "a"]);
        let names: Vec<&str> = overview.integrations.iter().map(|integration| &*integration.name).collect();
        assert_eq!(names, ["test", "prod"]);
        let told: Vec<String> = overview
            .attention
            .iter()
            .map(|item| {
                let object = item.object.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{object} {}: {}", item.state, item.message)
            })
            .collect();
        assert_eq!(
            told,
            [
                " Waiting: 3 events have no status yet: no operator works here, or more waits than it can send",
                "alertgroup.oncall.dev/c firing: Disk is full",
                "alertgroup.oncall.dev/b firing: Disk is full",
                "integration.oncall.dev/test NotReady: no such Secret",
                "webhook.oncall.dev/broken NotReady: it is NotReady",
                "webhook.oncall.dev/down Failing: 40 waiting. it is Failing",
                "webhook.oncall.dev/held Suspended: 2 waiting. ",
                "webhook.oncall.dev/refused Failed: The last delivery failed with 400, 5m ago: WebhookResponse refused-1",
            ]
        );
    }

    #[test]
    fn events_of_a_moment_ago_are_nobodys_business() {
        // Of one that has come a quarter of an hour from now, by a clock that is slow, too.
        for created in [time(10).checked_sub(PATIENCE / 2).unwrap(), time(25)] {
            let events = WaitingEvents { waiting: 1, oldest: Some(created) };
            let mut overview = Overview { time: time(10), events, ..Overview::default() };
            sort_and_find(&mut overview);
            assert_eq!(overview.attention, []);
        }
    }
}

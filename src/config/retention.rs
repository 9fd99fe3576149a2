//! The flags that say how long finished AlertGroupEvents, WebhookResponses and AlertGroups are kept.

use std::time::Duration;

use crate::core::retention::RetentionLimit;

/// Says how long, and how many, finished objects are kept.
///
/// Numbers are a number or `unlimited`, ages are durations such as `24h` or `unlimited`. 0 and `0s` keep nothing but what must
/// be kept.
#[derive(Clone, Debug, clap::Args)]
pub struct Retention {
    /// How often to look for finished events and responses that are not kept any more. What ended within that time stays
    #[arg(
        long = "retention-every",
        env = "ONCALL_WEBHOOKS_RETENTION_EVERY",
        default_value = "5m",
        value_name = "DURATION",
        value_parser = period
    )]
    pub every: Duration,
    /// How long an AlertGroupEvent is kept after its end
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_EVENTS_FOR",
        default_value = "24h",
        value_name = "DURATION|unlimited",
        value_parser = age
    )]
    pub keep_events_for: RetentionLimit<Duration>,
    /// How many finished AlertGroupEvents of a namespace are kept
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_EVENTS",
        default_value = "1000",
        value_name = "NUMBER|unlimited",
        value_parser = number
    )]
    pub keep_events: RetentionLimit<usize>,
    /// How long a WebhookResponse is kept after its end
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_RESPONSES_FOR",
        default_value = "168h",
        value_name = "DURATION|unlimited",
        value_parser = age
    )]
    pub keep_responses_for: RetentionLimit<Duration>,
    /// How many finished WebhookResponses of a Webhook are kept, where its spec.historyLimit does not say
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_RESPONSES",
        default_value = "100",
        value_name = "NUMBER|unlimited",
        value_parser = number
    )]
    pub keep_responses: RetentionLimit<usize>,
    /// How long an AlertGroup is kept after its last change, once it is resolved
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_ALERT_GROUPS_FOR",
        default_value = "168h",
        value_name = "DURATION|unlimited",
        value_parser = age
    )]
    pub keep_alert_groups_for: RetentionLimit<Duration>,
    /// How many resolved AlertGroups of a namespace are kept
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_ALERT_GROUPS",
        default_value = "5000",
        value_name = "NUMBER|unlimited",
        value_parser = number
    )]
    pub keep_alert_groups: RetentionLimit<usize>,
    /// How long after an alert group was last seen the latest WebhookResponse of each Webhook for it is kept, whatever the other
    /// limits: templates read it
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_KEEP_LATEST_FOR",
        default_value = "24h",
        value_name = "DURATION",
        value_parser = duration
    )]
    pub keep_latest_for: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<kube::core::Duration>() {
        // The parser takes an empty text for a duration of 0.
        Ok(duration) if !text.is_empty() && !duration.is_negative() => Ok(duration.into()),
        _ => Err("give a duration such as 24h or 90m".to_owned()),
    }
}

fn period(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|period| *period >= Duration::from_secs(1))
        .ok_or_else(|| "give a duration of 1s or more, such as 5m".to_owned())
}

fn age(text: &str) -> Result<RetentionLimit<Duration>, String> {
    limit(text, duration(text))
}

fn number(text: &str) -> Result<RetentionLimit<usize>, String> {
    limit(text, text.parse().map_err(|_| "give a number".to_owned()))
}

fn limit<T>(text: &str, bound: Result<T, String>) -> Result<RetentionLimit<T>, String> {
    match text {
        "unlimited" => Ok(RetentionLimit::Unlimited),
        _ => bound.map(RetentionLimit::AtMost).map_err(|error| format!("{error}, or unlimited")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_numbers_durations_or_unlimited() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(number("0"), Ok(RetentionLimit::AtMost(0)));
        assert_eq!(number("unlimited"), Ok(RetentionLimit::Unlimited));
        assert_eq!(number("-1"), Err("give a number, or unlimited".to_owned()));
        assert_eq!(age("168h"), Ok(RetentionLimit::AtMost(hours(168))));
        assert_eq!(age("0s"), Ok(RetentionLimit::AtMost(Duration::ZERO)));
        assert_eq!(age("unlimited"), Ok(RetentionLimit::Unlimited));
        for wrong in ["-1h", "7d", "24", "", "none"] {
            assert_eq!(age(wrong), Err("give a duration such as 24h or 90m, or unlimited".to_owned()), "{wrong}");
        }
        assert_eq!(period("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(period("10ms"), Err("give a duration of 1s or more, such as 5m".to_owned()));
    }
}

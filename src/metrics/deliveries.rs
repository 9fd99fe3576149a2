//! What became of deliveries. A webhook has a handle of its series, so that counting looks nothing up; with the last handle the
//! series vanish.

use std::{array, fmt, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

use super::{
    attempt_code::AttemptCode,
    durations,
    labels::{Owner, encode_family},
    live::{Held, Live},
};
use crate::{
    config::MetricLabels,
    core::{delivery::ResponsePhase, name::NamespacedName},
};

/// The ends of a delivery, as they stand in labels.
const OUTCOMES: [&str; 3] = ["succeeded", "failed", "skipped"];

/// The series of all webhooks. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeliveryMetrics {
    labels: MetricLabels,
    webhooks: Live<Owner, OfWebhook>,
    namespaces: Live<Owner, OfNamespace>,
}

/// What is counted for a webhook.
#[derive(Debug)]
struct OfWebhook {
    namespace: Arc<Held<Owner, OfNamespace>>,
    ended: [Counter; OUTCOMES.len()],
    retries: Counter,
    given_up: Counter,
    redeliveries: Counter,
}

/// What is counted for a namespace.
#[derive(Debug)]
struct OfNamespace {
    attempts: [Counter; AttemptCode::ALL.len()],
    attempt_seconds: Histogram,
    first_attempt_seconds: Histogram,
}

/// The series of one webhook. They live as long as somebody has them.
#[derive(Clone)]
pub(crate) struct WebhookSeries(Arc<Held<Owner, OfWebhook>>);

impl DeliveryMetrics {
    /// With as many labels as that.
    pub(crate) fn new(labels: MetricLabels) -> Self {
        Self { labels, ..Self::default() }
    }

    /// How finely series tell whose they are.
    pub(crate) fn labels(&self) -> MetricLabels {
        self.labels
    }

    /// The series of a webhook.
    pub(crate) fn webhook(&self, NamespacedName { namespace, name }: &NamespacedName) -> WebhookSeries {
        let owner = Owner::webhook(self.labels, namespace, name);
        WebhookSeries(self.webhooks.get_or_make(owner, |owner| {
            let of_namespace = |_: &Owner| OfNamespace {
                attempts: array::from_fn(|_| Counter::default()),
                attempt_seconds: durations::of_a_call(),
                first_attempt_seconds: durations::of_a_wait(),
            };
            OfWebhook {
                namespace: self.namespaces.get_or_make(owner.without_object(), of_namespace),
                ended: Default::default(),
                retries: Counter::default(),
                given_up: Counter::default(),
                redeliveries: Counter::default(),
            }
        }))
    }

    /// Whose series there are.
    pub(crate) fn owners(&self) -> Vec<Owner> {
        self.webhooks.all().iter().map(|series| series.key.clone()).collect()
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl WebhookSeries {
    /// An attempt was made that took so long.
    pub(crate) fn attempted(&self, code: AttemptCode, took: Duration) {
        let namespace = &self.0.namespace;
        if let Some(index) = AttemptCode::ALL.iter().position(|known| *known == code) {
            namespace.attempts[index].inc();
        }
        namespace.attempt_seconds.observe(took.as_secs_f64());
    }

    /// The first attempt of a delivery began, so long after its event was created.
    pub(crate) fn began(&self, after: Duration) {
        self.0.namespace.first_attempt_seconds.observe(after.as_secs_f64());
    }

    /// An attempt was made that was not the first.
    pub(crate) fn retried(&self) {
        self.0.retries.inc();
    }

    /// A delivery was begun once more since somebody asked for that.
    pub(crate) fn redelivered(&self) {
        self.0.redeliveries.inc();
    }

    /// A delivery was given up that would have been tried again.
    pub(crate) fn gave_up(&self) {
        self.0.given_up.inc();
    }

    /// A delivery has ended.
    pub(crate) fn ended(&self, outcome: ResponsePhase) {
        let [succeeded, failed, skipped] = &self.0.ended;
        match outcome {
            ResponsePhase::Succeeded => succeeded.inc(),
            ResponsePhase::Failed => failed.inc(),
            ResponsePhase::Skipped => skipped.inc(),
            ResponsePhase::Pending | ResponsePhase::Retrying => return,
        };
    }
}

impl fmt::Debug for WebhookSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookSeries").field(&self.0.key).finish()
    }
}

impl Collector for DeliveryMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (encoder, webhooks, namespaces) = (&mut encoder, self.webhooks.all(), self.namespaces.all());
        encode_family(
            encoder,
            "deliveries",
            "Deliveries that have ended: answered with 200 to 299, failed for good, or not sent since the trigger template said so",
            webhooks.iter().flat_map(|of| {
                let labelled = |(outcome, count): (&'static str, &Counter)| {
                    ((of.key.clone(), [("outcome", outcome)]), count.clone())
                };
                OUTCOMES.into_iter().zip(&of.ended).map(labelled)
            }),
        )?;
        let mut counts = |name, help, count: fn(&OfWebhook) -> &Counter| {
            encode_family(encoder, name, help, webhooks.iter().map(|of| (of.key.clone(), count(of).clone())))
        };
        counts("retries", "Attempts that were not the first of their delivery", |of| &of.retries)?;
        counts(
            "deliveries_given_up",
            "Deliveries that ended since their deadline or their last attempt had come while they would have been tried again",
            |of| &of.given_up,
        )?;
        counts("redeliveries", "Deliveries that were begun once more since somebody asked for that", |of| {
            &of.redeliveries
        })?;
        encode_family(
            encoder,
            "attempts",
            "Requests that were made, by the class of the answer's status or why there was none",
            namespaces.iter().flat_map(|of| {
                let labelled = |(code, count): (AttemptCode, &Counter)| {
                    ((of.key.clone(), [("code", code.as_str())]), count.clone())
                };
                AttemptCode::ALL.into_iter().zip(&of.attempts).map(labelled)
            }),
        )?;
        let mut seconds = |name, help, histogram: fn(&OfNamespace) -> &Histogram| {
            encode_family(encoder, name, help, namespaces.iter().map(|of| (of.key.clone(), histogram(of).clone())))
        };
        seconds(
            "attempt_duration_seconds",
            "How long a request took until its answer was read, or it was clear that none would come",
            |of| &of.attempt_seconds,
        )?;
        seconds(
            "event_to_first_attempt_seconds",
            "From the creation of an event, which Kubernetes notes to the second, to the first request for it",
            |of| &of.first_attempt_seconds,
        )
    }
}

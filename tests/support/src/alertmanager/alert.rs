//! Alerts, as a Prometheus server sends them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// An alert: known by its labels, it fires until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

impl Alert {
    /// One with the label `alertname` alone.
    pub fn new(name: &str) -> Self {
        let labels = BTreeMap::from([("alertname".to_owned(), name.to_owned())]);
        Self { labels, annotations: BTreeMap::new(), starts_at: None, ends_at: None }
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With an annotation, such as `summary`.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Since when it fires. Otherwise, Alertmanager takes the time at which it first hears of it.
    #[must_use]
    pub fn starts_at(mut self, at: Timestamp) -> Self {
        self.starts_at = Some(at);
        self
    }

    /// Until when it fires.
    #[must_use]
    pub fn ends_at(mut self, at: Timestamp) -> Self {
        self.ends_at = Some(at);
        self
    }

    /// The same one, resolved.
    pub(super) fn over(self) -> Self {
        self.ends_at(Timestamp::now())
    }

    /// As `POST /api/v2/alerts` takes it, in a list.
    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({"labels": self.labels, "annotations": self.annotations});
        for (name, time) in [("startsAt", self.starts_at), ("endsAt", self.ends_at)] {
            if let Some(time) = time {
                json[name] = time.to_string().into();
            }
        }
        json
    }
}

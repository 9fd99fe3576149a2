//! Whose series metrics are, as finely as the operator was told.

use std::sync::Arc;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder},
    metrics::TypedMetric,
};

use crate::config::MetricLabels;

/// The labels that say whose series it is. A name that is left out is not there at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner {
    namespace: Option<Arc<str>>,
    /// `webhook` or `integration`, and its name.
    object: Option<(&'static str, Arc<str>)>,
}

impl Owner {
    /// The owner of what a webhook does.
    pub(crate) fn webhook(labels: MetricLabels, namespace: &Arc<str>, name: &Arc<str>) -> Self {
        Self::object(labels, namespace, ("webhook", name))
    }

    /// The owner of what an Integration does.
    pub(crate) fn integration(labels: MetricLabels, namespace: &Arc<str>, name: &Arc<str>) -> Self {
        Self::object(labels, namespace, ("integration", name))
    }

    fn object(labels: MetricLabels, namespace: &Arc<str>, (kind, name): (&'static str, &Arc<str>)) -> Self {
        let object = (labels == MetricLabels::Webhook).then(|| (kind, Arc::clone(name)));
        Self { object, ..Self::namespace(labels, namespace) }
    }

    /// The owner of what happens in a namespace.
    pub(crate) fn namespace(labels: MetricLabels, namespace: &Arc<str>) -> Self {
        Self { namespace: (labels != MetricLabels::None).then(|| Arc::clone(namespace)), object: None }
    }

    /// The same without the object.
    pub(crate) fn without_object(&self) -> Self {
        Self { namespace: self.namespace.clone(), object: None }
    }
}

impl EncodeLabelSet for Owner {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        if let Some(namespace) = &self.namespace {
            ("namespace", &**namespace).encode(encoder.encode_label())?;
        }
        if let Some((kind, name)) = &self.object {
            (*kind, &**name).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// The labels of what a process has one of.
pub(crate) const NO_LABELS: [(&str, &str); 0] = [];

/// Writes a family with these series. It is described also if it has none.
pub(crate) fn encode_family<L: EncodeLabelSet, M: EncodeMetric + TypedMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (L, M)>,
) -> std::fmt::Result {
    // As the registry ends the others.
    let mut family = encoder.encode_descriptor(name, &format!("{help}."), None, M::TYPE)?;
    series.into_iter().try_for_each(|(labels, metric)| metric.encode(family.encode_family(&labels)?))
}

//! One Integration, as the intake needs it.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use kube::ResourceExt;

use crate::{
    core::intake::{IntegrationTemplates, IntegrationType, IntegrationValues, TemplateFault, TemplateSources},
    kubernetes::name::{NamespacedName, name_of},
    rendering::MeasuredEffort,
    resources::Integration,
};

/// About how many bytes an Integration takes beside its texts.
const ENTRY: u64 = 2048;
/// How many bytes a compiled template takes for each of its text, at most: measured were 20 where it is as people write it, 58 for a
/// name that is printed again and again, and 114 for lists in lists.
const COMPILED: usize = 128;

/// One Integration: one generation of it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) name: NamespacedName,
    pub(super) uid: Arc<str>,
    pub(super) generation: Option<i64>,
    pub(super) id: String,
    pub(super) integration_type: IntegrationType,
    pub(super) values: IntegrationValues,
    pub(super) is_suspended: bool,
    /// Whether it misses heartbeats that do not come.
    pub(super) has_heartbeat: bool,
    auto_resolve: bool,
    /// Its templates as text; None where there is no room for them, so that they have to be read.
    texts: Option<TemplateSources>,
    compiled: OnceLock<Compiled>,
    effort: MeasuredEffort,
    is_fault_told: Arc<AtomicBool>,
}

/// Compiled templates, and in how many expressions they look at a payload, if that is known.
#[derive(Debug)]
struct Compiled {
    templates: IntegrationTemplates,
    plain_expressions: Option<usize>,
}

impl From<&Integration> for Source {
    fn from(integration: &Integration) -> Self {
        let spec = &integration.spec;
        Self {
            name: name_of(integration),
            uid: integration.uid().unwrap_or_default().into(),
            generation: integration.metadata.generation,
            id: integration.id(),
            integration_type: spec.type_,
            values: IntegrationValues {
                name: integration.display_name(),
                labels: spec.labels.clone().unwrap_or_default(),
            },
            is_suspended: spec.suspend.unwrap_or_default(),
            has_heartbeat: spec.heartbeat.is_some(),
            auto_resolve: spec.auto_resolve,
            texts: Some(integration.template_sources()),
            compiled: OnceLock::new(),
            effort: MeasuredEffort::default(),
            is_fault_told: Arc::default(),
        }
    }
}

impl Source {
    /// About how many bytes it takes, once its templates are compiled.
    pub(super) fn bytes(&self) -> u64 {
        let texts = self.texts.iter().flat_map(|texts| {
            let TemplateSources { grouping_id, title, resolve_condition, acknowledge_condition } = texts;
            [grouping_id, title, resolve_condition, acknowledge_condition]
        });
        let templates: usize = texts.flatten().map(|text| text.len() * (1 + COMPILED)).sum();
        let labels: usize = self.values.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        ENTRY + (templates + labels + self.values.name.len()) as u64
    }

    /// It without its templates and labels, which have to be read again.
    pub(super) fn shortened(self) -> Self {
        Self { texts: None, values: IntegrationValues::default(), ..self }
    }

    /// It as it was read once more.
    pub(super) fn read_again(&self, integration: &Integration) -> Self {
        Self { is_fault_told: Arc::clone(&self.is_fault_told), ..Self::from(integration) }
    }

    /// Whether it is as it was read, with its templates.
    pub(super) fn is_whole(&self) -> bool {
        self.texts.is_some()
    }

    /// Its templates. They are compiled the first time, which may take long.
    pub(super) fn templates(&self) -> &IntegrationTemplates {
        let compiled = self.compiled.get_or_init(|| {
            let texts = self.texts.clone().unwrap_or_default();
            let (templates, faults) = IntegrationTemplates::compile(self.integration_type, &texts, self.auto_resolve);
            self.tell_faults(&faults);
            Compiled { plain_expressions: templates.plain_expressions(), templates }
        });
        &compiled.templates
    }

    /// Whether rendering its templates for a body of so many bytes is known to be cheap.
    pub(super) fn is_cheap(&self, body: usize) -> bool {
        self.compiled.get().is_some_and(|compiled| self.effort.is_cheap(compiled.plain_expressions, body))
    }

    /// Takes in how long it took for a body of so many bytes.
    pub(super) fn note(&self, body: usize, began: Instant) {
        self.effort.note(body, began.elapsed());
    }

    /// Writes to the log that templates fail, once for each generation: whoever sends may have them fail with each alert.
    pub(super) fn tell_faults(&self, faults: &[TemplateFault]) {
        let Some(TemplateFault { field, line, message, .. }) = faults.first() else { return };
        if !self.is_fault_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                namespace = &*self.name.namespace,
                integration = &*self.name.name,
                generation = self.generation,
                field,
                line,
                fault = message,
                "a template of an Integration fails: the default of its type takes its place"
            );
        }
    }
}

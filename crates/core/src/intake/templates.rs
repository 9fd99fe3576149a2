//! The templates of an Integration, compiled. One that fails is replaced by the default of the type, and reported.

use super::{IntegrationType, defaults::Defaults};
use crate::{
    event::TemplateContext,
    judgement::MESSAGE_LIMIT,
    template::{Mode, Template, TemplateError},
};

/// How many expressions a default template is counted as: each looks at a payload no more often.
const DEFAULT_EXPRESSIONS: usize = 4;

/// The templates that an Integration has of its own, as text. None, and an empty text, is the default of its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateSources {
    /// Alerts that render to the same text are of one alert group.
    pub grouping_id: Option<String>,
    /// The title of an alert group that the alert opens.
    pub title: Option<String>,
    /// Whether the alert resolves its alert group.
    pub resolve_condition: Option<String>,
    /// Whether the alert acknowledges its alert group.
    pub acknowledge_condition: Option<String>,
}

/// A template that the default of the type was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The field's name in a manifest, such as `templates.groupingId`.
    pub field: &'static str,
    /// The line of the field's text, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in that line, in characters from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong, in OnCall's words, such as `Template Error: …`. It may quote the payload; at most 1000 characters.
    pub message: String,
}

impl TemplateFault {
    fn new(field: &'static str, error: &TemplateError) -> Self {
        let message = error.to_string().chars().take(MESSAGE_LIMIT).collect();
        Self { field, line: error.line, column: error.column, message }
    }
}

/// The compiled templates of an Integration.
#[derive(Clone, Debug)]
pub struct IntegrationTemplates {
    pub(super) grouping_id: Field,
    pub(super) title: Field,
    /// None where alerts do not resolve.
    pub(super) resolve_condition: Option<Field>,
    pub(super) acknowledge_condition: Field,
}

impl IntegrationTemplates {
    /// Compiles the templates of an Integration. Without `auto_resolve`, alerts resolve nothing, whatever the condition says.
    ///
    /// A template is reported that is too long or none at all. Whether one that compiles can work is found out by
    /// [`crate::judgement::judge_field`], which takes longer.
    pub fn compile(
        integration_type: IntegrationType,
        sources: &TemplateSources,
        auto_resolve: bool,
    ) -> (Self, Vec<TemplateFault>) {
        let mut faults = Vec::new();
        let Defaults { grouping_id, title, resolve_condition } = Defaults::of(integration_type);
        let mut field = |name, source: &Option<String>, default: Option<&'static Template>| {
            let source = source.as_deref().filter(|source| !source.is_empty());
            let own = source.and_then(|source| {
                Template::compile(source, Mode::Raw).map_err(|error| faults.push(TemplateFault::new(name, &error))).ok()
            });
            Field { name, own, default }
        };
        let templates = Self {
            grouping_id: field("templates.groupingId", &sources.grouping_id, grouping_id.as_ref()),
            title: field("templates.title", &sources.title, title.as_ref()),
            resolve_condition: Some(field(
                "templates.resolveCondition",
                &sources.resolve_condition,
                resolve_condition.as_ref(),
            ))
            .filter(|_| auto_resolve),
            acknowledge_condition: field("templates.acknowledgeCondition", &sources.acknowledge_condition, None),
        };
        (templates, faults)
    }

    /// How many expressions they have, if each looks at the payload once: what [`super::received`] costs is at most so many
    /// times the payload. None if one of them has loops, patterns or anything else whose cost may be out of all proportion. See
    /// [`Template::plain_expressions`].
    pub fn plain_expressions(&self) -> Option<usize> {
        let Self { grouping_id, title, resolve_condition, acknowledge_condition } = self;
        let fields = [Some(grouping_id), Some(title), resolve_condition.as_ref(), Some(acknowledge_condition)];
        fields.into_iter().flatten().map(Field::plain_expressions).sum()
    }
}

/// One template of an Integration, and what is rendered where it fails or there is none.
#[derive(Clone, Debug)]
pub(super) struct Field {
    name: &'static str,
    own: Option<Template>,
    default: Option<&'static Template>,
}

impl Field {
    /// The text that it renders to: the default's if its own fails, which is added to `faults`. None if it failed and has no
    /// default, or if there is no template at all.
    ///
    /// # Errors
    /// The default does not fit the payload.
    pub(super) fn render(
        &self,
        context: &TemplateContext,
        faults: &mut Vec<TemplateFault>,
    ) -> Result<Option<String>, TemplateError> {
        match self.own.as_ref().map(|own| own.render(context)) {
            Some(Ok(text)) => return Ok(Some(text)),
            Some(Err(error)) => faults.push(TemplateFault::new(self.name, &error)),
            None => {}
        }
        self.default.map(|default| default.render(context)).transpose()
    }

    fn plain_expressions(&self) -> Option<usize> {
        let default = self.default.map_or(0, |_| DEFAULT_EXPRESSIONS);
        let own = self.own.as_ref().map_or(Some(0), Template::plain_expressions)?;
        Some(own + default)
    }
}

//! What is refused, and what is warned of: the one judgement that `lint` and the condition Ready have too, in their words.
//!
//! Refused is what is newly wrong. Whoever suspends a webhook, or changes where it leads, is not kept from it by a template that was
//! there before.

use std::fmt;

use crate::{
    core::{
        hints,
        judgement::{self, Fault, sends_data},
    },
    resources::{Integration, Webhook, WebhookSpec, compile},
    wording,
};

/// Bound on a warning, in characters. The API server cuts those that are longer than 256 bytes where there are many.
const WARNING: usize = 250;
/// Bound on the warnings of an answer.
pub(super) const WARNINGS: usize = 12;

/// What is judged.
#[derive(Debug)]
pub(super) struct Question {
    /// What is to be written.
    pub(super) subject: Subject,
    /// What it takes the place of, where it can be read.
    pub(super) before: Option<Subject>,
}

/// An object with templates.
#[derive(Debug)]
pub(super) enum Subject {
    Webhook(Box<Webhook>),
    Integration(Box<Integration>),
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Why it is refused, if it is.
    pub(super) faults: Vec<Told>,
    pub(super) warnings: Vec<String>,
}

/// Something that is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The path of the field, such as `spec.url`.
    pub(super) field: String,
    /// The line and the column of the field's text, as far as they are known.
    pub(super) place: String,
    pub(super) message: String,
}

impl Told {
    fn new(field: &str, line: Option<usize>, column: Option<usize>, message: String) -> Self {
        let place = match (line, column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}"),
            (Some(line), None) => format!("line {line}"),
            (None, _) => String::new(),
        };
        Self { field: format!("spec.{field}"), place, message }
    }

    fn warning(&self, what: &str) -> String {
        let text = format!("{self}{what}");
        if text.chars().nth(WARNING).is_none() {
            return text;
        }
        text.chars().take(WARNING - 1).chain(['…']).collect()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, place, message } = self;
        let comma = if place.is_empty() { "" } else { ", " };
        write!(f, "{field}{comma}{place}: {message}")
    }
}

impl From<&Fault> for Told {
    fn from(fault: &Fault) -> Self {
        Self::new(fault.field, fault.line, fault.column, wording::fault(fault))
    }
}

impl Verdict {
    /// It is written without having been judged, for this reason.
    pub(super) fn unjudged(why: &str) -> Self {
        Self { faults: Vec::new(), warnings: vec![format!("oncall-webhooks has not looked at its templates: {why}")] }
    }
}

impl Question {
    /// Judges it. May take seconds.
    pub(super) fn verdict(&self) -> Verdict {
        let Self { subject, before } = self;
        let (doubts, faults): (Vec<Fault>, Vec<Fault>) =
            subject.faults().into_iter().partition(|fault| fault.kind.is_warning());
        // Only then it matters how it was.
        let known = before.as_ref().filter(|_| !faults.is_empty());
        let known_faults = known.map(Subject::faults).unwrap_or_default();
        let is_known = |fault: &Fault| {
            known.is_some_and(|known| known.text(fault.field) == subject.text(fault.field))
                && known_faults.contains(fault)
        };
        let (old, new): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(is_known);
        let old = old.iter().map(|fault| Told::from(fault).warning(" (as before)"));
        let doubts = doubts.iter().map(|fault| Told::from(fault).warning(""));
        let warnings = old.chain(doubts).chain(subject.hints()).take(WARNINGS).collect();
        Verdict { faults: new.iter().map(Told::from).collect(), warnings }
    }
}

impl Subject {
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Webhook(webhook) => judgement::judge(&compile(webhook)),
            Self::Integration(integration) => {
                judgement::judge_integration(integration.spec.type_, &integration.template_sources())
            }
        }
    }

    /// The text of a template.
    fn text(&self, field: &str) -> Option<&str> {
        match self {
            Self::Webhook(webhook) => texts(&webhook.spec).into_iter().find(|(name, _)| *name == field)?.1,
            Self::Integration(integration) => {
                let templates = &integration.spec.templates;
                let text = match field {
                    "templates.groupingId" => &templates.grouping_id,
                    "templates.title" => &templates.title,
                    "templates.resolveCondition" => &templates.resolve_condition,
                    "templates.acknowledgeCondition" => &templates.acknowledge_condition,
                    _ => return None,
                };
                text.as_deref()
            }
        }
    }

    /// What is probably not meant so.
    fn hints(&self) -> Vec<String> {
        // What templates of Integrations see has no names that are known.
        let Self::Webhook(webhook) = self else { return Vec::new() };
        let spec = &webhook.spec;
        let used =
            texts(spec).into_iter().filter_map(|(field, text)| Some((field, text.filter(|text| !text.is_empty())?)));
        let (mut told, forwards) = (Vec::new(), spec.forward_all.unwrap_or(spec.data.is_none()));
        for (field, text) in used {
            let unsent = wording::unsent(spec.http_method, forwards).filter(|_| field == "data");
            if let Some((why, remedy)) = unsent {
                told.push(Told::new(field, None, None, format!("{why}: {remedy}")));
                // It counts for nothing that it can't work, and yet is to be known.
                let fault = judgement::judge_field(field, text).filter(|_| !sends_data(spec.http_method, forwards));
                told.extend(fault.iter().map(Told::from));
            }
            let hints = hints::of_template(field, text).into_iter().map(wording::hint);
            told.extend(hints.map(|(line, message)| Told::new(field, line, None, message)));
        }
        told.iter().map(|told| told.warning("")).collect()
    }
}

/// The templates of a webhook, as its manifest has them.
fn texts(spec: &WebhookSpec) -> [(&'static str, Option<&str>); 4] {
    [
        ("url", spec.url.as_deref()),
        ("triggerTemplate", spec.trigger_template.as_deref()),
        ("headers", spec.headers.as_deref()),
        ("data", spec.data.as_deref()),
    ]
}

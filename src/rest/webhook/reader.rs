//! Reads the fields of a request's body one by one. Errors have the words of Django REST framework, with which OnCall
//! answers.

use indexmap::IndexSet;
use secrecy::SecretString;

use super::{collection::Collection, credential::CredentialChange, rules::TextRules};
use crate::{
    core::{
        json::{Json, Object, float_repr},
        request_url::is_python_space,
        response::MASK,
        template::Template,
        webhook::{HttpMethod, TriggerType},
    },
    resources::{Preset, Webhook},
    rest::error::ApiError,
};

pub(super) const METHODS: [(&str, HttpMethod); 6] = [
    ("GET", HttpMethod::Get),
    ("POST", HttpMethod::Post),
    ("PUT", HttpMethod::Put),
    ("DELETE", HttpMethod::Delete),
    ("OPTIONS", HttpMethod::Options),
    ("PATCH", HttpMethod::Patch),
];

/// In the order of OnCall's message.
pub(super) const TRIGGER_TYPES: [(&str, TriggerType); 10] = [
    ("escalation", TriggerType::Escalation),
    ("alert group created", TriggerType::AlertGroupCreated),
    ("acknowledge", TriggerType::Acknowledge),
    ("resolve", TriggerType::Resolve),
    ("silence", TriggerType::Silence),
    ("unsilence", TriggerType::Unsilence),
    ("unresolve", TriggerType::Unresolve),
    ("unacknowledge", TriggerType::Unacknowledge),
    ("status change", TriggerType::StatusChange),
    ("personal notification", TriggerType::PersonalNotification),
];

/// Trigger types of Grafana Cloud that OnCall OSS does not have.
const CLOUD_TRIGGER_TYPES: [&str; 3] = ["incident declared", "incident changed", "incident resolved"];

const REQUIRED: &str = "This field is required.";
pub(super) const NULL: &str = "This field may not be null.";
pub(super) const BLANK: &str = "This field may not be blank.";
pub(super) const NO_STRING: &str = "Not a valid string.";
pub(super) const NO_BOOLEAN: &str = "Must be a valid boolean.";

/// The state of a webhook that a change of it depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExistingWebhook {
    pub(crate) preset: Option<Preset>,
    /// Whether the URL is in a Secret, and shown masked.
    pub(crate) url_is_secret: bool,
}

impl From<&Webhook> for ExistingWebhook {
    fn from(webhook: &Webhook) -> Self {
        Self { preset: webhook.spec.preset, url_is_secret: webhook.spec.url.is_none() }
    }
}

/// Reads fields under their names in `/webhooks/`, and collects the errors of all of them.
///
/// Its methods give None for a field that is not there or wrong, and `Some(None)` for null where that means something.
pub(super) struct FieldReader<'a> {
    body: &'a Object,
    collection: Collection,
    existing: Option<ExistingWebhook>,
    errors: Vec<(&'static str, Vec<String>)>,
}

impl<'a> FieldReader<'a> {
    /// `existing` is None where a webhook is created.
    ///
    /// # Errors
    /// The body is no object.
    pub(super) fn new(
        body: &'a Json,
        collection: Collection,
        existing: Option<ExistingWebhook>,
    ) -> Result<Self, ApiError> {
        match body {
            Json::Object(body) => Ok(Self { body, collection, existing, errors: Vec::new() }),
            Json::Null => Err(ApiError::non_field_error("No data provided")),
            other => {
                let message = format!("Invalid data. Expected a dictionary, but got {}.", python_type(other));
                Err(ApiError::non_field_error(&message))
            }
        }
    }

    /// Gives `read`, if no field was wrong.
    ///
    /// # Errors
    /// Fields were wrong: 400 with all of them, under the collection's names and in its order.
    pub(super) fn finish<T>(self, read: T) -> Result<T, ApiError> {
        if self.errors.is_empty() {
            return Ok(read);
        }
        let errors = self.errors.into_iter().map(|(field, messages)| (field.to_owned(), messages));
        Err(ApiError::invalid_fields(self.collection.arrange::<_, Vec<_>>(errors)))
    }

    /// Whether a webhook is created.
    pub(super) fn is_new(&self) -> bool {
        self.existing.is_none()
    }

    fn get(&self, field: &str) -> Option<&'a Json> {
        self.body.get(self.collection.field_name(field)?)
    }

    /// Records the error of a field.
    fn error<T>(&mut self, field: &'static str, message: impl Into<String>) -> Option<T> {
        self.errors.push((field, vec![message.into()]));
        None
    }

    /// Records the error, if there is one, of a field that was read before those that stand before it.
    pub(super) fn record<T>(&mut self, field: &'static str, read: Result<Option<T>, String>) -> Option<T> {
        read.unwrap_or_else(|message| self.error(field, message))
    }

    /// Reads a text, as Django REST framework's `CharField` does.
    pub(super) fn text(&mut self, field: &'static str, rules: TextRules) -> Option<Option<String>> {
        let rules = self.collection.text_rules(field, rules, self.is_new());
        let text = match self.get(field) {
            None if rules.required && self.is_new() => return self.error(field, REQUIRED),
            None => return None,
            Some(Json::Null) if rules.null => return Some(None),
            Some(Json::Null) => return self.error(field, NULL),
            Some(Json::Str(text)) if rules.trim => text.trim_matches(is_python_space).to_owned(),
            Some(Json::Str(text)) => text.to_string(),
            Some(Json::Int(number)) => number.to_string(),
            Some(Json::Big(number)) => number.to_string(),
            Some(Json::Float(number)) => float_repr(*number),
            Some(Json::Bool(_) | Json::Array(_) | Json::Object(_)) => return self.error(field, NO_STRING),
        };
        if text.trim_matches(is_python_space).is_empty() {
            return if rules.blank { Some(Some(String::new())) } else { self.error(field, BLANK) };
        }
        let mut wrong = Vec::new();
        if text.chars().nth(rules.max_length).is_some() {
            wrong.push(format!("Ensure this field has no more than {} characters.", rules.max_length));
        }
        if text.contains('\0') {
            wrong.push("Null characters are not allowed.".to_owned());
        }
        if wrong.is_empty() {
            return Some(Some(text));
        }
        self.errors.push((field, wrong));
        None
    }

    /// Reads a template, which is wrong if it can't work: trying it out may take seconds. Blank is as good as null.
    pub(super) fn template(&mut self, field: &'static str, rules: TextRules) -> Option<Option<String>> {
        let text = self.text(field, rules)?.filter(|text| !text.is_empty());
        if let Some(text) = &text
            && let Err(error) = Template::storable(text)
        {
            return self.error(field, error.to_string());
        }
        Some(text)
    }

    /// Reads the template of the URL. The mask is taken for a URL that is kept in a Secret.
    pub(super) fn url(&mut self) -> Option<String> {
        let url = self.template("url", TextRules::REQUIRED)??;
        if url != MASK {
            return Some(url);
        }
        match self.existing {
            Some(ExistingWebhook { url_is_secret: true, .. }) => None,
            _ => self.error("url", format!("{MASK} stands for a URL that is kept: send the URL itself.")),
        }
    }

    /// Reads a credential. The mask keeps the one that is stored.
    pub(super) fn credential(&mut self, field: &'static str, rules: TextRules) -> Option<CredentialChange> {
        match self.text(field, rules)? {
            None => Some(CredentialChange::Clear { blank: false }),
            Some(text) if text.is_empty() => Some(CredentialChange::Clear { blank: true }),
            Some(text) if text == MASK && self.is_new() => {
                self.error(field, format!("{MASK} stands for a secret that is kept: send the secret itself."))
            }
            Some(text) if text == MASK => Some(CredentialChange::Keep),
            Some(text) => Some(CredentialChange::Set(SecretString::from(text))),
        }
    }

    /// Reads a boolean, as Django REST framework's `BooleanField` does; `null` tells whether it may be null.
    pub(super) fn flag(&mut self, field: &'static str, null: bool) -> Option<Option<bool>> {
        const TRUE: [&str; 6] = ["t", "y", "yes", "true", "on", "1"];
        const FALSE: [&str; 6] = ["f", "n", "no", "false", "off", "0"];
        let value = match self.get(field)? {
            Json::Null if null => return Some(None),
            Json::Null => return self.error(field, NULL),
            Json::Bool(value) => Some(*value),
            Json::Int(0) => Some(false),
            Json::Int(1) => Some(true),
            Json::Float(0.0) => Some(false),
            Json::Float(1.0) => Some(true),
            Json::Str(text) => {
                let text = text.to_lowercase();
                if null && (text.is_empty() || text == "null") {
                    return Some(None);
                }
                if TRUE.contains(&text.as_str()) { Some(true) } else { FALSE.contains(&text.as_str()).then_some(false) }
            }
            _ => None,
        };
        if value.is_none() {
            return self.error(field, NO_BOOLEAN);
        }
        Some(value)
    }

    /// Reads the team: any text.
    pub(super) fn team(&mut self) -> Option<Option<String>> {
        const FIELD: &str = "team";
        match self.get(FIELD)? {
            Json::Null => Some(None),
            Json::Str(text) if text.is_empty() || &**text == "null" => Some(None),
            Json::Str(text) if text.chars().nth(100).is_some() => {
                self.error(FIELD, "Ensure this field has no more than 100 characters.")
            }
            // OnCall looks it up in PostgreSQL, which has no such text.
            Json::Str(text) if text.contains('\0') => self.error(FIELD, "Invalid values"),
            Json::Str(text) => Some(Some(text.to_string())),
            _ => self.error(FIELD, "Object does not exist"),
        }
    }

    /// Reads the method, which is written in capitals.
    pub(super) fn http_method(&mut self) -> Option<HttpMethod> {
        let text = self.text("http_method", TextRules::REQUIRED.at_most(32))?;
        let found = METHODS.iter().find(|(name, _)| Some(*name) == text.as_deref());
        match found {
            Some((_, method)) => Some(*method),
            None => self.error("http_method", format!("Must be one of {}", python_list(METHODS.map(|(name, _)| name)))),
        }
    }

    /// Reads the trigger type.
    ///
    /// # Errors
    /// The value is none of the types. This ends the reading: OnCall tells it before, and without, the errors of others.
    pub(super) fn trigger_type(&mut self) -> Result<Option<TriggerType>, ApiError> {
        const FIELD: &str = "trigger_type";
        let rules = self.collection.text_rules(FIELD, TextRules::REQUIRED, self.is_new());
        let value = match self.get(FIELD) {
            None if rules.required && self.is_new() => return Ok(self.error(FIELD, REQUIRED)),
            None => return Ok(None),
            Some(Json::Null) => return Ok(self.error(FIELD, NULL)),
            Some(Json::Str(text)) if text.trim_matches(is_python_space).is_empty() => {
                return Ok(self.error(FIELD, BLANK));
            }
            Some(value) => value,
        };
        let name = if let Json::Str(text) = value { &**text } else { "" };
        if let Some((_, trigger_type)) = TRIGGER_TYPES.iter().find(|(known, _)| *known == name) {
            return Ok(Some(*trigger_type));
        }
        let all = format!("trigger_type must one of {}", python_list(TRIGGER_TYPES.map(|(name, _)| name)));
        let detail = if CLOUD_TRIGGER_TYPES.contains(&name) {
            format!("trigger_type '{name}' is one of Grafana Cloud only: {all}")
        } else {
            all
        };
        Err(ApiError::new(http::StatusCode::BAD_REQUEST, detail))
    }

    /// Reads the ids of integrations, without repetitions; none where the field is missing.
    pub(super) fn integration_filter(&mut self) -> Vec<String> {
        const FIELD: &str = "integration_filter";
        let items: Vec<&Json> = match self.get(FIELD) {
            // All values that are false in Python stand for an empty list.
            None | Some(Json::Null | Json::Bool(false) | Json::Int(0)) => return Vec::new(),
            Some(Json::Str(text)) if text.is_empty() => return Vec::new(),
            Some(Json::Float(0.0)) => return Vec::new(),
            Some(Json::Object(object)) if object.is_empty() => return Vec::new(),
            Some(Json::Array(items)) => items.iter().collect(),
            Some(other) => {
                let message = format!("Expected a list of items but got type \"{}\".", python_type(other));
                self.error::<()>(FIELD, message);
                return Vec::new();
            }
        };
        let mut ids = IndexSet::new();
        for item in items {
            let message = match item {
                Json::Str(id) if id.chars().nth(100).is_some() => "Ensure this field has no more than 100 characters.",
                Json::Str(id) if id.contains('\0') => "Invalid integration",
                Json::Str(id) if !id.is_empty() => {
                    // An id that is named twice counts once.
                    ids.insert(id.to_string());
                    continue;
                }
                _ => "Integration does not exist",
            };
            self.error::<()>(FIELD, message);
            return Vec::new();
        }
        if ids.len() > 256 {
            self.error::<()>(FIELD, "Ensure this field has no more than 256 elements.");
        }
        ids.into_iter().collect()
    }

    /// Reads the preset, which other fields depend on; its error is to be recorded after theirs.
    pub(super) fn preset(&self) -> Result<Option<Option<Preset>>, String> {
        match self.get("preset") {
            None => Ok(None),
            Some(Json::Null) => Ok(Some(None)),
            Some(Json::Str(text)) => match &**text {
                "" => Ok(Some(None)),
                "simple_webhook" => Ok(Some(Some(Preset::SimpleWebhook))),
                "advanced_webhook" => Ok(Some(Some(Preset::AdvancedWebhook))),
                other => {
                    let short: String = other.chars().take(100).collect();
                    Err(format!(
                        "'{short}' is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana \
                         Cloud only."
                    ))
                }
            },
            Some(_) => Err(NO_STRING.to_owned()),
        }
    }

    /// Whether the webhook is a simple one after a request for this preset.
    pub(super) fn is_simple(&self, preset: Option<Option<Preset>>) -> bool {
        let existing = || self.existing.and_then(|existing| existing.preset);
        preset.unwrap_or_else(existing) == Some(Preset::SimpleWebhook)
    }
}

/// The name of Python's type for a JSON value.
fn python_type(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Int(_) | Json::Big(_) => "int",
        Json::Float(_) => "float",
        Json::Str(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

/// Names as Python prints a list of texts.
fn python_list<const N: usize>(names: [&str; N]) -> String {
    format!("['{}']", names.join("', '"))
}

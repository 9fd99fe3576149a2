//! A request's body in, the change that it asks for out, or what is wrong with each field in the words of Django REST
//! framework, which OnCall answers with.

use secrecy::SecretString;

use super::refusal::Refusal;
use crate::{
    core::{
        json::{Json, Object, float_repr},
        response::MASK,
        template::Template,
        uri::is_python_space,
        webhook::{HttpMethod, TriggerType},
    },
    resources::Preset,
};

/// Which of OnCall's two forms of the same objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/api/v1/webhooks/`
    Webhooks,
    /// `/api/v1/actions/`, which was there first.
    Actions,
}

/// What is known of the webhook that is changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Existing {
    pub(crate) preset: Option<Preset>,
    /// The URL is in a Secret, and shown masked.
    pub(crate) url_is_secret: bool,
}

/// What becomes of a field that is shown masked.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// The mask was sent back.
    Keep,
    /// Taken away; whether it was sent as `""`, as which it then reads back, or as null.
    Clear { blank: bool },
    /// Another one.
    Set(SecretString),
}

/// What a request asks for. A field that it does not carry is None and stays as it is; the integrations are cleared then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    /// Null means disabled, and reads back as null.
    pub(crate) enabled: Option<Option<bool>>,
    pub(crate) team: Option<Option<String>>,
    pub(crate) data: Option<Option<String>>,
    /// `""` reads back as `""`.
    pub(crate) username: Option<Option<String>>,
    pub(crate) password: Option<Credential>,
    pub(crate) authorization_header: Option<Credential>,
    pub(crate) trigger_template: Option<Option<String>>,
    pub(crate) headers: Option<Option<String>>,
    pub(crate) url: Option<String>,
    pub(crate) forward_all: Option<bool>,
    pub(crate) http_method: Option<HttpMethod>,
    pub(crate) trigger_type: Option<TriggerType>,
    pub(crate) integration_filter: Vec<String>,
    pub(crate) preset: Option<Option<Preset>>,
}

const METHODS: [(&str, HttpMethod); 6] = [
    ("GET", HttpMethod::Get),
    ("POST", HttpMethod::Post),
    ("PUT", HttpMethod::Put),
    ("DELETE", HttpMethod::Delete),
    ("OPTIONS", HttpMethod::Options),
    ("PATCH", HttpMethod::Patch),
];

/// In the order of OnCall's message.
pub(crate) const TRIGGER_TYPES: [(&str, TriggerType); 10] = [
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

/// Trigger types that OnCall OSS has not, and Grafana Cloud has.
const CLOUD_TRIGGER_TYPES: [&str; 3] = ["incident declared", "incident changed", "incident resolved"];

const REQUIRED: &str = "This field is required.";
const NULL: &str = "This field may not be null.";
const BLANK: &str = "This field may not be blank.";
const NO_STRING: &str = "Not a valid string.";
const NO_BOOLEAN: &str = "Must be a valid boolean.";

/// Reads a request to create a webhook (`existing` is None) or to change one. Templates are tried out, which may take
/// seconds.
///
/// # Errors
/// With every field that is wrong, in OnCall's order.
pub(crate) fn read(body: &Json, form: Form, existing: Option<Existing>) -> Result<Change, Refusal> {
    let body = match body {
        Json::Object(body) => body,
        Json::Null => return Err(Refusal::non_field("No data provided")),
        other => {
            let message = format!("Invalid data. Expected a dictionary, but got {}.", python_type(other));
            return Err(Refusal::non_field(&message));
        }
    };
    Reader { body, form, existing, faults: Vec::new() }.read()
}

/// How a text field is read.
#[derive(Clone, Copy)]
struct Text {
    /// Must be there when a webhook is created.
    required: bool,
    null: bool,
    blank: bool,
    /// Bound in characters.
    max: usize,
    /// Whether white space around it is taken away, as OnCall does with all. Templates are kept as they were sent:
    /// clients that compare what they sent with what they read would see a difference for ever.
    trim: bool,
}

struct Reader<'a> {
    body: &'a Object,
    form: Form,
    existing: Option<Existing>,
    faults: Vec<(&'static str, Vec<String>)>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Change, Refusal> {
        let actions = self.form == Form::Actions;
        let creates = self.existing.is_none();
        let preset = if actions { None } else { self.preset() };
        let simple =
            preset.unwrap_or_else(|| self.existing.and_then(|existing| existing.preset)) == Some(Preset::SimpleWebhook);
        // An action takes no blanks, but for the user of a new one.
        let optional = Text { required: false, null: true, blank: !actions, max: usize::MAX, trim: true };
        let template = Text { trim: false, ..optional };
        let needed = Text { required: true, null: false, blank: false, ..optional };

        let name = self.text("name", Text { max: 100, ..needed }).flatten();
        let enabled = self.flag("is_webhook_enabled", creates);
        let team = self.team(if actions { "team_id" } else { "team" });
        let username = if actions {
            self.text("user", Text { max: 100, null: creates, blank: creates, ..optional })
        } else {
            None
        };
        let data = self.template("data", template);
        let username = if actions { username } else { self.text("username", Text { max: 100, ..optional }) };
        let password = self.credential("password", Text { max: 1000, ..optional });
        let authorization_header = self.credential("authorization_header", Text { max: 2000, ..optional });
        let trigger_template = self.template("trigger_template", template);
        let headers = self.template("headers", template);
        let url = self.url(needed);
        let (forward_all, http_method, trigger_type) = if simple {
            (Some(true), Some(HttpMethod::Post), Some(TriggerType::Escalation))
        } else {
            let forward_all = self.flag(if actions { "forward_whole_payload" } else { "forward_all" }, false).flatten();
            (forward_all, self.http_method(needed), self.trigger_type()?)
        };
        let integration_filter = self.integrations();
        if !self.faults.is_empty() {
            // The preset is read first, and listed last.
            self.faults.sort_by_key(|(field, _)| *field == "preset");
            return Err(Refusal::faults(self.faults));
        }
        Ok(Change {
            name,
            enabled,
            team,
            data,
            username,
            password,
            authorization_header,
            trigger_template,
            headers,
            url,
            forward_all,
            http_method,
            trigger_type,
            integration_filter,
            preset,
        })
    }

    fn fault<T>(&mut self, field: &'static str, message: impl Into<String>) -> Option<T> {
        self.faults.push((field, vec![message.into()]));
        None
    }

    /// None if it is not there or wrong; Some(None) for null.
    fn text(&mut self, field: &'static str, rules: Text) -> Option<Option<String>> {
        let text = match self.body.get(field) {
            None if rules.required && self.existing.is_none() => return self.fault(field, REQUIRED),
            None => return None,
            Some(Json::Null) if rules.null => return Some(None),
            Some(Json::Null) => return self.fault(field, NULL),
            Some(Json::Str(text)) if rules.trim => text.trim_matches(is_python_space).to_owned(),
            Some(Json::Str(text)) => text.to_string(),
            Some(Json::Int(number)) => number.to_string(),
            Some(Json::Big(number)) => number.to_string(),
            Some(Json::Float(number)) => float_repr(*number),
            Some(Json::Bool(_) | Json::Array(_) | Json::Object(_)) => return self.fault(field, NO_STRING),
        };
        if text.is_empty() && !rules.blank {
            return self.fault(field, BLANK);
        }
        let mut wrong = Vec::new();
        if text.chars().nth(rules.max).is_some() {
            wrong.push(format!("Ensure this field has no more than {} characters.", rules.max));
        }
        if text.contains('\0') {
            wrong.push("Null characters are not allowed.".to_owned());
        }
        if wrong.is_empty() {
            return Some(Some(text));
        }
        self.faults.push((field, wrong));
        None
    }

    /// A text that must not be a template that can't work. Blank is as good as null.
    fn template(&mut self, field: &'static str, rules: Text) -> Option<Option<String>> {
        let text = self.text(field, rules)?.filter(|text| !text.is_empty());
        if let Some(text) = &text
            && let Err(error) = Template::storable(text)
        {
            return self.fault(field, error.to_string());
        }
        Some(text)
    }

    fn url(&mut self, rules: Text) -> Option<String> {
        let url = self.template("url", rules)??;
        if url != MASK {
            return Some(url);
        }
        match self.existing {
            Some(Existing { url_is_secret: true, .. }) => None,
            _ => self.fault("url", format!("{MASK} stands for a URL that is kept: send the URL itself.")),
        }
    }

    fn credential(&mut self, field: &'static str, rules: Text) -> Option<Credential> {
        match self.text(field, rules)? {
            None => Some(Credential::Clear { blank: false }),
            Some(text) if text.is_empty() => Some(Credential::Clear { blank: true }),
            Some(text) if text == MASK && self.existing.is_none() => {
                self.fault(field, format!("{MASK} stands for a secret that is kept: send the secret itself."))
            }
            Some(text) if text == MASK => Some(Credential::Keep),
            Some(text) => Some(Credential::Set(SecretString::from(text))),
        }
    }

    fn flag(&mut self, field: &'static str, null: bool) -> Option<Option<bool>> {
        const TRUE: [&str; 6] = ["t", "y", "yes", "true", "on", "1"];
        const FALSE: [&str; 6] = ["f", "n", "no", "false", "off", "0"];
        let value = match self.body.get(field)? {
            Json::Null if null => return Some(None),
            Json::Null => return self.fault(field, NULL),
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
            return self.fault(field, NO_BOOLEAN);
        }
        Some(value)
    }

    fn team(&mut self, field: &'static str) -> Option<Option<String>> {
        match self.body.get(field)? {
            Json::Null => Some(None),
            Json::Str(text) if text.is_empty() || &**text == "null" => Some(None),
            Json::Str(text) if text.chars().nth(100).is_some() => {
                self.fault(field, "Ensure this field has no more than 100 characters.")
            }
            Json::Str(text) => Some(Some(text.to_string())),
            Json::Array(_) | Json::Object(_) => self.fault(field, "Invalid values"),
            _ => self.fault(field, "Object does not exist"),
        }
    }

    fn http_method(&mut self, needed: Text) -> Option<HttpMethod> {
        let rules = if self.form == Form::Actions {
            // A new action may leave it out; null then is no method.
            Text { required: false, null: self.existing.is_none(), ..needed }
        } else {
            needed
        };
        let text = self.text("http_method", Text { max: 32, ..rules })?;
        let found = METHODS.iter().find(|(name, _)| Some(*name) == text.as_deref());
        match found {
            Some((_, method)) => Some(*method),
            None => self.fault("http_method", format!("Must be one of {}", python_list(METHODS.map(|(name, _)| name)))),
        }
    }

    /// What is none of the types ends the reading: OnCall says so before it says what else is wrong.
    fn trigger_type(&mut self) -> Result<Option<TriggerType>, Refusal> {
        const FIELD: &str = "trigger_type";
        let value = match self.body.get(FIELD) {
            None if self.existing.is_none() && self.form == Form::Webhooks => return Ok(self.fault(FIELD, REQUIRED)),
            None => return Ok(None),
            Some(Json::Null) => return Ok(self.fault(FIELD, NULL)),
            Some(Json::Str(text)) if text.trim_matches(is_python_space).is_empty() => {
                return Ok(self.fault(FIELD, BLANK));
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
        Err(Refusal::new(http::StatusCode::BAD_REQUEST, detail))
    }

    fn integrations(&mut self) -> Vec<String> {
        const FIELD: &str = "integration_filter";
        let items: Vec<&Json> = match self.body.get(FIELD) {
            // Python takes all that is empty for nothing.
            None | Some(Json::Null | Json::Bool(false) | Json::Int(0)) => return Vec::new(),
            Some(Json::Str(text)) if text.is_empty() => return Vec::new(),
            Some(Json::Float(0.0)) => return Vec::new(),
            Some(Json::Object(object)) if object.is_empty() => return Vec::new(),
            Some(Json::Array(items)) => items.iter().collect(),
            Some(other) => {
                let message = format!("Expected a list of items but got type \"{}\".", python_type(other));
                self.fault::<()>(FIELD, message);
                return Vec::new();
            }
        };
        let mut ids = Vec::with_capacity(items.len());
        for item in items {
            let message = match item {
                Json::Str(id) if !id.is_empty() && id.chars().nth(100).is_none() => {
                    ids.push(id.to_string());
                    continue;
                }
                Json::Str(id) if !id.is_empty() => "Ensure this field has no more than 100 characters.",
                Json::Array(_) | Json::Object(_) => "Invalid integration",
                _ => "Integration does not exist",
            };
            self.fault::<()>(FIELD, message);
            return Vec::new();
        }
        if ids.len() > 256 {
            self.fault::<()>(FIELD, "Ensure this field has no more than 256 elements.");
        }
        ids
    }

    fn preset(&mut self) -> Option<Option<Preset>> {
        const FIELD: &str = "preset";
        match self.body.get(FIELD)? {
            Json::Null => Some(None),
            Json::Str(text) => match &**text {
                "" => Some(None),
                "simple_webhook" => Some(Some(Preset::SimpleWebhook)),
                "advanced_webhook" => Some(Some(Preset::AdvancedWebhook)),
                other => {
                    let short: String = other.chars().take(100).collect();
                    let message = format!(
                        "'{short}' is a preset of Grafana Cloud only: there is simple_webhook, advanced_webhook and none."
                    );
                    self.fault(FIELD, message)
                }
            },
            _ => self.fault(FIELD, NO_STRING),
        }
    }
}

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

fn python_list<const N: usize>(names: [&str; N]) -> String {
    format!("['{}']", names.join("', '"))
}

//! A request's body in, the change that it asks for out, or what is wrong with each field in the words of Django REST
//! framework, which OnCall answers with.

use indexmap::IndexSet;
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
    /// clients that compare what they sent with what they read would see a difference for ever. Where there is nothing
    /// else, it is blank all the same: a trigger template of one space would never be true.
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
        if text.trim_matches(is_python_space).is_empty() {
            return if rules.blank { Some(Some(String::new())) } else { self.fault(field, BLANK) };
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
            // OnCall looks it up in PostgreSQL, which has no such text.
            Json::Str(text) if text.contains('\0') => self.fault(field, "Invalid values"),
            Json::Str(text) => Some(Some(text.to_string())),
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
        let mut ids = IndexSet::new();
        for item in items {
            let message = match item {
                Json::Str(id) if id.chars().nth(100).is_some() => "Ensure this field has no more than 100 characters.",
                Json::Str(id) if id.contains('\0') => "Invalid integration",
                Json::Str(id) if !id.is_empty() => {
                    // Named twice, it is one all the same.
                    ids.insert(id.to_string());
                    continue;
                }
                _ => "Integration does not exist",
            };
            self.fault::<()>(FIELD, message);
            return Vec::new();
        }
        if ids.len() > 256 {
            self.fault::<()>(FIELD, "Ensure this field has no more than 256 elements.");
        }
        ids.into_iter().collect()
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
                        "'{short}' is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana \
                         Cloud only."
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::core::json;

    const FORMS: [(Form, bool); 4] =
        [(Form::Webhooks, true), (Form::Webhooks, false), (Form::Actions, true), (Form::Actions, false)];

    /// Every field that a change carries.
    fn shown(change: &Change) -> Value {
        let credential = |credential: &Credential| match credential {
            Credential::Keep => json!("kept"),
            Credential::Clear { blank } => json!({ "blank": blank }),
            Credential::Set(secret) => json!({"set": secret.expose_secret()}),
        };
        let fields = [
            ("name", change.name.as_ref().map(|name| json!(name))),
            ("is_webhook_enabled", change.enabled.map(|enabled| json!(enabled))),
            ("team", change.team.as_ref().map(|team| json!(team))),
            ("data", change.data.as_ref().map(|data| json!(data))),
            ("username", change.username.as_ref().map(|username| json!(username))),
            ("password", change.password.as_ref().map(credential)),
            ("authorization_header", change.authorization_header.as_ref().map(credential)),
            ("trigger_template", change.trigger_template.as_ref().map(|template| json!(template))),
            ("headers", change.headers.as_ref().map(|headers| json!(headers))),
            ("url", change.url.as_ref().map(|url| json!(url))),
            ("forward_all", change.forward_all.map(|forward_all| json!(forward_all))),
            ("http_method", change.http_method.map(|method| json!(method))),
            ("trigger_type", change.trigger_type.map(|trigger_type| json!(trigger_type))),
            (
                "integration_filter",
                Some(&change.integration_filter).filter(|ids| !ids.is_empty()).map(|ids| json!(ids)),
            ),
            ("preset", change.preset.map(|preset| json!(preset))),
        ];
        fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect::<Map<_, _>>().into()
    }

    /// What a body asks for, or what is wrong with it. In text, where the order of fields counts.
    fn told(text: &str, form: Form, existing: Option<Existing>) -> Result<String, String> {
        let body = json::parse(text.as_bytes()).unwrap();
        read(&body, form, existing).map(|change| shown(&change).to_string()).map_err(|refusal| {
            assert_eq!((refusal.status, refusal.retry_after), (http::StatusCode::BAD_REQUEST, None));
            refusal.body.to_string()
        })
    }

    /// What one field of a change is read as, or its messages. A new webhook has the fields that it needs beside it.
    fn field(form: Form, creates: bool, field: &str, value: &str) -> Result<Value, Value> {
        let mut body = Map::new();
        if creates {
            body.insert("name".to_owned(), json!("n"));
            body.insert("url".to_owned(), json!("https://e"));
        }
        if creates && form == Form::Webhooks {
            body.insert("http_method".to_owned(), json!("POST"));
            body.insert("trigger_type".to_owned(), json!("resolve"));
        }
        body.shift_remove(field);
        // Not through serde_json, which has no 1e400.
        let mut text = Value::from(body).to_string();
        text.pop();
        let comma = if text == "{" { "" } else { "," };
        let text = format!("{text}{comma}{}:{value}}}", json!(field));
        let name = match field {
            "user" => "username",
            "team_id" => "team",
            "forward_whole_payload" => "forward_all",
            field => field,
        };
        let parsed = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        match told(&text, form, (!creates).then(Existing::default)) {
            Ok(change) => Ok(parsed(change).get(name).cloned().unwrap_or(json!("nothing"))),
            Err(body) => {
                let body = parsed(body);
                Err(body.get(field).unwrap_or(&body).clone())
            }
        }
    }

    fn fault(message: &str) -> Result<Value, Value> {
        Err(json!([message]))
    }

    #[test]
    fn only_an_object_is_a_body() {
        let cases = [
            ("null", "No data provided"),
            ("[1]", "Invalid data. Expected a dictionary, but got list."),
            ("\"x\"", "Invalid data. Expected a dictionary, but got str."),
            ("1.5", "Invalid data. Expected a dictionary, but got float."),
            ("123456789012345678901234567890", "Invalid data. Expected a dictionary, but got int."),
            ("true", "Invalid data. Expected a dictionary, but got bool."),
        ];
        for (body, message) in cases {
            for (form, creates) in FORMS {
                let refused = told(body, form, (!creates).then(Existing::default));
                assert_eq!(refused, Err(json!({"non_field_errors": [message]}).to_string()), "{body} {form:?}");
            }
        }
    }

    #[test]
    fn a_text_is_what_pythons_str_shows_without_white_space_around() {
        let cases = [
            ("\" x \"", "x"),
            (r#""\u001c x\u0085""#, "x"),
            (r#""\u3000ä b\u2028""#, "ä b"),
            // No space to Python.
            (r#""\u200bx\ufeff""#, "\u{200b}x\u{feff}"),
            ("\"\"", ""),
            ("\" \\t\\n\"", ""),
            ("5", "5"),
            ("-0", "0"),
            ("5.0", "5.0"),
            ("-0.0", "-0.0"),
            ("1E3", "1000.0"),
            ("1e16", "1e+16"),
            ("1e-5", "1e-05"),
            ("1e400", "inf"),
            ("-1e400", "-inf"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ];
        for (sent, expected) in cases {
            for creates in [true, false] {
                assert_eq!(field(Form::Webhooks, creates, "username", sent), Ok(json!(expected)), "{sent}");
            }
        }
        for sent in ["true", "false", "[]", "{}", "[\"x\"]"] {
            for name in ["name", "username", "password", "data", "url", "http_method", "preset"] {
                assert_eq!(field(Form::Webhooks, true, name, sent), fault(NO_STRING), "{name} {sent}");
            }
        }
    }

    #[test]
    fn each_form_takes_null_and_blank_where_oncall_does() {
        let null = || Ok(Value::Null);
        let blank = || Ok(json!(""));
        let clear = |blank: bool| Ok(json!({ "blank": blank }));
        let (no_null, no_blank, no_method) = (
            || fault(NULL),
            || fault(BLANK),
            || fault("Must be one of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']"),
        );
        let no_boolean = || fault(NO_BOOLEAN);
        // The field in both forms; null and blank to create a webhook, to change one, to create an action, to change one.
        #[rustfmt::skip]
        let cases = [
            ("name", "name", [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()]),
            ("is_webhook_enabled", "is_webhook_enabled", [null(), null()], [no_null(), no_boolean()], [null(), null()], [no_null(), no_boolean()]),
            ("team", "team_id", [null(), null()], [null(), null()], [null(), null()], [null(), null()]),
            ("username", "user", [null(), blank()], [null(), blank()], [null(), blank()], [no_null(), no_blank()]),
            ("password", "password", [clear(false), clear(true)], [clear(false), clear(true)], [clear(false), no_blank()], [clear(false), no_blank()]),
            ("authorization_header", "authorization_header", [clear(false), clear(true)], [clear(false), clear(true)], [clear(false), no_blank()], [clear(false), no_blank()]),
            ("data", "data", [null(), null()], [null(), null()], [null(), no_blank()], [null(), no_blank()]),
            ("trigger_template", "trigger_template", [null(), null()], [null(), null()], [null(), no_blank()], [null(), no_blank()]),
            ("headers", "headers", [null(), null()], [null(), null()], [null(), no_blank()], [null(), no_blank()]),
            ("url", "url", [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()]),
            ("forward_all", "forward_whole_payload", [no_null(), no_boolean()], [no_null(), no_boolean()], [no_null(), no_boolean()], [no_null(), no_boolean()]),
            ("http_method", "http_method", [no_null(), no_blank()], [no_null(), no_blank()], [no_method(), no_blank()], [no_null(), no_blank()]),
            ("trigger_type", "trigger_type", [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()]),
        ];
        for (webhooks, actions, a, b, c, d) in cases {
            for ((form, creates), expected) in FORMS.into_iter().zip([a, b, c, d]) {
                let name = if form == Form::Webhooks { webhooks } else { actions };
                let met = ["null", "\"\""].map(|sent| field(form, creates, name, sent));
                assert_eq!(met, expected, "{form:?} {name}, created: {creates}");
                // White space alone is blank too, but in a flag or a name of a team.
                if !["is_webhook_enabled", "team", "team_id", "forward_all", "forward_whole_payload"].contains(&name) {
                    assert_eq!(field(form, creates, name, "\" \\n\""), expected[1], "{form:?} {name}");
                }
            }
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_when_a_webhook_is_made() {
        let all = r#"{"name":["This field is required."],"url":["This field is required."],"http_method":["This field is required."],"trigger_type":["This field is required."]}"#;
        assert_eq!(told("{}", Form::Webhooks, None), Err(all.to_owned()));
        let two = r#"{"name":["This field is required."],"url":["This field is required."]}"#;
        assert_eq!(told("{}", Form::Actions, None), Err(two.to_owned()));
        for form in [Form::Webhooks, Form::Actions] {
            assert_eq!(told("{}", form, Some(Existing::default())), Ok("{}".to_owned()));
        }
    }

    #[test]
    fn the_other_forms_names_are_nothing() {
        let sent = r#"{"user":5,"team_id":"T","forward_whole_payload":null,"id":"WHX","organization":[],"url":"u"}"#;
        assert_eq!(told(sent, Form::Webhooks, Some(Existing::default())), Ok(r#"{"url":"u"}"#.to_owned()));
        let sent = r#"{"username":[],"team":5,"forward_all":null,"preset":"nope","url":"u"}"#;
        assert_eq!(told(sent, Form::Actions, Some(Existing::default())), Ok(r#"{"url":"u"}"#.to_owned()));
    }

    #[test]
    fn texts_are_bounded_in_characters_and_hold_no_null_character() {
        let text = |length: usize| format!("\" {} \"", "ä".repeat(length));
        for (name, max) in [("name", 100), ("username", 100), ("password", 1000), ("authorization_header", 2000)] {
            let message = format!("Ensure this field has no more than {max} characters.");
            assert!(field(Form::Webhooks, true, name, &text(max)).is_ok(), "{name}");
            assert_eq!(field(Form::Webhooks, true, name, &text(max + 1)), fault(&message), "{name}");
            let both = format!("\"{}\\u0000\"", "x".repeat(max));
            let expected = Err(json!([message, "Null characters are not allowed."]));
            assert_eq!(field(Form::Webhooks, true, name, &both), expected, "{name}");
        }
        let method = "Ensure this field has no more than 32 characters.";
        assert_eq!(field(Form::Webhooks, true, "http_method", &text(33)), fault(method));
        for name in ["name", "data", "url", "http_method"] {
            let sent = "\"a\\u0000b\"";
            assert_eq!(field(Form::Webhooks, true, name, sent), fault("Null characters are not allowed."), "{name}");
        }
    }

    #[test]
    fn flags_are_what_django_takes_for_them() {
        let cases = [
            (r#"true "true" "TRUE" "tRuE" "t" "Y" "yes" "ON" "1" 1 1.0"#, Ok(json!(true))),
            (r#"false "false" "FALSE" "f" "N" "no" "Off" "0" 0 0.0 -0.0 -0"#, Ok(json!(false))),
            (r#"2 -1 0.5 1e400 "2" "1.0" "none" "x" [] {} [true] 123456789012345678901234567890"#, fault(NO_BOOLEAN)),
        ];
        for (values, expected) in cases {
            for value in values.split(' ') {
                for (form, creates) in FORMS {
                    assert_eq!(field(form, creates, "is_webhook_enabled", value), expected, "{value}");
                    let name = if form == Form::Webhooks { "forward_all" } else { "forward_whole_payload" };
                    assert_eq!(field(form, creates, name, value), expected, "{value}");
                }
            }
        }
        assert_eq!(field(Form::Webhooks, true, "is_webhook_enabled", "\" true\""), fault(NO_BOOLEAN));
        assert_eq!(field(Form::Webhooks, true, "is_webhook_enabled", "\"Null\""), Ok(Value::Null));
        assert_eq!(field(Form::Webhooks, false, "is_webhook_enabled", "\"Null\""), fault(NO_BOOLEAN));
    }

    #[test]
    fn the_mask_keeps_what_is_there_and_nothing_else() {
        let mask = json!(MASK).to_string();
        for name in ["password", "authorization_header"] {
            for form in [Form::Webhooks, Form::Actions] {
                assert_eq!(field(form, false, name, &mask), Ok(json!("kept")), "{name}");
                let message = format!("{MASK} stands for a secret that is kept: send the secret itself.");
                assert_eq!(field(form, true, name, &mask), fault(&message), "{name}");
                assert_eq!(field(form, true, name, "\"***\""), Ok(json!({"set": "***"})), "{name}");
                assert_eq!(field(form, false, name, "\" s \""), Ok(json!({"set": "s"})), "{name}");
            }
        }
        let message = format!("{MASK} stands for a URL that is kept: send the URL itself.");
        assert_eq!(field(Form::Webhooks, true, "url", &mask), fault(&message));
        assert_eq!(field(Form::Webhooks, false, "url", &mask), fault(&message));
        let secret = Existing { url_is_secret: true, ..Existing::default() };
        assert_eq!(told(&format!(r#"{{"url":{mask}}}"#), Form::Webhooks, Some(secret)), Ok("{}".to_owned()));
        assert_eq!(told(r#"{"url":"u"}"#, Form::Webhooks, Some(secret)), Ok(r#"{"url":"u"}"#.to_owned()));
    }

    #[test]
    fn templates_are_kept_as_sent_and_refused_if_they_cannot_work() {
        let cases = [
            ("\" {{ x }}\\n\"", Ok(json!(" {{ x }}\n"))),
            ("5", Ok(json!("5"))),
            // Does not fit the data that it is tried with.
            ("\"{{ x.y.z }}\"", Ok(json!("{{ x.y.z }}"))),
            ("\"{{ }}\"", fault("Template Error: Expected an expression, got 'end of print statement'")),
            ("\"{{ x | nope }}\"", fault("Template Error: No filter named 'nope'.")),
        ];
        for (sent, expected) in &cases {
            for name in ["data", "headers", "trigger_template"] {
                for (form, creates) in FORMS {
                    assert_eq!(field(form, creates, name, sent), *expected, "{name} {sent}");
                }
            }
        }
        assert_eq!(field(Form::Webhooks, true, "url", cases[0].0), Ok(json!("{{ x }}")));
        assert_eq!(field(Form::Webhooks, true, "url", cases[3].0), cases[3].1);
        let long = |length: usize| format!("\"{}\"", "ä".repeat(length));
        assert_eq!(field(Form::Webhooks, true, "data", &long(50_000)), Ok(json!("ä".repeat(50_000))));
        let message = "Template Error: Template exceeds length limit (50001 > 50000)";
        assert_eq!(field(Form::Webhooks, true, "data", &long(50_001)), fault(message));
    }

    #[test]
    fn a_trigger_type_that_is_none_is_said_before_all_else() {
        let all = "trigger_type must one of ['escalation', 'alert group created', 'acknowledge', 'resolve', 'silence', 'unsilence', 'unresolve', 'unacknowledge', 'status change', 'personal notification']";
        for value in ["\"firing\"", "\"Resolve\"", "\" resolve \"", "\"resolve\\u0000\"", "1", "true", "[]", "{}"] {
            let sent = format!(r#"{{"name":[],"trigger_type":{value},"integration_filter":5}}"#);
            for (form, creates) in FORMS {
                let refused = told(&sent, form, (!creates).then(Existing::default));
                assert_eq!(refused, Err(json!({ "detail": all }).to_string()), "{value}");
            }
        }
        for value in ["incident declared", "incident changed", "incident resolved"] {
            let detail = format!("trigger_type '{value}' is one of Grafana Cloud only: {all}");
            let refused = field(Form::Webhooks, true, "trigger_type", &json!(value).to_string());
            assert_eq!(refused, Err(json!({ "detail": detail })));
        }
        for (value, _) in TRIGGER_TYPES {
            for (form, creates) in FORMS {
                assert_eq!(field(form, creates, "trigger_type", &json!(value).to_string()), Ok(json!(value)));
            }
        }
    }

    #[test]
    fn methods_are_those_of_oncall_in_capitals() {
        for (name, method) in METHODS {
            assert_eq!(method.as_str(), name);
            assert_eq!(field(Form::Webhooks, true, "http_method", &format!("\" {name}\\n\"")), Ok(json!(name)));
        }
        for value in ["\"get\"", "\"HEAD\"", "5"] {
            let message = "Must be one of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']";
            assert_eq!(field(Form::Actions, false, "http_method", value), fault(message));
        }
    }

    #[test]
    fn any_text_is_a_team() {
        let long = format!("\"{}\"", "ä".repeat(101));
        let cases = [
            ("\"T1\"", Ok(json!("T1"))),
            ("\" ä \"", Ok(json!(" ä "))),
            ("\"null\"", Ok(Value::Null)),
            ("\"NULL\"", Ok(json!("NULL"))),
            ("5", fault("Object does not exist")),
            ("true", fault("Object does not exist")),
            ("[\"T1\"]", fault("Object does not exist")),
            ("{}", fault("Object does not exist")),
            ("\"a\\u0000\"", fault("Invalid values")),
            (long.as_str(), fault("Ensure this field has no more than 100 characters.")),
        ];
        for (sent, expected) in cases {
            assert_eq!(field(Form::Webhooks, true, "team", sent), expected, "{sent}");
            assert_eq!(field(Form::Actions, false, "team_id", sent), expected, "{sent}");
        }
    }

    #[test]
    fn integrations_are_a_list_of_texts_or_nothing() {
        let list = |length: usize| json!((0..length).map(|n| n.to_string()).collect::<Vec<_>>());
        let type_of = |name: &str| fault(&format!("Expected a list of items but got type \"{name}\"."));
        let missing = || fault("Integration does not exist");
        let cases = [
            ("null false 0 0.0 -0.0 \"\" [] {}".to_owned(), Ok(json!("nothing"))),
            ("[\"C1\",\"C2\"]".to_owned(), Ok(json!(["C1", "C2"]))),
            ("[\"C2\",\"C1\",\"C2\"]".to_owned(), Ok(json!(["C2", "C1"]))),
            (list(256).to_string(), Ok(list(256))),
            (list(257).to_string(), fault("Ensure this field has no more than 256 elements.")),
            ("[\"C1\",null] [\"\"] [5] [true] [[]] [{}]".to_owned(), missing()),
            ("[\"\\u0000\"]".to_owned(), fault("Invalid integration")),
            (format!("[\"{}\"]", "x".repeat(101)), fault("Ensure this field has no more than 100 characters.")),
            ("\"C1\"".to_owned(), type_of("str")),
            ("5 123456789012345678901234567890".to_owned(), type_of("int")),
            ("0.5 1e400".to_owned(), type_of("float")),
            ("true".to_owned(), type_of("bool")),
            ("{\"C1\":1}".to_owned(), type_of("dict")),
        ];
        for (values, expected) in cases {
            for value in values.split(' ') {
                for (form, creates) in FORMS {
                    assert_eq!(field(form, creates, "integration_filter", value), expected, "{value}");
                }
            }
        }
    }

    #[test]
    fn a_simple_webhook_is_a_post_of_all_data_for_escalations() {
        let forced = r#""forward_all":true,"http_method":"POST","trigger_type":"escalation""#;
        let made = format!(r#"{{"name":"n","url":"u",{forced},"preset":"simple_webhook"}}"#);
        let bodies = [
            r#"{"preset":"simple_webhook","name":"n","url":"u"}"#,
            r#"{"preset":"simple_webhook","name":"n","url":"u","trigger_type":"","http_method":"","forward_all":false}"#,
            r#"{"preset":"simple_webhook","name":"n","url":"u","trigger_type":"nope","http_method":5,"forward_all":null}"#,
        ];
        for body in bodies {
            assert_eq!(told(body, Form::Webhooks, None), Ok(made.clone()), "{body}");
        }
        let simple = Some(Existing { preset: Some(Preset::SimpleWebhook), ..Existing::default() });
        let cases = [
            // It stays one until the preset is taken away.
            (r#"{"trigger_type":"resolve"}"#, Form::Webhooks, format!("{{{forced}}}")),
            (r#"{"forward_whole_payload":false}"#, Form::Actions, format!("{{{forced}}}")),
            (
                r#"{"preset":"","trigger_type":"resolve"}"#,
                Form::Webhooks,
                r#"{"trigger_type":"resolve","preset":null}"#.to_owned(),
            ),
            (
                r#"{"preset":"advanced_webhook","http_method":"PUT"}"#,
                Form::Webhooks,
                r#"{"http_method":"PUT","preset":"advanced_webhook"}"#.to_owned(),
            ),
        ];
        for (body, form, expected) in cases {
            assert_eq!(told(body, form, simple), Ok(expected), "{body}");
        }
    }

    #[test]
    fn presets_are_two_or_none_and_others_are_refused_by_name() {
        let long = "x".repeat(200);
        let refused = |name: &str| {
            fault(&format!(
                "'{name}' is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana Cloud only."
            ))
        };
        let cases = [
            ("null", Ok(Value::Null)),
            ("\"\"", Ok(Value::Null)),
            ("\"advanced_webhook\"", Ok(json!("advanced_webhook"))),
            ("\"incident_webhook\"", refused("incident_webhook")),
            (&json!(long).to_string(), refused(&long[..100])),
            ("5", fault(NO_STRING)),
        ];
        for (sent, expected) in cases {
            for creates in [true, false] {
                assert_eq!(field(Form::Webhooks, creates, "preset", sent), expected, "{sent}");
            }
        }
    }

    #[test]
    fn faults_stand_in_the_order_of_oncalls_fields() {
        let sent = r#"{"preset":[],"integration_filter":1,"trigger_type":null,"http_method":[],"forward_all":2,"url":[],
            "headers":[],"trigger_template":[],"authorization_header":[],"password":[],"username":[],"data":[],"team":1,
            "is_webhook_enabled":2,"name":[]}"#;
        let expected = json!({
            "name": [NO_STRING], "is_webhook_enabled": [NO_BOOLEAN], "team": ["Object does not exist"], "data": [NO_STRING],
            "username": [NO_STRING], "password": [NO_STRING], "authorization_header": [NO_STRING],
            "trigger_template": [NO_STRING], "headers": [NO_STRING], "url": [NO_STRING], "forward_all": [NO_BOOLEAN],
            "http_method": [NO_STRING], "trigger_type": [NULL],
            "integration_filter": ["Expected a list of items but got type \"int\"."], "preset": [NO_STRING],
        });
        assert_eq!(told(sent, Form::Webhooks, None), Err(expected.to_string()));
        let sent =
            sent.replace("username", "user").replace("team", "team_id").replace("forward_all", "forward_whole_payload");
        let expected = json!({
            "name": [NO_STRING], "is_webhook_enabled": [NO_BOOLEAN], "team_id": ["Object does not exist"],
            "user": [NO_STRING], "data": [NO_STRING], "password": [NO_STRING], "authorization_header": [NO_STRING],
            "trigger_template": [NO_STRING], "headers": [NO_STRING], "url": [NO_STRING],
            "forward_whole_payload": [NO_BOOLEAN], "http_method": [NO_STRING], "trigger_type": [NULL],
            "integration_filter": ["Expected a list of items but got type \"int\"."],
        });
        assert_eq!(told(&sent, Form::Actions, None), Err(expected.to_string()));
    }
}

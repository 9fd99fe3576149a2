//! Reading of requests' bodies, and the errors of wrong fields.

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::super::{
    credential::CredentialChange,
    reader::{BLANK, METHODS, NO_BOOLEAN, NO_STRING, NULL, TRIGGER_TYPES},
    *,
};
use crate::core::json;

const COLLECTIONS: [(Collection, bool); 4] = [
    (Collection::Webhooks, true),
    (Collection::Webhooks, false),
    (Collection::Actions, true),
    (Collection::Actions, false),
];

/// Every field that was read, as JSON.
fn shown(input: &WebhookInput) -> Value {
    let credential = |credential: &CredentialChange| match credential {
        CredentialChange::Keep => json!("kept"),
        CredentialChange::Clear { blank } => json!({ "blank": blank }),
        CredentialChange::Set(secret) => json!({"set": secret.expose_secret()}),
    };
    let fields = [
        ("name", input.name.as_ref().map(|name| json!(name))),
        ("is_webhook_enabled", input.is_webhook_enabled.map(|enabled| json!(enabled))),
        ("team", input.team.as_ref().map(|team| json!(team))),
        ("data", input.data.as_ref().map(|data| json!(data))),
        ("username", input.username.as_ref().map(|username| json!(username))),
        ("password", input.password.as_ref().map(credential)),
        ("authorization_header", input.authorization_header.as_ref().map(credential)),
        ("trigger_template", input.trigger_template.as_ref().map(|template| json!(template))),
        ("headers", input.headers.as_ref().map(|headers| json!(headers))),
        ("url", input.url.as_ref().map(|url| json!(url))),
        ("forward_all", input.forward_all.map(|forward_all| json!(forward_all))),
        ("http_method", input.http_method.map(|method| json!(method))),
        ("trigger_type", input.trigger_type.map(|trigger_type| json!(trigger_type))),
        ("integration_filter", Some(&input.integration_filter).filter(|ids| !ids.is_empty()).map(|ids| json!(ids))),
        ("preset", input.preset.map(|preset| json!(preset))),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect::<Map<_, _>>().into()
}

/// Reads a body; gives the fields or the error's body, as text, in which the order of fields counts.
fn read(text: &str, collection: Collection, existing: Option<ExistingWebhook>) -> Result<String, String> {
    let body = json::parse(text.as_bytes()).unwrap();
    WebhookInput::read(&body, collection, existing).map(|input| shown(&input).to_string()).map_err(|error| {
        assert_eq!((error.status, error.retry_after), (http::StatusCode::BAD_REQUEST, None));
        error.body.to_string()
    })
}

/// Reads one field, beside the fields that a new webhook needs; gives its value or its messages.
fn field(collection: Collection, creates: bool, field: &str, value: &str) -> Result<Value, Value> {
    let mut body = Map::new();
    if creates {
        body.insert("name".to_owned(), json!("n"));
        body.insert("url".to_owned(), json!("https://e"));
    }
    if creates && collection == Collection::Webhooks {
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
    match read(&text, collection, (!creates).then(ExistingWebhook::default)) {
        Ok(change) => Ok(parsed(change).get(name).cloned().unwrap_or(json!("nothing"))),
        Err(body) => {
            let body = parsed(body);
            Err(body.get(field).unwrap_or(&body).clone())
        }
    }
}

fn error(message: &str) -> Result<Value, Value> {
    Err(json!([message]))
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let cases = [
        ("null", "No data provided"),
        ("[1]", "Invalid data. Expected a dictionary, but got list."),
        ("\"x\"", "Invalid data. Expected a dictionary, but got str."),
        ("1.5", "Invalid data. Expected a dictionary, but got float."),
        ("123456789012345678901234567890", "Invalid data. Expected a dictionary, but got int."),
        ("true", "Invalid data. Expected a dictionary, but got bool."),
    ];
    for (body, message) in cases {
        for (collection, creates) in COLLECTIONS {
            let refused = read(body, collection, (!creates).then(ExistingWebhook::default));
            assert_eq!(refused, Err(json!({"non_field_errors": [message]}).to_string()), "{body} {collection:?}");
        }
    }
}

#[test]
fn texts_are_read_as_pythons_str_shows_them_without_white_space_around() {
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
            assert_eq!(field(Collection::Webhooks, creates, "username", sent), Ok(json!(expected)), "{sent}");
        }
    }
    for sent in ["true", "false", "[]", "{}", "[\"x\"]"] {
        for name in ["name", "username", "password", "data", "url", "http_method", "preset"] {
            assert_eq!(field(Collection::Webhooks, true, name, sent), error(NO_STRING), "{name} {sent}");
        }
    }
}

#[test]
fn each_collection_takes_null_and_blank_where_oncall_does() {
    let null = || Ok(Value::Null);
    let blank = || Ok(json!(""));
    let clear = |blank: bool| Ok(json!({ "blank": blank }));
    let (no_null, no_blank, no_method) = (
        || error(NULL),
        || error(BLANK),
        || error("Must be one of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']"),
    );
    let no_boolean = || error(NO_BOOLEAN);
    // The field in both collections; null and blank to create a webhook, to change one, to create an action, to change one.
    #[rustfmt::skip]
    let cases = [
        ("name", "name", [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()]),
        ("is_webhook_enabled", "is_webhook_enabled", [null(), null()], [no_null(), no_boolean()], [null(), null()], [no_null(), no_boolean()]),
        ("team", "team_id", [null(), null()], [null(), null()], [null(), null()], [null(), null()]),
        ("username", "user", [null(), blank()], [null(), blank()], [null(), blank()], [null(), blank()]),
        ("password", "password", [clear(false), clear(true)], [clear(false), clear(true)], [clear(false), clear(true)], [clear(false), clear(true)]),
        ("authorization_header", "authorization_header", [clear(false), clear(true)], [clear(false), clear(true)], [clear(false), clear(true)], [clear(false), clear(true)]),
        ("data", "data", [null(), null()], [null(), null()], [null(), null()], [null(), null()]),
        ("trigger_template", "trigger_template", [null(), null()], [null(), null()], [null(), null()], [null(), null()]),
        ("headers", "headers", [null(), null()], [null(), null()], [null(), null()], [null(), null()]),
        ("url", "url", [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()]),
        ("forward_all", "forward_whole_payload", [no_null(), no_boolean()], [no_null(), no_boolean()], [no_null(), no_boolean()], [no_null(), no_boolean()]),
        ("http_method", "http_method", [no_null(), no_blank()], [no_null(), no_blank()], [no_method(), no_blank()], [no_null(), no_blank()]),
        ("trigger_type", "trigger_type", [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()], [no_null(), no_blank()]),
    ];
    for (webhooks, actions, a, b, c, d) in cases {
        for ((collection, creates), expected) in COLLECTIONS.into_iter().zip([a, b, c, d]) {
            let name = if collection == Collection::Webhooks { webhooks } else { actions };
            let met = ["null", "\"\""].map(|sent| field(collection, creates, name, sent));
            assert_eq!(met, expected, "{collection:?} {name}, created: {creates}");
            // White space alone is blank too, but in a flag or a name of a team.
            if !["is_webhook_enabled", "team", "team_id", "forward_all", "forward_whole_payload"].contains(&name) {
                assert_eq!(field(collection, creates, name, "\" \\n\""), expected[1], "{collection:?} {name}");
            }
        }
    }
}

#[test]
fn required_fields_are_asked_for_when_a_webhook_is_created() {
    let all = r#"{"name":["This field is required."],"url":["This field is required."],"http_method":["This field is required."],"trigger_type":["This field is required."]}"#;
    assert_eq!(read("{}", Collection::Webhooks, None), Err(all.to_owned()));
    let two = r#"{"name":["This field is required."],"url":["This field is required."]}"#;
    assert_eq!(read("{}", Collection::Actions, None), Err(two.to_owned()));
    for collection in [Collection::Webhooks, Collection::Actions] {
        assert_eq!(read("{}", collection, Some(ExistingWebhook::default())), Ok("{}".to_owned()));
    }
}

#[test]
fn names_of_the_other_collection_are_ignored() {
    let sent = r#"{"user":5,"team_id":"T","forward_whole_payload":null,"id":"WHX","organization":[],"url":"u"}"#;
    assert_eq!(read(sent, Collection::Webhooks, Some(ExistingWebhook::default())), Ok(r#"{"url":"u"}"#.to_owned()));
    let sent = r#"{"username":[],"team":5,"forward_all":null,"preset":"nope","url":"u"}"#;
    assert_eq!(read(sent, Collection::Actions, Some(ExistingWebhook::default())), Ok(r#"{"url":"u"}"#.to_owned()));
}

#[test]
fn texts_are_bounded_in_characters_and_hold_no_null_character() {
    let text = |length: usize| format!("\" {} \"", "ä".repeat(length));
    for (name, max) in [("name", 100), ("username", 100), ("password", 1000), ("authorization_header", 2000)] {
        let message = format!("Ensure this field has no more than {max} characters.");
        assert!(field(Collection::Webhooks, true, name, &text(max)).is_ok(), "{name}");
        assert_eq!(field(Collection::Webhooks, true, name, &text(max + 1)), error(&message), "{name}");
        let both = format!("\"{}\\u0000\"", "x".repeat(max));
        let expected = Err(json!([message, "Null characters are not allowed."]));
        assert_eq!(field(Collection::Webhooks, true, name, &both), expected, "{name}");
    }
    let method = "Ensure this field has no more than 32 characters.";
    assert_eq!(field(Collection::Webhooks, true, "http_method", &text(33)), error(method));
    for name in ["name", "data", "url", "http_method"] {
        let sent = "\"a\\u0000b\"";
        assert_eq!(field(Collection::Webhooks, true, name, sent), error("Null characters are not allowed."), "{name}");
    }
}

#[test]
fn flags_are_what_django_takes_for_them() {
    let cases = [
        (r#"true "true" "TRUE" "tRuE" "t" "Y" "yes" "ON" "1" 1 1.0"#, Ok(json!(true))),
        (r#"false "false" "FALSE" "f" "N" "no" "Off" "0" 0 0.0 -0.0 -0"#, Ok(json!(false))),
        (r#"2 -1 0.5 1e400 "2" "1.0" "none" "x" [] {} [true] 123456789012345678901234567890"#, error(NO_BOOLEAN)),
    ];
    for (values, expected) in cases {
        for value in values.split(' ') {
            for (collection, creates) in COLLECTIONS {
                assert_eq!(field(collection, creates, "is_webhook_enabled", value), expected, "{value}");
                let name = if collection == Collection::Webhooks { "forward_all" } else { "forward_whole_payload" };
                assert_eq!(field(collection, creates, name, value), expected, "{value}");
            }
        }
    }
    assert_eq!(field(Collection::Webhooks, true, "is_webhook_enabled", "\" true\""), error(NO_BOOLEAN));
    assert_eq!(field(Collection::Webhooks, true, "is_webhook_enabled", "\"Null\""), Ok(Value::Null));
    assert_eq!(field(Collection::Webhooks, false, "is_webhook_enabled", "\"Null\""), error(NO_BOOLEAN));
}

#[test]
fn the_mask_keeps_a_stored_value_and_is_refused_where_there_is_none() {
    let mask = json!(MASK).to_string();
    for name in ["password", "authorization_header"] {
        for collection in [Collection::Webhooks, Collection::Actions] {
            assert_eq!(field(collection, false, name, &mask), Ok(json!("kept")), "{name}");
            let message = format!("{MASK} stands for a secret that is kept: send the secret itself.");
            assert_eq!(field(collection, true, name, &mask), error(&message), "{name}");
            assert_eq!(field(collection, true, name, "\"***\""), Ok(json!({"set": "***"})), "{name}");
            assert_eq!(field(collection, false, name, "\" s \""), Ok(json!({"set": "s"})), "{name}");
        }
    }
    let message = format!("{MASK} stands for a URL that is kept: send the URL itself.");
    assert_eq!(field(Collection::Webhooks, true, "url", &mask), error(&message));
    assert_eq!(field(Collection::Webhooks, false, "url", &mask), error(&message));
    let secret = ExistingWebhook { url_is_secret: true, ..ExistingWebhook::default() };
    assert_eq!(read(&format!(r#"{{"url":{mask}}}"#), Collection::Webhooks, Some(secret)), Ok("{}".to_owned()));
    assert_eq!(read(r#"{"url":"u"}"#, Collection::Webhooks, Some(secret)), Ok(r#"{"url":"u"}"#.to_owned()));
}

#[test]
fn templates_are_kept_as_sent_and_refused_if_they_cannot_work() {
    let cases = [
        ("\" {{ x }}\\n\"", Ok(json!(" {{ x }}\n"))),
        ("5", Ok(json!("5"))),
        // Does not fit the data that it is tried with.
        ("\"{{ x.y.z }}\"", Ok(json!("{{ x.y.z }}"))),
        ("\"{{ }}\"", error("Template Error: Expected an expression, got 'end of print statement'")),
        ("\"{{ x | nope }}\"", error("Template Error: No filter named 'nope'.")),
    ];
    for (sent, expected) in &cases {
        for name in ["data", "headers", "trigger_template"] {
            for (collection, creates) in COLLECTIONS {
                assert_eq!(field(collection, creates, name, sent), *expected, "{name} {sent}");
            }
        }
    }
    assert_eq!(field(Collection::Webhooks, true, "url", cases[0].0), Ok(json!("{{ x }}")));
    assert_eq!(field(Collection::Webhooks, true, "url", cases[3].0), cases[3].1);
    let long = |length: usize| format!("\"{}\"", "ä".repeat(length));
    assert_eq!(field(Collection::Webhooks, true, "data", &long(50_000)), Ok(json!("ä".repeat(50_000))));
    let message = "Template Error: Template exceeds length limit (50001 > 50000)";
    assert_eq!(field(Collection::Webhooks, true, "data", &long(50_001)), error(message));
}

#[test]
fn an_unknown_trigger_type_is_told_before_all_else() {
    let all = "trigger_type must one of ['escalation', 'alert group created', 'acknowledge', 'resolve', 'silence', 'unsilence', 'unresolve', 'unacknowledge', 'status change', 'personal notification']";
    for value in ["\"firing\"", "\"Resolve\"", "\" resolve \"", "\"resolve\\u0000\"", "1", "true", "[]", "{}"] {
        let sent = format!(r#"{{"name":[],"trigger_type":{value},"integration_filter":5}}"#);
        for (collection, creates) in COLLECTIONS {
            let refused = read(&sent, collection, (!creates).then(ExistingWebhook::default));
            assert_eq!(refused, Err(json!({ "detail": all }).to_string()), "{value}");
        }
    }
    for value in ["incident declared", "incident changed", "incident resolved"] {
        let detail = format!("trigger_type '{value}' is one of Grafana Cloud only: {all}");
        let refused = field(Collection::Webhooks, true, "trigger_type", &json!(value).to_string());
        assert_eq!(refused, Err(json!({ "detail": detail })));
    }
    for (value, _) in TRIGGER_TYPES {
        for (collection, creates) in COLLECTIONS {
            assert_eq!(field(collection, creates, "trigger_type", &json!(value).to_string()), Ok(json!(value)));
        }
    }
}

#[test]
fn methods_are_those_of_oncall_in_capitals() {
    for (name, method) in METHODS {
        assert_eq!(method.as_str(), name);
        assert_eq!(field(Collection::Webhooks, true, "http_method", &format!("\" {name}\\n\"")), Ok(json!(name)));
    }
    for value in ["\"get\"", "\"HEAD\"", "5"] {
        let message = "Must be one of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']";
        assert_eq!(field(Collection::Actions, false, "http_method", value), error(message));
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
        ("5", error("Object does not exist")),
        ("true", error("Object does not exist")),
        ("[\"T1\"]", error("Object does not exist")),
        ("{}", error("Object does not exist")),
        ("\"a\\u0000\"", error("Invalid values")),
        (long.as_str(), error("Ensure this field has no more than 100 characters.")),
    ];
    for (sent, expected) in cases {
        assert_eq!(field(Collection::Webhooks, true, "team", sent), expected, "{sent}");
        assert_eq!(field(Collection::Actions, false, "team_id", sent), expected, "{sent}");
    }
}

#[test]
fn integrations_are_a_list_of_texts_or_nothing() {
    let list = |length: usize| json!((0..length).map(|n| n.to_string()).collect::<Vec<_>>());
    let type_of = |name: &str| error(&format!("Expected a list of items but got type \"{name}\"."));
    let missing = || error("Integration does not exist");
    let cases = [
        ("null false 0 0.0 -0.0 \"\" [] {}".to_owned(), Ok(json!("nothing"))),
        ("[\"C1\",\"C2\"]".to_owned(), Ok(json!(["C1", "C2"]))),
        ("[\"C2\",\"C1\",\"C2\"]".to_owned(), Ok(json!(["C2", "C1"]))),
        (list(256).to_string(), Ok(list(256))),
        (list(257).to_string(), error("Ensure this field has no more than 256 elements.")),
        ("[\"C1\",null] [\"\"] [5] [true] [[]] [{}]".to_owned(), missing()),
        ("[\"\\u0000\"]".to_owned(), error("Invalid integration")),
        (format!("[\"{}\"]", "x".repeat(101)), error("Ensure this field has no more than 100 characters.")),
        ("\"C1\"".to_owned(), type_of("str")),
        ("5 123456789012345678901234567890".to_owned(), type_of("int")),
        ("0.5 1e400".to_owned(), type_of("float")),
        ("true".to_owned(), type_of("bool")),
        ("{\"C1\":1}".to_owned(), type_of("dict")),
    ];
    for (values, expected) in cases {
        for value in values.split(' ') {
            for (collection, creates) in COLLECTIONS {
                assert_eq!(field(collection, creates, "integration_filter", value), expected, "{value}");
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
        assert_eq!(read(body, Collection::Webhooks, None), Ok(made.clone()), "{body}");
    }
    let simple = Some(ExistingWebhook { preset: Some(Preset::SimpleWebhook), ..ExistingWebhook::default() });
    let cases = [
        // It stays one until the preset is taken away.
        (r#"{"trigger_type":"resolve"}"#, Collection::Webhooks, format!("{{{forced}}}")),
        (r#"{"forward_whole_payload":false}"#, Collection::Actions, format!("{{{forced}}}")),
        (
            r#"{"preset":"","trigger_type":"resolve"}"#,
            Collection::Webhooks,
            r#"{"trigger_type":"resolve","preset":null}"#.to_owned(),
        ),
        (
            r#"{"preset":"advanced_webhook","http_method":"PUT"}"#,
            Collection::Webhooks,
            r#"{"http_method":"PUT","preset":"advanced_webhook"}"#.to_owned(),
        ),
    ];
    for (body, collection, expected) in cases {
        assert_eq!(read(body, collection, simple), Ok(expected), "{body}");
    }
}

#[test]
fn presets_are_two_or_none_and_others_are_refused_by_name() {
    let long = "x".repeat(200);
    let refused = |name: &str| {
        error(&format!(
            "'{name}' is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana Cloud only."
        ))
    };
    let cases = [
        ("null", Ok(Value::Null)),
        ("\"\"", Ok(Value::Null)),
        ("\"advanced_webhook\"", Ok(json!("advanced_webhook"))),
        ("\"incident_webhook\"", refused("incident_webhook")),
        (&json!(long).to_string(), refused(&long[..100])),
        ("5", error(NO_STRING)),
    ];
    for (sent, expected) in cases {
        for creates in [true, false] {
            assert_eq!(field(Collection::Webhooks, creates, "preset", sent), expected, "{sent}");
        }
    }
}

#[test]
fn errors_stand_in_the_order_of_oncalls_fields() {
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
    assert_eq!(read(sent, Collection::Webhooks, None), Err(expected.to_string()));
    let sent =
        sent.replace("username", "user").replace("team", "team_id").replace("forward_all", "forward_whole_payload");
    let expected = json!({
        "name": [NO_STRING], "is_webhook_enabled": [NO_BOOLEAN], "team_id": ["Object does not exist"],
        "user": [NO_STRING], "data": [NO_STRING], "password": [NO_STRING], "authorization_header": [NO_STRING],
        "trigger_template": [NO_STRING], "headers": [NO_STRING], "url": [NO_STRING],
        "forward_whole_payload": [NO_BOOLEAN], "http_method": [NO_STRING], "trigger_type": [NULL],
        "integration_filter": ["Expected a list of items but got type \"int\"."],
    });
    assert_eq!(read(&sent, Collection::Actions, None), Err(expected.to_string()));
}

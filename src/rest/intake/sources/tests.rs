use serde_json::{Value, json};

use super::*;

const TOKEN: &str = "a-token-of-20-characters";

struct Setting {
    sources: Sources,
    secrets: Secrets,
    scope: Scope,
}

impl Setting {
    fn new(budget: u64) -> Self {
        let (secrets, scope) = (Secrets::new(1 << 20), Scope::new(["team", "other"].map(str::to_owned)));
        Self { sources: Sources::new(secrets.clone(), scope.clone(), budget), secrets, scope }
    }

    /// Shows an Integration of this generation, whose token is in the Secret of its name; `more` adds to its spec.
    fn apply(&self, name: &str, generation: i64, open: u32, more: Value) {
        let mut spec = json!({"type": "webhook", "tokenSecretRef": {"name": name, "key": "token"}});
        let (Value::Object(into), Value::Object(more)) = (&mut spec, more) else { unreachable!() };
        into.extend(more);
        let integration = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "Integration",
            "metadata": {"name": name, "namespace": "team", "uid": name, "generation": generation},
            "spec": spec, "status": {"openAlertGroups": open},
        });
        self.sources.apply(&serde_json::from_value(integration).unwrap());
    }

    fn read(&self, name: &str, token: Option<&str>) {
        self.secrets.read_as(&named(name), token.map(|token| ("token", token)));
        self.sources.secret_changed(&named(name));
    }

    /// What a token opens.
    fn found(&self, token: &str) -> String {
        match self.sources.find(token) {
            Found::Source(source) => source.name.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn source(&self, token: &str) -> Arc<Source> {
        match self.sources.find(token) {
            Found::Source(source) => source,
            other => panic!("{other:?}"),
        }
    }
}

fn named(name: &str) -> NamespacedName {
    NamespacedName::new("team", name)
}

#[test]
fn no_token_is_unknown_while_it_may_just_be_read() {
    let setting = Setting::new(1 << 20);
    assert_eq!(setting.found(TOKEN), "Unread", "nothing is listed");
    setting.apply("one", 1, 0, json!({}));
    setting.sources.retain(&[named("one")]);
    assert_eq!(setting.found(TOKEN), "Unread", "its Secret is being read");
    setting.read("one", Some(TOKEN));
    assert_eq!((setting.found(TOKEN), setting.found("another")), ("team/one".to_owned(), "Unknown".to_owned()));

    setting.apply("two", 1, 0, json!({}));
    assert_eq!((setting.found(TOKEN), setting.found("another")), ("team/one".to_owned(), "Unread".to_owned()));
    setting.read("two", None);
    assert_eq!(setting.found("another"), "Unknown", "there is no such Secret");
    setting.scope.settle(["other".to_owned()].into());
    assert_eq!(
        (setting.found(TOKEN), setting.found("another")),
        ("team/one".to_owned(), "Unread".to_owned()),
        "it may be of a namespace that is closed"
    );
}

#[test]
fn a_token_opens_one_integration_or_none() {
    let setting = Setting::new(1 << 20);
    setting.apply("one", 1, 0, json!({}));
    setting.apply("two", 1, 0, json!({}));
    setting.sources.retain(&["one", "two"].map(named));
    setting.read("two", None);
    setting.read("one", Some("short"));
    assert_eq!((setting.found(TOKEN), setting.found("short")), ("Unknown".to_owned(), "Unknown".to_owned()));
    setting.read("one", Some(TOKEN));
    setting.read("two", Some(TOKEN));
    assert_eq!(setting.found(TOKEN), "Unknown", "two have it");
    setting.sources.retain(&[named("two")]);
    assert_eq!(setting.found(TOKEN), "team/two");
    setting.sources.remove(&named("two"));
    assert_eq!(setting.found(TOKEN), "Unknown");
    assert_eq!(setting.sources.state.read().namespaces.len(), 0);
}

#[test]
fn a_reference_to_a_key_that_is_known_counts_at_once_and_none_ends_it() {
    let setting = Setting::new(1 << 20);
    setting.sources.retain(&[]);
    setting.apply("one", 1, 0, json!({}));
    setting.read("one", Some(TOKEN));
    setting.sources.remove(&named("one"));
    setting.apply("other", 1, 0, json!({"tokenSecretRef": {"name": "one", "key": "token"}}));
    assert_eq!(setting.found(TOKEN), "team/other");
    setting.apply("other", 2, 0, json!({"tokenSecretRef": null}));
    assert_eq!(setting.found(TOKEN), "Unknown");
}

#[test]
fn a_change_of_the_status_keeps_what_is_compiled_and_one_of_the_spec_does_not() {
    let setting = Setting::new(1 << 20);
    setting.sources.retain(&[]);
    setting.apply("one", 1, 3, json!({}));
    setting.apply("two", 1, 4, json!({}));
    setting.read("one", Some(TOKEN));
    let first = setting.source(TOKEN);
    assert_eq!((setting.sources.open_alert_groups("team"), setting.sources.open_alert_groups("other")), (7, 0));
    setting.apply("one", 1, 5, json!({}));
    assert!(Arc::ptr_eq(&first, &setting.source(TOKEN)));
    assert_eq!(setting.sources.open_alert_groups("team"), 9);
    setting.apply("one", 2, 1, json!({"suspend": true}));
    let second = setting.source(TOKEN);
    assert_eq!((first.is_suspended, second.is_suspended), (false, true));
    assert_eq!(setting.sources.open_alert_groups("team"), 5);
    setting.sources.remove(&named("two"));
    assert_eq!(setting.sources.open_alert_groups("team"), 1);
}

#[test]
fn templates_beyond_the_share_of_a_namespace_are_left_out_until_there_is_room() {
    let setting = Setting::new(100_000);
    setting.sources.retain(&[]);
    let long = json!({"templates": {"title": "x".repeat(2000)}});
    setting.apply("one", 1, 0, long.clone());
    setting.read("one", Some(TOKEN));
    assert!(!setting.source(TOKEN).is_whole(), "{}", setting.source(TOKEN).bytes());
    setting.apply("one", 2, 0, json!({"templates": {"title": "x".repeat(200)}}));
    assert!(setting.source(TOKEN).is_whole());
    setting.apply("two", 1, 0, long);
    setting.sources.remove(&named("two"));
    setting.sources.remove(&named("one"));
    let mut shares = std::mem::replace(&mut setting.sources.state.write().shares, Shares::new(0));
    assert!(shares.take(&"team".into(), 50_000), "all was given back");
}

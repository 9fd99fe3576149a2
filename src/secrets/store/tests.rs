use std::slice;

use super::*;

fn name(namespace: &str, name: &str) -> NamespacedName {
    NamespacedName::new(namespace, name)
}

fn key(secret: &str, key: &str) -> SecretKey {
    SecretKey { name: secret.to_owned(), key: key.to_owned() }
}

#[expect(clippy::unnecessary_wraps, reason = "it is how a read ends")]
fn found(version: &str, values: &[(&str, &[u8])]) -> Result<Found, ()> {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
    Ok(Some((version_of(version), Values(values))))
}

fn version_of(version: &str) -> ResourceVersion {
    ResourceVersion::from(version)
}

/// Webhooks of namespace team, their keys, and the reads, at seconds since the start.
struct Setting {
    store: Store,
    start: Instant,
}

impl Setting {
    fn new(budget: u64) -> Self {
        Self { store: Store::new(budget), start: Instant::now() }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn refer(&mut self, webhook: &str, keys: &[(&str, &str)], second: u64) {
        let keys = keys.iter().map(|(secret, of)| key(secret, of)).collect();
        let now = self.at(second);
        self.store.refer(Referrer::Webhook(name("team", webhook)), keys, now);
    }

    /// Begins all reads that are due.
    fn begun(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.store.begin_read()).map(|secret| secret.name.to_string()).collect()
    }

    fn read(&mut self, secret: &str, found: Result<Found, ()>) -> bool {
        self.store.end_read(&name("team", secret), found)
    }

    fn known(&self, secret: &str, of: &str) -> String {
        match self.store.get("team", &key(secret, of)) {
            None => "nothing refers to it".to_owned(),
            Some(Known::Text(text)) => text.expose_secret().to_owned(),
            Some(other) => format!("{other:?}"),
        }
    }
}

#[test]
fn of_a_secret_only_the_keys_are_kept_that_a_webhook_refers_to() {
    let mut setting = Setting::new(10_000);
    setting.refer("one", &[("a", "x"), ("a", "none"), ("a", "binary"), ("b", "x")], 0);
    assert_eq!(setting.begun(), ["a", "b"]);
    assert_eq!(setting.known("a", "x"), "Unread");
    let a = || found("1", &[("x", b"one\r\n"), ("y", b"two"), ("binary", b"\xff")]);
    assert!(setting.read("a", a()));
    assert!(setting.read("b", Ok(None)));
    let all = [("a", "x"), ("a", "none"), ("a", "binary"), ("a", "y"), ("b", "x"), ("c", "x")];
    let known = all.map(|(secret, key)| setting.known(secret, key));
    assert_eq!(known, ["one", "NoKey", "NotText", "nothing refers to it", "NoSecret", "nothing refers to it"]);
    assert!(!setting.read("a", a()), "nothing has changed");

    setting.refer("two", &[("a", "y")], 0);
    assert_eq!((setting.begun(), setting.known("a", "y")), (vec!["a".to_owned()], "Unread".to_owned()));
    assert!(setting.read("a", a()));
    assert_eq!(setting.known("a", "y"), "two");
    setting.refer("three", &[("a", "x"), ("a", "y")], 0);
    assert!(setting.begun().is_empty(), "all that it refers to is known");
}

#[test]
fn a_secret_is_read_again_when_the_watch_shows_another_version_and_something_refers_to_it() {
    let mut setting = Setting::new(10_000);
    setting.refer("one", &[("a", "x")], 0);
    let a = name("team", "a");
    assert_eq!(setting.begun(), ["a"]);
    setting.store.seen(&a, &version_of("1"));
    assert!(setting.begun().is_empty(), "one read of it at a time");
    setting.read("a", found("1", &[("x", b"1")]));
    assert_eq!(setting.begun(), ["a"], "it may have changed since that read began");
    setting.read("a", found("1", &[("x", b"1")]));
    setting.store.seen(&a, &version_of("1"));
    setting.store.seen(&name("team", "b"), &version_of("1"));
    assert!(setting.begun().is_empty(), "this version is known, and nobody refers to the other");
    setting.store.seen(&a, &version_of("2"));
    setting.store.seen(&a, &version_of("3"));
    assert_eq!(setting.begun(), ["a"]);
    assert!(setting.read("a", found("3", &[("x", b"3")])));

    setting.store.retain(slice::from_ref(&a));
    assert!(setting.begun().is_empty());
    setting.store.retain(&[]);
    assert_eq!(setting.begun(), ["a"], "a list does not name it any more");
    assert!(setting.read("a", Ok(None)));
    assert_eq!(setting.known("a", "x"), "NoSecret");
    setting.store.seen(&a, &version_of("4"));
    assert_eq!(setting.begun(), ["a"]);
}

#[test]
fn what_was_read_counts_while_the_api_server_refuses() {
    let mut setting = Setting::new(10_000);
    setting.refer("one", &[("a", "x"), ("b", "x")], 0);
    setting.begun();
    setting.read("a", found("1", &[("x", b"1")]));
    assert!(setting.read("b", Err(())));
    setting.store.read_again(&name("team", "a"));
    setting.begun();
    assert!(!setting.read("a", Err(())));
    assert_eq!(["a", "b"].map(|secret| setting.known(secret, "x")), ["1", "Refused"]);
}

#[test]
fn a_key_is_forgotten_a_while_after_the_last_webhook_that_refers_to_it() {
    let mut setting = Setting::new(10_000);
    setting.refer("one", &[("a", "x")], 0);
    setting.refer("two", &[("a", "x"), ("a", "y")], 0);
    setting.begun();
    setting.read("a", found("1", &[("x", b"1"), ("y", b"2")]));
    setting.refer("two", &[], 10);
    for (second, expected) in [(69, ["1", "2"]), (70, ["1", "nothing refers to it"])] {
        let now = setting.at(second);
        setting.store.tend(now);
        assert_eq!(["x", "y"].map(|key| setting.known("a", key)), expected, "{second}");
    }
    setting.refer("one", &[], 80);
    // Again, before it was forgotten: nothing needs to be read.
    setting.refer("one", &[("a", "x")], 100);
    let now = setting.at(500);
    setting.store.tend(now);
    assert_eq!((setting.known("a", "x"), setting.begun()), ("1".to_owned(), vec![]));
    setting.refer("one", &[], 500);
    let now = setting.at(560);
    setting.store.tend(now);
    assert!(setting.store.secrets.is_empty() && setting.store.referrers.is_empty());
}

#[test]
fn a_value_beyond_the_share_of_its_namespace_has_no_room_until_others_are_gone() {
    let mut setting = Setting::new(10_000);
    let large = vec![b'x'; 4_000];
    setting.refer("one", &[("a", "x")], 0);
    setting.refer("two", &[("b", "x")], 0);
    setting.begun();
    setting.read("a", found("1", &[("x", &large)]));
    setting.read("b", found("1", &[("x", &large)]));
    assert_eq!((setting.known("a", "x").len(), setting.known("b", "x")), (4_000, "NoRoom(4000)".to_owned()));
    // Another namespace has room.
    setting.store.refer(Referrer::Webhook(name("other", "one")), vec![key("a", "x")], setting.start);
    assert_eq!(setting.begun(), ["a"]);
    setting.store.end_read(&name("other", "a"), found("1", &[("x", &large[..2_000])]));
    assert!(matches!(setting.store.get("other", &key("a", "x")), Some(Known::Text(_))));

    setting.store.tend(setting.start);
    assert!(setting.begun().is_empty(), "nothing was given back");
    setting.refer("one", &[], 0);
    let now = setting.at(60);
    setting.store.tend(now);
    assert_eq!(setting.begun(), ["b"]);
    setting.read("b", found("1", &[("x", &large[..3_000])]));
    assert_eq!(setting.known("b", "x").len(), 3_000);
}

#[test]
fn namespaces_read_in_turns() {
    let mut store = Store::new(10_000);
    let keys = |names: &[&str]| names.iter().map(|secret| key(secret, "x")).collect::<Vec<_>>();
    let now = Instant::now();
    store.refer(Referrer::Webhook(name("busy", "one")), keys(&["a", "b", "c"]), now);
    store.refer(Referrer::Webhook(name("team", "one")), keys(&["d"]), now);
    let read: Vec<_> = std::iter::from_fn(|| store.begin_read()).map(|secret| secret.name.to_string()).collect();
    assert_eq!(read, ["a", "d", "b", "c"]);
}

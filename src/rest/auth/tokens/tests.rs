//! Secrets in every form that people may give them, and the tokens that they open.

use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;

const ONE: &str = "oncall_one_0123456789";
const TWO: &str = "oncall_two_0123456789";

/// A labelled Secret `team/NAME` with stringData, made at a second.
fn secret(name: &str, second: i64, data: Value) -> ReadSecret {
    secret_of("team", name, second, data)
}

/// The same of another namespace.
fn secret_of(namespace: &str, name: &str, second: i64, data: Value) -> ReadSecret {
    let data: BTreeMap<String, String> = serde_json::from_value(data).unwrap();
    let data: BTreeMap<String, ByteString> =
        data.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect();
    serde_json::from_value(json!({
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": format!("uid-of-{name}"),
            "creationTimestamp": Timestamp::from_second(second).unwrap(),
            "labels": {"oncall.dev/api-token": "true"},
        },
        "data": data,
    }))
    .unwrap()
}

fn labelled(mut secret: ReadSecret, label: &str, value: &str) -> ReadSecret {
    secret.labels_mut().insert(label.to_owned(), value.to_owned());
    secret
}

fn texts(faults: &[SecretProblem]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn opened(tokens: &Tokens, token: &str) -> Option<String> {
    tokens
        .get(&TokenHash::of(token))
        .map(|access| format!("{}{}", access.secret, if access.read_only { " (ro)" } else { "" }))
}

#[test]
fn a_secret_opens_its_namespace_or_says_why_not() {
    let bad_hash = "data.tokenHash: is not sha256: and 64 hex digits: `oncall-webhooks token create` writes it";
    let not_ascii = "data.token: a header carries only ASCII without spaces: make another token";
    let long = "data.token: has more than 4096 characters: make a shorter token";
    let short = "data.token: has fewer than 16 characters: make a longer token";
    let hash = TokenHash::of(ONE).text();
    let cases = [
        (json!({"token": ONE}), None),
        (json!({"token": format!("{ONE}\n")}), None),
        (json!({"token": format!("{ONE}\r\n")}), None),
        (json!({"tokenHash": hash}), None),
        (json!({"tokenHash": format!("{hash}\n")}), None),
        (json!({"tokenHash": hash.to_uppercase().replace("SHA", "sha")}), None),
        (json!({"token": ONE, "note": "for CI"}), None),
        (json!({"token": "0123456789abcde"}), Some(short)),
        (json!({"token": "0123456789abcde\n"}), Some(short)),
        (json!({"token": ""}), Some(short)),
        (json!({"token": "a".repeat(4097)}), Some(long)),
        (json!({"token": "a".repeat(1_000_000)}), Some(long)),
        (json!({"token": ONE, "note": "n".repeat(1_000_000)}), None),
        (json!({"token": "oncall one 0123456789"}), Some(not_ascii)),
        (json!({"token": "oncall_öne_0123456789"}), Some(not_ascii)),
        (json!({"tokenHash": ""}), Some(bad_hash)),
        (json!({"tokenHash": &hash[7..]}), Some(bad_hash)),
        (json!({"tokenHash": &hash[..70]}), Some(bad_hash)),
        (json!({"tokenHash": format!("{hash}0")}), Some(bad_hash)),
        (json!({"tokenHash": format!("{}g", &hash[..70])}), Some(bad_hash)),
        (json!({"tokenHash": format!("{}é", &hash[..69])}), Some(bad_hash)),
        (json!({"tokenHash": hash.replace("sha256", "sha512")}), Some(bad_hash)),
        (json!({"token": ONE, "tokenHash": hash}), Some("data: has both token and tokenHash: remove one of them")),
        (json!({"Token": ONE}), Some("data: has neither token nor tokenHash: add one of them")),
    ];
    for (data, fault) in cases {
        let mut tokens = Tokens::default();
        let faults = texts(&tokens.apply(TokenSecret::read(&secret("ci", 1, data.clone()))));
        assert_eq!(faults, Vec::from_iter(fault.map(|fault| format!("Secret team/ci: {fault}"))), "{data}");
        assert_eq!(opened(&tokens, ONE), fault.is_none().then(|| "team/ci".to_owned()), "{data}");
        assert_eq!(opened(&tokens, TWO), None, "{data}");
    }
}

#[test]
fn a_label_makes_a_token_read_only() {
    let fault = "Secret team/ci: metadata.labels[oncall.dev/read-only]: is neither true nor false: write one of them";
    for (value, expected, faults) in [
        ("true", Some("team/ci (ro)"), vec![]),
        ("false", Some("team/ci"), vec![]),
        ("True", None, vec![fault.to_owned()]),
        ("", None, vec![fault.to_owned()]),
    ] {
        let mut tokens = Tokens::default();
        let entry = TokenSecret::read(&labelled(secret("ci", 1, json!({"token": ONE})), READ_ONLY_LABEL, value));
        assert_eq!(texts(&tokens.apply(entry)), faults, "{value}");
        assert_eq!(opened(&tokens, ONE).as_deref(), expected, "{value}");
    }
}

#[test]
fn tokens_come_go_and_change_with_their_secrets() {
    let (one, two) = (secret("one", 1, json!({"token": ONE})), secret("two", 2, json!({"token": TWO})));
    let mut tokens = Tokens::default();
    let both = |tokens: &Tokens| [ONE, TWO].map(|token| opened(tokens, token));
    let some = |text: &str| Some(text.to_owned());

    tokens.apply(TokenSecret::read(&one));
    assert_eq!(both(&tokens), [some("team/one"), None]);
    tokens.apply(TokenSecret::read(&two));
    assert_eq!(both(&tokens), [some("team/one"), some("team/two")]);
    tokens.apply(TokenSecret::read(&secret("one", 1, json!({"token": "oncall_new_0123456789"}))));
    assert_eq!(both(&tokens), [None, some("team/two")]);
    tokens.apply(TokenSecret::read(&one));
    tokens.remove(&TokenSecret::read(&two));
    assert_eq!(both(&tokens), [some("team/one"), None]);
    tokens.replace([TokenSecret::read(&two)]);
    assert_eq!(both(&tokens), [None, some("team/two")]);

    let mut going = two;
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    assert_eq!(tokens.apply(TokenSecret::read(&going)), []);
    assert_eq!(both(&tokens), [None, None], "what finalizers keep is revoked all the same");
}

#[test]
fn the_older_of_two_secrets_with_the_same_token_counts() {
    let older = |name: &str| {
        vec![format!(
            "Secret team/{name}: data: has the token of Secret team/m, which is older and counts: make another token for this one"
        )]
    };
    let old = TokenSecret::read(&labelled(secret("m", 5, json!({"token": ONE})), READ_ONLY_LABEL, "true"));
    for (name, second, wins, faults) in [
        ("a", 6, "team/m (ro)", older("a")),
        ("z", 5, "team/m (ro)", older("z")),
        ("a", 5, "team/a", vec![older("m")[0].replace("team/m,", "team/a,")]),
        ("z", 4, "team/z", vec![older("m")[0].replace("team/m,", "team/z,")]),
    ] {
        let new = TokenSecret::read(&secret(name, second, json!({"tokenHash": TokenHash::of(ONE).text()})));
        for entries in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
            let mut tokens = Tokens::default();
            let told: Vec<String> = entries.into_iter().flat_map(|entry| texts(&tokens.apply(entry))).collect();
            assert_eq!(told, faults, "{name} {second}");
            assert_eq!(opened(&tokens, ONE).as_deref(), Some(wins), "{name} {second}");
        }
    }
    let mut tokens = Tokens::default();
    tokens.replace([old.clone(), TokenSecret::read(&secret("z", 9, json!({"token": ONE})))]);
    tokens.remove(&old);
    assert_eq!(opened(&tokens, ONE).as_deref(), Some("team/z"), "the next one takes its place");
}

#[test]
fn a_token_of_4096_characters_is_not_too_long() {
    let token = "a".repeat(4096);
    let mut tokens = Tokens::default();
    assert_eq!(tokens.apply(TokenSecret::read(&secret("ci", 1, json!({"token": token})))), []);
    assert_eq!(opened(&tokens, &token).as_deref(), Some("team/ci"));
}

/// What happens to the Secrets of namespaces `a` and `b` that have the same token: `(namespace, second of its creation)`.
#[derive(Debug)]
enum Step {
    Made(&'static str, i64),
    Gone(&'static str),
    /// A new process lists these.
    Started(&'static [(&'static str, i64)]),
}

#[test]
fn a_token_that_stands_in_two_namespaces_opens_neither_and_one_that_is_copied_captures_nobody() {
    use Step::*;
    // Each step, what the token opens then, and the namespaces whose Secrets are told that it is elsewhere too.
    type Case = (&'static str, Vec<(Step, Option<&'static str>, Vec<&'static str>)>);
    let cases: Vec<Case> = vec![
        (
            "a copy closes both, and what was copied opens again when the copy is gone",
            vec![
                (Made("a", 1), Some("a/ci"), vec![]),
                (Made("b", 2), None, vec!["a", "b"]),
                (Gone("b"), Some("a/ci"), vec![]),
            ],
        ),
        (
            "the owner makes the Secret anew while there is a copy",
            vec![
                (Made("a", 1), Some("a/ci"), vec![]),
                (Made("b", 2), None, vec!["a", "b"]),
                (Gone("a"), None, vec![]),
                (Made("a", 3), None, vec!["a"]),
                (Gone("b"), Some("a/ci"), vec![]),
            ],
        ),
        (
            "the copy is made when the owner's is gone",
            vec![(Made("a", 1), Some("a/ci"), vec![]), (Gone("a"), None, vec![]), (Made("b", 2), None, vec!["b"])],
        ),
        (
            "where both are there at the start, the older is the owner's",
            vec![
                (Started(&[("a", 2), ("b", 1)]), None, vec!["a", "b"]),
                (Gone("b"), None, vec![]),
                (Made("b", 3), None, vec!["b"]),
                (Gone("a"), Some("b/ci"), vec![]),
            ],
        ),
        (
            "where they are as old as each other, nobody can tell",
            vec![
                (Started(&[("a", 1), ("b", 1)]), None, vec!["a", "b"]),
                (Gone("b"), None, vec!["a"]),
                (Gone("a"), None, vec![]),
            ],
        ),
    ];
    for (case, steps) in cases {
        let mut tokens = Tokens::default();
        let made = |namespace, second| {
            TokenSecret::read(&secret_of(namespace, "ci", second, json!({"tokenHash": TokenHash::of(ONE).text()})))
        };
        for (step, expected, told) in steps {
            let problems = match &step {
                Made(namespace, second) => tokens.apply(made(namespace, *second)),
                Gone(namespace) => tokens.remove(&made(namespace, 0)),
                Started(secrets) => tokens.replace(secrets.iter().map(|(namespace, second)| made(namespace, *second))),
            };
            let namespaces: Vec<&str> = problems.iter().map(|problem| &*problem.secret.namespace).collect();
            assert_eq!((opened(&tokens, ONE).as_deref(), namespaces), (expected, told), "{case}: {step:?}");
        }
    }
}

#[test]
fn the_owner_of_a_secret_is_not_told_where_else_its_token_is_and_the_log_is() {
    let mut tokens = Tokens::default();
    tokens.apply(TokenSecret::read(&secret_of("a", "ci", 1, json!({"token": ONE}))));
    let problems = tokens.apply(TokenSecret::read(&secret_of("b", "copy", 2, json!({"token": ONE}))));
    let text = "data: its token stands in a Secret of another namespace too, or did before, so that it opens neither: \
                make another token";
    assert_eq!(problems.iter().map(SecretProblem::text).collect::<Vec<_>>(), [text, text]);
    assert_eq!(
        texts(&problems),
        [
            format!("Secret a/ci: {text} (the other namespace: b)"),
            format!("Secret b/copy: {text} (the other namespace: a)"),
        ]
    );
    assert_eq!(problems[1].uid.as_deref(), Some("uid-of-copy"));
}

#[test]
fn no_namespace_makes_the_tokens_of_others_forgotten() {
    let mut homes = HashMap::new();
    let token = |namespace: &str, number: usize| Token {
        hash: TokenHash::of(&format!("{namespace} {number}")),
        created: None,
        access: TokenAccess { secret: NamespacedName::new(namespace, "ci"), read_only: false },
    };
    let victim = token("a", 0);
    let none = HashMap::new();
    remember(&mut homes, [&victim].into_iter(), &none);
    let flood: Vec<Token> = (0..=REMEMBERED).map(|number| token("b", number)).collect();
    remember(&mut homes, flood.iter(), &none);
    assert_eq!(homes, HashMap::from([(victim.hash, Some("a".into()))]));
}

#[test]
fn a_problem_is_told_when_it_begins_and_not_again() {
    let bad = TokenSecret::read(&secret("bad", 1, json!({})));
    let good = TokenSecret::read(&secret("bad", 1, json!({"token": ONE})));
    let told = vec!["Secret team/bad: data: has neither token nor tokenHash: add one of them".to_owned()];
    let mut tokens = Tokens::default();
    assert_eq!(texts(&tokens.replace([bad.clone()])), told);
    assert_eq!(texts(&tokens.replace([bad.clone()])), Vec::<String>::new(), "a watch that began anew");
    assert_eq!(texts(&tokens.apply(bad.clone())), Vec::<String>::new());
    assert_eq!(texts(&tokens.apply(good)), Vec::<String>::new());
    assert_eq!(texts(&tokens.apply(bad)), told);
}

#[test]
fn a_hash_is_written_as_it_is_read_and_never_shown() {
    let hash = TokenHash::of("abc");
    assert_eq!(hash.text(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(TokenHash::parse(&hash.text()), Some(hash));
    assert_eq!(format!("{hash:?}"), "TokenHash");
}

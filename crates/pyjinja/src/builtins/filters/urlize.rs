//! `urlize`: text with its links made into HTML.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::{flag, given};
use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature},
        exception::{PyResult, other_error},
        markup,
        quote::quote,
        repr, unicode,
        value::{Text, Value},
    },
};

type Pattern = LazyLock<Result<Regex, Box<fancy_regex::Error>>>;

static LINK: Pattern = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\A(?:",
        r"(?:https?://|www\.)(?:(?:[\w%-]+\.)+)?(?:[a-z]{2,63}|xn--[\w%]{2,59})",
        r"|(?:[\w%-]{2,63}\.)+(?:com|net|int|edu|gov|org|info|mil)",
        r"|https?://(?:\d{1,3}(?:\.\d{1,3}){3}|\[(?:[\da-f]{0,4}:){2}(?:[\da-f]{0,4}:?){1,6}\])",
        r")(?::\d{1,5})?(?:[/?#]\S*)?\z",
    ))
    .map_err(Box::new)
});

static EMAIL: Pattern = LazyLock::new(|| Regex::new(r"\A\S+@\w[\w.-]*\.\w+\z").map_err(Box::new));

static SCHEME: Pattern = LazyLock::new(|| Regex::new(r"\A[\w.+-]{2,}:/{0,2}\z").map_err(Box::new));

fn matches(pattern: &Pattern, text: &str) -> PyResult<bool> {
    match &**pattern {
        Ok(pattern) => pattern.is_match(text).or_else(|error| other_error(error.to_string())),
        Err(error) => other_error(error.to_string()),
    }
}

pub(super) fn urlize(rendering: &Rendering, args: Args) -> PyResult {
    let [value, limit, nofollow, target, rel, schemes] = args.take_all(&Signature::new(
        "do_urlize",
        1,
        &["value"],
        &["trim_url_limit", "nofollow", "target", "rel", "extra_schemes"],
    ))?;
    let given_text = |value: Option<Value>| match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => repr::string(rendering, &value).map(Some),
    };
    let rel = given_text(rel)?;
    let mut relations: Vec<&str> = rel.as_deref().unwrap_or_default().split_whitespace().collect();
    relations.push("noopener");
    relations.extend(flag(nofollow).then_some("nofollow"));
    relations.sort_unstable();
    relations.dedup();
    let mut attributes = format!(" rel=\"{}\"", markup::escape(&relations.join(" ")));
    if let Some(target) = given_text(target)? {
        attributes.push_str(&format!(" target=\"{}\"", markup::escape(&target)));
    }
    let schemes = match schemes {
        None | Some(Value::None) => Vec::new(),
        Some(schemes) => schemes.iterate(rendering)?,
    };
    let schemes = schemes.iter().map(|scheme| repr::string(rendering, scheme)).collect::<PyResult<Vec<_>>>()?;
    for scheme in &schemes {
        if !matches(&SCHEME, scheme)? {
            return other_error(format!("{} is not a valid URI scheme prefix.", quote(scheme)));
        }
    }
    // Only a link has a use for it.
    let limit = limit.and_then(|limit| limit.index().ok());
    let source = super::soft(rendering, &given(value))?;
    let source = markup::escape_text(&source);
    let mut out = String::with_capacity(source.len());
    let mut rest = &*source;
    while !rest.is_empty() {
        let blank = rest.starts_with(unicode::is_space);
        let word = &rest[..rest.find(|c| unicode::is_space(c) != blank).unwrap_or(rest.len())];
        rest = &rest[word.len()..];
        rendering.work(word.len() / 16)?;
        rendering.allocate(word.len() * 3 + attributes.len())?;
        if blank {
            out.push_str(word);
        } else {
            link(rendering, word, &attributes, limit, &schemes, &mut out)?;
        }
    }
    Ok(Value::Str(Text { text: out.into(), safe: rendering.autoescape.get() }))
}

fn link(
    rendering: &Rendering,
    word: &str,
    attributes: &str,
    limit: Option<i64>,
    schemes: &[std::sync::Arc<str>],
    out: &mut String,
) -> PyResult<()> {
    let (head, middle, tail) = trimmed(rendering, word)?;
    out.push_str(head);
    let shown = |url: &str| match limit.map(|limit| usize::try_from(limit).unwrap_or(0)) {
        Some(limit) if url.chars().count() > limit => format!("{}...", url.chars().take(limit).collect::<String>()),
        _ => url.to_owned(),
    };
    if matches(&LINK, &middle)? {
        let scheme = if middle.starts_with("https://") || middle.starts_with("http://") { "" } else { "https://" };
        out.push_str(&format!("<a href=\"{scheme}{middle}\"{attributes}>{}</a>", shown(&middle)));
    } else if let Some(address) = middle.strip_prefix("mailto:")
        && matches(&EMAIL, address)?
    {
        out.push_str(&format!("<a href=\"{middle}\">{address}</a>"));
    } else if middle.contains('@')
        && !middle.starts_with("www.")
        && !middle.starts_with('@')
        && !middle.contains(':')
        && matches(&EMAIL, &middle)?
    {
        out.push_str(&format!("<a href=\"mailto:{middle}\">{middle}</a>"));
    } else if schemes.iter().any(|scheme| middle != **scheme && middle.starts_with(&**scheme)) {
        out.push_str(&format!("<a href=\"{middle}\"{attributes}>{middle}</a>"));
    } else {
        out.push_str(&middle);
    }
    out.push_str(&tail);
    Ok(())
}

/// The text before and after a link in a word: brackets and the ends of sentences, unless the link itself opens them.
fn trimmed<'w>(rendering: &Rendering, word: &'w str) -> PyResult<(&'w str, String, String)> {
    let mut middle = word;
    while let Some(rest) = ["(", "<", "&lt;"].iter().find_map(|open| middle.strip_prefix(open)) {
        middle = rest;
    }
    let head = &word[..word.len() - middle.len()];
    let mut end = middle;
    while let Some(rest) = [")", ">", ".", ",", "\n", "&gt;"].iter().find_map(|close| end.strip_suffix(close)) {
        end = rest;
    }
    let (mut inside, mut tail) = (end.to_owned(), middle[end.len()..].to_owned());
    for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
        let opened = inside.matches(open).count();
        if opened <= inside.matches(close).count() {
            continue;
        }
        for _ in 0..opened.min(tail.matches(close).count()) {
            rendering.work(1 + tail.len() / 64)?;
            let Some(at) = tail.find(close) else { break };
            let rest = tail.split_off(at + close.len());
            inside.push_str(&tail);
            tail = rest;
        }
    }
    Ok((head, inside, tail))
}

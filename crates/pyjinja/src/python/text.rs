//! The methods of `str` and of `Markup`.

use std::sync::Arc;

use indexmap::IndexMap;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

// Moved to `unicode`.
pub(crate) use crate::python::unicode::is_space;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature, argument_type, search_arguments, size},
        bytes,
        exception::{Exception, PyResult, other_error, type_error, value_error},
        format, print,
        unicode::{is_alphabetic, is_cased, is_decimal, is_digit, is_line_break, is_numeric, is_printable, is_title},
        value::{Text, Value},
    },
};

/// The methods that `str` and `Markup` have.
pub(crate) const METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

/// The methods that only `Markup` has.
pub(crate) const MARKUP_METHODS: &[&str] = &["escape", "striptags", "unescape"];

/// The methods that `Markup` writes anew, in Python: required parameters, optional ones, and how many are by position
/// only.
const MARKUP: &[(&str, &[&str], &[&str], usize)] = &[
    ("Markup.capitalize", &[], &[], 0),
    ("Markup.casefold", &[], &[], 0),
    ("Markup.center", &["width"], &["fillchar"], 2),
    ("Markup.escape", &["s"], &[], 1),
    ("Markup.expandtabs", &[], &["tabsize"], 0),
    ("Markup.join", &["iterable"], &[], 1),
    ("Markup.ljust", &["width"], &["fillchar"], 2),
    ("Markup.lower", &[], &[], 0),
    ("Markup.lstrip", &[], &["chars"], 1),
    ("Markup.partition", &["sep"], &[], 1),
    ("Markup.removeprefix", &["prefix"], &[], 1),
    ("Markup.removesuffix", &["suffix"], &[], 0),
    ("Markup.replace", &["old", "new"], &["count"], 3),
    ("Markup.rjust", &["width"], &["fillchar"], 2),
    ("Markup.rpartition", &["sep"], &[], 1),
    ("Markup.rsplit", &[], &["sep", "maxsplit"], 0),
    ("Markup.rstrip", &[], &["chars"], 1),
    ("Markup.split", &[], &["sep", "maxsplit"], 0),
    ("Markup.splitlines", &[], &["keepends"], 0),
    ("Markup.strip", &[], &["chars"], 1),
    ("Markup.striptags", &[], &[], 0),
    ("Markup.swapcase", &[], &[], 0),
    ("Markup.title", &[], &[], 0),
    ("Markup.translate", &["table"], &[], 1),
    ("Markup.unescape", &[], &[], 0),
    ("Markup.upper", &[], &[], 0),
    ("Markup.zfill", &["width"], &[], 1),
];

/// `receiver.method(args)`
pub(crate) fn call(rendering: &Rendering, receiver: &Text, method: &str, args: Args) -> PyResult {
    rendering.work(1 + receiver.len() / 64)?;
    match method {
        "format" => return format::str_format(rendering, receiver, args),
        "format_map" => return format::format_map(rendering, receiver, args),
        _ => {}
    }
    let args = if receiver.safe { markup_args(rendering, method, args)? } else { args };
    match method {
        "capitalize" | "casefold" | "lower" | "swapcase" | "title" | "upper" => {
            args.builtin(&format!("str.{method}"), 0, 0)?;
            rendering.allocate(receiver.len())?;
            Ok(receiver.like(cased(receiver, method)))
        }
        "striptags" => Ok(Value::from(striptags(receiver))),
        "unescape" => Ok(Value::from(unescape(receiver))),
        "escape" => match args.positional.first() {
            Some(value) => Ok(Value::Str(Text::safe(escaped(rendering, value)?))),
            None => Ok(Value::None),
        },
        "isalnum" | "isalpha" | "isascii" | "isdecimal" | "isdigit" | "isidentifier" | "islower" | "isnumeric"
        | "isprintable" | "isspace" | "istitle" | "isupper" => {
            let owner = if receiver.safe { "Markup" } else { "str" };
            args.builtin(&format!("{owner}.{method}"), 0, 0)?;
            Ok(Value::Bool(is(receiver, method)))
        }
        "center" | "ljust" | "rjust" => justify(rendering, receiver, method, args),
        "zfill" => fill_zeros(rendering, receiver, args),
        "strip" | "lstrip" | "rstrip" => strip(receiver, method, args),
        "removeprefix" | "removesuffix" => remove(receiver, method, args),
        "find" | "index" | "rfind" | "rindex" | "count" => find(receiver, method, args),
        "startswith" | "endswith" => starts_or_ends(receiver, method, args),
        "partition" | "rpartition" => partition(receiver, method, args),
        "split" | "rsplit" => split(rendering, receiver, method, args),
        "splitlines" => split_lines(rendering, receiver, args),
        "join" => join(rendering, receiver, args),
        "replace" => replace(rendering, receiver, args),
        "expandtabs" => expand_tabs(rendering, receiver, args),
        "encode" => encode(rendering, receiver, args),
        "translate" => translate(rendering, receiver, args),
        "maketrans" => make_translation(rendering, args),
        _ => Err(Exception::new(
            crate::python::exception::ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{method}'", if receiver.safe { "Markup" } else { "str" }),
        )),
    }
}

/// The arguments of one of `Markup`'s own methods, escaped as it does.
fn markup_args(rendering: &Rendering, method: &str, args: Args) -> PyResult<Args> {
    let own = MARKUP.iter().find(|(name, ..)| name.strip_prefix("Markup.") == Some(method));
    let Some((name, required, optional, positional_only)) = own else {
        return Ok(args);
    };
    let by_name: Vec<&str> = required
        .iter()
        .chain(*optional)
        .take(*positional_only)
        .filter(|parameter| args.named.iter().any(|(name, _)| name == *parameter))
        .copied()
        .collect();
    if !by_name.is_empty() {
        return type_error(format!(
            "{name}() got some positional-only arguments passed as keyword arguments: '{}'",
            by_name.join(", ")
        ));
    }
    let bound = args.bind(&Signature::new(name, usize::from(method != "escape"), required, optional))?;
    let given = bound.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let mut values = Vec::with_capacity(bound.len());
    for (at, value) in bound.into_iter().enumerate() {
        // `sep` has None where only `maxsplit` is given.
        let Some(value) = value else {
            values.push(Value::None);
            continue;
        };
        let escapes = matches!((method, at), ("center" | "ljust" | "rjust" | "replace", 1));
        values.push(if escapes { Value::Str(Text::safe(escaped(rendering, &value)?)) } else { value });
    }
    while matches!(values.last(), Some(Value::None)) && values.len() > given.max(required.len()) {
        values.pop();
    }
    Ok(Args::of(values))
}

/// `escape(x)` of markupsafe.
pub(crate) fn escaped(rendering: &Rendering, value: &Value) -> PyResult<Arc<str>> {
    match value {
        Value::Str(Text { text, safe: true }) => Ok(Arc::clone(text)),
        other => {
            let text = print::string(rendering, other)?;
            rendering.allocate(text.len() * 2)?;
            Ok(Arc::from(escape(&text)))
        }
    }
}

/// What markupsafe makes of text that is not safe.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
    out
}

/// `html.unescape(text)`
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(&htmlize::unescape(before));
        rest = match numeric_reference(after) {
            Some((c, after)) => {
                out.extend(c);
                after
            }
            None => {
                out.push_str("&#");
                after
            }
        };
    }
    out.push_str(&htmlize::unescape(rest));
    out
}

/// Reads `123;` or `x7b;`. Some characters become none.
fn numeric_reference(text: &str) -> Option<(Option<char>, &str)> {
    let (radix, digits) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, text),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, after) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let after = after.strip_prefix(';').unwrap_or(after);
    let code = u32::from_str_radix(digits.trim_start_matches('0'), radix)
        .unwrap_or(if digits.bytes().all(|digit| digit == b'0') { 0 } else { u32::MAX });
    let replaced = char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
    let c = match code {
        0x0d => Some('\r'),
        0x80..=0x9f => htmlize::unescape(format!("&#{code};")).chars().next(),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        // The last two of every plane are no characters.
        ..0x11_0000 if code & 0xfffe == 0xfffe => None,
        _ => Some(replaced),
    };
    Some((c, after))
}

/// `Markup.striptags`
pub(crate) fn striptags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        let end = if tag.starts_with("<!--") {
            tag.get(4..).and_then(|comment| comment.find("-->")).map(|at| at + 7)
        } else {
            tag.find('>').map(|at| at + 1)
        };
        let Some(after) = end.and_then(|end| tag.get(end..)) else {
            break;
        };
        kept.push_str(before);
        rest = after;
    }
    kept.push_str(rest);
    let words: Vec<&str> = kept.split(is_space).filter(|word| !word.is_empty()).collect();
    unescape(&words.join(" "))
}

fn is(text: &str, method: &str) -> bool {
    let all = |wanted: fn(char) -> bool| !text.is_empty() && text.chars().all(wanted);
    match method {
        "isalnum" => all(|c| is_alphabetic(c) || is_digit(c) || is_numeric(c)),
        "isalpha" => all(is_alphabetic),
        "isascii" => text.is_ascii(),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(is_digit),
        "isidentifier" => is_identifier(text),
        "islower" => text.chars().any(char::is_lowercase) && !text.chars().any(|c| c.is_uppercase() || is_title(c)),
        "isnumeric" => all(is_numeric),
        "isprintable" => text.chars().all(is_printable),
        "isspace" => all(is_space),
        "istitle" => is_titled(text),
        _ => text.chars().any(char::is_uppercase) && !text.chars().any(|c| c.is_lowercase() || is_title(c)),
    }
}

fn is_identifier(text: &str) -> bool {
    let starts = |c: char| c == '_' || unicode_ident::is_xid_start(c);
    let mut chars = text.chars();
    chars.next().is_some_and(starts) && chars.all(unicode_ident::is_xid_continue)
}

fn is_titled(text: &str) -> bool {
    let (mut cased, mut inside) = (false, false);
    for c in text.chars() {
        if c.is_uppercase() || is_title(c) {
            if inside {
                return false;
            }
            (cased, inside) = (true, true);
        } else if c.is_lowercase() {
            if !inside {
                return false;
            }
            cased = true;
        } else {
            inside = false;
        }
    }
    cased
}

/// `text` in another case.
fn cased(text: &str, method: &str) -> String {
    match method {
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "casefold" => unicase::UniCase::unicode(text).to_folded_case(),
        "capitalize" => {
            let lower = lowercased(text, |at, _| at > 0);
            let first: Option<String> = text.chars().next().map(title);
            first.unwrap_or_default() + &lower
        }
        "title" => titled(text),
        _ => swapped(text),
    }
}

/// The lower case of those characters that are `wanted` by their position; the others are left out. The final sigma
/// depends on what stands around it, also on what is left out.
fn lowercased(text: &str, wanted: impl Fn(usize, char) -> bool) -> String {
    text.char_indices().filter(|(at, c)| wanted(*at, *c)).fold(String::new(), |mut out, (at, c)| {
        push_lower(&mut out, text, at, c);
        out
    })
}

fn push_lower(out: &mut String, text: &str, at: usize, c: char) {
    match c {
        'Σ' => out.push(if is_final_sigma(text, at) { 'ς' } else { 'σ' }),
        other => out.extend(other.to_lowercase()),
    }
}

/// Whether the sigma at `at` ends a word.
fn is_final_sigma(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at(at);
    let before = before.chars().rev().find(|c| !is_case_ignorable(*c));
    let after = after.chars().skip(1).find(|c| !is_case_ignorable(*c));
    before.is_some_and(is_cased) && !after.is_some_and(is_cased)
}

fn is_case_ignorable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, '\'' | '.' | ':' | '^' | '`');
    }
    matches!(
        c,
        '\u{b7}'
            | '\u{387}'
            | '\u{55f}'
            | '\u{5f4}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{2024}'
            | '\u{2027}'
            | '\u{fe13}'
            | '\u{fe52}'
            | '\u{fe55}'
            | '\u{ff07}'
            | '\u{ff0e}'
            | '\u{ff1a}'
    ) || matches!(
        c.general_category(),
        GeneralCategory::NonspacingMark
            | GeneralCategory::EnclosingMark
            | GeneralCategory::Format
            | GeneralCategory::ModifierLetter
            | GeneralCategory::ModifierSymbol
    )
}

fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for (at, c) in text.char_indices() {
        if inside {
            push_lower(&mut out, text, at, c);
        } else {
            out.push_str(&title(c));
        }
        inside = is_cased(c);
    }
    out
}

fn swapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c.is_uppercase() {
            push_lower(&mut out, text, at, c);
        } else if c.is_lowercase() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// A character as the first of a title: mostly, but not always, its upper case.
fn title(c: char) -> String {
    let shifted = |offset: u32| char::from_u32(u32::from(c) + offset).unwrap_or(c).to_string();
    match c {
        // Georgian has no title case.
        '\u{10d0}'..='\u{10ff}' => c.to_string(),
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}'.to_string(),
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}'.to_string(),
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}'.to_string(),
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}'.to_string(),
        // Greek keeps its iota below.
        '\u{1f80}'..='\u{1faf}' => shifted((u32::from(c) & 8) ^ 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(9),
        '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}' => c.to_string(),
        '\u{1fb7}' => "\u{1fbc}\u{342}".to_owned(),
        '\u{1fc7}' => "\u{1fcc}\u{342}".to_owned(),
        '\u{1ff7}' => "\u{1ffc}\u{342}".to_owned(),
        '\u{1fb2}' | '\u{1fb4}' | '\u{1fc2}' | '\u{1fc4}' | '\u{1ff2}' | '\u{1ff4}' => {
            c.to_uppercase().take(1).chain(['\u{345}']).collect()
        }
        // Ligatures.
        'ß' | '\u{587}' | '\u{fb00}'..='\u{fb17}' => {
            let mut upper = c.to_uppercase();
            upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
        }
        other => other.to_uppercase().collect(),
    }
}

/// The one argument that must be text.
fn text_argument(args: Args, method: &str, refused: &str) -> PyResult<Text> {
    match args.builtin(&format!("str.{method}"), 1, 1)?.into_iter().next() {
        Some(Value::Str(text)) => Ok(text),
        other => {
            let other = other.unwrap_or(Value::None);
            let name = if refused.is_empty() { other.type_name() } else { argument_type(&other) };
            type_error(format!("{refused}must be str, not {name}"))
        }
    }
}

fn width_of(length: usize, width: i64) -> usize {
    usize::try_from(width).unwrap_or(0).saturating_sub(length)
}

fn justify(rendering: &Rendering, receiver: &Text, method: &str, args: Args) -> PyResult {
    let mut args = args.builtin(&format!("str.{method}"), 1, 2)?.into_iter();
    let width = size(&args.next().unwrap_or(Value::None))?;
    let fill = match args.next() {
        None => ' ',
        Some(Value::Str(fill)) => {
            let mut chars = fill.chars();
            match (chars.next(), chars.next()) {
                (Some(fill), None) => fill,
                _ => return type_error("The fill character must be exactly one character long"),
            }
        }
        Some(other) => {
            return type_error(format!("The fill character must be a unicode character, not {}", other.type_name()));
        }
    };
    let missing = width_of(receiver.chars().count(), width);
    rendering.allocate(missing.saturating_mul(fill.len_utf8()).saturating_add(receiver.len()))?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // Python rounds to the left where the width is odd.
        _ => missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1),
    };
    let fill = |count: usize| fill.to_string().repeat(count);
    Ok(receiver.like(format!("{}{}{}", fill(left), &**receiver, fill(missing - left))))
}

fn fill_zeros(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let args = args.builtin("str.zfill", 1, 1)?;
    let width = args.first().map_or(Ok(0), size)?;
    let missing = width_of(receiver.chars().count(), width);
    rendering.allocate(missing.saturating_add(receiver.len()))?;
    let (sign, digits) = receiver.split_at(usize::from(missing > 0 && receiver.starts_with(['+', '-'])));
    Ok(receiver.like(format!("{sign}{}{digits}", "0".repeat(missing))))
}

fn strip(receiver: &Text, method: &str, args: Args) -> PyResult {
    let chars = match args.builtin(&format!("str.{method}"), 0, 1)?.into_iter().next() {
        None | Some(Value::None) => None,
        Some(Value::Str(chars)) => Some(chars),
        Some(_) => return type_error(format!("{method} arg must be None or str")),
    };
    let unwanted = |c: char| chars.as_ref().map_or_else(|| is_space(c), |chars| chars.contains(c));
    Ok(receiver.like(match method {
        "lstrip" => receiver.trim_start_matches(unwanted),
        "rstrip" => receiver.trim_end_matches(unwanted),
        _ => receiver.trim_matches(unwanted),
    }))
}

fn remove(receiver: &Text, method: &str, args: Args) -> PyResult {
    let affix = text_argument(args, method, &format!("{method}() argument "))?;
    let rest = match method {
        "removeprefix" => receiver.strip_prefix(&*affix),
        _ => receiver.strip_suffix(&*affix),
    };
    Ok(receiver.like(rest.unwrap_or(receiver)))
}

/// What a search goes through: a part of the receiver, and the position of its first character.
struct Window<'a> {
    text: &'a str,
    start: usize,
}

/// The arguments of a search: what is looked for, and where; None for a place beyond the end.
fn window<'a>(receiver: &'a str, method: &str, args: Args) -> PyResult<(Value, Option<Window<'a>>)> {
    let length = receiver.chars().count();
    let (wanted, start, end) = search_arguments(method, args, length)?;
    if matches!(method, "find" | "index" | "rfind" | "rindex" | "count") && wanted.as_str().is_none() {
        return type_error(format!("must be str, not {}", wanted.type_name()));
    }
    if start > end {
        return Ok((wanted, None));
    }
    let from = offset(receiver, start);
    let to = from + offset(receiver.get(from..).unwrap_or(""), end - start);
    Ok((wanted, Some(Window { text: receiver.get(from..to).unwrap_or(""), start })))
}

/// Where the character at `position` starts.
fn offset(text: &str, position: usize) -> usize {
    text.char_indices().nth(position).map_or(text.len(), |(at, _)| at)
}

fn find(receiver: &Text, method: &str, args: Args) -> PyResult {
    let (wanted, window) = window(receiver, method, args)?;
    let wanted = wanted.as_str().map_or("", |text| text);
    if method == "count" {
        return Ok(Value::size(window.map_or(0, |window| window.text.matches(wanted).count())));
    }
    let found = window.and_then(|window| {
        let at = if method.starts_with('r') { window.text.rfind(wanted) } else { window.text.find(wanted) }?;
        Some(window.start + window.text.get(..at)?.chars().count())
    });
    match found {
        Some(at) => Ok(Value::size(at)),
        None if method.ends_with("find") => Ok(Value::Int(-1)),
        None => value_error("substring not found"),
    }
}

fn starts_or_ends(receiver: &Text, method: &str, args: Args) -> PyResult {
    let (wanted, window) = window(receiver, method, args)?;
    let matches = |affix: &Text| {
        window.as_ref().is_some_and(|window| match method {
            "startswith" => window.text.starts_with(&**affix),
            _ => window.text.ends_with(&**affix),
        })
    };
    match &wanted {
        Value::Str(affix) => Ok(Value::Bool(matches(affix))),
        Value::Tuple(affixes) => {
            for affix in &affixes.items {
                match affix {
                    Value::Str(affix) if matches(affix) => return Ok(Value::Bool(true)),
                    Value::Str(_) => {}
                    other => {
                        return type_error(format!(
                            "tuple for {method} must only contain str, not {}",
                            other.type_name()
                        ));
                    }
                }
            }
            Ok(Value::Bool(false))
        }
        other => type_error(format!("{method} first arg must be str or a tuple of str, not {}", other.type_name())),
    }
}

fn partition(receiver: &Text, method: &str, args: Args) -> PyResult {
    let separator = text_argument(args, method, "")?;
    if separator.is_empty() {
        return value_error("empty separator");
    }
    let parts = if method == "partition" {
        receiver.split_once(&*separator).map_or((&**receiver, "", ""), |(head, tail)| (head, &*separator, tail))
    } else {
        receiver.rsplit_once(&*separator).map_or(("", "", &**receiver), |(head, tail)| (head, &*separator, tail))
    };
    let found = !parts.1.is_empty();
    let middle = if found && !receiver.safe { Value::Str(separator.clone()) } else { receiver.like(parts.1) };
    Ok(Value::tuple(vec![receiver.like(parts.0), middle, receiver.like(parts.2)]))
}

fn split(rendering: &Rendering, receiver: &Text, method: &str, args: Args) -> PyResult {
    let mut args = args.keywords(method, &[], &["sep", "maxsplit"], 2)?.into_iter();
    let separator = args.next().flatten().unwrap_or(Value::None);
    let most = args.next().flatten().map_or(Ok(-1), |most| size(&most))?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let backwards = method == "rsplit";
    let mut parts = Vec::new();
    match &separator {
        Value::None => {
            let mut rest = trimmed(receiver, backwards);
            while !rest.is_empty() {
                // The last part keeps the space at its far end.
                let (part, after) = if parts.len() < most { next_word(rest, backwards) } else { (rest, "") };
                push_part(rendering, receiver, &mut parts, part)?;
                rest = trimmed(after, backwards);
            }
        }
        Value::Str(separator) if separator.is_empty() => return value_error("empty separator"),
        Value::Str(separator) if backwards => {
            for part in receiver.rsplitn(most.saturating_add(1), &**separator) {
                push_part(rendering, receiver, &mut parts, part)?;
            }
        }
        Value::Str(separator) => {
            for part in receiver.splitn(most.saturating_add(1), &**separator) {
                push_part(rendering, receiver, &mut parts, part)?;
            }
        }
        other => return type_error(format!("must be str or None, not {}", other.type_name())),
    }
    if backwards {
        parts.reverse();
    }
    Ok(Value::list(parts))
}

fn trimmed(text: &str, backwards: bool) -> &str {
    if backwards { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) }
}

/// The first word, or the last, and what is left.
fn next_word(text: &str, backwards: bool) -> (&str, &str) {
    if backwards {
        let (before, word) = text.split_at(text.trim_end_matches(|c| !is_space(c)).len());
        (word, before)
    } else {
        text.split_at(text.find(is_space).unwrap_or(text.len()))
    }
}

fn push_part(rendering: &Rendering, receiver: &Text, parts: &mut Vec<Value>, part: &str) -> PyResult<()> {
    rendering.allocate(part.len() + size_of::<Value>())?;
    parts.push(receiver.like(part));
    Ok(())
}

fn split_lines(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let keep = args.keywords("splitlines", &[], &["keepends"], 1)?.into_iter().next().flatten();
    let keep = keep.is_some_and(|keep| keep.truth());
    let mut lines = Vec::new();
    let mut rest: &str = receiver;
    while !rest.is_empty() {
        let end = rest.find(is_line_break).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        let broken = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        let kept = if keep { rest.get(..end + broken).unwrap_or(line) } else { line };
        push_part(rendering, receiver, &mut lines, kept)?;
        rest = after.get(broken..).unwrap_or("");
    }
    Ok(Value::list(lines))
}

fn join(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let items = args.builtin("str.join", 1, 1)?.into_iter().next().unwrap_or(Value::None);
    let items =
        items.iterate(rendering).or_else(|exception| match exception.message.ends_with("object is not iterable") {
            true if !receiver.safe => type_error("can only join an iterable"),
            _ => Err(exception),
        })?;
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let text = match item {
            _ if receiver.safe => escaped(rendering, item)?,
            Value::Str(text) => Arc::clone(&text.text),
            other => {
                return type_error(format!(
                    "sequence item {index}: expected str instance, {} found",
                    other.type_name()
                ));
            }
        };
        rendering.allocate(text.len() + receiver.len())?;
        if index > 0 {
            out.push_str(receiver);
        }
        out.push_str(&text);
    }
    // A list of one str is joined to that str itself.
    Ok(receiver.like(out))
}

fn replace(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let mut args = args.builtin("str.replace", 2, 3)?.into_iter();
    let mut text = |position: usize| match args.next() {
        Some(Value::Str(text)) => Ok(text),
        other => type_error(format!(
            "replace() argument {position} must be str, not {}",
            argument_type(&other.unwrap_or(Value::None))
        )),
    };
    let (old, new) = (text(1)?, text(2)?);
    let most = args.next().map_or(Ok(-1), |most| size(&most))?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let found = receiver.matches(&*old).take(most).count();
    rendering.allocate(receiver.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(receiver.like(receiver.replacen(&*old, &new, found)))
}

fn expand_tabs(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let size = args.keywords("expandtabs", &[], &["tabsize"], 1)?.into_iter().next().flatten();
    let size = match size {
        None => 8,
        Some(Value::Big(_)) => return other_error("Python int too large to convert to C int"),
        Some(size) => match size.index()? {
            size if i32::try_from(size).is_err() => return other_error("Python int too large to convert to C int"),
            size => usize::try_from(size).unwrap_or(0),
        },
    };
    let mut out = String::with_capacity(receiver.len());
    let mut column = 0;
    rendering.allocate(receiver.len())?;
    for c in receiver.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                rendering.allocate(spaces)?;
                out.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            '\t' => {}
            other => {
                column = if matches!(other, '\n' | '\r') { 0 } else { column + 1 };
                out.push(other);
            }
        }
    }
    Ok(receiver.like(out))
}

fn encode(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let mut args = args.keywords("encode", &[], &["encoding", "errors"], 2)?.into_iter();
    let encoding = bytes::codec_argument("encode", "encoding", args.next().flatten(), "utf-8")?;
    let errors = bytes::codec_argument("encode", "errors", args.next().flatten(), "strict")?;
    rendering.allocate(receiver.len())?;
    bytes::encode(rendering, receiver, &encoding, &errors)
}

fn translate(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let table = args.builtin("str.translate", 1, 1)?.into_iter().next().unwrap_or(Value::None);
    let mut out = String::with_capacity(receiver.len());
    rendering.allocate(receiver.len())?;
    for c in receiver.chars() {
        match looked_up(rendering, &table, c)? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Str(text)) => {
                rendering.allocate(text.len())?;
                out.push_str(&text);
            }
            Some(other) => match other.as_int() {
                None => return type_error("character mapping must return integer, None or str"),
                Some(_) => match u32::try_from(other.index()?) {
                    // Half of a surrogate pair can't be held.
                    Ok(code @ ..0x11_0000) => out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
                    _ => return value_error("character mapping must be in range(0x110000)"),
                },
            },
        }
    }
    Ok(receiver.like(out))
}

/// What a table of `translate` has for a character.
fn looked_up(rendering: &Rendering, table: &Value, c: char) -> PyResult<Option<Value>> {
    let at = c as usize;
    match table {
        Value::Dict(dict) => dict.subscript(rendering, &Value::size(at)),
        Value::List(list) => Ok(list.items().get(at).cloned()),
        Value::Tuple(tuple) => Ok(tuple.items.get(at).cloned()),
        Value::Str(text) => Ok(text.chars().nth(at).map(|c| text.like(c.to_string()))),
        Value::Undefined(undefined) => Err(undefined.raise()),
        other => type_error(format!("'{}' object is not subscriptable", other.type_name())),
    }
}

fn make_translation(rendering: &Rendering, args: Args) -> PyResult {
    let given = args.builtin("str.maketrans", 1, 3)?;
    if let Some(at) = given.iter().skip(1).position(|value| value.as_str().is_none()) {
        let name = given.get(at + 1).map_or("None", argument_type);
        return type_error(format!("maketrans() argument {} must be str, not {name}", at + 2));
    }
    let mut table = IndexMap::new();
    match given.as_slice() {
        [Value::Dict(dict)] => {
            rendering.allocate(dict.len() * 2 * size_of::<Value>())?;
            for (key, value) in &*dict.entries() {
                table.insert(translation_key(key.value())?.key()?, value.clone());
            }
        }
        [_] | [] => return type_error("if you give only one argument to maketrans it must be a dict"),
        [Value::Str(from), Value::Str(to), more @ ..] => {
            if from.chars().count() != to.chars().count() {
                return value_error("the first two maketrans arguments must have equal length");
            }
            rendering.allocate(from.len() * 2 * size_of::<Value>())?;
            for (from, to) in from.chars().zip(to.chars()) {
                table.insert(Value::size(from as usize).key()?, Value::size(to as usize));
            }
            if let [Value::Str(removed), ..] = more {
                for c in removed.chars() {
                    rendering.allocate(2 * size_of::<Value>())?;
                    table.insert(Value::size(c as usize).key()?, Value::None);
                }
            }
        }
        _ => return type_error("first maketrans argument must be a string if there is a second argument"),
    }
    Ok(Value::dict(table))
}

fn translation_key(key: &Value) -> PyResult {
    match key {
        Value::Str(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(Value::size(c as usize)),
                _ => value_error("string keys in translate table must be of length 1"),
            }
        }
        key if key.as_int().is_some() => Ok(key.clone()),
        _ => type_error("keys in translate table must be strings or integers"),
    }
}

#[cfg(test)]
mod tests {
    use crate::python::containers::table::{Row, check};

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (r#"{"$m": "\ta\tb\n"}"#, "capitalize", "[]", r"Markup('\ta\tb\n')"),
        (r#""12""#, "capitalize", r#"[","]"#, "TypeError: str.capitalize() takes no arguments (1 given)"),
        (r#""\u200b""#, "capitalize", "[]", r"'\u200b'"),
        (r#""\u038c\u03a3\u039f\u03a3 \u03a3\u0391\u03a3""#, "casefold", "[]", "'όσοσ σασ'"),
        (r#"{"$m": "12"}"#, "casefold", "[]", "Markup('12')"),
        (r#""\u00e9\u65e5\u672c""#, "casefold", "[]", "'é日本'"),
        (r#""mixED""#, "center", r#"[" "]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        (r#""\u24d0\u24b6""#, "center", "[]", "TypeError: center expected at least 1 argument, got 0"),
        (r#""_x1""#, "center", "[100, 0]", "TypeError: The fill character must be a unicode character, not int"),
        (r#""\u200b""#, "center", r#"["", "&", ","]"#, "TypeError: center expected at most 2 arguments, got 3"),
        (r#"{"$m": "Hello World"}"#, "center", "[3]", "Markup('Hello World')"),
        (r#"{"$m": "\u4e00"}"#, "count", r#"[{"$t": ["a", "H"]}, 13, -6]"#, "TypeError: must be str, not tuple"),
        (r#""\u0391\u03a3.""#, "count", "[true, -1]", "TypeError: must be str, not bool"),
        (r#"{"$m": "a\u0301b"}"#, "count", "[12]", "TypeError: must be str, not int"),
        (r#"{"$m": "it's a.b"}"#, "count", "[]", "TypeError: count() takes at least 1 argument (0 given)"),
        (r#""Title Case""#, "count", r#"[["a", "b"]]"#, "TypeError: must be str, not list"),
        (r#"{"$m": ""}"#, "count", r#"[{"$f": "1.5"}, 2]"#, "TypeError: must be str, not float"),
        (r#""abc""#, "count", r#"[2, " ", [], ""]"#, "TypeError: count() takes at most 3 arguments (4 given)"),
        (r#""\u00bd""#, "count", "[null]", "TypeError: must be str, not NoneType"),
        (r#""\u4e00""#, "encode", r#"["nope", "xmlcharrefreplace"]"#, "Other: unknown encoding: nope"),
        (r#""\ta\tb\n""#, "encode", r#"[{"$m": "<b>"}, ","]"#, "Other: unknown encoding: <b>"),
        (r#""_x1""#, "encode", r#"["utf-8", "ignore"]"#, "b'_x1'"),
        (r#"{"$m": "\u4e00"}"#, "encode", r#"[","]"#, "Other: unknown encoding: ,"),
        (r#""Hello World""#, "encode", r#"["b"]"#, "Other: unknown encoding: b"),
        (r#""<b>&amp; \"q\"</b>""#, "encode", r#"["ab"]"#, "Other: unknown encoding: ab"),
        (r#"{"$m": "x\r\ny\nz\u000bq\u2028w"}"#, "encode", r#"["<"]"#, "Other: unknown encoding: <"),
        (r#""\u00b2""#, "encode", "[null, null, []]", "TypeError: encode() takes at most 2 arguments (3 given)"),
        (r#"" a b  c ""#, "encode", r#"["ascii", "replace"]"#, "b' a b  c '"),
        (r#"{"$m": "a,b,,c"}"#, "encode", r#"[" "]"#, "Other: unknown encoding:  "),
        (r#""Hello World""#, "encode", r#"[""]"#, "Other: unknown encoding: "),
        (r#""-5""#, "endswith", "[12]", "TypeError: endswith first arg must be str or a tuple of str, not int"),
        (r#""\u001c \u3000""#, "endswith", r#"[{"$t": ["a", "b"]}]"#, "False"),
        (r#""\u0391\u03a3.""#, "endswith", r#"["l"]"#, "False"),
        (r#"{"$m": "\u00aa"}"#, "endswith", "[]", "TypeError: endswith() takes at least 1 argument (0 given)"),
        (r#"{"$m": "TITLE"}"#, "expandtabs", "[]", "Markup('TITLE')"),
        (r#""""#, "expandtabs", r#"[",", -1]"#, "TypeError: expandtabs() takes at most 1 argument (2 given)"),
        (r#""abc""#, "expandtabs", "[3]", "'abc'"),
        (r#""\u00bd""#, "expandtabs", r#"["l"]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        (r#"{"$m": "\u00dfeta \ufb01n \u0130i"}"#, "find", r#"[" "]"#, "4"),
        (r#""Title Case""#, "find", "[[], 0, true]", "TypeError: must be str, not list"),
        (r#"" a b  c ""#, "find", r#"[{"$t": ["a", "b"]}]"#, "TypeError: must be str, not tuple"),
        (r#""Title Case""#, "find", r#"[{"$b": [97]}]"#, "TypeError: must be str, not bytes"),
        (r#""a""#, "find", r#"["a", "&", " ", " "]"#, "TypeError: find() takes at most 3 arguments (4 given)"),
        (r#"{"$m": "it's a.b"}"#, "find", r#"[{"$d": []}]"#, "TypeError: must be str, not dict"),
        (r#"{"$m": "a"}"#, "find", r#"["a"]"#, "0"),
        (r#""\u4e00""#, "find", r#"[{"$u": "nope"}]"#, "TypeError: must be str, not Undefined"),
        (r#"" a b  c ""#, "find", r#"[{"$f": "1.5"}, 5]"#, "TypeError: must be str, not float"),
        (r#""aaa""#, "find", r#"["a"]"#, "0"),
        (r#""a,b,,c""#, "index", r#"["b"]"#, "2"),
        (r#""\u4e00""#, "index", "[]", "TypeError: index() takes at least 1 argument (0 given)"),
        (r#""<b>&amp; \"q\"</b>""#, "index", r#"["l"]"#, "ValueError: substring not found"),
        (r#""abc""#, "index", "[true]", "TypeError: must be str, not bool"),
        (r#"{"$m": "\u00b2"}"#, "index", "[12]", "TypeError: must be str, not int"),
        (r#""\u200b""#, "index", r#"[""]"#, "0"),
        (r#"{"$m": "mixED"}"#, "index", r#"[{"$f": "1.5"}, -1]"#, "TypeError: must be str, not float"),
        (r#""Title Case""#, "index", r#"[" "]"#, "5"),
        (r#""<b>&amp; \"q\"</b>""#, "index", "[null]", "TypeError: must be str, not NoneType"),
        (r#""a\u0301b""#, "isalnum", "[]", "False"),
        (r#"{"$m": "Hello World"}"#, "isalnum", "[]", "False"),
        (r#"{"$m": "12"}"#, "isalnum", r#"[","]"#, "TypeError: Markup.isalnum() takes no arguments (1 given)"),
        (r#""+12""#, "isalnum", "[]", "False"),
        (r#"{"$m": "mixED"}"#, "isalpha", "[]", "True"),
        (r#"{"$m": "+12"}"#, "isalpha", r#"[","]"#, "TypeError: Markup.isalpha() takes no arguments (1 given)"),
        (r#""\u00bd""#, "isalpha", "[]", "False"),
        (r#"{"$m": "x\r\ny\nz\u000bq\u2028w"}"#, "isascii", "[]", "False"),
        (r#"" a b  c ""#, "isascii", "[2]", "TypeError: str.isascii() takes no arguments (1 given)"),
        (r#"{"$m": "TITLE"}"#, "isdecimal", "[]", "False"),
        (r#""\u4e00""#, "isdecimal", r#"[" "]"#, "TypeError: str.isdecimal() takes no arguments (1 given)"),
        (r#"{"$m": "\u02bcn \u0149 \u01f0"}"#, "isdecimal", "[]", "False"),
        (r#""it's a.b""#, "isdigit", "[]", "False"),
        (r#"{"$m": "\u01c6x \u03a3\u0391\u03a3"}"#, "isdigit", "[]", "False"),
        (r#""\u200b""#, "isdigit", r#"["a"]"#, "TypeError: str.isdigit() takes no arguments (1 given)"),
        (r#"{"$m": "\u00bd"}"#, "isdigit", "[]", "False"),
        (r#""it's a.b""#, "islower", "[]", "True"),
        (r#""Title Case""#, "islower", "[]", "False"),
        (r#""\u200b""#, "islower", r#"["\u03a3"]"#, "TypeError: str.islower() takes no arguments (1 given)"),
        (r#""Hello World""#, "islower", "[]", "False"),
        (r#""it's a.b""#, "isnumeric", "[]", "False"),
        (r#""\u001c \u3000""#, "isnumeric", "[]", "False"),
        (r#""""#, "isnumeric", r#"[","]"#, "TypeError: str.isnumeric() takes no arguments (1 given)"),
        (r#"{"$m": "\u4e00"}"#, "isprintable", "[]", "True"),
        (r#"{"$m": "+12"}"#, "isprintable", "[]", "True"),
        (r#"{"$m": ""}"#, "isprintable", "[3]", "TypeError: Markup.isprintable() takes no arguments (1 given)"),
        (r#"{"$m": "\u001c \u3000"}"#, "isprintable", "[]", "False"),
        (r#""\u0663""#, "isspace", "[]", "False"),
        (r#""aaa""#, "isspace", "[]", "False"),
        (r#"{"$m": "\ta\tb\n"}"#, "istitle", "[]", "False"),
        (r#"{"$m": "+12"}"#, "istitle", r#"["l"]"#, "TypeError: Markup.istitle() takes no arguments (1 given)"),
        (r#""abc""#, "istitle", "[]", "False"),
        (r#""\u2177""#, "istitle", r#"[{"$d": []}]"#, "TypeError: str.istitle() takes no arguments (1 given)"),
        (r#""a,b,,c""#, "istitle", "[]", "False"),
        (r#"{"$m": "Hello World"}"#, "isupper", "[]", "False"),
        (r#"{"$m": "\u00b2"}"#, "isupper", "[]", "False"),
        (r#"{"$m": "TITLE"}"#, "join", r#"[{"$d": []}]"#, "Markup('')"),
        (r#"{"$m": "Hello World"}"#, "join", r#"[["a", "b"]]"#, "Markup('aHello Worldb')"),
        (r#""\u00bd""#, "join", "[12]", "TypeError: can only join an iterable"),
        (r#""12""#, "join", r#"[{"$b": [97]}]"#, "TypeError: sequence item 0: expected str instance, int found"),
        (r#"{"$m": "\ta\tb\n"}"#, "join", "[12]", "TypeError: 'int' object is not iterable"),
        (r#""\u4e00""#, "ljust", r#"["l"]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        (r#"{"$m": "\u24d0\u24b6"}"#, "ljust", "[12]", "Markup('ⓐⒶ          ')"),
        (r#""\u01c6x \u03a3\u0391\u03a3""#, "ljust", r#"[5, "l"]"#, "'ǆx ΣΑΣ'"),
        (r#""it's a.b""#, "ljust", "[]", "TypeError: ljust expected at least 1 argument, got 0"),
        (r#""a,b,,c""#, "ljust", r#"[0, "*"]"#, "'a,b,,c'"),
        (r#""a,b,,c""#, "lower", "[]", "'a,b,,c'"),
        (r#""\u200b""#, "lower", r#"["\u03a3"]"#, "TypeError: str.lower() takes no arguments (1 given)"),
        (r#"{"$m": "\u0663"}"#, "lower", "[]", "Markup('٣')"),
        (r#"{"$m": "\u0663"}"#, "lstrip", r#"[","]"#, "Markup('٣')"),
        (r#""-5""#, "lstrip", r#"["b", ""]"#, "TypeError: lstrip expected at most 1 argument, got 2"),
        (r#""<b>&amp; \"q\"</b>""#, "lstrip", r#"["l"]"#, r#"'<b>&amp; "q"</b>'"#),
        (r#""""#, "maketrans", "[3]", "TypeError: if you give only one argument to maketrans it must be a dict"),
        (r#"{"$m": "\u00e9\u65e5\u672c"}"#, "maketrans", r#"[{"$d": []}]"#, "{}"),
        (r#""_x1""#, "maketrans", "[1, 5, true, 0]", "TypeError: maketrans expected at most 3 arguments, got 4"),
        (r#""TITLE""#, "maketrans", r#"["a", 1]"#, "TypeError: maketrans() argument 2 must be str, not int"),
        (r#"{"$m": "aaa"}"#, "partition", "[[]]", "TypeError: must be str, not list"),
        (r#""\ta\tb\n""#, "partition", r#"[{"$d": []}]"#, "TypeError: must be str, not dict"),
        (r#""it's a.b""#, "partition", "[]", "TypeError: str.partition() takes exactly one argument (0 given)"),
        (r#""\u24d0\u24b6""#, "partition", "[12]", "TypeError: must be str, not int"),
        (r#""<b>&amp; \"q\"</b>""#, "partition", r#"[{"$t": ["a", "b"]}]"#, "TypeError: must be str, not tuple"),
        (r#"{"$m": "\u01c6x \u03a3\u0391\u03a3"}"#, "partition", "[true]", "TypeError: must be str, not bool"),
        (r#"{"$m": " a b  c "}"#, "partition", r#"[{"$b": [97]}]"#, "TypeError: must be str, not bytes"),
        (r#""12""#, "partition", r#"[{"$u": "nope"}]"#, "TypeError: must be str, not Undefined"),
        (r#""_x1""#, "partition", r#"[""]"#, "ValueError: empty separator"),
        (r#""\u001c \u3000""#, "partition", r#"["\u03a3"]"#, r"('\x1c \u3000', '', '')"),
        (r#""\u0391\u03a3.""#, "partition", r#"["\u03a3"]"#, "('Α', 'Σ', '.')"),
        (r#""""#, "removeprefix", "[]", "TypeError: str.removeprefix() takes exactly one argument (0 given)"),
        (r#""\u00b2""#, "removeprefix", r#"[","]"#, "'²'"),
        (r#""\u00e9\u65e5\u672c""#, "removesuffix", r#"[","]"#, "'é日本'"),
        (r#""x\r\ny\nz\u000bq\u2028w""#, "removesuffix", r#"["l"]"#, r"'x\r\ny\nz\x0bq\u2028w'"),
        (r#""\u200b""#, "removesuffix", r#"["a"]"#, r"'\u200b'"),
        (r#"{"$m": "mixED"}"#, "removesuffix", "[1]", "TypeError: removesuffix() argument must be str, not int"),
        (r#""\u00e9\u65e5\u672c""#, "replace", r#"["l", {"$m": "<"}, 4]"#, "'é日本'"),
        (r#""abc""#, "replace", r#"[[], "ab"]"#, "TypeError: replace() argument 1 must be str, not list"),
        (r#""12""#, "replace", r#"[{"$d": []}]"#, "TypeError: replace expected at least 2 arguments, got 1"),
        (r#""-5""#, "replace", r#"["&", 1, -1, ","]"#, "TypeError: replace expected at most 3 arguments, got 4"),
        (r#""\u01c6x \u03a3\u0391\u03a3""#, "replace", r#"["<", "<"]"#, "'ǆx ΣΑΣ'"),
        (r#""\u24d0\u24b6""#, "rfind", r#"[{"$u": "nope"}]"#, "TypeError: must be str, not Undefined"),
        (r#""it's a.b""#, "rfind", "[true]", "TypeError: must be str, not bool"),
        (r#""_x1""#, "rfind", r#"[{"$t": ["a", "b"]}]"#, "TypeError: must be str, not tuple"),
        (r#"{"$m": "a,b,,c"}"#, "rfind", "[12]", "TypeError: must be str, not int"),
        (r#"{"$m": "mixED"}"#, "rfind", "[[]]", "TypeError: must be str, not list"),
        (r#""\u00aa""#, "rfind", r#"[{"$b": [97]}, 5]"#, "TypeError: must be str, not bytes"),
        (r#"{"$m": "Hello World"}"#, "rfind", "[]", "TypeError: rfind() takes at least 1 argument (0 given)"),
        (r#"{"$m": "a"}"#, "rfind", r#"[","]"#, "-1"),
        (r#""TITLE""#, "rfind", r#"["l", 2, 2, " "]"#, "TypeError: rfind() takes at most 3 arguments (4 given)"),
        (r#""\u200b""#, "rfind", r#"[{"$d": []}]"#, "TypeError: must be str, not dict"),
        (r#"{"$m": "\u00bd"}"#, "rindex", "[true, -2]", "TypeError: must be str, not bool"),
        (r#"{"$m": "Title Case"}"#, "rindex", r#"["a"]"#, "7"),
        (r#""-5""#, "rindex", r#"[{"$d": []}]"#, "TypeError: must be str, not dict"),
        (r#"{"$m": "Dz \u01f2"}"#, "rindex", r#"[" "]"#, "2"),
        (r#"{"$m": "\u2177"}"#, "rindex", r#"[","]"#, "ValueError: substring not found"),
        (r#""\u00e9\u65e5\u672c""#, "rindex", r#"[{"$b": [97]}]"#, "TypeError: must be str, not bytes"),
        (r#""a,b,,c""#, "rindex", r#"[{"$t": ["a", "b"]}]"#, "TypeError: must be str, not tuple"),
        (r#""a,b,,c""#, "rindex", r#"[","]"#, "4"),
        (r#""\u200b""#, "rindex", r#"[{"$u": "nope"}]"#, "TypeError: must be str, not Undefined"),
        (r#""""#, "rindex", r#"[" ", 1, "ab", 2]"#, "TypeError: rindex() takes at most 3 arguments (4 given)"),
        (r#"{"$m": "\u02bcn \u0149 \u01f0"}"#, "rjust", "[true]", "Markup('ʼn ŉ ǰ')"),
        (r#""\u24d0\u24b6""#, "rjust", r#"[-2, {"$m": "<"}]"#, "'ⓐⒶ'"),
        (r#""""#, "rjust", r#"[-1, {"$m": "<"}]"#, "''"),
        (r#""mixED""#, "rjust", r#"["l"]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        (r#""TITLE""#, "rjust", "[]", "TypeError: rjust expected at least 1 argument, got 0"),
        (r#""<b>&amp; \"q\"</b>""#, "rpartition", "[null]", "TypeError: must be str, not NoneType"),
        (r#""\u00b2""#, "rpartition", "[]", "TypeError: str.rpartition() takes exactly one argument (0 given)"),
        (r#"{"$m": "aaa"}"#, "rpartition", r#"[{"$u": "nope"}]"#, "TypeError: must be str, not Undefined"),
        (r#""aaa""#, "rpartition", "[true]", "TypeError: must be str, not bool"),
        (r#"{"$m": ""}"#, "rpartition", r#"["l"]"#, "(Markup(''), Markup(''), Markup(''))"),
        (r#""\u01c6x \u03a3\u0391\u03a3""#, "rpartition", r#"[""]"#, "ValueError: empty separator"),
        (r#""\u00aa""#, "rpartition", r#"["l"]"#, "('', '', 'ª')"),
        (r#""Dz \u01f2""#, "rpartition", "[12]", "TypeError: must be str, not int"),
        (r#""TITLE""#, "rpartition", r#"[{"$b": [97]}]"#, "TypeError: must be str, not bytes"),
        (r#"{"$m": "\u00b2"}"#, "rpartition", r#"[{"$d": []}]"#, "TypeError: must be str, not dict"),
        (r#""""#, "rpartition", r#"[{"$f": "1.5"}]"#, "TypeError: must be str, not float"),
        (r#"{"$m": "it's a.b"}"#, "rsplit", r#"[","]"#, r#"[Markup("it's a.b")]"#),
        (r#"{"$m": "_x1"}"#, "rsplit", "[true]", "TypeError: must be str or None, not bool"),
        (r#""-5""#, "rsplit", r#"[""]"#, "ValueError: empty separator"),
        (r#""_x1""#, "rsplit", r#"["ab", -2, true]"#, "TypeError: rsplit() takes at most 2 arguments (3 given)"),
        (r#""\u00aa""#, "rsplit", r#"[{"$f": "1.5"}]"#, "TypeError: must be str or None, not float"),
        (r#"{"$m": "\u0663"}"#, "rsplit", r#"[["a", "b"], true]"#, "TypeError: must be str or None, not list"),
        (r#""12""#, "rsplit", r#"["l", -1]"#, "['12']"),
        (r#"{"$m": "aaa"}"#, "rsplit", "[12]", "TypeError: must be str or None, not int"),
        (r#""\u00bd""#, "rsplit", r#"[","]"#, "['½']"),
        (r#""-5""#, "rstrip", r#"[["a", "b"], 5]"#, "TypeError: rstrip expected at most 1 argument, got 2"),
        (r#""Dz \u01f2""#, "rstrip", "[]", "'Dz ǲ'"),
        (r#"{"$m": "Hello World"}"#, "rstrip", r#"["\u03a3"]"#, "Markup('Hello World')"),
        (r#""a,b,,c""#, "split", r#"[5, "<"]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        (r#"{"$m": "abc"}"#, "split", "[]", "[Markup('abc')]"),
        (r#""it's a.b""#, "split", r#"[{"$u": "nope"}]"#, "TypeError: must be str or None, not Undefined"),
        (r#"{"$m": "-5"}"#, "split", r#"[{"$b": [97]}]"#, "TypeError: must be str or None, not bytes"),
        (r#"{"$m": "abc"}"#, "split", r#"[" "]"#, "[Markup('abc')]"),
        (r#""\u00bd""#, "split", "[[], -1]", "TypeError: must be str or None, not list"),
        (r#""\u0663""#, "split", r#"["", "a", "<"]"#, "TypeError: split() takes at most 2 arguments (3 given)"),
        (r#""abc""#, "splitlines", r#"[[], "a"]"#, "TypeError: splitlines() takes at most 1 argument (2 given)"),
        (r#"{"$m": "<b>&amp; \"q\"</b>"}"#, "splitlines", "[]", r#"[Markup('<b>&amp; "q"</b>')]"#),
        (r#"{"$m": "\u200b"}"#, "splitlines", r#"["\u03a3"]"#, r"[Markup('\u200b')]"),
        (r#""\u038c\u03a3\u039f\u03a3 \u03a3\u0391\u03a3""#, "startswith", r#"["l", -2]"#, "False"),
        (r#""Hello World""#, "startswith", r#"["l", -4, 2]"#, "False"),
        (r#""\u038c\u03a3\u039f\u03a3 \u03a3\u0391\u03a3""#, "startswith", r#"[{"$t": ["a", "b"]}]"#, "False"),
        (r#""""#, "startswith", "[3]", "TypeError: startswith first arg must be str or a tuple of str, not int"),
        (r#""it's a.b""#, "strip", "[null]", r#""it's a.b""#),
        (r#""TITLE""#, "strip", r#"[1, ","]"#, "TypeError: strip expected at most 1 argument, got 2"),
        (r#""\u001c \u3000""#, "strip", r#"["&"]"#, r"'\x1c \u3000'"),
        (r#"{"$m": "mixED"}"#, "strip", "[3]", "TypeError: strip arg must be None or str"),
        (r#"{"$m": "&lt;b&gt;"}"#, "striptags", "[]", "'<b>'"),
        (r#"{"$m": "&#39;&#x27;&#0;&#128;&#x110000;&#xd800;&#1;"}"#, "striptags", "[]", r#""''�€��""#),
        (r#""\u0391\u03a3.""#, "swapcase", "[]", "'ας.'"),
        (r#""Title Case""#, "swapcase", "[]", "'tITLE cASE'"),
        (r#""\u01c6x \u03a3\u0391\u03a3""#, "swapcase", "[]", "'ǄX σας'"),
        (r#"{"$m": "\u038c\u03a3\u039f\u03a3 \u03a3\u0391\u03a3"}"#, "title", "[]", "Markup('Όσος Σας')"),
        (r#""a""#, "translate", "[]", "TypeError: str.translate() takes exactly one argument (0 given)"),
        (r#"" a b  c ""#, "translate", r#"["l"]"#, "' a b  c '"),
        (r#""\u00b2""#, "translate", "[2]", "TypeError: 'int' object is not subscriptable"),
        (r#"{"$m": "<b>x</b> y"}"#, "unescape", "[]", "'<b>x</b> y'"),
        (r#"{"$m": "&#xfffe;&#11;&#13;"}"#, "unescape", "[]", r"'\r'"),
        (r#"{"$m": "<b"}"#, "unescape", "[]", "'<b'"),
        (r#"{"$m": "Title Case"}"#, "upper", "[]", "Markup('TITLE CASE')"),
        (r#"{"$m": "\u00e9\u65e5\u672c"}"#, "upper", "[]", "Markup('É日本')"),
        (r#""12""#, "upper", "[]", "'12'"),
        (r#""+12""#, "zfill", "[2]", "'+12'"),
        (r#""\ta\tb\n""#, "zfill", "[-1]", r"'\ta\tb\n'"),
        (r#""Dz \u01f2""#, "zfill", r#"["l"]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        (r#"{"$m": "\u00bd"}"#, "zfill", "[3]", "Markup('00½')"),
    ];

    #[test]
    fn methods_of_text_do_as_in_python() {
        check(ROWS);
    }
}

//! The global names that Jinja2 gives to every template.

use std::cell::Cell;

use indexmap::IndexMap;

use crate::{
    builtins::range::range,
    eval::{
        function::Function,
        objects::{Cycler, Joiner, Namespace},
        registry::Registry,
        rendering::Rendering,
    },
    python::{
        arguments::{Args, Signature},
        dict,
        exception::{PyResult, other_error, type_error, value_error},
        markup::escape,
        value::{Key, Text, Value},
    },
};

/// Adds all of Jinja2's globals.
pub(crate) fn register(registry: &mut Registry) {
    for function in [
        Function::class("builtins", "dict", dict),
        Function::class("jinja2.utils", "Cycler", cycler),
        Function::class("jinja2.utils", "Joiner", joiner),
        Function::class("jinja2.utils", "Namespace", namespace),
    ] {
        registry.add_global(function.name().to_lowercase(), function.into());
    }
    registry.add_global("range", Function::new("safe_range", range).into());
    registry.add_global("lipsum", Function::new("generate_lorem_ipsum", lipsum).into());
}

/// Random bytes.
///
/// # Errors
/// The system has none.
fn fill_with_random(bytes: &mut [u8]) -> PyResult<()> {
    getrandom::fill(bytes).or_else(|error| other_error(format!("can't get random numbers: {error}")))
}

/// A random number below `bound`, which is not 0.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn below(bound: usize) -> PyResult<usize> {
    let mut bytes = [0; 8];
    fill_with_random(&mut bytes)?;
    // The bias is far below what anybody can see.
    Ok(usize::try_from(u64::from_ne_bytes(bytes) % bound.max(1) as u64).unwrap_or(0))
}

/// `dict(pairs, **named)`
fn entries(rendering: &Rendering, args: Args, what: &str) -> PyResult<IndexMap<Key, Value>> {
    if args.positional.len() > 1 {
        return type_error(format!("{what} expected at most 1 argument, got {}", args.positional.len()));
    }
    let mut entries: IndexMap<_, _> = match args.positional.first() {
        None => IndexMap::new(),
        Some(source) => dict::pairs(rendering, source)?.into_iter().collect(),
    };
    for (name, value) in args.named {
        entries.insert(Value::text(name).key()?, value);
    }
    Ok(entries)
}

fn dict(rendering: &Rendering, args: Args) -> PyResult {
    entries(rendering, args, "dict").map(Value::dict)
}

fn namespace(rendering: &Rendering, args: Args) -> PyResult {
    let entries = entries(rendering, args, "dict")?;
    let named = entries.into_iter().filter_map(|(key, value)| Some((key.value().as_str()?.to_string(), value)));
    Ok(Value::object(Namespace::new(named.collect())))
}

fn cycler(_rendering: &Rendering, args: Args) -> PyResult {
    if let Some((name, _)) = args.named.first() {
        return type_error(format!("Cycler.__init__() got an unexpected keyword argument '{name}'"));
    }
    if args.positional.is_empty() {
        return other_error("at least one item has to be provided");
    }
    Ok(Value::object(Cycler { items: args.positional, position: Cell::new(0) }))
}

fn joiner(_rendering: &Rendering, args: Args) -> PyResult {
    let [separator] = args.take_all(&Signature::new("Joiner.__init__", 1, &[], &["sep"]))?;
    let separator = separator.unwrap_or_else(|| Value::text(", "));
    Ok(Value::object(Joiner { separator, used: Cell::new(false) }))
}

/// Filler text, as `lipsum(n, html, min, max)` gives it.
fn lipsum(rendering: &Rendering, args: Args) -> PyResult {
    let [count, html, least, most] =
        args.take_all(&Signature::new("generate_lorem_ipsum", 0, &[], &["n", "html", "min", "max"]))?;
    let number = |value: Option<Value>, default: i64| value.map_or(Ok(default), |value| value.index());
    let (count, least, most) = (number(count, 5)?, number(least, 20)?, number(most, 100)?);
    let Some(spread) =
        most.checked_sub(least).and_then(|spread| usize::try_from(spread).ok()).filter(|spread| *spread > 0)
    else {
        return value_error(format!("empty range in randrange({least}, {most})"));
    };
    rendering.note_chance();
    let mut paragraphs = Vec::new();
    for _ in 0..count {
        let words = usize::try_from(least).unwrap_or(0).saturating_add(below(spread)?);
        rendering.work(words)?;
        rendering.allocate(words.saturating_mul(12))?;
        paragraphs.push(paragraph(words)?);
    }
    if html.is_none_or(|html| html.truth()) {
        let paragraphs: Vec<String> = paragraphs.iter().map(|text| format!("<p>{}</p>", escape(text))).collect();
        return Ok(Value::Str(Text::safe(paragraphs.join("\n"))));
    }
    Ok(Value::text(paragraphs.join("\n\n")))
}

fn paragraph(words: usize) -> PyResult<String> {
    // All at once: each call asks the system.
    let mut bytes = vec![0; words];
    fill_with_random(&mut bytes)?;
    let words: Vec<&str> =
        bytes.into_iter().filter_map(|byte| LOREM.get(usize::from(byte) % LOREM.len()).copied()).collect();
    let text = words.join(" ");
    let mut chars = text.chars();
    Ok(chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).chain(['.']).collect())
}

const LOREM: [&str; 24] = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetuer",
    "adipiscing",
    "elit",
    "aenean",
    "commodo",
    "ligula",
    "eget",
    "massa",
    "cum",
    "sociis",
    "natoque",
    "penatibus",
    "magnis",
    "dis",
    "parturient",
    "montes",
    "nascetur",
    "ridiculus",
    "mus",
];

//! The names that every template knows: Jinja2's, and OnCall's `time`.

use std::cell::Cell;

use indexmap::IndexMap;

use crate::{
    builtins::random::below,
    eval::{
        objects::{Cycler, Joiner, Namespace},
        rendering::Rendering,
    },
    python::{
        arguments::{Args, Signature},
        containers, datetime as time,
        exception::{PyResult, other_error, type_error, value_error},
        text::escape,
        value::{Object, Text, Value},
    },
};

/// The value of a global name.
pub(crate) fn global(name: &str) -> Option<Value> {
    let function = |type_name, function| Some(Value::object(Global { name: type_name, function }));
    match name {
        "range" => function("range", range as fn(&Rendering, Args) -> PyResult),
        "dict" => function("dict", dict),
        "lipsum" => function("generate_lorem_ipsum", lipsum),
        "cycler" => function("Cycler", cycler),
        "joiner" => function("Joiner", joiner),
        "namespace" => function("Namespace", namespace),
        "time" => function("now", now),
        _ => None,
    }
}

struct Global {
    name: &'static str,
    function: fn(&Rendering, Args) -> PyResult,
}

impl Object for Global {
    fn type_name(&self) -> &'static str {
        match self.name {
            "dict" | "Cycler" | "Joiner" | "Namespace" => "type",
            _ => "function",
        }
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(match self.name {
            "dict" => "<class 'dict'>".to_owned(),
            "Cycler" | "Joiner" | "Namespace" => format!("<class 'jinja2.utils.{}'>", self.name),
            name => format!("<function {name}>"),
        })
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        Some(other.downcast::<Self>().is_some_and(|other| other.name == self.name))
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, rendering: &Rendering, args: Args) -> PyResult {
        (self.function)(rendering, args)
    }
}

fn range(_rendering: &Rendering, _args: Args) -> PyResult {
    other_error("use of 'range' is restricted")
}

/// `dict(pairs, **named)`
fn entries(rendering: &Rendering, args: Args, what: &str) -> PyResult<IndexMap<crate::python::value::Key, Value>> {
    if args.positional.len() > 1 {
        return type_error(format!("{what} expected at most 1 argument, got {}", args.positional.len()));
    }
    let mut entries: IndexMap<_, _> = match args.positional.first() {
        None => IndexMap::new(),
        Some(source) => containers::pairs(rendering, source)?.into_iter().collect(),
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

fn now(_rendering: &Rendering, args: Args) -> PyResult {
    let [] = args.take_all(&Signature::new("now", 0, &[], &[]))?;
    Ok(time::now_utc())
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
    let mut paragraphs = Vec::new();
    for _ in 0..count {
        let words = usize::try_from(least).unwrap_or(0).saturating_add(below(spread));
        rendering.work(words)?;
        rendering.allocate(words.saturating_mul(12))?;
        paragraphs.push(paragraph(words));
    }
    if html.is_none_or(|html| html.truth()) {
        let paragraphs: Vec<String> = paragraphs.iter().map(|text| format!("<p>{}</p>", escape(text))).collect();
        return Ok(Value::Str(Text::safe(paragraphs.join("\n"))));
    }
    Ok(Value::text(paragraphs.join("\n\n")))
}

fn paragraph(words: usize) -> String {
    let text: Vec<&str> = (0..words).filter_map(|_| LOREM.get(below(LOREM.len())).copied()).collect();
    let text = text.join(" ");
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).chain(['.']).collect()
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

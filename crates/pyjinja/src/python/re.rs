//! Python's `regex` module over `fancy_regex`: its syntax is read here, with its errors, and translated.
//!
//! ```text
//! pattern ─► parser ─► Pattern ─► fancy_regex
//! replacement ─► template ─┘ └─► cost: what that takes
//! ```

mod cache;
mod cost;
mod parser;
mod pattern;
mod template;

use std::{rc::Rc, sync::Arc};

pub(crate) use self::{
    cache::{PROCESS_BYTES as CACHE_BYTES, Patterns},
    pattern::Anchor,
};
use self::{parser::Parser, pattern::Pattern, template::Template};
use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error},
        value::Value,
    },
};

/// How long a pattern may be, in bytes.
const LONGEST: usize = 5_000;

/// `bool(regex.match(pattern, text))`, or of `regex.search`
pub(crate) fn matches(rendering: &Rendering, pattern: &str, text: &Value, anchor: Anchor) -> PyResult<bool> {
    let pattern = compile(rendering, pattern)?;
    let Value::Str(text) = text else { return type_error("expected string or buffer") };
    rendering.work(pattern.steps(text.len()))?;
    let form = pattern.form(rendering, text, anchor)?;
    let found = form.is_match(&**text).map_err(timed_out)?;
    rendering.clock()?;
    Ok(found)
}

/// `regex.sub(pattern, replacement, text)`
pub(crate) fn replace(rendering: &Rendering, pattern: &str, replacement: &Value, text: &Value) -> PyResult {
    let pattern = compile(rendering, pattern)?;
    let template = match replacement {
        Value::Str(template) => Some(Template::parse(template, &pattern)?),
        _ => None,
    };
    let Value::Str(text) = text else { return type_error("expected string or buffer") };
    let (mut out, mut copied) = (String::new(), 0);
    let (mut last_empty, mut changed) = (false, false);
    loop {
        rendering.clock()?;
        let rest = text.len().saturating_sub(copied);
        rendering.work(1 + rest / if pattern.looks_around { 64 } else { 4096 })?;
        // The match that follows an empty one is not empty at the same place.
        let form = pattern.form(rendering, text, if last_empty { Anchor::Further } else { Anchor::Anywhere })?;
        let Some(found) = form.captures_from_pos(&**text, copied).map_err(timed_out)? else { break };
        let Some(whole) = found.get(0) else { break };
        let before = out.len();
        out.push_str(text.get(copied..whole.start()).unwrap_or_default());
        match &template {
            Some(template) => template.expand(&pattern, &found, &mut out)?,
            None => called(rendering, replacement, &mut out)?,
        }
        rendering.allocate(out.len() - before)?;
        copied = whole.end();
        last_empty = whole.start() == whole.end();
        changed = true;
    }
    rendering.allocate(text.len())?;
    if !changed {
        return Ok(Value::text(Arc::clone(&text.text)));
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Ok(Value::from(out))
}

/// Writes the result of a replacement that is no text. It is called with None for the match, which templates can't use.
fn called(rendering: &Rendering, replacement: &Value, out: &mut String) -> PyResult<()> {
    let given = match replacement {
        Value::Undefined(undefined) => return Err(undefined.raise()),
        Value::Object(object) if object.callable() => {
            object.call(rendering, Args { positional: vec![Value::None], named: Vec::new() })?
        }
        _ => {
            return other_error("<built-in function __import__> returned a result with an exception set");
        }
    };
    match given {
        Value::Str(text) => out.push_str(&text),
        Value::None => {}
        other => {
            return type_error(format!("expected str instance, {} found", other.type_name()));
        }
    }
    Ok(())
}

fn timed_out(_: fancy_regex::Error) -> Exception {
    Exception::new(ExceptionClass::Other, "regex timed out")
}

/// The pattern, translated or from the cache.
fn compile(rendering: &Rendering, pattern: &str) -> PyResult<Rc<Pattern>> {
    if let Some(known) = rendering.patterns.get(pattern) {
        return Ok(known);
    }
    if pattern.len() > LONGEST {
        return other_error(format!("pattern is longer than {LONGEST} characters"));
    }
    rendering.allocate(pattern.len().saturating_mul(64))?;
    rendering.work(pattern.len() / 8 + 16)?;
    rendering.clock()?;
    let compiled = Rc::new(Parser::new(pattern).pattern()?);
    rendering.patterns.insert(Rc::clone(&compiled));
    Ok(compiled)
}

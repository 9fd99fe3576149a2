//! Jinja2 with Python's values and semantics: templates render as they do in Python.
//!
//! ```
//! use pyjinja::{Environment, Json};
//!
//! let template = Environment::new().compile("{% for name in names %}{{ loop.index }}. {{ name.title() }}\n{% endfor %}")?;
//! let names = Json::from(serde_json::json!(["ada lovelace", "o'neill"]));
//! assert_eq!(template.render(&[("names".into(), names)])?, "1. Ada Lovelace\n2. O'Neill\n");
//! # Ok::<(), pyjinja::Error>(())
//! ```
//!
//! A template is compiled once and rendered often.
//!
//! ```text
//! source ─► syntax ─► program ─► eval ─► text
//!                      (python: values, operators, methods; builtins: filters, tests, globals)
//! ```
//!
//! minijinja reads the template: its lexer, parser and syntax tree, through its `machinery` (pinned to the version:
//! that interface is not stable). The tree is evaluated here, over values of Python, because people's templates depend
//! on what those do: they change lists in place, tell a tuple from a list and 1 from True and 1.0, count beyond 64 bits,
//! call methods of `str`, `dict` and `datetime`, and fail with Python's words. Exchanging the instructions of
//! minijinja's VM one for one was the other way: its values then have to be wrapped at each step, an undefined value has
//! no name to fail with, macros have no `varargs`, and what one block of text adds to memory is not counted.
//!
//! Every rendering is bounded in steps, bytes, time and depth ([`Limits`]); there is no thread to abandon.

mod builtins;
mod environment;
mod eval;
pub mod json;
mod python;
pub mod stdlib;
mod syntax;
mod values;

pub use self::{
    environment::{Environment, Error, Template},
    eval::{
        function::Function,
        registry::{Global, Limits, SandboxPolicy, UndefinedPolicy},
        rendering::Rendering,
    },
    json::Json,
    python::{
        arguments::Args as Arguments,
        exception::{Exception, ExceptionClass},
        value::{Text, Value},
    },
    syntax::{lookups::Lookup, outline::Outline},
};

/// The examples of the README, which run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

//! The arguments of a call, bound to parameters as Python binds them, with its messages.

use crate::python::{
    exception::{PyResult, other_error, type_error},
    value::Value,
};

/// The arguments of a call.
#[derive(Clone, Default)]
pub struct Args {
    /// Those given by position.
    pub positional: Vec<Value>,
    /// Those given by name.
    pub named: Vec<(String, Value)>,
}

/// The parameters of a function of Python.
pub(crate) struct Signature {
    /// As messages name it.
    pub(crate) name: &'static str,
    /// Parameters before these that Jinja2 passes itself, which messages count.
    pub(crate) hidden: usize,
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
}

impl Signature {
    pub(crate) const fn new(
        name: &'static str,
        hidden: usize,
        required: &'static [&'static str],
        optional: &'static [&'static str],
    ) -> Self {
        Self { name, hidden, required, optional }
    }
}

impl Args {
    /// Arguments by position only.
    pub(crate) fn of(positional: Vec<Value>) -> Self {
        Self { positional, named: Vec::new() }
    }

    /// How much work it is to go once through the text and the items of all of them, in steps.
    pub(crate) fn weight(&self) -> usize {
        1 + self.positional.iter().chain(self.named.iter().map(|(_, value)| value)).map(Value::weight).sum::<usize>()
    }

    /// A named argument, taken out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.named.iter().position(|(key, _)| key == name)?;
        Some(self.named.remove(at).1)
    }

    /// One value for each parameter, the required ones first; None where an optional one is not given.
    pub(crate) fn bind(self, signature: &Signature) -> PyResult<Vec<Option<Value>>> {
        let Signature { name, hidden, required, optional } = *signature;
        let most = required.len() + optional.len();
        let given = self.positional.len();
        let mut bound: Vec<Option<Value>> = self.positional.into_iter().map(Some).collect();
        bound.resize(most.max(given), None);
        for (key, value) in self.named {
            match required.iter().chain(optional).position(|parameter| **parameter == key) {
                None => return type_error(format!("{name}() got an unexpected keyword argument '{key}'")),
                Some(at) if bound[at].is_some() => {
                    return type_error(format!("{name}() got multiple values for argument '{key}'"));
                }
                Some(at) => bound[at] = Some(value),
            }
        }
        if given > most {
            let takes = if optional.is_empty() {
                format!("takes {} positional argument{}", most + hidden, plural(most + hidden))
            } else {
                format!("takes from {} to {} positional arguments", required.len() + hidden, most + hidden)
            };
            let were = if given + hidden == 1 { "was" } else { "were" };
            return type_error(format!("{name}() {takes} but {} {were} given", given + hidden));
        }
        let missing: Vec<String> = required
            .iter()
            .zip(&bound)
            .filter(|(_, value)| value.is_none())
            .map(|(parameter, _)| format!("'{parameter}'"))
            .collect();
        if !missing.is_empty() {
            let names = match missing.as_slice() {
                [only] => only.clone(),
                [first, second] => format!("{first} and {second}"),
                [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
                [] => String::new(),
            };
            return type_error(format!(
                "{name}() missing {} required positional argument{}: {names}",
                missing.len(),
                plural(missing.len())
            ));
        }
        Ok(bound)
    }

    /// The one argument of a builtin function.
    pub(crate) fn only(self, name: &str) -> PyResult {
        Ok(self.builtin(name, 1, 1)?.into_iter().next().unwrap_or(Value::None))
    }

    /// Like [`Args::bind`], for `N` parameters. Required ones are never None.
    pub(crate) fn take_all<const N: usize>(self, signature: &Signature) -> PyResult<[Option<Value>; N]> {
        let mut bound = self.bind(signature)?;
        bound.resize(N, None);
        bound.try_into().or_else(|_| type_error(format!("{}() has other parameters", signature.name)))
    }

    /// The positional arguments of a builtin's method, which takes from `least` to `most` and none by name.
    ///
    /// `name` is as messages give it: `str.upper`, or `upper` where Python leaves the type out.
    pub(crate) fn builtin(self, name: &str, least: usize, most: usize) -> PyResult<Vec<Value>> {
        if !self.named.is_empty() {
            return type_error(format!("{name}() takes no keyword arguments"));
        }
        let short = name.rsplit('.').next().unwrap_or(name);
        let given = self.positional.len();
        if given < least || given > most {
            return type_error(if least == most {
                match most {
                    0 => format!("{name}() takes no arguments ({given} given)"),
                    1 => format!("{name}() takes exactly one argument ({given} given)"),
                    _ => format!("{short} expected {most} arguments, got {given}"),
                }
            } else if given < least {
                format!("{short} expected at least {least} argument{}, got {given}", plural(least))
            } else {
                format!("{short} expected at most {most} argument{}, got {given}", plural(most))
            });
        }
        Ok(self.positional)
    }

    /// One value for each parameter of a builtin's method that takes them by name too, the required ones first.
    ///
    /// No more than `positional` of them may be given by position.
    pub(crate) fn keywords(
        self,
        name: &str,
        required: &[&str],
        optional: &[&str],
        positional: usize,
    ) -> PyResult<Vec<Option<Value>>> {
        let most = required.len() + optional.len();
        let (given, named) = (self.positional.len(), self.named.len());
        if given + named > most {
            let kind = if given == 0 { "keyword " } else { "" };
            return type_error(format!(
                "{name}() takes at most {most} {kind}argument{} ({} given)",
                plural(most),
                given + named
            ));
        }
        if given > positional {
            return type_error(match positional {
                0 => format!("{name}() takes no positional arguments"),
                _ => format!(
                    "{name}() takes at most {positional} positional argument{} ({given} given)",
                    plural(positional)
                ),
            });
        }
        let mut bound: Vec<Option<Value>> = self.positional.into_iter().map(Some).collect();
        bound.resize(most, None);
        for (key, value) in self.named {
            match required.iter().chain(optional).position(|parameter| **parameter == key) {
                None => return type_error(format!("'{key}' is an invalid keyword argument for {name}()")),
                Some(at) if at < given => {
                    return type_error(format!(
                        "argument for {name}() given by name ('{key}') and position ({})",
                        at + 1
                    ));
                }
                Some(at) => bound[at] = Some(value),
            }
        }
        match required.iter().zip(&bound).position(|(_, value)| value.is_none()) {
            Some(at) => type_error(format!("{name}() missing required argument '{}' (pos {})", required[at], at + 1)),
            None => Ok(bound),
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// An int that counts or sizes, as most builtins take it.
///
/// # Errors
/// An OverflowError if it is beyond 64 bits, a TypeError if it is no int.
pub(crate) fn size(value: &Value) -> PyResult<i64> {
    match value {
        Value::Big(_) => other_error("Python int too large to convert to C ssize_t"),
        other => other.index(),
    }
}

/// The type of an argument as messages that name the argument show it.
pub(crate) fn argument_type(value: &Value) -> &'static str {
    if matches!(value, Value::None) { "None" } else { value.type_name() }
}

/// The arguments of a search, such as `str.find(sub, start, end)`: the wanted value, and the start and end within a
/// sequence of this length.
pub(crate) fn search_arguments(method: &str, args: Args, length: usize) -> PyResult<(Value, usize, usize)> {
    if !args.named.is_empty() {
        return type_error(format!("{method}() takes no keyword arguments"));
    }
    let given = args.positional.len();
    if given == 0 || given > 3 {
        let (bound, count, plural) = if given == 0 { ("least", 1, "") } else { ("most", 3, "s") };
        return type_error(format!("{method}() takes at {bound} {count} argument{plural} ({given} given)"));
    }
    let mut args = args.positional.into_iter();
    let wanted = args.next().unwrap_or(Value::None);
    let start = boundary(args.next(), 0, length)?;
    Ok((wanted, start, boundary(args.next(), length, length)?.min(length)))
}

/// A start or end as slices take it: counted from the end if it is negative.
fn boundary(value: Option<Value>, default: usize, length: usize) -> PyResult<usize> {
    let index = match value {
        None | Some(Value::None) => return Ok(default),
        Some(value) if value.as_int().is_none() => {
            return type_error("slice indices must be integers or None or have an __index__ method");
        }
        Some(value) => value.index()?,
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { index.saturating_add(length).max(0) } else { index };
    Ok(usize::try_from(index).unwrap_or(usize::MAX))
}

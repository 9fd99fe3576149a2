//! The objects of Jinja2's own that templates meet: generators, macros, loops, namespaces, cyclers and joiners.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    sync::Arc,
};

use crate::{
    eval::{rendering::Rendering, scope::Symbol},
    python::{
        arguments::{Args, Signature},
        exception::{PyResult, type_error},
        object::Object,
        quote::quote,
        repr,
        value::{Undefined, Value, dismantle, equal},
    },
    syntax::program::Macro,
};

/// Yields the items of a generator.
type Yield = fn(&Rendering, Args) -> PyResult<Vec<Value>>;

/// Items that are computed only when somebody iterates them, and once: a generator, or an iterator of a type of its own.
pub(crate) struct Generator {
    name: &'static str,
    function: Yield,
    args: RefCell<Option<Args>>,
}

/// A generator of what `function` gives, named as in Python; or an iterator of this type.
pub(crate) fn lazy(name: &'static str, function: Yield, args: Args) -> Value {
    Value::object(Generator { name, function, args: RefCell::new(Some(args)) })
}

impl Generator {
    fn is_plain_iterator(&self) -> bool {
        self.name.ends_with("iterator") || self.name == "reversed"
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        dismantle(self.take_values());
    }
}

impl Object for Generator {
    fn type_name(&self) -> &'static str {
        if self.is_plain_iterator() { self.name } else { "generator" }
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        let name = self.name;
        Ok(if self.is_plain_iterator() { format!("<{name} object>") } else { format!("<generator object {name}>") })
    }

    fn truth(&self) -> bool {
        true
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        Some(self.args.take().map_or(Ok(Vec::new()), |args| {
            let _deeper = rendering.deeper()?;
            (self.function)(rendering, args)
        }))
    }

    fn take_values(&mut self) -> Vec<Value> {
        let args = self.args.take().unwrap_or_default();
        args.positional.into_iter().chain(args.named.into_iter().map(|(_, value)| value)).collect()
    }
}

/// The arguments of a macro: one for each parameter, None where it is not given, and the variables such as `varargs`.
pub(crate) struct BoundMacro {
    pub(crate) arguments: Vec<Option<Value>>,
    pub(crate) special: Vec<(Symbol, Value)>,
}

/// Runs a macro's body in the scope that it was defined in.
pub(crate) type MacroCall = Box<dyn Fn(&Rendering, &Macro, BoundMacro) -> PyResult>;

/// A macro with the scope that it was defined in.
pub(crate) struct MacroValue {
    pub(crate) definition: Arc<Macro>,
    pub(crate) call: MacroCall,
}

impl MacroValue {
    fn name(&self) -> String {
        self.definition.name.as_ref().map_or_else(|| "None".to_owned(), |name| quote(name))
    }
}

impl Object for MacroValue {
    fn type_name(&self) -> &'static str {
        "Macro"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.runtime.Macro")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        let name = if self.definition.name.is_some() { self.name() } else { "anonymous".to_owned() };
        Ok(format!("<Macro {name}>"))
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        Some(match name {
            "name" => self.definition.name.as_ref().map_or(Value::None, |name| Value::text(Arc::clone(name))),
            "arguments" => {
                Value::tuple(self.definition.names.iter().map(|name| Value::text(Arc::clone(name))).collect())
            }
            "explicit_caller" => Value::Bool(self.definition.names.iter().any(|name| &**name == "caller")),
            "catch_kwargs" => Value::Bool(self.definition.kwargs.is_some()),
            "catch_varargs" => Value::Bool(self.definition.varargs.is_some()),
            "caller" => Value::Bool(self.definition.caller.is_some()),
            _ => return None,
        })
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, rendering: &Rendering, mut args: Args) -> PyResult {
        let definition = &self.definition;
        let count = definition.parameters.len();
        let rest = args.positional.split_off(args.positional.len().min(count));
        let mut arguments: Vec<Option<Value>> = args.positional.drain(..).map(Some).collect();
        for name in definition.names.iter().skip(arguments.len()) {
            arguments.push(args.take(name));
        }
        let mut special = Vec::new();
        if let Some(symbol) = definition.caller {
            let caller = args.take("caller").unwrap_or_else(|| Undefined::hint("No caller defined"));
            special.push((symbol, caller));
        }
        if let Some(symbol) = definition.kwargs {
            let entries = args.named.drain(..).map(|(name, value)| Ok((Value::text(name).key()?, value)));
            special.push((symbol, Value::dict(entries.collect::<PyResult<_>>()?)));
        } else if let Some((name, _)) = args.named.first() {
            return type_error(if args.named.iter().any(|(name, _)| name == "caller") {
                format!(
                    "macro {} was invoked with two values for the special caller argument. This is most likely a bug.",
                    self.name()
                )
            } else {
                format!("macro {} takes no keyword argument {}", self.name(), quote(name))
            });
        }
        if let Some(symbol) = definition.varargs {
            special.push((symbol, Value::tuple(rest)));
        } else if !rest.is_empty() {
            return type_error(format!("macro {} takes not more than {count} argument(s)", self.name()));
        }
        (self.call)(rendering, definition, BoundMacro { arguments, special })
    }
}

/// Runs the body of a recursive loop over other items, at this depth.
pub(crate) type LoopCall = Box<dyn Fn(&Rendering, &Value, usize) -> PyResult>;

/// The `loop` of a for loop.
pub(crate) struct Loop {
    items: Vec<Value>,
    /// How many items were begun.
    begun: Cell<usize>,
    depth: usize,
    changed: RefCell<Option<Vec<Value>>>,
    recursion: Option<LoopCall>,
}

impl Loop {
    pub(crate) fn new(items: Vec<Value>, depth: usize, recursion: Option<LoopCall>) -> Self {
        Self { items, begun: Cell::new(0), depth, changed: RefCell::new(None), recursion }
    }

    /// The next item.
    pub(crate) fn advance(&self) -> Option<Value> {
        let item = self.items.get(self.begun.get())?;
        self.begun.set(self.begun.get() + 1);
        Some(item.clone())
    }
}

impl Object for Loop {
    fn type_name(&self) -> &'static str {
        "LoopContext"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.runtime.LoopContext")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!("<LoopContext {}/{}>", self.begun.get(), self.items.len()))
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let (index, length) = (self.begun.get(), self.items.len());
        Some(match name {
            "index" => Value::size(index),
            "index0" => Value::size(index.saturating_sub(1)),
            "revindex" => Value::size(length + 1 - index),
            "revindex0" => Value::size(length - index),
            "first" => Value::Bool(index == 1),
            "last" => Value::Bool(index == length),
            "length" => Value::size(length),
            "depth" => Value::size(self.depth + 1),
            "depth0" => Value::size(self.depth),
            "previtem" => match index.checked_sub(2).and_then(|at| self.items.get(at)) {
                Some(item) => item.clone(),
                None => Undefined::hint("there is no previous item"),
            },
            "nextitem" => match self.items.get(index) {
                Some(item) => item.clone(),
                None => Undefined::hint("there is no next item"),
            },
            _ => return None,
        })
    }

    fn methods(&self) -> &'static [&'static str] {
        &["cycle", "changed"]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        if let Some((given, _)) = args.named.first() {
            return type_error(format!("LoopContext.{name}() got an unexpected keyword argument '{given}'"));
        }
        if name == "changed" {
            let changed = self.changed.borrow().as_ref().is_none_or(|before| {
                before.len() != args.positional.len()
                    || before.iter().zip(&args.positional).any(|(before, now)| !equal(before, now))
            });
            *self.changed.borrow_mut() = Some(args.positional);
            return Ok(Value::Bool(changed));
        }
        let count = args.positional.len();
        match self.begun.get().saturating_sub(1).checked_rem(count) {
            Some(at) => Ok(args.positional.get(at).cloned().unwrap_or(Value::None)),
            None => type_error("no items for cycling given"),
        }
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, rendering: &Rendering, args: Args) -> PyResult {
        const SIGNATURE: Signature = Signature::new("LoopContext.__call__", 1, &["iterable"], &[]);
        let [items] = args.take_all(&SIGNATURE)?;
        let Some(recursion) = &self.recursion else {
            return type_error("The loop must have the 'recursive' marker to be called recursively.");
        };
        recursion(rendering, &items.unwrap_or(Value::None), self.depth + 1)
    }

    fn length(&self) -> Option<usize> {
        Some(self.items.len())
    }

    fn take_values(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.items)
    }
}

/// `namespace(...)`: variables that loops may write to.
pub(crate) struct Namespace(RefCell<Vec<(String, Value)>>);

impl Namespace {
    pub(crate) fn new(entries: Vec<(String, Value)>) -> Self {
        Self(RefCell::new(entries))
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.borrow().iter().any(|(known, _)| known == name)
    }

    pub(crate) fn set(&self, name: &str, value: Value) {
        let mut entries = self.0.borrow_mut();
        match entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => entries.push((name.to_owned(), value)),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        dismantle(self.0.take().into_iter().map(|(_, value)| value).collect());
    }
}

impl Object for Namespace {
    fn type_name(&self) -> &'static str {
        "Namespace"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.utils.Namespace")
    }

    fn repr(&self, rendering: &Rendering) -> PyResult<String> {
        let _deeper = rendering.deeper()?;
        let entries = self.0.borrow();
        let shown: Vec<String> = entries
            .iter()
            .map(|(name, value)| Ok(format!("{}: {}", quote(name), repr::repr(rendering, value)?)))
            .collect::<PyResult<_>>()?;
        Ok(format!("<Namespace {{{}}}>", shown.join(", ")))
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        self.0.borrow().iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn empty(&self) -> Vec<Value> {
        self.0.take().into_iter().map(|(_, value)| value).collect()
    }

    fn take_values(&mut self) -> Vec<Value> {
        self.empty()
    }
}

/// `cycler(...)`
pub(crate) struct Cycler {
    pub(crate) items: Vec<Value>,
    pub(crate) position: Cell<usize>,
}

impl Cycler {
    fn current(&self) -> Value {
        self.items.get(self.position.get()).cloned().unwrap_or(Value::None)
    }
}

impl Object for Cycler {
    fn type_name(&self) -> &'static str {
        "Cycler"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.utils.Cycler")
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "current" => Some(self.current()),
            "items" => Some(Value::tuple(self.items.clone())),
            "pos" => Some(Value::size(self.position.get())),
            _ => None,
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &["next", "reset"]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        const NEXT: Signature = Signature::new("Cycler.next", 1, &[], &[]);
        const RESET: Signature = Signature::new("Cycler.reset", 1, &[], &[]);
        let [] = args.take_all(if name == "reset" { &RESET } else { &NEXT })?;
        if name == "reset" {
            self.position.set(0);
            return Ok(Value::None);
        }
        let current = self.current();
        self.position.set((self.position.get() + 1) % self.items.len());
        Ok(current)
    }

    fn take_values(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.items)
    }
}

/// `joiner(...)`: nothing the first time, the separator from then on.
pub(crate) struct Joiner {
    pub(crate) separator: Value,
    pub(crate) used: Cell<bool>,
}

impl Object for Joiner {
    fn type_name(&self) -> &'static str {
        "Joiner"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.utils.Joiner")
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "sep" => Some(self.separator.clone()),
            "used" => Some(Value::Bool(self.used.get())),
            _ => None,
        }
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, _rendering: &Rendering, args: Args) -> PyResult {
        const SIGNATURE: Signature = Signature::new("Joiner.__call__", 1, &[], &[]);
        let [] = args.take_all(&SIGNATURE)?;
        Ok(if self.used.replace(true) { self.separator.clone() } else { Value::text("") })
    }

    fn take_values(&mut self) -> Vec<Value> {
        vec![std::mem::replace(&mut self.separator, Value::None)]
    }
}

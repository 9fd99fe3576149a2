//! Runs a compiled template: scopes, loops, macros and output as Jinja2 has them.

pub(crate) mod budget;
pub(crate) mod objects;
pub(crate) mod rendering;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use crate::{
    builtins::globals,
    eval::{
        objects::{Loop, MacroValue, Method, Namespace},
        rendering::Rendering,
    },
    python::{
        arguments::Args,
        containers,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        numbers,
        operators::{self, comparison},
        print, text,
        value::{Text, Undefined, Value},
    },
    syntax::program::{Arguments, Const, Expr, For, Macro, Node, Program, Symbol, Target},
};

/// The variables of one scope, and the scope around it. Macros keep theirs, as closures of Python do.
pub(crate) struct Frame {
    variables: RefCell<Vec<(Symbol, Value)>>,
    parent: Option<Rc<Self>>,
}

impl Frame {
    fn inside(parent: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), parent: Some(Rc::clone(parent)) })
    }

    /// Gives up the values it holds.
    pub(crate) fn take_values(&self) -> Vec<Value> {
        self.variables.take().into_iter().map(|(_, value)| value).collect()
    }

    fn outermost(self: &Rc<Self>) -> Rc<Self> {
        self.parent.as_ref().map_or_else(|| Rc::clone(self), Self::outermost)
    }

    fn get(&self, symbol: Symbol) -> Option<Value> {
        let found = self.variables.borrow().iter().find(|(known, _)| *known == symbol).map(|(_, value)| value.clone());
        found.or_else(|| self.parent.as_ref()?.get(symbol))
    }

    fn set(&self, symbol: Symbol, value: Value) {
        let mut variables = self.variables.borrow_mut();
        match variables.iter_mut().find(|(known, _)| *known == symbol) {
            Some((_, old)) => *old = value,
            None => variables.push((symbol, value)),
        }
    }
}

/// One rendering of one template.
#[derive(Clone)]
pub(crate) struct Evaluator<'a> {
    rendering: &'a Rendering,
    program: &'a Arc<Program>,
    frame: Rc<Frame>,
}

/// Renders `program` with the data of `run`.
pub(crate) fn render(program: &Arc<Program>, rendering: &Rendering) -> PyResult<String> {
    let frame = Rc::new(Frame { variables: RefCell::default(), parent: None });
    let text = Evaluator { rendering, program, frame }.text_of(&program.body)?;
    // A comparison that met a bound said no.
    rendering.work(0)?;
    Ok(text)
}

/// Runs a macro with arguments that are bound already.
pub(crate) fn call_macro(
    rendering: &Rendering,
    program: &Arc<Program>,
    definition: &Macro,
    closure: &Rc<Frame>,
    arguments: Vec<Option<Value>>,
    special: Vec<(Symbol, Value)>,
) -> PyResult {
    let evaluator = Evaluator { rendering, program, frame: Frame::inside(closure) };
    let without_default = definition.parameters.len() - definition.defaults.len();
    for (symbol, value) in special {
        evaluator.frame.set(symbol, value);
    }
    for (index, (symbol, argument)) in definition.parameters.iter().zip(arguments).enumerate() {
        let default = index.checked_sub(without_default).and_then(|index| definition.defaults.get(index));
        let value = match (argument, default) {
            (Some(value), _) => value,
            (None, Some(default)) => evaluator.expression(default)?,
            (None, None) => {
                let name = definition.names.get(index).map_or("", |name| name);
                Undefined::hint(format!("parameter {} was not provided", print::quote(name)))
            }
        };
        evaluator.frame.set(*symbol, value);
    }
    let text = evaluator.text_of(&definition.body).map_err(|exception| exception.at(definition.line))?;
    Ok(evaluator.output(text))
}

/// Runs the body of a loop again, over other items.
pub(crate) fn call_loop(
    rendering: &Rendering,
    program: &Arc<Program>,
    node: &Arc<For>,
    frame: &Rc<Frame>,
    items: &Value,
    depth: usize,
) -> PyResult {
    let evaluator = Evaluator { rendering, program, frame: Rc::clone(frame) };
    let mut out = String::new();
    evaluator.for_loop(node, items, depth, &mut out)?;
    Ok(evaluator.output(out))
}

impl Evaluator<'_> {
    fn inside(&self) -> Self {
        Self { frame: Frame::inside(&self.frame), ..self.clone() }
    }

    /// Text that the template made itself is safe where everything else is escaped.
    fn output(&self, text: String) -> Value {
        if self.rendering.autoescape.get() { Value::Str(Text::safe(text)) } else { Value::text(text) }
    }

    fn text_of(&self, body: &[Node]) -> PyResult<String> {
        let mut out = String::new();
        self.body(body, &mut out)?;
        Ok(out)
    }

    fn body(&self, body: &[Node], out: &mut String) -> PyResult<()> {
        let _deeper = self.rendering.deeper()?;
        body.iter().try_for_each(|node| self.node(node, out))
    }

    fn node(&self, node: &Node, out: &mut String) -> PyResult<()> {
        self.rendering.work(1)?;
        let line = match node {
            Node::Raw(text) => {
                self.rendering.allocate(text.len())?;
                out.push_str(text);
                return Ok(());
            }
            Node::For(node) => node.line,
            Node::Macro(definition) => definition.line,
            // A block sees the variables of the template, not those around it.
            Node::Block(body) => {
                return Self { frame: Frame::inside(&self.frame.outermost()), ..self.clone() }.body(body, out);
            }
            Node::Emit { line, .. }
            | Node::If { line, .. }
            | Node::With { line, .. }
            | Node::Set { line, .. }
            | Node::SetBlock { line, .. }
            | Node::AutoEscape { line, .. }
            | Node::FilterBlock { line, .. }
            | Node::CallBlock { line, .. }
            | Node::Missing { line, .. } => *line,
        };
        self.statement(node, out).map_err(|exception| exception.at(line))
    }

    fn statement(&self, node: &Node, out: &mut String) -> PyResult<()> {
        match node {
            Node::Raw(_) | Node::Block(_) => Ok(()),
            Node::Emit { value, .. } => self.emit(&self.expression(value)?, out),
            Node::If { test, then, otherwise, .. } => {
                let branch = if self.expression(test)?.truth() { then } else { otherwise };
                self.body(branch, out)
            }
            Node::For(node) => self.for_loop(node, &self.expression(&node.items)?, 0, out),
            Node::With { assignments, body, .. } => {
                let inside = self.inside();
                for (target, value) in assignments {
                    // The values are those of outside.
                    inside.assign(target, self.expression(value)?)?;
                }
                inside.body(body, out)
            }
            Node::Set { target, value, .. } => {
                if let Target::Attribute(symbol, _) = target {
                    self.namespace(*symbol)?;
                }
                self.assign(target, self.expression(value)?)
            }
            Node::SetBlock { target, filter, body, .. } => {
                let text = self.output(self.inside().text_of(body)?);
                let value = filter.as_ref().map_or(Ok(text.clone()), |filter| self.filtered(filter, text))?;
                self.assign(target, value)
            }
            Node::AutoEscape { enabled, body, .. } => {
                let before = self.rendering.autoescape.replace(self.expression(enabled)?.truth());
                let result = self.inside().body(body, out);
                self.rendering.autoescape.set(before);
                result
            }
            Node::FilterBlock { filter, body, .. } => {
                let inside = self.inside();
                let text = self.output(inside.text_of(body)?);
                self.emit(&inside.filtered(filter, text)?, out)
            }
            Node::Macro(definition) => {
                self.frame.set(definition.symbol, self.closure(definition)?);
                Ok(())
            }
            Node::CallBlock { callee, arguments, caller, .. } => {
                let mut args = self.arguments(arguments, Vec::new())?;
                args.named.push(("caller".to_owned(), self.closure(caller)?));
                self.emit(&self.call(callee, args)?, out)
            }
            Node::Missing { template, ignore, .. } => self.missing(&self.expression(template)?, *ignore),
        }
    }

    fn missing(&self, template: &Value, ignore: bool) -> PyResult<()> {
        if ignore {
            return Ok(());
        }
        match template {
            Value::Str(name) => other_error(&**name),
            Value::Undefined(undefined) => Err(undefined.raise()),
            Value::List(_) | Value::Tuple(_) => {
                let names: Vec<_> = template
                    .iterate(self.rendering)?
                    .iter()
                    .map(|name| print::string(self.rendering, name))
                    .collect::<PyResult<_>>()?;
                other_error(format!("none of the templates given were found: {}", names.join(", ")))
            }
            other => type_error(format!("'{}' object is not iterable", other.operand_name())),
        }
    }

    fn closure(&self, definition: &Arc<Macro>) -> PyResult {
        self.rendering.hold_scope(&self.frame)?;
        Ok(Value::object(MacroValue {
            definition: Arc::clone(definition),
            program: Arc::clone(self.program),
            closure: Rc::clone(&self.frame),
        }))
    }

    fn emit(&self, value: &Value, out: &mut String) -> PyResult<()> {
        let text = print::string(self.rendering, value)?;
        self.rendering.allocate(text.len())?;
        if self.rendering.autoescape.get() && !matches!(value, Value::Str(Text { safe: true, .. })) {
            out.push_str(&text::escape(&text));
        } else {
            out.push_str(&text);
        }
        Ok(())
    }

    fn for_loop(&self, node: &Arc<For>, items: &Value, depth: usize, out: &mut String) -> PyResult<()> {
        let mut items = items.iterate(self.rendering)?;
        if let Some(filter) = &node.filter {
            let mut kept = Vec::new();
            for item in items {
                let inside = self.inside();
                inside.assign(&node.target, item.clone())?;
                if inside.expression(filter)?.truth() {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            return self.inside().body(&node.otherwise, out);
        }
        let state = Rc::new(Loop::new(
            items,
            depth,
            node.recursive.then(|| (Arc::clone(node), Arc::clone(self.program), Rc::clone(&self.frame))),
        ));
        while let Some(item) = state.advance() {
            self.rendering.work(1)?;
            let inside = self.inside();
            inside.frame.set(node.loop_symbol, Value::Object(Rc::clone(&state) as Rc<_>));
            inside.assign(&node.target, item)?;
            inside.body(&node.body, out)?;
        }
        Ok(())
    }

    fn assign(&self, target: &Target, value: Value) -> PyResult<()> {
        match target {
            Target::Name(symbol) => {
                self.frame.set(*symbol, value);
                Ok(())
            }
            Target::Attribute(symbol, name) => {
                let holder = self.namespace(*symbol)?;
                if let Some(namespace) = holder.downcast::<Namespace>() {
                    if !namespace.holds(name) {
                        self.rendering.hold(&holder)?;
                    }
                    namespace.set(name, value);
                }
                Ok(())
            }
            Target::Tuple(targets) => {
                let Ok(items) = value.iterate(self.rendering) else {
                    return type_error(format!("cannot unpack non-iterable {} object", value.operand_name()));
                };
                let (expected, got) = (targets.len(), items.len());
                if got < expected {
                    return value_error(format!("not enough values to unpack (expected {expected}, got {got})"));
                }
                if got > expected {
                    return value_error(format!("too many values to unpack (expected {expected})"));
                }
                targets.iter().zip(items).try_for_each(|(target, item)| self.assign(target, item))
            }
        }
    }

    /// The variable, which has to be a namespace.
    fn namespace(&self, symbol: Symbol) -> PyResult {
        let value = self.variable(symbol);
        if value.downcast::<Namespace>().is_none() {
            return other_error("cannot assign attribute on non-namespace object");
        }
        Ok(value)
    }

    fn variable(&self, symbol: Symbol) -> Value {
        if let Some(value) = self.frame.get(symbol) {
            return value;
        }
        let Some(name) = self.program.names.get(symbol) else { return Value::None };
        self.rendering
            .data(name)
            .or_else(|| globals::global(name))
            .unwrap_or_else(|| Value::Undefined(Rc::new(Undefined::Name(Arc::clone(name)))))
    }

    fn all(&self, expressions: &[Expr]) -> PyResult<Vec<Value>> {
        expressions.iter().map(|expression| self.expression(expression)).collect()
    }

    fn expression(&self, expression: &Expr) -> PyResult {
        self.rendering.work(1)?;
        match expression {
            Expr::Const(constant) => Ok(literal(constant)),
            Expr::Name(symbol) => Ok(self.variable(*symbol)),
            compound => {
                let _deeper = self.rendering.deeper()?;
                self.compound(compound)
            }
        }
    }

    fn compound(&self, expression: &Expr) -> PyResult {
        let rendering = self.rendering;
        match expression {
            Expr::Const(constant) => Ok(literal(constant)),
            Expr::Name(symbol) => Ok(self.variable(*symbol)),
            Expr::List(items) => {
                rendering.allocate(items.len() * size_of::<Value>())?;
                Ok(Value::list(self.all(items)?))
            }
            Expr::Tuple(items) => {
                rendering.allocate(items.len() * size_of::<Value>())?;
                Ok(Value::tuple(self.all(items)?))
            }
            Expr::Dict(pairs) => {
                rendering.allocate(pairs.len() * 4 * size_of::<Value>())?;
                let mut entries = indexmap::IndexMap::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let (key, value) = (self.expression(key)?, self.expression(value)?);
                    entries.insert(key.key()?, value);
                }
                Ok(Value::dict(entries))
            }
            Expr::Attribute(value, name) => attribute(rendering, &self.expression(value)?, name),
            Expr::Item(pair) => item(rendering, &self.expression(&pair[0])?, &self.expression(&pair[1])?),
            Expr::Slice(parts) => {
                let [value, bounds @ ..] = &**parts;
                let value = self.expression(value)?;
                let [start, stop, step] = bounds;
                let (start, stop, step) = (self.expression(start)?, self.expression(stop)?, self.expression(step)?);
                operators::slice(rendering, &value, [&start, &stop, &step])
            }
            Expr::Sign(operator, value) => operators::unary(*operator, &self.expression(value)?),
            Expr::Not(value) => Ok(Value::Bool(!self.expression(value)?.truth())),
            Expr::Binary(operator, pair) => {
                operators::binary(rendering, *operator, &self.expression(&pair[0])?, &self.expression(&pair[1])?)
            }
            Expr::Concatenate(values) => operators::concatenate(rendering, &self.all(values)?),
            Expr::And(pair) => {
                let left = self.expression(&pair[0])?;
                if left.truth() { self.expression(&pair[1]) } else { Ok(left) }
            }
            Expr::Or(pair) => {
                let left = self.expression(&pair[0])?;
                if left.truth() { Ok(left) } else { self.expression(&pair[1]) }
            }
            Expr::Compare(first, rest) => {
                let mut left = self.expression(first)?;
                for (operator, right) in rest {
                    let right = self.expression(right)?;
                    if !comparison(rendering, *operator, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Expr::Conditional { test, then, otherwise, line } => {
                if self.expression(test)?.truth() {
                    return self.expression(then);
                }
                otherwise.as_ref().map_or_else(
                    || {
                        Ok(Undefined::hint(format!(
                            "the inline if-expression on line {line} evaluated to false and no else section was defined."
                        )))
                    },
                    |otherwise| self.expression(otherwise),
                )
            }
            Expr::Filter { function, value, arguments } => {
                let value = value.as_ref().map_or(Ok(Value::None), |value| self.expression(value))?;
                function.apply(rendering, self.arguments(arguments, vec![value])?)
            }
            Expr::Test { function, value, arguments } => {
                let value = self.expression(value)?;
                function.apply(rendering, self.arguments(arguments, vec![value])?)
            }
            Expr::Unknown(what, name) => other_error(format!("No {what} named '{name}' found.")),
            Expr::Call { callee, arguments } => self.call(callee, self.arguments(arguments, Vec::new())?),
        }
    }

    /// Applies the chain of filters of a block, the first of which has no value of its own, to the block's text.
    fn filtered(&self, filter: &Expr, text: Value) -> PyResult {
        match filter {
            Expr::Filter { function, value, arguments } => {
                let value = value.as_ref().map_or(Ok(text.clone()), |inner| self.filtered(inner, text))?;
                function.apply(self.rendering, self.arguments(arguments, vec![value])?)
            }
            other => self.expression(other),
        }
    }

    fn arguments(&self, arguments: &Arguments, mut positional: Vec<Value>) -> PyResult<Args> {
        for value in &arguments.positional {
            positional.push(self.expression(value)?);
        }
        let mut named: Vec<(String, Value)> = arguments
            .named
            .iter()
            .map(|(name, value)| Ok((name.to_string(), self.expression(value)?)))
            .collect::<PyResult<_>>()?;
        if let Some(splat) = &arguments.splat {
            let value = self.expression(splat)?;
            let Ok(items) = value.iterate(self.rendering) else {
                return type_error(format!("Value after * must be an iterable, not {}", value.operand_name()));
            };
            positional.extend(items);
        }
        if let Some(splats) = &arguments.splats {
            let value = self.expression(splats)?;
            let Value::Dict(entries) = &value else {
                let kind = value.operand_name();
                return type_error(format!(
                    "jinja2.sandbox.SandboxedEnvironment.call() argument after ** must be a mapping, not {kind}"
                ));
            };
            for (key, value) in &*entries.entries() {
                match key.value() {
                    Value::Str(name) => named.push((name.to_string(), value.clone())),
                    _ => return type_error("keywords must be strings"),
                }
            }
        }
        Ok(Args { positional, named })
    }

    fn call(&self, callee: &Expr, args: Args) -> PyResult {
        // A method that is called at once needs no object of its own.
        if let Expr::Attribute(receiver, name) = callee {
            let receiver = self.expression(receiver)?;
            return match attribute_or_method(self.rendering, &receiver, name)? {
                Found::Method => call_method(self.rendering, &receiver, name, args),
                Found::Value(value) => call(self.rendering, &value, args),
            };
        }
        call(self.rendering, &self.expression(callee)?, args)
    }
}

fn literal(constant: &Const) -> Value {
    match constant {
        Const::None => Value::None,
        Const::Bool(value) => Value::Bool(*value),
        Const::Int(value) => Value::Int(*value),
        Const::Big(value) => Value::int((**value).clone()),
        Const::Float(value) => Value::Float(*value),
        Const::Str(text) => Value::text(Arc::clone(text)),
    }
}

/// `x(args)`
pub(crate) fn call(rendering: &Rendering, callee: &Value, args: Args) -> PyResult {
    rendering.work(args.weight())?;
    match callee {
        Value::Undefined(undefined) => Err(undefined.raise()),
        Value::Object(object) => {
            let _deeper = rendering.deeper()?;
            object.call(rendering, args)
        }
        other => type_error(format!("'{}' object is not callable", other.operand_name())),
    }
}

enum Found {
    Method,
    Value(Value),
}

/// `x.name` in a template: an attribute or method, or else an item.
pub(crate) fn attribute(rendering: &Rendering, value: &Value, name: &str) -> PyResult {
    match attribute_or_method(rendering, value, name)? {
        Found::Value(value) => Ok(value),
        Found::Method => Ok(Value::object(Method { receiver: value.clone(), name: name.to_owned() })),
    }
}

fn attribute_or_method(rendering: &Rendering, value: &Value, name: &str) -> PyResult<Found> {
    if let Some(found) = python_attribute(value, name)? {
        return Ok(found);
    }
    let found = match value {
        Value::Dict(dict) if dict.defaulting => dict.subscript(rendering, &Value::from(name))?,
        Value::Dict(dict) => dict.get(name),
        _ => None,
    };
    Ok(Found::Value(
        found.unwrap_or_else(|| Value::Undefined(Rc::new(Undefined::Attribute(value.described(), name.to_owned())))),
    ))
}

/// `x[key]` in a template: an item, or else an attribute.
pub(crate) fn item(rendering: &Rendering, value: &Value, key: &Value) -> PyResult {
    if let Value::Undefined(undefined) = value {
        return Err(undefined.raise());
    }
    let found = match (value, key) {
        (Value::Dict(_), key) if !matches!(key, Value::Str(_)) && key.key().is_err() => None,
        (Value::Dict(dict), key) => dict.subscript(rendering, key)?,
        (Value::Object(object), key) => object.item(key),
        (_, Value::Int(_) | Value::Bool(_) | Value::Big(_)) => {
            if let Value::Str(text) = value
                && !text.is_ascii()
            {
                rendering.work(value.weight())?;
            }
            operators::element(value, key.index()?)
        }
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let Value::Str(name) = key else {
        let shown = print::repr(rendering, key)?;
        return Ok(Value::Undefined(Rc::new(Undefined::Element(value.described(), shown))));
    };
    Ok(match python_attribute(value, name)? {
        Some(Found::Value(value)) => value,
        Some(Found::Method) => Value::object(Method { receiver: value.clone(), name: name.to_string() }),
        None => Value::Undefined(Rc::new(Undefined::Attribute(value.described(), name.to_string()))),
    })
}

/// What every object of Python has, and no template may reach.
const INTERNAL: &[&str] = &[
    "__class__",
    "__delattr__",
    "__dict__",
    "__dir__",
    "__doc__",
    "__eq__",
    "__format__",
    "__ge__",
    "__getattribute__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__init_subclass__",
    "__le__",
    "__lt__",
    "__ne__",
    "__new__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__sizeof__",
    "__str__",
    "__subclasshook__",
];

/// The attributes that containers and text have besides.
const INTERNAL_OF_CONTAINERS: &[&str] =
    &["__contains__", "__getitem__", "__iter__", "__len__", "__add__", "__mul__", "__rmul__", "__mod__", "__setitem__"];

/// What `getattr` finds, if the sandbox lets it through.
fn python_attribute(value: &Value, name: &str) -> PyResult<Option<Found>> {
    let container = matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_));
    if INTERNAL.contains(&name) || (container && INTERNAL_OF_CONTAINERS.contains(&name)) {
        let message =
            format!("access to attribute {} of '{}' object is unsafe.", print::quote(name), value.type_name());
        return Ok(Some(Found::Value(Value::Undefined(Rc::new(Undefined::Hint(ExceptionClass::Other, message))))));
    }
    let data = match value {
        Value::Undefined(undefined) => return Err(undefined.raise()),
        Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_) => numbers::attribute(value, name),
        Value::Tuple(tuple) if tuple.group => match name {
            "grouper" => tuple.items.first().cloned(),
            "list" => tuple.items.get(1).cloned(),
            _ => None,
        },
        Value::Object(object) => object.attribute(name),
        _ => None,
    };
    if let Some(data) = data {
        return Ok(Some(Found::Value(data)));
    }
    let markup = matches!(value, Value::Str(Text { safe: true, .. })) && text::MARKUP_METHODS.contains(&name);
    Ok((markup || methods(value).contains(&name)).then_some(Found::Method))
}

/// `getattr(x, name)` without a look at items, as the filter `attr` has it.
pub(crate) fn attribute_only(value: &Value, name: &str) -> PyResult<Option<Value>> {
    Ok(python_attribute(value, name)?.map(|found| match found {
        Found::Value(found) => found,
        Found::Method => Value::object(Method { receiver: value.clone(), name: name.to_owned() }),
    }))
}

fn methods(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Str(_) => text::METHODS,
        Value::List(_) | Value::Tuple(_) | Value::Dict(_) => containers::methods(value),
        Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_) => numbers::methods(value),
        Value::Object(object) => object.methods(),
        Value::None | Value::Undefined(_) => &[],
    }
}

/// `x.name(args)` of a method that is there.
pub(crate) fn call_method(rendering: &Rendering, receiver: &Value, name: &str, args: Args) -> PyResult {
    rendering.work(receiver.weight() + args.weight())?;
    match receiver {
        Value::Str(text) => text::call(rendering, text, name, args),
        Value::List(_) | Value::Tuple(_) | Value::Dict(_) => containers::call(rendering, receiver, name, args),
        Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_) => {
            numbers::call(rendering, receiver, name, args)
        }
        Value::Object(object) => object.call_method(rendering, name, args),
        Value::None | Value::Undefined(_) => Err(Exception::new(
            ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{name}'", receiver.operand_name()),
        )),
    }
}

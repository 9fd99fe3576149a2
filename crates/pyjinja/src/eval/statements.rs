//! Runs the statements of a template: output, assignments, loops, blocks and macros.

use std::{rc::Rc, sync::Arc};

use crate::{
    eval::{
        expressions::Evaluator,
        objects::{BoundMacro, Loop, LoopCall, MacroCall, MacroValue, Namespace},
        output::Output,
        scope::{Scope, Symbol},
    },
    python::{
        exception::{Exception, ExceptionClass, PyResult, type_error, value_error},
        markup,
        quote::quote,
        repr,
        value::{Text, Undefined, Value},
    },
    syntax::program::{For, Macro, Node, Target},
};

impl Evaluator<'_> {
    /// The same in a scope of its own.
    fn inside(&self) -> Self {
        Self { scope: Scope::inside(&self.scope), ..self.clone() }
    }

    /// Text that the template made itself is safe where everything else is escaped.
    pub(super) fn output(&self, text: String) -> Value {
        if self.rendering.autoescape.get() { Value::Str(Text::safe(text)) } else { Value::text(text) }
    }

    pub(crate) fn text_of(&self, body: &[Node]) -> PyResult<String> {
        let mut out = Output::default();
        self.body(body, &mut out)?;
        out.joined()
    }

    pub(super) fn body(&self, body: &[Node], out: &mut Output) -> PyResult<()> {
        let _deeper = self.rendering.deeper()?;
        let mut after_constant = false;
        for node in body {
            let constant = matches!(node, Node::Raw(_) | Node::Emit { constant: true, .. });
            if matches!(node, Node::Emit { constant: false, .. }) || (constant && !after_constant) {
                out.begin_piece();
            }
            after_constant = constant;
            self.node(node, out)?;
        }
        Ok(())
    }

    fn node(&self, node: &Node, out: &mut Output) -> PyResult<()> {
        self.rendering.work(1)?;
        let line = match node {
            Node::Raw(text) => {
                self.rendering.allocate(text.len())?;
                out.push(text);
                return Ok(());
            }
            Node::For(node) => node.line,
            Node::Macro(definition) => definition.line,
            Node::Block(block) => block.line,
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

    fn statement(&self, node: &Node, out: &mut Output) -> PyResult<()> {
        match node {
            Node::Raw(_) => Ok(()),
            Node::Block(block) => self.block_in_place(block, out),
            Node::Emit { value, .. } => self.emit(&self.expression(value)?, out),
            Node::If { test, then, otherwise, .. } => {
                let branch = if self.truth(test)? { then } else { otherwise };
                self.body(branch, out)
            }
            // It is a function that its own body calls too.
            Node::For(node) if node.recursive => {
                let mut inner = Output::default();
                self.for_loop(node, &self.expression(&node.items)?, 0, &mut inner)?;
                out.begin_piece();
                out.push(&inner.joined()?);
                Ok(())
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
                let before = self.rendering.autoescape.replace(self.truth(enabled)?);
                let result = self.inside().body(body, out);
                self.rendering.autoescape.set(before);
                result
            }
            Node::FilterBlock { filter, body, line } => {
                let inside = self.inside();
                let text = self.output(inside.text_of(body)?);
                self.add(&inside.filtered(filter, text)?, *line, out)
            }
            Node::Macro(definition) => {
                self.scope.set(definition.symbol, self.closure(definition)?);
                Ok(())
            }
            Node::CallBlock { callee, arguments, caller, line } => {
                let mut args = self.arguments(arguments, Vec::new())?;
                args.named.push(("caller".to_owned(), self.closure(caller)?));
                self.add(&self.call(callee, args)?, *line, out)
            }
            Node::Missing { template, ignore, .. } => self.missing(&self.expression(template)?, *ignore),
        }
    }

    fn missing(&self, template: &Value, ignore: bool) -> PyResult<()> {
        if ignore {
            return Ok(());
        }
        match template {
            Value::Str(name) => not_found(&**name),
            Value::Undefined(undefined) => Err(undefined.raise()),
            Value::List(_) | Value::Tuple(_) => {
                let names: Vec<_> = template
                    .iterate(self.rendering)?
                    .iter()
                    .map(|name| repr::string(self.rendering, name))
                    .collect::<PyResult<_>>()?;
                not_found(format!("none of the templates given were found: {}", names.join(", ")))
            }
            other => type_error(format!("'{}' object is not iterable", other.operand_name())),
        }
    }

    /// The macro as a value that keeps the scope it is defined in.
    fn closure(&self, definition: &Arc<Macro>) -> PyResult {
        self.rendering.hold_scope(&self.scope)?;
        let (program, scope) = (Arc::clone(self.program), Rc::clone(&self.scope));
        let call: MacroCall = Box::new(move |rendering, definition, bound| {
            Evaluator { rendering, program: &program, scope: Scope::inside(&scope) }.call_macro(definition, bound)
        });
        Ok(Value::object(MacroValue { definition: Arc::clone(definition), call }))
    }

    fn call_macro(&self, definition: &Macro, BoundMacro { arguments, special }: BoundMacro) -> PyResult {
        let without_default = definition.parameters.len() - definition.defaults.len();
        for (symbol, value) in special {
            self.scope.set(symbol, value);
        }
        for (index, (symbol, argument)) in definition.parameters.iter().zip(arguments).enumerate() {
            let default = index.checked_sub(without_default).and_then(|index| definition.defaults.get(index));
            let value = match (argument, default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.expression(default)?,
                (None, None) => {
                    let name = definition.names.get(index).map_or("", |name| name);
                    Undefined::hint(format!("parameter {} was not provided", quote(name)))
                }
            };
            self.scope.set(*symbol, value);
        }
        let text = self.text_of(&definition.body).map_err(|exception| exception.at(definition.line))?;
        Ok(self.output(text))
    }

    /// Adds what a tag made, which has to be text.
    fn add(&self, value: &Value, line: usize, out: &mut Output) -> PyResult<()> {
        if let Value::Str(text) = value {
            self.rendering.allocate(text.len())?;
        }
        out.add(value, line);
        Ok(())
    }

    fn emit(&self, value: &Value, out: &mut Output) -> PyResult<()> {
        let text = repr::string(self.rendering, value)?;
        self.rendering.allocate(text.len())?;
        if self.rendering.autoescape.get() && !matches!(value, Value::Str(Text { safe: true, .. })) {
            out.push(&markup::escape(&text));
        } else {
            out.push(&text);
        }
        Ok(())
    }

    fn for_loop(&self, node: &Arc<For>, items: &Value, depth: usize, out: &mut Output) -> PyResult<()> {
        self.rendering.check_defined(items)?;
        let mut items = items.iterate(self.rendering)?;
        if let Some(filter) = &node.filter {
            let mut kept = Vec::new();
            for item in items {
                let inside = self.inside();
                inside.assign(&node.target, item.clone())?;
                if inside.truth(filter)? {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            return self.inside().body(&node.otherwise, out);
        }
        let state = Rc::new(Loop::new(items, depth, node.recursive.then(|| self.recursion(node))));
        while let Some(item) = state.advance() {
            self.rendering.work(1)?;
            let inside = self.inside();
            inside.scope.set(node.loop_symbol, Value::Object(Rc::clone(&state) as Rc<_>));
            inside.assign(&node.target, item)?;
            inside.body(&node.body, out)?;
        }
        Ok(())
    }

    /// Runs the body of `node` again, over other items, as a recursive loop asks for.
    fn recursion(&self, node: &Arc<For>) -> LoopCall {
        let (node, program, scope) = (Arc::clone(node), Arc::clone(self.program), Rc::clone(&self.scope));
        Box::new(move |rendering, items, depth| {
            let evaluator = Evaluator { rendering, program: &program, scope: Rc::clone(&scope) };
            let mut out = Output::default();
            evaluator.for_loop(&node, items, depth, &mut out)?;
            Ok(evaluator.output(out.joined()?))
        })
    }

    fn assign(&self, target: &Target, value: Value) -> PyResult<()> {
        match target {
            Target::Name(symbol) => {
                self.scope.set(*symbol, value);
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
            let message = "cannot assign attribute on non-namespace object";
            return Err(Exception::new(ExceptionClass::TemplateRuntimeError, message));
        }
        Ok(value)
    }
}

fn not_found<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::TemplateNotFound, message))
}

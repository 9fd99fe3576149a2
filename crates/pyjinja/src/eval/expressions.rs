//! Computes the expressions of a template.

use std::{rc::Rc, sync::Arc};

use crate::{
    eval::{
        access::{self, Attribute},
        rendering::Rendering,
        scope::{Scope, Symbol},
    },
    python::{
        arguments::Args,
        comparison::{Comparison, compare},
        exception::{Exception, ExceptionClass, PyResult, type_error},
        operators,
        quote::quote,
        sequence,
        value::{Undefined, Value},
    },
    syntax::program::{CallArguments, Const, Expr, Program},
};

/// What calls functions in Jinja2's sandbox, as messages name it.
const CALL: &str = "jinja2.sandbox.SandboxedEnvironment.call()";

/// Runs a template, or a part of it, in one scope.
#[derive(Clone)]
pub(crate) struct Evaluator<'a> {
    pub(crate) rendering: &'a Rendering,
    pub(crate) program: &'a Arc<Program>,
    pub(crate) scope: Rc<Scope>,
}

impl Evaluator<'_> {
    /// The variable of this name, or an undefined value.
    pub(crate) fn variable(&self, symbol: Symbol) -> Value {
        if let Some(value) = self.scope.get(symbol) {
            return value;
        }
        let Some(name) = self.program.names.get(symbol) else { return Value::None };
        self.rendering.variable(name).unwrap_or_else(|| Value::Undefined(Rc::new(Undefined::Name(Arc::clone(name)))))
    }

    fn all(&self, expressions: &[Expr]) -> PyResult<Vec<Value>> {
        expressions.iter().map(|expression| self.expression(expression)).collect()
    }

    /// Computes an expression.
    pub(crate) fn expression(&self, expression: &Expr) -> PyResult {
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

    /// Computes an expression that has others in it.
    fn compound(&self, expression: &Expr) -> PyResult {
        let rendering = self.rendering;
        match expression {
            Expr::Const(constant) => Ok(literal(constant)),
            Expr::Name(symbol) => Ok(self.variable(*symbol)),
            Expr::List(items) => self.items(items).map(Value::list),
            Expr::Tuple(items) => self.items(items).map(Value::tuple),
            Expr::Dict(pairs) => self.dict(pairs),
            Expr::Attribute(value, name) => access::attribute(rendering, &self.expression(value)?, name),
            Expr::Item(pair) => access::item(rendering, &self.expression(&pair[0])?, &self.expression(&pair[1])?),
            Expr::Slice(parts) => {
                let [value, start, stop, step] = &**parts;
                let value = self.expression(value)?;
                let (start, stop, step) = (self.expression(start)?, self.expression(stop)?, self.expression(step)?);
                sequence::slice(rendering, &value, [&start, &stop, &step])
            }
            Expr::Sign(operator, value) => operators::unary(*operator, &self.expression(value)?),
            Expr::Not(value) => Ok(Value::Bool(!self.truth(value)?)),
            Expr::Binary(operator, pair) => {
                operators::binary(rendering, *operator, &self.expression(&pair[0])?, &self.expression(&pair[1])?)
            }
            Expr::Concatenate(values) => {
                let values = self.all(values)?;
                values.iter().try_for_each(|value| rendering.check_defined(value))?;
                operators::concatenate(rendering, &values)
            }
            Expr::And(pair) => {
                let left = self.expression(&pair[0])?;
                if rendering.truth(&left)? { self.expression(&pair[1]) } else { Ok(left) }
            }
            Expr::Or(pair) => {
                let left = self.expression(&pair[0])?;
                if rendering.truth(&left)? { Ok(left) } else { self.expression(&pair[1]) }
            }
            Expr::Compare(first, rest) => self.compare(first, rest),
            Expr::Conditional { test, then, .. } if self.truth(test)? => self.expression(then),
            Expr::Conditional { otherwise: Some(otherwise), .. } => self.expression(otherwise),
            Expr::Conditional { line, .. } => Ok(Undefined::hint(format!(
                "the inline if-expression on line {line} evaluated to false and no else section was defined."
            ))),
            Expr::Filter { function, value, arguments } => {
                let value = value.as_ref().map_or(Ok(Value::None), |value| self.expression(value))?;
                function.apply(rendering, self.arguments(arguments, vec![value])?)
            }
            Expr::Test { function, value, arguments } => {
                let value = self.expression(value)?;
                function.apply(rendering, self.arguments(arguments, vec![value])?)
            }
            Expr::Unknown(what, name) => {
                let message = format!("No {what} named '{name}' found.");
                Err(Exception::new(ExceptionClass::TemplateRuntimeError, message))
            }
            Expr::Call { callee, arguments } => self.call(callee, self.arguments(arguments, Vec::new())?),
        }
    }

    /// Whether the value of `expression` is true.
    pub(crate) fn truth(&self, expression: &Expr) -> PyResult<bool> {
        self.rendering.truth(&self.expression(expression)?)
    }

    fn items(&self, expressions: &[Expr]) -> PyResult<Vec<Value>> {
        self.rendering.allocate(expressions.len() * size_of::<Value>())?;
        self.all(expressions)
    }

    fn dict(&self, pairs: &[(Expr, Expr)]) -> PyResult {
        self.rendering.allocate(pairs.len() * 4 * size_of::<Value>())?;
        let mut entries = indexmap::IndexMap::with_capacity(pairs.len());
        for (key, value) in pairs {
            let (key, value) = (self.expression(key)?, self.expression(value)?);
            entries.insert(key.key()?, value);
        }
        Ok(Value::dict(entries))
    }

    /// `first < second <= third`: true if all of them are. The values after the first that is false are not computed.
    fn compare(&self, first: &Expr, rest: &[(Comparison, Expr)]) -> PyResult {
        let mut left = self.expression(first)?;
        self.rendering.check_defined(&left)?;
        for (operator, right) in rest {
            let right = self.expression(right)?;
            self.rendering.check_defined(&right)?;
            if !compare(self.rendering, *operator, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    /// Applies a block's chain of filters to the block's text. The first of them has no value of its own.
    pub(crate) fn filtered(&self, filter: &Expr, text: Value) -> PyResult {
        match filter {
            Expr::Filter { function, value, arguments } => {
                let value = value.as_ref().map_or(Ok(text.clone()), |inner| self.filtered(inner, text))?;
                function.apply(self.rendering, self.arguments(arguments, vec![value])?)
            }
            other => self.expression(other),
        }
    }

    /// Computes the arguments of a call, behind the value of a filter or a test in `positional`.
    pub(crate) fn arguments(&self, arguments: &CallArguments, mut positional: Vec<Value>) -> PyResult<Args> {
        let filters = !positional.is_empty();
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
            self.rendering.check_defined(&value)?;
            let Ok(items) = value.iterate(self.rendering) else {
                return type_error(format!("Value after * must be an iterable, not {}", value.operand_name()));
            };
            positional.extend(items);
        }
        if let Some(splats) = &arguments.splats {
            let value = self.expression(splats)?;
            let Value::Dict(entries) = &value else {
                if let Value::Undefined(undefined) = &value {
                    return Err(undefined.raise());
                }
                return type_error(format!("{CALL} argument after ** must be a mapping, not {}", value.operand_name()));
            };
            for (key, value) in &*entries.entries() {
                match key.value() {
                    // A filter's own function refuses it.
                    Value::Str(name) if !filters && named.iter().any(|(known, _)| *known == **name) => {
                        return type_error(format!("{CALL} got multiple values for keyword argument {}", quote(name)));
                    }
                    Value::Str(name) => named.push((name.to_string(), value.clone())),
                    _ => return type_error("keywords must be strings"),
                }
            }
        }
        Ok(Args { positional, named })
    }

    /// Calls the value of `callee`.
    pub(crate) fn call(&self, callee: &Expr, args: Args) -> PyResult {
        // A method that is called at once needs no object of its own.
        if let Expr::Attribute(receiver, name) = callee {
            let receiver = self.expression(receiver)?;
            return match access::attribute_or_method(self.rendering, &receiver, name)? {
                Attribute::Method => access::call_method(self.rendering, &receiver, name, args),
                Attribute::Value(value) => access::call(self.rendering, &value, args),
            };
        }
        access::call(self.rendering, &self.expression(callee)?, args)
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

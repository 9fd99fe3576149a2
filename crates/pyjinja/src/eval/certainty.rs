//! What is certain of a template's rendering whatever its data is: what it renders to, or that it fails.
//!
//! A template is followed along the ways on which it must go. What is computed of its own text alone is computed; everything else
//! is not known. It surely fails where it must come to something that fails with any value in place of what is not known.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use indexmap::IndexMap;

use crate::{
    environment::{Error, Template},
    eval::{
        access,
        expressions::Evaluator,
        function::Filter,
        registry::{SharedRegistry, UndefinedPolicy},
        rendering::Rendering,
        scope::{Scope, Symbol},
    },
    python::{
        arguments::Args,
        exception::{ExceptionClass, PyResult},
        object::Operator,
        value::{Undefined, Value},
    },
    syntax::{
        lookups::assigned,
        program::{CallArguments, Expr, For, Macro, Node, Program, Target},
    },
};

impl Template {
    /// What it renders to or fails with, if that is the same each time with any data. `steady` names the environment's globals that
    /// are the same each time, and that no data hides. It is rendered for this without data. None where it asks for any other
    /// name, where chance plays a part, and where the time of a rendering is over before it ends.
    ///
    /// ```
    /// let foregone = |source: &str| Ok::<_, pyjinja::Error>(pyjinja::Environment::new().compile(source)?.foregone(&["dict"]));
    /// assert_eq!(foregone("{% set a = dict(b=1) %}{{ a.b + 1 }}")?, Some(Ok("2".to_owned())));
    /// assert_eq!(foregone("{{ c }}")?, None);
    /// assert_eq!(foregone("{{ [1, 2]|random }}")?, None);
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn foregone(&self, steady: &[&str]) -> Option<Result<String, Error>> {
        let rendering = Rendering::begin(&self.registry, &[]);
        let rendered = self.run(&rendering);
        rendering.is_foregone(steady).then_some(rendered)
    }

    /// Whether it fails with any data. False where that is not certain: only what it must come to counts, and only what fails with
    /// any value in place of those that it finds in its data. `steady` is that of [`Template::foregone`]. Takes about three times
    /// as long as a rendering may.
    ///
    /// ```
    /// let fails = |source: &str| Ok::<_, pyjinja::Error>(pyjinja::Environment::new().compile(source)?.surely_fails(&[]));
    /// assert!(fails("{{ a }}{% include 'b' %}")?);
    /// assert!(fails("{{ a|truncate(-1) }}")?);
    /// assert!(!fails("{% if a %}{% include 'b' %}{% endif %}")?);
    /// assert!(!fails("{{ 1 / a }}")?);
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn surely_fails(&self, steady: &[&str]) -> bool {
        if let Some(rendered) = self.foregone(steady) {
            return rendered.is_err();
        }
        Course::begin(&Ground::new(self, steady)).body(&self.program.body)
    }
}

/// How many levels deep is looked. Each takes stack, and at the deepest something may be computed.
const LEVELS: usize = 100;

/// Bound on what is remembered of a value that a template sets, in bytes: there may be thousands of them.
const KNOWN_BYTES: usize = 1024;

/// What is the same on all ways through a template.
struct Ground<'a> {
    program: &'a Arc<Program>,
    registry: &'a SharedRegistry,
    steady_names: &'a [&'a str],
    /// The variables that are these globals: those that the template never sets.
    steady: HashSet<Symbol>,
    /// The variables that the template sets somewhere.
    set: HashSet<Symbol>,
    /// The macros whose names stand for nothing else, so that a call of the name is one of the macro, or fails.
    macros: HashMap<Symbol, &'a Macro>,
    /// Of these, whether the body surely fails, as far as that was asked.
    found: RefCell<HashMap<Symbol, bool>>,
    /// How many levels deep it is looked now.
    depth: Cell<usize>,
    /// When to look no further.
    until: Option<Instant>,
}

impl<'a> Ground<'a> {
    fn new(template: &'a Template, steady_names: &'a [&'a str]) -> Self {
        let Template { program, registry } = template;
        let (symbols, definitions) = assigned(program, &program.body);
        let mut times_set: HashMap<Symbol, usize> = HashMap::new();
        for symbol in symbols {
            *times_set.entry(symbol).or_default() += 1;
        }
        let is_own = |definition: &&Macro| {
            let is_global = definition.name.as_ref().is_none_or(|name| registry.global(name).is_some());
            !is_global && times_set.get(&definition.symbol) == Some(&1)
        };
        let macros = definitions.into_iter().filter(is_own).map(|definition| (definition.symbol, definition)).collect();
        let is_steady =
            |(symbol, name): &(Symbol, &Arc<str>)| steady_names.contains(&&***name) && !times_set.contains_key(symbol);
        let steady = program.names.iter().enumerate().filter(is_steady).map(|(symbol, _)| symbol).collect();
        Self {
            program,
            registry,
            steady_names,
            steady,
            set: times_set.into_keys().collect(),
            macros,
            found: RefCell::default(),
            depth: Cell::new(0),
            until: Instant::now().checked_add(registry.limits.time),
        }
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() > until)
    }

    /// Looks one level deeper, if there is room.
    fn deeper(&self, look: impl FnOnce() -> bool) -> bool {
        let depth = self.depth.get();
        if depth >= LEVELS {
            return false;
        }
        self.depth.set(depth + 1);
        let found = look();
        self.depth.set(depth);
        found
    }
}

/// One way through a template: what is known where it has come to.
#[derive(Clone)]
struct Course<'a> {
    ground: &'a Ground<'a>,
    scope: Rc<Scope>,
    /// The variables of the scope whose values are known: numbers, texts and the like, which nothing changes.
    known: HashSet<Symbol>,
    /// Whether what is printed is escaped.
    escapes: bool,
}

impl<'a> Course<'a> {
    fn begin(ground: &'a Ground<'a>) -> Self {
        let escapes = ground.registry.autoescape;
        Self { ground, scope: Scope::outermost(), known: HashSet::new(), escapes }
    }

    /// The same in a scope of its own.
    fn inside(&self) -> Self {
        Self { scope: Scope::inside(&self.scope), ..self.clone() }
    }

    /// Whether statements surely fail.
    fn body(&mut self, nodes: &[Node]) -> bool {
        let ground = self.ground;
        ground.deeper(|| nodes.iter().any(|node| !ground.is_late() && self.node(node)))
    }

    fn node(&mut self, node: &Node) -> bool {
        match node {
            Node::Raw(_) => false,
            Node::Macro(node) => {
                self.known.remove(&node.symbol);
                false
            }
            Node::Emit { value, .. } => self.fails(value),
            Node::For(node) => self.for_loop(node),
            Node::If { test, then, otherwise, .. } => self.fails(test) || self.condition(test, then, otherwise),
            Node::With { assignments, body, .. } => {
                if assignments.iter().any(|(_, value)| self.fails(value)) {
                    return true;
                }
                let mut inside = self.inside();
                for (target, value) in assignments {
                    inside.assign(target, self.scalar(value));
                }
                inside.body(body)
            }
            Node::Set { target, value, .. } => {
                let fails = self.fails(value) || self.is_no_namespace(target);
                if !fails {
                    self.assign(target, self.scalar(value));
                }
                fails
            }
            Node::SetBlock { target, filter, body, .. } => {
                let fails = self.inside().body(body) || filter.as_ref().is_some_and(|filter| self.fails(filter));
                self.assign(target, None);
                fails
            }
            Node::AutoEscape { enabled, body, .. } => {
                self.fails(enabled)
                    || self.truth(enabled).is_some_and(|escapes| Self { escapes, ..self.inside() }.body(body))
            }
            // Its arguments see what its body sets.
            Node::FilterBlock { filter, body, .. } => {
                let mut inside = self.inside();
                inside.body(body) || inside.fails(filter)
            }
            // It may stand in a loop, and be called too.
            Node::Block(block) => block.required || Self::begin(self.ground).body(&block.body),
            Node::CallBlock { callee, arguments, .. } => self.call_fails(callee, arguments),
            Node::Missing { template, ignore, .. } => !ignore || self.fails(template),
        }
    }

    fn condition(&mut self, test: &Expr, then: &[Node], otherwise: &[Node]) -> bool {
        match self.truth(test) {
            Some(true) => self.body(then),
            Some(false) => self.body(otherwise),
            None => {
                let fails = self.inside().body(then) && self.inside().body(otherwise);
                for branch in [then, otherwise] {
                    for symbol in assigned(self.ground.program, branch).0 {
                        self.known.remove(&symbol);
                    }
                }
                fails
            }
        }
    }

    fn for_loop(&self, node: &For) -> bool {
        if self.fails(&node.items) {
            return true;
        }
        let is_known = node.filter.is_none() && self.is_literal(&node.items);
        let turns = is_known.then(|| {
            self.evaluate(|evaluator| Ok(evaluator.expression(&node.items)?.iterate(evaluator.rendering)?.len()))
        });
        let turn = || {
            let mut inside = self.inside();
            inside.forget(&node.target);
            inside.known.remove(&node.loop_symbol);
            inside.body(&node.body)
        };
        let otherwise = || self.inside().body(&node.otherwise);
        match turns.flatten() {
            Some(Err(_)) => true,
            Some(Ok(0)) => otherwise(),
            Some(Ok(_)) => turn(),
            None => turn() && otherwise(),
        }
    }

    fn assign(&mut self, target: &Target, value: Option<Value>) {
        self.forget(target);
        if let (Target::Name(symbol), Some(value)) = (target, value.filter(|value| value.weight() <= KNOWN_BYTES)) {
            self.scope.set(*symbol, value);
            self.known.insert(*symbol);
        }
    }

    fn forget(&mut self, target: &Target) {
        for symbol in target.names() {
            self.known.remove(&symbol);
        }
    }

    /// Whether it is an attribute of what is surely no namespace: nothing that the template sets, or a known value.
    fn is_no_namespace(&self, target: &Target) -> bool {
        match target {
            Target::Attribute(symbol, _) => !self.ground.set.contains(symbol) || self.known.contains(symbol),
            Target::Name(_) | Target::Tuple(_) => false,
        }
    }

    /// Whether an expression surely fails.
    fn fails(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Const(_) | Expr::Name(_) => false,
            compound => self.ground.deeper(|| self.compound_fails(compound)),
        }
    }

    fn compound_fails(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Const(_) | Expr::Name(_) => false,
            Expr::Unknown(..) => true,
            literal if self.is_literal(literal) => {
                matches!(self.evaluate(|evaluator| evaluator.expression(literal).map(drop)), Some(Err(_)))
            }
            Expr::List(items) | Expr::Tuple(items) | Expr::Concatenate(items) => self.one_fails(items),
            Expr::Dict(pairs) => pairs.iter().any(|(key, value)| self.fails(key) || self.fails(value)),
            Expr::Attribute(value, _) => self.is_refused(value) || self.fails(value),
            Expr::Item(pair) => self.is_refused(&pair[0]) || self.one_fails(&**pair),
            Expr::Slice(parts) => self.one_fails(&**parts),
            Expr::Sign(_, value) | Expr::Not(value) => self.fails(value),
            Expr::Binary(operator, pair) => {
                let divides = matches!(operator, Operator::Div | Operator::FloorDiv);
                self.one_fails(&**pair) || (divides && self.is_zero(&pair[1]))
            }
            Expr::And(pair) => self.fails(&pair[0]) || (self.truth(&pair[0]) == Some(true) && self.fails(&pair[1])),
            Expr::Or(pair) => self.fails(&pair[0]) || (self.truth(&pair[0]) == Some(false) && self.fails(&pair[1])),
            // What stands behind the second value is looked at only if the comparison before holds.
            Expr::Compare(first, rest) => {
                self.fails(first) || rest.first().is_some_and(|(_, second)| self.fails(second))
            }
            Expr::Conditional { test, then, otherwise, .. } => {
                let otherwise = || otherwise.as_deref().is_some_and(|otherwise| self.fails(otherwise));
                self.fails(test)
                    || match self.truth(test) {
                        Some(true) => self.fails(then),
                        Some(false) => otherwise(),
                        None => self.fails(then) && otherwise(),
                    }
            }
            Expr::Filter { function, value, arguments } => {
                value.as_deref().is_some_and(|value| self.fails(value)) || self.application_fails(function, arguments)
            }
            Expr::Test { function, value, arguments } => {
                self.fails(value) || self.application_fails(function, arguments)
            }
            Expr::Call { callee, arguments } => self.call_fails(callee, arguments),
        }
    }

    fn one_fails<'e>(&self, expressions: impl IntoIterator<Item = &'e Expr>) -> bool {
        expressions.into_iter().any(|expression| self.fails(expression))
    }

    /// Whether a filter or test surely fails on any value: its arguments do, or it does because of them.
    fn application_fails(&self, function: &Filter, arguments: &CallArguments) -> bool {
        if self.one_fails(arguments.expressions()) {
            return true;
        }
        if !arguments.expressions().all(|argument| self.is_literal(argument)) {
            return false;
        }
        let mut first = None;
        for value in values_of_all_kinds() {
            let applied = self.evaluate(|evaluator| {
                let arguments = evaluator.arguments(arguments, vec![value])?;
                function.apply(evaluator.rendering, arguments).map(drop)
            });
            match applied {
                // It is for the arguments if it is the same for all values.
                Some(Err(exception)) if !is_of_values(exception.class) => {
                    if *first.get_or_insert_with(|| exception.clone()) != exception {
                        return false;
                    }
                }
                _ => return false,
            }
        }
        true
    }

    fn call_fails(&self, callee: &Expr, arguments: &CallArguments) -> bool {
        if self.one_fails(arguments.expressions()) {
            return true;
        }
        match callee {
            Expr::Name(symbol) if self.ground.steady.contains(symbol) => {
                // What is refused is refused with any arguments.
                let called = self.evaluate(|evaluator| {
                    access::call(evaluator.rendering, &evaluator.variable(*symbol), Args::default()).map(drop)
                });
                called.is_some_and(|called| {
                    called.is_err_and(|exception| exception.class == ExceptionClass::SecurityError)
                })
            }
            Expr::Name(symbol) => self.macro_fails(*symbol),
            callee => self.is_refused(callee) || self.fails(callee),
        }
    }

    fn macro_fails(&self, symbol: Symbol) -> bool {
        let Some(definition) = self.ground.macros.get(&symbol) else { return false };
        if self.escapes != self.ground.registry.autoescape {
            return false;
        }
        let found = self.ground.found.borrow().get(&symbol).copied();
        found.unwrap_or_else(|| {
            // Where it calls itself that is no reason to fail.
            self.ground.found.borrow_mut().insert(symbol, false);
            let fails = Course::begin(self.ground).body(&definition.body);
            self.ground.found.borrow_mut().insert(symbol, fails);
            fails
        })
    }

    /// Whether it is an attribute that the sandbox refuses of any value, so that anything that is asked of it fails.
    fn is_refused(&self, expression: &Expr) -> bool {
        self.ground.registry.undefined != UndefinedPolicy::Chainable
            && matches!(expression, Expr::Attribute(_, name) if access::is_internal(name))
    }

    fn is_zero(&self, expression: &Expr) -> bool {
        let value = self.scalar(expression);
        value.is_some_and(|value| matches!(value, Value::Int(_) | Value::Bool(_) | Value::Float(_)) && !value.truth())
    }

    fn truth(&self, expression: &Expr) -> Option<bool> {
        if self.is_literal(expression) { self.evaluate(|evaluator| evaluator.truth(expression))?.ok() } else { None }
    }

    /// The value of an expression, if it is known and nothing can change it.
    fn scalar(&self, expression: &Expr) -> Option<Value> {
        if !self.is_literal(expression) {
            return None;
        }
        let value = self.evaluate(|evaluator| {
            let value = evaluator.expression(expression)?;
            let is_scalar = matches!(
                value,
                Value::None | Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Str(_)
            );
            Ok(is_scalar.then_some(value))
        });
        value?.ok()?
    }

    /// Whether everything that it names is known.
    fn is_literal(&self, expression: &Expr) -> bool {
        let all = |expressions: &[Expr]| expressions.iter().all(|expression| self.is_literal(expression));
        let arguments_are = |arguments: &CallArguments| arguments.expressions().all(|value| self.is_literal(value));
        match expression {
            Expr::Const(_) => true,
            Expr::Name(symbol) => self.known.contains(symbol) || self.ground.steady.contains(symbol),
            Expr::Unknown(..) => false,
            Expr::List(items) | Expr::Tuple(items) | Expr::Concatenate(items) => all(items),
            Expr::Dict(pairs) => pairs.iter().all(|(key, value)| self.is_literal(key) && self.is_literal(value)),
            Expr::Item(pair) | Expr::Binary(_, pair) | Expr::And(pair) | Expr::Or(pair) => all(&**pair),
            Expr::Slice(parts) => all(&**parts),
            Expr::Attribute(value, _) | Expr::Sign(_, value) | Expr::Not(value) => self.is_literal(value),
            Expr::Compare(first, rest) => {
                self.is_literal(first) && rest.iter().all(|(_, value)| self.is_literal(value))
            }
            Expr::Conditional { test, then, otherwise, .. } => {
                let parts = [Some(test), Some(then), otherwise.as_ref()];
                parts.into_iter().flatten().all(|part| self.is_literal(part))
            }
            // Without a value it is applied to the text of a block.
            Expr::Filter { value, arguments, .. } => {
                value.as_ref().is_some_and(|value| self.is_literal(value)) && arguments_are(arguments)
            }
            Expr::Test { value, arguments, .. } => self.is_literal(value) && arguments_are(arguments),
            Expr::Call { callee, arguments } => self.is_literal(callee) && arguments_are(arguments),
        }
    }

    /// Computes something of what is known. What it gives outlives the rendering, so it is no container. None where it is not the
    /// same each time, and where the time is over.
    fn evaluate<T>(&self, compute: impl FnOnce(&Evaluator<'_>) -> PyResult<T>) -> Option<PyResult<T>> {
        let Ground { program, registry, steady_names, .. } = *self.ground;
        if self.ground.is_late() {
            return None;
        }
        let rendering = Rendering::begin(registry, &[]);
        rendering.autoescape.set(self.escapes);
        let computed = compute(&Evaluator { rendering: &rendering, program, scope: Rc::clone(&self.scope) });
        rendering.is_foregone(steady_names).then_some(computed)
    }
}

impl CallArguments {
    /// What is computed for the arguments.
    fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let splats = self.splat.iter().chain(&self.splats).map(|splat| &**splat);
        self.positional.iter().chain(self.named.iter().map(|(_, value)| value)).chain(splats)
    }
}

/// Whether it is raised where a value does not fit, so that another may.
fn is_of_values(class: ExceptionClass) -> bool {
    matches!(
        class,
        ExceptionClass::TypeError
            | ExceptionClass::ValueError
            | ExceptionClass::KeyError
            | ExceptionClass::AttributeError
            | ExceptionClass::UndefinedError
    )
}

/// Values of all kinds that data has, those first on which most filters work.
fn values_of_all_kinds() -> [Value; 14] {
    [
        Value::text("word"),
        Value::Int(7),
        Value::list(vec![Value::Int(1)]),
        Value::dict_of([(Value::text("a"), Value::Int(1))]).unwrap_or_default(),
        Value::text(""),
        Value::text("%s {} 2026-01-02T03:04:05Z"),
        Value::Int(0),
        Value::Int(-1),
        Value::Float(0.5),
        Value::Bool(true),
        Value::None,
        Value::list(Vec::new()),
        Value::dict(IndexMap::new()),
        Undefined::hint("not there"),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Environment, Error, Exception, ExceptionClass, Function};

    const STEADY: [&str; 4] = ["dict", "namespace", "cycler", "range"];

    /// One in which `range` is refused.
    fn environment() -> Environment {
        let mut environment = Environment::new();
        environment.add_global(
            "range",
            Function::new("range", |_, _| Err(Exception::new(ExceptionClass::SecurityError, "range is refused"))),
        );
        environment
    }

    #[test]
    fn a_template_surely_fails_only_if_it_must_come_to_what_fails_with_any_data() {
        let cases = [
            ("", false),
            ("{{ a }}", false),
            ("{{ a.b.c + 1 }}", false),
            // What is computed of its own text alone.
            ("{{ a }}{{ 1 / 0 }}", true),
            ("{{ a }}{{ 'x'.center(10 ** 12) }}", true),
            ("{{ a }}{{ ['x'] | first | truncate(1) }}", true),
            ("{{ a }}{{ dict(b=0).b and 1 or 1 / 0 }}", true),
            ("{{ a }}{{ 'x' + 1 }}", true),
            ("{% set b = 0 %}{{ a }}{{ 1 / b }}", true),
            ("{% set b = 0 %}{% set b = a %}{{ 1 / b }}", false),
            ("{% set b = 0 %}{% macro b() %}{% endmacro %}{% if b %}{% else %}{{ 1 / 0 }}{% endif %}", false),
            ("{% set b = -1 %}{% filter truncate(b) %}{% set b = 5 %}x{% endfilter %}", false),
            ("{% set b = 0 %}{% if a %}{% set b = 1 %}{% endif %}{{ 1 / b }}", false),
            ("{% set b = 0 %}{% if a %}{% set c = 1 %}{% endif %}{{ 1 / b }}", true),
            ("{% set b = 0 %}{% for c in a %}{% set b = 1 %}{% endfor %}{{ 1 / b }}", true),
            ("{% set b = 0 %}{% for b in a %}{{ 1 / b }}{% endfor %}", false),
            ("{% if a %}{% set b = 0 %}{% else %}{{ 1 / b }}{% endif %}", false),
            ("{% with b = 0 %}{{ a }}{{ 1 / b }}{% endwith %}", true),
            ("{% with b = a %}{{ 1 / b }}{% endwith %}", false),
            ("{% set b %}{{ a }}{% endset %}{{ 1 / b|int }}", false),
            ("{% set b = namespace(n=0) %}{% for c in a %}{% set b.n = 1 %}{% endfor %}{{ 1 / b.n }}", false),
            ("{% set b = [] %}{% if b.append(a) %}{% endif %}{{ 1 / b|length }}", false),
            ("{{ 1 / ([0, 1] | random) }}", false),
            ("{{ a }}{{ 1 / ([0, 1] | random) }}", false),
            // Where it comes to.
            ("{% if a %}{{ 1 / 0 }}{% endif %}", false),
            ("{% if a %}{{ 1 / 0 }}{% else %}{% include 'x' %}{% endif %}", true),
            ("{% if a %}{{ 1 / 0 }}{% elif b %}{% else %}{% include 'x' %}{% endif %}", false),
            ("{% if 1 / 0 %}{{ a }}{% endif %}", true),
            ("{% if 1 %}{{ a | nope }}{% endif %}", true),
            ("{% if 0 %}{{ a | nope }}{% endif %}{{ a }}", false),
            ("{% if not a %}{{ a | nope }}{% endif %}", false),
            ("{{ a or 1 / 0 }}", false),
            ("{{ a and 1 / 0 }}", false),
            ("{{ 0 or a / (1 / 0) }}", true),
            ("{{ 1 / 0 or a }}", true),
            ("{{ 1 / 0 if a else 1 }}", false),
            ("{{ 1 / 0 if a else range(3) }}", true),
            ("{{ 1 / 0 if a }}", false),
            ("{{ a < 1 < 1 / 0 }}", false),
            ("{{ a < 1 / 0 }}", true),
            ("{% for b in a %}{{ 1 / 0 }}{% endfor %}", false),
            ("{% for b in a %}{{ 1 / 0 }}{% else %}{{ 1 / 0 }}{% endfor %}", true),
            ("{% for b in a if 1 / 0 %}{% endfor %}", false),
            ("{% for b in [1, 2] %}{{ a }}{{ 1 / 0 }}{% endfor %}", true),
            ("{% for b in [] %}{{ a }}{{ 1 / 0 }}{% endfor %}{{ a }}", false),
            ("{% for b in 1 / 0 %}{% endfor %}{{ a }}", true),
            ("{{ a }}{% for b in 1 %}{% endfor %}", true),
            ("{% block x %}{{ a }}{{ 1 / 0 }}{% endblock %}", true),
            ("{% set c = 0 %}{% block x %}{{ a / c }}{% endblock %}", false),
            ("{% filter upper %}{{ a }}{{ 1 / 0 }}{% endfilter %}", true),
            ("{% filter truncate(-1) %}{{ a }}{% endfilter %}", true),
            ("{% set b | truncate(-1) %}{{ a }}{% endset %}", true),
            ("{% autoescape a %}{{ 1 / 0 }}{% endautoescape %}", false),
            ("{% autoescape true %}{{ a }}{{ 1 / ('<' | e | length - 4) }}{% endautoescape %}", true),
            // Macros.
            ("{% macro m() %}{{ 1 / 0 }}{% endmacro %}{{ a }}", false),
            ("{% macro m() %}{{ 1 / 0 }}{% endmacro %}{{ a }}{{ m() }}", true),
            ("{% macro m(b) %}{{ 1 / b }}{% endmacro %}{{ a }}{{ m(0) }}", false),
            ("{% macro m(b) %}{% if b %}{{ m(b) }}{% else %}{{ 1 / 0 }}{% endif %}{% endmacro %}{{ m(a) }}", false),
            ("{% macro m(b) %}{{ m(b) }}{{ 1 / 0 }}{% endmacro %}{{ m(a) }}", true),
            ("{% macro m() %}{{ 1 / 0 }}{% endmacro %}{% set m = dict %}{{ a }}{{ m() }}", false),
            ("{% for x in a %}{% macro dict() %}{{ 1 / 0 }}{% endmacro %}{% endfor %}{{ dict() }}", false),
            ("{% macro m() %}{% include 'x' %}{% endmacro %}{{ a }}{% call m() %}{% endcall %}", true),
            // What is refused.
            ("{% include 'x' %}{{ a }}", true),
            ("{% include a %}", true),
            ("{% include 'x' ignore missing %}{{ a }}", false),
            ("{{ a }}{% import 'x' as y %}", true),
            ("{% for b in range(a) %}{% endfor %}", true),
            ("{{ range(*a) | list }}", true),
            ("{{ a is defined and range(3) }}", false),
            ("{% set range = a %}{{ range(3) }}", false),
            ("{{ a.__class__ }}", false),
            ("{{ a.__class__.b }}", true),
            ("{{ a.__class__['b'] }}", true),
            ("{{ a.__class__() }}", true),
            ("{{ a.b.__init__.__globals__ }}", true),
            ("{{ a['__class__'].b }}", false),
            ("{{ a.__nope__.b }}", false),
            ("{{ b if a else a.__class__.c }}", false),
            ("{% set a.b = 1 %}", true),
            ("{% set b = 1 %}{% set b.c = a %}", true),
            ("{% set b = a %}{% set b.c = 1 %}", false),
            // Arguments.
            ("{{ a | truncate(-1) }}", true),
            ("{{ a.b.c | truncate(length=-1) }}", true),
            ("{{ a | truncate(b) }}", false),
            ("{{ a | truncate(-1) | upper }}", true),
            ("{% set n = -1 %}{{ a | truncate(n) }}", true),
            ("{{ a | round(1, 'up') }}", true),
            ("{{ a | dictsort(false, 'x') }}", true),
            ("{{ a | dictsort }}", false),
            ("{{ a | format('b') }}", false),
            ("{{ a | default(1 / 0) }}", true),
            ("{{ a is divisibleby(0) }}", false),
            ("{{ 'x' | truncate(a) }}", false),
            ("{{ a.center(10 ** 12) }}", false),
            ("{{ a / 0 }}", true),
            ("{{ a // 0.0 }}", true),
            ("{{ a % 0 }}", false),
            ("{{ 0 / a }}", false),
        ];
        for (source, expected) in cases {
            let template = environment().compile(source).unwrap();
            assert_eq!(template.surely_fails(&STEADY), expected, "{source}");
        }
    }

    #[test]
    fn what_is_foregone_is_what_a_template_renders_to_without_data_if_it_asks_for_none() {
        let cases = [
            ("", Some(Ok(""))),
            ("text", Some(Ok("text"))),
            ("{# why #}{{ 'a' ~ 1 }}", Some(Ok("a1"))),
            ("{% set a = 1 %}{{ a }}", Some(Ok("1"))),
            ("{% set a = a %}{{ a }}", None),
            ("{{ a }}{% set a = 1 %}", None),
            (
                "{% set n = namespace(a=1) %}{% for i in [1, 2] %}{% set n.a = n.a + i %}{% endfor %}{{ n.a }}",
                Some(Ok("4")),
            ),
            ("{% macro m(x) %}{{ x }}{{ varargs|length }}{% endmacro %}{{ m(1, 2) }}", Some(Ok("11"))),
            ("{% block x %}b{% endblock %}{{ self.x() }}", Some(Ok("bb"))),
            ("{% if 0 %}{{ a }}{% endif %}", Some(Ok(""))),
            ("{{ 1 / 0 }}{{ a }}", Some(Err("division by zero"))),
            ("{{ 'a' is defined }}", Some(Ok("True"))),
            ("{{ a is defined }}", None),
            ("{{ a }}{{ 1 / 0 }}", None),
            ("{{ lipsum() }}", None),
            ("{{ [1]|random }}", None),
            ("{{ [[1]]|map('random')|list }}", None),
        ];
        for (source, expected) in cases {
            let foregone = environment().compile(source).unwrap().foregone(&STEADY);
            let met = foregone.as_ref().map(|rendered| {
                rendered.as_ref().map(String::as_str).map_err(|Error { message, .. }| message.as_str())
            });
            assert_eq!(met, expected, "{source}");
        }
    }

    #[test]
    fn it_is_looked_no_deeper_than_there_is_stack_for() {
        let macros = |count: usize| {
            let definitions = (0..count).map(|at| format!("{{%macro m{at}()%}}{{{{m{}()}}}}{{%endmacro%}}", at + 1));
            definitions.collect::<String>() + "{{ a }}{{ m0() }}"
        };
        let ifs = |depth: usize, inner: &str| "{% if 1 %}{{ a }}".repeat(depth) + inner + &"{% endif %}".repeat(depth);
        let cases = [
            (macros(3) + "{% include 'x' %}", true),
            (macros(5000) + "{% include 'x' %}", true),
            (macros(5000), false),
            (macros(20) + "{% macro m20() %}{% include 'x' %}{% endmacro %}", true),
            (ifs(90, "{% include 'x' %}"), true),
            (ifs(20, &format!("{{{{ a{} }}}}", " + a".repeat(40))) + "{% include 'x' %}", true),
            (ifs(20, &format!("{{{{ a{} / 0 }}}}", " + a".repeat(40))), true),
            (ifs(20, &format!("{{{{ 1{} + 'x' }}}}", " + 1".repeat(40))), true),
        ];
        for (source, expected) in cases {
            let template = environment().compile(&source).unwrap();
            assert_eq!(template.surely_fails(&STEADY), expected, "{source:.200}");
        }
    }

    #[test]
    fn nothing_is_certain_because_the_time_was_over() {
        let mut slow = environment();
        let mut limits = slow.limits();
        limits.time = Duration::ZERO;
        slow.set_limits(limits);
        for source in ["{% for i in 'x' * 2000 %}{{ i }}{% endfor %}", "{{ a }}{{ 'x' * 1000000 }}", "{{ 1 / 0 }}"] {
            let template = slow.compile(source).unwrap();
            assert_eq!((template.foregone(&STEADY), template.surely_fails(&STEADY)), (None, false), "{source}");
        }
        // That it takes too many steps, or makes too much, is.
        let mut limits = slow.limits();
        (limits.time, limits.steps) = (Duration::from_secs(60), 1000);
        slow.set_limits(limits);
        for source in ["{% for i in 'x' * 2000 %}{{ i }}{% endfor %}", "{{ a }}{{ 'x' * 100000000 }}"] {
            assert!(slow.compile(source).unwrap().surely_fails(&STEADY), "{source}");
        }
    }
}

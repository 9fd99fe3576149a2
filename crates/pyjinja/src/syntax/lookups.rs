//! What a template looks up: names of its data, and the attributes and items of these.

use std::sync::Arc;

use crate::{
    environment::Template,
    eval::{function::Filter, scope::Symbol},
    syntax::program::{CallArguments, Const, Expr, Macro, Node, Program, Target},
};

/// A name that a template finds in its data or among the environment's globals, and what it looks up there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub name: Arc<str>,
    /// The attributes and items with constant names, one in another, as far as they go.
    pub path: Vec<Arc<str>>,
    /// Whether the last of them, or else the name itself, is called.
    pub is_called: bool,
    /// Whether the last of them, or else the name itself, may well be missing: a test asks whether it is defined, or `default`
    /// takes its place.
    pub is_optional: bool,
    /// The line of the statement, from 1.
    pub line: usize,
}

impl Template {
    /// What it looks up in its data, in the order of the text. Names that the template sets anywhere are left out.
    ///
    /// ```
    /// let template = pyjinja::Environment::new().compile("{% set a = b['c'].d %}{{ a.e }}{{ f.get('g') }}")?;
    /// let lookups = template.lookups();
    /// let found: Vec<_> = lookups.iter().map(|lookup| (&*lookup.name, lookup.path.join("."), lookup.is_called)).collect();
    /// assert_eq!(found, [("b", "c.d".to_owned(), false), ("f", "get".to_owned(), true)]);
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn lookups(&self) -> Vec<Lookup> {
        let registry = &self.registry;
        let filters = ["default", "d"].iter().filter_map(|name| registry.filter(name));
        let tests = ["defined", "undefined"].iter().filter_map(|name| registry.test(name));
        let mut reader = Reader::new(&self.program, filters.chain(tests).collect());
        reader.body(&self.program.body);
        let Reader { set, lookups, .. } = reader;
        lookups.into_iter().filter(|(symbol, _)| !set.contains(symbol)).map(|(_, lookup)| lookup).collect()
    }
}

/// The variables that these nodes of a program set, each as often as it is set, and the macros that they define.
pub(crate) fn assigned<'a>(program: &'a Program, nodes: &'a [Node]) -> (Vec<Symbol>, Vec<&'a Macro>) {
    let mut reader = Reader::new(program, Vec::new());
    reader.body(nodes);
    (reader.set, reader.macros)
}

/// What is done with what is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Its value is taken.
    Plain,
    /// It is called.
    Called,
    /// It may be missing.
    Optional,
}

struct Reader<'a> {
    program: &'a Program,
    /// The variables that the template sets somewhere.
    set: Vec<Symbol>,
    macros: Vec<&'a Macro>,
    lookups: Vec<(Symbol, Lookup)>,
    /// The filters and tests for which a value may be missing.
    forgiving: Vec<&'a Filter>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn new(program: &'a Program, forgiving: Vec<&'a Filter>) -> Self {
        // `self` is the template itself, where it has blocks.
        let set = program.self_symbol.into_iter().collect();
        Self { program, set, macros: Vec::new(), lookups: Vec::new(), forgiving, line: 1 }
    }

    fn body(&mut self, nodes: &'a [Node]) {
        nodes.iter().for_each(|node| self.node(node));
    }

    fn node(&mut self, node: &'a Node) {
        match node {
            Node::Raw(_) => {}
            Node::Emit { value, line, .. } => self.at(*line, value),
            Node::For(node) => {
                self.set(&node.target);
                self.set.push(node.loop_symbol);
                self.at(node.line, &node.items);
                self.all(&node.filter);
                self.body(&node.body);
                self.body(&node.otherwise);
            }
            Node::If { test, then, otherwise, line } => {
                self.at(*line, test);
                self.body(then);
                self.body(otherwise);
            }
            Node::With { assignments, body, line } => {
                for (target, value) in assignments {
                    self.at(*line, value);
                    self.set(target);
                }
                self.body(body);
            }
            Node::Set { target, value, line } => {
                self.at(*line, value);
                self.set(target);
            }
            Node::SetBlock { target, filter, body, line } => {
                self.line = *line;
                self.all(filter);
                self.set(target);
                self.body(body);
            }
            Node::AutoEscape { enabled: value, body, line } | Node::FilterBlock { filter: value, body, line } => {
                self.at(*line, value);
                self.body(body);
            }
            Node::Block(node) => {
                self.set.extend(node.super_symbol);
                self.body(&node.body);
            }
            Node::Macro(node) => {
                self.macros.push(node);
                self.macro_definition(node);
            }
            Node::CallBlock { callee, arguments, caller, line } => {
                self.at(*line, callee);
                self.arguments(arguments);
                self.macro_definition(caller);
            }
            Node::Missing { template, line, .. } => self.at(*line, template),
        }
    }

    fn macro_definition(&mut self, node: &'a Macro) {
        self.line = node.line;
        self.set.push(node.symbol);
        self.set.extend(&node.parameters);
        self.set.extend([node.varargs, node.kwargs, node.caller].into_iter().flatten());
        self.all(&node.defaults);
        self.body(&node.body);
    }

    /// Notes what an assignment sets. One to an attribute sets no name.
    fn set(&mut self, target: &Target) {
        self.set.extend(target.names());
    }

    fn at(&mut self, line: usize, expression: &'a Expr) {
        self.line = line;
        self.expression(expression);
    }

    fn all(&mut self, expressions: impl IntoIterator<Item = &'a Expr>) {
        expressions.into_iter().for_each(|expression| self.expression(expression));
    }

    fn arguments(&mut self, arguments: &'a CallArguments) {
        self.all(&arguments.positional);
        self.all(arguments.named.iter().map(|(_, value)| value));
        self.all(arguments.splat.as_deref());
        self.all(arguments.splats.as_deref());
    }

    fn expression(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Const(_) | Expr::Unknown(..) => {}
            Expr::Name(_) | Expr::Attribute(..) | Expr::Item(_) => self.chain(expression, Use::Plain),
            Expr::Call { callee, arguments } => {
                self.chain(callee, Use::Called);
                self.arguments(arguments);
            }
            Expr::List(items) | Expr::Tuple(items) | Expr::Concatenate(items) => self.all(items),
            Expr::Dict(pairs) => self.all(pairs.iter().flat_map(|(key, value)| [key, value])),
            Expr::Slice(parts) => self.all(&**parts),
            Expr::Sign(_, value) | Expr::Not(value) => self.expression(value),
            Expr::Binary(_, pair) | Expr::And(pair) | Expr::Or(pair) => self.all(&**pair),
            Expr::Compare(first, rest) => {
                self.expression(first);
                self.all(rest.iter().map(|(_, value)| value));
            }
            Expr::Conditional { test, then, otherwise, .. } => {
                self.all([&**test, &**then]);
                self.all(otherwise.as_deref());
            }
            Expr::Filter { function, value, arguments } => {
                if let Some(value) = value {
                    self.given_to(function, value);
                }
                self.arguments(arguments);
            }
            Expr::Test { function, value, arguments } => {
                self.given_to(function, value);
                self.arguments(arguments);
            }
        }
    }

    /// Takes in what a filter or a test is applied to.
    fn given_to(&mut self, function: &Filter, value: &'a Expr) {
        let is_optional = self.forgiving.iter().any(|known| known.is(function));
        match value {
            Expr::Name(_) | Expr::Attribute(..) | Expr::Item(_) if is_optional => self.chain(value, Use::Optional),
            _ => self.expression(value),
        }
    }

    /// Takes in an expression that may be a name with attributes and items. What is looked up by what is not constant ends the
    /// path.
    fn chain(&mut self, expression: &'a Expr, used: Use) {
        let mut keys: Vec<Option<&Arc<str>>> = Vec::new();
        let mut inner = expression;
        loop {
            match inner {
                Expr::Attribute(value, name) => {
                    keys.push(Some(name));
                    inner = value;
                }
                Expr::Item(pair) => {
                    match &pair[1] {
                        Expr::Const(Const::Str(name)) => keys.push(Some(name)),
                        other => {
                            self.expression(other);
                            keys.push(None);
                        }
                    }
                    inner = &pair[0];
                }
                Expr::Name(symbol) => {
                    let path: Vec<Arc<str>> = keys.iter().rev().map_while(|key| key.cloned()).collect();
                    let used = if path.len() == keys.len() { used } else { Use::Plain };
                    let Some(name) = self.program.names.get(*symbol).cloned() else { return };
                    let (is_called, is_optional) = (used == Use::Called, used == Use::Optional);
                    self.lookups.push((*symbol, Lookup { name, path, is_called, is_optional, line: self.line }));
                    return;
                }
                other => return self.expression(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Environment;

    #[test]
    fn a_template_tells_what_it_looks_up_and_nothing_that_it_sets_itself() {
        let cases: [(&str, &[&str]); 29] = [
            ("text {# {{ a }} #}{% raw %}{{ a }}{% endraw %}", &[]),
            ("{{ a }}", &["1 a"]),
            ("{{ a.b['c'][d].e }}", &["1 d", "1 a.b.c"]),
            ("{{ a[0].b }}", &["1 a"]),
            ("{{ a.b() }}{{ a() }}{{ a[0]() }}", &["1 a.b()", "1 a()", "1 a"]),
            ("{{ a.b().c }}", &["1 a.b()"]),
            ("\n{{ a | default(b.c, boolean=d) }}", &["2 a?", "2 b.c", "2 d"]),
            ("{{ a.b is defined }}{{ a['c'] is undefined }}{{ not a is not defined }}", &["1 a.b?", "1 a.c?", "1 a?"]),
            ("{{ (a | d(1)).b }}{{ a.b | d | upper }}{{ a | upper | d }}", &["1 a?", "1 a.b?", "1 a"]),
            ("{{ a[b] | default(1) }}{{ a.c[0] is defined }}", &["1 b", "1 a", "1 a.c"]),
            ("{{ a() is defined }}{{ a.b() | default(1) }}", &["1 a()", "1 a.b()"]),
            ("{{ (a or b) is defined }}{{ [a] | d }}", &["1 a", "1 b", "1 a"]),
            ("{{ a is string }}{{ a is number }}{{ a | tojson }}", &["1 a", "1 a", "1 a"]),
            (
                "{% if a is divisibleby b %}\n{{ c }}{% elif d %}{% else %}{{ e }}{% endif %}",
                &["1 a", "1 b", "2 c", "2 d", "2 e"],
            ),
            (
                "{% for x in a.b if x.c and y %}{{ x.d }}{{ loop.index }}{% else %}{{ z }}{% endfor %}",
                &["1 a.b", "1 y", "1 z"],
            ),
            ("{% for k, v in a.items() %}{{ k }}{{ v }}{% endfor %}", &["1 a.items()"]),
            ("{% set x = a %}{{ x.b }}", &["1 a"]),
            ("{{ x }}{% if a %}{% set x = 1 %}{% endif %}", &["1 a"]),
            ("{% set x | upper %}{{ a }}{% endset %}{{ x }}", &["1 a"]),
            ("{% set ns = namespace(n=a) %}{% set ns.n = b %}{{ ns.n }}", &["1 namespace()", "1 a", "1 b"]),
            ("{% with x = a, y = x %}{{ y }}{{ b }}{% endwith %}", &["1 a", "1 b"]),
            ("{% macro m(x, y=a) %}{{ x }}{{ y }}{{ varargs }}{{ b }}{% endmacro %}{{ m(c) }}", &["1 a", "1 b", "1 c"]),
            ("{% call m(a) %}{{ b }}{% endcall %}{% macro m(x) %}{{ caller() }}{% endmacro %}", &["1 a", "1 b"]),
            ("{% filter replace('x', a) %}{{ b }}{% endfilter %}", &["1 a", "1 b"]),
            ("{{ [a, (b,), {c: d}] ~ -e ~ (not f) }}", &["1 a", "1 b", "1 c", "1 d", "1 e", "1 f"]),
            (
                "{{ a[b:c] }}{{ d if e else f }}{{ g and h or i < j }}",
                &["1 a", "1 b", "1 c", "1 e", "1 d", "1 f", "1 g", "1 h", "1 i", "1 j"],
            ),
            ("{{ a(*b, **c) }}", &["1 a()", "1 b", "1 c"]),
            ("{% block x %}{{ super() }}{{ self.x() }}{{ a }}{% endblock %}", &["1 a"]),
            ("{% block x %}{{ a }}{% endblock %}{% autoescape b %}{{ c }}{% endautoescape %}", &["1 a", "1 b", "1 c"]),
        ];
        for (source, expected) in cases {
            let lookups = Environment::new().compile(source).unwrap().lookups();
            let met: Vec<String> = lookups
                .iter()
                .map(|lookup| {
                    let path: Vec<&str> =
                        [&*lookup.name].into_iter().chain(lookup.path.iter().map(|key| &**key)).collect();
                    let used = match (lookup.is_called, lookup.is_optional) {
                        (true, _) => "()",
                        (_, true) => "?",
                        _ => "",
                    };
                    format!("{} {}{used}", lookup.line, path.join("."))
                })
                .collect();
            assert_eq!(met, expected, "{source}");
        }
    }
}

//! What a template looks up: names of its data, and the attributes and items of these.

use std::{borrow::Cow, sync::Arc};

use crate::{
    environment::Template,
    eval::scope::Symbol,
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
        let mut reader = Reader::new(&self.program);
        reader.body(&self.program.body);
        let Reader { set, lookups, .. } = reader;
        lookups.into_iter().filter(|(symbol, _)| !set.contains(symbol)).map(|(_, lookup)| lookup).collect()
    }

    /// The texts and whole numbers that stand in its expressions, as texts, each once.
    ///
    /// ```
    /// let template = pyjinja::Environment::new().compile("{{ a == 'x' and b > 3 and c.d != 'x' }}")?;
    /// assert_eq!(template.literals(), ["x", "3"]);
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn literals(&self) -> Vec<String> {
        let mut reader = Reader::new(&self.program);
        reader.body(&self.program.body);
        let mut found: Vec<String> = Vec::new();
        for text in reader.texts {
            if !found.iter().any(|known| *known == text) {
                found.push(text.into_owned());
            }
        }
        found
    }
}

struct Reader<'a> {
    program: &'a Program,
    /// The variables that the template sets somewhere.
    set: Vec<Symbol>,
    lookups: Vec<(Symbol, Lookup)>,
    texts: Vec<Cow<'a, str>>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn new(program: &'a Program) -> Self {
        // `self` is the template itself, where it has blocks.
        let set = program.self_symbol.into_iter().collect();
        Self { program, set, lookups: Vec::new(), texts: Vec::new(), line: 1 }
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
            Node::Macro(node) => self.macro_definition(node),
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
            Expr::Const(Const::Str(text)) => self.texts.push(Cow::Borrowed(&**text)),
            Expr::Const(Const::Int(number)) => self.texts.push(Cow::Owned(number.to_string())),
            Expr::Const(_) | Expr::Unknown(..) => {}
            Expr::Name(_) | Expr::Attribute(..) | Expr::Item(_) => self.chain(expression, false),
            Expr::Call { callee, arguments } => {
                self.chain(callee, true);
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
            Expr::Filter { value, arguments, .. } => {
                self.all(value.as_deref());
                self.arguments(arguments);
            }
            Expr::Test { value, arguments, .. } => {
                self.expression(value);
                self.arguments(arguments);
            }
        }
    }

    /// Takes in an expression that may be a name with attributes and items. What is looked up by what is not constant ends the
    /// path.
    fn chain(&mut self, expression: &'a Expr, is_called: bool) {
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
                    let is_called = is_called && path.len() == keys.len();
                    let Some(name) = self.program.names.get(*symbol).cloned() else { return };
                    self.lookups.push((*symbol, Lookup { name, path, is_called, line: self.line }));
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
        let cases: [(&str, &[&str]); 23] = [
            ("text {# {{ a }} #}{% raw %}{{ a }}{% endraw %}", &[]),
            ("{{ a }}", &["1 a"]),
            ("{{ a.b['c'][d].e }}", &["1 d", "1 a.b.c"]),
            ("{{ a[0].b }}", &["1 a"]),
            ("{{ a.b() }}{{ a() }}{{ a[0]() }}", &["1 a.b()", "1 a()", "1 a"]),
            ("{{ a.b().c }}", &["1 a.b()"]),
            ("\n{{ a | default(b.c, boolean=d) }}", &["2 a", "2 b.c", "2 d"]),
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
                    format!("{} {}{}", lookup.line, path.join("."), if lookup.is_called { "()" } else { "" })
                })
                .collect();
            assert_eq!(met, expected, "{source}");
        }
    }
}

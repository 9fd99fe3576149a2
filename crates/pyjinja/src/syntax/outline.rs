//! What a template does, as far as its cost depends on that.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};

/// What a template does, as far as its cost depends on that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// How many expressions it prints or decides by, and steps of these.
    pub expressions: usize,
    /// Whether it does something again and again, calls something, or computes: its cost may be anything within the limits.
    pub is_open_ended: bool,
    /// The names of the filters and tests that it uses, each once.
    pub filters: Vec<String>,
    /// How many filters stand in a row at most, each working on what the one before it made.
    pub filters_in_a_row: usize,
}

impl Outline {
    /// The outline of a syntax tree.
    pub(crate) fn of(tree: &Stmt) -> Self {
        let mut outline = Self::default();
        outline.statement(tree);
        outline
    }

    fn body(&mut self, statements: &[Stmt]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => drop(self.expression(&emit.expr)),
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.body(&condition.true_body);
                self.body(&condition.false_body);
            }
            _ => self.is_open_ended = true,
        }
    }

    fn all<'a>(&mut self, expressions: impl IntoIterator<Item = &'a Expr<'a>>) -> usize {
        expressions.into_iter().map(|expression| self.expression(expression)).max().unwrap_or_default()
    }

    /// Takes in an expression. Returns how many filters stand in a row in it.
    fn expression(&mut self, expression: &Expr) -> usize {
        self.expressions += 1;
        let row = match expression {
            Expr::Var(_) | Expr::Const(_) => 0,
            Expr::GetAttr(node) => self.expression(&node.expr),
            Expr::GetItem(node) => self.all([&node.expr, &node.subscript_expr]),
            Expr::UnaryOp(node) => self.expression(&node.expr),
            Expr::Compare(node) => self.all([&node.expr].into_iter().chain(node.ops.iter().map(|op| &op.expr))),
            Expr::IfExpr(node) => {
                self.all([&node.test_expr, &node.true_expr].into_iter().chain(node.false_expr.as_ref()))
            }
            Expr::BinOp(node) => {
                use BinOpKind as Op;
                let plain = matches!(
                    node.op,
                    Op::Eq | Op::Ne | Op::Lt | Op::Lte | Op::Gt | Op::Gte | Op::ScAnd | Op::ScOr | Op::In | Op::Concat
                );
                self.is_open_ended |= !plain;
                self.all([&node.left, &node.right])
            }
            Expr::Filter(node) => self.filter(node.name, node.expr.as_ref(), &node.args) + 1,
            Expr::Test(node) => self.filter(node.name, Some(&node.expr), &node.args),
            _ => {
                self.is_open_ended = true;
                0
            }
        };
        self.filters_in_a_row = self.filters_in_a_row.max(row);
        row
    }

    fn filter(&mut self, name: &str, value: Option<&Expr>, arguments: &[CallArg]) -> usize {
        if !self.filters.iter().any(|known| known == name) {
            self.filters.push(name.to_owned());
        }
        let mut row = self.all(value);
        for argument in arguments {
            match argument {
                CallArg::Pos(value) | CallArg::Kwarg(_, value) => row = row.max(self.expression(value)),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => self.is_open_ended = true,
            }
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use crate::Environment;

    #[test]
    fn an_outline_tells_what_the_cost_of_a_template_depends_on() {
        type Expected = (usize, bool, &'static [&'static str], usize);
        let cases: [(&str, Expected); 16] = [
            ("", (0, false, &[], 0)),
            ("plain text", (0, false, &[], 0)),
            ("{# {{ a }} #}{% raw %}{{ a }}{% endraw %}", (0, false, &[], 0)),
            ("{{ a }}", (1, false, &[], 0)),
            ("{{ a.b['c'] }}", (4, false, &[], 0)),
            ("{{ a | upper }} {{ b | tojson | e }}", (5, false, &["upper", "e", "tojson"], 2)),
            ("{% if a == 'x' and b is defined %}{{ c }}{% else %}{{ d }}{% endif %}", (8, false, &["defined"], 0)),
            ("{{ a ~ (b | default(c | lower)) }}", (6, false, &["default", "lower"], 2)),
            ("{{ a if b else c }}", (4, false, &[], 0)),
            ("{{ a * 3 }}", (3, true, &[], 0)),
            ("{{ a.upper() }}", (1, true, &[], 0)),
            ("{% for x in a %}{{ x }}{% endfor %}", (0, true, &[], 0)),
            ("{% set x = a %}{{ x }}", (1, true, &[], 0)),
            ("{% macro m() %}{% endmacro %}", (0, true, &[], 0)),
            ("{% filter upper %}a{% endfilter %}", (0, true, &[], 0)),
            ("{{ a[1:] }}", (1, true, &[], 0)),
        ];
        for (source, expected) in cases {
            let template = Environment::new().compile(source).unwrap();
            let outline = template.outline();
            let filters: Vec<&str> = outline.filters.iter().map(String::as_str).collect();
            let met = (outline.expressions, outline.is_open_ended, &*filters, outline.filters_in_a_row);
            assert_eq!(met, expected, "{source}");
        }
    }
}

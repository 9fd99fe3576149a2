//! From minijinja's syntax tree to a program.

use std::{borrow::Cow, sync::Arc};

use minijinja::{
    machinery::{Span, ast, parse},
    value::ValueKind,
};
use num_bigint::BigInt;

use crate::{
    eval::{registry::Registry, scope::Symbol},
    python::{
        comparison::Comparison,
        exception::{Exception, ExceptionClass, PyResult},
        object::Operator,
    },
    syntax::{
        dialect,
        errors::{self, BlockKind},
        outline::Outline,
        program::{Block, CallArguments, Const, Expr, For, Macro, Node, Program, Target},
    },
};

/// Compiles a template.
///
/// # Errors
/// Jinja2 would refuse it.
pub(crate) fn compile(source: &str, registry: &Registry) -> PyResult<Program> {
    let source = dialect::with_newlines(source);
    let checked = errors::check(&source)?;
    let spelled = dialect::for_minijinja(&source, checked.insertions);
    let tree = parse(&spelled, "template", minijinja::syntax::SyntaxConfig::default()).map_err(|error| Exception {
        class: ExceptionClass::TemplateSyntaxError,
        message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        line: error.line().and_then(|line| u32::try_from(line).ok()),
        column: None,
    })?;
    let kinds = checked.blocks;
    // Names in another spelling stand elsewhere.
    let source = matches!(spelled, Cow::Borrowed(_)).then_some(&*spelled);
    let mut compiler =
        Compiler { registry, source, names: Vec::new(), conditions: 0, macros: Vec::new(), kinds, blocks: Vec::new() };
    let body = match &tree {
        ast::Stmt::Template(template) => compiler.body(&template.children)?,
        other => compiler.body(std::slice::from_ref(other))?,
    };
    let self_symbol = compiler.known("self");
    let Compiler { names, blocks, .. } = compiler;
    Ok(Program { body, names, blocks, self_symbol, outline: Outline::of(&tree) })
}

fn syntax_error<T>(message: &str) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::TemplateSyntaxError, message))
}

struct Compiler<'a> {
    registry: &'a Registry,
    /// The template's text, where the names of the tree are parts of it.
    source: Option<&'a str>,
    names: Vec<Arc<str>>,
    /// How many conditions stand around: a filter or test that is unknown there raises only when it is met.
    conditions: usize,
    /// For each macro around, which of [`SPECIAL`] it names.
    macros: Vec<[bool; 3]>,
    /// The kinds of all blocks, by their names.
    kinds: Vec<(&'a str, BlockKind)>,
    blocks: Vec<Arc<Block>>,
}

/// The variables that a macro has if it names them.
const SPECIAL: [&str; 3] = ["varargs", "kwargs", "caller"];

fn line(span: Span) -> usize {
    usize::from(span.start_line)
}

impl Compiler<'_> {
    fn symbol(&mut self, name: &str) -> Symbol {
        self.names.iter().position(|known| **known == *name).unwrap_or_else(|| {
            self.names.push(Arc::from(name));
            self.names.len() - 1
        })
    }

    fn known(&self, name: &str) -> Option<Symbol> {
        self.names.iter().position(|known| **known == *name)
    }

    fn block(&mut self, node: &ast::Block, line: usize) -> PyResult<Arc<Block>> {
        let kind = self.kinds.iter().find(|(name, _)| *name == node.name);
        let BlockKind { scoped, required } = kind.map(|(_, kind)| *kind).unwrap_or_default();
        let body = self.body(&node.body)?;
        let super_symbol = self.known("super");
        let block = Arc::new(Block { name: Arc::from(node.name), body, scoped, required, super_symbol, line });
        self.blocks.push(Arc::clone(&block));
        Ok(block)
    }

    fn body(&mut self, statements: &[ast::Stmt]) -> PyResult<Vec<Node>> {
        statements.iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &ast::Stmt) -> PyResult<Node> {
        use ast::Stmt;
        Ok(match statement {
            Stmt::EmitRaw(raw) => Node::Raw(Arc::from(raw.raw)),
            Stmt::EmitExpr(emit) => {
                let line = line(emit.span());
                let value = self.expression(&emit.expr).map_err(|exception| exception.at(line))?;
                Node::Emit { constant: value.is_constant(), value, line }
            }
            Stmt::ForLoop(node) => {
                let line = line(node.span());
                Node::For(Arc::new(self.for_loop(node, line).map_err(|exception| exception.at(line))?))
            }
            Stmt::IfCond(node) => self.in_condition(|compiler| {
                Ok(Node::If {
                    test: compiler.expression(&node.expr)?,
                    then: compiler.body(&node.true_body)?,
                    otherwise: compiler.body(&node.false_body)?,
                    line: line(node.span()),
                })
            })?,
            Stmt::WithBlock(node) => {
                let assignments = node.assignments.iter();
                let assignments =
                    assignments.map(|(target, value)| Ok((self.target(target)?, self.expression(value)?)));
                let assignments = assignments.collect::<PyResult<_>>()?;
                Node::With { assignments, body: self.body(&node.body)?, line: line(node.span()) }
            }
            Stmt::Set(node) => Node::Set {
                target: self.target(&node.target)?,
                value: self.expression(&node.expr)?,
                line: line(node.span()),
            },
            Stmt::SetBlock(node) => Node::SetBlock {
                target: self.target(&node.target)?,
                filter: node.filter.as_ref().map(|filter| self.expression(filter)).transpose()?,
                body: self.body(&node.body)?,
                line: line(node.span()),
            },
            Stmt::AutoEscape(node) => Node::AutoEscape {
                enabled: self.expression(&node.enabled)?,
                body: self.body(&node.body)?,
                line: line(node.span()),
            },
            Stmt::FilterBlock(node) => Node::FilterBlock {
                filter: self.expression(&node.filter)?,
                body: self.body(&node.body)?,
                line: line(node.span()),
            },
            Stmt::Block(node) => Node::Block(self.block(node, line(node.span()))?),
            Stmt::Macro(node) => {
                let name = Some(Arc::from(node.name));
                Node::Macro(Arc::new(self.macro_definition(node, name, line(node.span()))?))
            }
            Stmt::CallBlock(node) => Node::CallBlock {
                callee: self.expression(&node.call.expr)?,
                arguments: self.arguments(&node.call.args)?,
                caller: Arc::new(self.macro_definition(&node.macro_decl, None, line(node.span()))?),
                line: line(node.span()),
            },
            Stmt::Include(node) => self.missing(&node.name, node.ignore_missing, node.span())?,
            Stmt::Import(node) => self.missing(&node.expr, false, node.span())?,
            Stmt::FromImport(node) => self.missing(&node.expr, false, node.span())?,
            Stmt::Extends(node) => self.missing(&node.name, false, node.span())?,
            Stmt::Template(_) => return syntax_error("a template can't stand in a template"),
            Stmt::Do(_) => return syntax_error("Encountered unknown tag 'do'."),
        })
    }

    fn missing(&mut self, template: &ast::Expr, ignore: bool, span: Span) -> PyResult<Node> {
        Ok(Node::Missing { template: self.expression(template)?, ignore, line: line(span) })
    }

    fn for_loop(&mut self, node: &ast::ForLoop, line: usize) -> PyResult<For> {
        let loop_symbol = self.symbol("loop");
        let target = self.target(&node.target)?;
        if target.names().contains(&loop_symbol) {
            return syntax_error("Can't assign to special loop variable in for-loop target");
        }
        Ok(For {
            target,
            items: self.expression(&node.iter)?,
            filter: node.filter_expr.as_ref().map(|filter| self.expression(filter)).transpose()?,
            recursive: node.recursive,
            body: self.body(&node.body)?,
            otherwise: self.body(&node.else_body)?,
            loop_symbol,
            line,
        })
    }

    fn macro_definition(&mut self, node: &ast::Macro, name: Option<Arc<str>>, line: usize) -> PyResult<Macro> {
        let names: Vec<&str> = node
            .args
            .iter()
            .filter_map(|parameter| match parameter {
                ast::Expr::Var(name) => Some(name.id),
                _ => None,
            })
            .collect();
        let parameters = names.iter().map(|name| self.symbol(name)).collect();
        self.macros.push([false; 3]);
        let defaults = self.all(&node.defaults)?;
        let body = self.body(&node.body)?;
        let named = self.macros.pop().unwrap_or_default();
        let mut special = |at: usize| (named[at] && !names.contains(&SPECIAL[at])).then(|| self.symbol(SPECIAL[at]));
        let (varargs, kwargs, caller) = (special(0), special(1), special(2));
        Ok(Macro {
            name,
            symbol: self.symbol(node.name),
            parameters,
            names: names.into_iter().map(Arc::from).collect(),
            defaults,
            body,
            varargs,
            kwargs,
            caller,
            line,
        })
    }

    fn target(&mut self, target: &ast::Expr) -> PyResult<Target> {
        Ok(match target {
            ast::Expr::Var(name) => Target::Name(self.symbol(name.id)),
            ast::Expr::List(list) => {
                Target::Tuple(list.items.iter().map(|item| self.target(item)).collect::<PyResult<_>>()?)
            }
            ast::Expr::GetAttr(attribute) => match &attribute.expr {
                ast::Expr::Var(name) => Target::Attribute(self.symbol(name.id), Arc::from(attribute.name)),
                _ => return syntax_error("cannot assign to an attribute of an expression"),
            },
            _ => return syntax_error("cannot assign to an expression"),
        })
    }

    fn boxed(&mut self, expression: &ast::Expr) -> PyResult<Box<Expr>> {
        self.expression(expression).map(Box::new)
    }

    fn pair(&mut self, left: &ast::Expr, right: &ast::Expr) -> PyResult<Box<[Expr; 2]>> {
        Ok(Box::new([self.expression(left)?, self.expression(right)?]))
    }

    fn all(&mut self, expressions: &[ast::Expr]) -> PyResult<Vec<Expr>> {
        expressions.iter().map(|expression| self.expression(expression)).collect()
    }

    fn expression(&mut self, expression: &ast::Expr) -> PyResult<Expr> {
        Ok(match expression {
            ast::Expr::Var(name) => {
                if let Some(at) = SPECIAL.iter().position(|special| *special == name.id) {
                    self.macros.iter_mut().for_each(|named| named[at] = true);
                }
                Expr::Name(self.symbol(name.id))
            }
            ast::Expr::Const(constant) => Expr::Const(literal(&constant.value)),
            ast::Expr::Slice(slice) => self.slice(slice)?,
            ast::Expr::UnaryOp(unary) => match (&unary.op, self.expression(&unary.expr)?) {
                (ast::UnaryOpKind::Not, value) => Expr::Not(Box::new(value)),
                // Two minuses are how a unary plus is spelled for minijinja.
                (ast::UnaryOpKind::Neg, Expr::Sign(Operator::Neg, value)) => Expr::Sign(Operator::Pos, value),
                (ast::UnaryOpKind::Neg, value) => Expr::Sign(Operator::Neg, Box::new(value)),
            },
            ast::Expr::BinOp(binary) => self.binary(binary)?,
            ast::Expr::Compare(compare) => self.compare(compare)?,
            ast::Expr::IfExpr(conditional) => self.in_condition(|compiler| {
                Ok(Expr::Conditional {
                    test: compiler.boxed(&conditional.test_expr)?,
                    then: compiler.boxed(&conditional.true_expr)?,
                    otherwise: conditional.false_expr.as_ref().map(|other| compiler.boxed(other)).transpose()?,
                    line: line(conditional.span()),
                })
            })?,
            ast::Expr::Filter(filter) => {
                let value = filter.expr.as_ref().map(|value| self.boxed(value)).transpose()?;
                let arguments = self.arguments(&filter.args)?;
                match self.registry.filter(filter.name).cloned() {
                    Some(function) => Expr::Filter { function, value, arguments },
                    None => self.unknown("filter", filter.name, line(filter.span()))?,
                }
            }
            ast::Expr::Test(test) => {
                let value = self.boxed(&test.expr)?;
                let arguments = self.arguments(&test.args)?;
                match self.registry.test(test.name).cloned() {
                    Some(function) => Expr::Test { function, value, arguments },
                    None => self.unknown("test", test.name, line(test.span()))?,
                }
            }
            ast::Expr::GetAttr(attribute) => Expr::Attribute(self.boxed(&attribute.expr)?, Arc::from(attribute.name)),
            ast::Expr::GetItem(item) => Expr::Item(self.pair(&item.expr, &item.subscript_expr)?),
            ast::Expr::Call(call) => {
                Expr::Call { callee: self.boxed(&call.expr)?, arguments: self.arguments(&call.args)? }
            }
            ast::Expr::List(list) => Expr::List(self.all(&list.items)?),
            ast::Expr::Tuple(tuple) => Expr::Tuple(self.all(&tuple.items)?),
            ast::Expr::Map(map) => {
                let pairs = map.keys.iter().zip(&map.values);
                let pairs = pairs.map(|(key, value)| Ok((self.expression(key)?, self.expression(value)?)));
                Expr::Dict(pairs.collect::<PyResult<_>>()?)
            }
        })
    }

    /// Compiles a part of a template that may never run.
    fn in_condition<T>(&mut self, compile: impl FnOnce(&mut Self) -> PyResult<T>) -> PyResult<T> {
        self.conditions += 1;
        let compiled = compile(self)?;
        self.conditions -= 1;
        Ok(compiled)
    }

    fn slice(&mut self, slice: &ast::Slice) -> PyResult<Expr> {
        let mut bound = |bound: &Option<ast::Expr>| {
            bound.as_ref().map_or(Ok(Expr::Const(Const::None)), |bound| self.expression(bound))
        };
        let (start, stop, step) = (bound(&slice.start)?, bound(&slice.stop)?, bound(&slice.step)?);
        Ok(Expr::Slice(Box::new([self.expression(&slice.expr)?, start, stop, step])))
    }

    fn compare(&mut self, compare: &ast::Compare) -> PyResult<Expr> {
        let first = self.boxed(&compare.expr)?;
        let rest = compare.ops.iter().map(|operand| {
            let comparison = match operand.op {
                ast::CompareOpKind::Eq => Comparison::Eq,
                ast::CompareOpKind::Ne => Comparison::Ne,
                ast::CompareOpKind::Lt => Comparison::Lt,
                ast::CompareOpKind::Lte => Comparison::Le,
                ast::CompareOpKind::Gt => Comparison::Gt,
                ast::CompareOpKind::Gte => Comparison::Ge,
                ast::CompareOpKind::In => Comparison::In,
                ast::CompareOpKind::NotIn => Comparison::NotIn,
            };
            Ok((comparison, self.expression(&operand.expr)?))
        });
        Ok(Expr::Compare(first, rest.collect::<PyResult<_>>()?))
    }

    fn unknown(&self, what: &'static str, name: &str, line: usize) -> PyResult<Expr> {
        if self.conditions > 0 {
            return Ok(Expr::Unknown(what, name.to_owned()));
        }
        let exception =
            Exception::new(ExceptionClass::TemplateAssertionError, format!("No {what} named '{name}'.")).at(line);
        let place =
            self.source.and_then(|source| Some((source, name.as_ptr().addr().checked_sub(source.as_ptr().addr())?)));
        Err(match place {
            Some((source, byte)) => exception.at_byte(source, byte),
            None => exception,
        })
    }

    fn binary(&mut self, binary: &ast::BinOp) -> PyResult<Expr> {
        use ast::BinOpKind;
        let arithmetic = match binary.op {
            BinOpKind::Add => Operator::Add,
            BinOpKind::Sub => Operator::Sub,
            BinOpKind::Mul => Operator::Mul,
            BinOpKind::Div => Operator::Div,
            BinOpKind::FloorDiv => Operator::FloorDiv,
            BinOpKind::Rem => Operator::Mod,
            BinOpKind::Pow => Operator::Pow,
            BinOpKind::ScAnd => return Ok(Expr::And(self.pair(&binary.left, &binary.right)?)),
            BinOpKind::ScOr => return Ok(Expr::Or(self.pair(&binary.left, &binary.right)?)),
            BinOpKind::Concat => {
                let right = self.expression(&binary.right)?;
                return Ok(Expr::Concatenate(match self.expression(&binary.left)? {
                    Expr::Concatenate(mut values) => {
                        values.push(right);
                        values
                    }
                    left => vec![left, right],
                }));
            }
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::In => {
                let comparison = match binary.op {
                    BinOpKind::Eq => Comparison::Eq,
                    BinOpKind::Ne => Comparison::Ne,
                    BinOpKind::Lt => Comparison::Lt,
                    BinOpKind::Lte => Comparison::Le,
                    BinOpKind::Gt => Comparison::Gt,
                    BinOpKind::Gte => Comparison::Ge,
                    _ => Comparison::In,
                };
                let right = self.expression(&binary.right)?;
                return Ok(Expr::Compare(self.boxed(&binary.left)?, vec![(comparison, right)]));
            }
        };
        Ok(Expr::Binary(arithmetic, self.pair(&binary.left, &binary.right)?))
    }

    fn arguments(&mut self, arguments: &[ast::CallArg]) -> PyResult<CallArguments> {
        let mut compiled = CallArguments::default();
        for argument in arguments {
            match argument {
                ast::CallArg::Pos(value) => compiled.positional.push(self.expression(value)?),
                ast::CallArg::Kwarg(name, _) if compiled.named.iter().any(|(known, _)| **known == **name) => {
                    return syntax_error(&format!("keyword argument repeated: {name}"));
                }
                ast::CallArg::Kwarg(name, value) => compiled.named.push((Arc::from(*name), self.expression(value)?)),
                ast::CallArg::PosSplat(value) => compiled.splat = Some(self.boxed(value)?),
                ast::CallArg::KwargSplat(value) => compiled.splats = Some(self.boxed(value)?),
            }
        }
        Ok(compiled)
    }
}

fn literal(value: &minijinja::Value) -> Const {
    match value.kind() {
        ValueKind::Bool => Const::Bool(value.is_true()),
        ValueKind::String => Const::Str(Arc::from(value.as_str().unwrap_or_default())),
        ValueKind::Number => match (value.is_integer(), value.as_i64()) {
            (true, Some(number)) => Const::Int(number),
            // Literals are never negative: the sign is an operator.
            (true, None) => value
                .to_string()
                .parse()
                .map_or(Const::Float(f64::INFINITY), |number: BigInt| Const::Big(Arc::new(number))),
            (false, _) => Const::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        },
        _ => Const::None,
    }
}

//! A template that is ready to run: variables are numbers, filters and tests are functions.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::{
    eval::{function::Filter, scope::Symbol},
    python::{comparison::Comparison, object::Operator},
    syntax::outline::Outline,
};

/// A template.
pub(crate) struct Program {
    pub(crate) body: Vec<Node>,
    /// The names of variables, by their numbers.
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) blocks: Vec<Arc<Block>>,
    /// The variable `self`, if the template names it.
    pub(crate) self_symbol: Option<Symbol>,
    pub(crate) outline: Outline,
}

/// A statement.
pub(crate) enum Node {
    Raw(Arc<str>),
    Emit {
        value: Expr,
        /// Whether it is the same each time.
        constant: bool,
        line: usize,
    },
    For(Arc<For>),
    If {
        test: Expr,
        then: Vec<Self>,
        otherwise: Vec<Self>,
        line: usize,
    },
    With {
        assignments: Vec<(Target, Expr)>,
        body: Vec<Self>,
        line: usize,
    },
    Set {
        target: Target,
        value: Expr,
        line: usize,
    },
    SetBlock {
        target: Target,
        filter: Option<Expr>,
        body: Vec<Self>,
        line: usize,
    },
    AutoEscape {
        enabled: Expr,
        body: Vec<Self>,
        line: usize,
    },
    FilterBlock {
        filter: Expr,
        body: Vec<Self>,
        line: usize,
    },
    Block(Arc<Block>),
    Macro(Arc<Macro>),
    CallBlock {
        callee: Expr,
        arguments: CallArguments,
        caller: Arc<Macro>,
        line: usize,
    },
    /// Another template is asked for; there is no loader.
    Missing {
        template: Expr,
        ignore: bool,
        line: usize,
    },
}

/// A named part of the template.
pub(crate) struct Block {
    pub(crate) name: Arc<str>,
    pub(crate) body: Vec<Node>,
    /// Whether it sees the variables around it, not those of the template alone.
    pub(crate) scoped: bool,
    /// Whether another template would have to fill it.
    pub(crate) required: bool,
    /// The variable `super`, if the template names it.
    pub(crate) super_symbol: Option<Symbol>,
    pub(crate) line: usize,
}

/// A for loop.
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) items: Expr,
    pub(crate) filter: Option<Expr>,
    pub(crate) recursive: bool,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
    pub(crate) loop_symbol: Symbol,
    pub(crate) line: usize,
}

/// A macro, or the body of a call block.
pub(crate) struct Macro {
    /// None for the body of a call block.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) symbol: Symbol,
    pub(crate) parameters: Vec<Symbol>,
    pub(crate) names: Vec<Arc<str>>,
    /// The defaults of the last parameters.
    pub(crate) defaults: Vec<Expr>,
    pub(crate) body: Vec<Node>,
    /// The variables that are set if the body names them.
    pub(crate) varargs: Option<Symbol>,
    pub(crate) kwargs: Option<Symbol>,
    pub(crate) caller: Option<Symbol>,
    pub(crate) line: usize,
}

/// The left side of an assignment.
pub(crate) enum Target {
    Name(Symbol),
    Tuple(Vec<Self>),
    Attribute(Symbol, Arc<str>),
}

impl Target {
    /// The variables that it sets.
    pub(crate) fn names(&self) -> Vec<Symbol> {
        match self {
            Self::Name(name) => vec![*name],
            Self::Tuple(targets) => targets.iter().flat_map(Self::names).collect(),
            Self::Attribute(..) => Vec::new(),
        }
    }
}

/// The arguments of a call.
#[derive(Default)]
pub(crate) struct CallArguments {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Arc<str>, Expr)>,
    /// `*splat` and `**splats`
    pub(crate) splat: Option<Box<Expr>>,
    pub(crate) splats: Option<Box<Expr>>,
}

/// An expression.
pub(crate) enum Expr {
    Const(Const),
    Name(Symbol),
    List(Vec<Self>),
    Tuple(Vec<Self>),
    Dict(Vec<(Self, Self)>),
    Attribute(Box<Self>, Arc<str>),
    Item(Box<[Self; 2]>),
    Slice(Box<[Self; 4]>),
    /// Unary minus or plus.
    Sign(Operator, Box<Self>),
    Not(Box<Self>),
    Binary(Operator, Box<[Self; 2]>),
    Concatenate(Vec<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Compare(Box<Self>, Vec<(Comparison, Self)>),
    Conditional {
        test: Box<Self>,
        then: Box<Self>,
        otherwise: Option<Box<Self>>,
        line: usize,
    },
    /// Without a value it filters the text of the block around it.
    Filter {
        function: Filter,
        value: Option<Box<Self>>,
        arguments: CallArguments,
    },
    Test {
        function: Filter,
        value: Box<Self>,
        arguments: CallArguments,
    },
    /// An unknown filter or test where the template may never come to: raises if it does.
    Unknown(&'static str, String),
    Call {
        callee: Box<Self>,
        arguments: CallArguments,
    },
}

impl Expr {
    /// Whether its value is known before anything runs.
    pub(crate) fn is_constant(&self) -> bool {
        let all = |expressions: &[Self]| expressions.iter().all(Self::is_constant);
        match self {
            Self::Const(_) => true,
            Self::List(items) | Self::Tuple(items) | Self::Concatenate(items) => all(items),
            Self::Dict(pairs) => pairs.iter().all(|(key, value)| key.is_constant() && value.is_constant()),
            Self::Item(pair) | Self::Binary(_, pair) | Self::And(pair) | Self::Or(pair) => all(&**pair),
            Self::Slice(parts) => all(&**parts),
            Self::Sign(_, value) | Self::Not(value) | Self::Attribute(value, _) => value.is_constant(),
            Self::Compare(first, rest) => first.is_constant() && rest.iter().all(|(_, value)| value.is_constant()),
            Self::Conditional { test, then, otherwise, .. } => {
                [Some(test), Some(then), otherwise.as_ref()].into_iter().flatten().all(|part| part.is_constant())
            }
            Self::Filter { value, arguments, .. } => {
                value.as_ref().is_some_and(|value| value.is_constant()) && arguments.are_constant()
            }
            Self::Test { value, arguments, .. } => value.is_constant() && arguments.are_constant(),
            Self::Name(_) | Self::Unknown(..) | Self::Call { .. } => false,
        }
    }
}

impl CallArguments {
    fn are_constant(&self) -> bool {
        let splats = self.splat.iter().chain(&self.splats).map(|splat| &**splat);
        let named = self.named.iter().map(|(_, value)| value);
        self.positional.iter().chain(named).chain(splats).all(Expr::is_constant)
    }
}

/// A literal.
#[derive(Clone)]
pub(crate) enum Const {
    None,
    Bool(bool),
    Int(i64),
    Big(Arc<BigInt>),
    Float(f64),
    Str(Arc<str>),
}

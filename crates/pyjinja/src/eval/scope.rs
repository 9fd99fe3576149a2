//! The variables of a template while it runs.

use std::{cell::RefCell, rc::Rc};

use crate::python::value::Value;

/// The number of a variable's name in its template.
pub(crate) type Symbol = usize;

/// The variables of one scope, and the scope around it. Macros keep theirs, as closures of Python do.
pub(crate) struct Scope {
    variables: RefCell<Vec<(Symbol, Value)>>,
    parent: Option<Rc<Self>>,
}

impl Scope {
    /// The scope of a whole template.
    pub(crate) fn outermost() -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), parent: None })
    }

    /// A scope of its own inside `parent`.
    pub(crate) fn inside(parent: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), parent: Some(Rc::clone(parent)) })
    }

    /// The scope of the template that this one is in.
    pub(crate) fn of_template(self: &Rc<Self>) -> Rc<Self> {
        self.parent.as_ref().map_or_else(|| Rc::clone(self), Self::of_template)
    }

    pub(crate) fn get(&self, symbol: Symbol) -> Option<Value> {
        let found = self.variables.borrow().iter().find(|(known, _)| *known == symbol).map(|(_, value)| value.clone());
        found.or_else(|| self.parent.as_ref()?.get(symbol))
    }

    pub(crate) fn set(&self, symbol: Symbol, value: Value) {
        let mut variables = self.variables.borrow_mut();
        match variables.iter_mut().find(|(known, _)| *known == symbol) {
            Some((_, old)) => *old = value,
            None => variables.push((symbol, value)),
        }
    }

    /// Takes out the values it holds.
    pub(crate) fn take_values(&self) -> Vec<Value> {
        self.variables.take().into_iter().map(|(_, value)| value).collect()
    }
}

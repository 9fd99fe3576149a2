//! `{% block %}`, and the `self` of a template, by which its blocks are called.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use crate::{
    eval::{expressions::Evaluator, output::Output, rendering::Rendering, scope::Scope},
    python::{
        arguments::{Args, Signature},
        exception::{Exception, ExceptionClass, PyResult},
        object::Object,
        quote::quote,
        value::{Undefined, Value},
    },
    syntax::program::{Block, Program},
};

impl Evaluator<'_> {
    /// The variable `self` of a template whose scope this is.
    pub(crate) fn template_reference(&self) -> PyResult {
        self.rendering.hold_scope(&self.scope)?;
        Ok(Value::object(TemplateReference { program: Arc::clone(self.program), scope: Rc::clone(&self.scope) }))
    }

    /// A block at its place.
    pub(super) fn block_in_place(&self, block: &Block, out: &mut Output) -> PyResult<()> {
        if block.required {
            let message = format!("Required block {} not found", quote(&block.name));
            return Err(Exception::new(ExceptionClass::TemplateRuntimeError, message));
        }
        let scope = if block.scoped { Rc::clone(&self.scope) } else { self.scope.of_template() };
        self.block(block, &scope, out)
    }

    /// Runs a block in a scope of its own inside `scope`, and escapes as the whole template does.
    fn block(&self, block: &Block, scope: &Rc<Scope>, out: &mut Output) -> PyResult<()> {
        let scope = Scope::inside(scope);
        if let Some(symbol) = block.super_symbol {
            scope.set(symbol, no_parent(&block.name));
        }
        let autoescape = &self.rendering.autoescape;
        let before = autoescape.replace(self.rendering.registry.autoescape);
        let result = Self { scope, ..self.clone() }.body(&block.body, out);
        autoescape.set(before);
        result
    }
}

/// There are no other templates, and so no parents.
fn no_parent(block: &str) -> Value {
    Undefined::hint(format!("there is no parent block called {}.", quote(block)))
}

/// `self`
struct TemplateReference {
    program: Arc<Program>,
    scope: Rc<Scope>,
}

impl Object for TemplateReference {
    fn type_name(&self) -> &'static str {
        "TemplateReference"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.runtime.TemplateReference")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok("<TemplateReference None>".to_owned())
    }

    fn item(&self, key: &Value) -> Option<Value> {
        let Value::Str(name) = key else { return None };
        let block = self.program.blocks.iter().find(|block| *block.name == **name)?;
        let (program, scope) = (Arc::clone(&self.program), Rc::clone(&self.scope));
        Some(Value::object(BlockReference { block: Arc::clone(block), program, scope }))
    }
}

/// `self.name`: a block, to be called.
struct BlockReference {
    block: Arc<Block>,
    program: Arc<Program>,
    scope: Rc<Scope>,
}

impl Object for BlockReference {
    fn type_name(&self) -> &'static str {
        "BlockReference"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("jinja2.runtime.BlockReference")
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::text(Arc::clone(&self.block.name))),
            "super" => Some(no_parent(&self.block.name)),
            _ => None,
        }
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, rendering: &Rendering, args: Args) -> PyResult {
        const SIGNATURE: Signature = Signature::new("BlockReference.__call__", 1, &[], &[]);
        let [] = args.take_all(&SIGNATURE)?;
        let evaluator = Evaluator { rendering, program: &self.program, scope: Rc::clone(&self.scope) };
        let mut out = Output::default();
        evaluator.block(&self.block, &self.scope, &mut out)?;
        Ok(evaluator.output(out.joined()?))
    }
}

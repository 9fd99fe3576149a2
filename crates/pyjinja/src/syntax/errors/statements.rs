//! Walks the statements of a template that could not be parsed, to find the fault that Jinja2's parser would name.

use minijinja::machinery::Token;

use super::{
    expressions::Kind,
    tokens::{BlockKind, DEPTH, HEIGHT, SyntaxChecker},
};
use crate::python::exception::PyResult;

impl SyntaxChecker<'_> {
    pub(super) fn body(&mut self, ends: Option<&'static [&'static str]>) -> PyResult<()> {
        self.ends.extend(ends);
        while let Some(token) = &self.current {
            match token {
                Token::VariableStart => {
                    self.advance()?;
                    self.tuple(true)?;
                    self.expect("end of print statement", |token| matches!(token, Token::VariableEnd))?;
                }
                Token::BlockStart => {
                    self.advance()?;
                    if ends.is_some_and(|ends| self.at_name(ends)) {
                        break;
                    }
                    self.statement()?;
                    self.expect("end of statement block", |token| matches!(token, Token::BlockEnd))?;
                }
                _ => self.advance()?,
            }
        }
        if ends.is_some() {
            self.ends.pop();
        }
        Ok(())
    }

    /// The rest of a tag and what follows up to one of `ends`, which becomes the current token.
    fn block(&mut self, ends: &'static [&'static str]) -> PyResult<()> {
        self.skip(|token| matches!(token, Token::Colon))?;
        self.expect("end of statement block", |token| matches!(token, Token::BlockEnd))?;
        self.body(Some(ends))?;
        if self.current.is_none() {
            self.ends.push(ends);
            return self.lost(None);
        }
        Ok(())
    }

    fn whole_block(&mut self, ends: &'static [&'static str]) -> PyResult<()> {
        self.block(ends)?;
        self.advance()
    }

    /// A tag that does not belong here, or the end of the template.
    fn lost(&self, tag: Option<&str>) -> PyResult<()> {
        let mut message = match tag {
            None => "Unexpected end of template.".to_owned(),
            Some(tag) => format!("Encountered unknown tag '{tag}'."),
        };
        if let Some(ends) = self.ends.last() {
            let looking = ends.iter().map(|end| format!("'{end}'")).collect::<Vec<_>>().join(" or ");
            if tag.is_some_and(|tag| self.ends.iter().any(|ends| ends.contains(&tag))) {
                message.push_str(&format!(
                    " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for {looking}."
                ));
            } else {
                message.push_str(&format!(" Jinja was looking for the following tags: {looking}."));
            }
        }
        if let Some(tag) = self.tags.last() {
            message.push_str(&format!(" The innermost block that needs to be closed is '{tag}'."));
        }
        self.fail(message)
    }

    fn statement(&mut self) -> PyResult<()> {
        let Some(Token::Ident(tag)) = self.current else { return self.fail("tag name expected") };
        self.tags.push(tag);
        if self.tags.len() > DEPTH {
            return self.fail(format!("blocks are nested deeper than {DEPTH} levels"));
        }
        match tag {
            "for" => self.for_loop()?,
            "if" => self.condition()?,
            "set" => self.set()?,
            "with" => self.with()?,
            "block" => self.named_block()?,
            "macro" => {
                self.advance()?;
                self.name()?;
                self.signature()?;
                self.whole_block(&["endmacro"])?;
            }
            "call" => {
                let behind = self.span.end_offset as usize;
                self.advance()?;
                let bare = !self.at(|token| matches!(token, Token::ParenOpen));
                if !bare {
                    self.signature()?;
                }
                let (start, known) = (self.start(), self.insertions.len());
                if self.expression(true)? != Kind::Call {
                    return self.fail("expected call");
                }
                // A parenthesis there would begin the parameters.
                if bare && self.insertions.iter().skip(known).any(|insertion| insertion.at == start) {
                    self.insert(behind, "()");
                }
                self.whole_block(&["endcall"])?;
            }
            "filter" => {
                self.advance()?;
                self.filters(true)?;
                self.whole_block(&["endfilter"])?;
            }
            "autoescape" => {
                self.advance()?;
                self.expression(true)?;
                self.whole_block(&["endautoescape"])?;
            }
            "print" => {
                self.advance()?;
                let mut first = true;
                while !self.at(|token| matches!(token, Token::BlockEnd)) {
                    self.comma(&mut first)?;
                    self.expression(true)?;
                }
            }
            "extends" | "include" | "import" | "from" => self.other_template(tag)?,
            unknown => {
                self.tags.pop();
                return self.lost(Some(unknown));
            }
        }
        self.tags.pop();
        Ok(())
    }

    /// A tag that names another template.
    fn other_template(&mut self, tag: &str) -> PyResult<()> {
        self.advance()?;
        self.expression(true)?;
        match tag {
            "import" => {
                self.expect("as", |token| matches!(token, Token::Ident("as")))?;
                self.name()?;
            }
            "from" => self.expect("import", |token| matches!(token, Token::Ident("import")))?,
            _ => {}
        }
        // There are no other templates: what follows never matters.
        while self.current.is_some() && !self.at(|token| matches!(token, Token::BlockEnd)) {
            self.advance()?;
        }
        Ok(())
    }

    fn for_loop(&mut self) -> PyResult<()> {
        self.advance()?;
        self.target(false)?;
        self.expect("in", |token| matches!(token, Token::Ident("in")))?;
        self.tuple(false)?;
        if self.skip_name("if")? {
            self.expression(true)?;
        }
        self.skip_name("recursive")?;
        self.block(&["endfor", "else"])?;
        let otherwise = self.at_name(&["else"]);
        self.advance()?;
        if otherwise {
            self.whole_block(&["endfor"])?;
        }
        Ok(())
    }

    fn condition(&mut self) -> PyResult<()> {
        self.advance()?;
        for _ in 0..HEIGHT {
            self.tuple(false)?;
            self.block(&["elif", "else", "endif"])?;
            let (again, otherwise) = (self.at_name(&["elif"]), self.at_name(&["else"]));
            self.advance()?;
            if otherwise {
                return self.whole_block(&["endif"]);
            }
            if !again {
                return Ok(());
            }
        }
        self.fail(format!("a condition has more than {HEIGHT} branches"))
    }

    fn set(&mut self) -> PyResult<()> {
        self.advance()?;
        self.target(true)?;
        if self.skip(|token| matches!(token, Token::Assign))? {
            self.tuple(true)?;
            return Ok(());
        }
        self.filters(false)?;
        self.whole_block(&["endset"])
    }

    fn with(&mut self) -> PyResult<()> {
        self.advance()?;
        let mut first = true;
        while !self.at(|token| matches!(token, Token::BlockEnd)) {
            self.comma(&mut first)?;
            self.target(false)?;
            self.expect("=", |token| matches!(token, Token::Assign))?;
            self.expression(true)?;
        }
        self.whole_block(&["endwith"])
    }

    fn named_block(&mut self) -> PyResult<()> {
        self.advance()?;
        let name = self.name()?;
        let kind = BlockKind { scoped: self.skip_name("scoped")?, required: self.skip_name("required")? };
        self.blocks.push((name, kind));
        if self.at(|token| matches!(token, Token::Minus)) {
            return self.fail(
                "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an \
                 underscore instead.",
            );
        }
        self.whole_block(&["endblock"])?;
        self.skip_name(name)?;
        Ok(())
    }

    fn signature(&mut self) -> PyResult<()> {
        self.expect("(", |token| matches!(token, Token::ParenOpen))?;
        let (mut first, mut defaults) = (true, false);
        while !self.at(|token| matches!(token, Token::ParenClose)) {
            self.comma(&mut first)?;
            self.name()?;
            if self.skip(|token| matches!(token, Token::Assign))? {
                self.expression(true)?;
                defaults = true;
            } else if defaults {
                return self.fail("non-default argument follows default argument");
            }
        }
        self.advance()
    }

    fn target(&mut self, namespaces: bool) -> PyResult<()> {
        let kind = self.list(&mut |checker| checker.primary(namespaces), false)?;
        match kind {
            Kind::Name | Kind::Tuple => Ok(()),
            other => self.fail(format!("can't assign to '{}'", other.node())),
        }
    }
}

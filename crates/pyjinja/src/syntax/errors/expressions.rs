//! Walks the expressions of a template that could not be parsed, to find the fault that Jinja2's parser would name.

use minijinja::machinery::Token;

use super::tokens::{DEPTH, HEIGHT, SyntaxChecker};
use crate::python::exception::PyResult;

/// The kind of an expression, as far as the grammar asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Const,
    Tuple,
    List,
    Dict,
    Call,
    Other,
}

impl Kind {
    /// The name of Jinja2's node.
    pub(super) fn node(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Const => "const",
            Self::Tuple => "tuple",
            Self::List => "list",
            Self::Dict => "dict",
            Self::Call => "call",
            Self::Other => "expression",
        }
    }
}

impl SyntaxChecker<'_> {
    /// Puts what was walked last beside something of this height, under one node.
    fn grow(&mut self, other: usize) -> PyResult<()> {
        self.height = 1 + self.height.max(other);
        if self.height > HEIGHT {
            return self.fail(format!("an expression has more than {HEIGHT} operators in a row or in one another"));
        }
        Ok(())
    }

    /// One expression, or several with commas between.
    pub(super) fn tuple(&mut self, conditional: bool) -> PyResult<Kind> {
        self.list(&mut |checker| checker.expression(conditional), false)
    }

    pub(super) fn list(
        &mut self,
        item: &mut dyn FnMut(&mut Self) -> PyResult<Kind>,
        in_parentheses: bool,
    ) -> PyResult<Kind> {
        let mut first = None;
        let mut is_tuple = false;
        let mut highest = 0;
        loop {
            if first.is_some() {
                self.expect(",", |token| matches!(token, Token::Comma))?;
            }
            if self.at(|token| matches!(token, Token::VariableEnd | Token::BlockEnd | Token::ParenClose)) {
                break;
            }
            let kind = item(self)?;
            highest = highest.max(self.height);
            first.get_or_insert(kind);
            if !self.at(|token| matches!(token, Token::Comma)) {
                break;
            }
            is_tuple = true;
        }
        self.grow(highest)?;
        match first {
            Some(kind) if !is_tuple => Ok(kind),
            None if !in_parentheses => self.fail(format!("Expected an expression, got {}", self.current_quoted())),
            _ => Ok(Kind::Tuple),
        }
    }

    pub(super) fn expression(&mut self, conditional: bool) -> PyResult<Kind> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.fail(format!("expressions are nested deeper than {DEPTH} levels"));
        }
        let mut kind = self.logical()?;
        while conditional && self.skip_name("if")? {
            let left = self.height;
            self.logical()?;
            self.grow(left)?;
            if self.skip_name("else")? {
                let left = self.height;
                self.expression(true)?;
                self.grow(left)?;
            }
            kind = Kind::Other;
        }
        self.depth -= 1;
        Ok(kind)
    }

    /// Everything that joins operands: which binds closer does not matter for what is a fault.
    fn logical(&mut self) -> PyResult<Kind> {
        let mut kind = self.operand()?;
        loop {
            let left = self.height;
            match self.current {
                Some(Token::Ident("not")) => {
                    if !self.next_is(|token| matches!(token, Token::Ident("in")))? {
                        return Ok(kind);
                    }
                    self.advance()?;
                    self.advance()?;
                    self.arithmetic()?;
                }
                Some(Token::Ident("or" | "and")) => {
                    self.advance()?;
                    self.operand()?;
                }
                Some(Token::Ident("in") | Token::Eq | Token::Ne | Token::Lt | Token::Lte | Token::Gt | Token::Gte) => {
                    self.advance()?;
                    self.arithmetic()?;
                }
                _ => return Ok(kind),
            }
            self.grow(left)?;
            kind = Kind::Other;
        }
    }

    fn operand(&mut self) -> PyResult<Kind> {
        let mut negations = 0;
        while self.skip_name("not")? {
            negations += 1;
        }
        let kind = self.arithmetic()?;
        self.height += negations;
        self.grow(0)?;
        Ok(if negations > 0 { Kind::Other } else { kind })
    }

    fn arithmetic(&mut self) -> PyResult<Kind> {
        let mut kind = self.unary()?;
        let mut left = self.height;
        while self.skip(|token| {
            matches!(
                token,
                Token::Plus
                    | Token::Minus
                    | Token::Mul
                    | Token::Div
                    | Token::FloorDiv
                    | Token::Mod
                    | Token::Pow
                    | Token::Tilde
            )
        })? {
            self.unary()?;
            self.grow(left)?;
            left = self.height;
            kind = Kind::Other;
        }
        Ok(kind)
    }

    fn unary(&mut self) -> PyResult<Kind> {
        let start = self.start();
        let mut kind = self.signed()?;
        loop {
            let left = self.height;
            match self.current {
                Some(Token::Pipe) => kind = self.filters(false)?,
                Some(Token::Ident("is")) => {
                    self.test()?;
                    kind = Kind::Other;
                }
                // A call of what a filter or a test gives.
                Some(Token::ParenOpen) => {
                    if kind != Kind::Call {
                        self.insert(start, "(");
                        self.insert(self.start(), ")");
                    }
                    self.arguments()?;
                    kind = Kind::Call;
                }
                _ => return Ok(kind),
            }
            self.grow(left)?;
        }
    }

    fn signed(&mut self) -> PyResult<Kind> {
        let mut signs = 0;
        while self.skip(|token| matches!(token, Token::Plus | Token::Minus))? {
            // A plus is spelled as two minuses.
            signs += 2;
        }
        let kind = self.primary(false)?;
        let kind = self.postfix(kind)?;
        self.height += signs;
        self.grow(0)?;
        Ok(if signs > 0 { Kind::Other } else { kind })
    }

    pub(super) fn primary(&mut self, namespaces: bool) -> PyResult<Kind> {
        self.height = 1;
        match &self.current {
            Some(Token::Ident(name)) => {
                let constant = matches!(*name, "true" | "false" | "True" | "False" | "none" | "None");
                self.advance()?;
                if namespaces && !constant && self.skip(|token| matches!(token, Token::Dot))? {
                    self.name()?;
                }
                Ok(if constant { Kind::Const } else { Kind::Name })
            }
            Some(Token::Str(_) | Token::String(_)) => {
                while self.skip(|token| matches!(token, Token::Str(_) | Token::String(_)))? {}
                Ok(Kind::Const)
            }
            Some(Token::Int(_) | Token::Int128(_) | Token::Float(_)) => self.advance().map(|()| Kind::Const),
            Some(Token::ParenOpen) => {
                self.advance()?;
                let kind = self.list(&mut |checker| checker.expression(true), true)?;
                self.expect(")", |token| matches!(token, Token::ParenClose))?;
                Ok(kind)
            }
            Some(Token::BracketOpen) => {
                self.items("]", |token| matches!(token, Token::BracketClose), false)?;
                Ok(Kind::List)
            }
            Some(Token::BraceOpen) => {
                self.items("}", |token| matches!(token, Token::BraceClose), true)?;
                Ok(Kind::Dict)
            }
            _ => self.fail(format!("unexpected {}", self.current_quoted())),
        }
    }

    fn items(&mut self, close: &str, closes: fn(&Token) -> bool, pairs: bool) -> PyResult<()> {
        self.advance()?;
        let mut first = true;
        let mut highest = 0;
        while !self.at(closes) {
            self.comma(&mut first)?;
            if self.at(closes) {
                break;
            }
            self.expression(true)?;
            highest = highest.max(self.height);
            if pairs {
                self.expect(":", |token| matches!(token, Token::Colon))?;
                self.expression(true)?;
                highest = highest.max(self.height);
            }
        }
        self.grow(highest)?;
        self.expect(close, closes)
    }

    fn postfix(&mut self, mut kind: Kind) -> PyResult<Kind> {
        loop {
            let left = self.height;
            match self.current {
                Some(Token::Dot) => {
                    self.advance()?;
                    if !self.skip(|token| matches!(token, Token::Ident(_) | Token::Int(_) | Token::Int128(_)))? {
                        return self.fail("expected name or number");
                    }
                    kind = Kind::Other;
                }
                Some(Token::BracketOpen) => {
                    self.advance()?;
                    self.subscripts()?;
                    self.expect("]", |token| matches!(token, Token::BracketClose))?;
                    kind = Kind::Other;
                }
                Some(Token::ParenOpen) => {
                    self.arguments()?;
                    kind = Kind::Call;
                }
                _ => return Ok(kind),
            }
            self.grow(left)?;
        }
    }

    /// What stands between the brackets of `x[…]`: none or several are a tuple.
    fn subscripts(&mut self) -> PyResult<()> {
        let start = self.start();
        let (mut first, mut count, mut sliced) = (true, 0, false);
        while !self.at(|token| matches!(token, Token::BracketClose)) {
            self.comma(&mut first)?;
            sliced |= self.subscript()?;
            count += 1;
        }
        match count {
            0 => self.insert(start, "()"),
            1 => {}
            // Jinja2 makes Python of it that is none.
            _ if sliced => return self.fail("invalid syntax: a slice can't stand beside another subscript"),
            _ => {
                self.insert(start, "(");
                self.insert(self.start(), ")");
            }
        }
        Ok(())
    }

    /// One subscript. Says whether it is a slice.
    fn subscript(&mut self) -> PyResult<bool> {
        let ends = |token: &Token| matches!(token, Token::BracketClose | Token::Comma | Token::Colon);
        if !self.at(|token| matches!(token, Token::Colon)) {
            self.expression(true)?;
        }
        let mut sliced = false;
        for _ in 0..2 {
            if self.skip(|token| matches!(token, Token::Colon))? {
                sliced = true;
                if !self.at(ends) {
                    self.expression(true)?;
                }
            }
        }
        Ok(sliced)
    }

    fn arguments(&mut self) -> PyResult<()> {
        self.expect("(", |token| matches!(token, Token::ParenOpen))?;
        let mut highest = 0;
        let (mut first, mut named, mut splat, mut splats) = (true, false, false, false);
        while !self.at(|token| matches!(token, Token::ParenClose)) {
            if !first {
                self.expect(",", |token| matches!(token, Token::Comma))?;
                if self.at(|token| matches!(token, Token::ParenClose)) {
                    break;
                }
            }
            first = false;
            let legal = if self.skip(|token| matches!(token, Token::Mul))? {
                !std::mem::replace(&mut splat, true) && !splats
            } else if self.skip(|token| matches!(token, Token::Pow))? {
                !std::mem::replace(&mut splats, true)
            } else if self.at(|token| matches!(token, Token::Ident(_)))
                && self.next_is(|token| matches!(token, Token::Assign))?
            {
                self.advance()?;
                self.advance()?;
                named = true;
                !splats
            } else {
                !(named || splat || splats)
            };
            if !legal {
                return self.fail("invalid syntax for function call expression");
            }
            self.expression(true)?;
            highest = highest.max(self.height);
        }
        self.grow(highest)?;
        self.expect(")", |token| matches!(token, Token::ParenClose))
    }

    pub(super) fn filters(&mut self, mut inline: bool) -> PyResult<Kind> {
        while inline || self.at(|token| matches!(token, Token::Pipe)) {
            if !inline {
                self.advance()?;
            }
            inline = false;
            let left = self.height;
            self.dotted()?;
            if self.at(|token| matches!(token, Token::ParenOpen)) {
                self.arguments()?;
            }
            self.grow(left)?;
        }
        Ok(Kind::Other)
    }

    fn dotted(&mut self) -> PyResult<()> {
        self.name()?;
        while self.skip(|token| matches!(token, Token::Dot))? {
            self.name()?;
        }
        Ok(())
    }

    fn test(&mut self) -> PyResult<()> {
        self.advance()?;
        self.skip_name("not")?;
        self.dotted()?;
        match self.current {
            Some(Token::ParenOpen) => self.arguments()?,
            Some(Token::Ident("else" | "or" | "and")) => {}
            Some(Token::Ident("is")) => return self.fail("You cannot chain multiple tests with is"),
            Some(
                Token::Ident(_)
                | Token::Str(_)
                | Token::String(_)
                | Token::Int(_)
                | Token::Int128(_)
                | Token::Float(_)
                | Token::BracketOpen
                | Token::BraceOpen,
            ) => {
                let kind = self.primary(false)?;
                self.postfix(kind)?;
            }
            // minijinja would take it for the sign of an argument.
            Some(Token::Plus | Token::Minus) => self.insert(self.start(), "()"),
            _ => {}
        }
        Ok(())
    }
}

//! What is wrong with a template that minijinja can't parse, in Jinja2's words.
//!
//! People search for Jinja2's messages, and OnCall recorded them. This walks the tokens along Jinja2's grammar and
//! stops where its parser would; it builds nothing.

use minijinja::machinery::{Span, Token, Tokenizer};

use crate::python::exception::{Exception, ExceptionClass, PyResult};

/// Why Jinja2 refuses `source`; None if it does not.
pub(crate) fn fault(source: &str) -> Option<Exception> {
    Walker::new(source).and_then(|mut walker| walker.body(None)).err()
}

struct Walker<'s> {
    source: &'s str,
    tokenizer: Tokenizer<'s>,
    /// None at the end of the template.
    current: Option<Token<'s>>,
    ahead: Option<Option<(Token<'s>, Span)>>,
    span: Span,
    /// Brackets that have to be closed.
    open: Vec<char>,
    /// The tags that are open, and those that each open body waits for.
    tags: Vec<&'s str>,
    ends: Vec<&'static [&'static str]>,
    /// How deep the walk is in brackets and blocks.
    depth: usize,
    /// How high the tree of the last expression is: brackets and operators in a row, which end up in one another.
    height: usize,
}

/// Bound on how deep brackets and blocks stand in one another; minijinja's parser has such a one too.
const DEPTH: usize = 100;

/// Bound on the height of an expression's tree and on the branches of a condition.
const HEIGHT: usize = 200;

impl<'s> Walker<'s> {
    fn new(source: &'s str) -> PyResult<Self> {
        let mut walker = Self {
            source,
            tokenizer: Tokenizer::new(source, "", false, minijinja::syntax::SyntaxConfig::default()),
            current: None,
            ahead: None,
            span: Span { start_line: 1, ..Span::default() },
            open: Vec::new(),
            tags: Vec::new(),
            ends: Vec::new(),
            depth: 0,
            height: 0,
        };
        walker.advance()?;
        Ok(walker)
    }

    fn fail<T>(&self, message: impl Into<String>) -> PyResult<T> {
        Err(Exception::new(ExceptionClass::Other, message).at(usize::from(self.span.start_line)))
    }

    fn lex(&mut self) -> PyResult<Option<(Token<'s>, Span)>> {
        let end = self.span.end_offset as usize;
        match self.tokenizer.next_token() {
            Ok(token) => Ok(token),
            Err(error) => match error.detail() {
                Some("unexpected end of comment") => self.fail("Missing end of comment tag"),
                Some("unexpected end of raw block") => self.fail("Missing end of raw directive"),
                Some("unexpected character" | "unexpected end of string") => {
                    let rest = self.source.get(end..).unwrap_or_default();
                    let at = end + rest.len() - rest.trim_start().len();
                    let place = self.source.get(..at).unwrap_or_default().chars().count();
                    let found = self.source.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
                    self.fail(format!("unexpected char {} at {place}", crate::python::print::quote(&found.to_string())))
                }
                Some(detail) => self.fail(detail),
                None => self.fail("invalid escape in a string"),
            },
        }
    }

    /// Makes the next token the current one.
    fn advance(&mut self) -> PyResult<()> {
        let next = match self.ahead.take() {
            Some(next) => next,
            None => self.lex()?,
        };
        self.current = match next {
            Some((token, span)) => {
                self.span = span;
                self.balance(&token)?;
                self.differs(&token)?;
                Some(token)
            }
            None => None,
        };
        Ok(())
    }

    fn balance(&mut self, token: &Token) -> PyResult<()> {
        let closing = match token {
            Token::ParenOpen => {
                return {
                    self.open.push(')');
                    Ok(())
                };
            }
            Token::BracketOpen => {
                return {
                    self.open.push(']');
                    Ok(())
                };
            }
            Token::BraceOpen => {
                return {
                    self.open.push('}');
                    Ok(())
                };
            }
            Token::ParenClose => ')',
            Token::BracketClose => ']',
            Token::BraceClose => '}',
            _ => return Ok(()),
        };
        match self.open.pop() {
            None => self.fail(format!("unexpected '{closing}'")),
            Some(expected) if expected != closing => {
                self.fail(format!("unexpected '{closing}', expected '{expected}'"))
            }
            Some(_) => Ok(()),
        }
    }

    /// What minijinja reads as one token and Jinja2 does not.
    fn differs(&self, token: &Token) -> PyResult<()> {
        let text = self.source.get(self.span.start_offset as usize..self.span.end_offset as usize).unwrap_or_default();
        match token {
            Token::Float(_) if text.ends_with('.') => self.fail("expected name or number"),
            Token::VariableEnd if text.starts_with('+') => self.fail("unexpected 'end of print statement'"),
            _ => Ok(()),
        }
    }

    fn next_is(&mut self, test: impl Fn(&Token) -> bool) -> PyResult<bool> {
        if self.ahead.is_none() {
            self.ahead = Some(self.lex()?);
        }
        Ok(matches!(&self.ahead, Some(Some((token, _))) if test(token)))
    }

    fn at(&self, test: impl Fn(&Token) -> bool) -> bool {
        self.current.as_ref().is_some_and(test)
    }

    fn at_name(&self, names: &[&str]) -> bool {
        matches!(&self.current, Some(Token::Ident(name)) if names.contains(name))
    }

    fn skip(&mut self, test: impl Fn(&Token) -> bool) -> PyResult<bool> {
        let found = self.at(test);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn skip_name(&mut self, name: &str) -> PyResult<bool> {
        self.skip(|token| matches!(token, Token::Ident(found) if *found == name))
    }

    fn expect(&mut self, description: &str, test: impl Fn(&Token) -> bool) -> PyResult<()> {
        if self.skip(test)? {
            return Ok(());
        }
        match &self.current {
            None => self.fail(format!("unexpected end of template, expected '{description}'.")),
            Some(token) => self.fail(format!("expected token '{description}', got {}", quoted(token))),
        }
    }

    /// The comma before each item but the first.
    fn comma(&mut self, first: &mut bool) -> PyResult<()> {
        if std::mem::replace(first, false) {
            return Ok(());
        }
        self.expect(",", |token| matches!(token, Token::Comma))
    }

    fn name(&mut self) -> PyResult<&'s str> {
        match self.current {
            Some(Token::Ident(name)) => {
                self.advance()?;
                Ok(name)
            }
            _ => self.expect("name", |_| false).map(|()| ""),
        }
    }

    fn current_quoted(&self) -> String {
        self.current.as_ref().map_or_else(|| "'end of template'".to_owned(), quoted)
    }

    // Statements

    fn body(&mut self, ends: Option<&'static [&'static str]>) -> PyResult<()> {
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
                self.advance()?;
                if self.at(|token| matches!(token, Token::ParenOpen)) {
                    self.signature()?;
                }
                if self.expression(true)? != Kind::Call {
                    return self.fail("expected call");
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
            "extends" | "include" | "import" | "from" => {
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
            }
            unknown => {
                self.tags.pop();
                return self.lost(Some(unknown));
            }
        }
        self.tags.pop();
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
        self.skip_name("scoped")?;
        self.skip_name("required")?;
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
        let kind = self.list(&mut |walker| walker.primary(namespaces), false)?;
        match kind {
            Kind::Name | Kind::Tuple => Ok(()),
            other => self.fail(format!("can't assign to '{}'", other.node())),
        }
    }

    // Expressions

    /// Puts what was walked last beside something of this height, under one node.
    fn grow(&mut self, other: usize) -> PyResult<()> {
        self.height = 1 + self.height.max(other);
        if self.height > HEIGHT {
            return self.fail(format!("an expression has more than {HEIGHT} operators in a row or in one another"));
        }
        Ok(())
    }

    /// One expression, or several with commas between.
    fn tuple(&mut self, conditional: bool) -> PyResult<Kind> {
        self.list(&mut |walker| walker.expression(conditional), false)
    }

    fn list(&mut self, item: &mut dyn FnMut(&mut Self) -> PyResult<Kind>, in_parentheses: bool) -> PyResult<Kind> {
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

    fn expression(&mut self, conditional: bool) -> PyResult<Kind> {
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
        let mut kind = self.signed()?;
        loop {
            let left = self.height;
            match self.current {
                Some(Token::Pipe) => kind = self.filters(false)?,
                Some(Token::Ident("is")) => {
                    self.test()?;
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

    fn primary(&mut self, namespaces: bool) -> PyResult<Kind> {
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
                let kind = self.list(&mut |walker| walker.expression(true), true)?;
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
                    let mut first = true;
                    while !self.at(|token| matches!(token, Token::BracketClose)) {
                        self.comma(&mut first)?;
                        self.subscript()?;
                    }
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

    fn subscript(&mut self) -> PyResult<()> {
        let ends = |token: &Token| matches!(token, Token::BracketClose | Token::Comma | Token::Colon);
        if !self.at(|token| matches!(token, Token::Colon)) {
            self.expression(true)?;
        }
        for _ in 0..2 {
            if self.skip(|token| matches!(token, Token::Colon))? && !self.at(ends) {
                self.expression(true)?;
            }
        }
        Ok(())
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

    fn filters(&mut self, mut inline: bool) -> PyResult<Kind> {
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
            _ => {}
        }
        Ok(())
    }
}

/// What an expression is, as far as the grammar asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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
    fn node(self) -> &'static str {
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

fn quoted(token: &Token) -> String {
    let text = match token {
        Token::Ident(name) => name,
        Token::TemplateData(_) => "template data / text",
        Token::VariableStart => "begin of print statement",
        Token::VariableEnd => "end of print statement",
        Token::BlockStart => "begin of statement block",
        Token::BlockEnd => "end of statement block",
        Token::Str(_) | Token::String(_) => "string",
        Token::Int(_) | Token::Int128(_) => "integer",
        Token::Float(_) => "float",
        // minijinja shows operators in backticks.
        operator => return crate::python::print::quote(operator.to_string().trim_matches('`')),
    };
    crate::python::print::quote(text)
}

//! The tokens of a template, one after the other, and what is wrong with them.

use minijinja::machinery::{Span, Token, Tokenizer};

use crate::{
    python::{
        exception::{Exception, ExceptionClass, PyResult},
        quote::quote,
    },
    syntax::literals,
};

/// Goes through a template's tokens along Jinja2's grammar, as its parser does.
pub(super) struct SyntaxChecker<'s> {
    pub(super) source: &'s str,
    pub(super) tokenizer: Tokenizer<'s>,
    /// None at the end of the template.
    pub(super) current: Option<Token<'s>>,
    pub(super) ahead: Option<Option<(Token<'s>, Span)>>,
    pub(super) span: Span,
    /// Brackets that have to be closed.
    pub(super) open: Vec<char>,
    /// The tags that are open.
    pub(super) tags: Vec<&'s str>,
    /// The tags that each open body waits for.
    pub(super) ends: Vec<&'static [&'static str]>,
    /// How deep the current token is in brackets and blocks.
    pub(super) depth: usize,
    /// How high the tree of the last expression is: brackets and operators in a row, which end up in one another.
    pub(super) height: usize,
    pub(super) insertions: Vec<Insertion>,
    pub(super) blocks: Vec<(&'s str, BlockKind)>,
}

/// Text to stand before a place of the source, in bytes.
pub(crate) struct Insertion {
    pub(crate) at: usize,
    pub(crate) text: &'static str,
}

/// What stands behind the name of a block.
#[derive(Clone, Copy, Default)]
pub(crate) struct BlockKind {
    /// It sees the variables around it.
    pub(crate) scoped: bool,
    /// Another template would have to fill it.
    pub(crate) required: bool,
}

/// Bound on how deep brackets and blocks stand in one another; minijinja's parser has such a bound too.
pub(super) const DEPTH: usize = 100;

/// Bound on the height of an expression's tree and on the branches of a condition.
pub(super) const HEIGHT: usize = 200;

impl<'s> SyntaxChecker<'s> {
    pub(super) fn new(source: &'s str) -> PyResult<Self> {
        let mut checker = Self {
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
            insertions: Vec::new(),
            blocks: Vec::new(),
        };
        checker.advance()?;
        Ok(checker)
    }

    /// Fails at the current token.
    pub(super) fn fail<T>(&self, message: impl Into<String>) -> PyResult<T> {
        self.fail_in_line(message).map_err(|exception: Exception| match self.current {
            Some(_) => exception.at_byte(self.source, self.start()),
            None => exception,
        })
    }

    /// Fails at the current line, where no token is.
    fn fail_in_line<T>(&self, message: impl Into<String>) -> PyResult<T> {
        Err(Exception::new(ExceptionClass::TemplateSyntaxError, message).at(usize::from(self.span.start_line)))
    }

    /// Where the current token begins.
    pub(super) fn start(&self) -> usize {
        self.span.start_offset as usize
    }

    pub(super) fn insert(&mut self, at: usize, text: &'static str) {
        self.insertions.push(Insertion { at, text });
    }

    fn lex(&mut self) -> PyResult<Option<(Token<'s>, Span)>> {
        let end = self.span.end_offset as usize;
        match self.tokenizer.next_token() {
            Ok(Some((token @ Token::String(_), span))) => {
                let literal = self.source.get(span.start_offset as usize + 1..span.end_offset as usize - 1);
                match literals::unescaped(literal.unwrap_or_default()) {
                    Ok(_) => Ok(Some((token, span))),
                    Err(message) => self.fail_in_line(message),
                }
            }
            Ok(token) => Ok(token),
            Err(error) => match error.detail() {
                Some("unexpected end of comment") => self.fail_in_line("Missing end of comment tag"),
                Some("unexpected end of raw block") => self.fail_in_line("Missing end of raw directive"),
                Some("unexpected character" | "unexpected end of string") => {
                    let rest = self.source.get(end..).unwrap_or_default();
                    let at = end + rest.len() - rest.trim_start().len();
                    let place = self.source.get(..at).unwrap_or_default().chars().count();
                    let found = self.source.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
                    self.fail_in_line(format!("unexpected char {} at {place}", quote(&found.to_string())))
                }
                Some(detail) => self.fail_in_line(detail),
                None => self.fail_in_line(self.wrong_escape(end).unwrap_or("invalid escape in a string")),
            },
        }
    }

    /// What Python says of the first string literal behind a place, if it can't be read.
    fn wrong_escape(&self, from: usize) -> Option<&'static str> {
        let rest = self.source.get(from..)?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let mut escaped = false;
        let ends = |c: char| {
            let is_escaped = escaped;
            escaped = c == '\\' && !is_escaped;
            c == quote && !is_escaped
        };
        let end = rest[1..].find(ends)?;
        literals::unescaped(&rest[1..=end]).err()
    }

    /// Makes the next token the current one.
    pub(super) fn advance(&mut self) -> PyResult<()> {
        let next = match self.ahead.take() {
            Some(next) => next,
            None => self.lex()?,
        };
        self.current = match next {
            Some((token, span)) => {
                self.span = span;
                self.balance(&token)?;
                self.refuse_joined(&token)?;
                Some(token)
            }
            None => None,
        };
        Ok(())
    }

    /// Opens or closes a bracket.
    fn balance(&mut self, token: &Token) -> PyResult<()> {
        let closing = match token {
            Token::ParenClose => ')',
            Token::BracketClose => ']',
            Token::BraceClose => '}',
            opening => {
                self.open.extend(match opening {
                    Token::ParenOpen => Some(')'),
                    Token::BracketOpen => Some(']'),
                    Token::BraceOpen => Some('}'),
                    _ => None,
                });
                return Ok(());
            }
        };
        match self.open.pop() {
            None => self.fail(format!("unexpected '{closing}'")),
            Some(expected) if expected != closing => {
                self.fail(format!("unexpected '{closing}', expected '{expected}'"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Refuses tokens that minijinja reads as one and Jinja2 does not.
    fn refuse_joined(&self, token: &Token) -> PyResult<()> {
        let text = self.source.get(self.span.start_offset as usize..self.span.end_offset as usize).unwrap_or_default();
        match token {
            Token::Float(_) if text.ends_with('.') => self.fail("expected name or number"),
            Token::VariableEnd if text.starts_with('+') => self.fail("unexpected 'end of print statement'"),
            _ => Ok(()),
        }
    }

    /// Whether the token after the current one is such a one.
    pub(super) fn next_is(&mut self, test: impl Fn(&Token) -> bool) -> PyResult<bool> {
        if self.ahead.is_none() {
            self.ahead = Some(self.lex()?);
        }
        Ok(matches!(&self.ahead, Some(Some((token, _))) if test(token)))
    }

    /// Whether the current token is such a one.
    pub(super) fn at(&self, test: impl Fn(&Token) -> bool) -> bool {
        self.current.as_ref().is_some_and(test)
    }

    /// Whether the current token is one of these names.
    pub(super) fn at_name(&self, names: &[&str]) -> bool {
        matches!(&self.current, Some(Token::Ident(name)) if names.contains(name))
    }

    /// Goes past the current token if it is such a one. Says whether it is.
    pub(super) fn skip(&mut self, test: impl Fn(&Token) -> bool) -> PyResult<bool> {
        let found = self.at(test);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Goes past this name. Says whether it is there.
    pub(super) fn skip_name(&mut self, name: &str) -> PyResult<bool> {
        self.skip(|token| matches!(token, Token::Ident(found) if *found == name))
    }

    /// Goes past a token that has to be there.
    pub(super) fn expect(&mut self, description: &str, test: impl Fn(&Token) -> bool) -> PyResult<()> {
        if self.skip(test)? {
            return Ok(());
        }
        match &self.current {
            None => self.fail(format!("unexpected end of template, expected '{description}'.")),
            Some(token) => self.fail(format!("expected token '{description}', got {}", quoted(token))),
        }
    }

    /// The comma before each item but the first.
    pub(super) fn comma(&mut self, first: &mut bool) -> PyResult<()> {
        if std::mem::replace(first, false) {
            return Ok(());
        }
        self.expect(",", |token| matches!(token, Token::Comma))
    }

    /// Goes past a name, whatever it is.
    pub(super) fn name(&mut self) -> PyResult<&'s str> {
        match self.current {
            Some(Token::Ident(name)) => {
                self.advance()?;
                Ok(name)
            }
            _ => self.expect("name", |_| false).map(|()| ""),
        }
    }

    /// The current token as Jinja2's messages show it.
    pub(super) fn current_quoted(&self) -> String {
        self.current.as_ref().map_or_else(|| "'end of template'".to_owned(), quoted)
    }
}

/// The token as Jinja2's messages show it.
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
        operator => return quote(operator.to_string().trim_matches('`')),
    };
    quote(text)
}

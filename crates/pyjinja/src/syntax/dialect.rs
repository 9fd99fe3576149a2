//! Spells a template so that minijinja's parser reads it as Jinja2's would.
//!
//! minijinja's grammar has other spellings for what Jinja2 allows beyond it: a tuple without parentheses gets them, a unary
//! plus becomes two minuses, a colon after a tag goes, `{% print x %}` becomes `{{ x }}`, and string literals whose
//! escapes the two read differently are written out. A filter that is called, and several subscripts, get the parentheses that
//! the grammar's walk found. Lines stay where they are.

use std::borrow::Cow;

use minijinja::machinery::{Token, tokenize};

use crate::syntax::{errors::Insertion, literals};

/// `source` with `\n` for every line break, as Jinja2 reads it.
pub(crate) fn with_newlines(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    }
}

/// `source` in minijinja's dialect, with these insertions.
pub(crate) fn for_minijinja(source: &str, insertions: Vec<Insertion>) -> Cow<'_, str> {
    let inserted = |Insertion { at, text }| Replacement { start: at, end: at, text: text.to_owned() };
    let mut replacements: Vec<Replacement> = insertions.into_iter().map(inserted).collect();
    let mut tag = Vec::new();
    for token in tokenize(source, false, minijinja::syntax::SyntaxConfig::default()) {
        // The parser tells what is wrong here.
        let Ok((token, span)) = token else { break };
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        let closes = matches!(token, Token::VariableEnd | Token::BlockEnd);
        if !matches!(token, Token::TemplateData(_)) {
            tag.push(TagToken { token, start, end });
        }
        if closes {
            respell(source, &tag, &mut replacements);
            tag.clear();
        }
    }
    if replacements.is_empty() {
        return Cow::Borrowed(source);
    }
    replacements.sort_by_key(|replacement| (replacement.start, replacement.end));
    let mut spelled = String::with_capacity(source.len() + replacements.len());
    let mut at = 0;
    for replacement in &replacements {
        spelled.push_str(source.get(at..replacement.start).unwrap_or_default());
        spelled.push_str(&replacement.text);
        at = replacement.end;
    }
    spelled.push_str(source.get(at..).unwrap_or_default());
    Cow::Owned(spelled)
}

/// A token of a tag, and where it stands in the source, in bytes.
struct TagToken<'s> {
    token: Token<'s>,
    start: usize,
    end: usize,
}

impl TagToken<'_> {
    fn is_name(&self, names: &[&str]) -> bool {
        matches!(self.token, Token::Ident(name) if names.contains(&name))
    }

    /// Whether a value can end with it, so that a plus after it is a binary one.
    fn ends_operand(&self) -> bool {
        match self.token {
            Token::Ident(name) => {
                !matches!(name, "and" | "or" | "not" | "in" | "is" | "if" | "elif" | "else" | "set" | "print")
            }
            Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::ParenClose
            | Token::BracketClose
            | Token::BraceClose => true,
            _ => false,
        }
    }
}

/// Text that stands in place of a part of the source.
struct Replacement {
    start: usize,
    end: usize,
    text: String,
}

/// One tag, from its opening to its closing token.
fn respell(source: &str, tag: &[TagToken], replacements: &mut Vec<Replacement>) {
    let [opening, inside @ .., closing] = tag else { return };
    let mut replace = |start, end, text: &str| replacements.push(Replacement { start, end, text: text.to_owned() });

    for (index, token) in inside.iter().enumerate() {
        match &token.token {
            Token::Plus
                if !index.checked_sub(1).and_then(|before| inside.get(before)).is_some_and(TagToken::ends_operand) =>
            {
                replace(token.start, token.end, "--");
            }
            Token::String(value) => {
                let literal = source.get(token.start + 1..token.end - 1).unwrap_or_default();
                // The grammar's walk has refused what Python can't read.
                let meant = literals::unescaped(literal).unwrap_or_default();
                if meant != **value {
                    replace(
                        token.start,
                        token.end,
                        &format!("\"{}\"", meant.replace('\\', "\\\\").replace('"', "\\\"")),
                    );
                }
            }
            _ => {}
        }
    }
    let inside = match inside {
        [rest @ .., last] if matches!(last.token, Token::Colon) && matches!(closing.token, Token::BlockEnd) => {
            replace(last.start, last.end, "");
            rest
        }
        all => all,
    };
    let Some(first) = inside.first() else { return };
    let (begin, stop) = if matches!(opening.token, Token::VariableStart) {
        (0, inside.len())
    } else if first.is_name(&["if", "elif"]) {
        (1, inside.len())
    } else if first.is_name(&["for"]) {
        let Some(begin) = position(inside, 1, &["in"]) else { return };
        (begin + 1, position(inside, begin, &["if", "recursive"]).unwrap_or(inside.len()))
    } else if first.is_name(&["print"]) {
        let swapped = |token: &TagToken| source.get(token.start..token.end).unwrap_or_default().replace('%', "{");
        replace(opening.start, first.end, &swapped(opening));
        replace(closing.start, closing.end, &swapped(closing).replace('{', "}"));
        for comma in commas(inside) {
            replace(comma.start, comma.end, "}}{{");
        }
        return;
    } else {
        return;
    };
    let Some(items) = inside.get(begin..stop) else { return };
    if let ([first, ..], [.., last], Some(_)) = (items, items, commas(items).next()) {
        replace(first.start, first.start, "(");
        replace(last.end, last.end, ")");
    }
}

/// Where the first of `names` stands outside all brackets.
fn position(tokens: &[TagToken], from: usize, names: &[&str]) -> Option<usize> {
    outside(tokens).find(|(index, token)| *index >= from && token.is_name(names)).map(|(index, _)| index)
}

fn commas<'a, 's>(tokens: &'a [TagToken<'s>]) -> impl Iterator<Item = &'a TagToken<'s>> {
    outside(tokens).map(|(_, token)| token).filter(|token| matches!(token.token, Token::Comma))
}

fn outside<'a, 's>(tokens: &'a [TagToken<'s>]) -> impl Iterator<Item = (usize, &'a TagToken<'s>)> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter(move |(_, token)| {
        match token.token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::errors;

    #[test]
    fn templates_are_respelled_where_minijinja_reads_them_differently() {
        let cases = [
            ("{{ a }} {{ f(1, 2) }}", "{{ a }} {{ f(1, 2) }}"),
            ("{{ 1, f(2, 3) }}", "{{ (1, f(2, 3)) }}"),
            ("{% for x in 1, 2 if x %}", "{% for x in (1, 2) if x %}"),
            ("{% for a, b in c %}", "{% for a, b in c %}"),
            ("{% if a, b: %}", "{% if (a, b) %}"),
            ("{{ +1 + +a }}", "{{ --1 + --a }}"),
            ("{%- print 1, a -%}", "{{- 1}}{{ a -}}"),
            (r#"{{ "\/\a\U0001F600" }}"#, "{{ \"\\\\/\u{7}😀\" }}"),
            (r#"{{ "\d\n\ud83d\ude0a" }}"#, r#"{{ "\d\n\ud83d\ude0a" }}"#),
            ("{{ a[] }}{{ a[1] }}{{ a[1, 2] }}{{ a[1:2] }}", "{{ a[()] }}{{ a[1] }}{{ a[(1, 2)] }}{{ a[1:2] }}"),
            ("{{ a|f()()|g()()() }}", "{{ ((a|f())()|g())()() }}"),
            ("{{ b + -a.b|f() () }}", "{{ b + (-a.b|f() )() }}"),
            ("{{ +a|f()(), b[0|f()()] }}", "{{ ((--a|f())(), b[(0|f())()]) }}"),
        ];
        for (source, expected) in cases {
            // Some are parts of templates.
            let insertions = errors::check(source).map(|checked| checked.insertions).unwrap_or_default();
            assert_eq!(for_minijinja(source, insertions), expected);
        }
    }
}

//! Spells a template so that minijinja's parser reads it as Jinja2's would.
//!
//! minijinja's grammar has other spellings for what Jinja2 allows beyond it: a tuple without parentheses gets them, a unary
//! plus becomes two minuses, a colon after a tag goes, `{% print x %}` becomes `{{ x }}`, and string literals whose
//! escapes the two read differently are written out. Lines stay where they are.

use std::borrow::Cow;

use minijinja::machinery::{Token, tokenize};

/// `source` with `\n` for every line break, as Jinja2 reads it.
pub(crate) fn with_newlines(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    }
}

/// `source` in minijinja's dialect.
pub(crate) fn for_minijinja(source: &str) -> Cow<'_, str> {
    let mut replacements = Vec::new();
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
                let meant = unescape(literal);
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

/// The text that Python reads in a string literal, given without its quotes.
fn unescape(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        let escape = chars.next();
        rest = chars.as_str();
        let digits = match escape {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        match escape {
            Some('\n') => {}
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\x0b'),
            Some(c @ '0'..='7') => {
                let length = rest.bytes().take(2).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
                let digits = format!("{c}{}", &rest[..length]);
                out.extend(u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32));
                rest = &rest[length..];
            }
            Some('x' | 'u' | 'U') if let Some(code) = hex(rest, digits) => {
                rest = &rest[digits..];
                // The two halves of a pair are one character, as minijinja reads them too.
                let low = rest.strip_prefix("\\u").and_then(|low| hex(low, 4));
                match (code, low) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        rest = &rest[6..];
                        out.extend(char::from_u32(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)));
                    }
                    _ => out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
    out
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    text.get(..digits).and_then(|digits| u32::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for (source, expected) in cases {
            assert_eq!(for_minijinja(source), expected);
        }
    }
}

//! Text as literals of Python's source: `repr` and `ascii` of a `str`.

use std::fmt::Write;

use crate::python::unicode::is_printable;

/// `repr` of a `str`.
pub(crate) fn quote(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => push_escape(&mut out, c),
        }
    }
    out.push(quote);
    out
}

/// `ascii(x)`, from the text of `repr(x)`: escapes all that is not ASCII.
pub(crate) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            push_escape(&mut out, c);
        }
    }
    out
}

/// Writes `c` as `\x`, `\u` or `\U` with its hexadecimal digits.
pub(crate) fn push_escape(out: &mut String, c: char) {
    // Writing to a String can't fail.
    let _ = match u32::from(c) {
        code @ ..=0xff => write!(out, "\\x{code:02x}"),
        code @ ..=0xffff => write!(out, "\\u{code:04x}"),
        code => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn text_is_quoted_as_repr_does() {
        let cases = [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("say \"hi\"", "'say \"hi\"'"),
            ("both ' and \"", "'both \\' and \"'"),
            ("tab\there\nnl\r\\", "'tab\\there\\nnl\\r\\\\'"),
            (
                "\0\x7f\u{a0}\u{ad}é\u{200b}\u{e000}\u{10ffff}😊e\u{301}",
                "'\\x00\\x7f\\xa0\\xadé\\u200b\\ue000\\U0010ffff😊e\u{301}'",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(quote(text), expected);
        }
    }
}

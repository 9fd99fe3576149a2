//! String literals, as Python reads them.

/// The text of a literal, given without its quotes; or why Python can't read it.
pub(super) fn unescaped(literal: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        let escape = chars.next();
        rest = chars.as_str();
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
            Some('x') => out.push(character(hex(&mut rest, 2).ok_or(r"truncated \xXX escape")?)?),
            Some('u') => {
                let code = hex(&mut rest, 4).ok_or(r"truncated \uXXXX escape")?;
                // The two halves of a pair are one character, as minijinja reads them too.
                let mut behind = rest.strip_prefix("\\u").unwrap_or_default();
                match (code, hex(&mut behind, 4)) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        rest = behind;
                        out.extend(char::from_u32(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)));
                    }
                    _ => out.push(character(code)?),
                }
            }
            Some('U') => out.push(character(hex(&mut rest, 8).ok_or(r"truncated \UXXXXXXXX escape")?)?),
            Some('N') => {
                let (name, behind) = rest
                    .strip_prefix('{')
                    .and_then(|rest| rest.split_once('}'))
                    .filter(|(name, _)| !name.is_empty())
                    .ok_or(r"malformed \N character escape")?;
                out.push(named(name).ok_or("unknown Unicode character name")?);
                rest = behind;
            }
            // Jinja2 escapes what is not ASCII first, and then the backslash is one by itself.
            Some(c) if !c.is_ascii() => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0x80..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Takes this many hexadecimal digits from the front of `rest`.
fn hex(rest: &mut &str, digits: usize) -> Option<u32> {
    let code = rest.get(..digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    *rest = &rest[digits..];
    u32::from_str_radix(code, 16).ok()
}

/// Halves of surrogate pairs, which no Rust text can hold, are replaced.
fn character(code: u32) -> Result<char, &'static str> {
    match code {
        ..0x11_0000 => Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        _ => Err("illegal Unicode character"),
    }
}

/// The character of this name or alias, in capitals or not. Python knows the same names; of aliases it refuses those whose blanks
/// and hyphens are written otherwise.
fn named(name: &str) -> Option<char> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-');
    // Others make the library panic.
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.bytes().all(is_of_name) {
        return None;
    }
    let found = unicode_names2::character(name)?;
    // Names are found there without their blanks and hyphens too.
    let plain = |name: &str| name.replace(['-', ' ', '_'], "").to_ascii_uppercase();
    let exact = match unicode_names2::name(found).map(|known| known.to_string()) {
        Some(known) if plain(&known) == plain(name) => known.eq_ignore_ascii_case(name),
        // It was found by an alias.
        _ => name.split(' ').all(|word| !word.is_empty()),
    };
    exact.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_python_reads_them() {
        let cases = [
            (r"\\ \' \n\t\q\d", Ok("\\ ' \n\t\\q\\d")),
            (r"\x41\u0042\U00000043\103\0", Ok("ABCC\0")),
            (r"\ud83d\ude0a", Ok("\u{1f60a}")),
            (r"\x4", Err(r"truncated \xXX escape")),
            (r"\x+1", Err(r"truncated \xXX escape")),
            (r"\u12", Err(r"truncated \uXXXX escape")),
            (r"\U0001", Err(r"truncated \UXXXXXXXX escape")),
            (r"\U00110000", Err("illegal Unicode character")),
            (r"\é\€", Ok(r"\xe9\u20ac")),
        ];
        for (literal, expected) in cases {
            assert_eq!(unescaped(literal).as_deref(), expected.as_ref().copied(), "{literal}");
        }
    }

    #[test]
    fn characters_have_their_names_and_aliases() {
        let (unknown, malformed) = (Err("unknown Unicode character name"), Err(r"malformed \N character escape"));
        let cases = [
            (r"\N{BULLET} \N{bullet}", Ok("• •")),
            (r"\N{LATIN SMALL LETTER E WITH ACUTE}", Ok("é")),
            (r"\N{CJK UNIFIED IDEOGRAPH-4E00}\N{HANGUL SYLLABLE GA}", Ok("一가")),
            (r"\N{LINE FEED}\N{LF}\N{ALERT}\N{NBSP}", Ok("\n\n\x07\u{a0}")),
            (r"\\N{BULLET}", Ok(r"\N{BULLET}")),
            (r"\N{NOPE}", unknown),
            (r"\N{ BULLET}", unknown),
            (r"\N{-BULLET}", unknown),
            (r"\N{-}", unknown),
            ("\\N{BULLET\t}", unknown),
            (r"\N{BLACKSTAR}", unknown),
            (r"\N{BLACK_STAR}", unknown),
            (r"\N{BLACK-STAR}", unknown),
            (r"\N{LINE  FEED}", unknown),
            (r"\N{é}", unknown),
            (r"\N{}", malformed),
            (r"\N{BULLET", malformed),
            (r"\Nx", malformed),
            (r"\N", malformed),
        ];
        for (literal, expected) in cases {
            assert_eq!(unescaped(literal).as_deref(), expected.as_ref().copied(), "{literal}");
        }
    }
}

//! A text with its escapes undone, and where in the text each byte of that stands: `%2F`, `&amp;`, `&#x2f;`, `\/`, `\u002f` and
//! `\x2f`, mixed as they may be.

/// Longer entities than this, in bytes, are none.
const ENTITY_MAX: usize = 12;

/// The entities that programs write in place of a character that HTML or XML gives a meaning to.
const ENTITIES: [(&str, char); 5] = [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];

/// A text whose escapes are undone once, or several times.
pub(super) struct Decoded {
    /// Not always UTF-8: `%ff` is a byte.
    pub(super) bytes: Vec<u8>,
    /// For each byte, where what it was made of begins in the text; and the length of the text.
    starts: Vec<usize>,
}

impl Decoded {
    /// A text as it is.
    pub(super) fn verbatim(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), starts: (0..=text.len()).collect() }
    }

    /// The same with its escapes undone once more; None if there are none.
    pub(super) fn undone(&self) -> Option<Self> {
        let (bytes, starts) = (&self.bytes, &self.starts);
        let is_escape = |byte: &u8| matches!(byte, b'%' | b'&' | b'\\');
        let first = bytes.iter().position(is_escape)?;
        let mut undone = Self { bytes: bytes[..first].to_vec(), starts: starts[..first].to_vec() };
        let (mut at, mut has_changed) = (first, false);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (unit, length) = match escape(rest) {
                Some(found) => {
                    has_changed = true;
                    found
                }
                None => (Unit::Byte(rest[0]), 1),
            };
            let start = starts[at];
            match unit {
                Unit::Byte(byte) => undone.push(byte, start),
                Unit::Char(char) => {
                    char.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| undone.push(byte, start));
                }
            }
            at += length;
        }
        undone.starts.extend(starts.last());
        has_changed.then_some(undone)
    }

    fn push(&mut self, byte: u8, start: usize) {
        self.bytes.push(byte);
        self.starts.push(start);
    }

    /// The range of the text that these bytes were made of.
    pub(super) fn in_text(&self, (start, end): (usize, usize)) -> (usize, usize) {
        (self.starts[start], self.starts[end])
    }
}

/// What an escape stands for.
enum Unit {
    Byte(u8),
    Char(char),
}

/// The escape at the start of some bytes, which are not empty, and its length; None if there is none.
fn escape(bytes: &[u8]) -> Option<(Unit, usize)> {
    match bytes[0] {
        b'%' => Some((Unit::Byte(hex_byte(bytes.get(1..3)?)?), 3)),
        b'&' => entity(bytes).map(|(char, length)| (Unit::Char(char), length)),
        b'\\' => backslash(bytes),
        _ => None,
    }
}

fn entity(bytes: &[u8]) -> Option<(char, usize)> {
    let length = bytes.iter().take(ENTITY_MAX).position(|byte| *byte == b';')? + 1;
    let name = std::str::from_utf8(&bytes[1..length - 1]).ok()?;
    let char = match name.strip_prefix('#') {
        Some(number) => {
            let hex = number.strip_prefix(['x', 'X']);
            let number = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?;
            char::from_u32(number)?
        }
        None => ENTITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1,
    };
    Some((char, length))
}

fn backslash(bytes: &[u8]) -> Option<(Unit, usize)> {
    let char = match bytes.get(1)? {
        b'x' => return Some((Unit::Byte(hex_byte(bytes.get(2..4)?)?), 4)),
        b'u' => return unicode(bytes).map(|(char, length)| (Unit::Char(char), length)),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\x08',
        b'f' => '\x0c',
        other @ (b'"' | b'\'' | b'\\' | b'/') => char::from(*other),
        _ => return None,
    };
    Some((Unit::Char(char), 2))
}

/// `\u` and four digits, or two of these that are a pair.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let half = |at: usize| -> Option<u16> {
        let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        Some(u16::from_be_bytes([hex_byte(&escape[..2])?, hex_byte(&escape[2..])?]))
    };
    let first = half(0)?;
    match char::from_u32(first.into()) {
        Some(char) => Some((char, 6)),
        None => Some((char::decode_utf16([first, half(6)?]).next()?.ok()?, 12)),
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let &[high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_what_is_none_stays() {
        let cases = [
            ("a%2Fb%2f", "a/b/"),
            ("&amp;&LT;&gt;&quot;&apos;&#39;&#x27;&#X2F;&#233;", "&<>\"''\u{27}/é"),
            (r#"\"\\\/\n\u00e9\u00E9\ud83d\ude00\x41"#, "\"\\/\néé😀A"),
            (
                "100% of &nothing; &#xffffffff; \\q \\u12 \\ud83dx %zz &",
                "100% of &nothing; &#xffffffff; \\q \\u12 \\ud83dx %zz &",
            ),
            ("%C3%A9%", "é%"),
        ];
        for (text, expected) in cases {
            let undone =
                Decoded::verbatim(text).undone().map_or_else(|| text.as_bytes().to_vec(), |undone| undone.bytes);
            assert_eq!(String::from_utf8(undone).unwrap(), expected, "{text}");
        }
        assert!(Decoded::verbatim("nothing").undone().is_none());
    }

    #[test]
    fn what_bytes_were_made_of_is_found_through_several_escapes() {
        let text = "x%2526amp;é=y";
        let once = Decoded::verbatim(text).undone().unwrap();
        let thrice = once.undone().unwrap().undone().unwrap();
        assert_eq!(thrice.bytes, "x&é=y".as_bytes());
        let ranges = [(0, 1), (1, 2), (2, 4), (1, 6)].map(|range| {
            let (start, end) = thrice.in_text(range);
            &text[start..end]
        });
        assert_eq!(ranges, ["x", "%2526amp;", "é", "%2526amp;é=y"]);
    }
}

//! Numbers of bytes as Kubernetes writes them.

/// The suffixes, and what they multiply by.
const SUFFIXES: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("", 1),
];

/// Parses a number of bytes: `536870912`, `512Mi`, `1.5Gi`, `500M`.
///
/// # Errors
/// It is none; the error says what to write.
pub fn parse_quantity(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = text.get(number.len()..).unwrap_or_default();
    let factor = SUFFIXES.iter().find(|(name, _)| *name == suffix).map(|(_, factor)| *factor);
    factor.and_then(|factor| bytes(number, factor)).ok_or_else(|| "give bytes, such as 512Mi or 536870912".to_owned())
}

/// A decimal number times `factor`, without what remains below one.
fn bytes(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u128>().ok()?.checked_mul(u128::from(factor))? / denominator;
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_bytes_or_a_number_with_a_suffix_of_kubernetes() {
        let cases = [
            ("0", Some(0)),
            ("536870912", Some(536_870_912)),
            ("512Mi", Some(536_870_912)),
            ("1.5Gi", Some(1_610_612_736)),
            ("0.5Ki", Some(512)),
            ("500M", Some(500_000_000)),
            ("64k", Some(64_000)),
            ("2T", Some(2_000_000_000_000)),
            ("17000000Ti", None),
            ("99999999999999999999", None),
            ("", None),
            ("Mi", None),
            (".5Mi", None),
            ("5.Mi", None),
            ("-1", None),
            ("1 Mi", None),
            ("512mb", None),
            ("512MiB", None),
            ("512м", None),
            ("0.00000000000000000000000000000000000000001Gi", None),
        ];
        for (text, expected) in cases {
            let expected = expected.ok_or_else(|| "give bytes, such as 512Mi or 536870912".to_owned());
            assert_eq!(parse_quantity(text), expected, "{text:?}");
        }
    }
}

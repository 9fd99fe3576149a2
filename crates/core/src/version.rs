//! Versions of objects (`metadata.resourceVersion`), which order the states of objects in time.
//!
//! API servers number all changes of one cluster in one sequence and write the numbers in decimal. [Kubernetes allows to
//! compare them so](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).

use std::{
    cmp::Ordering,
    fmt::{self, Display},
};

/// The version of an object when it was read or written. A later one is greater; one that is missing is the least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceVersion(Version);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// A decimal as API servers write it: no sign, no zeros in front.
    Number(u64),
    /// Anything else.
    Text(Box<str>),
}

impl ResourceVersion {
    /// Its number; None if it is none, or too large.
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            Version::Number(number) => Some(number),
            Version::Text(_) => None,
        }
    }
}

impl From<&str> for ResourceVersion {
    fn from(text: &str) -> Self {
        Self(match text.parse::<u64>() {
            Ok(number) if number.to_string() == text => Version::Number(number),
            _ => Version::Text(text.into()),
        })
    }
}

impl Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Version::Number(number) => number.fmt(f),
            Version::Text(text) => f.write_str(text),
        }
    }
}

impl Ord for ResourceVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Version::Number(one), Version::Number(two)) = (&self.0, &other.0) {
            return one.cmp(two);
        }
        // The longer of two decimals is the greater one, whatever the size of the numbers.
        let (one, two) = (self.to_string(), other.to_string());
        one.len().cmp(&two.len()).then_with(|| one.cmp(&two))
    }
}

impl PartialOrd for ResourceVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_their_numbers_and_stay_as_they_are_written() {
        // The last number is greater than any u64.
        let in_order =
            ["", "0", "1", "9", "x", "07", "10", "99", "100", "18446744073709551615", "18446744073709551616"];
        for (index, one) in in_order.into_iter().enumerate() {
            assert_eq!(ResourceVersion::from(one).to_string(), one);
            for (other_index, two) in in_order.into_iter().enumerate() {
                let (first, second) = (ResourceVersion::from(one), ResourceVersion::from(two));
                assert_eq!(first.cmp(&second), index.cmp(&other_index), "{one:?} {two:?}");
                assert_eq!(first == second, index == other_index, "{one:?} {two:?}");
            }
        }
    }
}

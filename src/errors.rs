//! Errors as they stand in logs and answers.

use std::{error, iter};

/// Writes an error and its causes on one line, outermost first: `verb object: cause: cause`.
pub(crate) fn error_chain(error: &dyn error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    // Transparent errors repeat what they hold.
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_written_with_its_causes_each_once() {
        let error = anyhow!("connection refused").context("connection refused").context("get Secret team/ci");
        assert_eq!(error_chain(error.as_ref()), "get Secret team/ci: connection refused");
    }
}

//! What an attempt came to, in one word: delivery says it, metrics count it.

/// What an attempt came to. Nothing of what a receiver says gets into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptCode {
    /// The class of the answer's status: 2 to 5, for 200 to 599.
    Status(u8),
    /// No answer came in time.
    Timeout,
    /// The host's name does not resolve.
    Dns,
    /// There was no connection to the host, or to the proxy.
    Connect,
    /// TLS failed.
    Tls,
    /// The request may not go there.
    Refused,
    /// Anything else: the connection broke, what came is not HTTP, or redirects have no end.
    Other,
}

impl AttemptCode {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Status(2),
        Self::Status(3),
        Self::Status(4),
        Self::Status(5),
        Self::Timeout,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Refused,
        Self::Other,
    ];

    /// That of an answer with this status.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=599 => Self::Status(u8::try_from(status / 100).unwrap_or_default()),
            _ => Self::Other,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status(2) => "2xx",
            Self::Status(3) => "3xx",
            Self::Status(4) => "4xx",
            Self::Status(5) => "5xx",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Status(_) | Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_word_of_its_own_and_every_status_has_one() {
        let words = AttemptCode::ALL.map(AttemptCode::as_str);
        assert_eq!(words, ["2xx", "3xx", "4xx", "5xx", "timeout", "dns", "connect", "tls", "refused", "other"]);
        for (status, word) in [(200, "2xx"), (308, "3xx"), (410, "4xx"), (599, "5xx"), (600, "other"), (101, "other")] {
            assert_eq!(AttemptCode::of_status(status).as_str(), word, "{status}");
        }
    }
}
